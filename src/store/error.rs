//! What can go wrong with the database.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::ErrorCode;

/// Why something was not stored, or not read. It can be cloned because one failed commit concerns a whole batch.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The file system, or the quota of the database, is full. An ordinary error: the next write may succeed.
    #[error("there is no room left for the database; free space under the data folder")]
    NoSpace,
    /// A write or a flush failed on the way to the disk. What a later one reports proves nothing, so nothing more is
    /// written until the program starts again.
    #[error("the disk failed while writing ({0}); nothing more is stored until oxpost is restarted, so check the disk")]
    Suspect(Arc<str>),
    /// The database was written by a newer program.
    #[error(
        "the database `{}` is newer than this program: its part `{part}` has version {found}, this program knows {known}; \
         install the newer oxpost again", path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// The part whose version is too high.
        part: &'static str,
        /// The version in the database.
        found: u32,
        /// The highest version this program knows.
        known: u32,
    },
    /// The database could not be opened or brought up to date.
    #[error("the database `{}` cannot be opened: {why}", path.display())]
    Open {
        /// The database.
        path: PathBuf,
        /// What the system or SQLite said.
        why: String,
    },
    /// SQLite refused a statement.
    #[error("the database refused: {0}")]
    Refused(Arc<rusqlite::Error>),
    /// A job panicked; its changes were rolled back.
    #[error("a step in the database ended early; its changes were undone")]
    Panicked,
    /// The store is closed.
    #[error("the database is closed")]
    Closed,
}

/// What an error of SQLite means for the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Severity {
    /// The statement was refused; the database is well.
    Ordinary,
    /// No room.
    Full,
    /// The disk failed.
    Disk,
}

pub(super) fn severity(error: &rusqlite::Error) -> Severity {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Severity::Full,
        Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Severity::Disk,
        _ => Severity::Ordinary,
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match severity(&error) {
            Severity::Full => Self::NoSpace,
            Severity::Ordinary | Severity::Disk => Self::Refused(Arc::new(error)),
        }
    }
}
