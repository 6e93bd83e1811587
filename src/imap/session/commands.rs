//! Reads commands with their literals, and obeys those that are there before a login.

use super::{Action, MAX_COMMANDS, Next, Question, Session, State};
use crate::imap::arguments::{Piece, arguments};
use crate::imap::literal::{Announced, MAX_DROPPED, MAX_LITERAL, announced};
use crate::octets::Line;
use crate::sasl::{Credentials, Exchange, Mechanism, check_name};
use crate::secret::Secret;

/// Octets of a tag.
const MAX_TAG: usize = 128;
/// Literals in one command: a login has two.
const MAX_LITERALS: usize = 8;

/// Commands that are there after the login alone.
const LATER: [&str; 31] = [
    "ENABLE",
    "SELECT",
    "EXAMINE",
    "CREATE",
    "DELETE",
    "RENAME",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "LIST",
    "LSUB",
    "NAMESPACE",
    "STATUS",
    "APPEND",
    "IDLE",
    "CLOSE",
    "UNSELECT",
    "EXPUNGE",
    "SEARCH",
    "FETCH",
    "STORE",
    "COPY",
    "MOVE",
    "UID",
    "CHECK",
    "SORT",
    "THREAD",
    "GETQUOTA",
    "GETQUOTAROOT",
    "GETACL",
    "COMPRESS",
    "XLIST",
];

/// A command of which more is to come.
pub(super) struct Reading {
    tag: String,
    verb: Verb,
    pieces: Vec<Piece>,
    /// The literal that is coming.
    literal: Vec<u8>,
    /// Octets of it that have not come yet.
    left: u64,
    literals: usize,
    /// The command is refused in these words, and read to its end because the client sends it in any case.
    refused: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Capability,
    Noop,
    Id,
    Logout,
    StartTls,
    Login,
    Authenticate,
    Later,
    Unknown,
}

impl Verb {
    fn named(name: &str) -> Self {
        match name {
            "CAPABILITY" => Self::Capability,
            "NOOP" => Self::Noop,
            "ID" => Self::Id,
            "LOGOUT" => Self::Logout,
            "STARTTLS" => Self::StartTls,
            "LOGIN" => Self::Login,
            "AUTHENTICATE" => Self::Authenticate,
            name if LATER.contains(&name) => Self::Later,
            _ => Self::Unknown,
        }
    }
}

impl Session {
    /// Reads the first line of a command, if it is there.
    pub(super) fn command_step(&mut self) -> Next {
        let line = match self.input.line() {
            None => {
                self.state = State::Command;
                return Next::Starved;
            }
            Some(Line::TooLong) => return self.refuse("* BAD Line too long"),
            Some(Line::Whole(line)) => line,
        };
        self.commands += 1;
        if self.commands > MAX_COMMANDS {
            return self.hang_up("Too many commands without a login");
        }
        let Some((tag, rest)) = tag(&line) else {
            return self.refuse("* BAD A command begins with a tag");
        };
        let (name, behind) = word(rest);
        let name = String::from_utf8_lossy(name).to_ascii_uppercase();
        if name.is_empty() {
            return self.refuse(&format!("{tag} BAD A command stands behind the tag"));
        }
        let verb = Verb::named(&name);
        let pieces = Vec::new();
        let refused = self.objection(&tag, verb);
        let reading = Reading { tag, verb, pieces, literal: Vec::new(), left: 0, literals: 0, refused };
        self.more(reading, behind)
    }

    /// Why a command is not even read.
    fn objection(&self, tag: &str, verb: Verb) -> Option<String> {
        match verb {
            Verb::Login | Verb::Authenticate if !self.takes_logins() => Some(if self.options.starttls {
                format!("{tag} NO [PRIVACYREQUIRED] Use STARTTLS before a login")
            } else {
                format!("{tag} NO [PRIVACYREQUIRED] No logins are taken here without TLS")
            }),
            Verb::Later => Some(format!("{tag} BAD Log in first")),
            Verb::Unknown => Some(format!("{tag} BAD Unknown command")),
            Verb::Capability
            | Verb::Noop
            | Verb::Id
            | Verb::Logout
            | Verb::StartTls
            | Verb::Login
            | Verb::Authenticate => None,
        }
    }

    /// Adds a line to a command; a literal may follow it.
    fn more(&mut self, mut reading: Reading, line: &[u8]) -> Next {
        let Some((text, literal)) = announced(line) else {
            reading.pieces.push(Piece::Text(line.to_vec()));
            return self.complete(reading);
        };
        reading.literals += 1;
        let takes_literals = matches!(reading.verb, Verb::Login | Verb::Id) && reading.literals <= MAX_LITERALS;
        if !takes_literals && reading.refused.is_none() {
            reading.refused = Some(format!("{} BAD No literal is taken here", reading.tag));
        }
        reading.pieces.push(Piece::Text(text.to_vec()));
        match literal {
            Announced::Unreadable => self.hang_up("The length of a literal cannot be read"),
            Announced::Coming(octets) if octets > MAX_DROPPED => self.hang_up("A literal is too long"),
            Announced::Waiting(octets) | Announced::Coming(octets) => {
                if octets > MAX_LITERAL && reading.refused.is_none() {
                    reading.refused = Some(format!("{} BAD [TOOBIG] A literal is too long", reading.tag));
                }
                match (literal, &reading.refused) {
                    // The client has not sent it, and after this answer it does not.
                    (Announced::Waiting(_), Some(words)) => return self.refuse(&words.clone()),
                    (Announced::Waiting(_), None) => self.say("+ Go ahead"),
                    (Announced::Coming(_) | Announced::Unreadable, _) => {}
                }
                reading.left = octets;
                self.state = State::Literal(reading);
                Next::Again
            }
        }
    }

    pub(super) fn literal_step(&mut self, mut reading: Reading) -> Next {
        let rest = self.input.rest();
        let count = usize::try_from(reading.left).unwrap_or(usize::MAX).min(rest.len());
        if reading.refused.is_none() {
            reading.literal.extend_from_slice(&rest[..count]);
        }
        self.input.consume(count);
        reading.left -= count as u64;
        if reading.left > 0 {
            self.state = State::Literal(reading);
            return Next::Starved;
        }
        let literal = std::mem::take(&mut reading.literal);
        reading.pieces.push(Piece::Literal(literal));
        self.state = State::Behind(reading);
        Next::Again
    }

    pub(super) fn behind_step(&mut self, mut reading: Reading) -> Next {
        match self.input.line() {
            None => {
                self.state = State::Behind(reading);
                Next::Starved
            }
            Some(Line::TooLong) => {
                let words = format!("{} BAD Line too long", reading.tag);
                self.refuse(&words)
            }
            Some(Line::Whole(line)) => {
                if line.first().is_some_and(|octet| !matches!(octet, b' ' | b')')) && reading.refused.is_none() {
                    reading.refused = Some(format!("{} BAD Arguments are parted by blanks", reading.tag));
                }
                self.more(reading, &line)
            }
        }
    }

    fn complete(&mut self, reading: Reading) -> Next {
        let Reading { tag, verb, pieces, refused, .. } = reading;
        if let Some(words) = refused {
            return self.refuse(&words);
        }
        // What a client says of itself is of no use here, so nobody minds how it says it.
        if verb == Verb::Id {
            self.say("* ID (\"name\" \"oxpost\")");
            return self.reply(&format!("{tag} OK Pleased to meet you"));
        }
        match arguments(&pieces) {
            Ok(arguments) => self.obey(tag, verb, arguments),
            Err(error) => self.refuse(&format!("{tag} BAD {error}")),
        }
    }

    fn obey(&mut self, tag: String, verb: Verb, arguments: Vec<String>) -> Next {
        match (verb, arguments.as_slice()) {
            (Verb::Capability, []) => {
                let line = format!("* CAPABILITY {}", self.capabilities());
                self.say(&line);
                self.reply(&format!("{tag} OK That is what there is before a login"))
            }
            (Verb::Noop, []) => self.reply(&format!("{tag} OK Nothing done")),
            (Verb::Logout, []) => {
                self.say("* BYE Goodbye");
                self.say(&format!("{tag} OK Logged out"));
                self.input.clear();
                self.state = State::Closing;
                Next::Again
            }
            (Verb::StartTls, []) => self.start_tls(&tag),
            (Verb::Login, [_, _]) => self.log_in(tag, arguments),
            (Verb::Login, _) => self.refuse(&format!("{tag} BAD LOGIN takes a name and a password")),
            (Verb::Authenticate, [mechanism]) => self.authenticate(tag, mechanism, None),
            (Verb::Authenticate, [mechanism, response]) => self.authenticate(tag, mechanism, Some(response)),
            (Verb::Authenticate, _) => self.refuse(&format!("{tag} BAD AUTHENTICATE takes a mechanism")),
            _ => self.refuse(&format!("{tag} BAD This command takes no argument")),
        }
    }

    fn start_tls(&mut self, tag: &str) -> Next {
        if self.tls {
            return self.refuse(&format!("{tag} BAD TLS is there already"));
        }
        if !self.options.starttls {
            return self.refuse(&format!("{tag} BAD STARTTLS is not offered"));
        }
        // What came in clear behind the command could have been put there by anybody on the way.
        self.input.clear();
        self.say(&format!("{tag} OK Begin TLS now"));
        self.state = State::StartingTls;
        Next::Again
    }

    fn log_in(&mut self, tag: String, arguments: Vec<String>) -> Next {
        let mut arguments = arguments.into_iter();
        let login = arguments.next().unwrap_or_default();
        let password = Secret::new(arguments.next().unwrap_or_default());
        if check_name(&login).is_err() {
            return self.refuse(&format!("{tag} NO [AUTHENTICATIONFAILED] Wrong login or password"));
        }
        let credentials = Credentials::Password { authorization_id: None, login, password };
        self.ask(Question::LogIn { tag }, Action::LogIn(credentials))
    }

    fn authenticate(&mut self, tag: String, mechanism: &str, response: Option<&str>) -> Next {
        let Some(mechanism) = Mechanism::named(mechanism).filter(|mechanism| self.takes(*mechanism)) else {
            return self.refuse(&format!("{tag} NO This mechanism is not offered"));
        };
        let exchange = Exchange::begin(mechanism);
        match response {
            None => self.challenge(tag, exchange),
            // RFC 4959: `=` is an initial response of no octets.
            Some("=") => self.respond(tag, exchange, ""),
            Some(response) => self.respond(tag, exchange, response),
        }
    }
}

/// The tag and what is behind its blank.
fn tag(line: &[u8]) -> Option<(String, &[u8])> {
    let (tag, behind) = word(line);
    let fine = |octet: &u8| octet.is_ascii_graphic() && !b"(){%*\"\\+".contains(octet);
    if tag.is_empty() || tag.len() > MAX_TAG || !tag.iter().all(fine) {
        return None;
    }
    String::from_utf8(tag.to_vec()).ok().map(|tag| (tag, behind.trim_ascii_start()))
}

/// The octets before the first blank, and those from it on.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|octet| *octet == b' ').unwrap_or(text.len()))
}
