//! The client's side of a POP3 login as a value: greeting, STLS, AUTH with a token.
//!
//! POP3 has no tags, so an answer belongs to a command only by its place. Therefore nothing may have come before a
//! command is sent that it could not be an answer to: a server that speaks in advance is not trusted (Dovecot's proxy
//! takes such an early `+OK` for a login).

#[cfg(test)]
mod tests;

use zeroize::Zeroize;

use crate::mail::failure::one_line;
use crate::octets::{Input, Line};
use crate::sasl::{self, Mechanism};
use crate::secret::Secret;

/// Octets of a line from the server. RFC 2449 says 512; a challenge may be longer.
const MAX_LINE: usize = 8 * 1024;

/// What the driver does next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Write [`Upstream::output`], then feed what comes back.
    Read,
    /// Start TLS on the stream, then call [`Upstream::tls_started`].
    StartTls,
    /// Call [`Upstream::authenticate`] with the response of this mechanism.
    Authenticate(Mechanism),
    /// The server let us in.
    LoggedIn,
}

/// Why a server is of no use. The words are the server's and may hold what was sent to it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Trouble {
    /// The server said `-ERR`.
    #[error("{words}")]
    Refused {
        /// To what.
        stage: Stage,
        /// In its own words.
        words: String,
        /// What the error challenge said, decoded.
        challenge: Option<String>,
    },
    /// STLS is required and refused.
    #[error("the server refuses STLS, and nothing is sent to it in clear text: {0}")]
    NoStartTls(String),
    /// Neither XOAUTH2 nor OAUTHBEARER is taken.
    #[error("the server takes neither AUTH XOAUTH2 nor AUTH OAUTHBEARER: {0}")]
    NoMechanism(String),
    /// Octets between the answer to STLS and TLS.
    #[error("the server sent something between its answer to STLS and TLS")]
    InjectedBeforeTls,
    /// An answer to nothing.
    #[error("the server sent something that nothing asked for")]
    Unsolicited,
    /// An answer that cannot be one.
    #[error("the server gave an answer that does not fit: {0}")]
    OutOfPlace(String),
    /// A line longer than any answer.
    #[error("the server sent a line without end")]
    TooMuch,
}

/// A question to the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The greeting.
    Greeting,
    /// STLS.
    StartTls,
    /// AUTH and the lines of its exchange.
    Auth,
}

impl Stage {
    /// What is waited for, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Greeting => "the greeting",
            Self::StartTls => "the answer to STLS",
            Self::Auth => "the answer to AUTH",
        }
    }
}

/// One connection to a server, from its greeting to its `+OK`.
pub struct Upstream {
    secure: bool,
    input: Input<MAX_LINE>,
    output: Vec<u8>,
    waiting: Waiting,
    due: Option<Step>,
}

enum Waiting {
    Greeting,
    StartTls,
    /// For the driver.
    Driver,
    /// AUTH was sent without the token: `+` asks for it.
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
    /// A connection that was just made. `secure`: TLS runs; otherwise STLS is demanded.
    pub fn new(secure: bool) -> Self {
        let (input, waiting) = (Input::default(), Waiting::Greeting);
        Self { secure, input, output: Vec::new(), waiting, due: None }
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
        self.input.receive(octets);
    }

    /// The answer that is waited for.
    pub const fn stage(&self) -> Stage {
        match self.waiting {
            Waiting::Greeting => Stage::Greeting,
            Waiting::StartTls => Stage::StartTls,
            Waiting::Driver | Waiting::Prompt { .. } | Waiting::Verdict(_) | Waiting::End(_) => Stage::Auth,
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
                None => return Ok(Step::Read),
                Some(Line::TooLong) => return Err(Trouble::TooMuch),
                Some(Line::Whole(line)) => self.heard(&line)?,
            }
        }
    }

    /// TLS runs.
    pub fn tls_started(&mut self) {
        self.secure = true;
        self.due = Some(Step::Authenticate(Mechanism::XOAuth2));
    }

    /// Logs in. `response` is the base64 of the mechanism's message. It never stands on the line of AUTH: Microsoft
    /// documents two lines, and a token is longer than the 255 octets of a POP3 command (RFC 5034 section 4).
    pub fn authenticate(&mut self, mechanism: Mechanism, response: &Secret) {
        self.send(&["AUTH ", mechanism.name()]);
        self.waiting = Waiting::Prompt { mechanism, response: response.clone() };
    }

    fn heard(&mut self, line: &[u8]) -> Result<(), Trouble> {
        // Whatever was asked, the answer is one line, and nothing else was.
        let injected = matches!(self.waiting, Waiting::StartTls);
        if !self.input.is_empty() {
            return Err(if injected { Trouble::InjectedBeforeTls } else { Trouble::Unsolicited });
        }
        let text = String::from_utf8_lossy(line);
        let (word, rest) = text.split_once(' ').unwrap_or((text.as_ref(), ""));
        match word.to_ascii_uppercase().as_str() {
            _ if line.contains(&b'\r') || line.contains(&0) => Err(Trouble::OutOfPlace(one_line(&text))),
            "+OK" => self.agreed(rest),
            "-ERR" => self.refused(rest),
            "+" => self.prompted(rest),
            _ => Err(Trouble::OutOfPlace(one_line(&text.chars().take(200).collect::<String>()))),
        }
    }

    fn agreed(&mut self, text: &str) -> Result<(), Trouble> {
        match std::mem::replace(&mut self.waiting, Waiting::Driver) {
            Waiting::Greeting if self.secure => self.due = Some(Step::Authenticate(Mechanism::XOAuth2)),
            Waiting::Greeting => {
                self.send(&["STLS"]);
                self.waiting = Waiting::StartTls;
            }
            Waiting::StartTls => self.due = Some(Step::StartTls),
            Waiting::Verdict(_) => self.due = Some(Step::LoggedIn),
            // A yes to a login whose token was never sent, or after an error challenge, is no login.
            Waiting::Driver | Waiting::Prompt { .. } | Waiting::End(_) => {
                return Err(Trouble::OutOfPlace(format!("+OK {}", one_line(text))));
            }
        }
        Ok(())
    }

    fn prompted(&mut self, text: &str) -> Result<(), Trouble> {
        match std::mem::replace(&mut self.waiting, Waiting::Driver) {
            Waiting::Prompt { mechanism, response } => {
                self.send(&[response.expose()]);
                self.waiting = Waiting::Verdict(mechanism);
                Ok(())
            }
            Waiting::Verdict(mechanism) => {
                self.send(&[mechanism.end_of_error()]);
                self.waiting = Waiting::End(sasl::challenge_text(text));
                Ok(())
            }
            Waiting::Greeting | Waiting::StartTls | Waiting::Driver | Waiting::End(_) => {
                Err(Trouble::OutOfPlace(format!("+ {}", one_line(text))))
            }
        }
    }

    fn refused(&mut self, text: &str) -> Result<(), Trouble> {
        let (stage, words) = (self.stage(), one_line(text));
        match std::mem::replace(&mut self.waiting, Waiting::Driver) {
            Waiting::StartTls => Err(Trouble::NoStartTls(words)),
            // The mechanism itself is refused, before any token: there is another one.
            Waiting::Prompt { mechanism: Mechanism::XOAuth2, .. } if !words.starts_with("[SYS/") => {
                self.due = Some(Step::Authenticate(Mechanism::OAuthBearer));
                Ok(())
            }
            Waiting::Prompt { .. } if !words.starts_with("[SYS/") => Err(Trouble::NoMechanism(words)),
            Waiting::End(challenge) => Err(Trouble::Refused { stage, words, challenge: Some(challenge) }),
            Waiting::Greeting | Waiting::Driver | Waiting::Prompt { .. } | Waiting::Verdict(_) => {
                Err(Trouble::Refused { stage, words, challenge: None })
            }
        }
    }

    /// Puts a line into the output. Room is made first, so that a token leaves no copy in memory that was outgrown.
    fn send(&mut self, parts: &[&str]) {
        self.output.reserve(parts.iter().map(|part| part.len()).sum::<usize>() + 2);
        for part in parts {
            self.output.extend_from_slice(part.as_bytes());
        }
        self.output.extend_from_slice(b"\r\n");
    }
}
