//! What a practice tenant is started with, and why it may not start.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use super::directory::Directory;
use crate::clock::Clock;

/// What a practice tenant is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where identity, Graph and the page listen, with and without TLS on one port. Default `127.0.0.1:0`, a free port.
    pub http: SocketAddr,
    /// Where SMTP submission listens. Default `127.0.0.1:0`.
    pub smtp: SocketAddr,
    /// Where IMAP listens, under TLS from the first octet. Default `127.0.0.1:0`.
    pub imap: SocketAddr,
    /// Where POP3 listens, the same way. Default `127.0.0.1:0`.
    pub pop3: SocketAddr,
    /// Where the time comes from: tokens expire by it.
    pub clock: Clock,
    /// Apps and mailboxes.
    pub directory: Directory,
}

impl Default for Settings {
    fn default() -> Self {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (imap, pop3) = (anywhere, anywhere);
        Self { http: anywhere, smtp: anywhere, imap, pop3, clock: Clock::system(), directory: Directory::default() }
    }
}

/// Why a practice tenant did not start.
#[derive(Debug, thiserror::Error)]
pub enum PracticeError {
    /// It hands out tokens to everybody who asks, so nobody else may reach it.
    #[error("the practice tenant listens on loopback only, not on `{0}`; use an address such as `127.0.0.1:0`")]
    NotLoopback(SocketAddr),
    /// The address is taken, or not of this machine.
    #[error("the practice tenant cannot listen on `{address}`: {source}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// Keys or certificates could not be made.
    #[error("the practice tenant cannot make its certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The TLS library did not like them.
    #[error("the practice tenant cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// An address that does not make a URL.
    #[error("the practice tenant's address does not make a URL: {0}")]
    Url(url::ParseError),
}
