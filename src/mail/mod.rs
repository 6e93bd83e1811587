//! The nouns of mail, as values: addresses, envelopes, what became of a delivery. No I/O.

pub mod address;
pub mod address_list;
pub mod dsn;
mod edits;
pub mod envelope;
pub mod event;
pub mod failure;
pub mod form;
pub mod header;
pub mod id;
mod originator;
pub mod outgoing;
pub mod parts;
mod reconcile;
pub mod sender;
pub mod status;

pub use address::{Address, Domain};
pub use envelope::{BodyType, Envelope, Recipient, ReversePath};
pub use event::{Event, Observer};
pub use failure::{Attempt, BackendKind, Failure, Outcome, Reason, Receipt};
pub use id::QueueId;
pub use sender::{Sender, SenderPolicy};
pub use status::EnhancedStatusCode;
