//! The page's port: connections in clear or under TLS, bounded in number and in patience, handed to the HTTP server.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::net::{Limits, Permit, ServerTls, Stream};

/// Connections at once, and from one address.
const CONNECTIONS: usize = 256;
const CONNECTIONS_PER_ADDRESS: usize = 64;
/// How long a TLS hello may take.
const HELLO: Duration = Duration::from_secs(10);
/// How long a connection may be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// Connections that wait for the HTTP server.
const BACKLOG: usize = 16;

/// Where a request comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer(pub SocketAddr);

impl Connected<IncomingStream<'_, Door>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// Serves a socket until `stopping`; then open requests come to their end.
pub async fn serve(socket: TcpListener, tls: Option<ServerTls>, router: Router, stopping: CancellationToken) {
    let Ok(address) = socket.local_addr() else { return };
    let (sender, connections) = mpsc::channel(BACKLOG);
    let accepting = accept(socket, tls, sender);
    let door = Door { connections, address };
    let service = router.into_make_service_with_connect_info::<Peer>();
    let serving = axum::serve(door, service).with_graceful_shutdown(stopping.clone().cancelled_owned());
    tokio::select! {
        served = serving.into_future() => {
            if let Err(error) = served {
                tracing::error!(%error, "the page's port failed");
            }
        }
        () = accepting => {}
    }
}

/// Accepts for ever. Each TLS hello is waited for apart, so that a slow one keeps nobody waiting.
async fn accept(socket: TcpListener, tls: Option<ServerTls>, sender: mpsc::Sender<Accepted>) {
    let limits = Limits::new(CONNECTIONS, CONNECTIONS_PER_ADDRESS);
    loop {
        let (tcp, peer, permit) = limits.accept(&socket).await;
        let Some(permit) = permit else { continue };
        let (tls, sender) = (tls.clone(), sender.clone());
        tokio::spawn(async move {
            match begin(tls.as_ref(), tcp).await {
                Ok(stream) => {
                    let connection = Connection::new(stream, permit);
                    let _stopping = sender.send((connection, peer)).await;
                }
                Err(error) => tracing::debug!(%peer, %error, "no TLS on the page's port"),
            }
        });
    }
}

async fn begin(tls: Option<&ServerTls>, tcp: TcpStream) -> io::Result<Stream> {
    tcp.set_nodelay(true)?;
    let Some(tls) = tls else { return Ok(Stream::Clear(tcp)) };
    let stream = timeout(HELLO, tls.acceptor().accept(tcp)).await??;
    Ok(Stream::Tls(Box::new(stream)))
}

type Accepted = (Connection, SocketAddr);

/// Where the HTTP server gets its connections from.
pub(super) struct Door {
    connections: mpsc::Receiver<Accepted>,
    address: SocketAddr,
}

impl Listener for Door {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> Accepted {
        match self.connections.recv().await {
            Some(accepted) => accepted,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// A connection that ends when it is silent for too long.
pub(super) struct Connection {
    stream: Stream,
    silence: Pin<Box<Sleep>>,
    _permit: Permit,
}

impl Connection {
    fn new(stream: Stream, permit: Permit) -> Self {
        Self { stream, silence: Box::pin(sleep(SILENCE)), _permit: permit }
    }

    fn heard(&mut self) {
        self.silence.as_mut().reset(Instant::now() + SILENCE);
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
            Poll::Ready(read) => {
                this.heard();
                Poll::Ready(read)
            }
            Poll::Pending => {
                ready!(this.silence.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_write(cx, octets) {
            Poll::Ready(written) => {
                this.heard();
                Poll::Ready(written)
            }
            Poll::Pending => {
                ready!(this.silence.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
