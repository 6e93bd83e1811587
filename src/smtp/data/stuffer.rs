//! Dots on the way out.

use memchr::memmem;

/// What stands directly before the next octet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Before {
    /// The beginning, or CRLF.
    Line,
    /// An LF without a CR before it.
    LoneLf,
    /// A CR.
    Cr,
    /// Anything else.
    Text,
}

/// Doubles the dot at the beginning of each line and ends the content of DATA (RFC 5321 section 4.5.2).
#[derive(Debug)]
pub struct DotStuffer(Before);

impl Default for DotStuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl DotStuffer {
    /// At the beginning of the content.
    pub fn new() -> Self {
        Self(Before::Line)
    }

    /// Appends `canonical` to `out` with its dots doubled. It has no line ends but CRLF; should an LF stand alone in
    /// it, the dot behind that is doubled too.
    pub fn push(&mut self, canonical: &[u8], out: &mut Vec<u8>) {
        out.reserve(canonical.len() + 1);
        let mut rest = canonical;
        while let Some(&first) = rest.first() {
            if matches!(self.0, Before::Line | Before::LoneLf) && first == b'.' {
                out.push(b'.');
            }
            let length = end_of_line_before_dot(rest);
            let (piece, behind) = rest.split_at(length);
            out.extend_from_slice(piece);
            self.0 = match piece {
                [.., b'\r', b'\n'] => Before::Line,
                [b'\n'] if self.0 == Before::Cr => Before::Line,
                [.., b'\n'] => Before::LoneLf,
                [.., b'\r'] => Before::Cr,
                _ => Before::Text,
            };
            rest = behind;
        }
    }

    /// Ends the content: CRLF if its last line has none, then the final dot.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.0 {
            Before::Line => b".\r\n",
            Before::Cr => b"\n.\r\n",
            Before::LoneLf | Before::Text => b"\r\n.\r\n",
        });
        self.0 = Before::Line;
    }
}

/// The length of `text` up to and including the first LF that a dot follows, else all of it.
fn end_of_line_before_dot(text: &[u8]) -> usize {
    memmem::find(text, b"\n.").map_or(text.len(), |line_feed| line_feed + 1)
}
