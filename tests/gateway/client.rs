//! A small SMTP client that does as it is told, right or wrong.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// The longest wait for something that happens at once; a busy machine needs some of it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// The name in the gateway's certificate.
pub(crate) const HOSTNAME: &str = "mx.example";

pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// One connection.
pub(crate) struct Client {
    stream: Box<dyn Io>,
    unread: Vec<u8>,
}

impl Client {
    /// Connects without reading anything.
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        Self::over(TcpStream::connect(to).await.unwrap())
    }

    /// Connects from another address of loopback.
    pub(crate) async fn connect_from(from: &str, to: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(from.parse::<IpAddr>().unwrap(), 0)).unwrap();
        Self::over(socket.connect(to).await.unwrap())
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream: Box::new(stream), unread: Vec::new() }
    }

    /// Reads the greeting and says EHLO.
    pub(crate) async fn greeted(mut self) -> Self {
        assert!(self.reply().await.starts_with("220 "));
        assert!(self.say("EHLO client.example").await.starts_with("250"));
        self
    }

    /// A TLS handshake; `ca` must have signed the gateway's certificate. What came in clear and was not read is kept.
    pub(crate) async fn try_tls(self, ca: &Path) -> std::io::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from(HOSTNAME).unwrap();
        let stream = timeout(PATIENCE, connector.connect(name, self.stream)).await.expect("a TLS handshake")?;
        Ok(Self { stream: Box::new(stream), unread: self.unread })
    }

    /// The same; it must succeed.
    pub(crate) async fn tls(self, ca: &Path) -> Self {
        self.try_tls(ca).await.unwrap()
    }

    /// STARTTLS and the handshake.
    pub(crate) async fn starttls(mut self, ca: &Path) -> Self {
        assert_eq!(self.say("STARTTLS").await, "220 2.0.0 Ready to start TLS");
        self.tls(ca).await
    }

    /// Sends octets as they are.
    pub(crate) async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.try_send(octets).await.unwrap();
    }

    /// The same, to a server that may have hung up.
    pub(crate) async fn try_send(&mut self, octets: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(octets.as_ref()).await?;
        self.stream.flush().await
    }

    /// Says that nothing more will be sent; what is still to come can be read.
    pub(crate) async fn has_said_all(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// The next line without its end; `None` when the server has hung up.
    pub(crate) async fn line(&mut self) -> Option<String> {
        timeout(PATIENCE, self.next_line()).await.expect("the server says something")
    }

    /// The next line if one comes within `wait`.
    pub(crate) async fn line_within(&mut self, wait: Duration) -> Option<String> {
        timeout(wait, self.next_line()).await.ok().flatten()
    }

    async fn next_line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.unread.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                let line = String::from_utf8(line).expect("a reply is text");
                return Some(line.strip_suffix("\r\n").expect("a reply line ends with CRLF").to_owned());
            }
            if self.stream.read_buf(&mut self.unread).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The next reply, its lines joined by LF; empty when the server has hung up.
    pub(crate) async fn reply(&mut self) -> String {
        let mut lines = Vec::new();
        while let Some(line) = self.line().await {
            let more = line.as_bytes().get(3) == Some(&b'-');
            lines.push(line);
            if !more {
                break;
            }
        }
        lines.join("\n")
    }

    /// Every reply until the server hangs up.
    pub(crate) async fn replies_to_the_end(&mut self) -> Vec<String> {
        let mut replies = Vec::new();
        loop {
            let reply = self.reply().await;
            if reply.is_empty() {
                return replies;
            }
            replies.push(reply);
        }
    }

    /// Whether the server has hung up, or does so soon.
    pub(crate) async fn is_closed(&mut self) -> bool {
        self.line().await.is_none()
    }

    /// Sends a line and reads the reply.
    pub(crate) async fn say(&mut self, line: impl AsRef<str>) -> String {
        self.send(format!("{}\r\n", line.as_ref())).await;
        self.reply().await
    }

    /// The envelope up to the 354; the first refusal is returned instead.
    pub(crate) async fn envelope(&mut self, from: &str, to: &[&str]) -> String {
        let mut reply = self.say(format!("MAIL FROM:<{from}>")).await;
        for recipient in to {
            if reply.starts_with('2') {
                reply = self.say(format!("RCPT TO:<{recipient}>")).await;
            }
        }
        if reply.starts_with('2') { self.say("DATA").await } else { reply }
    }

    /// A whole message, dots stuffed; the final reply, or the first refusal.
    pub(crate) async fn hand_in(&mut self, from: &str, to: &[&str], content: impl AsRef<[u8]>) -> String {
        let reply = self.envelope(from, to).await;
        if !reply.starts_with("354") {
            return reply;
        }
        let mut wire = Vec::new();
        for line in content.as_ref().split_inclusive(|octet| *octet == b'\n') {
            if line.starts_with(b".") {
                wire.push(b'.');
            }
            wire.extend_from_slice(line);
        }
        wire.extend_from_slice(if wire.ends_with(b"\r\n") || wire.is_empty() { b".\r\n" } else { b"\r\n.\r\n" });
        self.send(wire).await;
        self.reply().await
    }

    /// AUTH PLAIN in one line.
    pub(crate) async fn log_in(&mut self, login: &str, password: &str) -> String {
        use base64::Engine;
        let response = base64::engine::general_purpose::STANDARD.encode(format!("\0{login}\0{password}"));
        self.say(format!("AUTH PLAIN {response}")).await
    }
}
