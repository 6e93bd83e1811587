//! The API's routes.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use url::Url;

use super::Control;
use crate::mail::QueueId;
use crate::queue::{Detail, Filter, Hold, MailboxKey, QueueError, Selector, Summary};
use crate::token::{AccountStatus, TokenError};

/// All operations, under `/v1`.
pub fn router(control: Control) -> Router {
    let messages = Router::new()
        .route("/queue", get(list))
        .route("/queue/{id}", get(show).delete(drop_message))
        .route("/queue/{id}/retry", post(retry))
        .route("/holds", get(holds))
        .route("/holds/release", post(release));
    let accounts = Router::new()
        .route("/accounts", get(accounts))
        .route("/accounts/{account}/sign-in", post(begin_sign_in))
        .route("/sign-in", post(finish_sign_in))
        .route("/reload", post(reload));
    Router::new().nest("/v1", messages.merge(accounts)).with_state(control)
}

/// Messages in the queue, oldest first.
#[derive(Debug, Serialize, Deserialize)]
pub struct Listing {
    /// The messages.
    pub messages: Vec<Summary>,
    /// Mailboxes whose mail is held, and why.
    pub holds: Vec<Hold>,
}

/// Mailboxes whose mail is held.
#[derive(Debug, Serialize, Deserialize)]
pub struct Holds {
    /// The holds.
    pub holds: Vec<Hold>,
}

/// How an account stands.
#[derive(Debug, Serialize, Deserialize)]
pub struct AccountView {
    /// Its name.
    pub account: String,
    /// The name of its provider.
    pub provider: String,
    /// Where it stands, in words.
    pub state: String,
    /// What is wrong, if anything is.
    pub why: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Who signed in, as the provider says.
    pub name: Option<String>,
    /// The newest refresh token is not on disk: the program should not be stopped.
    pub unsaved: bool,
}

impl From<AccountStatus> for AccountView {
    fn from(status: AccountStatus) -> Self {
        let hint = status.error.as_ref().and_then(TokenError::hint).map(str::to_owned);
        Self {
            state: status.words().to_owned(),
            why: status.error.map(|error| error.why()),
            hint,
            account: status.account,
            provider: status.provider,
            name: status.name,
            unsaved: status.unsaved,
        }
    }
}

/// What a release set free.
#[derive(Debug, Serialize, Deserialize)]
pub struct Released {
    /// The mailboxes whose holds ended.
    pub mailboxes: Vec<MailboxKey>,
}

/// What a reload did.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reloaded {
    /// In words.
    pub text: String,
}

/// A sign-in that waits for its browser.
#[derive(Debug, Serialize, Deserialize)]
pub struct SignInBegun {
    /// Where the browser goes.
    pub url: Url,
    /// What the answer must carry.
    pub state: String,
}

/// The browser's way back: the whole redirected URL.
#[derive(Debug, Serialize, Deserialize)]
pub struct FinishSignIn {
    /// With `code` and `state`, or with `error`.
    pub url: String,
}

/// A sign-in that succeeded.
#[derive(Debug, Serialize, Deserialize)]
pub struct SignInFinished {
    /// The account.
    pub account: String,
    /// The name that the provider knows who signed in by, if it said so.
    pub name: Option<String>,
    /// Holds that ended with it.
    pub released: usize,
}

/// What went wrong, and what to do about it.
#[derive(Debug, Serialize, Deserialize)]
pub struct ApiError {
    /// What happened.
    pub error: String,
    /// What to do, if anything can be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

struct Refusal(StatusCode, ApiError);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

impl Refusal {
    fn new(status: StatusCode, error: impl ToString, hint: Option<String>) -> Self {
        Self(status, ApiError { error: error.to_string(), hint })
    }
}

impl From<QueueError> for Refusal {
    fn from(error: QueueError) -> Self {
        let status = match &error {
            QueueError::NoSuchMessage(_) => StatusCode::NOT_FOUND,
            QueueError::InFlight(_) | QueueError::NoContent(_) => StatusCode::CONFLICT,
            QueueError::NoRoom => StatusCode::INSUFFICIENT_STORAGE,
            QueueError::Suspect(_) | QueueError::Store(_) | QueueError::Spool { .. } | QueueError::BodyDamaged(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self::new(status, error, None)
    }
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        let hint = error.hint().map(str::to_owned);
        Self::new(StatusCode::CONFLICT, error.why(), hint)
    }
}

async fn list(State(control): State<Control>, Query(filter): Query<Filter>) -> Result<Json<Listing>, Refusal> {
    let messages = control.queue.list(filter).await?;
    Ok(Json(Listing { messages, holds: control.queue.holds().await? }))
}

async fn show(State(control): State<Control>, Path(id): Path<String>) -> Result<Json<Detail>, Refusal> {
    let id = queue_id(&id)?;
    control.queue.show(id).await?.map(Json).ok_or_else(|| QueueError::NoSuchMessage(id).into())
}

async fn retry(State(control): State<Control>, Path(id): Path<String>) -> Result<StatusCode, Refusal> {
    control.queue.retry(queue_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn drop_message(State(control): State<Control>, Path(id): Path<String>) -> Result<StatusCode, Refusal> {
    control.queue.drop_message(queue_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn holds(State(control): State<Control>) -> Result<Json<Holds>, Refusal> {
    Ok(Json(Holds { holds: control.queue.holds().await? }))
}

async fn release(State(control): State<Control>, Json(selector): Json<Selector>) -> Result<Json<Released>, Refusal> {
    Ok(Json(Released { mailboxes: control.queue.release(selector, "released by hand").await? }))
}

async fn accounts(State(control): State<Control>) -> Json<Vec<AccountView>> {
    Json(control.tokens.status().into_iter().map(AccountView::from).collect())
}

#[derive(Deserialize)]
struct BeginSignIn {
    redirect_uri: Url,
}

async fn begin_sign_in(
    State(control): State<Control>,
    Path(account): Path<String>,
    Json(request): Json<BeginSignIn>,
) -> Result<Json<SignInBegun>, Refusal> {
    let begun = control.tokens.begin_sign_in(&account, request.redirect_uri)?;
    Ok(Json(SignInBegun { url: begun.url, state: begun.state }))
}

async fn finish_sign_in(
    State(control): State<Control>,
    Json(request): Json<FinishSignIn>,
) -> Result<Json<SignInFinished>, Refusal> {
    let signed_in = control.tokens.finish_from_url(&request.url).await?;
    let selector = Selector::Account(signed_in.account.clone());
    let released = control.queue.release(selector, "the account was signed in").await?.len();
    Ok(Json(SignInFinished { account: signed_in.account, name: signed_in.name, released }))
}

async fn reload(State(control): State<Control>) -> Result<Json<Reloaded>, Refusal> {
    let Some(reload) = control.reload else {
        return Err(Refusal::new(StatusCode::CONFLICT, "no gateway is running", None));
    };
    let refused = |error| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, error, None);
    reload().await.map(|text| Json(Reloaded { text })).map_err(refused)
}

fn queue_id(text: &str) -> Result<QueueId, Refusal> {
    text.parse().map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error, None))
}
