//! Messages in a mailbox: drafts made from MIME, looking at them, sending and removing them (Microsoft Learn, "user: create
//! message", "message: send", "Obtain immutable identifiers for Outlook resources").

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::super::assembly::assemble;
use super::super::faults::WebStep;
use super::super::items::Sent;
use super::super::letter;
use super::super::post_office::Place;
use super::super::shared::Shared;
use super::super::wire::Line;
use super::call::{Call, Desk, Refusal, serve};
use super::problem::Problem;
use super::send::{mime, post};
use crate::clock::Timestamp;

/// What a path names.
pub(super) type Named = Path<HashMap<String, String>>;

/// The call that a request is.
pub(super) fn call(step: WebStep, named: &Named, headers: HeaderMap, body: Bytes) -> Call {
    Call { step, user: named.get("user").cloned(), headers, body }
}

/// The message that a path names.
pub(super) fn message(named: &Named) -> String {
    named.get("message").cloned().unwrap_or_default()
}

/// POST `messages`: a draft made from MIME.
pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    named: Named,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    serve(&shared, &line, call(WebStep::Create, &named, headers, body), |desk, call| {
        desk.may_write()?;
        let raw = mime(desk.shared, desk.knobs, call)?;
        let shown = letter::show(&raw);
        let preferred = call.headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        let lasting = preferred.into_iter().any(|value| value.contains("IdType=\"ImmutableId\""));
        let id = desk.shared.items().new_draft(&desk.mailbox.address, raw, lasting);
        let draft = json!({
            "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users('me')/messages/$entity",
            "id": id,
            "subject": shown.subject,
            "isDraft": true,
            "body": { "contentType": "text", "content": shown.text },
        });
        Ok((StatusCode::CREATED, Json(draft)).into_response())
    })
    .await
}

/// GET `messages/{id}`.
pub(super) async fn read(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    named: Named,
    headers: HeaderMap,
) -> Response {
    let id = message(&named);
    serve(&shared, &line, call(WebStep::Read, &named, headers, Bytes::new()), move |desk, _| {
        desk.may_read()?;
        let mut items = desk.shared.items();
        if items.draft(&desk.mailbox.address, &id).is_some() {
            return Ok(Json(json!({ "id": id, "isDraft": true })).into_response());
        }
        let sent = items.sent_items(&desk.mailbox.address).find(|sent| sent.id == id);
        sent.map(|sent| Json(shown(sent)).into_response()).ok_or_else(|| not_found().into())
    })
    .await
}

/// GET `messages?$filter=internetMessageId eq '...'`, with `sentDateTime ge ...` and `isDraft eq ...` if wanted.
pub(super) async fn find(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    named: Named,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    serve(&shared, &line, call(WebStep::Find, &named, headers, Bytes::new()), move |desk, _| {
        desk.may_read()?;
        let query = query.unwrap_or_default();
        let mut options = form_urlencoded::parse(query.as_bytes());
        let filter = options.find(|(name, _)| name == "$filter").map(|(_, value)| value.into_owned());
        let wanted = Wanted::parse(&filter.unwrap_or_default())?;
        let items = desk.shared.items();
        let owner = &desk.mailbox.address;
        let found: Vec<Value> = if wanted.draft {
            let drafts = items.drafts_with(owner, &wanted.message_id).into_iter();
            drafts.map(|id| json!({ "id": id, "isDraft": true })).collect()
        } else {
            items.sent_items(owner).filter(|sent| wanted.matches(sent)).map(shown).collect()
        };
        Ok(Json(json!({ "value": found })).into_response())
    })
    .await
}

/// POST `messages/{id}/send`.
pub(super) async fn send(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    named: Named,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let id = message(&named);
    serve(&shared, &line, call(WebStep::Send, &named, headers, body), move |desk, _| {
        desk.may_send()?;
        let owner = &desk.mailbox.address;
        let draft = desk.shared.items().draft(owner, &id).map(|draft| draft.clone()).ok_or_else(not_found)?;
        let afterwards = desk.shared.items().id_after_sending(owner, &id);
        post(desk, assemble(&draft.raw, &draft.attachments), afterwards)?;
        desk.shared.items().remove_draft(owner, &id);
        Ok((StatusCode::ACCEPTED, Body::empty()).into_response())
    })
    .await
}

/// DELETE `messages/{id}`.
pub(super) async fn delete(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    named: Named,
    headers: HeaderMap,
) -> Response {
    let id = message(&named);
    serve(&shared, &line, call(WebStep::Delete, &named, headers, Bytes::new()), move |desk, _| {
        desk.may_write()?;
        remove(desk, &id)
    })
    .await
}

fn remove(desk: &Desk<'_>, id: &str) -> Result<Response, Refusal> {
    let mut items = desk.shared.items();
    if items.remove_draft(&desk.mailbox.address, id).is_some() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    if items.sent_items(&desk.mailbox.address).any(|sent| sent.id == id) {
        drop(items);
        desk.shared.note(Place::Graph, "a message that was sent is removed from Sent Items");
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Err(not_found().into())
}

/// 404 `ErrorItemNotFound`.
pub(super) fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "ErrorItemNotFound", "The specified object was not found in the store.")
}

fn shown(sent: &Sent) -> Value {
    json!({
        "id": sent.id,
        "isDraft": false,
        "internetMessageId": sent.message_id,
        "sentDateTime": sent.at.to_string(),
    })
}

/// A filter that is understood.
struct Wanted {
    message_id: String,
    since: Option<Timestamp>,
    draft: bool,
}

impl Wanted {
    fn parse(filter: &str) -> Result<Self, Problem> {
        let invalid = || Problem::bad_request("ErrorInvalidUrlQueryFilter", "The query filter is invalid.");
        let mut wanted = Self { message_id: String::new(), since: None, draft: false };
        for term in filter.split(" and ") {
            if let Some(id) = term.strip_prefix("internetMessageId eq '").and_then(|rest| rest.strip_suffix('\'')) {
                wanted.message_id = id.replace("''", "'");
            } else if let Some(since) = term.strip_prefix("sentDateTime ge ") {
                let since: jiff::Timestamp = since.parse().map_err(|_| invalid())?;
                wanted.since = Some(Timestamp::from_millis(since.as_millisecond()));
            } else if let Some(draft) = term.strip_prefix("isDraft eq ") {
                wanted.draft = draft.parse().map_err(|_| invalid())?;
            } else {
                return Err(invalid());
            }
        }
        if wanted.message_id.is_empty() { Err(invalid()) } else { Ok(wanted) }
    }

    fn matches(&self, sent: &Sent) -> bool {
        sent.message_id == self.message_id && self.since.is_none_or(|since| sent.at >= since)
    }
}
