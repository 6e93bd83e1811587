//! The arguments of MAIL and RCPT: a path and parameters (RFC 5321 section 4.1.2).
//!
//! Lenient in form, because printers and scripts are: blanks around the colon, no brackets, blanks inside them. Never
//! lenient in what an address is: [`Address`] decides, and its result is what travels on.

use super::{MailRequest, RcptRequest, RcptTarget, Reply, replies};
use crate::mail::dsn::{MessageWishes, Notify, OriginalRecipient, RecipientWishes};
use crate::mail::{Address, BodyType, Domain, ReversePath};

/// Reads what follows `MAIL`.
pub(super) fn mail(arguments: &str) -> Result<MailRequest, Reply> {
    let text = after_keyword(arguments, "FROM").ok_or(replies::MAIL_SYNTAX)?;
    let (path, parameters) = split_path(text).ok_or(replies::MAIL_SYNTAX)?;
    let reverse_path = match path {
        Path { text: "", in_brackets: true } => ReversePath::Null,
        Path { text, .. } => ReversePath::Mailbox(address(text).ok_or(replies::BAD_SENDER)?),
    };
    let (body, wishes) = (BodyType::default(), MessageWishes::default());
    let mut request = MailRequest { reverse_path, size: None, body, smtputf8: false, wishes };
    for parameter in parameters.split_ascii_whitespace() {
        mail_parameter(parameter, &mut request)?;
    }
    Ok(request)
}

/// Reads what follows `RCPT`.
pub(super) fn rcpt(arguments: &str) -> Result<RcptRequest, Reply> {
    let text = after_keyword(arguments, "TO").ok_or(replies::RCPT_SYNTAX)?;
    let (path, parameters) = split_path(text).ok_or(replies::RCPT_SYNTAX)?;
    let target = if path.text.eq_ignore_ascii_case("postmaster") {
        RcptTarget::Postmaster
    } else {
        RcptTarget::Address(address(path.text).ok_or(replies::BAD_RECIPIENT)?)
    };
    let mut wishes = RecipientWishes::default();
    for parameter in parameters.split_ascii_whitespace() {
        rcpt_parameter(parameter, &mut wishes)?;
    }
    Ok(RcptRequest { target, wishes })
}

/// RFC 3461 section 4.1 and 4.2.
fn rcpt_parameter(parameter: &str, wishes: &mut RecipientWishes) -> Result<(), Reply> {
    let (keyword, value) = parameter.split_once('=').ok_or(replies::UNKNOWN_PARAMETER)?;
    match keyword.to_ascii_uppercase().as_str() {
        "NOTIFY" => once(&mut wishes.notify, Notify::parse(value)),
        "ORCPT" => once(&mut wishes.original, OriginalRecipient::parse(value)),
        _ => Err(replies::UNKNOWN_PARAMETER),
    }
}

/// A parameter stands at most once, with a value that it may have.
fn once<T>(place: &mut Option<T>, value: Option<T>) -> Result<(), Reply> {
    if place.is_some() || value.is_none() {
        return Err(replies::BAD_PARAMETER);
    }
    *place = value;
    Ok(())
}

fn mail_parameter(parameter: &str, request: &mut MailRequest) -> Result<(), Reply> {
    let (keyword, value) = match parameter.split_once('=') {
        Some((keyword, value)) => (keyword, Some(value)),
        None => (parameter, None),
    };
    match (keyword.to_ascii_uppercase().as_str(), value) {
        ("SIZE", Some(digits)) => request.size = Some(size(digits).ok_or(replies::BAD_PARAMETER)?),
        ("BODY", Some(body)) if body.eq_ignore_ascii_case("7BIT") => request.body = BodyType::SevenBit,
        ("BODY", Some(body)) if body.eq_ignore_ascii_case("8BITMIME") => request.body = BodyType::EightBitMime,
        // Whom the client vouches for (RFC 4954 section 5): read and ignored.
        ("AUTH", Some(_)) => {}
        ("SMTPUTF8", None) => request.smtputf8 = true,
        ("RET", Some(back)) => once(&mut request.wishes.back, MessageWishes::back(back))?,
        ("ENVID", Some(id)) => once(&mut request.wishes.envelope_id, MessageWishes::envelope_id(id))?,
        ("SIZE" | "BODY" | "AUTH" | "SMTPUTF8" | "RET" | "ENVID", _) => return Err(replies::BAD_PARAMETER),
        _ => return Err(replies::UNKNOWN_PARAMETER),
    }
    Ok(())
}

/// RFC 1870: one to twenty digits. More than fits is as large as can be.
fn size(digits: &str) -> Option<u64> {
    let well_formed = (1..=20).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
    well_formed.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// What follows `FROM:` or `TO:`, in any letter case and with blanks around the colon.
fn after_keyword<'a>(arguments: &'a str, keyword: &str) -> Option<&'a str> {
    let (start, rest) = arguments.trim_ascii_start().split_at_checked(keyword.len())?;
    let rest = rest.trim_ascii_start().strip_prefix(':')?;
    start.eq_ignore_ascii_case(keyword).then(|| rest.trim_ascii_start())
}

#[derive(Debug)]
struct Path<'a> {
    text: &'a str,
    in_brackets: bool,
}

/// Parts the path from the parameters behind it. Brackets and blanks inside a quoted string belong to it.
fn split_path(text: &str) -> Option<(Path<'_>, &str)> {
    let in_brackets = text.starts_with('<');
    let inner = if in_brackets { &text[1..] } else { text };
    let ends = |c: char| if in_brackets { c == '>' } else { c.is_ascii_whitespace() };
    let (mut quoted, mut escaped) = (false, false);
    let end = inner.char_indices().find(|(_, c)| {
        let found = !quoted && ends(*c);
        quoted ^= *c == '"' && !escaped;
        escaped = quoted && *c == '\\' && !escaped;
        found
    });
    let (path, rest) = match (end, in_brackets) {
        (Some((at, _)), true) => (&inner[..at], &inner[at + 1..]),
        (Some((at, _)), false) => inner.split_at(at),
        (None, true) => return None,
        (None, false) => (inner, ""),
    };
    let parted = rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_whitespace());
    let there = in_brackets || !path.is_empty();
    (parted && there).then(|| (Path { text: path.trim_ascii(), in_brackets }, rest))
}

fn address(path: &str) -> Option<Address> {
    without_route(path)?.parse().ok()
}

/// A source route (`@a,@b:x@y`) is read and ignored (RFC 5321 appendix F.2).
fn without_route(path: &str) -> Option<&str> {
    if !path.starts_with('@') {
        return Some(path);
    }
    let (route, address) = path.split_once(':')?;
    let is_host = |hop: &str| hop.strip_prefix('@').is_some_and(|domain| domain.parse::<Domain>().is_ok());
    route.split(',').all(is_host).then_some(address)
}
