//! What a server answers after the login (RFC 9051 section 7), as values: octets become answers with the one literal that
//! matters, and answers become what looking into a folder needs. Whatever else a server tells is passed over.

use super::literal::{Announced, announced};
use super::upstream::response::Response;
pub use super::upstream::response::Status;
use crate::clock::Timestamp;
use crate::octets::{Input, Line};

/// Octets of an answer beside its literals: the numbers of a hundred thousand messages.
const MAX_TEXT: usize = 1024 * 1024;
/// What stands before the octets that [`Answer::body`] has; some servers leave out that they are the first ones.
const BODY: [&str; 2] = ["BODY[]<0> ", "BODY[] "];

/// One answer: its line, with a blank for each literal in it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// The beginning of a message, if the answer has it.
    pub body: Option<Vec<u8>>,
}

/// The server's octets cannot be an answer, or are more than was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the server's answer is longer than what it was asked for, or is none")]
pub struct Unreadable;

/// Takes octets, gives answers.
pub struct Answers {
    input: Input<MAX_TEXT>,
    /// Octets of a body that are taken.
    max_body: usize,
    begun: Answer,
    literal: Option<Literal>,
}

/// A literal that is under way.
struct Literal {
    left: usize,
    is_body: bool,
}

impl Answers {
    /// Answers without a body of more than `max_body` octets.
    pub fn new(max_body: usize) -> Self {
        Self { input: Input::default(), max_body, begun: Answer::default(), literal: None }
    }

    /// Takes octets.
    pub fn receive(&mut self, octets: &[u8]) {
        self.input.receive(octets);
    }

    /// The next answer; `None` if more must come first.
    ///
    /// # Errors
    /// There is no way to go on.
    pub fn take(&mut self) -> Result<Option<Answer>, Unreadable> {
        loop {
            if !self.literal_is_over() {
                return Ok(None);
            }
            let line = match self.input.line() {
                None => return Ok(None),
                Some(Line::TooLong) => return Err(Unreadable),
                Some(Line::Whole(line)) => line,
            };
            let Some((before, announced)) = announced(&line) else {
                self.add(&line)?;
                return Ok(Some(std::mem::take(&mut self.begun)));
            };
            self.add(before)?;
            self.begin(announced)?;
        }
    }

    fn add(&mut self, text: &[u8]) -> Result<(), Unreadable> {
        if self.begun.text.len() + text.len() > MAX_TEXT {
            return Err(Unreadable);
        }
        self.begun.text.push_str(&String::from_utf8_lossy(text));
        Ok(())
    }

    fn begin(&mut self, announced: Announced) -> Result<(), Unreadable> {
        let (Announced::Waiting(left) | Announced::Coming(left)) = announced else { return Err(Unreadable) };
        let left = usize::try_from(left).map_err(|_| Unreadable)?;
        let text = &self.begun.text;
        let ends_with = |name: &&str| {
            let end = text.len().checked_sub(name.len()).and_then(|at| text.get(at..));
            end.is_some_and(|end| end.eq_ignore_ascii_case(name))
        };
        let is_body = BODY.iter().any(ends_with) && self.begun.body.is_none();
        if left > if is_body { self.max_body } else { MAX_TEXT } {
            return Err(Unreadable);
        }
        if is_body {
            self.begun.body = Some(Vec::with_capacity(left));
        }
        self.literal = Some(Literal { left, is_body });
        Ok(())
    }

    /// Takes what is there of the literal that is under way, if one is.
    fn literal_is_over(&mut self) -> bool {
        let Some(literal) = &mut self.literal else { return true };
        let rest = self.input.rest();
        let taken = &rest[..literal.left.min(rest.len())];
        if let (true, Some(body)) = (literal.is_body, &mut self.begun.body) {
            body.extend_from_slice(taken);
        }
        let count = taken.len();
        literal.left -= count;
        let is_over = literal.left == 0;
        self.input.consume(count);
        if is_over {
            self.literal = None;
        }
        is_over
    }
}

impl Answer {
    /// What the server says to the command of this tag, and in which words; `None`: it is no answer to it.
    pub fn outcome(&self, tag: &str) -> Option<(Status, String)> {
        match Response::parse(self.text.as_bytes(), tag) {
            Response::Ours(status, words) | Response::Untagged(status @ Status::Bye, words) => Some((status, words)),
            Response::Untagged(..)
            | Response::Capability(_)
            | Response::Data
            | Response::Continue(_)
            | Response::Foreign => None,
        }
    }

    /// `* 23 EXISTS`: how many messages there are.
    pub fn exists(&self) -> Option<u64> {
        let (number, word) = self.text.strip_prefix("* ")?.split_once(' ')?;
        word.trim_end().eq_ignore_ascii_case("EXISTS").then(|| number.parse().ok())?
    }

    /// `* OK [UIDVALIDITY 3857529045]`: UIDs mean the same as long as this is the same.
    pub fn uid_validity(&self) -> Option<u32> {
        const CODE: &str = "* OK [UIDVALIDITY ";
        let (head, rest) = self.text.split_at_checked(CODE.len())?;
        head.eq_ignore_ascii_case(CODE).then(|| rest.split(']').next()?.parse().ok())?
    }

    /// `* SEARCH 2 3 6`: what was found.
    pub fn found(&self) -> Option<Vec<u32>> {
        const WORD: &str = "* SEARCH";
        let (head, rest) = self.text.split_at_checked(WORD.len())?;
        let numbers = rest.split_ascii_whitespace().filter_map(|number| number.parse().ok());
        (head.eq_ignore_ascii_case(WORD) && !rest.starts_with(|c: char| c != ' ')).then(|| numbers.collect())
    }

    /// `* ESEARCH (TAG "A282") UID ALL 2,10:11`: what was found, in words that only a server without any other uses
    /// (RFC 9051 section 7.3.4).
    pub fn is_found_otherwise(&self) -> bool {
        self.text.get(.."* ESEARCH".len()).is_some_and(|head| head.eq_ignore_ascii_case("* ESEARCH"))
    }

    /// `* 12 FETCH (UID 34 BODY[]<0> {11}`: which message it is about.
    pub fn uid(&self) -> Option<u32> {
        item(self.fetched()?, "UID")?.split([' ', ')']).next()?.parse().ok()
    }

    /// `* 12 FETCH (UID 34 INTERNALDATE "21-Nov-2026 08:00:00 +0000")`: which message came when.
    pub fn came(&self) -> Option<(u32, Timestamp)> {
        let date = item(self.fetched()?, "INTERNALDATE")?.strip_prefix('"')?.split('"').next()?;
        Some((self.uid()?, Timestamp::of_imap(date)?))
    }

    /// What stands in the parentheses of a FETCH.
    fn fetched(&self) -> Option<&str> {
        let (number, rest) = self.text.strip_prefix("* ")?.split_once(' ')?;
        let (word, items) = rest.split_once(' ')?;
        let is_fetch = word.eq_ignore_ascii_case("FETCH") && number.bytes().all(|octet| octet.is_ascii_digit());
        is_fetch.then(|| items.strip_prefix('('))?
    }
}

/// What stands behind the name of a data item.
fn item<'a>(items: &'a str, name: &str) -> Option<&'a str> {
    let begins = |at: usize| at == 0 || items.as_bytes()[at - 1] == b' ';
    let is_name = |at: usize| {
        let rest = items.get(at..at + name.len()).filter(|word| word.eq_ignore_ascii_case(name));
        rest.is_some() && items.as_bytes().get(at + name.len()) == Some(&b' ')
    };
    let at = (0..items.len()).find(|at| begins(*at) && is_name(*at))?;
    items.get(at + name.len() + 1..)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSCRIPT: &[u8] = b"* 172 EXISTS\r\n* OK [UIDVALIDITY 3857529045] UIDs valid\r\n* SEARCH 2 84 882\r\n\
        * 5 FETCH (UID 84 INTERNALDATE \" 1-Nov-2026 02:44:25 -0700\")\r\n\
        * LIST () \"/\" {7}\r\na {9}\r\n\r\n\
        * 5 FETCH (FLAGS (\\Seen) UID 84 BODY[]<0> {21}\r\nFrom: a\r\n\r\n) x OK {3})\r\n\
        ox1 OK [READ-ONLY] done\r\n";

    fn all(octets: &[u8], piece: usize) -> Vec<Answer> {
        let mut answers = Answers::new(1024);
        let mut all = Vec::new();
        for piece in octets.chunks(piece) {
            answers.receive(piece);
            while let Some(answer) = answers.take().unwrap() {
                all.push(answer);
            }
        }
        all
    }

    fn answer(text: &str) -> Answer {
        Answer { text: text.to_owned(), body: None }
    }

    #[test]
    fn answers_are_the_same_however_their_octets_come() {
        let whole = all(TRANSCRIPT, TRANSCRIPT.len());
        assert_eq!(whole.len(), 7, "{whole:?}");
        assert_eq!(whole[4].text, "* LIST () \"/\" ");
        assert_eq!(whole[5].body.as_deref(), Some(&b"From: a\r\n\r\n) x OK {3}"[..]));
        for piece in 1..TRANSCRIPT.len() {
            assert_eq!(all(TRANSCRIPT, piece), whole, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_body_is_known_by_its_name_and_its_message() {
        for (octets, uid, body) in [
            (&b"* 5 FETCH (UID 8 BODY[] {3}\r\nabc)\r\n"[..], Some(8), Some(&b"abc"[..])),
            (b"* 5 FETCH (body[]<0> {3}\r\nabc UID 8)\r\n", Some(8), Some(b"abc")),
            (b"* 5 FETCH (UID 8 BODY[]<0> NIL)\r\n", Some(8), None),
            (b"* 5 FETCH (UID 8 BODY[TEXT] {3}\r\nabc)\r\n", Some(8), None),
            (b"* 5 FETCH (FLAGS ())\r\n", None, None),
        ] {
            let answers = all(octets, 5);
            assert_eq!((answers[0].uid(), answers[0].body.as_deref()), (uid, body), "{answers:?}");
        }
    }

    #[test]
    fn a_folder_is_read_out_of_answers() {
        let whole = all(TRANSCRIPT, 7);
        assert_eq!(whole.iter().find_map(Answer::exists), Some(172));
        assert_eq!(whole.iter().find_map(Answer::uid_validity), Some(3_857_529_045));
        assert_eq!(whole.iter().find_map(Answer::found), Some(vec![2, 84, 882]));
        let came = whole.iter().find_map(Answer::came).map(|(uid, at)| (uid, at.to_string()));
        assert_eq!(came, Some((84, "2026-11-01T09:44:25Z".to_owned())));
        assert_eq!(whole.iter().find_map(|answer| answer.outcome("ox1")).map(|(status, _)| status), Some(Status::Ok));
    }

    #[test]
    fn what_looks_alike_is_something_else() {
        assert_eq!(answer("* 23 EXISTS ").exists(), Some(23), "a blank at the end");
        for text in ["* x EXISTS", "* 5 EXISTS now", "172 EXISTS", "* 5 RECENT"] {
            assert_eq!(answer(text).exists(), None, "{text}");
        }
        assert_eq!(answer("* SEARCH").found(), Some(Vec::new()), "nothing was found");
        assert_eq!(answer("* SEARCHED 4").found(), None);
        assert!(answer("* ESEARCH (TAG \"ox1\") UID ALL 2,5:9").is_found_otherwise());
        assert!(!answer("* SEARCH 2").is_found_otherwise());
        for text in [
            "* 5 FETCH (UID 84)",
            "* 5 FETCH (XUID 84 INTERNALDATE \"21-Nov-2026 08:00:00 +0000\")",
            "* 5 FETCH (UID 84 INTERNALDATE \"soon\")",
            "* 5 FETCH (UID 84 INTERNALDATE NIL)",
            "* 5 EXPUNGE (UID 84 INTERNALDATE \"21-Nov-2026 08:00:00 +0000\")",
        ] {
            assert_eq!(answer(text).came(), None, "{text}");
        }
        let table = [
            ("ox1 NO [SERVERBUG] x", Some(Status::No), "no"),
            ("ox1 BAD x", Some(Status::Bad), "bad"),
            ("* BYE going down", Some(Status::Bye), "it goes"),
            ("* OK still here", None, "a remark"),
            ("ox2 OK x", None, "another command"),
        ];
        for (text, expected, why) in table {
            assert_eq!(answer(text).outcome("ox1").map(|(status, _)| status), expected, "{why}");
        }
    }

    #[test]
    fn no_server_makes_us_keep_more_than_was_asked_for() {
        let hopeless = |octets: &[u8]| {
            let mut answers = Answers::new(1024);
            answers.receive(octets);
            answers.take()
        };
        assert_eq!(hopeless(b"* 1 FETCH (BODY[]<0> {1025}\r\n"), Err(Unreadable));
        assert_eq!(hopeless(b"* 1 FETCH (BODY[]<0> {1024}\r\n"), Ok(None));
        assert_eq!(hopeless(b"* 1 FETCH (BODY[]<0> {99999999999999999999}\r\n"), Err(Unreadable));
        assert_eq!(hopeless(format!("* LIST {{{}}}\r\n", MAX_TEXT + 1).as_bytes()), Err(Unreadable));
        let mut answers = Answers::new(1024);
        let line = [vec![b'x'; MAX_TEXT / 4], b" {1}\r\ny".to_vec()].concat();
        let ended = (0..5).find_map(|_| {
            answers.receive(&line);
            answers.take().err()
        });
        assert_eq!(ended, Some(Unreadable), "a line made of many literals");
    }
}
