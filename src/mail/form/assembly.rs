//! What was written of a message in JSON, with gaps where its files belong.

use std::ops::Range;

use super::file::{Unescaping, is_blank};
use super::outline::Files;

/// Characters of base64 on a line (RFC 2045 section 6.8).
const LINE: u64 = 76;

/// Octets with gaps. What fills each stands in the message that it was made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Assembly {
    octets: Vec<u8>,
    gaps: Vec<Gap>,
    lines: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Gap {
    /// The mark in the octets.
    mark: Range<usize>,
    /// The file's text in the message in JSON.
    place: Range<u64>,
    characters: u64,
}

/// The next piece of an assembly.
#[derive(Debug)]
pub enum Piece<'a> {
    /// These octets.
    Octets(&'a [u8]),
    /// What [`Filling`] makes of the octets at this place of the message in JSON.
    File(Range<u64>, Filling),
}

/// Makes a file's base64 of its text in JSON.
#[derive(Clone, Debug)]
pub struct Filling {
    unescaping: Unescaping,
    /// On the line so far; `None` if there are no lines.
    column: Option<u64>,
    /// Characters still to come.
    left: u64,
}

impl Assembly {
    /// Of octets with marks. With `lines` each file is cut into lines, as MIME wants it.
    pub(super) fn new(octets: Vec<u8>, files: &Files, lines: bool) -> Self {
        let mut gaps = Vec::new();
        let mut from = 0;
        while let Some((mark, file)) = files.find(&octets[from..]) {
            let mark = from + mark.start..from + mark.end;
            from = mark.end;
            gaps.push(Gap { mark, place: file.place.clone(), characters: file.characters });
        }
        Self { octets, gaps, lines }
    }

    /// Octets of the whole.
    pub fn size(&self) -> u64 {
        let marks: usize = self.gaps.iter().map(|gap| gap.mark.len()).sum();
        let files: u64 = self.gaps.iter().map(|gap| self.filled(gap)).sum();
        (self.octets.len() - marks) as u64 + files
    }

    /// Octets of it that are in memory.
    pub fn held(&self) -> usize {
        self.octets.len()
    }

    /// What stands before the first file: the whole header of a message.
    pub fn head(&self) -> &[u8] {
        &self.octets[..self.gaps.first().map_or(self.octets.len(), |gap| gap.mark.start)]
    }

    /// Piece `number`; `None` behind the last.
    pub fn piece(&self, number: usize) -> Option<Piece<'_>> {
        let gap = self.gaps.get(number / 2);
        if number % 2 == 1 {
            let gap = gap?;
            let column = self.lines.then_some(0);
            let filling = Filling { unescaping: Unescaping::default(), column, left: gap.characters };
            return Some(Piece::File(gap.place.clone(), filling));
        }
        let before = (number / 2).checked_sub(1);
        let from = match before {
            None => 0,
            Some(before) => self.gaps.get(before)?.mark.end,
        };
        Some(Piece::Octets(&self.octets[from..gap.map_or(self.octets.len(), |gap| gap.mark.start)]))
    }

    fn filled(&self, gap: &Gap) -> u64 {
        let ends = if self.lines { gap.characters.div_ceil(LINE) * 2 } else { 0 };
        gap.characters + ends
    }
}

impl Filling {
    /// What the next octets of the text make.
    pub fn fill(&mut self, octets: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(octets.len() + octets.len() / 32);
        for &octet in octets {
            let Some(character) = self.unescaping.next(octet).filter(|character| !is_blank(*character)) else {
                continue;
            };
            out.push(character);
            self.left = self.left.saturating_sub(1);
            if let Some(column) = &mut self.column {
                *column += 1;
                if *column == LINE || self.left == 0 {
                    out.extend_from_slice(b"\r\n");
                    *column = 0;
                }
            }
        }
        out
    }
}
