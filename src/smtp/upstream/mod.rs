//! The client side of SMTP submission as a value without I/O: greeting, EHLO, STARTTLS, AUTH, then one
//! transaction after another, pipelined where the server allows it (RFC 2920). Where it takes chunks as well (RFC 3030),
//! a message of moderate size leaves together with its commands and costs one round trip.
//!
//! Whoever drives it writes [`Upstream::output`], feeds what comes back to [`Upstream::receive`], and does what
//! [`Upstream::step`] names. Nothing but EHLO and STARTTLS leaves before TLS runs.

use std::collections::VecDeque;

use zeroize::Zeroize;

use crate::mail::dsn::MessageWishes;
use crate::mail::{Recipient, ReversePath};
use crate::sasl;
use crate::secret::Secret;

mod extensions;
mod response;
#[cfg(test)]
mod tests;
mod transaction;

pub use extensions::Extensions;
pub use response::{Malformed, Response};
pub use transaction::{Answers, CannotCarry, Ending};

use response::Reader;
use transaction::{Part, Transaction};

/// Octets of a command line with its CRLF (RFC 5321 section 4.5.3.1.4). Postfix cuts AUTH lines at 2,048, and tokens
/// are about that long, so a longer response goes on a line of its own (RFC 4954 section 4).
const MAX_COMMAND: usize = 512;

/// A question to the server, named after its command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The connection's greeting.
    Greeting,
    /// EHLO.
    Hello,
    /// STARTTLS.
    StartTls,
    /// AUTH and the lines of its exchange.
    Auth,
    /// RSET between two transactions.
    Reset,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA, before the content.
    Data,
    /// The content, after its final dot.
    Content,
    /// QUIT.
    Quit,
}

impl Stage {
    /// What is waited for, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Greeting => "the greeting",
            Self::Hello => "the reply to EHLO",
            Self::StartTls => "the reply to STARTTLS",
            Self::Auth => "the reply to AUTH",
            Self::Reset => "the reply to RSET",
            Self::Mail => "the reply to MAIL",
            Self::Rcpt => "the reply to RCPT",
            Self::Data => "the reply to DATA",
            Self::Content => "the reply to the end of the message",
            Self::Quit => "the reply to QUIT",
        }
    }
}

/// An answer that will come: to which question, and for AUTH how far the exchange is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Expected {
    Greeting,
    Hello,
    StartTls,
    /// `AUTH XOAUTH2` was sent alone: 334 asks for the response.
    AuthPrompt,
    /// The response was sent.
    AuthResult,
    /// The error challenge was answered by an empty line.
    AuthEnd,
    Reset,
    Transaction(Part),
    Quit,
}

impl Expected {
    const fn stage(self) -> Stage {
        match self {
            Self::Greeting => Stage::Greeting,
            Self::Hello => Stage::Hello,
            Self::StartTls => Stage::StartTls,
            Self::AuthPrompt | Self::AuthResult | Self::AuthEnd => Stage::Auth,
            Self::Reset => Stage::Reset,
            Self::Transaction(part) => part.stage(),
            Self::Quit => Stage::Quit,
        }
    }
}

/// What the driver does next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Write [`Upstream::output`], then feed what comes back.
    Read,
    /// Start TLS on the stream, then call [`Upstream::tls_started`].
    StartTls,
    /// Call [`Upstream::authenticate`].
    Authenticate,
    /// Logged in: [`Upstream::begin`] may be called.
    Ready,
    /// Write the content, dot-stuffed, with its final dot; then go on.
    SendContent,
    /// Write [`Upstream::output`] and behind it the content as it is, [`Mail::size`] octets; then go on.
    SendChunk,
    /// The transaction is over; another may begin if [`Upstream::is_reusable`].
    Finished(Answers),
}

/// Why a connection is of no use any more.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Trouble {
    /// The server said no before any transaction.
    #[error("{response}")]
    Refused {
        /// To what.
        stage: Stage,
        /// In its own words.
        response: Response,
        /// What the error challenge of XOAUTH2 said, decoded.
        challenge: Option<String>,
    },
    /// STARTTLS is required and not offered.
    #[error("the server does not offer STARTTLS, and nothing is sent to it in clear text")]
    NoStartTls,
    /// XOAUTH2 or OAUTHBEARER is required and neither is offered.
    #[error("the server offers neither AUTH XOAUTH2 nor OAUTHBEARER")]
    NoXoauth2,
    /// A password is to be used, and neither PLAIN nor LOGIN is offered.
    #[error("the server offers neither AUTH PLAIN nor LOGIN")]
    NoPlain,
    /// Octets behind the answer to STARTTLS: somebody slipped them in before TLS ran (CVE-2021-38371 and its kin).
    #[error("the server sent something between its reply to STARTTLS and TLS")]
    InjectedBeforeTls,
    /// An answer to nothing, so no later answer could be trusted to belong to its command.
    #[error("the server sent a reply that nothing asked for: {0}")]
    Unsolicited(String),
    /// An answer that cannot be one to its command.
    #[error("the server gave an answer that does not fit {}: {response}", stage.name())]
    OutOfPlace {
        /// The command.
        stage: Stage,
        /// The answer.
        response: Response,
    },
    /// Octets that are no answer.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// What a transaction says of a message.
#[derive(Clone, Copy, Debug)]
pub struct Mail<'a> {
    /// For MAIL.
    pub reverse_path: &'a ReversePath,
    /// For RCPT; never empty.
    pub recipients: &'a [&'a Recipient],
    /// Octets of the message, without stuffed dots (RFC 1870 section 5).
    pub size: u64,
    /// Whether the content has, or may have, octets above 127.
    pub eight_bit: bool,
    /// Whether an address or the header needs SMTPUTF8.
    pub smtputf8: bool,
    /// What reports about it are to be like; said, as what its recipients have, to a server that knows DSN.
    pub wishes: &'a MessageWishes,
    /// Whether commands and content may leave together. If the connection is lost then, nobody knows how far the server
    /// had come, so a session that may be stale should not be asked to.
    pub in_one_go: bool,
}

/// One connection to a server, from its greeting on.
#[derive(Debug)]
pub struct Upstream {
    hello: String,
    secure: bool,
    reader: Reader,
    output: Vec<u8>,
    expected: VecDeque<Expected>,
    due: Option<Step>,
    extensions: Extensions,
    proof: Proof,
    login: Login,
    transaction: Option<Transaction>,
    /// The server may still be in the middle of a transaction that came to nothing.
    needs_reset: bool,
    /// Something happened after which no further transaction is safe.
    spoiled: bool,
}

/// What AUTH keeps between its lines.
#[derive(Debug, Default)]
struct Login {
    /// What is still to be said, in its order.
    responses: VecDeque<Secret>,
    challenge: Option<String>,
}

/// What a login is proved with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proof {
    /// A token.
    Token,
    /// A password. Like a token it never leaves before TLS runs.
    Password,
    /// Nothing: there is no login.
    Nothing,
}

/// How a token or a password is shown to the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mechanism {
    /// XOAUTH2, Google's and Microsoft's.
    Xoauth2,
    /// OAUTHBEARER (RFC 7628), for servers that have it alone.
    OauthBearer,
    /// PLAIN (RFC 4616).
    Plain,
    /// LOGIN: login and password one after the other, for servers that have it alone.
    Login,
}

impl Mechanism {
    const fn command(self) -> &'static str {
        match self {
            Self::Xoauth2 => "AUTH XOAUTH2",
            Self::OauthBearer => "AUTH OAUTHBEARER",
            Self::Plain => "AUTH PLAIN",
            Self::Login => "AUTH LOGIN",
        }
    }

    /// What ends the exchange after the reason of a refusal: an empty line
    /// (<https://developers.google.com/gmail/imap/xoauth2-protocol>), or a lone 0x01 (RFC 7628 section 3.2.3).
    const fn farewell(self) -> &'static str {
        match self {
            Self::Xoauth2 => "",
            Self::OauthBearer => "AQ==",
            // Nothing is known of such a reason; `*` gives the exchange up (RFC 4954 section 4).
            Self::Plain | Self::Login => "*",
        }
    }
}

impl Upstream {
    /// A connection that was just made. `hello` is our name for EHLO; characters that have no place in a command are
    /// left out. `secure` says that TLS runs already; otherwise STARTTLS is demanded.
    pub fn new(hello: &str, secure: bool) -> Self {
        let hello: String = hello.chars().filter(char::is_ascii_graphic).take(255).collect();
        Self {
            hello: if hello.is_empty() { "localhost".to_owned() } else { hello },
            secure,
            reader: Reader::default(),
            output: Vec::new(),
            expected: VecDeque::from([Expected::Greeting]),
            due: None,
            extensions: Extensions::default(),
            proof: Proof::Token,
            login: Login::default(),
            transaction: None,
            needs_reset: false,
            spoiled: false,
        }
    }

    /// The same, with another proof than a token.
    #[must_use]
    pub fn with_proof(self, proof: Proof) -> Self {
        Self { proof, ..self }
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
        self.reader.receive(octets);
    }

    /// What to do next. After an error the connection is of no use.
    pub fn step(&mut self) -> Result<Step, Trouble> {
        loop {
            if let Some(step) = self.due.take() {
                return Ok(step);
            }
            let Some(response) = self.reader.next()? else { return Ok(Step::Read) };
            let Some(expected) = self.expected.pop_front() else {
                return Err(Trouble::Unsolicited(response.to_string()));
            };
            self.answered(expected, response)?;
        }
    }

    /// TLS runs: whatever was learnt in clear text is forgotten (RFC 3207 section 4.2).
    pub fn tls_started(&mut self) {
        self.secure = true;
        self.extensions = Extensions::default();
        self.say_hello();
    }

    /// The mechanism of the login that is due.
    pub const fn mechanism(&self) -> Mechanism {
        let Extensions { xoauth2, oauthbearer, plain, login, .. } = self.extensions;
        match self.proof {
            Proof::Password if plain || !login => Mechanism::Plain,
            Proof::Password => Mechanism::Login,
            Proof::Token | Proof::Nothing if xoauth2 || !oauthbearer => Mechanism::Xoauth2,
            Proof::Token | Proof::Nothing => Mechanism::OauthBearer,
        }
    }

    /// Logs in. `responses` is the base64 of what the mechanism says, whichever [`Upstream::mechanism`] names: login and
    /// password for [`Mechanism::Login`], one response for the others.
    pub fn authenticate(&mut self, responses: impl IntoIterator<Item = Secret>) {
        let command = self.mechanism().command();
        self.login.responses = responses.into_iter().collect();
        match self.login.responses.front().map(Secret::expose) {
            Some(text) if self.login.responses.len() == 1 && command.len() + 1 + text.len() + 2 <= MAX_COMMAND => {
                let response = self.login.responses.pop_front();
                self.send_line(&[command, " ", response.as_ref().map_or("", Secret::expose)]);
                self.expected.push_back(Expected::AuthResult);
            }
            _ => {
                self.send_line(&[command]);
                self.expected.push_back(Expected::AuthPrompt);
            }
        }
    }

    /// Says goodbye. The answer need not be waited for.
    pub fn quit(&mut self) {
        self.send_line(&["QUIT"]);
        self.expected.push_back(Expected::Quit);
    }

    /// What the server offered last.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// The answer that is waited for.
    pub fn stage(&self) -> Option<Stage> {
        self.expected.front().map(|expected| expected.stage())
    }

    /// Whether the answer to content is owed, after which nothing leaves. The server may be at work on it and keep the
    /// answers to the commands before it until then (RFC 2920 section 3.2).
    pub fn awaits_verdict(&self) -> bool {
        self.expected.back().is_some_and(|expected| expected.stage() == Stage::Content)
    }

    /// How many answers are owed. Each that comes is progress.
    pub fn owed(&self) -> usize {
        self.expected.len()
    }

    /// Whether another transaction may begin: nothing is owed, nothing is left over, the server has not said that it
    /// will close, and RSET, if one is due, can leave together with MAIL.
    pub fn is_reusable(&self) -> bool {
        let can_reset = !self.needs_reset || self.extensions.pipelining;
        let quiet = self.transaction.is_none() && self.expected.is_empty() && !self.reader.has_more();
        can_reset && quiet && !self.spoiled
    }

    fn answered(&mut self, expected: Expected, response: Response) -> Result<(), Trouble> {
        match expected {
            Expected::Greeting if response.is_positive() => {
                self.nothing_behind(&response)?;
                self.say_hello();
                Ok(())
            }
            Expected::Hello if response.is_positive() => self.greeted(&response),
            Expected::StartTls if response.is_positive() => {
                if self.reader.has_more() {
                    return Err(Trouble::InjectedBeforeTls);
                }
                self.due = Some(Step::StartTls);
                Ok(())
            }
            Expected::AuthPrompt | Expected::AuthResult | Expected::AuthEnd => self.auth_answered(expected, response),
            Expected::Reset if response.is_positive() => {
                self.needs_reset = false;
                Ok(())
            }
            Expected::Greeting | Expected::Hello | Expected::StartTls | Expected::Reset => {
                Err(self.refused(expected.stage(), response))
            }
            Expected::Quit => {
                self.spoiled = true;
                Ok(())
            }
            Expected::Transaction(part) => self.transaction_answered(part, response),
        }
    }

    fn greeted(&mut self, response: &Response) -> Result<(), Trouble> {
        self.nothing_behind(response)?;
        self.extensions = Extensions::parse(&response.text);
        if self.secure {
            let Extensions { xoauth2, oauthbearer, plain, login, .. } = self.extensions;
            self.due = Some(match self.proof {
                Proof::Token if xoauth2 || oauthbearer => Step::Authenticate,
                Proof::Token => return Err(Trouble::NoXoauth2),
                Proof::Password if plain || login => Step::Authenticate,
                Proof::Password => return Err(Trouble::NoPlain),
                Proof::Nothing => Step::Ready,
            });
            return Ok(());
        }
        if !self.extensions.starttls {
            return Err(Trouble::NoStartTls);
        }
        self.send_line(&["STARTTLS"]);
        self.expected.push_back(Expected::StartTls);
        Ok(())
    }

    fn auth_answered(&mut self, expected: Expected, response: Response) -> Result<(), Trouble> {
        match (expected, response.code) {
            (Expected::AuthPrompt, 334) => {
                if let Some(response) = self.login.responses.pop_front() {
                    self.send_line(&[response.expose()]);
                }
                let more = !self.login.responses.is_empty();
                self.expected.push_back(if more { Expected::AuthPrompt } else { Expected::AuthResult });
                Ok(())
            }
            // A 334 after the token is the reason of a refusal. The exchange ends by a line, not by `*`.
            (Expected::AuthResult, 334) => {
                self.login.challenge = Some(sasl::challenge_text(&response.text));
                let farewell = self.mechanism().farewell();
                self.send_line(&[farewell]);
                self.expected.push_back(Expected::AuthEnd);
                Ok(())
            }
            (Expected::AuthResult, 235) => {
                self.nothing_behind(&response)?;
                self.due = Some(Step::Ready);
                Ok(())
            }
            _ if response.class() < 4 => Err(Trouble::OutOfPlace { stage: Stage::Auth, response }),
            _ => Err(self.refused(Stage::Auth, response)),
        }
    }

    fn refused(&mut self, stage: Stage, response: Response) -> Trouble {
        if response.class() < 4 {
            return Trouble::OutOfPlace { stage, response };
        }
        Trouble::Refused { stage, response, challenge: self.login.challenge.take() }
    }

    /// An answer came with something behind it though nothing more was asked.
    fn nothing_behind(&self, response: &Response) -> Result<(), Trouble> {
        if self.reader.has_more() {
            return Err(Trouble::Unsolicited(format!("after `{response}`")));
        }
        Ok(())
    }

    fn say_hello(&mut self) {
        let hello = std::mem::take(&mut self.hello);
        self.send_line(&["EHLO ", &hello]);
        self.hello = hello;
        self.expected.push_back(Expected::Hello);
    }

    /// Puts one line into the output. Room is made first, so that a token leaves no copy in memory that was outgrown.
    fn send_line(&mut self, parts: &[&str]) {
        self.output.reserve(parts.iter().map(|part| part.len()).sum::<usize>() + 2);
        for part in parts {
            self.output.extend_from_slice(part.as_bytes());
        }
        self.output.extend_from_slice(b"\r\n");
    }
}
