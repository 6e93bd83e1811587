//! `sendMail` with Microsoft's mail object in JSON, for messages that were handed in as one.

use bytes::Bytes;
use url::Url;

use super::{MAX_REQUEST, classify};
use crate::delivery::by_header::Letter;
use crate::delivery::web::{Caller, below};
use crate::http::Request as HttpRequest;
use crate::mail::form::{ForGraph, for_graph};
use crate::mail::{Failure, Reason, Receipt, Sender};

/// How a message that was handed in as an object leaves.
pub(super) enum Request {
    /// As the object: the request's JSON, and what history should say.
    Object(Bytes, Vec<String>),
    /// As MIME, because of this.
    AsMime(String),
}

/// What Graph is asked to send to the recipients of the letter.
pub(super) fn request(letter: &Letter<'_>, object: &[u8], message_id: Option<&str>) -> Result<Request, Failure> {
    let sender = Sender { policy: letter.delivery.sender, mailbox: letter.delivery.mailbox };
    let made = for_graph(object, letter.part, &sender, message_id);
    let made = made.map_err(|fault| Failure::new(Reason::BodyDamaged, format!("the stored object: {fault}")))?;
    Ok(match made {
        ForGraph::Object { request, notes } if request.len() as u64 <= MAX_REQUEST => {
            Request::Object(request.into(), notes)
        }
        ForGraph::Object { request, .. } => {
            Request::AsMime(format!("sent as MIME: the object has {} octets, Graph takes {MAX_REQUEST}", request.len()))
        }
        ForGraph::AsMime(why) => Request::AsMime(format!("sent as MIME: {why}")),
    })
}

/// Sends it.
pub(super) async fn post(caller: &Caller<'_>, root: &Url, body: Bytes) -> Result<Receipt, Failure> {
    let url = below(root, &["sendMail"])?;
    let make = || HttpRequest::post(url.clone(), "application/json", body.clone());
    let response = caller.call(make).await?;
    classify::receipt(&response).ok_or_else(|| classify::classify(&response, body.len()))
}
