//! Files attached to a draft: small ones whole, large ones by an upload session (Microsoft Learn, "attachment:
//! createUploadSession", "Attach large files to Outlook messages").

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use super::super::directory::same;
use super::super::faults::WebStep;
use super::super::items::{Attachment, Upload};
use super::super::ledger::random_text;
use super::super::shared::Shared;
use super::super::wire::Line;
use super::call::{Call, Desk, Refusal, serve};
use super::messages::{Named, call, message, not_found};
use super::problem::Problem;
use super::send::media_type;

/// Files below this are posted whole, from here on they need a session.
const LARGE: usize = 3_000_000;
/// Files may be posted whole up to here.
const MAX_POSTED: usize = 3 << 20;
/// The largest file.
const MAX_FILE: usize = 150 << 20;
/// How long a session is good.
const SESSION: Duration = Duration::from_secs(3_600);

/// A `fileAttachment`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    #[serde(rename = "@odata.type")]
    kind: String,
    name: String,
    content_type: Option<String>,
    content_bytes: String,
    content_id: Option<String>,
    #[serde(default)]
    is_inline: bool,
}

/// An `attachmentItem`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Announced {
    attachment_type: String,
    name: String,
    size: usize,
    content_type: Option<String>,
    content_id: Option<String>,
    #[serde(default)]
    is_inline: bool,
}

#[derive(Deserialize)]
struct Opened {
    #[serde(rename = "AttachmentItem", alias = "attachmentItem")]
    item: Announced,
}

/// POST `messages/{id}/attachments`.
pub(super) async fn attach(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    named: Named,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let id = message(&named);
    serve(&shared, &line, call(WebStep::Attach, &named, headers, body), move |desk, call| {
        desk.may_write()?;
        let posted: Posted = read(call)?;
        if posted.kind != "#microsoft.graph.fileAttachment" {
            return Err(invalid(format!("`{}` is not an attachment", posted.kind)).into());
        }
        let octets = STANDARD.decode(&posted.content_bytes).map_err(|_| invalid("contentBytes is not base64"))?;
        if octets.len() > MAX_POSTED {
            return Err(Problem::too_large().into());
        }
        let file = Attachment {
            name: posted.name,
            content_type: posted.content_type.unwrap_or_else(|| "application/octet-stream".to_owned()),
            content_id: posted.content_id,
            inline: posted.is_inline,
            octets,
        };
        let mut items = desk.shared.items();
        items.draft(&desk.mailbox.address, &id).ok_or_else(not_found)?.attachments.push(file);
        Ok((StatusCode::CREATED, Json(json!({ "id": random_text(30) }))).into_response())
    })
    .await
}

/// POST `messages/{id}/attachments/createUploadSession`.
pub(super) async fn open_upload(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    named: Named,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let id = message(&named);
    serve(&shared, &line, call(WebStep::OpenUpload, &named, headers, body), move |desk, call| {
        desk.may_write()?;
        open(desk, call, id)
    })
    .await
}

fn open(desk: &Desk<'_>, call: &Call, draft: String) -> Result<Response, Refusal> {
    let Opened { item } = read(call)?;
    if item.attachment_type != "file" {
        return Err(invalid(format!("`{}` is not a file", item.attachment_type)).into());
    }
    if item.size < LARGE {
        let code = "ErrorAttachmentSizeShouldNotBeLessThanMinimumSize";
        return Err(Problem::bad_request(code, "The size of the attachment is less than the minimum.").into());
    }
    if item.size > MAX_FILE {
        return Err(Problem::bad_request("ErrorAttachmentSizeLimitExceeded", "The attachment is too large.").into());
    }
    let expires = desk.shared.clock.now().plus(SESSION);
    let file = Attachment {
        name: item.name,
        content_type: item.content_type.unwrap_or_else(|| "application/octet-stream".to_owned()),
        content_id: item.content_id,
        inline: item.is_inline,
        octets: Vec::new(),
    };
    let mut items = desk.shared.items();
    items.draft(&desk.mailbox.address, &draft).ok_or_else(not_found)?;
    let token = random_text(60);
    let session = items.open_upload(Upload { draft, token: token.clone(), size: item.size, file, expires });
    let answer = json!({
        "uploadUrl": format!("{}/upload/{session}?authtoken={token}", desk.shared.origin),
        "expirationDateTime": expires.to_string(),
        "nextExpectedRanges": ["0-"],
    });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

fn read<'a, T: Deserialize<'a>>(call: &'a Call) -> Result<T, Problem> {
    if !same(media_type(&call.headers), "application/json") {
        return Err(invalid("the request is not `application/json`"));
    }
    serde_json::from_slice(&call.body).map_err(|error| invalid(error.to_string()))
}

fn invalid(why: impl Into<String>) -> Problem {
    Problem::bad_request("RequestBodyRead", why)
}
