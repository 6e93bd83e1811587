//! SMTP replies: a code, an enhanced status code and words, which always agree and never break a line.

use std::borrow::Cow;

use crate::mail::failure::Disposition;
use crate::mail::{EnhancedStatusCode, Failure, Reason};

/// Octets of text in one reply line. RFC 5321 section 4.5.3.1.5 allows 512 for the whole line; the rest is room for
/// the codes and the line end.
const MAX_TEXT: usize = 480;

/// What the server says to one command (RFC 5321 section 4.2), with its enhanced status code (RFC 2034).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    code: u16,
    /// Replies of class 3, the greeting and the answer to EHLO and HELO have none.
    status: Option<EnhancedStatusCode>,
    /// Printable ASCII; `\n` begins another line of the reply.
    text: Cow<'static, str>,
}

impl Reply {
    /// A fixed reply. In a constant, a code and a status of different classes, or a text that is not printable
    /// ASCII, do not compile.
    pub const fn new(code: u16, status: EnhancedStatusCode, text: &'static str) -> Self {
        assert!(code / 100 == status.class() as u16, "code and enhanced status code are of the same class");
        assert!(is_reply_text(text), "a reply is printable ASCII");
        Self { code, status: Some(status), text: Cow::Borrowed(text) }
    }

    /// A fixed reply without an enhanced status code.
    pub const fn basic(code: u16, text: &'static str) -> Self {
        assert!(code >= 200 && code <= 599, "a reply code lies between 200 and 599");
        assert!(is_reply_text(text), "a reply is printable ASCII");
        Self { code, status: None, text: Cow::Borrowed(text) }
    }

    /// A reply made from somebody else's code, status and words; `None` if the code is no reply code, or if the
    /// classes disagree.
    pub fn from_parts(code: u16, status: Option<EnhancedStatusCode>, text: &str) -> Option<Self> {
        let agrees = status.is_none_or(|status| code / 100 == u16::from(status.class()));
        (agrees && (200..=599).contains(&code)).then(|| Self { code, status, text: Cow::Owned(reply_text(text)) })
    }

    /// The same codes with other words. A line break begins another line of the reply; what is not printable ASCII
    /// is replaced, so no text can break out of its line.
    #[must_use]
    pub fn saying(&self, text: &str) -> Self {
        Self { text: Cow::Owned(reply_text(text)), ..*self }
    }

    /// The reply code, 200 to 599.
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced status code, if the reply has one.
    pub const fn status(&self) -> Option<EnhancedStatusCode> {
        self.status
    }

    /// The words, lines parted by `\n`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it says yes (class 2).
    pub const fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// Appends the reply as it goes on the wire, each line ended by CRLF and at most 512 octets long.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let mut lines = self.text.split('\n').flat_map(wrapped).peekable();
        while let Some(line) = lines.next() {
            let separator = if lines.peek().is_some() { '-' } else { ' ' };
            out.extend_from_slice(format!("{}{separator}", self.code).as_bytes());
            if let Some(status) = self.status {
                out.extend_from_slice(format!("{status} ").as_bytes());
            }
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }

    /// The reply as it goes on the wire.
    pub fn to_octets(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.text.len() + 16);
        self.write_to(&mut out);
        out
    }
}

/// How a failure is told to a client that waits for the outcome (direct mode).
impl From<&Failure> for Reply {
    fn from(failure: &Failure) -> Self {
        // Of what is refused for good the provider's own code. Of the rest ours: codes about its login, or about how fast
        // we send, would be taken by the client for its own.
        let status = match failure.reason.disposition() {
            Disposition::Fail => failure.status(),
            Disposition::Defer | Disposition::Hold => failure.reason.status(),
        };
        let code = match (failure.reason, status.class()) {
            (Reason::MessageTooLarge, _) => 552,
            (Reason::RecipientRefused | Reason::SenderRefused, _) => 550,
            (Reason::RecipientDeferred, _) => 450,
            (_, 4) => 451,
            (_, _) => 554,
        };
        Self { code, status: Some(status), text: Cow::Owned(reply_text(&failure.to_string())) }
    }
}

const fn is_reply_text(text: &str) -> bool {
    let octets = text.as_bytes();
    let mut at = 0;
    while at < octets.len() {
        if octets[at] != b'\n' && (octets[at] < b' ' || octets[at] > b'~') {
            return false;
        }
        at += 1;
    }
    true
}

fn reply_text(text: &str) -> String {
    let printable = |c: char| match c {
        '\n' | ' '..='~' => c,
        c if c.is_control() => ' ',
        _ => '?',
    };
    text.chars().map(printable).collect()
}

/// The pieces of one line of text, none longer than [`MAX_TEXT`], broken at a blank where there is one.
fn wrapped(mut text: &str) -> impl Iterator<Item = &str> {
    let mut done = false;
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        if text.len() <= MAX_TEXT {
            done = true;
            return Some(text);
        }
        let at = text[..MAX_TEXT].rfind(' ').filter(|at| *at > 0).unwrap_or(MAX_TEXT);
        let (line, rest) = text.split_at(at);
        text = rest.trim_start();
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: Reply = Reply::new(454, EnhancedStatusCode::new(4, 7, 0), "busy");

    fn wire(reply: &Reply) -> String {
        String::from_utf8(reply.to_octets()).unwrap()
    }

    #[test]
    fn a_reply_is_written_with_its_codes_on_every_line() {
        assert_eq!(wire(&BUSY), "454 4.7.0 busy\r\n");
        assert_eq!(wire(&Reply::basic(354, "go on")), "354 go on\r\n");
        assert_eq!(wire(&BUSY.saying("one\ntwo\n")), "454-4.7.0 one\r\n454-4.7.0 two\r\n454 4.7.0 \r\n");
    }

    #[test]
    fn words_from_outside_cannot_break_out_of_their_line() {
        assert_eq!(wire(&BUSY.saying("no\r\u{85}\0 way \u{1b}[0m é")), "454 4.7.0 no    way  [0m ?\r\n");
    }

    #[test]
    fn long_words_are_wrapped_and_no_line_passes_512_octets() {
        for text in ["x".repeat(1500), "word ".repeat(400), format!(" {}", "y".repeat(600))] {
            let wire = wire(&BUSY.saying(&text));
            let lines: Vec<_> = wire.split_terminator("\r\n").collect();
            assert!(lines.len() > 1 && lines.iter().all(|line| line.len() <= 510), "{lines:?}");
            let (last, before) = lines.split_last().unwrap();
            assert!(last.starts_with("454 4.7.0 ") && before.iter().all(|line| line.starts_with("454-4.7.0 ")));
        }
    }

    #[test]
    fn parts_that_disagree_make_no_reply() {
        let status = Some(EnhancedStatusCode::new(5, 1, 1));
        assert!(Reply::from_parts(550, status, "no").is_some());
        assert!(Reply::from_parts(450, status, "no").is_none());
        assert!(Reply::from_parts(199, None, "no").is_none());
        assert!(Reply::from_parts(600, None, "no").is_none());
    }

    #[test]
    fn a_failure_is_told_with_agreeing_codes() {
        for (reason, words, start) in [
            (Reason::MessageTooLarge, "552 no", "552 5.3.4 "),
            (Reason::RecipientRefused, "550 no", "550 5.1.1 "),
            (Reason::RecipientRefused, "554 5.7.1 no", "550 5.7.1 "),
            (Reason::Throttled, "550 5.7.233 too fast", "451 4.4.5 "),
            (Reason::RecipientDeferred, "450 4.2.1 later", "450 4.2.0 "),
            (Reason::SignInNeeded, "550 5.1.1", "451 4.7.0 "),
            (Reason::AuthenticationRejected, "535 5.7.8 no", "451 4.7.0 "),
            (Reason::ContentRefused, "554 no", "554 5.6.0 "),
        ] {
            let wire = wire(&Reply::from(&Failure::new(reason, format!("{words}\r\n250 yes"))));
            assert!(wire.starts_with(start) && wire.matches("\r\n").count() == 1, "{wire}");
        }
    }
}
