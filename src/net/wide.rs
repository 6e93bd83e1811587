//! Reads a socket in large pieces while much is coming, whatever small ones are asked for: TLS asks for 4 kB at a time,
//! which would be a call of the system for each quarter of a record.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

/// Octets read at once while much is coming.
const AHEAD: usize = 64 * 1024;

/// A stream that is read ahead. While little comes it holds no memory.
#[derive(Debug)]
pub struct Wide<S> {
    inner: S,
    ahead: BytesMut,
    /// The last read filled all the room it was given, so there is probably more.
    busy: bool,
}

impl<S> Wide<S> {
    /// Reads `inner` ahead.
    pub fn new(inner: S) -> Self {
        Self { inner, ahead: BytesMut::new(), busy: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wide<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            if !this.busy {
                let (before, room) = (buf.filled().len(), buf.remaining());
                ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
                this.busy = room > 0 && buf.filled().len() == before + room;
                return Poll::Ready(Ok(()));
            }
            this.ahead.reserve(AHEAD);
            match poll_read_buf(Pin::new(&mut this.inner), cx, &mut this.ahead) {
                Poll::Ready(read) => {
                    // The end of the stream is an empty read here as well.
                    read?;
                }
                Poll::Pending => {
                    (this.ahead, this.busy) = (BytesMut::new(), false);
                    return Poll::Pending;
                }
            }
        }
        let count = this.ahead.len().min(buf.remaining());
        buf.put_slice(&this.ahead[..count]);
        this.ahead.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wide<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, octets)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn what_is_read_ahead_comes_out_in_order_and_nothing_is_held_afterwards() {
        let sent: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
        let (mut writer, reader) = tokio::io::duplex(200_000);
        let whole = sent.clone();
        let writing = tokio::spawn(async move {
            writer.write_all(&whole).await.unwrap();
            writer
        });
        let mut wide = Wide::new(reader);
        let mut got = vec![0; sent.len()];
        for piece in got.chunks_mut(4096) {
            wide.read_exact(piece).await.unwrap();
        }
        assert_eq!(got, sent);
        let writer = writing.await.unwrap();
        let mut one = [0; 1];
        tokio::select! {
            biased;
            _ = wide.read(&mut one) => panic!("there is nothing more"),
            () = std::future::ready(()) => {}
        }
        assert_eq!((wide.ahead.capacity(), wide.busy), (0, false), "an idle stream holds nothing");
        drop(writer);
        assert_eq!(wide.read(&mut one).await.unwrap(), 0);
    }
}
