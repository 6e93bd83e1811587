//! What goes into the queue and what a delivery worker gets out of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::DigestLine;
use super::spool::{Checksum, Content, ContentKind, Expected, SpooledBody};
use crate::clock::Timestamp;
use crate::mail::{Address, Attempt, Envelope, Failure, Outcome, QueueId, SenderPolicy};

/// The mailbox whose rights and limits apply: what leases, holds and limits are kept by.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct MailboxKey {
    /// The provider's name.
    pub provider: String,
    /// The mailbox, as [`Address::key`] has it.
    pub mailbox: String,
}

/// As which account and mailbox a message leaves, and where reports about it go.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Route {
    /// The account's name.
    pub account: String,
    /// The provider's name.
    pub provider: String,
    /// The mailbox it leaves from.
    pub mailbox: Address,
    /// The name of the client that handed it in.
    pub client: String,
    /// What its mail may say of the sender.
    pub sender: SenderPolicy,
    /// Where a report about this message goes; `None`: to nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reports_to: Option<Address>,
}

impl Route {
    /// The mailbox it counts for.
    pub fn key(&self) -> MailboxKey {
        MailboxKey { provider: self.provider.clone(), mailbox: self.mailbox.key() }
    }
}

/// A message that is to be accepted.
#[derive(Debug)]
pub struct NewMessage {
    /// Its name, fresh: the caller may have written it into its own header lines already.
    pub id: QueueId,
    /// Who it is from and who receives it.
    pub envelope: Envelope,
    /// How it leaves.
    pub route: Route,
    /// Our own header lines, which stand before the content.
    pub prefix: Vec<u8>,
    /// The content.
    pub body: SpooledBody,
    /// Its Message-ID, ours or the client's.
    pub message_id: Option<String>,
    /// The message that this one reports about.
    pub report_about: Option<QueueId>,
    /// Where it came from over the network, for the log.
    pub peer: Option<std::net::IpAddr>,
}

/// How the sender is told of what became of a message.
#[derive(Debug)]
pub enum Report {
    /// By a message about it alone.
    Alone(Box<NewMessage>),
    /// By a line in a message about many.
    InDigest(Box<DigestLine>),
}

impl From<NewMessage> for Report {
    fn from(message: NewMessage) -> Self {
        Self::Alone(Box::new(message))
    }
}

/// The right, and the duty, to make one attempt. At most one exists for a message; it ends with
/// [`Queue::settle`](super::Queue::settle).
#[derive(Clone, Debug)]
pub struct Lease {
    /// The message.
    pub id: QueueId,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// When the attempt was recorded.
    pub started_at: Timestamp,
    /// How it leaves.
    pub route: Route,
    /// The envelope with the recipients that are still outstanding.
    pub envelope: Envelope,
    /// Our own header lines, which stand before the content.
    pub prefix: Vec<u8>,
    /// Octets of the content, without the prefix.
    pub size: u64,
    /// What the content is.
    pub kind: ContentKind,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Its Message-ID.
    pub message_id: Option<String>,
    /// The message that this one reports about.
    pub report_about: Option<QueueId>,
    /// Whether it probes a held mailbox.
    pub probe: bool,
    pub(super) record: Record,
}

/// What the queue itself needs to know of a lease.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) seq: i64,
    pub(super) lane: i64,
    /// Ended holds of the lane when the lease began.
    pub(super) releases: i64,
    pub(super) expiry_from: Timestamp,
    /// Hold time until the lease began.
    pub(super) held: Duration,
    /// The row of each recipient of the envelope.
    pub(super) positions: Vec<i64>,
    pub(super) content: Content,
    /// `None` in rows of before there were any.
    pub(super) checksum: Option<Checksum>,
    /// What is known without an attempt: a failure for each recipient. Empty if an attempt is to be made.
    pub(super) decided: Vec<Failure>,
    /// Whether the lease has an attempt of its own on record.
    pub(super) recorded: bool,
}

impl Lease {
    /// What became of it without any attempt, because it expired or its content is damaged. Such a lease is settled
    /// with this instead of being sent.
    pub fn decided(&self) -> Option<Attempt> {
        let outcomes: Vec<_> = self.record.decided.iter().cloned().map(Outcome::Failed).collect();
        (!outcomes.is_empty()).then(|| Attempt { backend: None, outcomes, notes: Vec::new() })
    }

    /// The mailbox it counts for.
    pub fn key(&self) -> MailboxKey {
        self.route.key()
    }

    /// What its content must be, to be believed after it lay on the disk.
    pub(super) fn expected(&self) -> Option<Expected> {
        self.record.checksum.map(|checksum| Expected { checksum, prefix: self.prefix.clone() })
    }
}

/// The answer to a worker that asks for work.
#[derive(Debug)]
pub enum Next {
    /// Make this attempt.
    Lease(Box<Lease>),
    /// Nothing is due: until this moment, or until the mailbox is woken.
    Wait(Option<Timestamp>),
}
