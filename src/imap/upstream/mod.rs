//! The client's side of an IMAP login as a value: greeting, CAPABILITY, STARTTLS, AUTHENTICATE with a token.
//!
//! Whoever drives it writes [`Upstream::output`], feeds what comes back to [`Upstream::receive`], and does what
//! [`Upstream::step`] names. Nothing that the server says before it has said OK to *our* tag is ever passed on, and the
//! tag cannot be guessed: a server that answers in advance gains nothing (docs/decisions/0014).

pub(super) mod response;
#[cfg(test)]
mod tests;

use zeroize::Zeroize;

use crate::mail::failure::one_line;
use crate::octets::{Input, Line};
use crate::sasl::{self, Mechanism};
use crate::secret::Secret;

use self::response::{Response, Status};

/// Octets of a line from the server.
const MAX_LINE: usize = 8 * 1024;
/// Octets a server may send before it has let us in.
const MAX_TALK: usize = 64 * 1024;
/// Octets of a command line with the token on it; a longer one leaves in two steps.
const MAX_COMMAND: usize = 8_000;

/// What the driver does next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Write [`Upstream::output`], then feed what comes back.
    Read,
    /// Start TLS on the stream, then call [`Upstream::tls_started`].
    StartTls,
    /// Call [`Upstream::authenticate`].
    Authenticate(Mechanism),
    /// The server let us in: call [`Upstream::into_logged_in`].
    LoggedIn,
}

/// What a login left.
#[derive(PartialEq, Eq, Debug, Default)]
pub struct LoggedIn {
    /// The capabilities the server named with its OK, without those that make no sense any more.
    pub capabilities: Option<String>,
    /// What the server sent behind its OK; it belongs to the client.
    pub unread: Vec<u8>,
}

/// Why a server is of no use. The words are the server's and may hold what was sent to it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Trouble {
    /// The server said no to a command, or BYE.
    #[error("{words}")]
    Refused {
        /// To what.
        stage: Stage,
        /// In its own words.
        words: String,
        /// What the error challenge said, decoded.
        challenge: Option<String>,
    },
    /// It greets as if somebody were logged in already (CVE-2021-39272 and its kin).
    #[error("the server greets with PREAUTH: whose mailbox that is cannot be known")]
    PreAuth,
    /// STARTTLS is required and not offered.
    #[error("the server does not offer STARTTLS, and nothing is sent to it in clear text")]
    NoStartTls,
    /// Neither XOAUTH2 nor OAUTHBEARER is offered.
    #[error("the server offers neither AUTH=XOAUTH2 nor AUTH=OAUTHBEARER")]
    NoMechanism,
    /// Octets between the answer to STARTTLS and TLS.
    #[error("the server sent something between its answer to STARTTLS and TLS")]
    InjectedBeforeTls,
    /// An answer that cannot be one.
    #[error("the server gave an answer that does not fit: {0}")]
    OutOfPlace(String),
    /// More than a login needs.
    #[error("the server talks without end before the login")]
    TooMuch,
}

/// A question to the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The greeting.
    Greeting,
    /// CAPABILITY.
    Capability,
    /// STARTTLS.
    StartTls,
    /// AUTHENTICATE and the lines of its exchange.
    Authenticate,
}

impl Stage {
    /// What is waited for, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Greeting => "the greeting",
            Self::Capability => "the answer to CAPABILITY",
            Self::StartTls => "the answer to STARTTLS",
            Self::Authenticate => "the answer to AUTHENTICATE",
        }
    }
}

/// One connection to a server, from its greeting to its OK.
pub struct Upstream {
    secure: bool,
    input: Input<MAX_LINE>,
    output: Vec<u8>,
    /// Octets received so far.
    talk: usize,
    nonce: String,
    commands: u32,
    capabilities: Option<String>,
    waiting: Waiting,
    due: Option<Step>,
}

enum Waiting {
    Greeting,
    Capability,
    StartTls,
    /// For the driver.
    Driver,
    /// AUTHENTICATE was sent without the token: `+` asks for it.
    Prompt {
        mechanism: Mechanism,
        response: Secret,
    },
    /// The token was sent.
    Verdict(Mechanism),
    /// The error challenge was answered; what it said.
    End(String),
}

impl Upstream {
    /// A connection that was just made. `secure`: TLS runs; otherwise STARTTLS is demanded. `nonce`: letters and digits
    /// that nobody can guess, for our tags.
    pub fn new(secure: bool, nonce: &str) -> Self {
        let nonce = nonce.chars().filter(char::is_ascii_alphanumeric).collect();
        let (input, waiting) = (Input::default(), Waiting::Greeting);
        Self { secure, input, output: Vec::new(), talk: 0, nonce, commands: 0, capabilities: None, waiting, due: None }
    }

    /// What is to be written now; call [`Upstream::written`] afterwards.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// The output has been written. It may have held a token, so its memory is wiped.
    pub fn written(&mut self) {
        self.output.zeroize();
    }

    /// Takes octets that came from the server.
    pub fn receive(&mut self, octets: &[u8]) {
        self.talk += octets.len();
        self.input.receive(octets);
    }

    /// The answer that is waited for.
    pub fn stage(&self) -> Stage {
        match self.waiting {
            Waiting::Greeting => Stage::Greeting,
            Waiting::Capability => Stage::Capability,
            Waiting::StartTls => Stage::StartTls,
            Waiting::Driver | Waiting::Prompt { .. } | Waiting::Verdict(_) | Waiting::End(_) => Stage::Authenticate,
        }
    }

    /// What to do next.
    ///
    /// # Errors
    /// The server is of no use; see [`Trouble`].
    pub fn step(&mut self) -> Result<Step, Trouble> {
        loop {
            if let Some(step) = self.due.take() {
                return Ok(step);
            }
            match self.input.line() {
                None if self.talk > MAX_TALK => return Err(Trouble::TooMuch),
                None => return Ok(Step::Read),
                Some(Line::TooLong) => return Err(Trouble::TooMuch),
                Some(Line::Whole(line)) => self.heard(&line)?,
            }
        }
    }

    /// TLS runs: whatever was learnt in clear text is forgotten.
    pub fn tls_started(&mut self) {
        self.secure = true;
        self.capabilities = None;
        self.ask("CAPABILITY", Waiting::Capability);
    }

    /// Logs in. `response` is the base64 of the mechanism's message.
    pub fn authenticate(&mut self, mechanism: Mechanism, response: &Secret) {
        let at_once = self.offers("SASL-IR") && response.expose().len() < MAX_COMMAND;
        if at_once {
            let command = Secret::new(format!("AUTHENTICATE {} {}", mechanism.name(), response.expose()));
            self.ask(command.expose(), Waiting::Verdict(mechanism));
        } else {
            let command = format!("AUTHENTICATE {}", mechanism.name());
            self.ask(&command, Waiting::Prompt { mechanism, response: response.clone() });
        }
        // What was offered before the login need not be there after it.
        self.capabilities = None;
    }

    /// What the login left, after [`Step::LoggedIn`].
    pub fn into_logged_in(mut self) -> LoggedIn {
        LoggedIn { capabilities: self.capabilities.take(), unread: self.input.take_rest() }
    }

    fn heard(&mut self, line: &[u8]) -> Result<(), Trouble> {
        match Response::parse(line, &self.tag()) {
            Response::Untagged(status, text) => self.untagged(status, &text),
            Response::Capability(words) => {
                self.capabilities = Some(words);
                Ok(())
            }
            Response::Data => Ok(()),
            Response::Continue(text) => self.prompted(&text),
            Response::Ours(status, text) => self.answered(status, &text),
            Response::Foreign => Err(out_of_place(line)),
        }
    }

    /// `* OK`, `* NO`, `* BAD`, `* BYE`, `* PREAUTH`.
    fn untagged(&mut self, status: Status, text: &str) -> Result<(), Trouble> {
        match (&self.waiting, status) {
            (_, Status::Bye) => Err(self.refused(text)),
            (_, Status::PreAuth) => Err(Trouble::PreAuth),
            (Waiting::Greeting, Status::Ok) => {
                self.note_code(text);
                self.greeted()
            }
            (Waiting::Greeting, Status::No | Status::Bad) => Err(self.refused(text)),
            (_, Status::Ok | Status::No | Status::Bad) => {
                self.note_code(text);
                Ok(())
            }
        }
    }

    fn greeted(&mut self) -> Result<(), Trouble> {
        if self.capabilities.is_some() {
            return self.offered();
        }
        self.ask("CAPABILITY", Waiting::Capability);
        Ok(())
    }

    /// The server has said what it can do.
    fn offered(&mut self) -> Result<(), Trouble> {
        if !self.secure {
            if !self.offers("STARTTLS") {
                return Err(Trouble::NoStartTls);
            }
            self.ask("STARTTLS", Waiting::StartTls);
            return Ok(());
        }
        let offered = |mechanism: &Mechanism| self.offers(&format!("AUTH={}", mechanism.name()));
        let mechanism = [Mechanism::XOAuth2, Mechanism::OAuthBearer].into_iter().find(offered);
        self.due = Some(Step::Authenticate(mechanism.ok_or(Trouble::NoMechanism)?));
        self.waiting = Waiting::Driver;
        Ok(())
    }

    /// `+`: the token is asked for, or an error is told before the NO.
    fn prompted(&mut self, text: &str) -> Result<(), Trouble> {
        match std::mem::replace(&mut self.waiting, Waiting::Driver) {
            Waiting::Prompt { mechanism, response } => {
                self.send(response.expose());
                self.waiting = Waiting::Verdict(mechanism);
                Ok(())
            }
            Waiting::Verdict(mechanism) => {
                self.send(mechanism.end_of_error());
                self.waiting = Waiting::End(sasl::challenge_text(text));
                Ok(())
            }
            Waiting::Greeting | Waiting::Capability | Waiting::StartTls | Waiting::Driver | Waiting::End(_) => {
                Err(out_of_place(b"+"))
            }
        }
    }

    /// The answer to our last command.
    fn answered(&mut self, status: Status, text: &str) -> Result<(), Trouble> {
        if status != Status::Ok {
            return Err(self.refused(text));
        }
        match self.waiting {
            Waiting::Capability if self.capabilities.is_some() => self.offered(),
            Waiting::StartTls if !self.input.is_empty() => Err(Trouble::InjectedBeforeTls),
            Waiting::StartTls => {
                self.due = Some(Step::StartTls);
                self.waiting = Waiting::Driver;
                Ok(())
            }
            Waiting::Verdict(_) => {
                self.note_code(text);
                self.capabilities = self.capabilities.take().map(|words| after_login(&words));
                self.due = Some(Step::LoggedIn);
                self.waiting = Waiting::Driver;
                Ok(())
            }
            // An OK to a login whose token was never sent, or after an error challenge, is no login.
            Waiting::Greeting | Waiting::Capability | Waiting::Driver | Waiting::Prompt { .. } | Waiting::End(_) => {
                Err(Trouble::OutOfPlace(one_line(text)))
            }
        }
    }

    fn refused(&mut self, text: &str) -> Trouble {
        let stage = self.stage();
        let waiting = std::mem::replace(&mut self.waiting, Waiting::Driver);
        let challenge = if let Waiting::End(challenge) = waiting { Some(challenge) } else { None };
        Trouble::Refused { stage, words: one_line(text), challenge }
    }

    fn note_code(&mut self, text: &str) {
        if let Some(words) = response::capability_code(text) {
            self.capabilities = Some(words);
        }
    }

    fn offers(&self, name: &str) -> bool {
        let words = self.capabilities.as_deref().unwrap_or_default();
        words.split(' ').any(|word| word.eq_ignore_ascii_case(name))
    }

    /// The tag of the command that was sent last.
    fn tag(&self) -> String {
        format!("{}{}", self.nonce, self.commands)
    }

    fn ask(&mut self, command: &str, waiting: Waiting) {
        self.commands += 1;
        let tag = self.tag();
        self.output.reserve(tag.len() + command.len() + 3);
        self.output.extend_from_slice(tag.as_bytes());
        self.output.push(b' ');
        self.send(command);
        self.waiting = waiting;
    }

    /// Puts a line into the output. Room is made first, so that a token leaves no copy in memory that was outgrown.
    fn send(&mut self, line: &str) {
        self.output.reserve(line.len() + 2);
        self.output.extend_from_slice(line.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }
}

fn out_of_place(line: &[u8]) -> Trouble {
    Trouble::OutOfPlace(one_line(&String::from_utf8_lossy(&line[..line.len().min(200)])))
}

/// What a logged-in client can still make use of.
fn after_login(words: &str) -> String {
    let over = |word: &&str| {
        let upper = word.to_ascii_uppercase();
        !(upper.starts_with("AUTH=") || ["STARTTLS", "LOGINDISABLED", "SASL-IR"].contains(&upper.as_str()))
    };
    words.split(' ').filter(over).collect::<Vec<_>>().join(" ")
}
