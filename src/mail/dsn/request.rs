//! What a client asks for about reports on its message (RFC 3461 section 4): told of what, and with how much of it.

use serde::{Deserialize, Serialize};

/// Characters of ENVID (RFC 3461 section 4.4).
const MAX_ENVELOPE_ID: usize = 100;
/// Characters of ORCPT (RFC 3461 section 4.2).
const MAX_ORIGINAL: usize = 500;

/// What MAIL asked for.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MessageWishes {
    /// How much of the message a report about a failure carries (RET); `None`: its header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub back: Option<Back>,
    /// The client's own name for the message (ENVID), decoded: printable ASCII.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envelope_id: Option<String>,
}

/// How much of a message comes back with a report (RET).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Back {
    /// The whole message.
    Full,
    /// Its header.
    Hdrs,
}

/// What RCPT asked for.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RecipientWishes {
    /// What to tell (NOTIFY); `None`: nothing was asked, so failures and delays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notify>,
    /// Whom the sender named first (ORCPT).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original: Option<OriginalRecipient>,
}

/// NOTIFY: of what the sender wants to hear. Nothing at all is `NEVER`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Notify {
    /// That it was delivered, or handed to somebody who will not tell.
    pub success: bool,
    /// That it was not.
    pub failure: bool,
    /// That it takes long.
    pub delay: bool,
}

/// ORCPT: a type of address and the address, decoded.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct OriginalRecipient {
    /// Such as `rfc822`.
    pub kind: String,
    /// Printable ASCII. Of the type `utf-8` it stays in the escaped form of RFC 6533 section 3.
    pub address: String,
}

impl MessageWishes {
    /// Reads a value of RET; `None` if it is none.
    pub fn back(value: &str) -> Option<Back> {
        [("FULL", Back::Full), ("HDRS", Back::Hdrs)]
            .into_iter()
            .find_map(|(word, back)| value.eq_ignore_ascii_case(word).then_some(back))
    }

    /// Reads a value of ENVID; `None` if it is none.
    pub fn envelope_id(value: &str) -> Option<String> {
        if value.len() > MAX_ENVELOPE_ID { None } else { from_xtext(value) }
    }

    /// The parameters of MAIL that say the same, each with a blank before it.
    pub fn parameters(&self) -> String {
        let back = match self.back {
            Some(Back::Full) => " RET=FULL",
            Some(Back::Hdrs) => " RET=HDRS",
            None => "",
        };
        let id = self.envelope_id.as_deref().map(|id| format!(" ENVID={}", to_xtext(id)));
        format!("{back}{}", id.unwrap_or_default())
    }
}

impl RecipientWishes {
    /// Whether the sender wants to hear of a failure.
    pub fn of_failure(&self) -> bool {
        self.notify.is_none_or(|notify| notify.failure)
    }

    /// Whether the sender wants to hear that it takes long. Without NOTIFY that is up to the server (RFC 3461 section
    /// 4.1), and people want to know.
    pub fn of_delay(&self) -> bool {
        self.notify.is_none_or(|notify| notify.delay)
    }

    /// Whether the sender wants to hear that it was handed over.
    pub fn of_success(&self) -> bool {
        self.notify.is_some_and(|notify| notify.success)
    }

    /// The parameters of RCPT that say the same, each with a blank before it.
    pub fn parameters(&self) -> String {
        let notify = self.notify.map(|notify| format!(" NOTIFY={notify}"));
        let original = self.original.as_ref().map(|original| {
            let address = if original.is_utf8() { original.address.clone() } else { to_xtext(&original.address) };
            format!(" ORCPT={};{address}", original.kind)
        });
        notify.unwrap_or_default() + &original.unwrap_or_default()
    }
}

/// As NOTIFY has it.
impl std::fmt::Display for Notify {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words = [(self.success, "SUCCESS"), (self.failure, "FAILURE"), (self.delay, "DELAY")];
        let words: Vec<_> = words.into_iter().filter_map(|(wanted, word)| wanted.then_some(word)).collect();
        f.write_str(&if words.is_empty() { "NEVER".to_owned() } else { words.join(",") })
    }
}

impl Notify {
    /// Reads a value of NOTIFY: `NEVER` alone, or a list of the others. `None` if it is none.
    pub fn parse(value: &str) -> Option<Self> {
        let mut notify = Self::default();
        if value.eq_ignore_ascii_case("NEVER") {
            return Some(notify);
        }
        for word in value.split(',') {
            match word.to_ascii_uppercase().as_str() {
                "SUCCESS" => notify.success = true,
                "FAILURE" => notify.failure = true,
                "DELAY" => notify.delay = true,
                _ => return None,
            }
        }
        Some(notify)
    }
}

impl OriginalRecipient {
    /// Reads a value of ORCPT; `None` if it is none.
    pub fn parse(value: &str) -> Option<Self> {
        let (kind, address) = value.split_once(';').filter(|_| value.len() <= MAX_ORIGINAL)?;
        let atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*-/?^_`{|}~.".contains(c);
        let named = !kind.is_empty() && kind.chars().all(atom);
        let mut original = Self { kind: kind.to_owned(), address: address.to_owned() };
        if original.is_utf8() {
            // Its own escapes stay as they are: they are what a report in ASCII needs.
            let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '+' | '=');
            return (named && !address.is_empty() && address.chars().all(plain)).then_some(original);
        }
        original.address = from_xtext(address)?;
        (named && !original.address.is_empty()).then_some(original)
    }

    fn is_utf8(&self) -> bool {
        self.kind.eq_ignore_ascii_case("utf-8")
    }
}

/// `type; address`, as the fields of a report have it.
impl std::fmt::Display for OriginalRecipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; {}", self.kind, self.address)
    }
}

/// xtext (RFC 3461 section 4) decoded; `None` unless it stands for printable ASCII. A line break could come in here and
/// end up in a header field, so nothing else is taken.
fn from_xtext(text: &str) -> Option<String> {
    let mut decoded = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let octet = match c {
            '+' => {
                let pair: String = rest.by_ref().take(2).collect();
                let hex = pair.len() == 2 && pair.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
                u8::from_str_radix(&pair, 16).ok().filter(|_| hex)?
            }
            '=' => return None,
            c if c.is_ascii_graphic() => u8::try_from(c).ok()?,
            _ => return None,
        };
        if !(b' '..=b'~').contains(&octet) {
            return None;
        }
        decoded.push(char::from(octet));
    }
    Some(decoded)
}

fn to_xtext(text: &str) -> String {
    let encoded = text.bytes().map(|octet| match octet {
        b'+' | b'=' => format!("+{octet:02X}"),
        octet if octet.is_ascii_graphic() => char::from(octet).to_string(),
        octet => format!("+{octet:02X}"),
    });
    encoded.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn notify_is_never_alone_or_a_list_of_the_others() {
        let table = [
            ("NEVER", Some("NEVER"), "nothing"),
            ("never", Some("NEVER"), "in any letter case"),
            ("DELAY,Failure", Some("FAILURE,DELAY"), "a list"),
            ("SUCCESS,FAILURE,DELAY", Some("SUCCESS,FAILURE,DELAY"), "all"),
            ("NEVER,FAILURE", None, "NEVER stands alone"),
            ("", None, "nothing at all"),
            ("FAILURE,", None, "an empty word"),
            ("ALWAYS", None, "no such word"),
        ];
        for (value, expected, why) in table {
            assert_eq!(Notify::parse(value).map(|notify| notify.to_string()).as_deref(), expected, "{why}");
        }
    }

    #[test]
    fn envelope_ids_and_original_recipients_are_decoded_and_hold_nothing_but_printable_ascii() {
        let table = [
            ("QQ314159", Some("QQ314159"), "plain"),
            ("a+2Bb+3Dc", Some("a+b=c"), "the two that must be escaped"),
            ("a+20b", Some("a b"), "a blank"),
            ("", Some(""), "empty"),
            ("a+0D+0ABcc:+20x", None, "a line break"),
            ("a+2bb", None, "small hexadecimal digits"),
            ("a+2", None, "half a pair"),
            ("a=b", None, "a bare ="),
            ("a+C3+A4", None, "octets beyond ASCII"),
            ("\u{e4}", None, "a letter beyond ASCII"),
        ];
        for (value, expected, why) in table {
            assert_eq!(MessageWishes::envelope_id(value).as_deref(), expected, "{why}");
            let original = OriginalRecipient::parse(&format!("rfc822;{value}"));
            let expected = expected.filter(|address| !address.is_empty()).map(|address| format!("rfc822; {address}"));
            assert_eq!(original.map(|original| original.to_string()), expected, "{why}");
        }
        assert_eq!(MessageWishes::envelope_id(&"x".repeat(101)), None, "longer than 100");
        assert_eq!(OriginalRecipient::parse(&format!("rfc822;{}", "x".repeat(500))), None, "longer than 500");
        assert_eq!(OriginalRecipient::parse("bob@x.example"), None, "no type");
        let unicode = OriginalRecipient::parse("utf-8;j\\x{F6}rg@x.example").unwrap();
        assert_eq!(unicode.to_string(), "utf-8; j\\x{F6}rg@x.example");
    }

    proptest! {
        #[test]
        fn what_is_passed_on_says_the_same(id in "[ -~]{0,30}", address in "[ -~]{1,60}", full: bool, bits in 0_u8..9) {
            let back = Some(if full { Back::Full } else { Back::Hdrs });
            let message = MessageWishes { back, envelope_id: Some(id.clone()) };
            let text = message.parameters();
            let mut words = text.split_ascii_whitespace();
            prop_assert_eq!(words.next().and_then(|ret| MessageWishes::back(ret.strip_prefix("RET=")?)), back);
            prop_assert_eq!(words.next().and_then(|id| MessageWishes::envelope_id(id.strip_prefix("ENVID=")?)), Some(id));
            let notify = Notify { success: bits & 1 > 0, failure: bits & 2 > 0, delay: bits & 4 > 0 };
            let original = OriginalRecipient { kind: "rfc822".to_owned(), address };
            let recipient = RecipientWishes { notify: (bits < 8).then_some(notify), original: Some(original) };
            let mut again = RecipientWishes::default();
            for word in recipient.parameters().split_ascii_whitespace() {
                match word.split_once('=') {
                    Some(("NOTIFY", value)) => again.notify = Notify::parse(value),
                    Some((_, value)) => again.original = OriginalRecipient::parse(value),
                    None => {}
                }
            }
            prop_assert_eq!(again, recipient);
        }
    }
}
