//! Messages: the list, and everything about one of them.

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use mail_parser::MessageParser;
use serde::Deserialize;

use super::Page;
use super::view::{Frame, Moment, Refusal, Visitor, counted, html, octets};
use crate::front::admin::{Problem, api};
use crate::mail::QueueId;
use crate::queue::{
    AttemptDetail, Detail, Filter, MessageCopy, QueueError, RecipientDetail, Selector, State as Standing, Summary,
};

/// Messages on one page.
const SHOWN: u32 = 50;
/// Octets of a message that are read for its subject.
const HEAD: usize = 64 * 1024;
/// Characters of a subject that are shown.
const MAX_SUBJECT: usize = 300;

pub(super) fn routes() -> Router<Page> {
    Router::new()
        .route("/messages", get(list))
        .route("/messages/{id}", get(show))
        .route("/messages/{id}/content", get(content))
        .route("/messages/{id}/retry", post(retry))
        .route("/messages/{id}/release", post(release))
        .route("/messages/{id}/drop", post(drop_message))
}

/// The filter as the form has it.
#[derive(Deserialize, Default, Clone)]
#[serde(default)]
struct Wanted {
    state: String,
    account: String,
    search: String,
    before: String,
}

struct Line {
    at: Moment,
    next: Option<Moment>,
    size: String,
    tone: &'static str,
    more: u32,
    message: Summary,
}

#[derive(Template)]
#[template(path = "admin/messages.html")]
struct MessagesPage {
    frame: Frame,
    states: Vec<(&'static str, &'static str, bool)>,
    accounts: Vec<(String, bool)>,
    wanted: Wanted,
    filtered: bool,
    lines: Vec<Line>,
    /// The query of the next page.
    older: Option<String>,
}

/// What can be asked for, and how it is called.
const STATES: [(&str, &str); 9] = [
    ("", "Not relayed yet"),
    ("all", "Everything"),
    ("waiting", "Waiting"),
    ("held", "Held"),
    ("sending", "Sending"),
    ("failed", "Failed"),
    ("relayed", "Relayed"),
    ("bounced", "Bounced"),
    ("dropped", "Dropped"),
];

async fn list(State(page): State<Page>, visitor: Visitor, Query(wanted): Query<Wanted>) -> Result<Response, Refusal> {
    let filter = filter(&wanted)?;
    let messages = page.control.queue.list(filter).await.map_err(Problem::from)?;
    let older = (messages.len() > SHOWN as usize).then(|| messages.get(SHOWN as usize - 1)).flatten().map(|last| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("state", &wanted.state).append_pair("account", &wanted.account);
        query.append_pair("search", &wanted.search).append_pair("before", &last.id.to_string()).finish()
    });
    let accounts = page.setup().accounts.iter().map(|a| (a.name.clone(), a.name == wanted.account)).collect();
    Ok(html(&MessagesPage {
        frame: page.frame(&visitor, "messages"),
        states: STATES.into_iter().map(|(value, words)| (value, words, value == wanted.state)).collect(),
        accounts,
        filtered: !wanted.state.is_empty() || !wanted.account.is_empty() || !wanted.search.is_empty(),
        wanted,
        lines: messages.into_iter().take(SHOWN as usize).map(line).collect(),
        older,
    }))
}

fn filter(wanted: &Wanted) -> Result<Filter, Refusal> {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let before = text(&wanted.before).map(|id| api::queue_id(&id)).transpose()?;
    let state =
        [Standing::Waiting, Standing::Held, Standing::Sending, Standing::Relayed, Standing::Failed, Standing::Dropped]
            .into_iter()
            .find(|state| state.to_string() == wanted.state);
    // A search looks everywhere, unless a state was asked for.
    let bounced = wanted.state == "bounced";
    let all = bounced || wanted.state == "all" || (wanted.state.is_empty() && !wanted.search.is_empty());
    Ok(Filter {
        account: text(&wanted.account),
        state,
        all,
        limit: Some(SHOWN + 1),
        before,
        search: text(&wanted.search),
        bounced,
        ..Filter::default()
    })
}

fn line(message: Summary) -> Line {
    Line {
        at: message.accepted_at.into(),
        next: message.next_attempt.map(Moment::from),
        size: octets(message.size),
        tone: tone(message.state),
        more: message.recipients.saturating_sub(1),
        message,
    }
}

fn tone(state: Standing) -> &'static str {
    match state {
        Standing::Relayed => "good",
        Standing::Waiting | Standing::Sending => "busy",
        Standing::Held | Standing::Failed => "bad",
        Standing::Dropped => "quiet",
    }
}

struct RecipientLine {
    address: String,
    state: Standing,
    tone: &'static str,
    words: String,
    at: Option<Moment>,
    bounces: Vec<BounceLine>,
}

/// What a report in the mailbox said later.
struct BounceLine {
    words: String,
    at: Moment,
}

struct AttemptLine {
    number: u32,
    started: Moment,
    by: String,
    counts: String,
    words: Vec<String>,
    under_way: bool,
}

#[derive(Template)]
#[template(path = "admin/message.html")]
struct MessagePage {
    frame: Frame,
    detail: Detail,
    tone: &'static str,
    /// It is not at its end, so the page looks again.
    live: bool,
    size: String,
    accepted: Moment,
    next: Option<Moment>,
    finished: Option<Moment>,
    head: Option<Head>,
    recipients: Vec<RecipientLine>,
    attempts: Vec<AttemptLine>,
    can_retry: bool,
    can_drop: bool,
}

/// What the header says. The content is gone when all was relayed.
struct Head {
    subject: String,
    from: String,
}

async fn show(State(page): State<Page>, visitor: Visitor, Path(id): Path<String>) -> Result<Response, Refusal> {
    let id = api::queue_id(&id)?;
    let detail = page.control.queue.show(id).await.map_err(Problem::from)?;
    let detail = detail.ok_or_else(|| Problem::from(QueueError::NoSuchMessage(id)))?;
    let state = detail.summary.state;
    let head = match page.control.queue.copy(id).await {
        Ok(copy) => head(copy).await,
        Err(_) => None,
    };
    let has_content = head.is_some();
    Ok(html(&MessagePage {
        frame: page.frame(&visitor, "messages"),
        tone: tone(state),
        live: matches!(state, Standing::Waiting | Standing::Held | Standing::Sending),
        size: octets(detail.summary.size),
        accepted: detail.summary.accepted_at.into(),
        next: detail.summary.next_attempt.map(Moment::from),
        finished: detail.finished_at.map(Moment::from),
        head,
        recipients: detail.recipients.iter().map(recipient).collect(),
        attempts: detail.attempts.iter().rev().map(attempt).collect(),
        can_retry: matches!(state, Standing::Waiting) || (state == Standing::Failed && has_content),
        can_drop: matches!(state, Standing::Waiting | Standing::Held | Standing::Failed),
        detail,
    }))
}

fn recipient(of: &RecipientDetail) -> RecipientLine {
    let words = of.receipt.clone().or_else(|| of.failure.as_ref().map(ToString::to_string)).unwrap_or_default();
    let at = of.at.map(Moment::from);
    let bounces = of.bounces.iter().map(|bounce| BounceLine { words: bounce.to_string(), at: bounce.at.into() });
    let bounces = bounces.collect();
    RecipientLine { address: of.address.clone(), state: of.state, tone: tone(of.state), words, at, bounces }
}

fn attempt(of: &AttemptDetail) -> AttemptLine {
    let result = of.result.as_ref();
    let backend = result.and_then(|result| result.backend);
    let counts = result.map(|result| {
        let parts = [(result.relayed, "relayed"), (result.outstanding, "waiting"), (result.failed, "failed")];
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{} {what}", counted(u64::from(count), "recipient")))
            .collect();
        parts.join(", ")
    });
    let words = result.map(|result| result.words.iter().chain(&result.notes).cloned().collect());
    AttemptLine {
        number: of.number,
        started: of.started_at.into(),
        by: backend.map(|backend| format!("by {backend}")).unwrap_or_default(),
        counts: counts.unwrap_or_default(),
        words: words.unwrap_or_default(),
        under_way: result.is_none(),
    }
}

/// Subject and sender as programs decode them; they are hostile text like everything in a message.
async fn head(mut copy: MessageCopy) -> Option<Head> {
    let mut octets = copy.prefix;
    while octets.len() < HEAD
        && let Some(piece) = copy.body.chunk().await.ok()?
    {
        octets.extend_from_slice(&piece);
    }
    octets.truncate(HEAD);
    let parsed = MessageParser::new().parse_headers(&octets)?;
    let from = parsed.from().and_then(|from| from.first()).map(|from| {
        let (name, address) = (from.name().unwrap_or_default(), from.address().unwrap_or_default());
        if name.is_empty() { address.to_owned() } else { format!("{name} <{address}>") }
    });
    let cut = |text: &str| text.chars().filter(|c| !c.is_control()).take(MAX_SUBJECT).collect();
    Some(Head { subject: cut(parsed.subject().unwrap_or_default()), from: cut(&from.unwrap_or_default()) })
}

/// The message as a file. It is never shown in place: it is hostile.
async fn content(State(page): State<Page>, _: Visitor, Path(id): Path<String>) -> Result<Response, Refusal> {
    Ok(api::content(&page.control, &id).await?)
}

async fn retry(State(page): State<Page>, visitor: Visitor, Path(id): Path<String>) -> Result<Response, Refusal> {
    let id = api::queue_id(&id)?;
    let done = page.control.queue.retry(id).await.map_err(Problem::from);
    Ok(page.done(&visitor, done.map(|()| "the message is tried again now".to_owned()), &place(id)))
}

async fn release(State(page): State<Page>, visitor: Visitor, Path(id): Path<String>) -> Result<Response, Refusal> {
    let id = api::queue_id(&id)?;
    let released = page.control.queue.release(Selector::Message(id), "released on the page").await;
    let done = released.map_err(Problem::from).map(|released| match released.first() {
        Some(key) => format!("the hold of {} has ended; its mail is tried now", key.mailbox),
        None => "nothing was held".to_owned(),
    });
    Ok(page.done(&visitor, done, &place(id)))
}

async fn drop_message(State(page): State<Page>, visitor: Visitor, Path(id): Path<String>) -> Result<Response, Refusal> {
    let id = api::queue_id(&id)?;
    let done = page.control.queue.drop_message(id).await.map_err(Problem::from);
    Ok(page.done(&visitor, done.map(|()| "the message is dropped; nobody was told".to_owned()), &place(id)))
}

fn place(id: QueueId) -> String {
    format!("/messages/{id}")
}
