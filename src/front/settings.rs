//! What the doors are told by configuration.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::reading;

/// How TLS begins on a listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ListenerTls {
    /// Never.
    None,
    /// By STARTTLS (RFC 3207).
    StartTls,
    /// With the first octet (RFC 8314).
    Implicit,
    /// As the client likes: a TLS hello within `auto_wait` begins TLS, otherwise the greeting goes out in clear and
    /// STARTTLS is offered.
    Auto,
}

/// What is spoken on a listener.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Protocol {
    /// Mail is handed in.
    Smtp,
    /// Mail is read.
    Imap,
    /// Mail is fetched.
    Pop3,
}

impl Protocol {
    /// The word in configuration and log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Imap => reading::Protocol::Imap.name(),
            Self::Pop3 => reading::Protocol::Pop3.name(),
        }
    }

    /// By what mail is read there; `None`: it is handed in.
    pub const fn reading(self) -> Option<reading::Protocol> {
        match self {
            Self::Smtp => None,
            Self::Imap => Some(reading::Protocol::Imap),
            Self::Pop3 => Some(reading::Protocol::Pop3),
        }
    }
}

/// When a client hears what became of its message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// At once: the message is in the queue.
    Queue,
    /// When the provider has answered, or after this long: then the message is in the queue. Default 45 s.
    Direct(Duration),
}

/// One place where clients come in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListenerSettings {
    /// What is spoken there.
    pub protocol: Protocol,
    /// Addresses and ports, resolved; never empty.
    pub listen: Vec<SocketAddr>,
    /// When a client hears what became of its message.
    pub mode: Mode,
    /// How TLS begins.
    pub tls: ListenerTls,
    /// With [`ListenerTls::Auto`], how long to wait for a TLS hello. Default 1 s.
    pub auto_wait: Duration,
    /// Whether AUTH is taken on a connection without TLS.
    pub allow_clear_auth: bool,
    /// Whether a lone LF or CR in a message is refused instead of made into CRLF.
    pub strict_line_ends: bool,
    /// Sessions at once.
    pub max_sessions: usize,
    /// Sessions at once from one address.
    pub max_sessions_per_address: usize,
    /// How long a client may take for its next command. Default 5 min (RFC 5321 section 4.5.3.2).
    pub command_timeout: Duration,
    /// How long a reading session may be silent in both directions.
    pub idle_timeout: Duration,
    /// Largest message in octets, if smaller than what the accounts can send.
    pub max_octets: Option<u64>,
    /// Recipients of one message. Never below 100 (RFC 5321 section 4.5.3.1.8); default 1,000.
    pub max_recipients: usize,
    /// Names of the clients that may use it; empty: all of them.
    pub clients: Vec<String>,
    /// Networks of proxies: who connects from there must say for whom, with a PROXY header.
    pub proxy_from: Vec<IpNet>,
}

impl ListenerSettings {
    /// For programs that come by the API: their own door has what belongs to a listener. Nothing is bound.
    pub(in crate::front) const fn for_programs() -> Self {
        Self {
            protocol: Protocol::Smtp,
            listen: Vec::new(),
            mode: Mode::Queue,
            tls: ListenerTls::None,
            auto_wait: Duration::from_secs(1),
            allow_clear_auth: false,
            strict_line_ends: false,
            max_sessions: usize::MAX >> 4,
            max_sessions_per_address: usize::MAX >> 4,
            command_timeout: Duration::from_secs(300),
            idle_timeout: Duration::from_secs(300),
            max_octets: None,
            max_recipients: 1_000,
            clients: Vec::new(),
            proxy_from: Vec::new(),
        }
    }

    /// Whether the client of this name may use it.
    pub fn admits(&self, client: &str) -> bool {
        self.clients.is_empty() || self.clients.iter().any(|name| name == client)
    }

    /// Whether other machines can reach it, by themselves or through a proxy.
    pub fn is_reachable(&self) -> bool {
        !self.proxy_from.is_empty() || self.listen.iter().any(|address| !address.ip().to_canonical().is_loopback())
    }
}

/// Where the certificate of the listeners comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    /// The folder in which a self-made certificate and its CA live.
    pub folder: PathBuf,
    /// The operator's certificate chain, PEM; `None`: one is made in `folder`.
    pub certificate: Option<PathBuf>,
    /// The private key of `certificate`, PEM.
    pub key: Option<PathBuf>,
    /// Names and IP addresses of the self-made certificate, beside the host name.
    pub names: Vec<String>,
}

/// Settings of the SMTP front.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubmissionSettings {
    /// What the gateway calls itself in its greeting and in `Received` lines.
    pub hostname: String,
    /// Where clients come in; never empty.
    pub listeners: Vec<ListenerSettings>,
    /// The certificate they show.
    pub tls: TlsFiles,
}
