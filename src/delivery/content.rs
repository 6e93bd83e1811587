//! A leased message as backends read it: our own header lines, then what the client sent.

use super::{BoxFuture, Chunks, Content, ContentError};
use crate::mail::header::{MAX_HEADER, header_octets};
use crate::queue::{BodyReader, Lease, Queue, QueueError};

/// The content of a lease. Its first part, which holds the header, is in memory.
pub(super) struct LeaseContent<'a> {
    queue: &'a Queue,
    lease: &'a Lease,
    head: Vec<u8>,
    size: u64,
}

impl<'a> LeaseContent<'a> {
    /// Reads the first part.
    pub(super) async fn open(queue: &'a Queue, lease: &'a Lease) -> Result<Self, ContentError> {
        let mut reader = queue.body(lease).await.map_err(unreadable)?;
        let size = lease.prefix.len() as u64 + reader.size();
        let mut head = lease.prefix.clone();
        while head.len() < lease.prefix.len() + MAX_HEADER {
            let Some(chunk) = reader.chunk().await.map_err(unreadable)? else { break };
            head.extend_from_slice(&chunk);
            if header_octets(&head).is_some() {
                break;
            }
        }
        Ok(Self { queue, lease, head, size })
    }

    /// The first part: holds the whole header block.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// The header block alone.
    pub(super) fn header(&self) -> &[u8] {
        &self.head[..header_octets(&self.head).unwrap_or(self.head.len())]
    }

    /// Octets of the whole message.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }
}

impl Content for LeaseContent<'_> {
    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Chunks>, ContentError>> {
        Box::pin(async {
            let whole = self.head.len() as u64 == self.size;
            let reader = if whole { None } else { Some(self.queue.body(self.lease).await.map_err(unreadable)?) };
            let first = Some(if whole { self.head.clone() } else { self.lease.prefix.clone() });
            Ok(Box::new(Pieces { first: first.filter(|octets| !octets.is_empty()), reader }) as Box<dyn Chunks>)
        })
    }
}

struct Pieces {
    first: Option<Vec<u8>>,
    reader: Option<BodyReader>,
}

impl Chunks for Pieces {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<u8>>, ContentError>> {
        Box::pin(async {
            if let Some(first) = self.first.take() {
                return Ok(Some(first));
            }
            match &mut self.reader {
                Some(reader) => reader.chunk().await.map_err(unreadable),
                None => Ok(None),
            }
        })
    }
}

fn unreadable(error: QueueError) -> ContentError {
    if let QueueError::BodyDamaged(what) = error {
        return ContentError::Damaged(what);
    }
    ContentError::Unreadable(error.to_string())
}
