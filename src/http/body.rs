//! A request body that remembers whether its last octet was handed to the connection.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

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
    rest: Bytes,
    handed: Handed,
}

impl WatchedBody {
    pub(super) fn new(body: Bytes) -> (Self, Handed) {
        // Nobody polls an empty body: the request is whole with its header.
        let handed = Handed(Arc::new(AtomicBool::new(body.is_empty())));
        (Self { rest: body, handed: handed.clone() }, handed)
    }
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let size = self.rest.len().min(CHUNK);
        let chunk = self.rest.split_to(size);
        if self.rest.is_empty() {
            self.handed.0.store(true, Ordering::Release);
        }
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
