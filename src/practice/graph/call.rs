//! What every request about a mailbox goes through: token, mailbox, the limit of requests at once, latency, faults.

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};

use super::super::directory::{User, same};
use super::super::faults::{Fault, GraphFault, WebStep};
use super::super::ledger::{Access, Holder};
use super::super::post_office::Place;
use super::super::shared::{Pass, Shared};
use super::super::switches::{Knobs, Oversize};
use super::super::wire::Line;
use super::problem::{Problem, tagged};
use super::{bearer, find, me};

/// The largest request in octets, as it is sent: base64 and all.
pub(super) const MAX_REQUEST: usize = 4_194_304;
/// How long to stay away after too many requests at once, in seconds.
const BACK_OFF: u32 = 10;

/// One of the requests of an app for a mailbox that are allowed at once.
type Held = Pass<(String, String)>;

/// One request about a mailbox.
pub(super) struct Call {
    /// What it is for, so that faults can be aimed.
    pub(super) step: WebStep,
    /// Whom the path names; `None` is `/me`.
    pub(super) user: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What a request is about, once token and mailbox are known.
pub(super) struct Desk<'a> {
    pub(super) shared: &'a Shared,
    pub(super) knobs: &'a Knobs,
    pub(super) access: &'a Access,
    pub(super) mailbox: &'a User,
}

/// Why a request is not granted.
pub(super) struct Refusal {
    problem: Problem,
    /// Some oversized requests have been answered 200, which reads like success.
    shown_as_success: bool,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { problem, shown_as_success: false }
    }
}

/// Answers `call` with what `work` makes of it.
pub(super) async fn serve<W>(shared: &Shared, line: &Line, call: Call, work: W) -> Response
where
    W: FnOnce(&Desk<'_>, &Call) -> Result<Response, Refusal>,
{
    let knobs = shared.switches.knobs();
    let now = shared.clock.now();
    let parties = call.parties(shared);
    let mailbox = parties.as_ref().map(|(_, mailbox)| mailbox.address.clone()).ok();
    let _held = match enter(shared, &knobs, &parties) {
        Ok(held) => held,
        Err(problem) => return refuse(shared, &call, &problem),
    };
    shared.pause(knobs.graph_latency).await;
    let fault = shared.switches.take(mailbox.as_deref(), |fault: &Fault| fault.of_graph(call.step));
    if let Some(answer) = fail_before(shared, fault, line).await {
        return answer.unwrap_or_else(|problem| problem.answer(&call.headers, now));
    }
    let done = parties.and_then(|(access, mailbox)| {
        call.check_size(&knobs)?;
        work(&Desk { shared, knobs: &knobs, access: &access, mailbox }, &call)
    });
    match (done, fault) {
        (Err(Refusal { problem, shown_as_success: false }), _) => refuse(shared, &call, &problem),
        (Err(Refusal { problem, shown_as_success: true }), _) => {
            shared.note(Place::Graph, problem.summary());
            tagged(StatusCode::OK.into_response(), &call.headers)
        }
        (Ok(_), Some(GraphFault::TakenThenTimeout)) => {
            let problem = Problem::new(StatusCode::GATEWAY_TIMEOUT, "UnknownError", "The gateway timed out.");
            problem.answer(&call.headers, now)
        }
        (Ok(_), Some(GraphFault::TakenThenReset)) => {
            line.cut();
            StatusCode::ACCEPTED.into_response()
        }
        (Ok(answer), _) => tagged(answer, &call.headers),
    }
}

/// A place among the requests at once, held for as long as the answer takes: that is what the limit counts.
fn enter(shared: &Shared, knobs: &Knobs, parties: &Result<(Access, &User), Refusal>) -> Result<Option<Held>, Problem> {
    let Ok((access, mailbox)) = parties else { return Ok(None) };
    let key = (access.client_id.clone(), mailbox.address.to_ascii_lowercase());
    let pass = shared.graph_gate.enter(key, knobs.graph_requests);
    pass.map(Some).ok_or_else(|| Problem::throttled(BACK_OFF))
}

fn refuse(shared: &Shared, call: &Call, problem: &Problem) -> Response {
    shared.note(Place::Graph, problem.summary());
    problem.answer(&call.headers, shared.clock.now())
}

/// The faults that come instead of the work; the others come after it.
pub(super) async fn fail_before(
    shared: &Shared,
    fault: Option<GraphFault>,
    line: &Line,
) -> Option<Result<Response, Problem>> {
    Some(match fault? {
        GraphFault::TakenThenTimeout | GraphFault::TakenThenReset => return None,
        GraphFault::Unauthorized => Err(Problem::token("Invalid authentication token.")),
        GraphFault::AccessDenied => Err(Problem::denied()),
        GraphFault::TooLarge => Err(Problem::too_large()),
        GraphFault::Throttled(seconds) => Err(Problem::throttled(seconds)),
        GraphFault::Unavailable => Err(Problem::unavailable()),
        GraphFault::NoRest => {
            let message = "REST API is not yet supported for this mailbox.";
            Err(Problem::new(StatusCode::NOT_FOUND, "MailboxNotEnabledForRESTAPI", message))
        }
        GraphFault::Html => Ok(Html("<!DOCTYPE html><title>A proxy's page</title>").into_response()),
        GraphFault::Empty => Ok(StatusCode::OK.into_response()),
        GraphFault::Reset => {
            line.cut();
            Ok(StatusCode::SERVICE_UNAVAILABLE.into_response())
        }
        GraphFault::Hang => {
            shared.stopping.cancelled().await;
            line.cut();
            Ok(StatusCode::SERVICE_UNAVAILABLE.into_response())
        }
    })
}

impl Call {
    /// Who asks, and whose mailbox it is about.
    fn parties<'a>(&self, shared: &'a Shared) -> Result<(Access, &'a User), Refusal> {
        let access = bearer(shared, &self.headers)?;
        let mailbox = match &self.user {
            None => me(shared, &access)?,
            Some(user) => find(shared, user)?,
        };
        Ok((access, mailbox))
    }

    fn check_size(&self, knobs: &Knobs) -> Result<(), Refusal> {
        if self.body.len() <= MAX_REQUEST {
            return Ok(());
        }
        Err(Refusal { problem: Problem::too_large(), shown_as_success: knobs.oversize == Oversize::Status200 })
    }
}

impl Desk<'_> {
    /// Permission, and a right to the mailbox. `own` are the permissions that open one's own mailbox, `shared` those
    /// that open another's, `app` the application's.
    pub(super) fn may(&self, own: &[&str], shared: &[&str], app: &[&str]) -> Result<(), Problem> {
        let allowed = match &self.access.holder {
            Holder::App => self.access.may(app),
            Holder::User(address) if same(address, &self.mailbox.address) => self.access.may(own),
            Holder::User(address) => {
                let signed_in = self.shared.directory.user(address);
                self.access.may(shared) && signed_in.is_some_and(|user| user.may_send_as(&self.mailbox.address))
            }
        };
        if allowed { Ok(()) } else { Err(Problem::denied()) }
    }

    /// Permission to send from the mailbox.
    pub(super) fn may_send(&self) -> Result<(), Problem> {
        self.may(&["Mail.Send", "Mail.Send.Shared"], &["Mail.Send.Shared"], &["Mail.Send"])
    }

    /// Permission to change what is in the mailbox.
    pub(super) fn may_write(&self) -> Result<(), Problem> {
        self.may(&["Mail.ReadWrite"], &["Mail.ReadWrite.Shared"], &["Mail.ReadWrite"])
    }

    /// Permission to look into the mailbox at whole messages with all their properties.
    pub(super) fn may_read_whole(&self) -> Result<(), Problem> {
        let own = ["Mail.Read", "Mail.ReadWrite"];
        self.may(&own, &["Mail.Read.Shared", "Mail.ReadWrite.Shared"], &own)
    }

    /// Permission to look into the mailbox.
    pub(super) fn may_read(&self) -> Result<(), Problem> {
        let own = ["Mail.ReadBasic", "Mail.Read", "Mail.ReadWrite"];
        self.may(&own, &["Mail.Read.Shared", "Mail.ReadWrite.Shared"], &own)
    }
}
