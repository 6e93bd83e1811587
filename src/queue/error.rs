//! What can go wrong with the queue.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::mail::{Failure, QueueId, Reason};
use crate::store::StoreError;

/// Why the queue refused. Nothing was half done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueueError {
    /// The disk reserve is reached, or the disk is full: 452 4.3.1. Passes when space is freed.
    #[error("the file system of the data folder is too full to take mail; free space there")]
    NoRoom,
    /// The disk failed; nothing is accepted or recorded until a restart.
    #[error(transparent)]
    Suspect(StoreError),
    /// The database refused.
    #[error("the queue's database: {0}")]
    Store(StoreError),
    /// A spool file or its folder could not be used.
    #[error("the spool file `{}` could not be used: {source}", path.display())]
    Spool {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The content of a message is missing or not what was accepted.
    #[error("the stored content is damaged: {0}")]
    BodyDamaged(String),
    /// No message has this queue id.
    #[error("no message has the queue id `{0}`; `oxpost queue list` shows those there are")]
    NoSuchMessage(QueueId),
    /// An attempt is under way for the message.
    #[error("the message `{0}` is being handed over right now; try again in a minute")]
    InFlight(QueueId),
    /// The content of the message is gone, so it cannot be sent again.
    #[error("the message `{0}` has no content any more, so it cannot be sent again")]
    NoContent(QueueId),
}

impl QueueError {
    pub(super) fn spool(path: &Path, source: io::Error) -> Self {
        if is_full(&source) { Self::NoRoom } else { Self::Spool { path: path.to_owned(), source: Arc::new(source) } }
    }

    /// What it means for a delivery that needed the content: damaged content fails, anything else is tried again.
    pub fn failure(&self) -> Failure {
        let reason = if matches!(self, Self::BodyDamaged(_)) { Reason::BodyDamaged } else { Reason::Unexpected };
        Failure::new(reason, self.to_string())
    }
}

/// Whether the disk, or its owner's share of it, is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl From<StoreError> for QueueError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NoSpace => Self::NoRoom,
            StoreError::Suspect(_) => Self::Suspect(error),
            StoreError::Newer { .. }
            | StoreError::Open { .. }
            | StoreError::Refused(_)
            | StoreError::Panicked
            | StoreError::Closed => Self::Store(error),
        }
    }
}
