//! A leased message as backends read it: our own header lines, then what the client sent, in MIME. What it sent as an
//! object becomes MIME here, and is there as it was for the way out that takes it.

use super::route::ObjectFacts;
use super::{AsObject, Asked, BoxFuture, Chunks, Content, ContentError, ObjectForGraph};
use crate::mail::form::{Assembly, Composed, Fault, ForGraph, Form, compose, for_graph};
use crate::mail::header::{MAX_HEADER, header_octets, header_of};
use crate::queue::{Alone, BodyReader, ContentKind, Lease, Outlined, Queue, QueueError};

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
    /// Octets of it.
    size: u64,
    /// What MIME cannot carry of it.
    not_in_mime: Vec<String>,
}

impl<'a> LeaseContent<'a> {
    /// Reads the first part.
    pub(super) async fn open(queue: &'a Queue, lease: &'a Lease) -> Result<Self, ContentError> {
        if lease.kind == ContentKind::Microsoft {
            return Self::open_object(queue, lease).await;
        }
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
        Ok(Self { queue, lease, head, size, object: None })
    }

    /// The whole message is kept nowhere: whoever reads it has it made anew, and most send the object itself.
    async fn open_object(queue: &'a Queue, lease: &'a Lease) -> Result<Self, ContentError> {
        let (composed, _alone) = composed(queue, lease).await?;
        let head = [&lease.prefix, header_of(composed.mime.head())].concat();
        let size = lease.prefix.len() as u64 + composed.mime.size();
        let not_in_mime = composed.not_in_mime.into_iter().map(|lost| lost.property).collect();
        let object = Some(Object { size: lease.size, not_in_mime });
        Ok(Self { queue, lease, head, size, object })
    }

    /// What the choice of a way has to know of the object that it was handed in as.
    pub(super) fn object_facts(&self) -> Option<ObjectFacts> {
        let object = self.object.as_ref()?;
        Some(ObjectFacts { octets: object.size, not_in_mime: object.not_in_mime.clone() })
    }

    /// The first part: holds the whole header block.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// The header block alone.
    pub(super) fn header(&self) -> &[u8] {
        header_of(&self.head)
    }

    /// Octets of the whole message.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }
}

/// The object of a lease in MIME, and the leave to have it in memory.
async fn composed(queue: &Queue, lease: &Lease) -> Result<(Composed, Alone), ContentError> {
    let Outlined { outline, alone } = outline(queue, lease).await?;
    let composed = compose(Form::Microsoft, outline, lease.id, Some(&lease.route.mailbox)).map_err(damaged)?;
    Ok((composed, alone))
}

async fn outline(queue: &Queue, lease: &Lease) -> Result<Outlined, ContentError> {
    let reader = queue.body(lease).await.map_err(unreadable)?;
    queue.outline(Form::Microsoft, reader).await.map_err(unreadable)
}

/// What was made of the object of a lease.
async fn assembled(queue: &Queue, lease: &Lease, assembly: Assembly) -> Result<BodyReader, ContentError> {
    let reader = queue.body(lease).await.map_err(unreadable)?;
    queue.assembled(assembly, reader).await.map_err(unreadable)
}

fn damaged(fault: Fault) -> ContentError {
    ContentError::Damaged(format!("the stored object: {fault}"))
}

impl Content for LeaseContent<'_> {
    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Chunks>, ContentError>> {
        Box::pin(async {
            if self.object.is_some() {
                let (composed, _alone) = composed(self.queue, self.lease).await?;
                let reader = assembled(self.queue, self.lease, composed.mime).await?;
                let first = Some(self.lease.prefix.clone()).filter(|octets| !octets.is_empty());
                return Ok(Box::new(Pieces { first, reader: Some(reader) }) as Box<dyn Chunks>);
            }
            let whole = self.head.len() as u64 == self.size;
            let reader = if whole { None } else { Some(self.queue.body(self.lease).await.map_err(unreadable)?) };
            let first = Some(if whole { self.head.clone() } else { self.lease.prefix.clone() });
            Ok(Box::new(Pieces { first: first.filter(|octets| !octets.is_empty()), reader }) as Box<dyn Chunks>)
        })
    }

    fn object(&self) -> Option<&dyn AsObject> {
        self.object.is_some().then_some(self)
    }
}

impl AsObject for LeaseContent<'_> {
    fn for_graph<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Result<ObjectForGraph, ContentError>> {
        Box::pin(async move {
            let Outlined { outline, alone: _alone } = outline(self.queue, self.lease).await?;
            let made = for_graph(outline, asked.envelope, &asked.sender, asked.message_id).map_err(damaged)?;
            Ok(match made {
                ForGraph::AsMime(why) => ObjectForGraph::AsMime(why),
                ForGraph::Object { request, notes } => {
                    let reader = assembled(self.queue, self.lease, request).await?;
                    let size = reader.size();
                    ObjectForGraph::Request {
                        size,
                        chunks: Box::new(Pieces { first: None, reader: Some(reader) }),
                        notes,
                    }
                }
            })
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
