//! IMAP and POP3 as one, toward servers: the value of each protocol behind one face.

use super::Protocol;
use crate::sasl::Mechanism;
use crate::secret::Secret;
use crate::{imap, pop3};

/// The dialogue with a server up to its yes.
pub(super) enum Back {
    Imap(imap::Upstream),
    Pop3(pop3::Upstream),
}

/// What the dialogue with a server wants done.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum BackStep {
    Read,
    StartTls,
    Authenticate(Mechanism),
    LoggedIn,
}

/// Why a server did not let us in, in its words.
#[derive(Debug)]
pub(super) struct BackTrouble {
    pub(super) words: String,
    /// The server said no to the login itself, after it had the token.
    pub(super) to_login: bool,
    /// What the error challenge said.
    pub(super) challenge: Option<String>,
}

impl Back {
    pub(super) fn new(protocol: Protocol, secure: bool, nonce: &str) -> Self {
        match protocol {
            Protocol::Imap => Self::Imap(imap::Upstream::new(secure, nonce)),
            Protocol::Pop3 => Self::Pop3(pop3::Upstream::new(secure)),
        }
    }

    pub(super) fn output(&self) -> &[u8] {
        match self {
            Self::Imap(upstream) => upstream.output(),
            Self::Pop3(upstream) => upstream.output(),
        }
    }

    pub(super) fn written(&mut self) {
        match self {
            Self::Imap(upstream) => upstream.written(),
            Self::Pop3(upstream) => upstream.written(),
        }
    }

    pub(super) fn receive(&mut self, octets: &[u8]) {
        match self {
            Self::Imap(upstream) => upstream.receive(octets),
            Self::Pop3(upstream) => upstream.receive(octets),
        }
    }

    /// What is waited for, for people.
    pub(super) fn awaited(&self) -> &'static str {
        match self {
            Self::Imap(upstream) => upstream.stage().name(),
            Self::Pop3(upstream) => upstream.stage().name(),
        }
    }

    pub(super) fn step(&mut self) -> Result<BackStep, BackTrouble> {
        match self {
            Self::Imap(upstream) => Ok(match upstream.step()? {
                imap::Step::Read => BackStep::Read,
                imap::Step::StartTls => BackStep::StartTls,
                imap::Step::Authenticate(mechanism) => BackStep::Authenticate(mechanism),
                imap::Step::LoggedIn => BackStep::LoggedIn,
            }),
            Self::Pop3(upstream) => Ok(match upstream.step()? {
                pop3::Step::Read => BackStep::Read,
                pop3::Step::StartTls => BackStep::StartTls,
                pop3::Step::Authenticate(mechanism) => BackStep::Authenticate(mechanism),
                pop3::Step::LoggedIn => BackStep::LoggedIn,
            }),
        }
    }

    pub(super) fn tls_started(&mut self) {
        match self {
            Self::Imap(upstream) => upstream.tls_started(),
            Self::Pop3(upstream) => upstream.tls_started(),
        }
    }

    pub(super) fn authenticate(&mut self, mechanism: Mechanism, response: &Secret) {
        match self {
            Self::Imap(upstream) => upstream.authenticate(mechanism, response),
            Self::Pop3(upstream) => upstream.authenticate(mechanism, response),
        }
    }

    pub(super) fn into_logged_in(self) -> imap::LoggedIn {
        match self {
            Self::Imap(upstream) => upstream.into_logged_in(),
            Self::Pop3(_) => imap::LoggedIn::default(),
        }
    }
}

impl From<imap::Trouble> for BackTrouble {
    fn from(trouble: imap::Trouble) -> Self {
        let words = trouble.to_string();
        let to_login = matches!(&trouble, imap::Trouble::Refused { stage: imap::upstream::Stage::Authenticate, .. });
        let challenge = if let imap::Trouble::Refused { challenge, .. } = trouble { challenge } else { None };
        Self { words, to_login, challenge }
    }
}

impl From<pop3::Trouble> for BackTrouble {
    fn from(trouble: pop3::Trouble) -> Self {
        let words = trouble.to_string();
        let to_login = matches!(&trouble, pop3::Trouble::Refused { stage: pop3::upstream::Stage::Auth, .. });
        let challenge = if let pop3::Trouble::Refused { challenge, .. } = trouble { challenge } else { None };
        Self { words, to_login, challenge }
    }
}
