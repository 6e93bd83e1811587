//! What was received and not used yet: the octets between a wire and a protocol value.

use memchr::memchr;

/// A line from the other side.
#[derive(PartialEq, Eq, Debug)]
pub enum Line {
    /// Its octets without the line end (LF, or one CR and LF).
    Whole(Vec<u8>),
    /// It was longer than allowed and is gone.
    TooLong,
}

/// The octets between the wire and a value. Holds at most a line of `MAX_LINE` and what one `receive` brought.
#[derive(Default)]
pub struct Input<const MAX_LINE: usize> {
    octets: Vec<u8>,
    /// Where the unused octets begin.
    at: usize,
    /// Inside a line that is too long: everything up to its end is dropped.
    skipping: bool,
}

impl<const MAX_LINE: usize> Input<MAX_LINE> {
    /// Takes what came.
    pub fn receive(&mut self, octets: &[u8]) {
        if self.at > 0 {
            self.octets.drain(..self.at);
            self.at = 0;
        }
        self.octets.extend_from_slice(octets);
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.at == self.octets.len()
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// All octets that are there.
    pub fn rest(&self) -> &[u8] {
        &self.octets[self.at..]
    }

    /// Marks the first `count` octets of the rest as used. An input that is empty keeps no memory: thousands of
    /// sessions may be waiting for their next command.
    pub fn consume(&mut self, count: usize) {
        self.at = (self.at + count).min(self.octets.len());
        if self.is_empty() {
            self.octets = Vec::new();
            self.at = 0;
        }
    }

    /// Takes all octets that are there.
    pub fn take_rest(&mut self) -> Vec<u8> {
        let rest = self.rest().to_vec();
        self.clear();
        rest
    }

    /// The next line; `None` if its end has not come yet.
    pub fn line(&mut self) -> Option<Line> {
        let rest = self.rest();
        let Some(length) = memchr(b'\n', rest) else {
            // One more than the limit may be the CR of a line that just fits.
            if self.skipping || rest.len() > MAX_LINE + 1 {
                let all = rest.len();
                self.skipping = true;
                self.consume(all);
            }
            return None;
        };
        let line = &rest[..length];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = if self.skipping || line.len() > MAX_LINE { Line::TooLong } else { Line::Whole(line.to_vec()) };
        self.skipping = false;
        self.consume(length + 1);
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_LINE: usize = 12_352;
    type Input = super::Input<MAX_LINE>;

    fn whole(text: &str) -> Option<Line> {
        Some(Line::Whole(text.as_bytes().to_vec()))
    }

    #[test]
    fn lines_end_with_lf_and_one_cr_before_it_is_not_part_of_them() {
        let mut input = Input::default();
        input.receive(b"one\r\ntwo\n\r\r\nthr");
        assert_eq!(input.line(), whole("one"));
        assert_eq!(input.line(), whole("two"));
        assert_eq!(input.line(), whole("\r"));
        assert_eq!(input.line(), None);
        input.receive(b"ee\n");
        assert_eq!(input.line(), whole("three"));
        assert!(input.is_empty());
    }

    #[test]
    fn a_line_too_long_is_dropped_to_its_end_without_being_kept() {
        let mut input = Input::default();
        for _ in 0..100 {
            input.receive(&[b'x'; 10_000]);
            assert_eq!(input.line(), None);
            assert!(input.rest().len() <= MAX_LINE);
        }
        input.receive(b"x\r\nNOOP\r\n");
        assert_eq!(input.line(), Some(Line::TooLong));
        assert_eq!(input.line(), whole("NOOP"));
    }

    #[test]
    fn the_limit_is_the_same_however_the_line_arrives() {
        for (length, good) in [(MAX_LINE, true), (MAX_LINE + 1, false)] {
            let line = [vec![b'x'; length], b"\r\n".to_vec()].concat();
            for piece in [1, 7, 4096, line.len()] {
                let mut input = Input::default();
                let mut lines = Vec::new();
                for octets in line.chunks(piece) {
                    input.receive(octets);
                    lines.extend(input.line());
                }
                assert_eq!(lines.len(), 1);
                assert_eq!(lines[0] != Line::TooLong, good, "{length} octets in pieces of {piece}");
            }
        }
    }
}
