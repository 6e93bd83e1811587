//! The IMAP and POP3 sessions in memory, as the other end of a dialogue.

use std::collections::VecDeque;

use oxpost::sasl::reading::Options;
use oxpost::sasl::{Credentials, Denial};
use oxpost::{imap, pop3};

use crate::dialogue::{Peer, Rules, Stored};

/// What a session wants, whichever protocol it speaks.
pub(crate) enum Wish {
    Reply(Vec<u8>),
    StartTls,
    LogIn(Credentials),
    Close,
}

pub(crate) trait Session {
    fn receive(&mut self, octets: &[u8]);
    fn wish(&mut self) -> Option<Wish>;
    fn tls_started(&mut self);
    fn denied(&mut self, denial: Denial, words: &str);
    /// The answer to the client, and what the upstream is given.
    fn logged_in(self) -> (Vec<u8>, Vec<u8>);
}

macro_rules! session {
    ($protocol:ident, $logged_in:expr) => {
        impl Session for $protocol::Session {
            fn receive(&mut self, octets: &[u8]) {
                self.receive(octets);
            }

            fn wish(&mut self) -> Option<Wish> {
                self.next_action().map(|action| match action {
                    $protocol::Action::Reply(octets) => Wish::Reply(octets),
                    $protocol::Action::StartTls => Wish::StartTls,
                    $protocol::Action::LogIn(credentials) => Wish::LogIn(credentials),
                    $protocol::Action::Close => Wish::Close,
                })
            }

            fn tls_started(&mut self) {
                self.tls_started();
            }

            fn denied(&mut self, denial: Denial, words: &str) {
                self.denied(denial, words);
            }

            fn logged_in(self) -> (Vec<u8>, Vec<u8>) {
                let handover: Option<$protocol::Handover> = $logged_in(self);
                let $protocol::Handover { reply, unread } = handover.expect("a login was asked for");
                (reply, unread)
            }
        }
    };
}

session!(imap, |session: imap::Session| session.logged_in(None));
session!(pop3, |session: pop3::Session| session.logged_in());

/// A session, and what stands behind it.
pub(crate) struct InMemory<S> {
    /// `None` once the client is logged in.
    session: Option<S>,
    rules: Rules,
    wire: VecDeque<u8>,
    passed_on: VecDeque<u8>,
    closed: bool,
    handshake_due: bool,
}

/// IMAP as the rules say.
pub(crate) fn imap(rules: &Rules) -> InMemory<imap::Session> {
    InMemory::new(imap::Session::new(options(rules), rules.tls), rules)
}

/// POP3 as the rules say.
pub(crate) fn pop3(rules: &Rules) -> InMemory<pop3::Session> {
    InMemory::new(pop3::Session::new(options(rules), rules.tls), rules)
}

fn options(rules: &Rules) -> Options {
    Options {
        starttls: rules.starttls,
        clear_logins: rules.auth == "always",
        own_tokens: rules.own_tokens,
        max_errors: rules.max_errors,
    }
}

impl<S: Session> InMemory<S> {
    fn new(session: S, rules: &Rules) -> Self {
        let (wire, passed_on, rules) = (VecDeque::new(), VecDeque::new(), rules.clone());
        let mut this = Self { session: Some(session), rules, wire, passed_on, closed: false, handshake_due: false };
        this.drive();
        this
    }

    fn drive(&mut self) {
        while let Some(wish) = self.session.as_mut().and_then(Session::wish) {
            match wish {
                Wish::Reply(octets) => self.wire.extend(octets),
                Wish::StartTls => self.handshake_due = true,
                Wish::LogIn(credentials) => self.log_in(&credentials),
                Wish::Close => self.closed = true,
            }
        }
    }

    fn log_in(&mut self, credentials: &Credentials) {
        let (name, right) = &self.rules.login;
        let good = match credentials {
            Credentials::Password { authorization_id, login, password } => {
                authorization_id.as_ref().is_none_or(|id| id == login) && login == name && password.same_as(right)
            }
            Credentials::Token { mailbox, .. } => mailbox == "scanner@b.example",
        };
        let session = self.session.as_mut().expect("nobody is logged in yet");
        if !good {
            session.denied(Denial::Credentials, "Wrong login or password");
        } else if self.rules.trouble {
            session.denied(Denial::Unavailable, "The provider is away\r\n* OK \u{1}not said");
        } else if let Some(session) = self.session.take() {
            let (reply, unread) = session.logged_in();
            self.wire.extend(reply);
            self.passed_on.extend(unread);
        }
    }
}

impl<S: Session> Peer for InMemory<S> {
    fn send(&mut self, octets: &[u8]) {
        match &mut self.session {
            Some(session) => {
                session.receive(octets);
                self.drive();
            }
            None => self.passed_on.extend(octets),
        }
    }

    fn line(&mut self) -> Option<String> {
        line(&mut self.wire)
    }

    fn is_closed(&mut self) -> bool {
        self.closed
    }

    fn start_tls(&mut self) {
        assert!(std::mem::take(&mut self.handshake_due), "the server waits for a handshake");
        self.session.as_mut().expect("nobody is logged in yet").tls_started();
        self.drive();
    }

    fn message(&mut self) -> Option<Stored> {
        None
    }

    fn passed_on(&mut self) -> Option<String> {
        line(&mut self.passed_on)
    }
}

fn line(octets: &mut VecDeque<u8>) -> Option<String> {
    let length = octets.iter().position(|octet| *octet == b'\n')?;
    let line: Vec<u8> = octets.drain(..=length).collect();
    let line = String::from_utf8(line).expect("it is ASCII");
    Some(line.strip_suffix("\r\n").expect("a line ends with CRLF").to_owned())
}
