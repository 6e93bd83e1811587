//! A message read from its store in pieces of the size that a provider takes.

use super::{Chunks, Content, ContentError};

/// A place in a stored message that is being read.
pub(super) struct Reading {
    chunks: Box<dyn Chunks>,
    /// Octets of the message in all.
    size: u64,
    /// Octets handed out so far.
    at: u64,
    /// What was read beyond that.
    rest: Vec<u8>,
}

impl Reading {
    /// Opens `content`, which has `size` octets, at its beginning.
    pub(super) async fn open(content: &dyn Content, size: u64) -> Result<Self, ContentError> {
        Ok(Self { chunks: content.open().await?, size, at: 0, rest: Vec::new() })
    }

    /// The next octets up to place `end`, in pieces of whatever size; `None` once it is reached.
    ///
    /// # Errors
    /// The content cannot be read, or is not as long as it was.
    pub(super) async fn until(&mut self, end: u64) -> Result<Option<Vec<u8>>, ContentError> {
        if self.at >= end {
            return Ok(None);
        }
        let mut piece = std::mem::take(&mut self.rest);
        while piece.is_empty() {
            piece = self.chunks.next().await?.ok_or_else(|| self.damaged())?;
        }
        let wanted = usize::try_from(end - self.at).unwrap_or(usize::MAX);
        if piece.len() > wanted {
            self.rest = piece.split_off(wanted);
        }
        self.at += piece.len() as u64;
        Ok(Some(piece))
    }

    /// Goes on at place `at`, which must not lie behind.
    pub(super) async fn skip_to(&mut self, at: u64) -> Result<(), ContentError> {
        while self.until(at).await?.is_some() {}
        Ok(())
    }

    /// Makes sure that nothing follows.
    ///
    /// # Errors
    /// The message is longer or shorter than it was.
    pub(super) async fn end(&mut self) -> Result<(), ContentError> {
        self.skip_to(self.size).await?;
        if !self.rest.is_empty() {
            return Err(self.damaged());
        }
        while let Some(more) = self.chunks.next().await? {
            if !more.is_empty() {
                return Err(self.damaged());
            }
        }
        Ok(())
    }

    fn damaged(&self) -> ContentError {
        ContentError::Damaged(format!("{} octets were stored, and {} or more were read", self.size, self.at))
    }
}
