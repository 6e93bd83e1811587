//! The embedded database: one connection that writes in batches, others that read. It has no tables of its own.
//!
//! SQLite in WAL mode with `synchronous = FULL`: what [`Store::write`] has answered is on the disk. A failure of the
//! disk is final for the running program ([`StoreError::Suspect`]): after a failed flush the system may have thrown
//! the data away, and a later flush that succeeds does not bring it back.

mod checkpoint;
mod copy;
mod error;
mod health;
mod migrate;
mod readers;
#[cfg(test)]
mod tests;
mod writer;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

pub use copy::copy;
pub use error::StoreError;
pub use migrate::Migration;

use checkpoint::{Turn, WalSize};
use health::Health;
use readers::Readers;
use writer::{Message, Task, Writer};

/// How long a connection waits for another one's lock. Only the beginning of a new log makes connections meet.
const BUSY_TIMEOUT: Duration = Duration::from_millis(500);
/// Statements kept prepared on the writer's connection.
const STATEMENTS: usize = 64;

/// The database. Clones share it; the threads end with [`Store::close`] or with the last clone.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    jobs: Sender<Message>,
    readers: Readers,
    health: Health,
    commits: Arc<AtomicU64>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Store {
    /// Opens the database at `path`, creating it readable by its owner alone, and brings its tables up to date.
    ///
    /// # Errors
    /// [`StoreError::Newer`] if a newer program wrote it; [`StoreError::Open`] for everything else.
    pub fn open(path: &Path, migrations: &[Migration]) -> Result<Self, StoreError> {
        let failed = |why: String| StoreError::Open { path: path.to_owned(), why };
        create(path).map_err(|error| failed(error.to_string()))?;
        let mut connection = connect(path).map_err(|error| failed(error.to_string()))?;
        migrate::migrate(&mut connection, migrations, path)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let wal = WalSize::follow(&mut connection).map_err(|error| failed(error.to_string()))?;
        let copying = connect(path).map_err(|error| failed(error.to_string()))?;

        let health = Health::default();
        let (jobs, queue) = channel();
        let (checkpoints, wake) = sync_channel(1);
        let commits = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            connection,
            jobs: queue,
            health: health.clone(),
            wal,
            turn: Turn::default(),
            checkpoints,
            commits: Arc::clone(&commits),
        };
        let threads = start(writer, copying, wake).map_err(|error| failed(error.to_string()))?;
        let readers = Readers::new(path);
        Ok(Self { shared: Arc::new(Shared { jobs, readers, health, commits, threads: Mutex::new(threads) }) })
    }

    /// Runs `job` in a transaction that it may share with others; if it fails, its changes alone are undone. On `Ok`
    /// the changes are on the disk. The job runs even if nobody waits for the answer any longer, and runs again if its
    /// changes had to be undone because of another job: it must change nothing but the database.
    ///
    /// # Errors
    /// The job's own error, [`StoreError::NoSpace`], or [`StoreError::Suspect`] once the disk has failed.
    pub async fn write<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.shared.health.check()?;
        let (waiting, answer) = oneshot::channel();
        let task = Box::new(Task::new(job, waiting));
        self.shared.jobs.send(Message::Job(task)).map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Runs `job` on a connection that cannot write. It sees every write that was answered before.
    ///
    /// # Errors
    /// The job's own error.
    pub async fn read<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.shared.readers.read(job).await
    }

    /// Refuses once the disk has failed, with what failed first.
    ///
    /// # Errors
    /// [`StoreError::Suspect`].
    pub fn check(&self) -> Result<(), StoreError> {
        self.shared.health.check()
    }

    /// Transactions committed since the start; fewer than the writes, because writes share them.
    pub fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }

    /// Finishes what was asked for, then ends the threads. Blocks until they are gone. Other clones get
    /// [`StoreError::Closed`] from then on.
    pub fn close(self) {
        let _ = self.shared.jobs.send(Message::Close);
        self.shared.readers.close();
        let threads = std::mem::take(&mut *self.shared.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
    }
}

/// Creates the file with the rights it keeps, before SQLite would create it with others, and makes its name durable.
fn create(path: &Path) -> std::io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(file) => file.sync_all()?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Without this guarantee SQLite prepares a statement anew for each value that might suggest another plan, which
    // took a third of the writer's time.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // temp_store: savepoints keep their journal in memory. wal_autocheckpoint: a thread of its own does that.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -2048;
         PRAGMA trusted_schema = OFF;",
    )?;
    Ok(connection)
}

fn start(writer: Writer, copying: Connection, wake: Receiver<()>) -> std::io::Result<Vec<JoinHandle<()>>> {
    let (turn, health) = (Arc::clone(&writer.turn), writer.health.clone());
    let writing = std::thread::Builder::new().name("store-writer".into()).spawn(move || writer.run())?;
    let copying = std::thread::Builder::new()
        .name("store-checkpoint".into())
        .spawn(move || checkpoint::run(copying, wake, turn, health))?;
    Ok(vec![writing, copying])
}
