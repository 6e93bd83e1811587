//! Writes an address list so that every reader sees the same addresses in it.

use super::{DisplayName, looks_encoded};
use crate::mail::Address;

/// Octets a line should have at most (RFC 5322 section 2.1.1).
const LINE: usize = 78;

/// Writes one field, folded between its parts.
pub struct ListWriter {
    out: Vec<u8>,
    /// Octets of the line so far.
    column: usize,
    empty: bool,
}

impl ListWriter {
    /// Begins the field `name`.
    pub fn new(name: &str) -> Self {
        Self { out: format!("{name}:").into_bytes(), column: name.len() + 1, empty: true }
    }

    /// Adds an address with its name.
    pub fn push(&mut self, name: &DisplayName<'_>, address: &Address) {
        if !self.empty {
            self.out.push(b',');
            self.column += 1;
        }
        self.empty = false;
        let pieces = name.pieces();
        for piece in &pieces {
            self.part(piece);
        }
        let text = written(address);
        if pieces.is_empty() && is_simple(address) {
            self.part(text.as_bytes());
        } else {
            self.part(format!("<{text}>").as_bytes());
        }
    }

    /// The whole field with its line end; `None` if no address was added.
    pub fn finish(mut self) -> Option<Vec<u8>> {
        if self.empty {
            return None;
        }
        self.out.extend_from_slice(b"\r\n");
        Some(self.out)
    }

    fn part(&mut self, part: &[u8]) {
        if self.column + 1 + part.len() > LINE {
            self.out.extend_from_slice(b"\r\n");
            self.column = 0;
        }
        self.out.push(b' ');
        self.out.extend_from_slice(part);
        self.column += 1 + part.len();
    }
}

/// Whether the address is read alike with and without angle brackets around it.
fn is_simple(address: &Address) -> bool {
    !address.local_part().starts_with('"') && !address.domain().as_str().starts_with('[') && !looks_encoded(address)
}

/// The address as text. A local part that looks like an encoded word is put in quotes, where nobody may decode it.
fn written(address: &Address) -> String {
    if looks_encoded(address) && !address.local_part().starts_with('"') {
        format!("\"{}\"@{}", address.local_part(), address.domain())
    } else {
        address.to_string()
    }
}
