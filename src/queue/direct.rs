//! Direct mode: a client waits for the provider's answer. The message is on the disk before the attempt, marked as
//! pending; it is ours only once its client hears 250.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row as SqlRow};
use tokio::sync::oneshot;

use super::handling::remove_rows;
use super::inner::Inner;
use super::lease::{self, Taken};
use super::rows::{self, Row, WAITING};
use super::{Lease, NewMessage, Queue, QueueError, Verdict, hold};
use crate::clock::Timestamp;
use crate::mail::{Attempt, Event, Failure, Outcome, QueueId, Reason};
use crate::store::StoreError;

/// What a client that waited is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The provider took the message for all recipients.
    Relayed,
    /// It is ours now and goes the queue's way: some recipients were taken and others not, or nobody knows yet.
    Queued,
    /// Nobody took it, and nothing of it is kept. The worst of the remote's words.
    Refused(Failure),
}

/// A client that waits, and the event that tells of its message once that is ours.
struct Waiting {
    client: oneshot::Sender<Answer>,
    accepted: Event,
}

/// The clients that wait. Whoever takes one out decides what it hears: the settlement of the attempt, or the end of its
/// patience.
#[derive(Default)]
pub(super) struct Clients(Mutex<HashMap<QueueId, Waiting>>);

impl Clients {
    pub(super) fn wait(&self, id: QueueId, client: oneshot::Sender<Answer>, accepted: Event) {
        self.lock().insert(id, Waiting { client, accepted });
    }

    pub(super) fn forget(&self, id: QueueId) {
        self.lock().remove(&id);
    }

    fn take(&self, id: QueueId) -> Option<Waiting> {
        self.lock().remove(&id)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<QueueId, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A refusal that is to be said once the message is removed.
#[derive(Debug)]
#[must_use]
pub struct Refusal {
    client: oneshot::Sender<Answer>,
    failure: Failure,
}

impl Refusal {
    /// Says it.
    pub fn say(self) {
        // A client that hung up hears nothing.
        let _ = self.client.send(Answer::Refused(self.failure));
    }
}

impl Queue {
    /// Hands a message over while its client waits, no longer than `patience`. On [`Answer::Relayed`] and
    /// [`Answer::Queued`] it is on the disk and ours, on [`Answer::Refused`] nothing of it is left.
    ///
    /// A mailbox that is held refuses at once with what it is held for, unless a probe is due: then this is one.
    ///
    /// # Errors
    /// As [`Queue::accept`]. The message is not accepted then.
    pub async fn hand_over(
        &self,
        message: NewMessage,
        patience: impl Future<Output = ()> + Send,
    ) -> Result<Answer, QueueError> {
        self.check_room()?;
        let closed = || QueueError::from(StoreError::Closed);
        let (id, (client, mut answer)) = (message.id, oneshot::channel());
        let inner = Arc::clone(&self.inner);
        let starting = tokio::spawn(async move { inner.make(message, Some(client)).await });
        if let Some(failure) = starting.await.map_err(|_| closed())?? {
            return Ok(Answer::Refused(failure));
        }
        tokio::select! {
            biased;
            answer = &mut answer => return answer.map_err(|_| closed()),
            () = patience => {}
        }
        let inner = Arc::clone(&self.inner);
        let taking_over = tokio::spawn(async move { inner.take_over(id).await });
        match taking_over.await.map_err(|_| closed())?? {
            Some(answer) => Ok(answer),
            // Its attempt is being settled at this moment.
            None => answer.await.map_err(|_| closed()),
        }
    }

    /// Tells the client that waits for an attempt what it came to. If nobody took the message, `verdict` becomes its
    /// removal, and the refusal is returned, to be said when that is settled. Once a client's patience has ended, what
    /// follows from the attempt is the queue's business alone.
    pub fn answer(&self, lease: &Lease, attempt: &Attempt, verdict: &mut Verdict) -> Option<Refusal> {
        let Waiting { client, accepted } = self.inner.clients.take(lease.id)?;
        if let Some(failure) = refusal(attempt) {
            verdict.removed = true;
            return Some(Refusal { client, failure });
        }
        self.inner.observer.observe(&accepted);
        let all = attempt.outcomes.iter().all(|outcome| matches!(outcome, Outcome::Relayed(_)));
        // The attempt is on the disk: after a crash it counts as unknown, so that nothing is lost.
        let _ = client.send(if all { Answer::Relayed } else { Answer::Queued });
        None
    }
}

/// The worst of the remote's words, if nobody took the message; `None` also where somebody may have.
fn refusal(attempt: &Attempt) -> Option<Failure> {
    if attempt.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Relayed(_) | Outcome::Unknown(_))) {
        return None;
    }
    let failures = || attempt.outcomes.iter().filter_map(Outcome::failure);
    let for_good = failures().find(|failure| failure.reason.status().class() == 5);
    let silent = || Failure::new(Reason::Unexpected, "the way out gave no outcome");
    Some(for_good.or_else(|| failures().next()).cloned().unwrap_or_else(silent))
}

impl Inner {
    /// The end of a client's patience: its message is ours from now on. `None` if it is being answered already.
    async fn take_over(&self, id: QueueId) -> Result<Option<Answer>, QueueError> {
        let Some(Waiting { accepted, .. }) = self.clients.take(id) else { return Ok(None) };
        match self.store.write(move |connection| take_over(connection, id)).await? {
            Ok(()) => {
                self.observer.observe(&accepted);
                Ok(Some(Answer::Queued))
            }
            Err((failure, file)) => {
                self.spool.recent.forget(id);
                self.spool.remove(file.into_iter().collect()).await;
                Ok(Some(Answer::Refused(failure)))
            }
        }
    }
}

/// Makes a pending message, leased if somebody stands by for it (`take`). A hold refuses it: the failure.
pub(super) fn insert(
    connection: &Connection,
    row: &Row,
    now: Timestamp,
    take: bool,
) -> rusqlite::Result<Result<(i64, Option<Taken>), Failure>> {
    let lane = rows::lane(connection, &row.key)?;
    let gate = hold::gate(connection, lane)?;
    if let Some(gate) = gate.as_ref().filter(|gate| !gate.is_probe_due(now)) {
        return Ok(Err(gate.failure.clone()));
    }
    let waits = lease::asked_to_wait(connection, lane)?.is_some_and(|at| at > now);
    let (seq, taken) = if take && !waits {
        let taken = lease::take(connection, row, lane, gate.as_ref(), now)?;
        (taken.seq, Some(taken))
    } else {
        (row.insert_as(connection, lane, WAITING, now)?, None)
    };
    connection.prepare_cached("INSERT INTO pending (message) VALUES (?1)")?.execute([seq])?;
    Ok(Ok((lane, taken)))
}

/// The message is pending no longer.
pub(super) fn keep(connection: &Connection, seq: i64) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM pending WHERE message = ?1")?.execute([seq])?;
    Ok(())
}

/// Makes a pending message an ordinary one. It is removed instead if its mailbox was put on hold before any attempt:
/// the failure, and the spool file to remove.
fn take_over(connection: &Connection, id: QueueId) -> rusqlite::Result<Result<(), (Failure, Option<String>)>> {
    let sql = "SELECT seq, lane, spool, state = 0 AND attempts = 0 AS untried, finished_at IS NOT NULL AS finished
        FROM message WHERE id = ?1";
    let read = |row: &SqlRow<'_>| {
        let (untried, finished): (bool, bool) = (row.get("untried")?, row.get("finished")?);
        Ok((row.get::<_, i64>("seq")?, row.get::<_, i64>("lane")?, row.get("spool")?, untried, finished))
    };
    let dropped = || Failure::new(Reason::Rejected, "the message was dropped by the administrator");
    let Some((seq, lane, file, untried, finished)) =
        connection.prepare_cached(sql)?.query_row([id.as_bytes()], read).optional()?
    else {
        return Ok(Err((dropped(), None)));
    };
    keep(connection, seq)?;
    if finished {
        return Ok(Err((dropped(), None)));
    }
    match hold::gate(connection, lane)?.filter(|_| untried) {
        Some(gate) => {
            remove_rows(connection, seq)?;
            Ok(Err((gate.failure, file)))
        }
        None => Ok(Ok(())),
    }
}

/// After a restart: drops what was never tried, because its client never heard 250; what was tried becomes an ordinary
/// message, whose attempt is unknown. Returns how many were dropped.
pub(super) fn recover(connection: &Connection) -> rusqlite::Result<usize> {
    let sql = "SELECT seq FROM message JOIN pending ON pending.message = seq WHERE state = 0 AND attempts = 0";
    let untried: Vec<i64> = connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for seq in &untried {
        remove_rows(connection, *seq)?;
    }
    connection.execute("DELETE FROM pending", [])?;
    Ok(untried.len())
}
