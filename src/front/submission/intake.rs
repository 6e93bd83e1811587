//! Receiving a message's content: into the queue's spool in bounded memory, checked on the way.

use super::replies;
use crate::mail::header::{Inspection, MAX_HEADER, inspect};
use crate::mail::parts::sealed_header;
use crate::queue::{BodyWriter, QueueError, SpooledBody};
use crate::smtp::Reply;

/// More Received lines than this are a loop (RFC 5321 section 6.3).
const MAX_RECEIVED: usize = 50;

/// Content that is being received.
pub(super) struct Intake {
    writer: BodyWriter,
    /// The first part of the content, until its header block is complete.
    head: Vec<u8>,
    head_is_complete: bool,
    size: u64,
    limits: SizeLimits,
}

/// What the ways out of an account have room for, in octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SizeLimits {
    /// The largest message.
    pub(super) any: u64,
    /// The largest one that is signed or encrypted as a whole and so is never taken apart.
    pub(super) sealed: u64,
}

/// Content that was received whole.
pub(super) struct Received {
    /// Where it lies.
    pub(super) body: SpooledBody,
    /// What its header block holds.
    pub(super) found: Inspection,
}

impl Intake {
    /// Starts receiving within `limits`.
    pub(super) fn new(writer: BodyWriter, limits: SizeLimits) -> Self {
        Self { writer, head: Vec::new(), head_is_complete: false, size: 0, limits }
    }

    /// Takes the next octets. A refusal is final: the caller reads the rest and drops it.
    pub(super) async fn push(&mut self, octets: &[u8]) -> Result<(), Reply> {
        self.size += octets.len() as u64;
        if self.size > self.limits.any {
            return Err(replies::too_large(self.limits.any));
        }
        self.keep_head(octets)?;
        self.writer.write(octets).await.map_err(|error| storing_failed(&error))
    }

    /// The first part: holds the whole header block once all is received.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// The same within other limits, once it is known which.
    pub(super) fn within(self, limits: SizeLimits) -> Result<Self, Reply> {
        if self.size > limits.any { Err(replies::too_large(limits.any)) } else { Ok(Self { limits, ..self }) }
    }

    fn keep_head(&mut self, octets: &[u8]) -> Result<(), Reply> {
        if self.head_is_complete {
            return Ok(());
        }
        // The empty line may straddle two pieces.
        let from = self.head.len().saturating_sub(3);
        let room = (MAX_HEADER + 4).saturating_sub(self.head.len());
        self.head.extend_from_slice(&octets[..octets.len().min(room)]);
        let begins_empty = self.head.starts_with(b"\r\n");
        self.head_is_complete = begins_empty || memchr::memmem::find(&self.head[from..], b"\r\n\r\n").is_some();
        if !self.head_is_complete && self.head.len() > MAX_HEADER {
            return Err(replies::HEADER_TOO_LARGE);
        }
        Ok(())
    }

    /// Checks the header and makes the content ready to be accepted.
    pub(super) async fn finish(self) -> Result<Received, Reply> {
        let found = inspect(&self.head);
        if found.received > MAX_RECEIVED {
            return Err(replies::LOOP);
        }
        if self.size > self.limits.sealed
            && let Some(sealed) = sealed_header(&self.head)
        {
            return Err(replies::sealed_too_large(&sealed, self.limits.sealed));
        }
        let body = self.writer.finish().await.map_err(|error| storing_failed(&error))?;
        Ok(Received { body, found })
    }
}

/// Our own trouble is temporary on the wire, whatever it is.
pub(super) fn storing_failed(error: &QueueError) -> Reply {
    tracing::error!(%error, "cannot store a message");
    replies::from_queue_error(error)
}
