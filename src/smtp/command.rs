//! Command lines (RFC 5321 section 4.1). Why this is not smtp-proto's parser: docs/decisions/0002.

use super::{MailRequest, RcptRequest, Reply, path, replies};

/// Octets a command line may have; RFC 5321 section 4.5.3.1.4 asks for 512 and room for extensions. AUTH may be
/// longer, it carries a SASL response.
const MAX_COMMAND: usize = 4096;

/// The methods of HTTP, and the first word of HTTP/2. A browser can be made to post a mail dialogue to this port; it
/// always says one of these first.
const HTTP_METHODS: [&str; 10] =
    ["GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE", "PRI"];

/// What a client asks for.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Command<'a> {
    /// The name is empty for devices that give none.
    Ehlo(&'a str),
    Helo(&'a str),
    StartTls,
    Auth {
        mechanism: &'a str,
        initial_response: Option<&'a str>,
    },
    Mail(MailRequest),
    Rcpt(RcptRequest),
    Data,
    Bdat(Chunk),
    Rset,
    Noop,
    Vrfy,
    Help,
    Quit,
}

/// One chunk of BDAT (RFC 3030).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Chunk {
    pub(super) octets: u64,
    pub(super) last: bool,
}

/// Why a line is no command.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum NotACommand {
    /// The session lives on.
    Refused(Reply),
    /// What follows may be content, or is meant for another kind of server: nothing more is read.
    Fatal(Reply),
}

impl From<Reply> for NotACommand {
    fn from(reply: Reply) -> Self {
        Self::Refused(reply)
    }
}

/// Reads one line, without its line end.
pub(super) fn parse(line: &[u8]) -> Result<Command<'_>, NotACommand> {
    let line = text(line)?;
    let (verb, argument) = match line.split_once([' ', '\t']) {
        Some((verb, argument)) => (verb, argument.trim_ascii()),
        None => (line, ""),
    };
    let verb = verb.to_ascii_uppercase();
    if line.len() > MAX_COMMAND && verb != "AUTH" {
        return Err(replies::LINE_TOO_LONG.into());
    }
    if !argument.is_ascii() && !matches!(verb.as_str(), "MAIL" | "RCPT" | "VRFY") {
        return Err(replies::NOT_ASCII.into());
    }
    Ok(match verb.as_str() {
        "EHLO" => Command::Ehlo(argument),
        "HELO" => Command::Helo(argument),
        "STARTTLS" => alone(Command::StartTls, argument)?,
        "AUTH" => auth(argument)?,
        "MAIL" => Command::Mail(path::mail(argument)?),
        "RCPT" => Command::Rcpt(path::rcpt(argument)?),
        "DATA" => alone(Command::Data, argument)?,
        "BDAT" => Command::Bdat(chunk(argument).ok_or(NotACommand::Fatal(replies::BDAT_SYNTAX))?),
        "RSET" => alone(Command::Rset, argument)?,
        "NOOP" => Command::Noop,
        "VRFY" if argument.is_empty() => return Err(replies::ARGUMENT_MISSING.into()),
        "VRFY" => Command::Vrfy,
        "HELP" => Command::Help,
        "QUIT" => Command::Quit,
        "EXPN" | "ETRN" | "TURN" | "SEND" | "SOML" | "SAML" => return Err(replies::NOT_IMPLEMENTED.into()),
        "" => return Err(replies::NO_COMMAND.into()),
        other if HTTP_METHODS.contains(&other) => return Err(NotACommand::Fatal(replies::NOT_HTTP)),
        _ => return Err(replies::UNKNOWN_COMMAND.into()),
    })
}

fn text(line: &[u8]) -> Result<&str, Reply> {
    let text = std::str::from_utf8(line).map_err(|_| replies::NOT_UTF8)?;
    if text.chars().any(|c| c.is_control() && c != '\t') { Err(replies::CONTROL_CHARACTER) } else { Ok(text) }
}

fn alone<'a>(command: Command<'a>, argument: &str) -> Result<Command<'a>, Reply> {
    if argument.is_empty() { Ok(command) } else { Err(replies::NO_ARGUMENT) }
}

fn auth(argument: &str) -> Result<Command<'_>, Reply> {
    let mut words = argument.split_ascii_whitespace();
    let mechanism = words.next().ok_or(replies::ARGUMENT_MISSING)?;
    let initial_response = words.next();
    match words.next() {
        None => Ok(Command::Auth { mechanism, initial_response }),
        Some(_) => Err(replies::AUTH_SYNTAX),
    }
}

fn chunk(argument: &str) -> Option<Chunk> {
    let mut words = argument.split_ascii_whitespace();
    let digits = words.next().filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))?;
    let octets = digits.parse().ok()?;
    match (words.next(), words.next()) {
        (None, _) => Some(Chunk { octets, last: false }),
        (Some(word), None) if word.eq_ignore_ascii_case("LAST") => Some(Chunk { octets, last: true }),
        _ => None,
    }
}
