//! What the server's sides of IMAP and POP3 have in common up to the login.

use super::Credentials;

/// Octets a line may have at most: the longest response to a SASL challenge and room for the command that may carry it.
pub(crate) const MAX_LINE: usize = super::MAX_RESPONSE + 64;
/// Octets of answers that are joined before they are handed out.
pub(crate) const MAX_JOINED: usize = 16 * 1024;
/// Commands a client may give without logging in.
pub(crate) const MAX_COMMANDS: u32 = 200;

/// The rules of one session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// STARTTLS, in POP3 STLS, is offered.
    pub starttls: bool,
    /// Logins are taken without TLS too.
    pub clear_logins: bool,
    /// Clients may bring a token of their own (XOAUTH2, OAUTHBEARER).
    pub own_tokens: bool,
    /// Errors a client may make; the next one ends the session.
    pub max_errors: u32,
}

/// What a session wants done next.
#[derive(Debug)]
pub enum Action {
    /// Write these octets: one answer, or those to several pipelined commands.
    Reply(Vec<u8>),
    /// Do the TLS handshake, then say so by `tls_started`. What was read before it is dropped.
    StartTls,
    /// Log the client in upstream, then say so by `logged_in` or `denied`.
    LogIn(Credentials),
    /// Close the connection. It is the last action.
    Close,
}

/// What is left when the client is logged in: from here on nothing is read.
#[derive(PartialEq, Eq, Debug)]
pub struct Handover {
    /// The answer to the client's login.
    pub reply: Vec<u8>,
    /// What the client sent behind its login; it belongs to the upstream.
    pub unread: Vec<u8>,
}

/// What one step of a session came to.
pub(crate) enum Next {
    Again,
    Do(Action),
    Starved,
    Stopped,
}

/// Words as an answer can carry them: one line of visible ASCII.
pub(crate) fn visible(words: &str) -> String {
    words.chars().map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect()
}
