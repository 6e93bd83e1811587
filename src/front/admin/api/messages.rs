//! Messages and holds.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;

use super::super::Control;
use super::access::needs;
use super::{Body, Problem, Query, Scope};
use crate::account::{Account, MailboxRule};
use crate::clock::Timestamp;
use crate::mail::{Address, QueueId};
use crate::queue::{Detail, Filter, Hold, MailboxKey, MessageCopy, QueueError, Selector, State as Standing, Summary};

/// Octets of a message on their way to whoever downloads it.
const BUFFER: usize = 64 * 1024;

pub(super) fn routes() -> Router<Control> {
    let read =
        Router::new().route("/messages", get(list)).route("/messages/{id}", get(show)).route("/holds", get(holds));
    let read = read.route("/history", get(history));
    let manage = Router::new()
        .route("/messages/{id}", axum::routing::delete(drop_message))
        .route("/messages/{id}/retry", post(retry))
        .route("/holds/begin", post(hold))
        .route("/holds/release", post(release));
    let contents = Router::new().route("/messages/{id}/content", get(read_content));
    needs(Scope::Read, read).merge(needs(Scope::Manage, manage)).merge(needs(Scope::Content, contents))
}

/// Messages in the queue, newest first.
#[derive(Debug, Serialize, Deserialize)]
pub struct Listing {
    /// The messages.
    pub messages: Vec<Summary>,
    /// Mailboxes whose mail is held, and why.
    pub holds: Vec<Hold>,
}

/// Messages with their whole lives, newest first.
#[derive(Debug, Serialize, Deserialize)]
pub struct History {
    /// The messages.
    pub messages: Vec<Detail>,
}

/// Which lives to tell.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    account: Option<String>,
    client: Option<String>,
    search: Option<String>,
    day: Option<String>,
    state: Option<Standing>,
    limit: Option<u32>,
    before: Option<QueueId>,
    bounced: bool,
}

/// Mailboxes whose mail is held.
#[derive(Debug, Serialize, Deserialize)]
pub struct Holds {
    /// The holds.
    pub holds: Vec<Hold>,
}

/// What is to be held.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BeginHold {
    /// The name of an account with one mailbox, or a mailbox.
    pub what: String,
    /// Why, for whoever looks at it later.
    #[serde(default)]
    pub why: String,
}

/// What a release set free.
#[derive(Debug, Serialize, Deserialize)]
pub struct Released {
    /// The mailboxes whose holds ended.
    pub mailboxes: Vec<MailboxKey>,
}

async fn list(State(control): State<Control>, Query(filter): Query<Filter>) -> Result<Json<Listing>, Problem> {
    let messages = control.queue.list(filter).await?;
    Ok(Json(Listing { messages, holds: control.queue.holds().await? }))
}

async fn history(State(control): State<Control>, Query(wanted): Query<Wanted>) -> Result<Json<History>, Problem> {
    let no_day = |text: &str| {
        Problem::new(StatusCode::BAD_REQUEST, format!("`{text}` is no day"), None).hint("write it as `2026-11-21`")
    };
    let day = wanted.day.as_deref().map(|text| Timestamp::day(text).ok_or_else(|| no_day(text))).transpose()?;
    let (since, until) = day.unzip();
    let Wanted { account, client, search, state, limit, before, bounced, .. } = wanted;
    let filter = Filter { account, client, search, state, limit, before, since, until, all: true, bounced };
    Ok(Json(History { messages: control.queue.history(filter).await? }))
}

async fn show(State(control): State<Control>, Path(id): Path<String>) -> Result<Json<Detail>, Problem> {
    let id = queue_id(&id)?;
    control.queue.show(id).await?.map(Json).ok_or_else(|| QueueError::NoSuchMessage(id).into())
}

async fn read_content(State(control): State<Control>, Path(id): Path<String>) -> Result<Response, Problem> {
    content(&control, &id).await
}

/// A message as a file, as it would be sent. It is hostile, so no browser is to show it in place.
pub(in super::super) async fn content(control: &Control, id: &str) -> Result<Response, Problem> {
    let id = queue_id(id)?;
    let MessageCopy { prefix, mut body } = control.queue.copy(id).await?;
    let size = prefix.len() as u64 + body.size();
    let (mut writer, reader) = tokio::io::duplex(BUFFER);
    // Whoever reads slowly, or goes away, stops the reading of the file. A file that turns out damaged ends short of
    // the size that was announced, which is an error to every client.
    tokio::spawn(async move {
        let mut piece = Some(prefix);
        while let Some(octets) = piece {
            if writer.write_all(&octets).await.is_err() {
                return;
            }
            piece = body.chunk().await.unwrap_or_default();
        }
    });
    let headers = [
        (CONTENT_TYPE, "message/rfc822".to_owned()),
        (CONTENT_LENGTH, size.to_string()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{id}.eml\"")),
    ];
    Ok((headers, axum::body::Body::from_stream(ReaderStream::new(reader))).into_response())
}

async fn retry(State(control): State<Control>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    control.queue.retry(queue_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn drop_message(State(control): State<Control>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    control.queue.drop_message(queue_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn holds(State(control): State<Control>) -> Result<Json<Holds>, Problem> {
    Ok(Json(Holds { holds: control.queue.holds().await? }))
}

async fn hold(
    State(control): State<Control>,
    Body(BeginHold { what, why }): Body<BeginHold>,
) -> Result<StatusCode, Problem> {
    let (account, mailbox) = held_mailbox(&control, &what)?;
    let key = MailboxKey { provider: account.provider.clone(), mailbox: mailbox.key() };
    control.queue.hold(&key, &account.name, &why).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The mailbox that is meant, and the account that sends for it.
fn held_mailbox(control: &Control, what: &str) -> Result<(Arc<Account>, Address), Problem> {
    let setup = control.setup.load();
    let bad = |why: String| Problem::new(StatusCode::BAD_REQUEST, why, None);
    if let Some(account) = setup.accounts.iter().find(|account| account.name == what) {
        return match &account.mailbox {
            MailboxRule::One(mailbox) => Ok((Arc::clone(account), mailbox.clone())),
            MailboxRule::Domain(domain) => {
                Err(bad(format!("account `{what}` has every mailbox of `{domain}`; name the one that is meant")))
            }
        };
    }
    let mailbox: Address = what.parse().map_err(|_| bad(format!("`{what}` is neither an account nor a mailbox")))?;
    let owns = |account: &&Arc<Account>| match &account.mailbox {
        MailboxRule::One(one) => one.key() == mailbox.key(),
        MailboxRule::Domain(domain) => domain == mailbox.domain(),
    };
    let account = setup.accounts.iter().find(owns).cloned();
    account.map(|account| (account, mailbox)).ok_or_else(|| bad(format!("no account sends for `{what}`")))
}

async fn release(State(control): State<Control>, Body(selector): Body<Selector>) -> Result<Json<Released>, Problem> {
    Ok(Json(Released { mailboxes: control.queue.release(selector, "released by hand").await? }))
}

/// Reads a queue id.
pub(in super::super) fn queue_id(text: &str) -> Result<QueueId, Problem> {
    text.parse().map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error, None))
}
