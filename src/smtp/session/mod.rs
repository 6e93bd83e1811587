//! The server's side of one SMTP connection, as a value: octets in, actions out, answers fed back.
//!
//! `state` has what a session can be in, `commands` what each command does, `auth` the exchange behind AUTH and
//! `content` what follows DATA and BDAT.

mod auth;
mod commands;
mod content;
mod state;
#[cfg(test)]
mod tests;

pub use state::Hello;

use self::state::{Identity, State};
use super::input::Input;
use super::{Action, AuthRule, LineEndings, Options, Reply, replies};

/// Octets of replies that are joined before they are handed out: a flood of pipelined commands must not pile up
/// answers.
const MAX_JOINED: usize = 16 * 1024;

/// One SMTP session. It begins with the greeting.
///
/// The driver loops: take [`next_action`](Self::next_action) until it is `None`, do what it says, feed answers back;
/// then read and [`receive`](Self::receive). It may be dropped at any moment.
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
    /// Nothing more without octets: hand out the replies.
    Starved,
    /// Nothing more without an answer, or ever.
    Stopped,
}

impl Session {
    /// A session that is about to greet. `tls`: the connection is under TLS already. `identified`: the client is
    /// known by its network and needs no AUTH.
    pub fn new(options: Options, tls: bool, identified: bool) -> Self {
        let mut output = Vec::new();
        Reply::basic(220, "").saying(&format!("{} ESMTP oxpost", options.hostname)).write_to(&mut output);
        let identity = if identified { Identity::Network } else { Identity::Stranger };
        let (state, input) = (State::Idle, Input::default());
        Self { options, tls, identity, hello: None, state, input, output, errors: 0 }
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
        match &self.state {
            State::Idle | State::Transaction(_) | State::BetweenChunks(_) => self.command_step(),
            State::Authenticating(_) => self.auth_step(),
            State::Data(_) | State::Chunk { .. } | State::SkippingChunk { .. } => self.content_step(),
            State::ContentEnded(_) => self.end_content(),
            State::StartingTls | State::Closing if !self.output.is_empty() => Step::Starved,
            State::StartingTls => self.ask(State::AskedTls, Action::StartTls),
            State::Closing => self.ask(State::Closed, Action::Close),
            State::AskedTls
            | State::AskedCredentials
            | State::AskedMail { .. }
            | State::AskedRcpt(_)
            | State::AskedRoom(_)
            | State::AskedAcceptance
            | State::Closed => Step::Stopped,
        }
    }

    /// Whether the last action asked something that was not answered yet.
    pub fn owes_answer(&self) -> bool {
        matches!(
            self.state,
            State::AskedTls
                | State::AskedCredentials
                | State::AskedMail { .. }
                | State::AskedRcpt(_)
                | State::AskedRoom(_)
                | State::AskedAcceptance
        )
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

    /// Whether nothing would be lost if the server said 421 now: no message is open and nothing was received that
    /// waits for its turn.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle) && self.input.is_empty() && self.output.is_empty()
    }

    /// Whether content is being received: the time-out for it is another, and no reply may be written now.
    pub fn is_in_content(&self) -> bool {
        matches!(self.state, State::Data(_) | State::Chunk { .. } | State::SkippingChunk { .. })
    }

    /// Whether the content of DATA held a line with nothing but a dot that was not its end, because a lone LF stood
    /// around it. If such a client times out, it probably needs `line_endings = "lf"`.
    pub fn saw_lone_dot(&self) -> bool {
        matches!(&self.state, State::Data(data) if data.saw_lone_dot())
    }

    /// Sets how the client's lines end, once it is known which client this is. Counts from the next DATA.
    pub fn set_line_endings(&mut self, endings: LineEndings) {
        self.options.line_endings = endings;
    }

    /// The answer to [`Action::StartTls`]. The session starts anew (RFC 3207 section 4.2).
    pub fn tls_started(&mut self) {
        if let State::AskedTls = self.state {
            self.input.clear();
            self.tls = true;
            self.hello = None;
            self.state = State::Idle;
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

    fn ask(&mut self, state: State, question: Action) -> Step {
        self.state = state;
        Step::Do(question)
    }

    fn reply(&mut self, reply: Reply) {
        reply.write_to(&mut self.output);
    }

    /// Refuses what the client did wrong. The last thing a handler does: the error limit may end the session.
    fn refuse(&mut self, reply: Reply) {
        self.errors += 1;
        if self.errors > self.options.max_errors {
            self.hang_up(replies::TOO_MANY_ERRORS);
        } else {
            self.reply(reply);
        }
    }

    /// Says a last word. Nothing that was received is looked at any more.
    fn hang_up(&mut self, reply: Reply) {
        self.reply(reply);
        self.input.clear();
        self.state = State::Closing;
    }
}
