//! The one thread that writes. It takes what has queued up while the last commit was on its way to the disk, and puts
//! it into one transaction: many messages share one flush. Where a job of it fails, everything is undone and done
//! again with each job in a savepoint of its own. Savepoints for all would cost every page a copy, and jobs hardly ever
//! fail.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::checkpoint::{Turn, WalSize};
use super::health::Health;
use super::{StoreError, checkpoint};

/// Jobs that share a transaction at most.
const MAX_BATCH: usize = 256;

/// What the writer is asked to do.
pub(super) enum Message {
    Job(Box<dyn Job>),
    Close,
}

/// A change to the database, and somebody who waits for it to be durable.
pub(super) trait Job: Send {
    /// Makes the change. Called again if it was undone on account of another job.
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()>;
    /// Hands out the result. Called once, after the commit or instead of it.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

/// The job of a caller who expects a `T`.
pub(super) struct Task<F, T> {
    work: F,
    result: Option<T>,
    waiting: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Task<F, T> {
    pub(super) fn new(work: F, waiting: oneshot::Sender<Result<T, StoreError>>) -> Self {
        Self { work, result: None, waiting }
    }
}

impl<F, T> Job for Task<F, T>
where
    T: Send,
    F: Fn(&Connection) -> rusqlite::Result<T> + Send,
{
    fn run(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.result = Some((self.work)(connection)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { work, result, waiting } = *self;
        // What the job holds is free again before its result is known.
        drop(work);
        // Whoever asked may have gone; the change is made all the same.
        let _ = waiting.send(outcome.and_then(|()| result.ok_or(StoreError::Closed)));
    }
}

/// When the last transaction had this many jobs, more are on their way: waiting for them for a moment saves flushes,
/// which cost far more than the moment. A single client never waits.
const SIBLINGS: u32 = 4;
/// How long that moment is for each job of the last transaction. The more there are, the more are to come.
const GATHER: Duration = Duration::from_micros(125);
/// How long it is at most.
const GATHER_AT_MOST: Duration = Duration::from_millis(2);

pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) jobs: Receiver<Message>,
    pub(super) health: Health,
    pub(super) wal: WalSize,
    /// Shared with the checkpoint thread.
    pub(super) turn: Turn,
    /// Wakes the checkpoint thread.
    pub(super) checkpoints: SyncSender<()>,
    /// Transactions committed.
    pub(super) commits: Arc<AtomicU64>,
}

impl Writer {
    /// Works until it is told to close, or until nobody is left who could ask.
    pub(super) fn run(mut self) {
        let mut open = true;
        let mut siblings = 0_u32;
        while open && let Ok(first) = self.jobs.recv() {
            let mut batch = Vec::new();
            open = collect(first, &mut batch);
            if siblings >= SIBLINGS {
                std::thread::sleep(GATHER_AT_MOST.min(GATHER * siblings));
            }
            while open
                && batch.len() < MAX_BATCH
                && let Ok(next) = self.jobs.try_recv()
            {
                open = collect(next, &mut batch);
            }
            siblings = u32::try_from(batch.len()).unwrap_or(u32::MAX);
            self.write(batch);
            self.bound_the_wal();
        }
        for late in self.jobs.try_iter() {
            if let Message::Job(job) = late {
                job.answer(Err(StoreError::Closed));
            }
        }
    }

    fn write(&mut self, mut batch: Vec<Box<dyn Job>>) {
        if batch.is_empty() {
            return;
        }
        if let Err(error) = self.health.check() {
            return refuse(batch, &error);
        }
        if let Err(error) = self.begin() {
            return refuse(batch, &error);
        }
        let done = match self.together(&mut batch) {
            Ok(()) => batch,
            Err(InDoubt) => self.apart(batch),
        };
        let outcome = self.commit();
        for job in done {
            job.answer(outcome.clone());
        }
    }

    fn begin(&self) -> Result<(), StoreError> {
        let begun = self.connection.prepare_cached("BEGIN IMMEDIATE").and_then(|mut begin| begin.execute([]));
        begun.map(|_| ()).map_err(|error| self.health.judge(error))
    }

    /// Runs all jobs in the transaction. If one of them fails, nothing is changed.
    fn together(&self, batch: &mut [Box<dyn Job>]) -> Result<(), InDoubt> {
        for job in batch {
            let ran = catch_unwind(AssertUnwindSafe(|| job.run(&self.connection)));
            if matches!(ran, Ok(Ok(()))) && !self.connection.is_autocommit() {
                continue;
            }
            if let Ok(Err(error)) = ran {
                // A disk that failed is not asked again, even if it would work this time.
                self.health.judge(error);
            }
            self.roll_back();
            return Err(InDoubt);
        }
        Ok(())
    }

    /// Runs each job for itself. Whoever asked for one that fails hears of it; those that are done are returned.
    fn apart(&self, batch: Vec<Box<dyn Job>>) -> Vec<Box<dyn Job>> {
        let mut done = Vec::with_capacity(batch.len());
        for mut job in batch {
            match self.run_apart(job.as_mut()) {
                Ok(()) => done.push(job),
                Err(Aborted::Job(error)) => job.answer(Err(error)),
                Err(Aborted::Transaction(error)) => {
                    job.answer(Err(error.clone()));
                    refuse(std::mem::take(&mut done), &error);
                }
            }
        }
        done
    }

    /// Runs a job in a savepoint of its own, so that its failure undoes nobody else's work.
    fn run_apart(&self, job: &mut dyn Job) -> Result<(), Aborted> {
        if self.connection.is_autocommit() {
            // A job lost the whole transaction (a full disk does that), or all was undone; the rest starts afresh.
            self.statement("BEGIN IMMEDIATE")?;
        }
        self.statement("SAVEPOINT job")?;
        let error = match catch_unwind(AssertUnwindSafe(|| job.run(&self.connection))) {
            Ok(Ok(())) => return self.statement("RELEASE job"),
            Ok(Err(error)) => self.health.judge(error),
            Err(_panic) => StoreError::Panicked,
        };
        if self.connection.is_autocommit() {
            return Err(Aborted::Transaction(error));
        }
        self.statement("ROLLBACK TO job")?;
        self.statement("RELEASE job")?;
        Err(Aborted::Job(error))
    }

    fn statement(&self, sql: &str) -> Result<(), Aborted> {
        let done = self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
        done.map(|_| ()).map_err(|error| {
            let error = self.health.judge(error);
            self.roll_back();
            Aborted::Transaction(error)
        })
    }

    /// Nobody hears of success before this has returned: the commit is the flush to the disk.
    fn commit(&self) -> Result<(), StoreError> {
        self.health.check().inspect_err(|_| self.roll_back())?;
        if self.connection.is_autocommit() {
            return Ok(());
        }
        let done = self.connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        done.map_err(|error| {
            let error = self.health.judge(error);
            self.roll_back();
            error
        })?;
        self.commits.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn roll_back(&self) {
        if !self.connection.is_autocommit()
            && let Err(error) = self.connection.execute_batch("ROLLBACK")
        {
            self.health.suspect(&format!("a transaction could not be undone: {error}"));
        }
    }

    /// The checkpoint thread follows behind; where it cannot keep up, the writer itself makes the log begin anew.
    fn bound_the_wal(&mut self) {
        if self.wal.is_too_long() {
            let outcome = checkpoint::restart(&self.connection, &self.turn);
            self.wal.restarted(outcome.is_ok_and(|complete| complete));
        } else if self.wal.wants_checkpoint() {
            let _ = self.checkpoints.try_send(());
        }
    }
}

/// A job of a batch failed, and all of them were undone.
struct InDoubt;

/// How far the failure of one job reaches.
enum Aborted {
    /// The job alone.
    Job(StoreError),
    /// Everything in the transaction so far.
    Transaction(StoreError),
}

/// Adds a job to the batch; `false` once the store is to close.
fn collect(message: Message, batch: &mut Vec<Box<dyn Job>>) -> bool {
    match message {
        Message::Job(job) => {
            batch.push(job);
            true
        }
        Message::Close => false,
    }
}

fn refuse(batch: Vec<Box<dyn Job>>, error: &StoreError) {
    for job in batch {
        job.answer(Err(error.clone()));
    }
}
