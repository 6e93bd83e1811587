//! `sendMail` with a MIME message in base64, or with one in JSON (Microsoft Learn, "user: sendMail").

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::super::directory::{User, same};
use super::super::faults::WebStep;
use super::super::letter::Addresses;
use super::super::post_office::{Incoming, Place, Via};
use super::super::shared::Shared;
use super::super::switches::Knobs;
use super::super::wire::Line;
use super::call::{Call, Desk, Refusal, serve};
use super::object;
use super::problem::Problem;

/// POST `/me/sendMail`.
pub(super) async fn from_me(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    serve(&shared, &line, Call { step: WebStep::SendMail, user: None, headers, body }, take).await
}

/// POST `/users/{id or address}/sendMail`.
pub(super) async fn from_user(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    Path(user): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    serve(&shared, &line, Call { step: WebStep::SendMail, user: Some(user), headers, body }, take).await
}

fn take(desk: &Desk<'_>, call: &Call) -> Result<Response, Refusal> {
    desk.may_send()?;
    if same(media_type(&call.headers), "application/json") {
        let (raw, object) = object::read(&call.body, &desk.mailbox.address)?;
        post_as(desk, raw, None, Some(object))?;
    } else {
        let raw = mime(desk.shared, desk.knobs, call)?;
        post(desk, raw, None)?;
    }
    Ok((StatusCode::ACCEPTED, Body::empty()).into_response())
}

/// Sends a message to those whom its header names, and keeps a copy in Sent Items, under `id` if it was a draft.
pub(super) fn post(desk: &Desk<'_>, raw: Vec<u8>, id: Option<String>) -> Result<(), Problem> {
    post_as(desk, raw, id, None)
}

/// The same; `object` is what it was handed in as, if that was JSON.
fn post_as(desk: &Desk<'_>, raw: Vec<u8>, id: Option<String>, object: Option<Value>) -> Result<(), Problem> {
    let addresses = Addresses::read(&raw);
    check_recipients(&addresses.recipients())?;
    check_sender(&addresses, desk.mailbox)?;
    let shared = desk.shared;
    let now = shared.clock.now();
    shared.items().sent(&desk.mailbox.address, id, &raw, now);
    let incoming = Incoming {
        via: Via::Graph,
        signed_in: desk.access.who().to_owned(),
        mailbox: desk.mailbox.address.clone(),
        reverse_path: None,
        recipients: addresses.recipients(),
        raw,
        object,
    };
    shared.take(incoming);
    Ok(())
}

fn check_sender(addresses: &Addresses, mailbox: &User) -> Result<(), Problem> {
    let Some(other) = addresses.from.iter().chain(&addresses.sender).find(|from| !mailbox.may_send_as(from)) else {
        return Ok(());
    };
    let message = format!(
        "The user account which was used to submit this request does not have the right to send mail on behalf of the \
         specified sending account. Cannot submit message. (From `{other}`, mailbox `{}`)",
        mailbox.address
    );
    Err(Problem::new(StatusCode::FORBIDDEN, "ErrorSendAsDenied", message))
}

/// The media type of a request, without parameters.
pub(super) fn media_type(headers: &HeaderMap) -> &str {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim()
}

/// The message out of its base64: the standard alphabet, padded.
pub(super) fn mime(shared: &Shared, knobs: &Knobs, call: &Call) -> Result<Vec<u8>, Problem> {
    let kind = media_type(&call.headers);
    if !same(kind, "text/plain") {
        let message = format!("The practice tenant takes MIME as `text/plain`, not `{kind}`.");
        return Err(Problem::bad_request("RequestBodyRead", message));
    }
    let breaks = call.body.iter().any(u8::is_ascii_whitespace);
    let decoded = if breaks && knobs.base64_breaks {
        let joined: Vec<u8> = call.body.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
        STANDARD.decode(joined)
    } else {
        STANDARD.decode(&call.body)
    };
    decoded.map_err(|_| {
        if breaks {
            shared.note(Place::Graph, "the base64 of a message has line breaks, which count against the 4 MiB");
        }
        Problem::bad_request("ErrorMimeContentInvalidBase64String", "Invalid base64 string for MIME content.")
    })
}

/// Somebody must be named, and everybody by an address.
fn check_recipients(recipients: &[String]) -> Result<(), Problem> {
    let valid = |address: &String| {
        address.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
    };
    if recipients.is_empty() {
        let message =
            "At least one recipient is not valid., A message can't be sent because it contains no recipients.";
        return Err(Problem::bad_request("ErrorInvalidRecipients", message));
    }
    if !recipients.iter().all(valid) {
        return Err(Problem::bad_request("ErrorInvalidRecipients", "At least one recipient is not valid."));
    }
    Ok(())
}
