//! The server's side of one SMTP connection, as a value: octets in, actions out, answers fed back.
//!
//! `state` has what a session can be in, `commands` what each command does, `transaction` MAIL and RCPT, `auth` the
//! exchange behind AUTH, and `content` what follows DATA and BDAT.

mod auth;
mod commands;
mod content;
mod state;
#[cfg(test)]
mod tests;
mod transaction;

pub use state::Hello;

use self::state::{Content, Identity, Message, Question, State};
use super::input::Input;
use super::{Action, AuthRule, LineEndings, Options, Reply, replies};

/// Octets of replies that are joined before they are handed out: a flood of pipelined commands must not pile up
/// answers.
const MAX_JOINED: usize = 16 * 1024;

/// One SMTP session. It begins with the greeting.
///
/// The driver loops: take [`next_action`](Self::next_action) until it is `None`, do what it says, feed answers back;
/// then read and [`receive`](Self::receive). It may be dropped at any moment. An answer to a question that was not
/// asked is without effect.
pub struct Session {
    options: Options,
    tls: bool,
    identity: Identity,
    hello: Option<Hello>,
    state: State,
    input: Input,
    /// Replies not handed out yet.
    output: Vec<u8>,
    /// Errors since the last message.
    errors: u32,
}

/// What one step of the session came to.
enum Step {
    /// Something changed; go on.
    Again,
    /// The driver has to do something.
    Do(Action),
    /// Nothing more before the replies are written or octets come.
    Starved,
    /// Nothing more before an answer comes, or ever.
    Stopped,
}

impl Session {
    /// A session that is about to greet. `tls`: the connection is under TLS from its beginning.
    pub fn new(options: Options, tls: bool) -> Self {
        let greeting = Reply::basic(220, "").saying(&format!("{} ESMTP oxpost", options.hostname));
        let output = greeting.to_octets();
        let (identity, state, input) = (Identity::Stranger, State::default(), Input::default());
        Self { options, tls, identity, hello: None, state, input, output, errors: 0 }
    }

    /// Says whether the client is known by its network: then it needs no AUTH, but may use it.
    #[must_use]
    pub fn identified(mut self, by_network: bool) -> Self {
        self.identity = if by_network { Identity::Network } else { Identity::Stranger };
        self
    }

    /// Takes octets from the wire, at most 64 kB or so at a time. They are kept until the session comes to them.
    pub fn receive(&mut self, octets: &[u8]) {
        if !matches!(self.state, State::Closing | State::Closed) {
            self.input.receive(octets);
        }
    }

    /// What to do next; `None`: read more, or answer the last question.
    pub fn next_action(&mut self) -> Option<Action> {
        while self.output.len() < MAX_JOINED {
            match self.step() {
                Step::Again => {}
                Step::Do(action) => return Some(action),
                Step::Starved => break,
                Step::Stopped => return None,
            }
        }
        (!self.output.is_empty()).then(|| Action::Reply(std::mem::take(&mut self.output)))
    }

    fn step(&mut self) -> Step {
        match std::mem::take(&mut self.state) {
            State::Command(message) => self.command_step(message),
            State::Authenticating(exchange) => self.auth_step(exchange),
            State::Content(content) => self.content_step(content),
            State::StartingTls if self.output.is_empty() => self.ask(Question::Tls, Action::StartTls),
            State::Closing if self.output.is_empty() => {
                self.state = State::Closed;
                Step::Do(Action::Close)
            }
            state @ (State::StartingTls | State::Closing) => {
                self.state = state;
                Step::Starved
            }
            state @ (State::Asked(_) | State::Closed) => {
                self.state = state;
                Step::Stopped
            }
        }
    }

    /// Whether the last action asked something that was not answered yet.
    pub fn owes_answer(&self) -> bool {
        matches!(self.state, State::Asked(_))
    }

    /// What EHLO or HELO said, if it was said since the connection or TLS began.
    pub fn hello(&self) -> Option<&Hello> {
        self.hello.as_ref()
    }

    /// Whether the connection is under TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whether AUTH succeeded.
    pub fn is_authenticated(&self) -> bool {
        self.identity == Identity::Login
    }

    /// Whether nothing would be lost if the server said 421 now: no message is open, and nothing that was received
    /// waits for its turn.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Command(Message::None)) && self.input.is_empty() && self.output.is_empty()
    }

    /// Whether content is being received: its time-out is another, and the server may not speak now.
    pub fn is_in_content(&self) -> bool {
        matches!(self.state, State::Content(_))
    }

    /// Whether the content of DATA held a line with nothing but a dot that was not its end, because a lone LF stood
    /// around it. If such a client times out, it probably needs `line_endings = "lf"`.
    pub fn saw_lone_dot(&self) -> bool {
        matches!(&self.state, State::Content(Content::Data(data)) if data.decoder.saw_lone_dot())
    }

    /// Sets how the client's lines end, once it is known which client this is. Counts from the next DATA.
    pub fn set_line_endings(&mut self, endings: LineEndings) {
        self.options.line_endings = endings;
    }

    /// The answer to [`Action::StartTls`]. The session starts anew (RFC 3207 section 4.2).
    pub fn tls_started(&mut self) {
        if let State::Asked(Question::Tls) = self.state {
            self.input.clear();
            self.tls = true;
            self.hello = None;
            self.state = State::default();
        }
    }

    /// Whether AUTH can be used now.
    fn offers_auth(&self) -> bool {
        match self.options.auth {
            AuthRule::Never => false,
            AuthRule::OverTlsOnly => self.tls,
            AuthRule::Always => true,
        }
    }

    fn ask(&mut self, question: Question, action: Action) -> Step {
        self.state = State::Asked(question);
        Step::Do(action)
    }

    /// Says `reply` and waits for the next command.
    fn reply(&mut self, reply: &Reply, message: Message) -> Step {
        reply.write_to(&mut self.output);
        self.state = State::Command(message);
        Step::Again
    }

    /// Says `reply` to what the client did wrong, and waits for its next command unless that was one error too many.
    fn refuse(&mut self, reply: &Reply, message: Message) -> Step {
        self.errors += 1;
        if self.errors > self.options.max_errors {
            self.hang_up(&replies::TOO_MANY_ERRORS)
        } else {
            self.reply(reply, message)
        }
    }

    /// Says a last word. Nothing that was received is looked at any more.
    fn hang_up(&mut self, reply: &Reply) -> Step {
        reply.write_to(&mut self.output);
        self.input.clear();
        self.state = State::Closing;
        Step::Again
    }
}
