//! The way in at a provider to read a mailbox: where its IMAP and POP3 servers are, TLS, and a login with a token.

mod back;
mod classify;
mod enter;
mod probe;
mod talk;

pub use classify::hint;
pub use enter::{UpstreamStream, Way, keep_alive};
pub use probe::{Probe, Probed};
pub use talk::{Talk, Unanswered};

use crate::token::Purpose;

/// By what mail is read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Protocol {
    /// IMAP.
    Imap,
    /// POP3.
    Pop3,
}

impl Protocol {
    /// The word in configuration and log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Pop3 => "pop3",
        }
    }

    /// What a token that opens a mailbox by it is for.
    const fn purpose(self) -> Purpose {
        match self {
            Self::Imap => Purpose::Imap,
            Self::Pop3 => Purpose::Pop,
        }
    }
}

/// How TLS begins at a provider's server for reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UpstreamTls {
    /// By STARTTLS or STLS.
    StartTls,
    /// With the first octet.
    Implicit,
}

/// A server that mail is read from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadingServer {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How TLS begins there.
    pub tls: UpstreamTls,
}

/// Where an account's mail is read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReadingServers {
    /// By IMAP.
    pub imap: Option<ReadingServer>,
    /// By POP3.
    pub pop3: Option<ReadingServer>,
}

impl ReadingServers {
    /// The server for a protocol.
    pub const fn get(&self, protocol: Protocol) -> Option<&ReadingServer> {
        match protocol {
            Protocol::Imap => self.imap.as_ref(),
            Protocol::Pop3 => self.pop3.as_ref(),
        }
    }
}
