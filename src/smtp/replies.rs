//! The fixed replies of the server. Codes: RFC 5321 section 4.2.3; enhanced codes: RFC 3463 and, for AUTH, RFC 4954.

use super::Reply;
use crate::mail::EnhancedStatusCode;

const fn status(class: u8, subject: u16, detail: u16) -> EnhancedStatusCode {
    EnhancedStatusCode::new(class, subject, detail)
}

// -- yes --

/// To HELP.
pub const HELP: Reply = Reply::new(
    214,
    status(2, 0, 0),
    "EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT\nFor what they mean see RFC 5321",
);
/// To STARTTLS; the handshake follows.
pub const START_TLS: Reply = Reply::new(220, status(2, 0, 0), "Ready to start TLS");
/// To QUIT.
pub const GOODBYE: Reply = Reply::new(221, status(2, 0, 0), "Goodbye");
/// To AUTH.
pub const AUTHENTICATED: Reply = Reply::new(235, status(2, 7, 0), "Authentication successful");
/// To RSET and NOOP.
pub const DONE: Reply = Reply::new(250, status(2, 0, 0), "OK");
/// To MAIL.
pub const SENDER_OK: Reply = Reply::new(250, status(2, 1, 0), "Sender OK");
/// To RCPT.
pub const RECIPIENT_OK: Reply = Reply::new(250, status(2, 1, 5), "Recipient OK");
/// To VRFY, which tells nothing (RFC 5321 section 7.3).
pub const NOT_VERIFIED: Reply = Reply::new(252, status(2, 5, 0), "Cannot verify, send mail and see");
/// To DATA; the content follows.
pub const SEND_CONTENT: Reply = Reply::basic(354, "Send the message, end with <CRLF>.<CRLF>");
/// Asks for the answer of AUTH PLAIN.
pub const CHALLENGE_EMPTY: Reply = Reply::basic(334, "");
/// Asks for the login of AUTH LOGIN: `Username:` in base64.
pub const CHALLENGE_LOGIN: Reply = Reply::basic(334, "VXNlcm5hbWU6");
/// Asks for the password of AUTH LOGIN: `Password:` in base64.
pub const CHALLENGE_PASSWORD: Reply = Reply::basic(334, "UGFzc3dvcmQ6");

// -- not now --

/// The program stops.
pub const SHUTTING_DOWN: Reply = Reply::new(421, status(4, 3, 2), "This server is stopping, try again in a minute");
/// Nothing came for too long.
pub const TIMED_OUT: Reply = Reply::new(421, status(4, 4, 2), "Nothing was received for too long");
/// The error limit.
pub const TOO_MANY_ERRORS: Reply = Reply::new(421, status(4, 7, 0), "Too many errors in this session");
/// The session limit.
pub const TOO_MANY_SESSIONS: Reply = Reply::new(421, status(4, 7, 0), "Too many sessions, try again later");
/// STARTTLS where there is none (RFC 3207 section 4).
pub const NO_TLS: Reply = Reply::new(454, status(4, 7, 0), "TLS is not available here");
/// The line of password checks is full.
pub const AUTH_BUSY: Reply = Reply::new(454, status(4, 7, 0), "Too many logins are being checked, try again later");
/// The disk reserve is reached.
pub const NO_ROOM: Reply = Reply::new(452, status(4, 3, 1), "No room for more mail at the moment, try again later");
/// The recipient limit.
pub const TOO_MANY_RECIPIENTS: Reply =
    Reply::new(452, status(4, 5, 3), "Too many recipients, send the message to the others separately");
/// Something of ours went wrong.
pub const LOCAL_TROUBLE: Reply = Reply::new(451, status(4, 3, 0), "Local trouble, try again later");

// -- no: the line --

/// The line is too long; the rest of it was dropped.
pub const LINE_TOO_LONG: Reply = Reply::new(500, status(5, 5, 2), "Line too long");
/// The answer to an AUTH challenge is too long (RFC 4954 section 4).
pub const AUTH_LINE_TOO_LONG: Reply = Reply::new(500, status(5, 5, 6), "Authentication answer too long");
/// A control character in a command.
pub const CONTROL_CHARACTER: Reply = Reply::new(500, status(5, 5, 2), "Control character in a command");
/// Octets beyond ASCII that are not UTF-8.
pub const NOT_UTF8: Reply = Reply::new(500, status(5, 5, 2), "A command is ASCII, or UTF-8 where SMTPUTF8 is offered");
/// Letters beyond ASCII where no SMTPUTF8 helps.
pub const NOT_ASCII: Reply = Reply::new(500, status(5, 5, 2), "This command takes ASCII only");
/// An empty line, or one that begins with a blank.
pub const NO_COMMAND: Reply = Reply::new(500, status(5, 5, 2), "A line begins with a command");
/// No such command.
pub const UNKNOWN_COMMAND: Reply = Reply::new(500, status(5, 5, 1), "Unknown command");
/// A command that this server does not have.
pub const NOT_IMPLEMENTED: Reply = Reply::new(502, status(5, 5, 1), "Command not implemented");
/// A web client.
pub const NOT_HTTP: Reply = Reply::new(554, status(5, 7, 0), "This is a mail server, it does not speak HTTP");
/// Content before the reply to DATA.
pub const TOO_EARLY: Reply = Reply::new(554, status(5, 5, 0), "Wait for the reply to DATA before you send the message");

// -- no: what a command says --

/// An argument where none belongs.
pub const NO_ARGUMENT: Reply = Reply::new(501, status(5, 5, 4), "This command takes no argument");
/// A command that needs an argument.
pub const ARGUMENT_MISSING: Reply = Reply::new(501, status(5, 5, 4), "This command needs an argument");
/// MAIL without its form.
pub const MAIL_SYNTAX: Reply = Reply::new(501, status(5, 5, 2), "Syntax: MAIL FROM:<address>");
/// RCPT without its form.
pub const RCPT_SYNTAX: Reply = Reply::new(501, status(5, 5, 2), "Syntax: RCPT TO:<address>");
/// BDAT without its form. The session ends: what follows cannot be told from commands.
pub const BDAT_SYNTAX: Reply = Reply::new(501, status(5, 5, 4), "Syntax: BDAT octets [LAST]");
/// The reverse path is no address.
pub const BAD_SENDER: Reply = Reply::new(501, status(5, 1, 7), "Sender is not an address");
/// The recipient is no address.
pub const BAD_RECIPIENT: Reply = Reply::new(501, status(5, 1, 3), "Recipient is not an address");
/// A known parameter with a wrong value.
pub const BAD_PARAMETER: Reply = Reply::new(501, status(5, 5, 4), "Wrong value of a parameter");
/// A parameter that was not offered.
pub const UNKNOWN_PARAMETER: Reply = Reply::new(555, status(5, 5, 4), "Unknown parameter");
/// Declared or sent too large.
pub const TOO_LARGE: Reply = Reply::new(552, status(5, 3, 4), "Message too large");
/// An address beyond ASCII without SMTPUTF8 (RFC 6531 section 3.5).
pub const NEEDS_SMTPUTF8: Reply = Reply::new(553, status(5, 6, 7), "An address beyond ASCII needs SMTPUTF8");

// -- no: not here, not now --

/// A command before EHLO or HELO.
pub const HELLO_FIRST: Reply = Reply::new(503, status(5, 5, 1), "Say EHLO or HELO first");
/// MAIL while a message is open.
pub const NESTED_MAIL: Reply = Reply::new(503, status(5, 5, 1), "A message is open already");
/// RCPT, DATA or BDAT without MAIL.
pub const MAIL_FIRST: Reply = Reply::new(503, status(5, 5, 1), "MAIL comes first");
/// DATA or BDAT without RCPT.
pub const RCPT_FIRST: Reply = Reply::new(503, status(5, 5, 1), "RCPT comes first");
/// DATA or BDAT after all recipients were refused.
pub const NO_VALID_RECIPIENTS: Reply = Reply::new(554, status(5, 5, 1), "No valid recipients");
/// Anything but BDAT, RSET, NOOP and QUIT between chunks (RFC 3030 section 2).
pub const CHUNKS_OPEN: Reply = Reply::new(503, status(5, 5, 1), "BDAT has begun, it must come to its end");
/// STARTTLS under TLS.
pub const TLS_ALREADY: Reply = Reply::new(503, status(5, 5, 1), "TLS is active already");
/// STARTTLS after AUTH.
pub const TLS_AFTER_AUTH: Reply = Reply::new(503, status(5, 5, 1), "STARTTLS comes before AUTH");
/// AUTH while a message is open (RFC 4954 section 4).
pub const AUTH_IN_MAIL: Reply = Reply::new(503, status(5, 5, 1), "AUTH is not possible while a message is open");
/// A second AUTH.
pub const AUTH_ALREADY: Reply = Reply::new(503, status(5, 5, 1), "Authenticated already");
/// AUTH where nobody has a login.
pub const NO_AUTH: Reply = Reply::new(502, status(5, 5, 1), "AUTH is not offered on this port");
/// AUTH in clear where that is not allowed.
pub const AUTH_NEEDS_TLS: Reply = Reply::new(538, status(5, 7, 11), "AUTH needs TLS here, use STARTTLS first");
/// A mechanism that is not offered.
pub const UNKNOWN_MECHANISM: Reply = Reply::new(504, status(5, 5, 4), "Unknown mechanism, use PLAIN or LOGIN");
/// The client gave AUTH up.
pub const AUTH_CANCELLED: Reply = Reply::new(501, status(5, 7, 0), "Authentication cancelled");
/// What the client sent is not base64, or not what the mechanism asks for.
pub const AUTH_SYNTAX: Reply = Reply::new(501, status(5, 5, 2), "The authentication answer cannot be decoded");
/// Wrong login or password.
pub const AUTH_FAILED: Reply = Reply::new(535, status(5, 7, 8), "Login or password is wrong");
/// MAIL from a client that is not known yet.
pub const AUTH_REQUIRED: Reply = Reply::new(530, status(5, 7, 0), "Authentication required");
/// The same, where AUTH is offered under TLS only.
pub const TLS_AND_AUTH_REQUIRED: Reply =
    Reply::new(530, status(5, 7, 0), "Authentication required, and it needs TLS: use STARTTLS first");

// -- no: the content --

/// A NUL in the content.
pub const NUL_IN_CONTENT: Reply = Reply::new(554, status(5, 6, 0), "The message holds a NUL");
/// A lone LF in the content, where that is refused.
pub const BARE_LF: Reply =
    Reply::new(554, status(5, 6, 0), "The message holds a bare LF (a line end without CR), which is refused here");
/// A lone CR in the content, where that is refused.
pub const BARE_CR: Reply =
    Reply::new(554, status(5, 6, 0), "The message holds a bare CR (a CR without LF), which is refused here");
