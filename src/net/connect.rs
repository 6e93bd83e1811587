//! Outgoing connections: TCP with every address of a name tried, or through the proxy, and TLS that is always verified. There is no switch
//! that accepts any certificate; a private CA is added by a file.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::through::{self, ProxyTrouble};
use crate::clock::Timestamp;
use crate::mail::{Failure, Reason};
use crate::proxy::Proxy;

/// How long one address may take while others of the same name are left to try.
const ONE_OF_SEVERAL: Duration = Duration::from_secs(4);
/// Octets of TLS records that wait for the socket. One record: so that every write that comes back is progress, and
/// an idle connection holds little.
const TLS_BUFFER: usize = 16 * 1024;

/// Makes connections. Cloning shares the TLS settings and the sessions that can be resumed.
#[derive(Clone)]
pub struct Connector {
    tls: TlsConnector,
    proxy: Option<Arc<Proxy>>,
}

/// Why outgoing TLS cannot be set up at all.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The file with further CAs cannot be read or is not PEM.
    #[error("the CA file `{path}` cannot be used: {why}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// No CA is known, or the TLS library refuses.
    #[error(
        "TLS cannot be set up: {0}; install the system's CA certificates (package `ca-certificates`) or name a `ca_file`"
    )]
    Roots(#[from] rustls::Error),
}

/// Why a connection was not made.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address, or could not be looked up.
    #[error("the name `{host}` could not be looked up: {why}")]
    Name {
        /// The name.
        host: String,
        /// In the resolver's words.
        why: String,
    },
    /// No address of the name could be connected to.
    #[error("`{host}` could not be connected to: {why}")]
    Unreachable {
        /// The name.
        host: String,
        /// Each address tried, in the system's words.
        why: String,
    },
    /// It took too long.
    #[error("`{host}` did not finish {what} within {} s", limit.as_secs_f32())]
    TimedOut {
        /// The name.
        host: String,
        /// The step.
        what: &'static str,
        /// How long it was given.
        limit: Duration,
    },
    /// TLS was not agreed on, or the certificate is not good.
    #[error("{0}")]
    Tls(String),
    /// The way through the proxy failed.
    #[error("the proxy `{proxy}` {trouble}")]
    Proxy {
        /// The proxy's name.
        proxy: String,
        /// What is wrong.
        trouble: ProxyTrouble,
    },
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let reason = match error {
            ConnectError::Proxy { trouble: ProxyTrouble::Silent { .. }, .. } | ConnectError::TimedOut { .. } => {
                Reason::TimedOut
            }
            ConnectError::Name { .. } | ConnectError::Unreachable { .. } | ConnectError::Proxy { .. } => {
                Reason::Unreachable
            }
            ConnectError::Tls(_) => Reason::TlsRefused,
        };
        Self::new(reason, error.to_string())
    }
}

impl Connector {
    /// Trusts the system's CAs and those of `ca_file` (PEM).
    pub fn new(ca_file: Option<&Path>) -> Result<Self, SetupError> {
        let extra = ca_file.map(read_ca_file).transpose()?.unwrap_or_default();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(extra, Arc::clone(&provider))?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous() // rustls's word for any verifier that is not its own; this one is the platform's
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), proxy: None })
    }

    /// The same through a proxy.
    #[must_use]
    pub fn with_proxy(self, proxy: Option<Arc<Proxy>>) -> Self {
        Self { proxy, ..self }
    }

    /// The proxy that connections to a host go through, if any.
    pub fn proxy_for(&self, host: &str) -> Option<&Proxy> {
        self.proxy.as_deref().filter(|proxy| proxy.serves(host))
    }

    /// Connects to the first address of `host` that answers, or through the proxy, all within `limit`. Every connection
    /// of the program that may leave this machine begins here, but for those of [`crate::http`], which goes by the same
    /// proxy.
    pub async fn tcp(&self, host: &str, port: u16, limit: Duration) -> Result<TcpStream, ConnectError> {
        match self.proxy_for(host) {
            Some(proxy) => self.tunnel(proxy, (host, port), limit).await,
            None => self.straight(host, port, limit).await,
        }
    }

    async fn tunnel(&self, proxy: &Proxy, to: (&str, u16), limit: Duration) -> Result<TcpStream, ConnectError> {
        let end = Instant::now() + limit;
        let failed = |trouble| ConnectError::Proxy { proxy: proxy.name(), trouble };
        let stream = self.straight(&proxy.host, proxy.port, limit).await.map_err(|error| {
            failed(match error {
                ConnectError::Name { why, .. } => ProxyTrouble::Name(why),
                ConnectError::Unreachable { why, .. } => ProxyTrouble::Unreachable(why),
                other @ (ConnectError::TimedOut { .. } | ConnectError::Tls(_) | ConnectError::Proxy { .. }) => {
                    ProxyTrouble::Unreachable(other.to_string())
                }
            })
        })?;
        let silent = || failed(ProxyTrouble::Silent { target: through::authority(to.0, to.1), limit });
        timeout_at(end, through::open(proxy, stream, to)).await.map_err(|_| silent())?.map_err(failed)
    }

    async fn straight(&self, host: &str, port: u16, limit: Duration) -> Result<TcpStream, ConnectError> {
        let end = Instant::now() + limit;
        let late = |what| ConnectError::TimedOut { host: host.to_owned(), what, limit };
        let unknown = |why: String| ConnectError::Name { host: host.to_owned(), why };
        let found = timeout_at(end, tokio::net::lookup_host((host, port))).await;
        let addresses: Vec<_> =
            found.map_err(|_| late("the look-up of its name"))?.map_err(|error| unknown(error.to_string()))?.collect();
        if addresses.is_empty() {
            return Err(unknown("it has no address".to_owned()));
        }
        first_that_answers(&addresses, end).await.map_err(|why| match why {
            NoneAnswered::InTime => late("the connection"),
            NoneAnswered::Because(why) => ConnectError::Unreachable { host: host.to_owned(), why },
        })
    }

    /// Starts TLS on a connection. `host` is the name that the certificate must have.
    pub async fn tls<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        host: &str,
        stream: S,
        limit: Duration,
    ) -> Result<TlsStream<S>, ConnectError> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| ConnectError::Tls(format!("`{host}` is not a name that a certificate can have")))?;
        let handshake = self.tls.connect_with(name, stream, |session| session.set_buffer_limit(Some(TLS_BUFFER)));
        match timeout(limit, handshake).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(ConnectError::Tls(explain(host, &error))),
            Err(_) => Err(ConnectError::TimedOut { host: host.to_owned(), what: "the TLS handshake", limit }),
        }
    }
}

fn read_ca_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    let unusable = |why: String| SetupError::CaFile { path: path.to_owned(), why };
    let octets = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&octets)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(error.to_string()))?;
    if certificates.is_empty() {
        return Err(unusable("it holds no certificate in PEM form".to_owned()));
    }
    Ok(certificates)
}

enum NoneAnswered {
    InTime,
    Because(String),
}

/// Tries one address after the other. None may use up the time of those behind it.
async fn first_that_answers(addresses: &[SocketAddr], end: Instant) -> Result<TcpStream, NoneAnswered> {
    let mut tried = Vec::new();
    for (index, address) in addresses.iter().enumerate() {
        let last = index + 1 == addresses.len();
        let until = if last { end } else { end.min(Instant::now() + ONE_OF_SEVERAL) };
        match timeout_at(until, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Commands are short and wait for answers; Nagle's algorithm would only hold them back.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => tried.push(format!("{address}: {error}")),
            Err(_) if tried.is_empty() && last => return Err(NoneAnswered::InTime),
            Err(_) => tried.push(format!("{address}: no answer")),
        }
    }
    Err(NoneAnswered::Because(tried.join("; ")))
}

/// The cause of a failed handshake, for people.
fn explain(host: &str, error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(cause)) => explain_certificate(host, cause),
        Some(rustls::Error::InvalidMessage(_)) => format!("`{host}` answered with something that is not TLS"),
        Some(cause @ (rustls::Error::PeerIncompatible(_) | rustls::Error::AlertReceived(_))) => {
            format!("`{host}` and oxpost agree on no TLS version or cipher (TLS 1.2 is the oldest): {cause}")
        }
        Some(cause) => format!("TLS with `{host}` failed: {cause}"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            format!("`{host}` closed the connection during the TLS handshake")
        }
        None => format!("the connection to `{host}` broke during the TLS handshake: {error}"),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the library's list is open; its own words serve for the rest")]
fn explain_certificate(host: &str, cause: &CertificateError) -> String {
    match cause {
        CertificateError::Expired => format!("the certificate of `{host}` has expired"),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("the certificate of `{host}` expired on {}", moment(*not_after))
        }
        CertificateError::NotValidYet => format!("the certificate of `{host}` is not valid yet; check the clock"),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "the certificate of `{host}` is valid from {}, and this machine's clock says {}",
            moment(*not_before),
            moment(*time)
        ),
        CertificateError::NotValidForName => format!("the certificate of `{host}` is for another name"),
        CertificateError::NotValidForNameContext { presented, .. } => {
            format!("the certificate is for another name than `{host}`: {}", presented.join(", "))
        }
        CertificateError::UnknownIssuer => {
            format!("the certificate of `{host}` is self-signed or comes from a CA that this machine does not trust")
        }
        CertificateError::BadSignature => {
            format!("the certificate of `{host}` was not signed by the CA that it names")
        }
        CertificateError::Revoked => format!("the certificate of `{host}` was revoked"),
        other => format!("the certificate of `{host}` is not good: {other}"),
    }
}

fn moment(time: UnixTime) -> Timestamp {
    Timestamp::from_millis(i64::try_from(time.as_secs()).unwrap_or(0).saturating_mul(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn closed_port() -> SocketAddr {
        tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
    }

    #[tokio::test]
    async fn the_next_address_is_tried_when_one_refuses() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let end = Instant::now() + Duration::from_secs(5);
        let stream = first_that_answers(&[closed_port().await, good], end).await;
        assert_eq!(stream.ok().unwrap().peer_addr().unwrap(), good);
    }

    #[tokio::test]
    async fn a_refused_connection_and_an_unknown_name_are_told_apart() {
        let connector = Connector::new(None).unwrap();
        let port = closed_port().await.port();
        let refused = connector.tcp("127.0.0.1", port, Duration::from_secs(5)).await.unwrap_err();
        assert!(matches!(&refused, ConnectError::Unreachable { why, .. } if why.contains("refused")), "{refused}");
        let unknown = connector.tcp("no such name", port, Duration::from_secs(5)).await.unwrap_err();
        assert!(matches!(unknown, ConnectError::Name { .. }), "{unknown}");
        assert_eq!(Failure::from(unknown).reason, Reason::Unreachable);
    }

    #[test]
    fn a_ca_file_without_certificates_is_refused_by_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Connector::new(Some(file.path())).err().unwrap().to_string();
        assert!(error.contains("no certificate") && error.contains(file.path().to_str().unwrap()), "{error}");
        assert!(Connector::new(Some(Path::new("/nonexistent/ca.pem"))).is_err());
    }
}
