//! Content being received.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use super::{Charge, ContentKind, Place, Spool, SpoolFile, SpooledBody, Summing};
use crate::queue::QueueError;

/// Octets that are written to a file at once.
const CHUNK: usize = 64 * 1024;

/// Takes the content of one message, piece by piece, in bounded memory. Dropping it discards what it took.
#[derive(Debug)]
pub struct BodyWriter {
    spool: Arc<Spool>,
    state: State,
    size: u64,
    summing: Summing,
}

#[derive(Debug)]
enum State {
    Memory {
        octets: Vec<u8>,
        charge: Charge,
    },
    File(Open),
    /// A write failed or was abandoned; what follows is refused.
    Broken,
}

/// A spool file being written.
#[derive(Debug)]
struct Open {
    name: SpoolFile,
    file: File,
    buffer: Vec<u8>,
}

impl BodyWriter {
    pub(in crate::queue) fn new(spool: Arc<Spool>) -> Self {
        let charge = Charge::none(&spool.budget);
        Self { spool, state: State::Memory { octets: Vec::new(), charge }, size: 0, summing: Summing::new() }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// [`QueueError::NoRoom`] if the disk is full, [`QueueError::Spool`] for other trouble. The content is lost then.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), QueueError> {
        self.size += piece.len() as u64;
        self.summing.add(piece);
        if let State::Memory { octets, charge } = &mut self.state {
            if make_room(octets, charge, piece.len(), self.spool.inline_octets) {
                octets.extend_from_slice(piece);
                return Ok(());
            }
            self.move_to_file().await?;
        }
        match &mut self.state {
            State::File(open) => open.buffer.extend_from_slice(piece),
            State::Memory { .. } | State::Broken => return Err(self.broken()),
        }
        self.flush(CHUNK).await
    }

    /// The content is whole. If it went to a file, the file and its name are on the disk when this returns.
    ///
    /// # Errors
    /// As [`BodyWriter::write`]. A failed flush stops the queue from taking mail until a restart.
    pub async fn finish(mut self) -> Result<SpooledBody, QueueError> {
        self.flush(1).await?;
        let (size, summing) = (self.size, self.summing.clone());
        match std::mem::replace(&mut self.state, State::Broken) {
            State::Memory { octets, mut charge } => {
                charge.shrink_to(octets.len());
                let place = Place::Memory(octets.into(), charge);
                Ok(SpooledBody { place, size, kind: ContentKind::Mime, summing })
            }
            State::File(Open { name, file, .. }) => {
                let path = name.path().to_owned();
                let whole = blocking(move || name.complete(&file)).await;
                let whole = whole.inspect_err(|error| self.spool.flush_failed(&path, error));
                let whole = whole.map_err(|error| QueueError::spool(&path, error))?;
                Ok(SpooledBody { place: Place::File(whole), size, kind: ContentKind::Mime, summing })
            }
            State::Broken => Err(self.broken()),
        }
    }

    async fn move_to_file(&mut self) -> Result<(), QueueError> {
        let folder = self.spool.folder.clone();
        let created = blocking(move || SpoolFile::create(&folder)).await;
        let (name, file) = created.map_err(|error| QueueError::spool(&self.spool.folder, error))?;
        let buffer = match std::mem::replace(&mut self.state, State::Broken) {
            State::Memory { octets, .. } => octets,
            State::File(_) | State::Broken => Vec::new(),
        };
        self.state = State::File(Open { name, file, buffer });
        Ok(())
    }

    /// Writes the buffer out once it holds `least` octets.
    async fn flush(&mut self, least: usize) -> Result<(), QueueError> {
        match std::mem::replace(&mut self.state, State::Broken) {
            State::File(mut open) if open.buffer.len() >= least => {
                let path = open.name.path().to_owned();
                let written = blocking(move || {
                    open.file.write_all(&open.buffer)?;
                    open.buffer.clear();
                    open.buffer.shrink_to(CHUNK * 2);
                    Ok(open)
                });
                let open = written.await.map_err(|error| QueueError::spool(&path, error))?;
                self.state = State::File(open);
            }
            unchanged @ (State::Memory { .. } | State::File(_) | State::Broken) => self.state = unchanged,
        }
        Ok(())
    }

    fn broken(&self) -> QueueError {
        let error = std::io::Error::other("an earlier write of this content failed");
        QueueError::spool(&self.spool.folder, error)
    }
}

/// Whether `more` octets fit into memory: the content's own limit and the budget of all.
fn make_room(octets: &mut Vec<u8>, charge: &mut Charge, more: usize, limit: usize) -> bool {
    let needed = octets.len().saturating_add(more);
    if needed > limit {
        return false;
    }
    if needed <= octets.capacity() {
        return true;
    }
    let roomy = needed.max(octets.capacity() * 2).min(limit);
    let granted = if charge.grow_to(roomy) { roomy } else { needed };
    if !charge.grow_to(granted) {
        return false;
    }
    octets.reserve_exact(granted - octets.len());
    true
}

async fn blocking<T, F>(work: F) -> std::io::Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> std::io::Result<T> + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
}
