//! The server's side of an IMAP connection up to the login, as a value: octets in, actions out, answers fed back.
//!
//! `commands` reads commands with their literals and obeys them, `login` has the exchange behind AUTHENTICATE.

mod commands;
mod login;
#[cfg(test)]
mod tests;

use crate::octets;
use crate::sasl::reading::{MAX_COMMANDS, MAX_JOINED, MAX_LINE, Next, visible};
use crate::sasl::{Denial, Exchange, Mechanism};

pub use crate::sasl::reading::{Action, Handover, Options};

use self::commands::Reading;

type Input = octets::Input<MAX_LINE>;

/// One session before the login. It begins with the greeting.
///
/// The driver loops: take [`next_action`](Self::next_action) until it is `None`, do what it says, feed answers back;
/// then read and [`receive`](Self::receive). It may be dropped at any moment.
pub struct Session {
    options: Options,
    tls: bool,
    state: State,
    input: Input,
    output: Vec<u8>,
    errors: u32,
    commands: u32,
}

enum State {
    /// The client may give a command.
    Command,
    /// A literal of a command is coming.
    Literal(Reading),
    /// What stands behind a literal is coming.
    Behind(Reading),
    /// AUTHENTICATE waits for a response.
    Authenticating { tag: String, exchange: Exchange },
    /// The driver owes an answer.
    Asked(Question),
    /// OK was said to STARTTLS. It is written before the handshake begins.
    StartingTls,
    /// The last answer was said. It is written before the connection is closed.
    Closing,
    /// It is over.
    Closed,
}

enum Question {
    Tls,
    LogIn { tag: String },
}

impl Session {
    /// A session that is about to greet. `tls`: the connection is under TLS from its beginning.
    pub fn new(options: Options, tls: bool) -> Self {
        let (state, input) = (State::Command, Input::default());
        let mut this = Self { options, tls, state, input, output: Vec::new(), errors: 0, commands: 0 };
        let greeting = format!("* OK [CAPABILITY {}] oxpost is ready", this.capabilities());
        this.say(&greeting);
        this
    }

    /// Takes octets from the wire, at most 64 kB or so at a time.
    pub fn receive(&mut self, octets: &[u8]) {
        if !matches!(self.state, State::Closing | State::Closed) {
            self.input.receive(octets);
        }
    }

    /// What to do next; `None`: read more, or answer the last question.
    pub fn next_action(&mut self) -> Option<Action> {
        while self.output.len() < MAX_JOINED {
            match self.step() {
                Next::Again => {}
                Next::Do(action) => return Some(action),
                Next::Starved => break,
                Next::Stopped => return None,
            }
        }
        (!self.output.is_empty()).then(|| Action::Reply(std::mem::take(&mut self.output)))
    }

    fn step(&mut self) -> Next {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Command => self.command_step(),
            State::Literal(reading) => self.literal_step(reading),
            State::Behind(reading) => self.behind_step(reading),
            State::Authenticating { tag, exchange } => self.response_step(tag, exchange),
            State::StartingTls if self.output.is_empty() => self.ask(Question::Tls, Action::StartTls),
            State::Closing if self.output.is_empty() => Next::Do(Action::Close),
            state @ (State::StartingTls | State::Closing) => {
                self.state = state;
                Next::Starved
            }
            state @ (State::Asked(_) | State::Closed) => {
                self.state = state;
                Next::Stopped
            }
        }
    }

    /// Whether the server may say goodbye now without cutting a command or an answer.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Command) && self.input.is_empty() && self.output.is_empty()
    }

    /// The answer to [`Action::StartTls`]: the session starts anew.
    pub fn tls_started(&mut self) {
        if let State::Asked(Question::Tls) = self.state {
            self.input.clear();
            self.tls = true;
            self.state = State::Command;
        }
    }

    /// The answer to [`Action::LogIn`]: the upstream said yes. `capabilities` are those it named with it. `None` if no
    /// login was asked for.
    pub fn logged_in(mut self, capabilities: Option<&str>) -> Option<Handover> {
        let State::Asked(Question::LogIn { tag }) = self.state else { return None };
        let code = capabilities.map(|names| format!("[CAPABILITY {names}] ")).unwrap_or_default();
        // Answers to what was pipelined before the login go first.
        let mut reply = self.output;
        reply.extend_from_slice(format!("{tag} OK {code}Logged in\r\n").as_bytes());
        Some(Handover { reply, unread: self.input.take_rest() })
    }

    /// The answer to [`Action::LogIn`]: no, in these words. The client may try again.
    pub fn denied(&mut self, denial: Denial, words: &str) {
        let State::Asked(Question::LogIn { tag }) = std::mem::replace(&mut self.state, State::Command) else { return };
        let code = match denial {
            Denial::Credentials => "AUTHENTICATIONFAILED",
            Denial::Unavailable => "UNAVAILABLE",
        };
        self.refuse(&format!("{tag} NO [{code}] {}", visible(words)));
    }

    /// A last word for a client that is not logged in.
    pub fn goodbye(words: &str) -> Vec<u8> {
        format!("* BYE {}\r\n", visible(words)).into_bytes()
    }

    fn takes_logins(&self) -> bool {
        self.tls || self.options.clear_logins
    }

    /// What is offered now.
    fn capabilities(&self) -> String {
        let mut words = vec!["IMAP4rev1", "ID", "LITERAL+"];
        if self.options.starttls && !self.tls {
            words.push("STARTTLS");
        }
        if !self.takes_logins() {
            words.push("LOGINDISABLED");
            return words.join(" ");
        }
        words.extend(["SASL-IR", "AUTH=PLAIN", "AUTH=LOGIN"]);
        if self.options.own_tokens {
            words.extend(["AUTH=XOAUTH2", "AUTH=OAUTHBEARER"]);
        }
        words.join(" ")
    }

    fn takes(&self, mechanism: Mechanism) -> bool {
        !mechanism.brings_a_token() || self.options.own_tokens
    }

    fn ask(&mut self, question: Question, action: Action) -> Next {
        self.state = State::Asked(question);
        Next::Do(action)
    }

    fn say(&mut self, line: &str) {
        self.output.extend_from_slice(line.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    fn reply(&mut self, line: &str) -> Next {
        self.say(line);
        self.state = State::Command;
        Next::Again
    }

    /// Says no; after too many errors goodbye as well.
    fn refuse(&mut self, line: &str) -> Next {
        self.errors += 1;
        self.say(line);
        if self.errors > self.options.max_errors {
            return self.hang_up("Too many errors");
        }
        self.state = State::Command;
        Next::Again
    }

    fn hang_up(&mut self, words: &str) -> Next {
        self.output.extend_from_slice(&Self::goodbye(words));
        self.input.clear();
        self.state = State::Closing;
        Next::Again
    }
}
