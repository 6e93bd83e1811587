//! Mail content on the wire: where DATA ends, what its line ends become, and the dots on the way out.
//!
//! In, each octet passes two small machines. [`DataDecoder`] looks at the octets as they were received, finds the end
//! and takes the stuffed dots away; [`LineEnds`] then turns every kind of line end into CRLF. BDAT (RFC 3030) counts
//! octets and has no dots, so it uses the second alone. Out, [`DotStuffer`] puts the dots back.
//!
//! None of them keeps more than a few octets between calls, and none gives another result when its input is cut
//! elsewhere.

mod line_ends;
mod stuffer;
#[cfg(test)]
mod tests;

pub use line_ends::{Findings, LineEnds};
pub use stuffer::DotStuffer;

use memchr::memmem;

use super::LineEndings;

/// How a line began that starts with a dot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum LineStart {
    /// After CRLF, or as the first line of the content.
    Crlf,
    /// After an LF that had no CR before it.
    LoneLf,
}

/// What stands directly before the next octet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Before {
    /// A line end: the next octet begins a line.
    Line(LineStart),
    /// A CR.
    Cr,
    /// A dot at the beginning of a line: the stuffed one, or the final one. Not yet passed on.
    Dot(LineStart),
    /// That dot, then a CR. Neither is passed on yet.
    DotCr(LineStart),
    /// Anything else.
    Text,
}

/// Decodes the content of DATA (RFC 5321 section 4.5.2).
///
/// The end is CRLF `.` CRLF in the octets as received and nothing else, where the first CRLF may be that of the DATA
/// command. Servers that took other sequences for the end let one client's message become two (SMTP smuggling). On a
/// line begun by a lone LF a dot was stuffed only if a second dot follows: a sender that ends lines with CRLF did not
/// see a line there.
///
/// With [`LineEndings::Lf`], for a client that says so in the configuration, a lone LF counts as a line end like any
/// other.
#[derive(Debug)]
pub struct DataDecoder {
    endings: LineEndings,
    before: Before,
    line_ends: LineEnds,
    lone_dot: bool,
}

impl DataDecoder {
    /// A decoder for the octets behind the CRLF of a DATA command.
    pub fn new(endings: LineEndings) -> Self {
        let before = Before::Line(LineStart::Crlf);
        Self { endings, before, line_ends: LineEnds::new(), lone_dot: false }
    }

    /// Decodes `input`, appending canonical content to `out`. Returns the number of octets of `input` up to and
    /// including the end of the content, or `None` if the end is not in it and all of `input` was used.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        let mut at = 0;
        while let Some(&octet) = input.get(at) {
            match self.before {
                Before::Line(start) if octet == b'.' => {
                    self.before = Before::Dot(start);
                    at += 1;
                }
                Before::Dot(start) => match (octet, self.counts(start)) {
                    (b'\r', true) => {
                        self.before = Before::DotCr(start);
                        at += 1;
                    }
                    (b'\n', true) if self.endings == LineEndings::Lf => return Some(self.end(at + 1, out)),
                    (_, counts) => self.ordinary_line(octet, counts, out),
                },
                Before::DotCr(_) if octet == b'\n' => return Some(self.end(at + 1, out)),
                Before::DotCr(_) => {
                    self.line_ends.push(b"\r", out);
                    self.before = Before::Cr;
                }
                Before::Line(_) | Before::Cr | Before::Text => at += self.text(&input[at..], out),
            }
        }
        None
    }

    /// What was found in the content so far that a message should not hold.
    pub fn findings(&self) -> Findings {
        self.line_ends.findings()
    }

    /// Whether a line held nothing but a dot without being the end, because it began or ended with a lone LF. A
    /// client that waits behind such a line probably needs [`LineEndings::Lf`].
    pub fn saw_lone_dot(&self) -> bool {
        self.lone_dot
    }

    /// Whether a line that began so is one for this client.
    fn counts(&self, start: LineStart) -> bool {
        start == LineStart::Crlf || self.endings == LineEndings::Lf
    }

    /// The line begins with a dot and is not the end: decides, by the octet behind the dot, whether it was stuffed.
    fn ordinary_line(&mut self, octet: u8, counts: bool, out: &mut Vec<u8>) {
        self.before = Before::Text;
        self.lone_dot |= octet == b'\n' || (octet == b'\r' && !counts);
        if !counts && octet != b'.' {
            self.line_ends.push(b".", out);
        }
    }

    /// Passes on everything up to the next line that begins with a dot. Returns how many octets that was; at least
    /// one.
    fn text(&mut self, input: &[u8], out: &mut Vec<u8>) -> usize {
        let length = memmem::find(input, b"\n.").map_or(input.len(), |line_feed| line_feed + 1);
        let (text, _) = input.split_at(length);
        self.before = match text {
            [.., b'\r', b'\n'] => Before::Line(LineStart::Crlf),
            [b'\n'] if self.before == Before::Cr => Before::Line(LineStart::Crlf),
            [.., b'\n'] => Before::Line(LineStart::LoneLf),
            [.., b'\r'] => Before::Cr,
            _ => Before::Text,
        };
        self.line_ends.push(text, out);
        length
    }

    fn end(&mut self, used: usize, out: &mut Vec<u8>) -> usize {
        self.line_ends.finish(out);
        used
    }
}
