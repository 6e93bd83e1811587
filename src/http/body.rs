//! A request body that remembers whether its last octet was handed to the connection.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// Octets handed over at a time. The connection asks for more only while its own buffer has room, so a connection
/// that breaks in the middle of a large body is known to have broken there.
const CHUNK: usize = 32 * 1024;

/// Whether the whole body was handed over. Until then no server can have acted on the request.
#[derive(Clone)]
pub(super) struct Handed(Arc<AtomicBool>);

impl Handed {
    pub(super) fn whole(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

pub(super) struct WatchedBody {
    rest: Payload,
    handed: Handed,
}

/// What a request carries.
pub(super) enum Payload {
    /// Octets in memory.
    Whole(Bytes),
    /// Octets that come while the request is sent, and how many are still to come.
    Stream(mpsc::Receiver<Bytes>, u64),
}

impl Payload {
    pub(super) const fn octets(&self) -> u64 {
        match self {
            Self::Whole(octets) => octets.len() as u64,
            Self::Stream(_, left) => *left,
        }
    }
}

impl WatchedBody {
    pub(super) fn new(body: Payload) -> (Self, Handed) {
        // Nobody polls an empty body: the request is whole with its header.
        let handed = Handed(Arc::new(AtomicBool::new(body.octets() == 0)));
        (Self { rest: body, handed: handed.clone() }, handed)
    }
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = match &mut self.rest {
            Payload::Whole(rest) if rest.is_empty() => return Poll::Ready(None),
            Payload::Whole(rest) => {
                let size = rest.len().min(CHUNK);
                rest.split_to(size)
            }
            Payload::Stream(octets, left) => match ready!(octets.poll_recv(cx)) {
                // Too few octets break the connection, because the request said how many there are.
                None => return Poll::Ready(None),
                Some(chunk) => {
                    *left = left.saturating_sub(chunk.len() as u64);
                    chunk
                }
            },
        };
        if self.rest.octets() == 0 {
            self.handed.0.store(true, Ordering::Release);
        }
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.octets() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.octets())
    }
}
