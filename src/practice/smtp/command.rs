//! SMTP commands, read strictly (RFC 5321 section 4.1).

use super::super::directory::same;

/// A command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Command {
    Ehlo,
    Helo,
    StartTls,
    Auth { mechanism: String, initial: Option<String> },
    Mail(Mail),
    Rcpt { address: String },
    Data,
    Bdat { octets: usize, last: bool },
    Rset,
    Noop,
    Vrfy,
    Quit,
}

/// MAIL with the parameters that matter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Mail {
    /// The reverse path without brackets; empty for `<>`.
    pub(super) reverse_path: String,
    /// SIZE, in octets (RFC 1870).
    pub(super) size: Option<usize>,
    /// Whether addresses may be UTF-8 (RFC 6531).
    pub(super) smtputf8: bool,
}

/// The replies to lines that are not commands.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Syntax {
    #[error("500 5.3.3 Unrecognized command '{0}'")]
    Unrecognized(String),
    #[error("501 5.5.4 Invalid arguments")]
    Arguments,
    #[error("501 5.1.7 Invalid address")]
    ReversePath,
    #[error("501 5.1.3 Invalid address")]
    Recipient,
    #[error("555 5.5.4 Unsupported option: {0}")]
    Option(String),
}

impl Command {
    /// Reads a line without its CRLF.
    pub(super) fn parse(line: &str) -> Result<Self, Syntax> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let alone = |command| if rest.is_empty() { Ok(command) } else { Err(Syntax::Arguments) };
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" if is_name(rest) => Ok(Self::Ehlo),
            "HELO" if is_name(rest) => Ok(Self::Helo),
            "EHLO" | "HELO" => Err(Syntax::Arguments),
            "STARTTLS" => alone(Self::StartTls),
            "AUTH" => auth(rest),
            "MAIL" => mail(rest),
            "RCPT" => rcpt(rest),
            "DATA" => alone(Self::Data),
            "BDAT" => bdat(rest),
            "RSET" => alone(Self::Rset),
            "NOOP" => Ok(Self::Noop),
            "VRFY" => Ok(Self::Vrfy),
            "QUIT" => alone(Self::Quit),
            _ => Err(Syntax::Unrecognized(verb.chars().filter(|letter| !letter.is_control()).take(32).collect())),
        }
    }
}

/// A domain or an address literal.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b".-_[]:".contains(&octet))
}

fn auth(rest: &str) -> Result<Command, Syntax> {
    let (mechanism, initial) = rest.split_once(' ').map_or((rest, None), |(name, initial)| (name, Some(initial)));
    let stray = |initial: &str| initial.is_empty() || initial.contains(' ');
    if mechanism.is_empty() || initial.is_some_and(stray) {
        return Err(Syntax::Arguments);
    }
    Ok(Command::Auth { mechanism: mechanism.to_ascii_uppercase(), initial: initial.map(str::to_owned) })
}

fn mail(rest: &str) -> Result<Command, Syntax> {
    let (reverse_path, parameters) = path(rest, "FROM:").ok_or(Syntax::ReversePath)?;
    let mut mail = Mail { reverse_path: reverse_path.to_owned(), size: None, smtputf8: false };
    for parameter in parameters {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match name.to_ascii_uppercase().as_str() {
            "SIZE" => mail.size = Some(value.parse().map_err(|_| Syntax::Arguments)?),
            "BODY" if ["7BIT", "8BITMIME", "BINARYMIME"].iter().any(|known| same(known, value)) => {}
            "SMTPUTF8" if value.is_empty() => mail.smtputf8 = true,
            "AUTH" | "ENVID" => {}
            "RET" if same(value, "FULL") || same(value, "HDRS") => {}
            "BODY" | "SMTPUTF8" | "RET" => return Err(Syntax::Arguments),
            other => return Err(Syntax::Option(other.to_owned())),
        }
    }
    let address_fits = mail.reverse_path.is_empty() || is_address(&mail.reverse_path, mail.smtputf8);
    if address_fits { Ok(Command::Mail(mail)) } else { Err(Syntax::ReversePath) }
}

fn rcpt(rest: &str) -> Result<Command, Syntax> {
    let (address, parameters) = path(rest, "TO:").ok_or(Syntax::Recipient)?;
    for parameter in parameters {
        match parameter.split_once('=').map(|(name, _)| name.to_ascii_uppercase()).as_deref() {
            Some("NOTIFY" | "ORCPT") => {}
            _ => return Err(Syntax::Option(parameter.to_owned())),
        }
    }
    // Whether UTF-8 was announced is known to the session; the shape is what counts here.
    if is_address(address, true) { Ok(Command::Rcpt { address: address.to_owned() }) } else { Err(Syntax::Recipient) }
}

/// `FROM:<path> PARAMETER ...`: no space after the colon, and the brackets are not optional.
fn path<'a>(rest: &'a str, keyword: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let (start, inside) = rest.split_at_checked(keyword.len())?;
    let inside = inside.strip_prefix('<').filter(|_| same(start, keyword))?;
    let end = match inside.strip_prefix('"') {
        None => inside.find('>')?,
        // A quoted local part may hold a bracket.
        Some(quoted) => {
            let quote = quoted.find("\"@")? + 2;
            quote + inside[quote..].find('>')?
        }
    };
    let (address, after) = (&inside[..end], &inside[end + 1..]);
    if !after.is_empty() && !after.starts_with(' ') {
        return None;
    }
    Some((address, after.split(' ').filter(|parameter| !parameter.is_empty()).collect()))
}

fn is_address(text: &str, utf8: bool) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let quoted = local.len() > 2 && local.starts_with('"') && local.ends_with('"');
    let wrong = |letter: char| {
        letter.is_control() || "<>()[]\\,;:\"@ ".contains(letter) && !quoted || !utf8 && !letter.is_ascii()
    };
    let bad_domain =
        |letter: char| !(letter.is_ascii_alphanumeric() || ".-".contains(letter) || utf8 && !letter.is_ascii());
    let literal = domain.starts_with('[') && domain.ends_with(']');
    let domain_fits = literal || domain.split('.').all(|label| !label.is_empty()) && !domain.contains(bad_domain);
    !local.is_empty() && local.len() <= 64 && !local.contains(wrong) && domain_fits
}

fn bdat(rest: &str) -> Result<Command, Syntax> {
    let (octets, last) = rest.split_once(' ').map_or((rest, None), |(octets, last)| (octets, Some(last)));
    let digits = !octets.is_empty() && octets.bytes().all(|octet| octet.is_ascii_digit());
    let octets = octets.parse().ok().filter(|_| digits).ok_or(Syntax::Arguments)?;
    match last {
        None => Ok(Command::Bdat { octets, last: false }),
        Some(word) if same(word, "LAST") => Ok(Command::Bdat { octets, last: true }),
        Some(_) => Err(Syntax::Arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_commands_are_understood() {
        let mail = |path: &str, size, smtputf8| Command::Mail(Mail { reverse_path: path.into(), size, smtputf8 });
        let rows = [
            ("mail from:<>", mail("", None, false), "the null reverse path, in lower case"),
            ("MAIL FROM:<a@x.example> SIZE=12 BODY=8BITMIME", mail("a@x.example", Some(12), false), "parameters"),
            ("MAIL FROM:<ü@x.example> SMTPUTF8", mail("ü@x.example", None, true), "announced UTF-8"),
            ("RCPT TO:<\"a>b\"@x.example>", Command::Rcpt { address: "\"a>b\"@x.example".into() }, "quoted bracket"),
            ("BDAT 0 LAST", Command::Bdat { octets: 0, last: true }, "an empty last chunk"),
        ];
        for (line, expected, why) in rows {
            assert_eq!(Command::parse(line), Ok(expected), "{why}");
        }
    }

    #[test]
    fn sloppy_commands_are_refused() {
        for (line, why) in [
            ("MAIL FROM: <a@x.example>", "a space after the colon"),
            ("MAIL FROM:a@x.example", "no brackets"),
            ("MAIL FROM:<ü@x.example>", "UTF-8 without SMTPUTF8"),
            ("MAIL FROM:<a@x.example> BODY=9BIT", "an unknown body type"),
            ("RCPT TO:<>", "an empty recipient"),
            ("RCPT TO:<a b@x.example>", "a space in an address"),
            ("RCPT TO:<a@x..example>", "an empty label"),
            ("DATA now", "an argument where none belongs"),
            ("BDAT +5", "a sign in a size"),
            ("EHLO", "no name"),
            ("AUTH XOAUTH2 a b", "two initial responses"),
        ] {
            assert!(Command::parse(line).is_err(), "{why}");
        }
    }
}
