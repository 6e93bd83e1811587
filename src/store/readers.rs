//! Connections that only read. They see the last commit and never wait for the writer.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use super::StoreError;

/// Reads that run at once.
const MAX_READERS: usize = 3;

#[derive(Clone)]
pub(super) struct Readers {
    path: Arc<Path>,
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.into(), idle: Arc::default(), permits: Arc::new(Semaphore::new(MAX_READERS)) }
    }

    pub(super) async fn read<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let _permit = self.permits.acquire().await.map_err(|_| StoreError::Closed)?;
        let readers = self.clone();
        let work = move || {
            let connection = readers.take()?;
            let result = job(&connection);
            readers.lock().push(connection);
            result.map_err(StoreError::from)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Panicked)?
    }

    /// An idle connection, or a new one: a job that panics takes its connection along.
    fn take(&self) -> Result<Connection, StoreError> {
        let idle = self.lock().pop();
        idle.map_or_else(|| open(&self.path), Ok)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets no further read begin and closes the idle connections.
    pub(super) fn close(&self) {
        self.permits.close();
        self.lock().clear();
    }
}

fn open(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = |error: rusqlite::Error| StoreError::Open { path: PathBuf::from(path), why: error.to_string() };
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(super::BUSY_TIMEOUT).map_err(failed)?;
    connection.execute_batch("PRAGMA cache_size = -512; PRAGMA temp_store = MEMORY").map_err(failed)?;
    Ok(connection)
}
