//! The ways out. A [`Backend`] takes one message, hands it to a provider and says what became of each recipient; it
//! never returns anything else.

use std::future::Future;
use std::pin::Pin;

use crate::clock::Timestamp;
use crate::mail::{Address, Attempt, BackendKind, Envelope, Failure, QueueId, Reason, Sender, SenderPolicy};
use crate::secret::Secret;
use crate::token::Purpose;

mod allowance;
mod budget;
mod by_header;
pub mod carrier;
mod content;
pub mod ews;
pub mod gmail;
pub mod graph;
pub mod inbox;
mod lane;
mod notebook;
mod reading;
mod report;
mod rests;
pub mod route;
mod settings;
pub mod smtp;
mod standing;
mod turns;
mod web;
pub mod worker;

pub use settings::{
    AccountWays, EwsWay, GmailWay, GraphWay, Limits, Settings, SmtpLogin, SmtpTls, SmtpWay, WatchedBy, WatchedInbox,
    Way,
};

/// A future behind a pointer, so that the traits below can be made into objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One message on its way out, as a backend sees it. Everything is borrowed from the worker that holds the lease.
#[derive(Clone, Copy)]
pub struct Delivery<'a> {
    /// The queue id, for log lines.
    pub id: QueueId,
    /// The name of the account whose tokens are used.
    pub account: &'a str,
    /// The upstream address whose rights and limits apply.
    pub mailbox: &'a Address,
    /// Who gets it: the recipients that are still outstanding.
    pub envelope: &'a Envelope,
    /// What the client may say of its sender.
    pub sender: SenderPolicy,
    /// Our own header lines and the first part of the content: it holds the whole header block.
    pub head: &'a [u8],
    /// The whole message; it begins with the octets of `head`.
    pub content: &'a dyn Content,
    /// Octets of the whole message: our own header lines and the content.
    pub size: u64,
    /// What is written down between the steps of an attempt, and what earlier attempts wrote.
    pub notebook: &'a dyn Notebook,
}

/// What backends write down between the steps of an attempt: it is on the disk before they go on, so that the next
/// attempt knows of it whatever became of this one.
pub trait Notebook: Send + Sync {
    /// What was written under `key` for this message.
    fn read<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, Failure>>;

    /// Writes down `note` under `key`, or takes away what is there.
    fn write<'a>(&'a self, key: &'a str, note: Option<String>) -> BoxFuture<'a, Result<(), Failure>>;

    /// When the first attempt began of which nobody knows whether the provider took the message; `None` if there was
    /// none, or if some recipients are relayed already, so that a copy at the provider proves nothing.
    fn maybe_taken(&self) -> BoxFuture<'_, Result<Option<Timestamp>, Failure>>;
}

/// A message that can be read as often as needed, each time from its start.
pub trait Content: Send + Sync {
    /// Starts reading: first our own header lines, then what the client sent.
    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Chunks>, ContentError>>;

    /// The message as the object that it was handed in as, if it was. What [`Content::open`] reads is the same in MIME.
    fn object(&self) -> Option<&dyn AsObject> {
        None
    }
}

/// A message that was handed in as Microsoft's mail object.
pub trait AsObject: Send + Sync {
    /// Starts reading what Graph is asked.
    fn for_graph<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Result<ObjectForGraph, ContentError>>;
}

/// What Graph is to do with an object.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Who gets it.
    pub envelope: &'a Envelope,
    /// What the client may say of its sender.
    pub sender: Sender<'a>,
    /// The `Message-ID` that it has had from us, with its angle brackets.
    pub message_id: Option<&'a str>,
}

/// What becomes of an object that is to leave by Graph.
pub enum ObjectForGraph {
    /// It leaves as this request of `sendMail`.
    Request {
        /// Octets of the request's JSON.
        size: u64,
        /// These octets.
        chunks: Box<dyn Chunks>,
        /// What history should say.
        notes: Vec<String>,
    },
    /// It leaves as MIME, because of this.
    AsMime(String),
}

/// A message that is being read.
pub trait Chunks: Send {
    /// The next octets, in pieces of whatever size suits the place they come from; `None` after the last.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<u8>>, ContentError>>;
}

/// Why a stored message cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ContentError {
    /// It is missing, shorter than it was, or fails its checksum: no wait mends it.
    #[error("the stored message is missing or damaged: {0}")]
    Damaged(String),
    /// It could not be read this time, as when the disk gives an error.
    #[error("the stored message could not be read: {0}")]
    Unreadable(String),
}

impl From<ContentError> for Failure {
    fn from(error: ContentError) -> Self {
        let reason = match error {
            ContentError::Damaged(_) => Reason::BodyDamaged,
            ContentError::Unreadable(_) => Reason::Unexpected,
        };
        Self::new(reason, error.to_string())
    }
}

/// An access token as a backend uses it.
#[derive(Clone, Debug)]
pub struct Token {
    /// What is sent to the provider.
    pub secret: Secret,
    /// When it stops being good.
    pub expires: Timestamp,
    /// Which issue of the token it is: another number is another token. Backends hand it back and do not read it.
    pub generation: u64,
}

/// Where backends get their tokens from.
pub trait Tokens: Send + Sync {
    /// A token that opens the resource of `purpose` for the account, renewed if need be.
    fn access_token<'a>(&'a self, account: &'a str, purpose: Purpose) -> BoxFuture<'a, Result<Token, Failure>>;

    /// Takes note that the provider refused `token`: the next call of [`Tokens::access_token`] gives another.
    fn invalidate<'a>(&'a self, account: &'a str, purpose: Purpose, token: &'a Token) -> BoxFuture<'a, ()>;
}

/// A way out.
pub trait Backend: Send + Sync {
    /// Which one it is.
    fn kind(&self) -> BackendKind;

    /// Hands the message over. The attempt has one outcome for each recipient of the envelope, in its order.
    fn deliver<'a>(&'a self, delivery: Delivery<'a>) -> BoxFuture<'a, Attempt>;

    /// Takes back what earlier attempts left at the provider of a message that nobody goes on with. Most ways leave
    /// nothing.
    fn abandon<'a>(&'a self, _: Delivery<'a>) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}
