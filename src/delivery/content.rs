//! A leased message as backends read it: our own header lines, then what the client sent, in MIME. What it sent as an
//! object becomes MIME here, and is there as it was for the way out that takes it.

use super::route::ObjectFacts;
use super::{BoxFuture, Chunks, Content, ContentError};
use crate::mail::form::{Form, compose};
use crate::mail::header::{MAX_HEADER, header_octets};
use crate::queue::{BodyReader, ContentKind, Lease, Queue, QueueError};

/// The content of a lease. Its first part, which holds the header, is in memory.
pub(super) struct LeaseContent<'a> {
    queue: &'a Queue,
    lease: &'a Lease,
    head: Vec<u8>,
    size: u64,
    object: Option<Object>,
}

/// A message that was handed in as an object.
struct Object {
    octets: Vec<u8>,
    /// What MIME cannot carry of it.
    not_in_mime: Vec<String>,
}

impl<'a> LeaseContent<'a> {
    /// Reads the first part.
    pub(super) async fn open(queue: &'a Queue, lease: &'a Lease) -> Result<Self, ContentError> {
        let mut reader = queue.body(lease).await.map_err(unreadable)?;
        if lease.kind == ContentKind::Microsoft {
            let octets = reader.whole().await.map_err(unreadable)?;
            return Self::of_object(queue, lease, octets);
        }
        let size = lease.prefix.len() as u64 + reader.size();
        let mut head = lease.prefix.clone();
        while head.len() < lease.prefix.len() + MAX_HEADER {
            let Some(chunk) = reader.chunk().await.map_err(unreadable)? else { break };
            head.extend_from_slice(&chunk);
            if header_octets(&head).is_some() {
                break;
            }
        }
        Ok(Self { queue, lease, head, size, object: None })
    }

    /// The whole message is kept nowhere: whoever reads it has it made anew, and most send the object itself.
    fn of_object(queue: &'a Queue, lease: &'a Lease, octets: Vec<u8>) -> Result<Self, ContentError> {
        let (mut head, lost) = in_mime(lease, &octets)?;
        let size = head.len() as u64;
        head.truncate(header_octets(&head).unwrap_or(head.len()));
        Ok(Self { queue, lease, head, size, object: Some(Object { octets, not_in_mime: lost }) })
    }

    /// What the choice of a way has to know of the object that it was handed in as.
    pub(super) fn object_facts(&self) -> Option<ObjectFacts> {
        let object = self.object.as_ref()?;
        Some(ObjectFacts { octets: object.octets.len() as u64, not_in_mime: object.not_in_mime.clone() })
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

/// The message in MIME with our own header lines, and what is lost so.
fn in_mime(lease: &Lease, object: &[u8]) -> Result<(Vec<u8>, Vec<String>), ContentError> {
    let composed = compose(Form::Microsoft, object, lease.id, Some(&lease.route.mailbox))
        .map_err(|fault| ContentError::Damaged(fault.to_string()))?;
    let mut octets = lease.prefix.clone();
    octets.extend_from_slice(&composed.mime);
    Ok((octets, composed.not_in_mime.into_iter().map(|lost| lost.property).collect()))
}

impl Content for LeaseContent<'_> {
    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Chunks>, ContentError>> {
        Box::pin(async {
            if let Some(object) = &self.object {
                let (octets, _) = in_mime(self.lease, &object.octets)?;
                return Ok(Box::new(Pieces { first: Some(octets), reader: None }) as Box<dyn Chunks>);
            }
            let whole = self.head.len() as u64 == self.size;
            let reader = if whole { None } else { Some(self.queue.body(self.lease).await.map_err(unreadable)?) };
            let first = Some(if whole { self.head.clone() } else { self.lease.prefix.clone() });
            Ok(Box::new(Pieces { first: first.filter(|octets| !octets.is_empty()), reader }) as Box<dyn Chunks>)
        })
    }

    fn object(&self) -> Option<&[u8]> {
        self.object.as_ref().map(|object| &object.octets[..])
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
