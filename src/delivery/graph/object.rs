//! `sendMail` with Microsoft's mail object in JSON, for messages that were handed in as one.

use url::Url;

use super::{MAX_REQUEST, classify};
use crate::delivery::by_header::Letter;
use crate::delivery::web::{Caller, below};
use crate::delivery::{AsObject, Asked, ObjectForGraph};
use crate::mail::{Failure, Receipt, Sender};

/// A message that is sent as the object it was handed in as.
pub(super) struct Sending<'a> {
    pub(super) caller: Caller<'a>,
    /// `{base}/me` or `{base}/users/{mailbox}`.
    pub(super) root: &'a Url,
    pub(super) object: &'a dyn AsObject,
    pub(super) asked: Asked<'a>,
}

impl<'a> Sending<'a> {
    /// To the recipients of the letter; `None` if it was not handed in as an object.
    pub(super) fn new(
        caller: Caller<'a>,
        root: &'a Url,
        letter: &Letter<'a>,
        message_id: Option<&'a str>,
    ) -> Option<Self> {
        let object = letter.delivery.content.object()?;
        let sender = Sender { policy: letter.delivery.sender, mailbox: letter.delivery.mailbox };
        Some(Self { caller, root, object, asked: Asked { envelope: letter.part, sender, message_id } })
    }

    /// Sends it, if Graph takes it as it is, and once more with a fresh token if the first is refused. What history
    /// should say goes to `notes`.
    pub(super) async fn send(&self, notes: &mut Vec<String>) -> Result<Option<Receipt>, Failure> {
        let url = below(self.root, &["sendMail"])?;
        let mut refused_before = false;
        loop {
            let why = match self.object.for_graph(self.asked).await? {
                ObjectForGraph::Request { size, chunks, notes: told } if size <= MAX_REQUEST => {
                    let new: Vec<_> = told.into_iter().filter(|note| !notes.contains(note)).collect();
                    notes.extend(new);
                    let response = self.caller.stream(url.clone(), "application/json", size, chunks).await?;
                    if response.status == 401 && !refused_before {
                        refused_before = true;
                        continue;
                    }
                    let octets = usize::try_from(size).unwrap_or(usize::MAX);
                    let receipt = classify::receipt(&response);
                    return receipt.map(Some).ok_or_else(|| classify::classify(&response, octets));
                }
                ObjectForGraph::Request { size, .. } => {
                    format!("the object has {size} octets, Graph takes {MAX_REQUEST}")
                }
                ObjectForGraph::AsMime(why) => why,
            };
            notes.push(format!("sent as MIME: {why}"));
            return Ok(None);
        }
    }
}
