//! Content on its way into the queue: small content in memory and then in the database, large content in files of the
//! folder `spool`. A file is whole and durable, name and all, before the row that names it is committed.

mod assembled;
mod budget;
mod checksum;
mod file;
mod reader;
mod writer;

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

pub use reader::BodyReader;
pub use writer::BodyWriter;

pub(super) use budget::{Budget, Recent};
pub(super) use checksum::{Checksum, Expected, Summing};
pub(super) use file::{PART, SpoolFile, WHOLE, is_regular};

use rustix::fs::{CWD, RenameFlags};

use super::error::is_full;
use super::{QueueError, Settings};
use crate::mail::QueueId;
use crate::store::StoreError;
use budget::Charge;

/// The folder of damaged files, beside the spool folder.
const QUARANTINE: &str = "quarantine";

/// Where content is kept until it is relayed.
#[derive(Debug)]
pub(super) struct Spool {
    pub(super) folder: PathBuf,
    inline_octets: usize,
    pub(super) budget: Arc<Budget>,
    pub(super) recent: Recent,
    /// The first failure to flush a spool file. After it no content is taken until a restart.
    failed: OnceLock<Arc<str>>,
}

impl Spool {
    /// Opens the folder, creating it for its owner alone.
    pub(super) fn open(settings: &Settings) -> Result<Self, QueueError> {
        let folder = settings.data.join("spool");
        make_private(&folder).map_err(|error| QueueError::spool(&folder, error))?;
        Ok(Self {
            folder,
            inline_octets: settings.inline_octets,
            budget: Budget::new(settings.memory_octets),
            recent: Recent::new(settings.memory_octets / 2),
            failed: OnceLock::new(),
        })
    }

    /// Refuses once a spool file could not be flushed.
    pub(super) fn check(&self) -> Result<(), QueueError> {
        self.failed.get().map_or(Ok(()), |why| Err(QueueError::Suspect(StoreError::Suspect(Arc::clone(why)))))
    }

    fn flush_failed(&self, path: &Path, error: &io::Error) {
        if !is_full(error) && self.failed.set(error.to_string().into()).is_ok() {
            let path = path.display();
            tracing::error!(%path, %error, "a spool file could not be flushed; no mail is taken until a restart");
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Puts what lies under the name of a message's content aside, into the folder `quarantine` beside the spool, for
    /// somebody to look at. The message fails; the others go on.
    pub(super) async fn quarantine(&self, id: QueueId, name: &str) {
        let (damaged, folder) = (self.path(name), self.folder.with_file_name(QUARANTINE));
        let aside = folder.join(name);
        let moving = tokio::task::spawn_blocking(move || set_aside(&damaged, &folder, &aside).map(|()| aside));
        match moving.await.map_err(io::Error::other).flatten() {
            Ok(aside) => {
                let hint = "the message fails and its sender is told; look at the disk";
                tracing::error!(%id, path = %aside.display(), hint, "a damaged spool file was put aside");
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let hint = "the message fails and its sender is told; look for who removed it";
                tracing::error!(%id, name, hint, "the spool file of a message is missing");
            }
            Err(error) => {
                tracing::error!(%id, name, %error, "a damaged spool file could not be put aside; it stays where it is");
            }
        }
    }

    /// Removes files whose rows are gone. What cannot be removed now is removed at the next start.
    pub(super) async fn remove(&self, names: Vec<String>) {
        if names.is_empty() {
            return;
        }
        let paths: Vec<_> = names.iter().map(|name| self.path(name)).collect();
        let removing = tokio::task::spawn_blocking(move || paths.iter().for_each(|path| remove_file(path)));
        // A panic there would have been reported already; the files go at the next start.
        let _ = removing.await;
    }
}

/// Makes a folder for its owner alone, unless it is there; its name is on the disk before anything is in it.
fn make_private(folder: &Path) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => std::fs::File::open(folder.parent().unwrap_or(Path::new(".")))?.sync_all(),
    }
}

/// Never over what was put aside before: a message that is tried again has another file under its name.
fn set_aside(damaged: &Path, folder: &Path, aside: &Path) -> io::Result<()> {
    std::fs::symlink_metadata(damaged)?;
    make_private(folder)?;
    rustix::fs::renameat_with(CWD, damaged, CWD, aside, RenameFlags::NOREPLACE)?;
    Ok(())
}

fn remove_file(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "a spool file could not be removed; the next start tries again");
    }
}

/// Where the content of an accepted message is.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// Still in memory.
    Memory(Arc<[u8]>),
    /// In the database.
    Stored,
    /// In the spool file of this name.
    File(String),
}

/// Content that was received whole. Dropping it discards it.
#[derive(Debug)]
pub struct SpooledBody {
    place: Place,
    size: u64,
    kind: ContentKind,
    summing: Summing,
}

/// What content is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ContentKind {
    /// A message in MIME.
    #[default]
    Mime,
    /// Microsoft's mail object, in JSON ([`Form::Microsoft`](crate::mail::form::Form)).
    Microsoft,
}

#[derive(Debug)]
enum Place {
    Memory(Arc<[u8]>, Charge),
    File(SpoolFile),
}

impl SpooledBody {
    /// Octets of the content.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The same content, which is Microsoft's mail object.
    #[must_use]
    pub fn as_microsoft_object(self) -> Self {
        Self { kind: ContentKind::Microsoft, ..self }
    }

    /// What it is.
    pub(super) const fn kind(&self) -> ContentKind {
        self.kind
    }

    /// The content from its beginning.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn reader(&self) -> Result<BodyReader, QueueError> {
        match &self.place {
            Place::Memory(octets, _) => BodyReader::memory(Arc::clone(octets), self.size, None),
            Place::File(file) => BodyReader::file(file.path().to_owned(), self.size, None).await,
        }
    }

    /// The checksum of the content with these header lines before it.
    pub(super) fn checksum(&self, prefix: &[u8]) -> Checksum {
        self.summing.clone().with(prefix)
    }

    /// Where the content will be found once a row says so.
    pub(super) fn content(&self) -> Content {
        match &self.place {
            Place::Memory(octets, _) => Content::Memory(Arc::clone(octets)),
            Place::File(file) => Content::File(file.name().to_owned()),
        }
    }

    /// A row that names the content is about to be committed. From here on a file stays, even if nobody learns how
    /// that ended: the next start compares rows and files.
    pub(super) fn keep(&mut self) {
        if let Place::File(file) = &mut self.place {
            file.keep();
        }
    }

    /// As [`SpooledBody::keep`], and content in memory stays there for the first attempt at message `id`. Returns the
    /// file, to be discarded if the row was surely not committed.
    pub(super) fn hand_over(mut self, id: QueueId, recent: &Recent) -> Option<SpoolFile> {
        self.keep();
        match self.place {
            Place::Memory(octets, charge) => {
                recent.keep(id, octets, charge);
                None
            }
            Place::File(file) => Some(file),
        }
    }
}
