//! Changes to a header block, field by field; what is not changed is copied octet for octet.

use super::header::{Field, HeaderBlock};

/// What becomes of one field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Edit {
    /// It leaves as it came.
    Keep,
    /// It does not leave.
    Drop,
    /// These octets leave in its place: complete fields.
    Replace(Vec<u8>),
}

/// A header block and what is to be changed in it.
pub(super) struct Edits<'b, 'a> {
    block: &'b HeaderBlock<'a>,
    edits: Vec<Edit>,
    /// Complete fields in front of all others.
    top: Vec<u8>,
    notes: Vec<String>,
}

impl<'b, 'a> Edits<'b, 'a> {
    /// No change yet.
    pub(super) fn new(block: &'b HeaderBlock<'a>) -> Self {
        Self { block, edits: vec![Edit::Keep; block.fields().len()], top: Vec::new(), notes: Vec::new() }
    }

    /// The header before any edit.
    pub(super) fn block(&self) -> &'b HeaderBlock<'a> {
        self.block
    }

    /// The fields called `name`, each with its number.
    pub(super) fn named(&self, name: &str) -> Vec<(usize, Field<'a>)> {
        self.block.fields().iter().copied().enumerate().filter(|(_, field)| field.is(name)).collect()
    }

    /// Says what becomes of field `number`.
    pub(super) fn set(&mut self, number: usize, edit: Edit) {
        if let Some(slot) = self.edits.get_mut(number) {
            *slot = edit;
        }
    }

    /// Says what becomes of each field called `name`.
    pub(super) fn for_each_named(&mut self, name: &str, edit: impl Fn(&Field<'a>) -> Edit) {
        for (number, field) in self.named(name) {
            self.set(number, edit(&field));
        }
    }

    /// Puts a complete field in front of all others, where no reader can miss it.
    pub(super) fn add(&mut self, field: &[u8]) {
        self.top.extend_from_slice(field);
    }

    /// Something history should say.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// The new header block with the empty line at its end, and the notes.
    pub(super) fn into_header(mut self) -> (Vec<u8>, Vec<String>) {
        let mut header = std::mem::take(&mut self.top);
        header.reserve(self.block.octets() + 4);
        for (field, edit) in self.block.fields().iter().zip(&self.edits) {
            match edit {
                // At the top, a line that is no field would make everything below it text.
                Edit::Keep if header.is_empty() && !field.is_field() => {
                    self.notes.push("left out a line at the top of the header that is no field".to_owned());
                }
                Edit::Keep => header.extend_from_slice(field.raw()),
                Edit::Drop => {}
                Edit::Replace(octets) => header.extend_from_slice(octets),
            }
            // Only the last line of a message that is all header can lack its end.
            if !header.is_empty() && !header.ends_with(b"\n") {
                header.extend_from_slice(b"\r\n");
            }
        }
        header.extend_from_slice(b"\r\n");
        (header, self.notes)
    }
}
