//! `sendMail` with a MIME message in base64 (Microsoft Learn, "user: sendMail").

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::directory::{User, same};
use super::super::faults::{Fault, GraphFault};
use super::super::ledger::{Access, Holder};
use super::super::letter::Addresses;
use super::super::post_office::{Incoming, Place, Via};
use super::super::shared::{Pass, Shared};
use super::super::switches::{Knobs, Oversize};
use super::super::wire::Line;
use super::problem::{Problem, tagged};
use super::{bearer, find, me};

/// The largest request in octets, as it is sent: base64 and all.
const MAX_REQUEST: usize = 4_194_304;
/// One of the requests of an app for a mailbox that are allowed at once.
type Held = Pass<(String, String)>;

/// How long to stay away after too many requests at once, in seconds.
const BACK_OFF: u32 = 10;

/// POST `/me/sendMail`.
pub(super) async fn from_me(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    serve(&shared, &line, Request { user: None, headers, body }).await
}

/// POST `/users/{id or address}/sendMail`.
pub(super) async fn from_user(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    Path(user): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    serve(&shared, &line, Request { user: Some(user), headers, body }).await
}

/// One request to send.
struct Request {
    /// Who the path names; `None` is `/me`.
    user: Option<String>,
    headers: HeaderMap,
    body: Bytes,
}

async fn serve(shared: &Shared, line: &Line, request: Request) -> Response {
    let knobs = shared.switches.knobs();
    let now = shared.clock.now();
    let parties = request.parties(shared);
    let mailbox = parties.as_ref().map(|(_, mailbox)| mailbox.address.clone()).ok();
    let _held = match enter(shared, &knobs, &parties) {
        Ok(held) => held,
        Err(problem) => return refuse(shared, &request, &problem),
    };
    shared.pause(knobs.graph_latency).await;
    let fault = shared.switches.take(mailbox.as_deref(), Fault::of_graph);
    if let Some(answer) = fail_before(shared, fault, line).await {
        return answer.unwrap_or_else(|problem| problem.answer(&request.headers, now));
    }
    let taken = parties.and_then(|(access, mailbox)| request.take(shared, &knobs, &access, mailbox));
    match (taken, fault) {
        (Err(Refusal { problem, shown_as_success: false }), _) => refuse(shared, &request, &problem),
        (Err(Refusal { problem, shown_as_success: true }), _) => {
            shared.note(Place::Graph, problem.summary());
            tagged(StatusCode::OK.into_response(), &request.headers)
        }
        (Ok(()), Some(GraphFault::TakenThenTimeout)) => {
            let problem = Problem::new(StatusCode::GATEWAY_TIMEOUT, "UnknownError", "The gateway timed out.");
            problem.answer(&request.headers, now)
        }
        (Ok(()), Some(GraphFault::TakenThenReset)) => {
            line.cut();
            StatusCode::ACCEPTED.into_response()
        }
        (Ok(()), _) => tagged((StatusCode::ACCEPTED, Body::empty()).into_response(), &request.headers),
    }
}

/// A place among the requests at once, held for as long as the answer takes: that is what the limit counts.
fn enter(shared: &Shared, knobs: &Knobs, parties: &Result<(Access, &User), Refusal>) -> Result<Option<Held>, Problem> {
    let Ok((access, mailbox)) = parties else { return Ok(None) };
    let key = (access.client_id.clone(), mailbox.address.to_ascii_lowercase());
    let pass = shared.graph_gate.enter(key, knobs.graph_requests);
    pass.map(Some).ok_or_else(|| Problem::throttled(BACK_OFF))
}

fn refuse(shared: &Shared, request: &Request, problem: &Problem) -> Response {
    shared.note(Place::Graph, problem.summary());
    problem.answer(&request.headers, shared.clock.now())
}

/// The faults that come instead of the work; the others come after it.
async fn fail_before(shared: &Shared, fault: Option<GraphFault>, line: &Line) -> Option<Result<Response, Problem>> {
    Some(match fault? {
        GraphFault::TakenThenTimeout | GraphFault::TakenThenReset => return None,
        GraphFault::Unauthorized => Err(Problem::token("Invalid authentication token.")),
        GraphFault::AccessDenied => Err(Problem::denied()),
        GraphFault::TooLarge => Err(Problem::too_large()),
        GraphFault::Throttled(seconds) => Err(Problem::throttled(seconds)),
        GraphFault::Unavailable => Err(Problem::unavailable()),
        GraphFault::Html => Ok(Html("<!DOCTYPE html><title>A proxy's page</title>").into_response()),
        GraphFault::Empty => Ok(StatusCode::OK.into_response()),
        GraphFault::Hang => {
            shared.stopping.cancelled().await;
            line.cut();
            Ok(StatusCode::SERVICE_UNAVAILABLE.into_response())
        }
    })
}

/// Why a message is not taken.
struct Refusal {
    problem: Problem,
    /// Some oversized requests have been answered 200, which reads like success.
    shown_as_success: bool,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { problem, shown_as_success: false }
    }
}

impl Request {
    /// Who asks, and whose mailbox it is about.
    fn parties<'a>(&self, shared: &'a Shared) -> Result<(Access, &'a User), Refusal> {
        let access = bearer(shared, &self.headers)?;
        let mailbox = match &self.user {
            None => me(shared, &access)?,
            Some(user) => find(shared, user)?,
        };
        Ok((access, mailbox))
    }

    fn take(&self, shared: &Shared, knobs: &Knobs, access: &Access, mailbox: &User) -> Result<(), Refusal> {
        self.check_size(knobs)?;
        may_send(shared, access, mailbox)?;
        let raw = self.mime(shared, knobs)?;
        let addresses = Addresses::read(&raw);
        check_recipients(&addresses.recipients())?;
        if let Some(other) = addresses.from.iter().chain(&addresses.sender).find(|from| !mailbox.may_send_as(from)) {
            let message = format!(
                "The user account which was used to submit this request does not have the right to send mail on behalf \
                 of the specified sending account. Cannot submit message. (From `{other}`, mailbox `{}`)",
                mailbox.address
            );
            return Err(Problem::new(StatusCode::FORBIDDEN, "ErrorSendAsDenied", message).into());
        }
        let incoming = Incoming {
            via: Via::Graph,
            signed_in: access.who().to_owned(),
            mailbox: mailbox.address.clone(),
            reverse_path: None,
            recipients: addresses.recipients(),
            raw,
        };
        shared.office.take(incoming, shared.clock.now());
        Ok(())
    }

    fn check_size(&self, knobs: &Knobs) -> Result<(), Refusal> {
        if self.body.len() <= MAX_REQUEST {
            return Ok(());
        }
        Err(Refusal { problem: Problem::too_large(), shown_as_success: knobs.oversize == Oversize::Status200 })
    }

    /// The message out of its base64: the standard alphabet, padded.
    fn mime(&self, shared: &Shared, knobs: &Knobs) -> Result<Vec<u8>, Problem> {
        let kind = self.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !same(kind, "text/plain") {
            let message = format!("The practice tenant takes MIME as `text/plain`, not `{kind}`.");
            return Err(Problem::bad_request("RequestBodyRead", message));
        }
        let breaks = self.body.iter().any(u8::is_ascii_whitespace);
        let decoded = if breaks && knobs.base64_breaks {
            let joined: Vec<u8> = self.body.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
            STANDARD.decode(joined)
        } else {
            STANDARD.decode(&self.body)
        };
        decoded.map_err(|_| {
            if breaks {
                shared.note(Place::Graph, "the base64 of a message has line breaks, which count against the 4 MiB");
            }
            Problem::bad_request("ErrorMimeContentInvalidBase64String", "Invalid base64 string for MIME content.")
        })
    }
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

/// Permission, and a right to the mailbox.
fn may_send(shared: &Shared, access: &Access, mailbox: &User) -> Result<(), Problem> {
    let allowed = match &access.holder {
        Holder::App => access.may(&["Mail.Send"]),
        Holder::User(address) if same(address, &mailbox.address) => access.may(&["Mail.Send", "Mail.Send.Shared"]),
        Holder::User(address) => {
            let signed_in = shared.directory.user(address);
            access.may(&["Mail.Send.Shared"]) && signed_in.is_some_and(|user| user.may_send_as(&mailbox.address))
        }
    };
    if allowed { Ok(()) } else { Err(Problem::denied()) }
}
