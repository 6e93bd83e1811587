//! The notebook of a lease, kept by the queue.

use super::{BoxFuture, Notebook};
use crate::clock::Timestamp;
use crate::mail::{Failure, Reason};
use crate::queue::{Lease, Queue, QueueError};

/// Notes of the attempt that a lease is for.
pub(super) struct LeaseNotebook<'a> {
    queue: &'a Queue,
    lease: &'a Lease,
}

impl<'a> LeaseNotebook<'a> {
    pub(super) const fn new(queue: &'a Queue, lease: &'a Lease) -> Self {
        Self { queue, lease }
    }
}

impl Notebook for LeaseNotebook<'_> {
    fn read<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, Failure>> {
        Box::pin(async move { self.queue.note(self.lease, key).await.map_err(unexpected) })
    }

    fn write<'a>(&'a self, key: &'a str, note: Option<String>) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move { self.queue.write_note(self.lease, key, note).await.map_err(unexpected) })
    }

    fn maybe_taken(&self) -> BoxFuture<'_, Result<Option<Timestamp>, Failure>> {
        Box::pin(async move { self.queue.maybe_taken(self.lease).await.map_err(unexpected) })
    }
}

fn unexpected(error: QueueError) -> Failure {
    Failure::new(Reason::Unexpected, format!("a step of the attempt could not be written down: {error}"))
}

/// A notebook of one attempt alone, for the tests of backends.
#[cfg(test)]
pub(super) struct NoNotes;

#[cfg(test)]
impl Notebook for NoNotes {
    fn read<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<String>, Failure>> {
        Box::pin(async { Ok(None) })
    }

    fn write<'a>(&'a self, _: &'a str, _: Option<String>) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async { Ok(()) })
    }

    fn maybe_taken(&self) -> BoxFuture<'_, Result<Option<Timestamp>, Failure>> {
        Box::pin(async { Ok(None) })
    }
}
