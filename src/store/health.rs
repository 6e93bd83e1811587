//! Whether the disk below the database can still be believed.

use std::sync::{Arc, OnceLock};

use super::StoreError;
use super::error::{Severity, severity};

/// Set once, by the first failure of the disk; only a restart clears it.
#[derive(Clone, Default)]
pub(super) struct Health(Arc<OnceLock<Arc<str>>>);

impl Health {
    /// Refuses once the disk has failed.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.0.get().map_or(Ok(()), |why| Err(StoreError::Suspect(Arc::clone(why))))
    }

    /// What `error` means, noting a failure of the disk.
    pub(super) fn judge(&self, error: rusqlite::Error) -> StoreError {
        if severity(&error) == Severity::Disk {
            self.suspect(&error.to_string());
            return self.check().err().unwrap_or(StoreError::Closed);
        }
        error.into()
    }

    /// Notes a failure of the disk; the first one is the one that is told.
    pub(super) fn suspect(&self, why: &str) {
        if self.0.set(why.into()).is_ok() {
            tracing::error!(why, "the disk failed under the database; nothing more is stored until a restart");
        }
    }
}
