//! Access tokens for programs, sign-ins by device code, and the key that tokens are sealed with.

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderName, StatusCode, header};
use serde::{Deserialize, Serialize};
use url::Url;

use super::super::Control;
use super::access::needs;
use super::accounts::release;
use super::{Problem, Query, Scope};
use crate::clock::Timestamp;
use crate::token::{AccessToken, DeviceProgress, DeviceSignIn, KeyRotated, Purpose};

pub(super) fn routes() -> Router<Control> {
    let token = Router::new().route("/accounts/{account}/token", get(token));
    // Who sees a waiting code can have somebody else agree to it, or agree under another name.
    let manage = Router::new()
        .route("/accounts/{account}/device-sign-in", get(device_sign_in).post(begin_device_sign_in))
        .route("/accounts/{account}/confirm", post(confirm_signed_in))
        .route("/key/rotate", post(rotate_key));
    needs(Scope::Token, token).merge(needs(Scope::Manage, manage))
}

/// What the token is for.
#[derive(Debug, Deserialize)]
struct Wanted {
    r#for: Purpose,
}

/// A token for a program, in the form that 4D NetKit's `getToken` has.
#[derive(Debug, Serialize, Deserialize)]
pub struct ProgramToken {
    /// The token.
    pub token: TokenFields,
    /// When it ends, ISO 8601 in UTC.
    #[serde(rename = "tokenExpiration")]
    pub token_expiration: String,
}

/// The fields of RFC 6749 section 5.1, without a refresh token: that one stays here.
#[derive(Serialize, Deserialize)]
pub struct TokenFields {
    /// The token itself.
    pub access_token: String,
    /// `Bearer`.
    pub token_type: String,
    /// Seconds that it is still good.
    pub expires_in: u64,
    /// What it was granted.
    pub scope: String,
}

impl std::fmt::Debug for TokenFields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenFields({} s)", self.expires_in)
    }
}

async fn token(
    State(control): State<Control>,
    Path(account): Path<String>,
    Query(Wanted { r#for }): Query<Wanted>,
) -> Result<([(HeaderName, &'static str); 1], Json<ProgramToken>), Problem> {
    let token = control.tokens.token_for_program(&account, r#for).await?;
    let AccessToken { secret, expires, scope, .. } = token.token;
    let token_type = "Bearer".to_owned();
    let token = TokenFields {
        access_token: secret.expose().to_owned(),
        token_type,
        expires_in: token.left.as_secs(),
        scope: scope.to_string(),
    };
    let answer = ProgramToken { token, token_expiration: expires.to_string() };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)))
}

/// Where a sign-in by device code stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum DeviceView {
    /// Somebody must type a code.
    Waiting(DeviceCode),
    /// Somebody did.
    SignedIn {
        /// Who, as the provider says.
        name: Option<String>,
        /// What to ask about who signed in. Mail waits for the answer.
        question: Option<String>,
        /// What else to look at.
        notes: Vec<String>,
    },
    /// It came to nothing.
    Failed {
        /// Why.
        why: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

/// A code to type at a page.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeviceCode {
    /// The code.
    pub user_code: String,
    /// The page.
    pub verification_uri: Url,
    /// The page with the code in it.
    pub verification_uri_complete: Option<Url>,
    /// When it is too late.
    pub expires: Timestamp,
}

impl From<DeviceSignIn> for DeviceCode {
    fn from(sign_in: DeviceSignIn) -> Self {
        let DeviceSignIn { user_code, verification_uri, verification_uri_complete, expires } = sign_in;
        Self { user_code, verification_uri, verification_uri_complete, expires }
    }
}

impl From<DeviceProgress> for DeviceView {
    fn from(progress: DeviceProgress) -> Self {
        match progress {
            DeviceProgress::Waiting(sign_in) => Self::Waiting(sign_in.into()),
            DeviceProgress::SignedIn(done) => {
                Self::SignedIn { name: done.name, question: done.question, notes: done.notes }
            }
            DeviceProgress::Failed(error) => Self::Failed { why: error.why(), hint: error.hint().map(str::to_owned) },
        }
    }
}

async fn begin_device_sign_in(
    State(control): State<Control>,
    Path(account): Path<String>,
) -> Result<Json<DeviceCode>, Problem> {
    Ok(Json(control.tokens.begin_device_sign_in(&account).await?.into()))
}

async fn device_sign_in(
    State(control): State<Control>,
    Path(account): Path<String>,
) -> Result<Json<DeviceView>, Problem> {
    let progress = control.tokens.device_sign_in(&account);
    progress.map(|progress| Json(progress.into())).ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, format!("nobody is signing `{account}` in by device code"), None)
    })
}

/// Whoever signed in is meant: mail that waited for the answer goes.
#[derive(Debug, Serialize, Deserialize)]
pub struct Confirmed {
    /// Holds that ended with it.
    pub released: usize,
}

async fn confirm_signed_in(
    State(control): State<Control>,
    Path(account): Path<String>,
) -> Result<Json<Confirmed>, Problem> {
    confirm(&control, &account).await.map(Json)
}

/// Takes whoever signed in for the one who was meant; mail that waited for the answer goes.
pub(in super::super) async fn confirm(control: &Control, account: &str) -> Result<Confirmed, Problem> {
    control.tokens.confirm(account).await?;
    Ok(Confirmed { released: release(control, account).await? })
}

async fn rotate_key(State(control): State<Control>) -> Result<Json<KeyRotated>, Problem> {
    let rotated = control.tokens.rotate_key().await;
    rotated.map(Json).map_err(|error| Problem::new(StatusCode::CONFLICT, error, None))
}
