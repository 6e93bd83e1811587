//! The HTTP side's connections: with and without TLS on one port, and with a way to cut one off.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

/// The first octet of a TLS connection: a handshake record (RFC 8446 section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

/// A handle on a connection, for handlers.
#[derive(Clone, Debug, Default)]
pub(super) struct Line(Arc<AtomicBool>);

impl Line {
    /// Resets the connection in place of whatever is written to it next.
    pub(super) fn cut(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_cut(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Connected<IncomingStream<'_, Doorstep>> for Line {
    fn connect_info(stream: IncomingStream<'_, Doorstep>) -> Self {
        stream.io().line.clone()
    }
}

/// A connection.
pub(super) struct Wire {
    stream: Stream,
    line: Line,
}

enum Stream {
    Clear(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    fn refuse_if_cut(&self) -> io::Result<()> {
        if !self.line.is_cut() {
            return Ok(());
        }
        let tcp = match &self.stream {
            Stream::Clear(tcp) => tcp,
            Stream::Tls(tls) => tls.get_ref().0,
        };
        // A close with nothing lingering is a reset (RST).
        socket2::SockRef::from(tcp).set_linger(Some(Duration::ZERO))?;
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Clear(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Stream::Tls(tls) => Pin::new(tls.as_mut()).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.refuse_if_cut()?;
        match &mut self.stream {
            Stream::Clear(tcp) => Pin::new(tcp).poll_write(cx, octets),
            Stream::Tls(tls) => Pin::new(tls.as_mut()).poll_write(cx, octets),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Clear(tcp) => Pin::new(tcp).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Clear(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(tls.as_mut()).poll_shutdown(cx),
        }
    }
}

/// Where connections wait to be served, handshakes done: a slow one keeps nobody else waiting.
pub(super) struct Doorstep {
    ready: mpsc::Receiver<(Wire, SocketAddr)>,
    address: SocketAddr,
}

impl Doorstep {
    /// Accepts connections until `stopping`.
    pub(super) fn open(
        listener: TcpListener,
        address: SocketAddr,
        tls: Arc<ServerConfig>,
        stopping: CancellationToken,
    ) -> Self {
        let (sender, ready) = mpsc::channel(16);
        let accepting = accept(listener, TlsAcceptor::from(tls), sender);
        tokio::spawn(async move { stopping.run_until_cancelled(accepting).await });
        Self { ready, address }
    }
}

impl Listener for Doorstep {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // The tenant stops; the server notices by itself.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, ready: mpsc::Sender<(Wire, SocketAddr)>) -> Infallible {
    loop {
        let Ok((tcp, peer)) = listener.accept().await else {
            // Out of descriptors, most likely: give others the time to close theirs.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (tls, ready) = (tls.clone(), ready.clone());
        tokio::spawn(async move {
            // Whoever does not manage a handshake is not served, and nobody is waiting for the error.
            if let Ok(stream) = begin(tcp, &tls).await {
                let _ = ready.send((Wire { stream, line: Line::default() }, peer)).await;
            }
        });
    }
}

async fn begin(tcp: TcpStream, tls: &TlsAcceptor) -> io::Result<Stream> {
    tcp.set_nodelay(true)?;
    let mut first = [0];
    tcp.peek(&mut first).await?;
    if first == [TLS_HANDSHAKE] { Ok(Stream::Tls(Box::new(tls.accept(tcp).await?))) } else { Ok(Stream::Clear(tcp)) }
}
