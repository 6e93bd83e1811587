//! A look-alike of the Gmail API's `messages.send` by upload (Google for Developers, "Upload attachments", "Resumable
//! upload", discovery document of Gmail).

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{post, put};
use axum::{Json, Router};
use serde_json::json;

use super::faults::{Fault, GraphFault, WebStep};
use super::ledger::{Access, Holder, random_text};
use super::letter::Addresses;
use super::post_office::{Incoming, Place, Via};
use super::scope::Resource;
use super::shared::Shared;
use super::wire::Line;

/// The largest message, from the discovery document.
const MAX_MESSAGE: usize = 36_700_160;
/// What every range but the last is a multiple of.
const RANGE_UNIT: usize = 256 * 1024;
/// Recipients of one message.
const MAX_RECIPIENTS: usize = 100;

/// A message that comes in ranges.
#[derive(Debug)]
pub(super) struct Pending {
    who: Access,
    size: usize,
    octets: Vec<u8>,
    /// The id of the message, once it is sent.
    sent: Option<String>,
}

/// An error: status, reason, message.
type Problem = (u16, &'static str, String);

/// The routes.
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/upload/gmail/v1/users/me/messages/send", post(whole))
        .route("/resumable/upload/gmail/v1/users/me/messages/send", post(open))
        .route("/resumable/upload/session/{id}", put(range))
        .layer(DefaultBodyLimit::max(64 << 20))
}

async fn whole(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fault = shared.switches.take(None, |fault: &Fault| fault.of_graph(WebStep::GmailSend));
    if let Some(answer) = fail_before(&shared, fault, &line).await {
        return answer;
    }
    let sent = bearer(&shared, &headers).and_then(|access| {
        if query.get("uploadType").map(String::as_str) != Some("media") {
            return Err((400, "badRequest", "uploadType must be media".to_owned()));
        }
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("message/") {
            return Err((400, "badContent", format!("Media type '{kind}' is not supported.")));
        }
        take(&shared, &access, &body)
    });
    finish(&shared, &line, fault, sent)
}

async fn open(State(shared): State<Arc<Shared>>, ConnectInfo(line): ConnectInfo<Line>, headers: HeaderMap) -> Response {
    let fault = shared.switches.take(None, |fault: &Fault| fault.of_graph(WebStep::GmailSend));
    if let Some(answer) = fail_before(&shared, fault, &line).await {
        return answer;
    }
    let number = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let opened = bearer(&shared, &headers).and_then(|who| match number("x-upload-content-length") {
        Some(size) if size > MAX_MESSAGE => Err((413, "uploadTooLarge", "Request Entity Too Large".to_owned())),
        Some(size) => Ok((who, size)),
        None => Err((400, "badRequest", "X-Upload-Content-Length is missing".to_owned())),
    });
    match opened {
        Ok((who, size)) => {
            let id = random_text(30);
            let pending = Pending { who, size, octets: Vec::new(), sent: None };
            shared.uploads().insert(id.clone(), pending);
            let place = format!("{}/resumable/upload/session/{id}", shared.origin);
            (StatusCode::OK, [(header::LOCATION, place)]).into_response()
        }
        Err(problem) => refuse(&shared, &problem),
    }
}

async fn range(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    // A question how far it is has no body and no fault of its own.
    let fault = if body.is_empty() {
        None
    } else {
        shared.switches.take(None, |fault: &Fault| fault.of_graph(WebStep::GmailRange))
    };
    if let Some(answer) = fail_before(&shared, fault, &line).await {
        return answer;
    }
    if headers.contains_key(header::AUTHORIZATION) {
        shared.note(Place::Gmail, "an access token was sent along with a range");
    }
    let Some(mut pending) = shared.uploads().remove(&id) else {
        return refuse(&shared, &(404, "notFound", "Not Found".to_owned()));
    };
    let arrived = add(&mut pending, &headers, &body);
    let answer = match arrived {
        Err(problem) => refuse(&shared, &problem),
        Ok(()) if pending.octets.len() < pending.size => incomplete(pending.octets.len()),
        Ok(()) => {
            let sent = match &pending.sent {
                Some(id) => Ok(id.clone()),
                None => take(&shared, &pending.who, &pending.octets),
            };
            pending.sent = sent.as_ref().ok().cloned();
            finish(&shared, &line, fault, sent)
        }
    };
    if matches!(fault, Some(GraphFault::TakenThenReset)) {
        line.cut();
    }
    shared.uploads().insert(id, pending);
    answer
}

fn incomplete(octets: usize) -> Response {
    let status = StatusCode::PERMANENT_REDIRECT;
    match octets.checked_sub(1) {
        Some(last) => (status, [(header::RANGE, format!("bytes=0-{last}"))]).into_response(),
        None => status.into_response(),
    }
}

/// Adds a range; an empty one only asks.
fn add(pending: &mut Pending, headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
    let bad = || (400, "badRequest", "Invalid Content-Range".to_owned());
    let text = headers.get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok()).ok_or_else(bad)?;
    let (range, size) = text.strip_prefix("bytes ").and_then(|text| text.split_once('/')).ok_or_else(bad)?;
    if size.parse() != Ok(pending.size) {
        return Err(bad());
    }
    if range == "*" {
        return if body.is_empty() { Ok(()) } else { Err(bad()) };
    }
    let (first, last) = range.split_once('-').ok_or_else(bad)?;
    let (first, last): (usize, usize) = (first.parse().map_err(|_| bad())?, last.parse().map_err(|_| bad())?);
    let is_last = last + 1 == pending.size;
    if first != pending.octets.len()
        || last + 1 - first != body.len()
        || (!is_last && !body.len().is_multiple_of(RANGE_UNIT))
    {
        return Err(bad());
    }
    pending.octets.extend_from_slice(body);
    Ok(())
}

/// Sends a message to those whom its header names; the answer is its id.
fn take(shared: &Shared, access: &Access, raw: &[u8]) -> Result<String, Problem> {
    if raw.len() > MAX_MESSAGE {
        return Err((413, "uploadTooLarge", "Request Entity Too Large".to_owned()));
    }
    let Holder::User(mailbox) = &access.holder else {
        return Err((400, "failedPrecondition", "Precondition check failed.".to_owned()));
    };
    let recipients = Addresses::read(raw).recipients();
    if recipients.is_empty() {
        return Err((400, "invalidArgument", "Recipient address required".to_owned()));
    }
    if recipients.len() > MAX_RECIPIENTS {
        return Err((400, "invalidArgument", "Too many recipients".to_owned()));
    }
    if recipients.iter().any(|address| !address.contains('@')) {
        return Err((400, "invalidArgument", "Invalid To header".to_owned()));
    }
    let incoming = Incoming {
        via: Via::Gmail,
        signed_in: access.who().to_owned(),
        mailbox: mailbox.clone(),
        reverse_path: None,
        recipients,
        raw: raw.to_vec(),
        object: None,
    };
    shared.take(incoming);
    Ok(random_text(12))
}

fn bearer(shared: &Shared, headers: &HeaderMap) -> Result<Access, Problem> {
    let invalid = || (401, "authError", "Invalid Credentials".to_owned());
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(invalid)?;
    let access = shared.access(token).map_err(|_| invalid())?;
    if access.audience != Resource::Google || !access.may(&["gmail.send", "https://mail.google.com/"]) {
        let words = "Request had insufficient authentication scopes.".to_owned();
        return Err((403, "insufficientPermissions", words));
    }
    Ok(access)
}

fn finish(shared: &Shared, line: &Line, fault: Option<GraphFault>, sent: Result<String, Problem>) -> Response {
    match (sent, fault) {
        (Err(problem), _) => refuse(shared, &problem),
        (Ok(_), Some(GraphFault::TakenThenTimeout)) => StatusCode::GATEWAY_TIMEOUT.into_response(),
        (Ok(id), fault) => {
            if matches!(fault, Some(GraphFault::TakenThenReset)) {
                line.cut();
            }
            Json(json!({ "id": id, "threadId": id, "labelIds": ["SENT"] })).into_response()
        }
    }
}

async fn fail_before(shared: &Shared, fault: Option<GraphFault>, line: &Line) -> Option<Response> {
    let (status, reason) = match fault? {
        GraphFault::TakenThenTimeout | GraphFault::TakenThenReset => return None,
        GraphFault::Unauthorized => (401, "authError"),
        GraphFault::AccessDenied => (403, "domainPolicy"),
        GraphFault::TooLarge => (413, "uploadTooLarge"),
        GraphFault::Throttled(seconds) => {
            let answer = error(429, "rateLimitExceeded", "User-rate limit exceeded.");
            return Some((answer.0, [(header::RETRY_AFTER, seconds.to_string())], answer.1).into_response());
        }
        GraphFault::Unavailable => (503, "backendError"),
        GraphFault::NoRest => (400, "failedPrecondition"),
        GraphFault::Html => return Some(axum::response::Html("<!DOCTYPE html>").into_response()),
        GraphFault::Empty => return Some(StatusCode::OK.into_response()),
        GraphFault::Reset | GraphFault::Hang => {
            if fault == Some(GraphFault::Hang) {
                shared.stopping.cancelled().await;
            }
            line.cut();
            return Some(StatusCode::SERVICE_UNAVAILABLE.into_response());
        }
    };
    Some(error(status, reason, "The request was refused.").into_response())
}

fn refuse(shared: &Shared, (status, reason, message): &Problem) -> Response {
    shared.note(Place::Gmail, format!("{status} {reason}: {message}"));
    error(*status, reason, message).into_response()
}

fn error(status: u16, reason: &str, message: &str) -> (StatusCode, Json<serde_json::Value>) {
    let body = json!({
        "error": {
            "code": status,
            "message": message,
            "errors": [{ "message": message, "domain": "global", "reason": reason }],
        }
    });
    (StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST), Json(body))
}
