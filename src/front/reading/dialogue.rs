//! IMAP and POP3 as one, toward clients: the value of each protocol behind one face.

use crate::reading::Protocol;
use crate::sasl::Denial;
use crate::sasl::reading::{Action, Handover, Options};
use crate::{imap, pop3};

/// What a client is told when nobody is logged in yet and nobody will be.
pub(super) fn goodbye(protocol: Protocol, words: &str) -> Vec<u8> {
    match protocol {
        Protocol::Imap => imap::Session::goodbye(words),
        Protocol::Pop3 => pop3::Session::goodbye(words),
    }
}

/// The dialogue with a client before its login.
pub(super) enum Front {
    Imap(imap::Session),
    Pop3(pop3::Session),
}

/// What is left of both dialogues: for the client and for the server, in this order of the sides.
pub(super) struct Leftover {
    pub(super) to_client: Vec<u8>,
    pub(super) to_upstream: Vec<u8>,
}

impl Front {
    pub(super) fn new(protocol: Protocol, options: Options, tls: bool) -> Self {
        match protocol {
            Protocol::Imap => Self::Imap(imap::Session::new(options, tls)),
            Protocol::Pop3 => Self::Pop3(pop3::Session::new(options, tls)),
        }
    }

    pub(super) fn receive(&mut self, octets: &[u8]) {
        match self {
            Self::Imap(session) => session.receive(octets),
            Self::Pop3(session) => session.receive(octets),
        }
    }

    pub(super) fn next_action(&mut self) -> Option<Action> {
        match self {
            Self::Imap(session) => session.next_action(),
            Self::Pop3(session) => session.next_action(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        match self {
            Self::Imap(session) => session.is_idle(),
            Self::Pop3(session) => session.is_idle(),
        }
    }

    pub(super) fn tls_started(&mut self) {
        match self {
            Self::Imap(session) => session.tls_started(),
            Self::Pop3(session) => session.tls_started(),
        }
    }

    pub(super) fn denied(&mut self, denial: Denial, words: &str) {
        match self {
            Self::Imap(session) => session.denied(denial, words),
            Self::Pop3(session) => session.denied(denial, words),
        }
    }

    /// The upstream let the client in. `None` if the client had not asked, which does not happen.
    pub(super) fn logged_in(self, back: imap::LoggedIn) -> Option<Leftover> {
        let Handover { reply: mut to_client, unread: to_upstream } = match self {
            Self::Imap(session) => session.logged_in(back.capabilities.as_deref())?,
            Self::Pop3(session) => session.logged_in()?,
        };
        to_client.extend_from_slice(&back.unread);
        Some(Leftover { to_client, to_upstream })
    }
}
