//! The closed list of things that happen to mail and accounts. Log, metrics and history are fed from it alone.

use std::net::IpAddr;

use super::dsn::BounceAction;
use super::failure::BackendKind;
use super::{EnhancedStatusCode, Failure, QueueId};
use crate::clock::Timestamp;

/// One thing that happened. The fields are named after what they hold.
#[expect(missing_docs, reason = "the fields are named after what they hold")]
#[derive(Clone, Debug)]
pub enum Event {
    /// A message was accepted with 250; it is durable.
    Accepted {
        id: QueueId,
        client: String,
        peer: Option<IpAddr>,
        account: String,
        mailbox: String,
        reverse_path: String,
        recipients: usize,
        octets: u64,
        message_id: Option<String>,
    },
    /// A listener refused a command of a client with a permanent or temporary reply.
    Refused { client: String, peer: Option<IpAddr>, reply: String, why: String },
    /// A local login failed.
    LoginRefused { peer: Option<IpAddr>, login: String, why: String },
    /// The provider took a message for `recipients` recipients: handed over, not yet delivered.
    Relayed {
        id: QueueId,
        account: String,
        backend: BackendKind,
        attempt: u32,
        recipients: usize,
        diagnostic: String,
        millis: u64,
    },
    /// Recipients wait for another attempt.
    Deferred {
        id: QueueId,
        account: String,
        backend: Option<BackendKind>,
        attempt: u32,
        recipients: usize,
        failure: Failure,
        next: Timestamp,
    },
    /// Recipients failed for good.
    Failed {
        id: QueueId,
        account: String,
        backend: Option<BackendKind>,
        attempt: u32,
        recipients: usize,
        failure: Failure,
    },
    /// Mail of a mailbox waits until its account is mended. `fresh`: it was not held before this.
    Held { id: QueueId, account: String, mailbox: String, failure: Failure, probe: Option<Timestamp>, fresh: bool },
    /// Somebody put a mailbox on hold.
    HeldByHand { account: String, mailbox: String, why: String },
    /// A mailbox is held for an hour, a day, and each day from then on.
    StillHeld { account: String, mailbox: String, failure: Failure, since: Timestamp, waiting: u64 },
    /// The hold of a mailbox ended.
    Released { account: String, mailbox: String, why: String },
    /// The provider refuses a way out to a mailbox, whatever the message; it is passed over until `until`.
    WayRefused { account: String, mailbox: String, backend: BackendKind, failure: Failure, until: Timestamp },
    /// A report about a failure was queued.
    Reported { id: QueueId, about: QueueId, to: String },
    /// A failure that nobody can be told of by mail.
    Unreported { about: QueueId, why: String },
    /// A report in the mailbox says that a message did not reach a recipient, though the provider took it.
    Bounced {
        id: QueueId,
        account: String,
        recipient: String,
        action: BounceAction,
        status: Option<EnhancedStatusCode>,
        words: String,
    },
    /// A reading client is logged in; from here on its session is only carried.
    SessionOpened {
        session: String,
        protocol: &'static str,
        client: String,
        account: String,
        mailbox: String,
        peer: IpAddr,
    },
    /// It has ended.
    SessionClosed {
        session: String,
        protocol: &'static str,
        client: String,
        account: String,
        mailbox: String,
        why: String,
        up: u64,
        down: u64,
        millis: u64,
    },
    /// A reading client with the right password could not be let in, for a reason that is not its own.
    SessionRefused {
        session: String,
        protocol: &'static str,
        client: String,
        account: String,
        mailbox: String,
        peer: IpAddr,
        failure: Failure,
        hint: String,
    },
    /// A new access token was issued.
    TokenRenewed { account: String, resource: String, expires: Timestamp },
    /// No access token could be had; oxpost tries again.
    TokenDeferred { account: String, why: String },
    /// A renewed refresh token could not be written; it is used from memory and the write is tried again.
    TokenUnsaved { account: String, why: String },
    /// An account needs somebody to sign in or to mend its settings.
    SignInNeeded { account: String, why: String, hint: String },
    /// Something about an account will go wrong unless somebody does something.
    AccountWarning { account: String, what: String, hint: String, due: Option<Timestamp> },
    /// Somebody signed an account in.
    SignedIn { account: String, name: Option<String> },
}

/// Where events go: the log now, metrics and history with it.
pub trait Observer: Send + Sync {
    /// Takes note. Must not block.
    fn observe(&self, event: &Event);
}
