//! Content being sent.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file;
use crate::queue::QueueError;

/// Octets that are read from a file at once.
const CHUNK: usize = 128 * 1024;

/// Gives out the content of one message, piece by piece, in bounded memory. It never ends early: content that is
/// shorter or longer than what was accepted is an error.
#[derive(Debug)]
pub struct BodyReader {
    source: Source,
    size: u64,
}

#[derive(Debug)]
enum Source {
    Memory(Arc<[u8]>),
    File { file: Arc<File>, path: PathBuf, left: u64 },
    Done,
}

impl BodyReader {
    pub(in crate::queue) fn memory(octets: Arc<[u8]>, size: u64) -> Result<Self, QueueError> {
        if octets.len() as u64 != size {
            return Err(damaged(format!("{} octets where {size} were accepted", octets.len())));
        }
        Ok(Self { source: Source::Memory(octets), size })
    }

    pub(in crate::queue) async fn file(path: PathBuf, size: u64) -> Result<Self, QueueError> {
        let opening = tokio::task::spawn_blocking(move || open(&path, size).map(|file| (file, path)));
        let (file, path) = opening.await.map_err(|error| damaged(error.to_string()))??;
        Ok(Self { source: Source::File { file: Arc::new(file), path, left: size }, size })
    }

    /// Octets of the whole content.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The next piece, never empty; `None` after the last one.
    ///
    /// # Errors
    /// [`QueueError::BodyDamaged`] if the file is not what was accepted, [`QueueError::Spool`] if it cannot be read.
    pub async fn chunk(&mut self) -> Result<Option<Vec<u8>>, QueueError> {
        match std::mem::replace(&mut self.source, Source::Done) {
            Source::Memory(octets) if !octets.is_empty() => Ok(Some(octets.to_vec())),
            Source::File { file, path, left } if left > 0 => {
                let reading = Arc::clone(&file);
                let piece = tokio::task::spawn_blocking(move || read(&reading, left)).await;
                let piece = piece.map_err(io::Error::other).flatten();
                let piece = piece.map_err(|error| QueueError::spool(&path, error))?;
                if piece.is_empty() {
                    return Err(damaged(format!("`{}` ends {left} octets early", path.display())));
                }
                let left = left - piece.len() as u64;
                self.source = Source::File { file, path, left };
                Ok(Some(piece))
            }
            Source::Memory(_) | Source::File { .. } | Source::Done => Ok(None),
        }
    }
}

impl BodyReader {
    /// All that is left, in memory: for what is known to be small.
    ///
    /// # Errors
    /// As [`BodyReader::chunk`].
    pub async fn whole(mut self) -> Result<Vec<u8>, QueueError> {
        let mut octets = Vec::with_capacity(usize::try_from(self.size).unwrap_or_default());
        while let Some(piece) = self.chunk().await? {
            octets.extend_from_slice(&piece);
        }
        Ok(octets)
    }
}

fn open(path: &Path, size: u64) -> Result<File, QueueError> {
    if !file::is_regular(path, size) {
        return Err(missing(path, size));
    }
    let file = file::open(path).map_err(|error| QueueError::spool(path, error))?;
    // The name was looked at before; what was opened is what counts.
    let found = file.metadata().map_err(|error| QueueError::spool(path, error))?;
    if found.is_file() && found.len() == size { Ok(file) } else { Err(missing(path, size)) }
}

fn read(file: &File, left: u64) -> io::Result<Vec<u8>> {
    let mut piece = Vec::with_capacity(CHUNK.min(usize::try_from(left).unwrap_or(CHUNK)));
    file.take(left.min(CHUNK as u64)).read_to_end(&mut piece)?;
    Ok(piece)
}

fn missing(path: &Path, size: u64) -> QueueError {
    damaged(format!("`{}` is missing, or is not the file of {size} octets that was accepted", path.display()))
}

fn damaged(what: String) -> QueueError {
    QueueError::BodyDamaged(what)
}
