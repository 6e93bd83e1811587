//! Finds the parts line by line. Memory depends on the number of parts and never on their size.

use super::entity::{Entity, is_sealed};
use super::{Leaf, Multipart, Structure};

/// Octets of a line that are kept: a boundary has 70 at most (RFC 2046 section 5.1.1), some programs make longer ones.
const LINE: usize = 1_000;
/// Octets of a part's header that are read.
const HEADER: usize = 256 * 1024;
/// Multiparts in one another, and parts in all.
const MAX_DEPTH: usize = 50;
const MAX_PARTS: usize = 5_000;

/// Reads a message as it streams by.
#[derive(Debug)]
pub struct Scanner {
    /// Octets seen before the line that is being read.
    line_at: u64,
    /// How long that line is so far, and how it begins.
    line_length: u64,
    line: Vec<u8>,
    state: State,
    /// The multiparts around the place, outermost first.
    open: Vec<usize>,
    found: Structure,
}

#[derive(Debug)]
enum State {
    /// In the header of a part that began at `from`, its delimiter line included.
    Header { from: u64, block: Vec<u8> },
    /// In the content of the last leaf.
    Content,
    /// Before the first part of a multipart, or behind its last.
    Between,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// At the start of a message.
    pub fn new() -> Self {
        Self {
            line_at: 0,
            line_length: 0,
            line: Vec::new(),
            state: State::Header { from: 0, block: Vec::new() },
            open: Vec::new(),
            found: Structure::default(),
        }
    }

    /// The next octets of the message, whose lines end with CR LF.
    pub fn push(&mut self, octets: &[u8]) {
        let mut rest = octets;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, behind) = rest.split_at(end + 1);
            self.add(line);
            self.end_line();
            rest = behind;
        }
        self.add(rest);
    }

    /// The end of the message.
    pub fn finish(mut self) -> Structure {
        if self.line_length > 0 {
            self.end_line();
        }
        if let State::Header { .. } = self.state {
            self.end_header(self.line_at);
        }
        self.end_leaf(self.line_at, self.line_at);
        self.found
    }

    fn add(&mut self, octets: &[u8]) {
        let room = LINE.saturating_sub(self.line.len()).min(octets.len());
        self.line.extend_from_slice(&octets[..room]);
        self.line_length += octets.len() as u64;
        if let State::Header { block, .. } = &mut self.state
            && block.len() + octets.len() <= HEADER
        {
            block.extend_from_slice(octets);
        }
    }

    fn end_line(&mut self) {
        let (line, at) = (std::mem::take(&mut self.line), self.line_at);
        self.line_at += self.line_length;
        let whole = self.line_length == line.len() as u64;
        self.line_length = 0;
        let delimiter = if whole { self.delimiter(&line) } else { None };
        match delimiter {
            Some((depth, closing)) => self.end_part(at, line.len(), (depth, closing)),
            None if matches!(line.as_slice(), b"\r\n" | b"\n") => {
                if let State::Header { .. } = self.state {
                    self.end_header(self.line_at);
                }
            }
            None => {}
        }
        self.line = line;
        self.line.clear();
    }

    /// Which open multipart the line is a delimiter of, by its depth, and whether it is the last one.
    fn delimiter(&self, line: &[u8]) -> Option<(usize, bool)> {
        let text = line.trim_ascii_end().strip_prefix(b"--")?;
        let boundary = |depth: usize| self.found.multiparts[self.open[depth]].boundary.as_bytes();
        (0..self.open.len()).rev().find_map(|depth| match text.strip_prefix(boundary(depth)) {
            Some(b"") => Some((depth, false)),
            Some(b"--") => Some((depth, true)),
            _ => None,
        })
    }

    /// A delimiter line at `at`: ends what was open inside its multipart, and begins the next part or none.
    fn end_part(&mut self, at: u64, length: usize, (depth, closing): (usize, bool)) {
        if let State::Header { block, .. } = &mut self.state {
            block.truncate(block.len().saturating_sub(length));
            self.end_header(at);
        }
        // The line end before a delimiter belongs to the delimiter.
        self.end_leaf(at.saturating_sub(2), at);
        self.open.truncate(if closing { depth } else { depth + 1 });
        self.state = if closing { State::Between } else { State::Header { from: at, block: Vec::new() } };
    }

    fn end_header(&mut self, body_at: u64) {
        let State::Header { from, block } = std::mem::replace(&mut self.state, State::Between) else { return };
        let entity = Entity::read(&block);
        let parent = self.open.last().copied();
        let position = parent.map_or(0, |parent| {
            let children = &mut self.found.multiparts[parent].children;
            *children += 1;
            *children - 1
        });
        if self.found.sealed.is_none() && is_sealed(&entity.media_type) {
            self.found.sealed = Some(entity.media_type.clone());
        }
        if self.found.leaves.len() + self.found.multiparts.len() >= MAX_PARTS || self.open.len() >= MAX_DEPTH {
            self.found.excessive = true;
            return;
        }
        if let Some((subtype, boundary)) = entity.multipart() {
            let (subtype, boundary) = (subtype.to_owned(), boundary.to_owned());
            self.open.push(self.found.multiparts.len());
            self.found.multiparts.push(Multipart { subtype, boundary, parent, children: 0 });
            return;
        }
        let Entity { media_type, name, content_id, disposition, encoding, .. } = entity;
        let (span, body) = (from..u64::MAX, body_at..u64::MAX);
        self.found.leaves.push(Leaf {
            parent,
            position,
            span,
            body,
            media_type,
            name,
            content_id,
            disposition,
            encoding,
        });
        self.state = State::Content;
    }

    fn end_leaf(&mut self, body_end: u64, span_end: u64) {
        if let (State::Content, Some(leaf)) = (&self.state, self.found.leaves.last_mut()) {
            leaf.body.end = body_end.max(leaf.body.start);
            leaf.span.end = span_end;
        }
    }
}
