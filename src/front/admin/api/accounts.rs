//! Accounts and signing them in.

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use url::Url;

use super::super::Control;
use super::access::needs;
use super::{Body, Problem, Scope};
use crate::queue::Selector;
use crate::token::{AccountStatus, TokenError};

pub(super) fn routes() -> Router<Control> {
    let read = Router::new().route("/accounts", get(accounts));
    let manage =
        Router::new().route("/accounts/{account}/sign-in", post(begin_sign_in)).route("/sign-in", post(finish_sign_in));
    needs(Scope::Read, read).merge(needs(Scope::Manage, manage))
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

/// Where the browser comes back to.
#[derive(Debug, Serialize, Deserialize)]
pub struct BeginSignIn {
    /// On this machine, or the provider's `redirect_uri`, which takes its place.
    pub redirect_uri: Url,
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

async fn accounts(State(control): State<Control>) -> Json<Vec<AccountView>> {
    Json(control.tokens.status().into_iter().map(AccountView::from).collect())
}

async fn begin_sign_in(
    State(control): State<Control>,
    Path(account): Path<String>,
    Body(request): Body<BeginSignIn>,
) -> Result<Json<SignInBegun>, Problem> {
    let begun = control.tokens.begin_sign_in(&account, request.redirect_uri)?;
    Ok(Json(SignInBegun { url: begun.url, state: begun.state }))
}

async fn finish_sign_in(
    State(control): State<Control>,
    Body(request): Body<FinishSignIn>,
) -> Result<Json<SignInFinished>, Problem> {
    finish(&control, &request.url).await.map(Json)
}

/// Ends a sign-in with the redirected URL; mail that was held for the account goes.
pub(in super::super) async fn finish(control: &Control, redirected: &str) -> Result<SignInFinished, Problem> {
    let signed_in = control.tokens.finish_from_url(redirected).await?;
    let selector = Selector::Account(signed_in.account.clone());
    let released = control.queue.release(selector, "the account was signed in").await?.len();
    Ok(SignInFinished { account: signed_in.account, name: signed_in.name, released })
}
