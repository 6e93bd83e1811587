//! Mail addresses as RFC 5321 section 4.1.2 has them, parsed once and passed on as values.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Octets a path may have at most (RFC 5321 section 4.5.3.1.3, without the brackets).
const MAX_ADDRESS: usize = 254;
/// Octets a local part may have at most (RFC 5321 section 4.5.3.1.1).
const MAX_LOCAL_PART: usize = 64;

/// A domain name or an address literal, in lower case.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(String);

impl Domain {
    /// The domain as text, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> Self {
        domain.0
    }
}

impl TryFrom<String> for Domain {
    type Error = NotAnAddress;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl FromStr for Domain {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_domain(text) || is_address_literal(text) {
            Ok(Self(text.to_lowercase()))
        } else {
            Err(NotAnAddress::Domain)
        }
    }
}

/// `local-part@domain`. Two addresses are equal when they differ in letter case alone: the providers oxpost speaks to
/// treat them so, and a recipient must not get a message twice for a capital letter.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    /// As it stood on the wire, quotes included.
    local: String,
    domain: Domain,
}

impl Address {
    /// The local part as it goes on the wire, with its quotes if it has any.
    pub fn local_part(&self) -> &str {
        &self.local
    }

    /// The domain.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Whether it can be sent without SMTPUTF8 (RFC 6531).
    pub fn is_ascii(&self) -> bool {
        self.local.is_ascii() && self.domain.0.is_ascii()
    }

    /// The text under which equal addresses are filed: lower case, needless quotes gone.
    pub fn key(&self) -> String {
        format!("{}@{}", unquoted_where_possible(&self.local).to_lowercase(), self.domain)
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Address {}

impl Hash for Address {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

impl TryFrom<String> for Address {
    type Error = NotAnAddress;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Why a text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAddress {
    /// No `@`, or nothing before it.
    #[error("an address has the form local-part@domain")]
    Form,
    /// The part before the `@` is malformed.
    #[error("the part before the @ is malformed")]
    LocalPart,
    /// The part after the `@` is not a domain.
    #[error("the part after the @ is not a domain")]
    Domain,
    /// Longer than RFC 5321 allows.
    #[error("the address is too long")]
    TooLong,
}

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_ADDRESS {
            return Err(NotAnAddress::TooLong);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(NotAnAddress::Form)?;
        if local.is_empty() {
            return Err(NotAnAddress::Form);
        }
        if local.len() > MAX_LOCAL_PART {
            return Err(NotAnAddress::TooLong);
        }
        if !is_dot_string(local) && !is_quoted_string(local) {
            return Err(NotAnAddress::LocalPart);
        }
        Ok(Self { local: local.to_owned(), domain: domain.parse()? })
    }
}

/// RFC 5321 `Dot-string`, with RFC 6531's letters beyond ASCII.
fn is_dot_string(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || is_utf8_text(c)
}

/// Letters beyond ASCII, but no control, separator or direction mark that would show one thing and mean another.
fn is_utf8_text(c: char) -> bool {
    !c.is_ascii()
        && !c.is_control()
        && !c.is_whitespace()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
        // The Kelvin sign and its like: their small form is ASCII, so two mailboxes would be filed as one.
        && !c.to_lowercase().any(|small| small.is_ascii())
}

/// RFC 5321 `Quoted-string`.
fn is_quoted_string(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return false };
    if text.len() < 3 {
        return false;
    }
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        let fine = match c {
            '\\' => chars.next().is_some_and(|escaped| (' '..='~').contains(&escaped)),
            '"' => false,
            c => (' '..='~').contains(&c) || is_utf8_text(c),
        };
        if !fine {
            return false;
        }
    }
    true
}

/// `"a.b"` names the same mailbox as `a.b`; `"a b"` stays as it is.
fn unquoted_where_possible(local: &str) -> String {
    let Some(inner) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return local.to_owned() };
    let mut plain = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        plain.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    if is_dot_string(&plain) { plain } else { local.to_owned() }
}

fn is_domain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || is_utf8_text(c);
    !label.is_empty()
        && label.len() <= 63
        && label.chars().all(fine)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 section 4.1.3).
fn is_address_literal(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else { return false };
    match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("ipv6:") => inner[5..].parse::<std::net::Ipv6Addr>().is_ok(),
        _ => inner.parse::<std::net::Ipv4Addr>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_or_refused() {
        let table = [
            ("a@b.example", true, "plain"),
            ("a@b", true, "a host name alone"),
            ("first.last+tag@b.example", true, "dots and a tag"),
            ("\"a b\"@b.example", true, "quoted blank"),
            ("\"a\\\"b\"@b.example", true, "escaped quote"),
            ("\"a@b\"@c.example", true, "an @ in quotes"),
            ("用户@例え.jp", true, "letters beyond ASCII"),
            ("a@[192.0.2.1]", true, "address literal"),
            ("a@[IPv6:2001:db8::1]", true, "IPv6 literal"),
            ("a", false, "no @"),
            ("@b.example", false, "nothing before the @"),
            ("a@", false, "nothing behind the @"),
            ("a..b@x.example", false, "two dots"),
            (".a@x.example", false, "leading dot"),
            ("a b@x.example", false, "blank outside quotes"),
            ("\"victim@evil.test x\"@own.test", true, "one address, of own.test"),
            ("a@own.test(x)evil.test", false, "a comment is not a domain"),
            ("a@b@c.example", false, "two @ without quotes"),
            ("<a@b.example>", false, "brackets are not part of it"),
            ("a@b.example\r\nRCPT TO:<x@y>", false, "a line end"),
            ("a\0@b.example", false, "NUL"),
            ("a\u{202e}b@c.example", false, "a direction mark"),
            ("\u{212a}urt@c.example", false, "the Kelvin sign, which would be filed as a k"),
            ("\"\"@b.example", false, "an empty quoted string"),
            ("a@-b.example", false, "label begins with a hyphen"),
            ("a@b..example", false, "empty label"),
            ("a@[300.1.1.1]", false, "no such address"),
        ];
        for (text, good, why) in table {
            assert_eq!(text.parse::<Address>().is_ok(), good, "{text:?}: {why}");
        }
        assert_eq!(format!("{}@b.example", "x".repeat(65)).parse::<Address>(), Err(NotAnAddress::TooLong));
        assert_eq!(format!("a@{}", "b.".repeat(130)).parse::<Address>(), Err(NotAnAddress::TooLong));
    }

    #[test]
    fn letter_case_and_needless_quotes_do_not_make_another_address() {
        let address = |text: &str| text.parse::<Address>().unwrap();
        assert_eq!(address("Bob@Example.COM"), address("bob@example.com"));
        assert_eq!(address("\"bob\"@example.com"), address("bob@example.com"));
        assert_ne!(address("\"b ob\"@example.com"), address("bob@example.com"));
        assert_eq!(address("Bob@Example.COM").to_string(), "Bob@example.com");
    }
}
