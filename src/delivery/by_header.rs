//! Ways without an envelope: they mail to whom the header names, so each message leaves with a header that names exactly
//! its recipients (docs/decisions/0005-header-recipients.md). What all of them have in common.

use super::reading::Reading;
use super::{Backend, BoxFuture, ContentError, Delivery};
use crate::mail::outgoing::{Outgoing, for_headers};
use crate::mail::{Attempt, Envelope, Failure, Outcome, Reason, Receipt, Recipient, Sender};

/// One message as it leaves: to all recipients of `part`, and to nobody else.
#[derive(Clone, Copy)]
pub(super) struct Letter<'a> {
    pub(super) delivery: Delivery<'a>,
    /// Some of the delivery's recipients, or all of them.
    pub(super) part: &'a Envelope,
    /// The header that names them.
    pub(super) outgoing: &'a Outgoing,
}

impl Letter<'_> {
    /// Octets of the message as it leaves.
    pub(super) fn octets(&self) -> u64 {
        self.outgoing.header.len() as u64 + self.delivery.size.saturating_sub(self.outgoing.body_offset as u64)
    }

    /// Refuses what is larger than `limit`.
    pub(super) fn check_size(&self, limit: u64, provider: &str) -> Result<(), Failure> {
        let octets = self.octets();
        if octets <= limit {
            return Ok(());
        }
        let words = format!("it has {octets} octets with its header, and {provider} takes {limit}");
        Err(Failure::new(Reason::MessageTooLarge, words))
    }
}

/// A way without an envelope.
pub(super) trait ByHeader: Backend {
    /// Recipients in one message.
    fn max_recipients(&self) -> usize;

    /// Hands one message over. What history should say besides goes to `notes`.
    fn send<'a>(&'a self, letter: Letter<'a>, notes: &'a mut Vec<String>) -> BoxFuture<'a, Result<Receipt, Failure>>;
}

/// Hands a delivery over, in several messages if it has too many recipients for one.
pub(super) async fn attempt(way: &impl ByHeader, delivery: Delivery<'_>) -> Attempt {
    let parts = split(delivery.envelope, way.max_recipients());
    let mut attempt = Attempt { backend: Some(way.kind()), outcomes: Vec::new(), notes: Vec::new() };
    if parts.len() > 1 {
        attempt.notes.push(format!("split into {} messages: too many recipients for one", parts.len()));
    }
    // Trouble that is not about a part's own recipients meets the next part as well: that one is not tried.
    let mut stop: Option<Failure> = None;
    for part in parts {
        let recipients = part.recipients().len();
        let outcome = match &stop {
            Some(failure) => Outcome::from(failure.clone()),
            None => match send(way, delivery, &part, &mut attempt.notes).await {
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

async fn send(
    way: &impl ByHeader,
    delivery: Delivery<'_>,
    part: &Envelope,
    notes: &mut Vec<String>,
) -> Result<Receipt, Failure> {
    let sender = Sender { policy: delivery.sender, mailbox: delivery.mailbox };
    let mut outgoing = for_headers(delivery.head, part, &sender);
    for note in std::mem::take(&mut outgoing.notes) {
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    way.send(Letter { delivery, part, outgoing: &outgoing }, notes).await
}

/// The envelope in parts of at most `most` recipients, in its order.
pub(super) fn split(envelope: &Envelope, most: usize) -> Vec<Envelope> {
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

/// The message as it leaves, from some octet on.
pub(super) struct Source<'a> {
    reading: Reading,
    /// What is left of the header.
    header: &'a [u8],
    size: u64,
    rest: Vec<u8>,
}

impl<'a> Source<'a> {
    /// Opens it at octet `at`.
    pub(super) async fn open(letter: &Letter<'a>, at: u64) -> Result<Self, ContentError> {
        let (header, skip) = (&letter.outgoing.header[..], letter.outgoing.body_offset as u64);
        let mut reading = Reading::open(letter.delivery.content, letter.delivery.size).await?;
        let in_header = usize::try_from(at).unwrap_or(usize::MAX).min(header.len());
        reading.skip_to(skip + at.saturating_sub(header.len() as u64)).await?;
        Ok(Self { reading, header: &header[in_header..], size: letter.delivery.size, rest: Vec::new() })
    }

    /// So many octets, or what is left.
    pub(super) async fn take(&mut self, octets: u64) -> Result<Vec<u8>, ContentError> {
        let octets = usize::try_from(octets).unwrap_or(usize::MAX);
        let of_header = self.header.len().min(octets);
        let (first, header) = self.header.split_at(of_header);
        let mut taken = first.to_vec();
        self.header = header;
        taken.append(&mut self.rest);
        while taken.len() < octets {
            match self.reading.until(self.size).await? {
                Some(piece) => taken.extend_from_slice(&piece),
                None => {
                    self.reading.end().await?;
                    break;
                }
            }
        }
        self.rest = taken.split_off(taken.len().min(octets));
        Ok(taken)
    }
}
