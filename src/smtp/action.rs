//! What a session wants done, and what it is answered.

use super::Reply;
use crate::mail::dsn::{MessageWishes, RecipientWishes};
use crate::mail::{Address, BodyType, ReversePath};
use crate::secret::Secret;

/// What the session wants done next.
///
/// [`StartTls`](Self::StartTls), [`Authenticate`](Self::Authenticate), [`Mail`](Self::Mail), [`Rcpt`](Self::Rcpt),
/// [`StartBody`](Self::StartBody) and [`EndOfBody`](Self::EndOfBody) ask something: no further action comes until the
/// answer was given.
#[derive(Debug)]
pub enum Action {
    /// Write these octets: one reply, or those to several pipelined commands.
    Reply(Vec<u8>),
    /// Do the TLS handshake, then [`tls_started`](super::Session::tls_started). What was read before it is dropped.
    StartTls,
    /// Check login and password, then [`authenticated`](super::Session::authenticated).
    Authenticate(Credentials),
    /// May this message be sent? Answer with [`mail_answered`](super::Session::mail_answered).
    Mail(MailRequest),
    /// May this recipient have it? Answer with [`recipient_answered`](super::Session::recipient_answered).
    Rcpt(RcptRequest),
    /// Is there room for content? Answer with [`data_answered`](super::Session::data_answered).
    StartBody,
    /// Store this piece of the content: decoded, with CRLF line ends. If that cannot be done, say so with
    /// [`body_refused`](super::Session::body_refused).
    Body(Vec<u8>),
    /// Throw away what was stored since [`StartBody`](Self::StartBody): the message was refused or given up. Not
    /// sent after [`body_refused`](super::Session::body_refused).
    DiscardBody,
    /// The content is complete: make it durable, then [`accepted`](super::Session::accepted).
    EndOfBody,
    /// Close the connection and throw away what was stored of an open message. It is the last action.
    Close,
}

/// A SASL mechanism.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// Login and password one after the other; never standardised, and what old programs know.
    Login,
}

/// Who the client says it is.
#[derive(Debug)]
pub struct Credentials {
    /// How it was said.
    pub mechanism: Mechanism,
    /// Whom the client wants to act as; `None`: as the login itself. Taken from PLAIN, never checked here.
    pub authorization_id: Option<String>,
    /// The login.
    pub login: String,
    /// The password.
    pub password: Secret,
}

/// The answer to [`Action::Authenticate`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AuthResult {
    /// The client is who it says.
    Accepted,
    /// It is not (535 5.7.8), or that cannot be told now (454 4.7.0).
    Refused(Reply),
}

/// What MAIL said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MailRequest {
    /// Where reports go.
    pub reverse_path: ReversePath,
    /// The size the client declared, in octets.
    pub size: Option<u64>,
    /// What it declared of the content.
    pub body: BodyType,
    /// Whether it asked for SMTPUTF8.
    pub smtputf8: bool,
    /// What reports about it are to be like (RET, ENVID).
    pub wishes: MessageWishes,
}

/// What RCPT said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RcptRequest {
    /// Who is to receive the message.
    pub target: RcptTarget,
    /// What the sender wants to be told (NOTIFY, ORCPT).
    pub wishes: RecipientWishes,
}

/// A recipient as RCPT may name it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RcptTarget {
    /// An address.
    Address(Address),
    /// `<postmaster>` without a domain, which every server takes (RFC 5321 section 4.5.1).
    Postmaster,
}
