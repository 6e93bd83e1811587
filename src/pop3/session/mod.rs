//! The server's side of a POP3 connection up to the login, as a value: octets in, actions out, answers fed back.

mod commands;
#[cfg(test)]
mod tests;

use crate::octets;
use crate::sasl::reading::{MAX_COMMANDS, MAX_JOINED, MAX_LINE, Next, visible};
use crate::sasl::{Denial, Exchange, Mechanism};

pub use crate::sasl::reading::{Action, Handover, Options};

type Input = octets::Input<MAX_LINE>;

/// One session before the login. It begins with the greeting. The driver loops as over
/// [`imap::Session`](crate::imap::Session).
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
    /// The client may give a command. USER may have named a login.
    Command { user: Option<String> },
    /// AUTH waits for a response.
    Authenticating(Exchange),
    /// The driver owes an answer.
    Asked(Question),
    /// +OK was said to STLS. It is written before the handshake begins.
    StartingTls,
    /// The last answer was said. It is written before the connection is closed.
    Closing,
    /// It is over.
    Closed,
}

#[derive(Clone, Copy)]
enum Question {
    Tls,
    LogIn,
}

impl Session {
    /// A session that is about to greet. `tls`: the connection is under TLS from its beginning.
    pub fn new(options: Options, tls: bool) -> Self {
        // No timestamp in angle brackets: that would offer APOP, which needs the password in clear on our side.
        let output = b"+OK oxpost is ready\r\n".to_vec();
        let (state, input) = (State::Command { user: None }, Input::default());
        Self { options, tls, state, input, output, errors: 0, commands: 0 }
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
            State::Command { user } => self.command_step(user),
            State::Authenticating(exchange) => self.response_step(exchange),
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
        matches!(self.state, State::Command { .. }) && self.input.is_empty() && self.output.is_empty()
    }

    /// The answer to [`Action::StartTls`]: the session starts anew.
    pub fn tls_started(&mut self) {
        if let State::Asked(Question::Tls) = self.state {
            self.input.clear();
            self.tls = true;
            self.state = State::Command { user: None };
        }
    }

    /// The answer to [`Action::LogIn`]: the upstream said yes. `None` if no login was asked for.
    pub fn logged_in(mut self) -> Option<Handover> {
        let State::Asked(Question::LogIn) = self.state else { return None };
        // Answers to what was pipelined before the login go first.
        let mut reply = self.output;
        reply.extend_from_slice(b"+OK Logged in\r\n");
        Some(Handover { reply, unread: self.input.take_rest() })
    }

    /// The answer to [`Action::LogIn`]: no, in these words. The client may try again.
    pub fn denied(&mut self, denial: Denial, words: &str) {
        let State::Asked(Question::LogIn) = self.state else { return };
        let code = match denial {
            Denial::Credentials => "AUTH",
            Denial::Unavailable => "SYS/TEMP",
        };
        self.refuse(&format!("[{code}] {}", visible(words)));
    }

    /// A last word for a client that is not logged in.
    pub fn goodbye(words: &str) -> Vec<u8> {
        format!("-ERR [SYS/TEMP] {}\r\n", visible(words)).into_bytes()
    }

    fn takes_logins(&self) -> bool {
        self.tls || self.options.clear_logins
    }

    /// The mechanisms that are offered now.
    fn mechanisms(&self) -> Vec<Mechanism> {
        if !self.takes_logins() {
            return Vec::new();
        }
        let all = [Mechanism::Plain, Mechanism::Login, Mechanism::XOAuth2, Mechanism::OAuthBearer];
        all.into_iter().filter(|mechanism| !mechanism.brings_a_token() || self.options.own_tokens).collect()
    }

    fn ask(&mut self, question: Question, action: Action) -> Next {
        self.state = State::Asked(question);
        Next::Do(action)
    }

    fn say(&mut self, line: &str) {
        self.output.extend_from_slice(line.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    fn reply(&mut self, line: &str, user: Option<String>) -> Next {
        self.say(line);
        self.state = State::Command { user };
        Next::Again
    }

    /// Says `-ERR`; after too many errors the session ends.
    fn refuse(&mut self, words: &str) -> Next {
        self.errors += 1;
        self.say(&format!("-ERR {words}"));
        self.state = State::Command { user: None };
        if self.errors > self.options.max_errors {
            return self.hang_up("Too many errors");
        }
        Next::Again
    }

    /// The last answer said why; nothing that was received is looked at any more.
    fn hang_up(&mut self, words: &str) -> Next {
        self.output.extend_from_slice(&Self::goodbye(words));
        self.input.clear();
        self.state = State::Closing;
        Next::Again
    }
}
