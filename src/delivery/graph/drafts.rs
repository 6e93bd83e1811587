//! Messages that are too large for one request: a draft is made from the message without its large files, these are
//! attached one by one, and the draft is sent (Microsoft Learn, "Attach large files to Outlook messages"). Needs
//! `Mail.ReadWrite`.
//!
//! The id of the draft is on the disk before anything else happens to it, and it is one that stays the same when the
//! draft moves to Sent Items: the next attempt sees whether an earlier one sent it.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use url::Url;

use super::apart::{self, Rest};
use super::classify;
use super::upload::Uploading;
use crate::delivery::Delivery;
use crate::delivery::web::{Caller, below};
use crate::http::{Request, Response};
use crate::mail::outgoing::Outgoing;
use crate::mail::{Failure, Reason, Receipt};

/// Octets of an answer that shows a draft: its text stands in it, and Graph escapes much.
const DRAFT_ANSWER: usize = 24 * 1024 * 1024;
/// What the notebook says before the draft's id is known.
const BEGUN: &str = "begun";

/// Sends one message by way of a draft.
pub(super) struct Drafting<'a> {
    pub(super) caller: Caller<'a>,
    /// `{base}/me` or `{base}/users/{mailbox}`.
    pub(super) root: &'a Url,
    pub(super) delivery: Delivery<'a>,
    pub(super) outgoing: &'a Outgoing,
    /// Octets the draft's own request may have before base64.
    pub(super) limit: u64,
    /// Where the notebook has this draft: different for each set of recipients.
    pub(super) key: String,
    /// `Message-ID` of the message, if it has one.
    pub(super) message_id: Option<&'a str>,
}

/// A message as Graph shows it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    id: Option<String>,
    is_draft: Option<bool>,
}

#[derive(Deserialize)]
struct Found {
    value: Vec<Shown>,
}

impl Drafting<'_> {
    /// Sends it, unless an earlier attempt did.
    pub(super) async fn send(&self, notes: &mut Vec<String>) -> Result<Receipt, Failure> {
        if let Some(receipt) = self.earlier().await? {
            return Ok(receipt);
        }
        let rest = apart::take_apart(&self.delivery, self.outgoing, self.limit).await?;
        notes.push(format!(
            "sent as a draft with {} of its files attached one by one: {} octets are too many for one request of Graph",
            rest.files.len(),
            self.delivery.size
        ));
        self.note(Some(BEGUN.to_owned())).await?;
        let id = match self.create(&rest).await {
            Ok(id) => id,
            Err(failure) => return Err(self.clear_away_unknown(failure).await),
        };
        if let Err(failure) = self.note(Some(id.clone())).await {
            self.remove(&id).await.ok();
            return Err(failure);
        }
        match self.fill_and_send(&id, &rest).await {
            Ok(receipt) => Ok(receipt),
            // The draft may have been sent; the next attempt looks.
            Err(failure) if failure.reason == Reason::AnswerLost => Err(failure),
            Err(failure) => {
                self.discard(&id).await;
                Err(failure)
            }
        }
    }

    /// What an earlier attempt left: its receipt if it sent the message. A draft that it did not send is removed.
    pub(super) async fn earlier(&self) -> Result<Option<Receipt>, Failure> {
        let id = match self.delivery.notebook.read(&self.key).await? {
            None => return Ok(None),
            Some(note) if note == BEGUN => {
                self.remove_unknown().await?;
                return Ok(None);
            }
            Some(id) => id,
        };
        let url = self.message(&id, &[])?;
        let response = self.caller.call(|| lasting(Request::get(selecting(&url, "id,isDraft")))).await?;
        match (response.status, shown::<Shown>(&response).and_then(|shown| shown.is_draft)) {
            (200, Some(false)) => Ok(Some(Receipt {
                diagnostic: "found in Sent Items: an earlier attempt handed it over and its answer was lost".to_owned(),
                knows_wishes: false,
            })),
            (200, Some(true)) => {
                self.remove(&id).await?;
                self.note(None).await?;
                Ok(None)
            }
            (404, _) => Ok(None),
            _ => Err(before_sending(classify::classify(&response, 0))),
        }
    }

    async fn create(&self, rest: &Rest) -> Result<String, Failure> {
        let url = below(self.root, &["messages"])?;
        let body = rest.body.clone();
        let make = || {
            let request = Request::post(url.clone(), "text/plain", body.clone()).answer_limit(DRAFT_ANSWER);
            lasting(request)
        };
        let response = self.caller.call(make).await.map_err(before_sending)?;
        if response.status != 201 {
            return Err(permission(before_sending(classify::classify(&response, body.len()))));
        }
        shown::<Shown>(&response)
            .and_then(|shown| shown.id)
            .ok_or_else(|| Failure::new(Reason::Unexpected, "Graph made a draft and did not say its id"))
    }

    async fn fill_and_send(&self, id: &str, rest: &Rest) -> Result<Receipt, Failure> {
        let uploading = Uploading { caller: self.caller, draft: self.message(id, &[])?, delivery: self.delivery };
        uploading.attach(&rest.files).await.map_err(before_sending)?;
        let url = self.message(id, &["send"])?;
        let response = self.caller.call(|| lasting(Request::post(url.clone(), "text/plain", Bytes::new()))).await?;
        classify::receipt(&response).ok_or_else(|| classify::classify(&response, 0))
    }

    /// Removes a draft that is of no more use. If that fails, the note of it stays for the next attempt.
    async fn discard(&self, id: &str) {
        let removed = async {
            self.remove(id).await?;
            self.note(None).await
        };
        if let Err(failure) = removed.await {
            tracing::warn!(id = %self.delivery.id, %failure, "a draft at the provider could not be removed; the next attempt does it");
        }
    }

    async fn remove(&self, id: &str) -> Result<(), Failure> {
        let url = self.message(id, &[])?;
        let response = self.caller.call(|| lasting(Request::delete(url.clone()))).await.map_err(before_sending)?;
        match response.status {
            204 | 404 => Ok(()),
            _ => Err(before_sending(classify::classify(&response, 0))),
        }
    }

    /// A draft may have been made though its id never came: it is looked for and removed.
    async fn clear_away_unknown(&self, failure: Failure) -> Failure {
        let cleared = async {
            if failure.reason == Reason::TimedOut {
                self.remove_unknown().await?;
            }
            self.note(None).await
        };
        if let Err(failure) = cleared.await {
            tracing::warn!(id = %self.delivery.id, %failure, "a draft may be left at the provider; the next attempt looks for it");
        }
        failure
    }

    /// Removes drafts with the message's `Message-ID`: nobody but an earlier attempt makes one with it.
    async fn remove_unknown(&self) -> Result<(), Failure> {
        let Some(message_id) = self.message_id else { return Ok(()) };
        let filter = format!("internetMessageId eq '{}' and isDraft eq true", message_id.replace('\'', "''"));
        for id in find(&self.caller, self.root, &filter).await? {
            self.remove(&id).await?;
        }
        Ok(())
    }

    async fn note(&self, text: Option<String>) -> Result<(), Failure> {
        self.delivery.notebook.write(&self.key, text).await
    }

    fn message(&self, id: &str, below_it: &[&str]) -> Result<Url, Failure> {
        let segments: Vec<&str> = ["messages", id].into_iter().chain(below_it.iter().copied()).collect();
        below(self.root, &segments)
    }
}

/// The ids of the messages for which `filter` holds.
pub(super) async fn find(caller: &Caller<'_>, root: &Url, filter: &str) -> Result<Vec<String>, Failure> {
    let mut url = selecting(&below(root, &["messages"])?, "id,isDraft");
    url.query_pairs_mut().append_pair("$filter", filter);
    let response = caller.call(|| lasting(Request::get(url.clone()))).await.map_err(before_sending)?;
    let found = if response.status == 200 { shown::<Found>(&response) } else { None };
    let found = found.ok_or_else(|| before_sending(classify::classify(&response, 0)))?;
    Ok(found.value.into_iter().filter_map(|shown| shown.id).collect())
}

/// Ids that stay the same when a message moves ("Obtain immutable identifiers for Outlook resources").
fn lasting(request: Request) -> Request {
    request.header(HeaderName::from_static("prefer"), HeaderValue::from_static("IdType=\"ImmutableId\""))
}

fn selecting(url: &Url, properties: &str) -> Url {
    let mut url = url.clone();
    url.query_pairs_mut().append_pair("$select", properties);
    url
}

fn shown<T: for<'a> Deserialize<'a>>(response: &Response) -> Option<T> {
    serde_json::from_slice(response.whole_body().ok()?).ok()
}

/// Until the draft is sent nobody can have received the message, whatever happened to an answer.
fn before_sending(failure: Failure) -> Failure {
    let reason = if failure.reason == Reason::AnswerLost { Reason::TimedOut } else { failure.reason };
    Failure { reason, ..failure }
}

fn permission(failure: Failure) -> Failure {
    if failure.reason != Reason::PermissionMissing {
        return failure;
    }
    Failure { diagnostic: format!("{}; drafts need the permission Mail.ReadWrite", failure.diagnostic), ..failure }
}
