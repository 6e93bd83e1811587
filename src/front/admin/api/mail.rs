//! Handing mail in: the three forms of 4D NetKit, and its answer.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::super::page::Peer;
use super::super::{Caller, Control};
use super::access::needs;
use super::{PeopleProblem, Problem, Query, Scope};
use crate::account::Client;
use crate::directory::{DirectoryError, Fault as Wrong};
use crate::front::submission::{HandIn, NotTaken, Programs, Taken, What};
use crate::mail::form::{Form, NotCarried};
use crate::mail::{Address, EnhancedStatusCode, QueueId};
use crate::smtp::Reply;

/// The longest a program waits for the provider's answer, in seconds, as on a direct listener. After it the message is
/// in the queue.
const LONGEST_WAIT: u64 = 45;

/// Where mail is handed in.
pub(in super::super) const MAIL: &str = "/api/v1/messages";

pub(super) fn routes() -> Router<Control> {
    needs(Scope::Send, Router::new().route("/messages", post(hand_in)))
}

/// A message that was taken.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandedIn {
    /// Always.
    pub success: bool,
    /// What became of it, in words.
    pub status_text: String,
    /// None.
    pub errors: Vec<Wrong>,
    /// Its queue id.
    pub id: QueueId,
    /// `relayed`: the provider took it for all recipients; `queued`: it is in the queue.
    pub state: String,
    /// How many people receive it.
    pub recipients: usize,
    /// Properties that do not reach them, by the way the message takes as things stand.
    pub not_carried: Vec<NotCarried>,
}

/// How to take it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct How {
    /// `MIME`, `Microsoft` or `JMAP`; without it the media type says.
    mail_type: Option<String>,
    /// The mailbox to send from: an address, or the id of a user in the directory.
    user_id: Option<String>,
    /// Seconds to wait for the provider's answer.
    wait: Option<u64>,
    /// The client, for callers that are none themselves.
    client: Option<String>,
}

async fn hand_in(
    State(control): State<Control>,
    Query(how): Query<How>,
    request: Request,
) -> Result<Response, Refusal> {
    let caller = request.extensions().get::<Caller>().cloned();
    let (client, programs) = client(&control, caller.as_ref(), how.client.as_deref())?;
    let what = what(request.headers(), how.mail_type.as_deref())?;
    let wait = match how.wait {
        Some(seconds) if seconds > LONGEST_WAIT => {
            let detail = format!("`wait` is {seconds} seconds, and {LONGEST_WAIT} are the most");
            return Err(refused(StatusCode::BAD_REQUEST, &detail, "wait"));
        }
        seconds => seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs),
    };
    let mailbox = match how.user_id.as_deref() {
        None | Some("") => None,
        Some(user) => Some(mailbox(&control, caller.as_ref(), user).await?),
    };
    let from = request.extensions().get::<ConnectInfo<Peer>>().map(|ConnectInfo(Peer(from))| from.ip());
    let peer = from.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let name = client.name.clone();
    let handed = programs.hand_in(HandIn { what, client, peer, mailbox, wait }, request.into_body()).await;
    let taken = handed.map_err(|error| not_taken(error, &name))?;
    let status = if taken.relayed { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(answer(taken, wait.is_some()))).into_response())
}

fn answer(taken: Taken, waited: bool) -> HandedIn {
    let Taken { id, relayed, recipients, not_carried } = taken;
    let status_text = match (relayed, waited) {
        (true, _) => format!("relayed as {id}: the provider took it for all recipients"),
        (false, true) => {
            format!("queued as {id}: the provider has not answered for all recipients, and oxpost goes on trying")
        }
        (false, false) => format!("queued as {id}: it is on the disk, and the provider is asked next"),
    };
    let state = if relayed { "relayed" } else { "queued" }.to_owned();
    HandedIn { success: true, status_text, errors: Vec::new(), id, state, recipients, not_carried }
}

/// As which client the caller hands mail in: a key as its own, an administrator as the one that is named.
fn client(
    control: &Control,
    caller: Option<&Caller>,
    wanted: Option<&str>,
) -> Result<(Arc<Client>, Programs), Refusal> {
    let Some(programs) = control.programs.clone() else {
        return Err(refused(StatusCode::SERVICE_UNAVAILABLE, "no gateway runs that could take mail", "gateway"));
    };
    let setup = control.setup.load();
    let own = match caller {
        Some(Caller::Key { name, .. }) => {
            let key = setup.page.keys.iter().find(|key| key.name == *name);
            let Some(client) = key.and_then(|key| key.client.clone()) else {
                let detail = format!("the API key `{name}` belongs to no client; add `client` to its `[[api_key]]`");
                return Err(refused(StatusCode::CONFLICT, &detail, "client"));
            };
            Some(client)
        }
        Some(Caller::Owner | Caller::Session) | None => None,
    };
    if let Some((own, other)) = own.as_deref().zip(wanted).filter(|(own, other)| own != other) {
        let detail = format!("this key hands in the mail of the client `{own}`, and not that of `{other}`");
        return Err(refused(StatusCode::FORBIDDEN, &detail, "client"));
    }
    let clients = programs.clients();
    let name = own.as_deref().or(wanted).or_else(|| match &clients[..] {
        [only] => Some(&only.name),
        _ => None,
    });
    let Some(name) = name else {
        let detail = "nothing says as which client this mail is handed in; add `?client=NAME`";
        return Err(refused(StatusCode::BAD_REQUEST, detail, "client"));
    };
    let found = clients.iter().find(|client| client.name == name).cloned();
    let missing = || refused(StatusCode::NOT_FOUND, &format!("there is no client `{name}`"), "client");
    Ok((found.ok_or_else(missing)?, programs))
}

/// The form, as 4D's `mailType` or else the media type says.
fn what(headers: &HeaderMap, mail_type: Option<&str>) -> Result<What, Refusal> {
    if let Some(name) = mail_type {
        let forms =
            [("mime", What::Mime), ("microsoft", What::Json(Form::Microsoft)), ("jmap", What::Json(Form::Jmap))];
        let found = forms.into_iter().find(|(word, _)| word.eq_ignore_ascii_case(name)).map(|(_, what)| what);
        let detail = format!("`mailType` is `{name}`, and there are `MIME`, `Microsoft` and `JMAP`");
        return found.ok_or_else(|| refused(StatusCode::BAD_REQUEST, &detail, "mailType"));
    }
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "message/rfc822" | "message/global" => Ok(What::Mime),
        "application/json" => Ok(What::Json(Form::Microsoft)),
        other => {
            let detail = format!(
                "the media type is `{other}`; send `message/rfc822` or `application/json`, or name a `mailType`"
            );
            Err(refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, &detail, "Content-Type"))
        }
    }
}

/// The mailbox that `userId` names: an address itself, or that of a user in the directory.
async fn mailbox(control: &Control, caller: Option<&Caller>, user: &str) -> Result<Address, Refusal> {
    if let Ok(address) = user.trim().parse() {
        return Ok(address);
    }
    if !caller.is_some_and(|caller| caller.may(Scope::People)) {
        let detail = format!("`{user}` is no address, and this key lacks the scope `people` to look its owner up");
        return Err(refused(StatusCode::FORBIDDEN, &detail, "userId"));
    }
    let select = ["userPrincipalName", "mail"].map(str::to_owned);
    let found = control.directory.get(user.trim(), &select).await.map_err(|error| {
        if !matches!(error, DirectoryError::NotConfigured) {
            return Refusal(Box::new(PeopleProblem::from(error)));
        }
        let detail = format!("`{user}` is no address, and there is no `[directory]` to look its owner up in");
        refused(StatusCode::UNPROCESSABLE_ENTITY, &detail, "userId")
    })?;
    let text = |name: &str| found.text(name).parse::<Address>().ok();
    let none = || refused(StatusCode::UNPROCESSABLE_ENTITY, &format!("the user `{user}` has no mailbox"), "userId");
    text("userPrincipalName").or_else(|| text("mail")).ok_or_else(none)
}

/// A problem in the words of 4D's status object. `code` names what is wrong.
fn refused(status: StatusCode, detail: &str, code: &str) -> Refusal {
    let errors = vec![Wrong { errcode: code.to_owned(), message: detail.to_owned() }];
    let problem = Problem::new(status, detail, None);
    Refusal(Box::new(PeopleProblem { problem, success: false, status_text: detail.to_owned(), errors }))
}

fn not_taken(error: NotTaken, client: &str) -> Refusal {
    match error {
        NotTaken::Fault(fault) => refused(StatusCode::BAD_REQUEST, &fault.to_string(), &fault.path),
        NotTaken::TooMuchJson(most) => {
            let detail = format!(
                "a message in JSON has at most {most} octets; hand a larger one in as MIME, with `Content-Type: message/rfc822`"
            );
            refused(StatusCode::PAYLOAD_TOO_LARGE, &detail, "size")
        }
        NotTaken::Broken(why) => refused(StatusCode::BAD_REQUEST, &format!("the request broke off: {why}"), "request"),
        NotTaken::Refused(reply) => by_reply(&reply),
        NotTaken::ByProvider(failure, account) => {
            let mut told = by_reply(&Reply::from(&failure));
            told.0.status_text = failure.to_string();
            told.0.problem.detail = failure.to_string();
            told.0.problem.hint = Some(failure.reason.hint(&account));
            tracing::info!(client, %failure, "a message of a program was refused by the provider");
            told
        }
    }
}

/// What an SMTP client would hear, with the HTTP status that fits.
fn by_reply(reply: &Reply) -> Refusal {
    let status = match reply.code() {
        // Recipients of two accounts, or too many: the same request never succeeds.
        452 if reply.status() == Some(EnhancedStatusCode::new(4, 5, 3)) => StatusCode::UNPROCESSABLE_ENTITY,
        452 => StatusCode::INSUFFICIENT_STORAGE,
        400..=499 => StatusCode::SERVICE_UNAVAILABLE,
        552 => StatusCode::PAYLOAD_TOO_LARGE,
        550 => StatusCode::FORBIDDEN,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let code = match reply.status() {
        Some(enhanced) => format!("{} {enhanced}", reply.code()),
        None => reply.code().to_string(),
    };
    refused(status, &reply.text().replace('\n', " "), &code)
}

/// Why mail is not taken.
struct Refusal(Box<PeopleProblem>);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}
