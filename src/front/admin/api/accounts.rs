//! Accounts and signing them in.

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use url::Url;

use super::super::{Control, read_test, test_message};
use super::access::needs;
use super::{Body, Problem, Scope};
use crate::mail::QueueId;
use crate::queue::Selector;
use crate::reading::Probed;
use crate::token::{AccountStatus, Finished, SignedIn, TokenError, Warning};

pub(super) fn routes() -> Router<Control> {
    let read = Router::new().route("/accounts", get(accounts));
    let manage = Router::new()
        .route("/accounts/{account}/sign-in", post(begin_sign_in).delete(forget))
        .route("/accounts/{account}/read", post(try_reading))
        .route("/sign-in", post(finish_sign_in));
    let send = Router::new().route("/accounts/{account}/test", post(send_test));
    needs(Scope::Read, read).merge(needs(Scope::Manage, manage)).merge(needs(Scope::Send, send))
}

/// How an account stands.
#[derive(Debug, Serialize, Deserialize)]
pub struct AccountView {
    /// Its name.
    pub account: String,
    /// The name of its provider.
    pub provider: String,
    /// How it gets tokens, as the configuration calls it.
    pub grant: String,
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
    /// What will go wrong unless somebody does something.
    pub warnings: Vec<Warning>,
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
            grant: status.grant.to_owned(),
            name: status.name,
            unsaved: status.unsaved,
            warnings: status.warnings,
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
    /// What to ask about who signed in: another name than the mailbox. Mail waits for the answer.
    pub question: Option<String>,
    /// What else to look at.
    pub notes: Vec<String>,
    /// The next page to open: the provider wants consent for each resource by itself.
    pub next: Option<Url>,
    /// Holds that ended with it.
    pub released: usize,
}

/// A test message to be sent.
#[derive(Debug, Serialize, Deserialize)]
pub struct TestMessage {
    /// Who gets it.
    pub to: String,
    /// The mailbox it leaves from, where the account has a whole domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// A test message in the queue.
#[derive(Debug, Serialize, Deserialize)]
pub struct TestSent {
    /// Its queue id.
    pub id: QueueId,
}

/// Which mailbox is to be tried.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ReadTest {
    /// The mailbox, where the account has a whole domain, or a shared one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<String>,
}

/// Whether a mailbox can be read.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReadTested {
    /// One for each protocol the account is read by.
    pub ways: Vec<Probed>,
}

async fn try_reading(
    State(control): State<Control>,
    Path(account): Path<String>,
    Body(request): Body<ReadTest>,
) -> Result<Json<ReadTested>, Problem> {
    let setup = control.setup.load_full();
    let unknown = || Problem::from(TokenError::UnknownAccount(account.clone()));
    let known = setup.account(&account).ok_or_else(unknown)?;
    let ways = read_test::read(&control, known, request.mailbox.as_deref()).await?;
    Ok(Json(ReadTested { ways }))
}

async fn send_test(
    State(control): State<Control>,
    Path(account): Path<String>,
    Body(request): Body<TestMessage>,
) -> Result<(StatusCode, Json<TestSent>), Problem> {
    let setup = control.setup.load_full();
    let unknown = || Problem::from(TokenError::UnknownAccount(account.clone()));
    let known = setup.account(&account).ok_or_else(unknown)?;
    let id = test_message::send(&control, known, &request.to, request.from.as_deref()).await?;
    Ok((StatusCode::ACCEPTED, Json(TestSent { id })))
}

async fn accounts(State(control): State<Control>) -> Json<Vec<AccountView>> {
    Json(control.tokens.status().into_iter().map(AccountView::from).collect())
}

async fn begin_sign_in(
    State(control): State<Control>,
    Path(account): Path<String>,
    Body(request): Body<BeginSignIn>,
) -> Result<Json<SignInBegun>, Problem> {
    control.tokens.discover(&account).await?;
    let begun = control.tokens.begin_sign_in(&account, request.redirect_uri)?;
    Ok(Json(SignInBegun { url: begun.url, state: begun.state }))
}

async fn forget(State(control): State<Control>, Path(account): Path<String>) -> Result<StatusCode, Problem> {
    control.tokens.forget(&account).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn finish_sign_in(
    State(control): State<Control>,
    Body(request): Body<FinishSignIn>,
) -> Result<Json<SignInFinished>, Problem> {
    finish(&control, &request.url).await.map(Json)
}

/// Ends a sign-in with the redirected URL; mail that was held for the account goes, unless there is a question.
pub(in super::super) async fn finish(control: &Control, redirected: &str) -> Result<SignInFinished, Problem> {
    let Finished { signed_in, next } = control.tokens.finish_or_go_on(redirected).await?;
    let next = next.map(|next| (next.account, next.url));
    let Some(signed_in) = signed_in else {
        let (account, next) = next.unzip();
        let notes = vec!["the provider wants consent for each resource by itself".to_owned()];
        let account = account.unwrap_or_default();
        return Ok(SignInFinished { account, name: None, question: None, notes, next, released: 0 });
    };
    let SignedIn { account, name, question, notes } = signed_in;
    let released = if question.is_none() { release(control, &account).await? } else { 0 };
    Ok(SignInFinished { account, name, question, notes, next: next.map(|(_, url)| url), released })
}

/// Mail that was held for the account goes; gives how many mailboxes it was held for.
pub(super) async fn release(control: &Control, account: &str) -> Result<usize, Problem> {
    let selector = Selector::Account(account.to_owned());
    Ok(control.queue.mended(selector, "the account was signed in").await?.len())
}
