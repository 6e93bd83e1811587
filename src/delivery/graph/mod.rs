//! Microsoft Graph `sendMail` with a MIME message. Graph has no envelope, so each message leaves with a header that
//! names exactly its recipients (docs/decisions/0005-header-recipients.md).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderName;
use url::Url;

use crate::delivery::{Backend, BoxFuture, Delivery, GraphWay, Tokens};
use crate::http::{Http, Request};
use crate::mail::outgoing::for_headers;
use crate::mail::{Address, Attempt, BackendKind, Envelope, Failure, Outcome, Reason, Receipt, Recipient, Sender};
use crate::token::Purpose;

mod classify;
mod encode;
#[cfg(test)]
mod tests;

/// Octets a request to Graph may have: 4 MiB, counted in base64.
const MAX_REQUEST: u64 = 4 * 1024 * 1024;

/// The way out through Microsoft Graph.
pub struct GraphBackend {
    way: GraphWay,
    http: Http,
    tokens: Arc<dyn Tokens>,
    timeout: Duration,
}

impl GraphBackend {
    /// A backend that gives each request `timeout` from its start to the end of its answer. A short one loses answers
    /// to messages that were taken, which then go out twice: minutes are right, as for the end of data in SMTP.
    pub fn new(way: GraphWay, http: Http, tokens: Arc<dyn Tokens>, timeout: Duration) -> Self {
        Self { way, http, tokens, timeout }
    }

    async fn attempt(&self, delivery: Delivery<'_>) -> Attempt {
        let parts = split(delivery.envelope, self.way.max_recipients);
        let mut attempt = Attempt { backend: Some(BackendKind::Graph), outcomes: Vec::new(), notes: Vec::new() };
        if parts.len() > 1 {
            attempt.notes.push(format!("split into {} messages: too many recipients for one", parts.len()));
        }
        // Trouble that is not about a part's own recipients meets the next part as well: that one is not tried.
        let mut stop: Option<Failure> = None;
        for part in parts {
            let recipients = part.recipients().len();
            let outcome = match &stop {
                Some(failure) => Outcome::from(failure.clone()),
                None => match self.send(delivery, &part, &mut attempt.notes).await {
                    Ok(receipt) => Outcome::Relayed(receipt),
                    Err(failure) => {
                        stop = for_the_rest(&failure);
                        Outcome::from(failure)
                    }
                },
            };
            attempt.outcomes.extend(std::iter::repeat_n(outcome, recipients));
        }
        attempt
    }

    /// Sends one message to all recipients of `part`.
    async fn send(&self, delivery: Delivery<'_>, part: &Envelope, notes: &mut Vec<String>) -> Result<Receipt, Failure> {
        let url = endpoint(&self.way, delivery.mailbox)?;
        let sender = Sender { policy: delivery.sender, mailbox: delivery.mailbox };
        let outgoing = for_headers(delivery.head, part, &sender);
        let skip = outgoing.body_offset as u64;
        let octets = outgoing.header.len() as u64 + delivery.size.saturating_sub(skip);
        if octets > self.way.max_octets || encode::encoded_length(octets) > MAX_REQUEST {
            let limit = self.way.max_octets.min(MAX_REQUEST / 4 * 3);
            let words = format!("it has {octets} octets with its header, and Graph takes {limit}");
            return Err(Failure::new(Reason::MessageTooLarge, words));
        }
        let body = Bytes::from(encode::encode(&outgoing.header, delivery.content, skip, delivery.size).await?);
        for note in outgoing.notes {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
        self.post(delivery.account, &url, body).await
    }

    /// Posts, and once more with a fresh token if the first is refused.
    async fn post(&self, account: &str, url: &Url, body: Bytes) -> Result<Receipt, Failure> {
        let mut refused_before = false;
        loop {
            let token = self.tokens.access_token(account, Purpose::Graph).await?;
            // A name for Microsoft's logs, new for each call.
            let call = uuid::Uuid::new_v4().to_string();
            let request = Request::post(url.clone(), "text/plain", body.clone())
                .timeout(self.timeout)
                .header(HeaderName::from_static("client-request-id"), header_value(&call)?)
                .bearer(&token.secret)
                .map_err(|error| classify::classify_transport(&error))?;
            let response = self.http.send(request).await.map_err(|error| classify::classify_transport(&error))?;
            if let Some(receipt) = classify::receipt(&response) {
                return Ok(receipt);
            }
            if response.status == 401 {
                self.tokens.invalidate(account, Purpose::Graph, &token).await;
            }
            if response.status != 401 || refused_before {
                return Err(classify::classify(&response, body.len()));
            }
            refused_before = true;
        }
    }
}

impl Backend for GraphBackend {
    fn kind(&self) -> BackendKind {
        BackendKind::Graph
    }

    fn deliver<'a>(&'a self, delivery: Delivery<'a>) -> BoxFuture<'a, Attempt> {
        Box::pin(self.attempt(delivery))
    }
}

/// `{base}/me/sendMail`, or `{base}/users/{mailbox}/sendMail` with the mailbox as one segment whatever it holds.
fn endpoint(way: &GraphWay, mailbox: &Address) -> Result<Url, Failure> {
    let mut url = way.base.clone();
    let mailbox = mailbox.to_string();
    let path = if way.app_only { vec!["users", &mailbox, "sendMail"] } else { vec!["me", "sendMail"] };
    url.path_segments_mut()
        .map_err(|()| Failure::new(Reason::NoWayOut, format!("`{}` is not the base of a web address", way.base)))?
        .pop_if_empty()
        .extend(path);
    Ok(url)
}

fn header_value(text: &str) -> Result<http::HeaderValue, Failure> {
    http::HeaderValue::from_str(text).map_err(|error| Failure::new(Reason::Unexpected, error.to_string()))
}

/// The envelope in parts of at most `most` recipients, in its order.
fn split(envelope: &Envelope, most: usize) -> Vec<Envelope> {
    let part = |recipients: &[Recipient]| {
        let mut part = Envelope::new(envelope.reverse_path().clone(), recipients.to_vec()).ok()?;
        part.body = envelope.body;
        part.smtputf8 = envelope.smtputf8;
        Some(part)
    };
    envelope.recipients().chunks(most.max(1)).filter_map(part).collect()
}

/// What a failure means for the parts that were not tried yet; `None` if they should be.
fn for_the_rest(failure: &Failure) -> Option<Failure> {
    if failure.reason == Reason::RecipientRefused {
        return None;
    }
    // Only the part whose answer was lost may have been taken.
    let reason = if failure.reason == Reason::AnswerLost { Reason::TimedOut } else { failure.reason };
    Some(Failure { reason, ..failure.clone() })
}
