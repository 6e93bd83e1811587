//! Microsoft Graph: `sendMail` with a MIME message, and drafts for what is too large for it. Graph has no envelope, so
//! each message leaves with a header that names exactly its recipients (docs/decisions/0005-header-recipients.md).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use url::Url;

use crate::delivery::by_header::{self, ByHeader, Letter};
use crate::delivery::web::{Caller, below};
use crate::delivery::{Backend, BoxFuture, Delivery, GraphWay, Tokens};
use crate::http::{Http, Request};
use crate::mail::header::inspect;
use crate::mail::outgoing::{Outgoing, for_headers};
use crate::mail::{Address, Attempt, BackendKind, Envelope, Failure, Reason, Receipt, Sender};
use crate::token::Purpose;
use drafts::Drafting;

mod apart;
mod classify;
mod drafts;
mod encode;
pub(super) mod inbox;
mod object;
#[cfg(test)]
mod tests;
mod upload;

pub(super) use encode::encoded_length;

/// Octets a request to Graph may have: 4 MiB, counted in base64.
pub(super) const MAX_REQUEST: u64 = 4 * 1024 * 1024;
/// How far the provider's clock may be behind ours.
const CLOCKS_APART: Duration = Duration::from_secs(120);

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

    /// Removes the draft for these recipients, if an earlier attempt made one and did not send it.
    async fn clear_away(&self, delivery: Delivery<'_>, part: &Envelope) -> Result<(), Failure> {
        let key = draft_key(part);
        if self.way.drafts.is_none() || delivery.notebook.read(&key).await?.is_none() {
            return Ok(());
        }
        let sender = Sender { policy: delivery.sender, mailbox: delivery.mailbox };
        let outgoing = for_headers(delivery.head, part, &sender);
        let message_id = inspect(&outgoing.header).message_id;
        let (root, caller) = (self.root(delivery.mailbox)?, self.caller(delivery.account));
        let (outgoing, message_id) = (&outgoing, message_id.as_deref());
        Drafting { caller, root: &root, delivery, outgoing, limit: 0, key, message_id }.earlier().await?;
        Ok(())
    }

    fn root(&self, mailbox: &Address) -> Result<Url, Failure> {
        root(&self.way.base, self.way.by_name, mailbox)
    }

    fn caller<'a>(&'a self, account: &'a str) -> Caller<'a> {
        let (http, tokens, timeout) = (&self.http, &*self.tokens, self.timeout);
        Caller { http, tokens, account, purpose: Purpose::Graph, timeout }
    }

    /// Sends one message to all recipients of `part`, in one request if it fits, else by way of a draft.
    async fn hand_over(&self, letter: Letter<'_>, notes: &mut Vec<String>) -> Result<Receipt, Failure> {
        let Letter { delivery, part, outgoing } = letter;
        let root = self.root(delivery.mailbox)?;
        let octets = letter.octets();
        let limit = self.way.max_octets.min(MAX_REQUEST / 4 * 3);
        let caller = self.caller(delivery.account);
        let message_id = inspect(&outgoing.header).message_id;
        let earlier = Earlier { caller, root: &root, delivery, message_id: message_id.as_deref() };
        if self.way.drafts.is_some()
            && part.recipients().len() == delivery.envelope.recipients().len()
            && let Some(receipt) = earlier.sent_copy().await
        {
            return Ok(receipt);
        }
        if let Some(object) = object::Sending::new(caller, &root, &letter, message_id.as_deref())
            && let Some(receipt) = object.send(notes).await?
        {
            return Ok(receipt);
        }
        match self.way.drafts {
            _ if octets <= limit => post(&caller, &root, delivery, outgoing).await,
            Some(most) if octets <= most => {
                let (key, message_id) = (draft_key(part), message_id.as_deref());
                let root = &root;
                Drafting { caller, root, delivery, outgoing, limit, key, message_id }.send(notes).await
            }
            Some(_) | None => {
                let most = self.way.drafts.unwrap_or(limit).max(limit);
                let words = format!("it has {octets} octets with its header, and Graph takes {most}");
                Err(Failure::new(Reason::MessageTooLarge, words))
            }
        }
    }
}

/// Sends a message that fits into one request.
async fn post(
    caller: &Caller<'_>,
    root: &Url,
    delivery: Delivery<'_>,
    outgoing: &Outgoing,
) -> Result<Receipt, Failure> {
    let url = below(root, &["sendMail"])?;
    let skip = outgoing.body_offset as u64;
    let body = Bytes::from(encode::encode(&outgoing.header, delivery.content, skip, delivery.size).await?);
    let response = caller.call(|| Request::post(url.clone(), "text/plain", body.clone())).await?;
    classify::receipt(&response).ok_or_else(|| classify::classify(&response, body.len()))
}

/// A look for what earlier attempts did.
struct Earlier<'a> {
    caller: Caller<'a>,
    root: &'a Url,
    delivery: Delivery<'a>,
    message_id: Option<&'a str>,
}

impl Earlier<'_> {
    /// The receipt of an earlier attempt whose answer was lost, if its copy lies in Sent Items. A look that fails says
    /// nothing: the message is sent then.
    async fn sent_copy(&self) -> Option<Receipt> {
        let since = self.delivery.notebook.maybe_taken().await.ok()??;
        let message_id = self.message_id?.replace('\'', "''");
        let filter = format!(
            "internetMessageId eq '{message_id}' and sentDateTime ge {} and isDraft eq false",
            since.minus(CLOCKS_APART)
        );
        match drafts::find(&self.caller, self.root, &filter).await {
            Ok(found) if found.is_empty() => None,
            Ok(_) => Some(Receipt {
                diagnostic:
                    "found in Sent Items by its Message-ID: an earlier attempt handed it over and its answer was lost"
                        .to_owned(),
                knows_wishes: false,
            }),
            Err(failure) => {
                tracing::info!(id = %self.delivery.id, %failure, "could not look for an earlier copy in Sent Items");
                None
            }
        }
    }
}

impl ByHeader for GraphBackend {
    fn max_recipients(&self) -> usize {
        self.way.max_recipients
    }

    fn send<'a>(&'a self, letter: Letter<'a>, notes: &'a mut Vec<String>) -> BoxFuture<'a, Result<Receipt, Failure>> {
        Box::pin(self.hand_over(letter, notes))
    }
}

impl Backend for GraphBackend {
    fn kind(&self) -> BackendKind {
        BackendKind::Graph
    }

    fn deliver<'a>(&'a self, delivery: Delivery<'a>) -> BoxFuture<'a, Attempt> {
        Box::pin(by_header::attempt(self, delivery))
    }

    fn abandon<'a>(&'a self, delivery: Delivery<'a>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            for part in by_header::split(delivery.envelope, self.way.max_recipients) {
                if let Err(failure) = self.clear_away(delivery, &part).await {
                    tracing::warn!(id = %delivery.id, %failure, "a draft may be left in Drafts at the provider; remove it there");
                }
            }
        })
    }
}

/// `{base}/me`, or `{base}/users/{mailbox}` with the mailbox as one segment whatever it holds.
///
/// # Errors
/// `base` is not the base of a web address.
pub fn root(base: &Url, by_name: bool, mailbox: &Address) -> Result<Url, Failure> {
    if by_name { below(base, &["users", &mailbox.to_string()]) } else { below(base, &["me"]) }
}

/// Where the notebook has the draft for these recipients.
fn draft_key(part: &Envelope) -> String {
    let mut keys: Vec<String> = part.recipients().iter().map(|to| to.address.key()).collect();
    keys.sort();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, keys.join("\n").as_bytes());
    let hex: String = digest.as_ref().iter().take(16).map(|octet| format!("{octet:02x}")).collect();
    format!("graph-draft-{hex}")
}
