//! One line of a server (RFC 9051 section 7), read as far as a login needs it.

/// Octets of a capability list that are believed.
const MAX_CAPABILITIES: usize = 2048;

/// What a status response says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// It was done.
    Ok,
    /// It was not.
    No,
    /// It was not understood.
    Bad,
    /// The server hangs up.
    Bye,
    /// Somebody is logged in from the start.
    PreAuth,
}

impl Status {
    fn named(word: &str) -> Option<Self> {
        match word.to_ascii_uppercase().as_str() {
            "OK" => Some(Self::Ok),
            "NO" => Some(Self::No),
            "BAD" => Some(Self::Bad),
            "BYE" => Some(Self::Bye),
            "PREAUTH" => Some(Self::PreAuth),
            _ => None,
        }
    }
}

/// A line.
#[derive(PartialEq, Eq, Debug)]
pub(in crate::imap) enum Response {
    /// `* OK text` and its kin.
    Untagged(Status, String),
    /// `* CAPABILITY ...`
    Capability(String),
    /// Other data, which is nobody's business before the login.
    Data,
    /// `+ text`
    Continue(String),
    /// The answer to our command.
    Ours(Status, String),
    /// Anything else: another tag, or no IMAP at all.
    Foreign,
}

impl Response {
    /// Reads a line without its end; `tag` is ours.
    pub(in crate::imap) fn parse(line: &[u8], tag: &str) -> Self {
        // A lone CR could make one line look like two to whoever reads it next.
        if line.contains(&b'\r') || line.contains(&0) || ends_in_a_literal(line) {
            return Self::Foreign;
        }
        let text = String::from_utf8_lossy(line);
        let (first, rest) = text.split_once(' ').unwrap_or((text.as_ref(), ""));
        let (word, behind) = rest.split_once(' ').unwrap_or((rest, ""));
        match (first, Status::named(word)) {
            ("+", _) => Self::Continue(rest.to_owned()),
            ("*", Some(status)) => Self::Untagged(status, behind.to_owned()),
            ("*", None) if word.eq_ignore_ascii_case("CAPABILITY") => {
                capabilities(behind).map_or(Self::Data, Self::Capability)
            }
            ("*", None) if !word.is_empty() => Self::Data,
            (first, Some(status @ (Status::Ok | Status::No | Status::Bad))) if first == tag => {
                Self::Ours(status, behind.to_owned())
            }
            _ => Self::Foreign,
        }
    }
}

/// What follows would not be a line.
fn ends_in_a_literal(line: &[u8]) -> bool {
    let Some(inner) = line.strip_suffix(b"}") else { return false };
    let digits = inner.iter().rev().take_while(|octet| octet.is_ascii_digit() || **octet == b'+').count();
    digits > 0 && inner.len() > digits && inner[inner.len() - digits - 1] == b'{'
}

/// The list in `[CAPABILITY ...]` at the start of a text.
pub(super) fn capability_code(text: &str) -> Option<String> {
    const CODE: &str = "[CAPABILITY ";
    let (head, rest) = text.split_at_checked(CODE.len())?;
    if !head.eq_ignore_ascii_case(CODE) {
        return None;
    }
    capabilities(rest.split_once(']')?.0)
}

/// A list of atoms, blanks made one; `None` if it is anything else.
fn capabilities(text: &str) -> Option<String> {
    let fine = |word: &str| word.bytes().all(|octet| octet.is_ascii_graphic() && !b"[](){\"\\*%".contains(&octet));
    let words: Vec<_> = text.split_ascii_whitespace().collect();
    (!words.is_empty() && text.len() <= MAX_CAPABILITIES && words.iter().all(|word| fine(word)))
        .then(|| words.join(" "))
}
