//! Content being sent.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::assembled::Assembled;
use super::{Expected, Summing, file};
use crate::mail::form::Assembly;
use crate::queue::QueueError;

/// Octets that are read from a file at once.
const CHUNK: usize = 128 * 1024;

/// Gives out the content of one message, piece by piece, in bounded memory. It never ends early: content that is
/// shorter, longer or another than what was accepted is an error, and its last piece is not given out.
#[derive(Debug)]
pub struct BodyReader {
    source: Source,
    size: u64,
}

#[derive(Debug)]
enum Source {
    /// Octets, and what of them is still to be given out.
    Memory(Arc<[u8]>, Range<usize>),
    File(Open),
    Assembled(Box<Assembled>),
    Done,
}

/// A spool file being read.
#[derive(Debug)]
struct Open {
    file: Arc<File>,
    path: PathBuf,
    left: u64,
    check: Option<(Summing, Expected)>,
}

impl BodyReader {
    /// Content in memory. What never was on the disk is not `expected` to be anything.
    pub(in crate::queue) fn memory(
        octets: Arc<[u8]>,
        size: u64,
        expected: Option<Expected>,
    ) -> Result<Self, QueueError> {
        if octets.len() as u64 != size {
            return Err(damaged(format!("{} octets where {size} were accepted", octets.len())));
        }
        if let Some(expected) = expected {
            let mut summing = Summing::new();
            summing.add(&octets);
            compare(summing, &expected, "the content in the database")?;
        }
        let left = 0..octets.len();
        Ok(Self { source: Source::Memory(octets, left), size })
    }

    /// Content in a file. Rows of before checksums have none `expected`.
    pub(in crate::queue) async fn file(
        path: PathBuf,
        size: u64,
        expected: Option<Expected>,
    ) -> Result<Self, QueueError> {
        let opening = tokio::task::spawn_blocking(move || open(&path, size).map(|file| (file, path)));
        let (file, path) = opening.await.map_err(|error| damaged(error.to_string()))??;
        let check = expected.map(|expected| (Summing::new(), expected));
        Ok(Self { source: Source::File(Open { file: Arc::new(file), path, left: size, check }), size })
    }

    /// What `assembly` is when its gaps are filled from `source`, the message that it was made of.
    pub fn assembled(assembly: Assembly, source: Self) -> Self {
        let size = assembly.size();
        Self { source: Source::Assembled(Box::new(Assembled::new(assembly, source))), size }
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
        match &mut self.source {
            Source::Memory(octets, left) => {
                let piece = octets[std::mem::take(left)].to_vec();
                return Ok(Some(piece).filter(|piece| !piece.is_empty()));
            }
            Source::Assembled(assembled) => return assembled.chunk().await,
            Source::File(open) if open.left == 0 => return Ok(None),
            Source::File(_) | Source::Done => {}
        }
        let Source::File(open) = std::mem::replace(&mut self.source, Source::Done) else { return Ok(None) };
        let (piece, open) = open.next().await?;
        self.source = Source::File(open);
        Ok(Some(piece))
    }

    /// Goes on at `place` and ends there. From then on the content is not compared with its checksum.
    ///
    /// # Errors
    /// As [`BodyReader::chunk`].
    pub(super) fn go_to(&mut self, place: Range<u64>) -> Result<(), QueueError> {
        let beyond = || damaged(format!("it ends before octet {}", place.end));
        if place.end > self.size {
            return Err(beyond());
        }
        match &mut self.source {
            Source::Memory(_, left) => {
                let at = |place: u64| usize::try_from(place).map_err(|_| beyond());
                *left = at(place.start)?..at(place.end)?;
            }
            Source::File(Open { file, path, left, check }) => {
                let mut file = &**file;
                file.seek(SeekFrom::Start(place.start)).map_err(|error| QueueError::spool(path, error))?;
                (*left, *check) = (place.end - place.start, None);
            }
            Source::Assembled(_) | Source::Done => return Err(damaged("it cannot be read again".to_owned())),
        }
        Ok(())
    }
}

impl Open {
    async fn next(mut self) -> Result<(Vec<u8>, Self), QueueError> {
        let (reading, left, mut check) = (Arc::clone(&self.file), self.left, self.check.take());
        let read = move || {
            let piece = read(&reading, left)?;
            if let Some((summing, _)) = &mut check {
                summing.add(&piece);
            }
            Ok((piece, check))
        };
        let read = tokio::task::spawn_blocking(read).await.map_err(io::Error::other).flatten();
        let (piece, check) = read.map_err(|error| QueueError::spool(&self.path, error))?;
        if piece.is_empty() {
            return Err(damaged(format!("`{}` ends {left} octets early", self.path.display())));
        }
        self.left = left - piece.len() as u64;
        match check {
            Some((summing, expected)) if self.left == 0 => {
                compare(summing, &expected, &format!("`{}`", self.path.display()))?;
            }
            check => self.check = check,
        }
        Ok((piece, self))
    }
}

fn compare(summing: Summing, expected: &Expected, what: &str) -> Result<(), QueueError> {
    if summing.with(&expected.prefix) == expected.checksum {
        return Ok(());
    }
    Err(damaged(format!(
        "{what} has the length of what was accepted, but not its checksum; the disk or its memory fails"
    )))
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

pub(super) fn damaged(what: String) -> QueueError {
    QueueError::BodyDamaged(what)
}
