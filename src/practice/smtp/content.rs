//! The content of a message as it comes over SMTP: where it ends, and what must not be in it.

use std::fmt;

/// Something in the content that Exchange refuses with 550 5.6.11.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Defect {
    /// What it is.
    pub(super) kind: Bare,
    /// The octet of the content it was found at, from 0.
    pub(super) at: usize,
    /// Whether a dot stands where another server might see the end of the message.
    pub(super) smuggling: bool,
}

/// A line end that is only half there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Bare {
    Cr,
    Lf,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.kind {
            Bare::Cr => "CR",
            Bare::Lf => "LF",
        };
        write!(f, "a bare {name} at octet {} of the content", self.at)?;
        if self.smuggling {
            f.write_str(", next to a dot: another server might take what follows for a second message")?;
        }
        Ok(())
    }
}

/// The first defect of a content, if any.
pub(super) fn inspect(content: &[u8]) -> Option<Defect> {
    let bare = memchr::memchr2_iter(b'\r', b'\n', content).find_map(|at| match content[at] {
        b'\r' if content.get(at + 1) != Some(&b'\n') => Some((Bare::Cr, at)),
        b'\n' if at == 0 || content[at - 1] != b'\r' => Some((Bare::Lf, at)),
        _ => None,
    });
    bare.map(|(kind, at)| {
        let around = &content[at.saturating_sub(3)..content.len().min(at + 4)];
        let dotted = |pair: &[u8]| matches!(pair, [b'\r' | b'\n', b'.'] | [b'.', b'\r' | b'\n']);
        Defect { kind, at, smuggling: around.windows(2).any(dotted) }
    })
}

/// Reads DATA up to CRLF.CRLF, and nothing else, and takes the stuffed dots out (RFC 5321 section 4.5.2).
pub(super) struct DataReader {
    place: Place,
    content: Vec<u8>,
    limit: usize,
    too_large: bool,
}

/// Where in a line the last octet was.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// After CRLF, or at the very beginning.
    LineStart,
    /// After a dot at the start of a line.
    Dot,
    /// After a CR behind that dot.
    DotCr,
    /// Inside a line.
    Text,
    /// After a CR inside a line.
    Cr,
}

impl DataReader {
    /// Begins a message of at most `limit` octets.
    pub(super) const fn new(limit: usize) -> Self {
        Self { place: Place::LineStart, content: Vec::new(), limit, too_large: false }
    }

    /// Takes octets; `Some` is how many of them belonged to the message, now that its end was among them.
    pub(super) fn push(&mut self, octets: &[u8]) -> Option<usize> {
        for (at, &octet) in octets.iter().enumerate() {
            self.place = match (self.place, octet) {
                (Place::DotCr, b'\n') => return Some(at + 1),
                (Place::LineStart, b'.') => Place::Dot,
                (Place::Dot, b'\r') => Place::DotCr,
                (Place::DotCr, _) => {
                    self.keep(b'\r');
                    self.inside(octet, Place::Cr)
                }
                (place, _) => self.inside(octet, place),
            };
        }
        None
    }

    /// The content, or nothing if it was too large.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        if self.too_large { None } else { Some(self.content) }
    }

    fn inside(&mut self, octet: u8, before: Place) -> Place {
        self.keep(octet);
        match octet {
            b'\r' => Place::Cr,
            b'\n' if before == Place::Cr => Place::LineStart,
            _ => Place::Text,
        }
    }

    fn keep(&mut self, octet: u8) {
        if self.content.len() < self.limit {
            self.content.push(octet);
        } else {
            self.too_large = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wire: &[u8]) -> (Vec<u8>, usize) {
        let mut reader = DataReader::new(1_000);
        let end = reader.push(wire).expect("the end is there");
        (reader.finish().unwrap(), end)
    }

    #[test]
    fn only_crlf_dot_crlf_ends_a_message() {
        let rows: [(&[u8], &[u8], &str); 9] = [
            (b".\r\n", b"", "an empty message"),
            (b"a\r\n.\r\n", b"a\r\n", "the plain case"),
            (b"a\r\n..\r\n.\r\n", b"a\r\n.\r\n", "a stuffed dot"),
            (b"a\n.\nb\r\n.\r\n", b"a\n.\nb\r\n", "LF.LF"),
            (b"a\n.\r\nb\r\n.\r\n", b"a\n.\r\nb\r\n", "LF.CRLF"),
            (b"a\r\n.\nb\r\n.\r\n", b"a\r\n\nb\r\n", "CRLF.LF"),
            (b"a\r.\rb\r\n.\r\n", b"a\r.\rb\r\n", "CR.CR"),
            (b"a\r\n.\r\r\n.\r\n", b"a\r\n\r\r\n", "CRLF.CR CRLF"),
            (b"a\r\r\n.\r\n", b"a\r\r\n", "CR before CRLF is still a line end"),
        ];
        for (wire, content, why) in rows {
            assert_eq!(read(wire), (content.to_vec(), wire.len()), "{why}");
            for cut in 0..wire.len() {
                let mut reader = DataReader::new(1_000);
                assert_eq!(reader.push(&wire[..cut]), None, "{why}, cut at {cut}");
                assert_eq!(reader.push(&wire[cut..]), Some(wire.len() - cut), "{why}, cut at {cut}");
                assert_eq!(reader.finish().as_deref(), Some(content), "{why}, cut at {cut}");
            }
        }
    }

    #[test]
    fn what_follows_the_end_is_not_taken() {
        assert_eq!(read(b"a\r\n.\r\nMAIL FROM:<>\r\n").1, 6);
    }

    #[test]
    fn half_line_ends_are_found_and_smuggling_is_named() {
        assert_eq!(inspect(b"a\r\nb\r\n"), None);
        let rows: [(&[u8], Bare, usize, bool, &str); 4] = [
            (b"a\nb\r\n", Bare::Lf, 1, false, "a Unix line end"),
            (b"a\n.\r\nMAIL FROM:<>\r\n", Bare::Lf, 1, true, "LF.CRLF"),
            (b"a\r\n\nb\r\n", Bare::Lf, 3, false, "a second LF"),
            (b"a\r.\rb\r\n", Bare::Cr, 1, true, "CR.CR"),
        ];
        for (content, kind, at, smuggling, why) in rows {
            assert_eq!(inspect(content), Some(Defect { kind, at, smuggling }), "{why}");
        }
    }

    #[test]
    fn too_much_is_read_to_its_end_and_not_kept() {
        let mut reader = DataReader::new(3);
        assert_eq!(reader.push(b"abcdef\r\n.\r\n"), Some(11));
        assert_eq!(reader.finish(), None);
    }
}
