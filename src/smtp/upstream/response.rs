//! What a server answers (RFC 5321 section 4.2), read with bounds: a lying server costs a connection, not memory.

use std::fmt;

use crate::mail::EnhancedStatusCode;

/// Octets in one line. RFC 5321 section 4.5.3.1.5 says 512; servers that put a whole story into one line are tolerated.
const MAX_LINE: usize = 8 * 1024;
/// Lines in one answer.
const MAX_LINES: usize = 100;
/// Octets in one answer.
const MAX_ANSWER: usize = 32 * 1024;

/// One complete answer of a server, all its lines together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// Three digits, 200 to 599.
    pub code: u16,
    /// The enhanced status code at the start of the text, if it has one of the same class (RFC 2034).
    pub status: Option<EnhancedStatusCode>,
    /// The text of its lines without code and separator, joined by `\n`. Octets that are not UTF-8 are replaced.
    pub text: String,
}

impl Response {
    /// First digit of the code: 2 done, 3 go on, 4 later, 5 no.
    pub const fn class(&self) -> u16 {
        self.code / 100
    }

    /// Whether it is a 2yz.
    pub const fn is_positive(&self) -> bool {
        self.class() == 2
    }

    fn new(code: u16, text: String) -> Self {
        let first = text.split_ascii_whitespace().next();
        let status: Option<EnhancedStatusCode> = first.and_then(|word| word.parse().ok());
        Self { code, status: status.filter(|status| u16::from(status.class()) == code / 100), text }
    }
}

/// Code and text on one line.
impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        self.text.lines().filter(|line| !line.is_empty()).try_for_each(|line| write!(f, " {line}"))
    }
}

/// Octets that are not an answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Malformed {
    /// The line does not begin with a code.
    #[error("the server sent `{0}`, which is not an SMTP reply")]
    NotAReply(String),
    /// The lines of one answer bear different codes.
    #[error("the server sent one reply with two codes, {0} and {1}")]
    TwoCodes(u16, u16),
    /// A line without an end.
    #[error("the server sent a reply line of more than {MAX_LINE} octets")]
    LineTooLong,
    /// An answer without an end.
    #[error("the server sent a reply of more than {MAX_LINES} lines or {MAX_ANSWER} octets")]
    TooLong,
}

/// Cuts a stream of octets into answers.
#[derive(Debug, Default)]
pub(super) struct Reader {
    buffer: Vec<u8>,
    /// Where in `buffer` the first line begins that was not looked at.
    line: usize,
    /// The answer that has begun: its code, its text so far, its lines so far.
    begun: Option<(u16, String, usize)>,
}

impl Reader {
    /// Takes octets from the wire. Call [`Reader::next`] until it has nothing more before feeding it again.
    pub(super) fn receive(&mut self, octets: &[u8]) {
        self.buffer.extend_from_slice(octets);
    }

    /// Whether octets are left that no answer has used up.
    pub(super) fn has_more(&self) -> bool {
        !self.buffer.is_empty() || self.begun.is_some()
    }

    /// The next complete answer.
    pub(super) fn next(&mut self) -> Result<Option<Response>, Malformed> {
        while let Some(length) = memchr::memchr(b'\n', &self.buffer[self.line..]) {
            if length > MAX_LINE {
                return Err(Malformed::LineTooLong);
            }
            let line = &self.buffer[self.line..self.line + length];
            let (code, more, text) = parse_line(line.strip_suffix(b"\r").unwrap_or(line))?;
            self.line += length + 1;
            let (first_code, mut answer, lines) = self.begun.take().unwrap_or_else(|| (code, String::new(), 0));
            if first_code != code {
                return Err(Malformed::TwoCodes(first_code, code));
            }
            if lines > 0 {
                answer.push('\n');
            }
            answer.push_str(&text);
            if !more {
                self.forget_what_was_read();
                return Ok(Some(Response::new(code, answer)));
            }
            if lines + 1 >= MAX_LINES || answer.len() > MAX_ANSWER {
                return Err(Malformed::TooLong);
            }
            self.begun = Some((code, answer, lines + 1));
        }
        self.forget_what_was_read();
        if self.buffer.len() > MAX_LINE { Err(Malformed::LineTooLong) } else { Ok(None) }
    }

    fn forget_what_was_read(&mut self) {
        self.buffer.drain(..self.line);
        self.line = 0;
    }
}

/// Code, whether more lines follow, and text.
fn parse_line(line: &[u8]) -> Result<(u16, bool, std::borrow::Cow<'_, str>), Malformed> {
    let not_a_reply = || {
        let shown = &line[..line.len().min(80)];
        Malformed::NotAReply(crate::mail::failure::one_line(&String::from_utf8_lossy(shown)))
    };
    let [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9', rest @ ..] = line else { return Err(not_a_reply()) };
    let code = line[..3].iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    let (more, text) = match rest {
        [] => (false, rest),
        [b' ', text @ ..] => (false, text),
        [b'-', text @ ..] => (true, text),
        _ => return Err(not_a_reply()),
    };
    Ok((code, more, String::from_utf8_lossy(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(octets: &[u8]) -> Result<Vec<Response>, Malformed> {
        let mut reader = Reader::default();
        let mut answers = Vec::new();
        for piece in octets.chunks(4096) {
            reader.receive(piece);
            while let Some(answer) = reader.next()? {
                answers.push(answer);
            }
        }
        Ok(answers)
    }

    #[test]
    fn answers_are_read_the_same_in_one_piece_and_octet_by_octet() {
        let octets = b"220 a ready\r\n250-a\r\n250-SIZE 10\r\n250 HELP\r\n354\r\n550 5.1.1 no\n";
        let whole = read(octets).unwrap();
        let mut reader = Reader::default();
        let mut single = Vec::new();
        for octet in octets {
            reader.receive(&[*octet]);
            single.extend(reader.next().unwrap());
        }
        assert_eq!(whole, single);
        assert!(!reader.has_more());
        let shown: Vec<_> = whole.iter().map(Response::to_string).collect();
        assert_eq!(shown, ["220 a ready", "250 a SIZE 10 HELP", "354", "550 5.1.1 no"]);
        assert_eq!(whole[3].status, Some(EnhancedStatusCode::new(5, 1, 1)));
    }

    #[test]
    fn an_enhanced_status_code_of_another_class_is_not_believed() {
        assert_eq!(read(b"250 5.1.1 fine\r\n").unwrap()[0].status, None);
        assert_eq!(read(b"450 4.2.1.7 fine\r\n").unwrap()[0].status, None);
    }

    #[test]
    fn what_is_not_an_answer_is_named() {
        let table: [(&[u8], Malformed, &str); 7] = [
            (
                b"HTTP/1.1 400 Bad Request\r\n",
                Malformed::NotAReply("HTTP/1.1 400 Bad Request".into()),
                "another protocol",
            ),
            (b"\r\n", Malformed::NotAReply(String::new()), "an empty line"),
            (b"199 a\r\n", Malformed::NotAReply("199 a".into()), "no such class"),
            (b"250+a\r\n", Malformed::NotAReply("250+a".into()), "no such separator"),
            (b"2500 a\r\n", Malformed::NotAReply("2500 a".into()), "four digits"),
            (b"\x16\x03\x01\x00\x05\n", Malformed::NotAReply(String::new()), "a TLS record"),
            (b"250-a\r\n550 b\r\n", Malformed::TwoCodes(250, 550), "two codes"),
        ];
        for (octets, expected, why) in table {
            assert_eq!(read(octets), Err(expected), "{why}");
        }
    }

    #[test]
    fn answers_without_end_are_cut_off() {
        assert_eq!(read(&[b'2'; 300_000]), Err(Malformed::LineTooLong));
        let long = [b"250 ".as_slice(), &[b'x'; 9_000], b"\r\n"].concat();
        assert_eq!(read(&long), Err(Malformed::LineTooLong));
        assert_eq!(read(&b"250-x\r\n".repeat(101)), Err(Malformed::TooLong));
        let wide = [b"250-".as_slice(), &[b'x'; 8_000], b"\r\n"].concat();
        assert_eq!(read(&wide.repeat(6)), Err(Malformed::TooLong));
        let tolerated = [b"250 ".as_slice(), &[b'x'; 4_000], b"\r\n"].concat();
        assert_eq!(read(&tolerated).unwrap().len(), 1);
    }
}
