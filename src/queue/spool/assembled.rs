//! Content that is put together while it is read.

use std::pin::Pin;

use super::reader::{BodyReader, damaged};
use crate::mail::form::{Assembly, Filling, Piece};
use crate::queue::QueueError;

/// Octets of an assembly that are given out at once.
const CHUNK: usize = 128 * 1024;

/// The next piece of content; `None` after the last one.
type Reading<'a> = Pin<Box<dyn Future<Output = Result<Option<Vec<u8>>, QueueError>> + Send + 'a>>;

/// An assembly, and the message in JSON that its files stand in.
#[derive(Debug)]
pub(super) struct Assembled {
    assembly: Assembly,
    source: BodyReader,
    /// The piece that is being given out.
    number: usize,
    /// What was given out of it, if it stands in the assembly.
    given: usize,
    /// The file that is being given out.
    file: Option<Filling>,
    /// Octets still to come.
    left: u64,
}

impl Assembled {
    pub(super) fn new(assembly: Assembly, source: BodyReader) -> Self {
        let left = assembly.size();
        Self { assembly, source, number: 0, given: 0, file: None, left }
    }

    /// The next piece. Boxed, because a reader holds this and this holds a reader.
    pub(super) fn chunk(&mut self) -> Reading<'_> {
        Box::pin(async {
            let mut chunk = Vec::new();
            while chunk.is_empty() {
                match self.next().await? {
                    Some(next) => chunk = next,
                    None if self.left == 0 => return Ok(None),
                    None => return Err(damaged(format!("its files are {} octets shorter than they were", self.left))),
                }
            }
            let left = self.left.checked_sub(chunk.len() as u64);
            self.left = left.ok_or_else(|| damaged("its files are longer than they were".to_owned()))?;
            Ok(Some(chunk))
        })
    }

    /// What comes next, which may be nothing yet; `None` at the end.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, QueueError> {
        if let Some(filling) = &mut self.file {
            if let Some(text) = self.source.chunk().await? {
                return Ok(Some(filling.fill(&text)));
            }
            self.file = None;
            self.number += 1;
        }
        match self.assembly.piece(self.number) {
            None => Ok(None),
            Some(Piece::Octets(octets)) => {
                let end = octets.len().min(self.given + CHUNK);
                let chunk = octets[self.given..end].to_vec();
                (self.number, self.given) = if end == octets.len() { (self.number + 1, 0) } else { (self.number, end) };
                Ok(Some(chunk))
            }
            Some(Piece::File(place, filling)) => {
                self.source.go_to(place)?;
                self.file = Some(filling);
                Ok(Some(Vec::new()))
            }
        }
    }
}
