//! Moves what the write-ahead log holds into the database, beside the writer, so that no commit waits for it.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use super::error::{Severity, severity};
use super::health::Health;

/// Pages by which the log grows before the checkpoint thread is woken: 4 MB.
const STEP: i32 = 1_000;
/// Pages at which the writer stops to have the log begin anew: 32 MB. Without this a log that is always being
/// written would never be short of a reader or a writer, and would grow for ever.
const HARD: i32 = 8_000;

/// Held while a checkpoint runs: two at once do not wait for each other in SQLite, the second one gives up.
pub(super) type Turn = Arc<Mutex<()>>;

/// How many pages the log has, as the writer's connection tells after each commit.
#[derive(Default)]
pub(super) struct WalSize {
    pages: Arc<AtomicI32>,
    /// Pages when the checkpoint thread was last woken.
    woken_at: i32,
    /// Pages below which a restart is not tried again.
    restart_at: i32,
}

impl WalSize {
    /// Follows the log that `connection` writes.
    pub(super) fn follow(connection: &mut Connection) -> rusqlite::Result<Self> {
        let size = Self { restart_at: HARD, ..Self::default() };
        let pages = Arc::clone(&size.pages);
        connection.wal_hook(Some(move |_wal: &mut rusqlite::hooks::Wal, now: i32| {
            pages.store(now, Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(size)
    }

    /// Whether the checkpoint thread should be woken; notes that it is.
    pub(super) fn wants_checkpoint(&mut self) -> bool {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.woken_at {
            // The log has begun anew.
            self.woken_at = 0;
            self.restart_at = HARD;
        }
        let wanted = pages - self.woken_at >= STEP;
        if wanted {
            self.woken_at = pages;
        }
        wanted
    }

    /// Whether the writer must see to it that the log begins anew.
    pub(super) fn is_too_long(&self) -> bool {
        self.pages.load(Ordering::Relaxed) >= self.restart_at
    }

    /// Notes a try to have the log begin anew. After a failure (a long reader) the next one waits for another step.
    pub(super) fn restarted(&mut self, complete: bool) {
        let pages = self.pages.load(Ordering::Relaxed);
        self.restart_at = if complete { HARD } else { pages + STEP };
        if complete {
            self.pages.store(0, Ordering::Relaxed);
            self.woken_at = 0;
        }
    }
}

/// Copies the whole log and lets the next commit write from its beginning. `false`: a reader still needs it.
pub(super) fn restart(connection: &Connection, turn: &Turn) -> rusqlite::Result<bool> {
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |row| Ok(row.get::<_, i32>(0)? == 0))
}

/// The checkpoint thread: copies what it can each time it is woken.
#[expect(clippy::needless_pass_by_value, reason = "the thread owns them")]
pub(super) fn run(connection: Connection, wake: Receiver<()>, turn: Turn, health: Health) {
    while let Ok(()) = wake.recv() {
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let done = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        let Err(error) = done else { continue };
        match severity(&error) {
            Severity::Disk => health.suspect(&error.to_string()),
            Severity::Full | Severity::Ordinary => {
                tracing::warn!(%error, "the database's log could not be copied; oxpost tries again by itself");
            }
        }
    }
}
