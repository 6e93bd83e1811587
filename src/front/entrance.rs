//! How TLS begins on a listener, whatever is spoken there: with the first octet, by a command, or as the client likes.

use std::net::IpAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::settings::{ListenerSettings, ListenerTls};
use crate::net::hello::{self, Sniffer, begins_tls};
use crate::net::{ServerTls, Stream};

/// How long a client may take for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// Why a client does not come in over TLS.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoTls {
    /// It was silent.
    #[error("the client was silent too long")]
    TimedOut,
    /// The handshake did not succeed.
    #[error("TLS failed: {0}")]
    Failed(String),
}

/// The TLS of one listener.
pub(super) struct Entrance {
    begins: ListenerTls,
    /// With [`ListenerTls::Auto`], how long to wait for a TLS hello.
    auto_wait: Duration,
    tls: Option<ServerTls>,
    sniffer: Sniffer,
}

impl Entrance {
    /// `tls` is needed unless the settings say none.
    pub(super) fn new(settings: &ListenerSettings, tls: Option<ServerTls>) -> Self {
        let (begins, auto_wait) = (settings.tls, settings.auto_wait);
        Self { begins, auto_wait, tls, sniffer: Sniffer::default() }
    }

    pub(super) fn offers_starttls(&self) -> bool {
        self.tls.is_some() && matches!(self.begins, ListenerTls::StartTls | ListenerTls::Auto)
    }

    /// The stream to greet a client on: under TLS if the listener or the client begins so.
    pub(super) async fn greet_with(&self, tcp: TcpStream, peer: IpAddr) -> Result<Stream, NoTls> {
        let tls_now = match self.begins {
            ListenerTls::None | ListenerTls::StartTls => false,
            ListenerTls::Implicit => true,
            ListenerTls::Auto => self.sniffer.is_tls(&tcp, peer, self.auto_wait).await,
        };
        match &self.tls {
            Some(tls) if tls_now => handshake(tls, tcp, peer).await,
            _ => Ok(Stream::Clear(tcp)),
        }
    }

    /// Refuses a client that began TLS although it was greeted in clear, because its address never did before. The next
    /// one from there is waited for. `first` is what it sent first.
    pub(super) fn refuse_late_tls(&self, stream: &Stream, peer: IpAddr, first: &[u8]) -> Result<(), NoTls> {
        if self.begins != ListenerTls::Auto || stream.is_tls() || !begins_tls(first) {
            return Ok(());
        }
        self.sniffer.speaks_tls(peer);
        let words = "the first TLS client of an address that came in clear so far; the next try succeeds";
        Err(NoTls::Failed(words.to_owned()))
    }

    /// Takes a stream in clear to TLS, as the client asked by a command.
    pub(super) async fn start_tls(&self, stream: &mut Stream, peer: IpAddr) -> Result<(), NoTls> {
        let Some(tls) = &self.tls else { return Err(NoTls::Failed("no certificate".to_owned())) };
        let Stream::Clear(tcp) = std::mem::replace(stream, Stream::Closed) else {
            return Err(NoTls::Failed("STARTTLS within TLS".to_owned()));
        };
        *stream = handshake(tls, tcp, peer).await?;
        Ok(())
    }
}

/// A TLS handshake as the server; one that fails is logged with what to do about it.
async fn handshake(tls: &ServerTls, tcp: TcpStream, peer: IpAddr) -> Result<Stream, NoTls> {
    let version = timeout(HANDSHAKE, hello::peek_version(&tcp)).await.ok().flatten();
    match timeout(HANDSHAKE, tls.acceptor().accept(tcp)).await {
        Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
        Ok(Err(error)) => {
            let offered = version.map_or_else(|| "no TLS hello".to_owned(), |v| v.to_string());
            let hint = crate::net::tls::remedy(&error, version.is_some_and(hello::HelloVersion::is_too_old));
            tracing::warn!(%peer, offered, %error, hint, "TLS hello cannot be served");
            Err(NoTls::Failed(error.to_string()))
        }
        Err(_) => Err(NoTls::TimedOut),
    }
}
