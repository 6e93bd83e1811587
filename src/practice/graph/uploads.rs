//! The ranges of an upload session. They go to another host than Graph, which knows nothing of access tokens: the right
//! is in the URL, and a token sent along is a token given away.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::super::faults::{Fault, GraphFault, WebStep};
use super::super::items::Upload;
use super::super::post_office::Place;
use super::super::shared::Shared;
use super::super::wire::Line;
use super::call::{MAX_REQUEST, fail_before};
use super::problem::{Problem, tagged};

/// The right to a session.
#[derive(Deserialize)]
pub(super) struct Right {
    #[serde(default)]
    authtoken: String,
}

/// A range of octets as `Content-Range` names it: first, last, of how many.
type Range = (usize, usize, usize);

/// PUT of one range.
pub(super) async fn range(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    Path(session): Path<String>,
    Query(right): Query<Right>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fault = shared.switches.take(None, |fault: &Fault| fault.of_graph(WebStep::Upload));
    if let Some(answer) = fail_before(&shared, fault, &line).await {
        return answer.unwrap_or_else(|problem| problem.answer(&headers, shared.clock.now()));
    }
    let taken = check_clean(&shared, &headers).and_then(|()| put(&shared, (&session, &right), &headers, &body));
    if matches!(fault, Some(GraphFault::TakenThenReset)) {
        line.cut();
    }
    respond(&shared, &headers, taken)
}

/// GET of what is still expected.
pub(super) async fn state(
    State(shared): State<Arc<Shared>>,
    Path(session): Path<String>,
    Query(right): Query<Right>,
    headers: HeaderMap,
) -> Response {
    let found = check_clean(&shared, &headers).and_then(|()| {
        let mut items = shared.items();
        let upload = items.upload(&session, &right.authtoken).ok_or_else(gone)?;
        Ok((StatusCode::OK, Json(expected(upload))).into_response())
    });
    respond(&shared, &headers, found)
}

/// DELETE of a session.
pub(super) async fn cancel(
    State(shared): State<Arc<Shared>>,
    Path(session): Path<String>,
    Query(right): Query<Right>,
    headers: HeaderMap,
) -> Response {
    let ended = check_clean(&shared, &headers).and_then(|()| {
        let mut items = shared.items();
        items.upload(&session, &right.authtoken).ok_or_else(gone)?;
        items.end_upload(&session);
        Ok(StatusCode::NO_CONTENT.into_response())
    });
    respond(&shared, &headers, ended)
}

fn respond(shared: &Shared, headers: &HeaderMap, done: Result<Response, Problem>) -> Response {
    match done {
        Ok(answer) => tagged(answer, headers),
        Err(problem) => {
            shared.note(Place::Graph, problem.summary());
            problem.answer(headers, shared.clock.now())
        }
    }
}

fn check_clean(shared: &Shared, headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key(header::AUTHORIZATION) {
        shared.note(Place::Graph, "an access token was sent to the host of an upload session");
        return Err(Problem::token("Access token is not expected here."));
    }
    Ok(())
}

fn put(
    shared: &Shared,
    (session, right): (&str, &Right),
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, Problem> {
    let bad = |what: &str| Problem::bad_request("InvalidContentRange", what);
    let mut items = shared.items();
    let upload = items.upload(session, &right.authtoken).ok_or_else(gone)?;
    if shared.clock.now() >= upload.expires {
        return Err(gone());
    }
    let (first, last, size) =
        content_range(headers).ok_or_else(|| bad("Content-Range is missing or not understood."))?;
    if size != upload.size || last >= size || last + 1 - first != body.len() || body.len() > MAX_REQUEST {
        return Err(bad("Content-Range does not agree with the session or the body."));
    }
    if first != upload.file.octets.len() {
        return Err(bad("The range is not the next one."));
    }
    upload.file.octets.extend_from_slice(body);
    if last + 1 < size {
        return Ok((StatusCode::OK, Json(expected(upload))).into_response());
    }
    items.end_upload(session);
    let place = "https://outlook.office.com/api/v2.0/Users('me')/Messages('m')/Attachments('a')";
    Ok((StatusCode::CREATED, [(header::LOCATION, place)]).into_response())
}

fn content_range(headers: &HeaderMap) -> Option<Range> {
    let text = headers.get(header::CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?;
    let (range, size) = text.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let range: Range = (first.parse().ok()?, last.parse().ok()?, size.parse().ok()?);
    (range.0 <= range.1).then_some(range)
}

fn expected(upload: &Upload) -> serde_json::Value {
    json!({
        "expirationDateTime": upload.expires.to_string(),
        "nextExpectedRanges": [upload.file.octets.len().to_string()],
    })
}

fn gone() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "ErrorItemNotFound", "The upload session was not found.")
}
