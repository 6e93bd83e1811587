//! Writing down what became of an attempt: one transaction for the recipients, the message, the hold of its mailbox
//! and the report about it.

use std::sync::Arc;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::rows::{FAILED, OUTSTANDING, REFUSED, RELAYED, Row, TAKEN, WAITING, json};
use super::verdict::{Fate, Verdict};
use super::{DigestLine, Lease, NewMessage, QueueError, Report, digest, direct, handling, hold};
use crate::clock::Timestamp;
use crate::mail::{Attempt, BackendKind, Outcome};

/// An attempt that was made, with everything that follows from it.
#[derive(Debug)]
pub(super) struct Settlement {
    pub(super) lease: Lease,
    pub(super) attempt: Attempt,
    pub(super) verdict: Verdict,
    pub(super) report: Option<Told>,
}

/// A report that is written with a settlement.
#[derive(Debug)]
pub(super) enum Told {
    Alone(Box<NewMessage>, Box<Row>),
    InDigest(Box<DigestLine>),
}

impl Settlement {
    pub(super) fn new(lease: Lease, attempt: Attempt, verdict: Verdict, report: Option<Report>) -> Self {
        let report = report.map(|report| match report {
            Report::Alone(mut message) => {
                message.body.keep();
                let row = Box::new(Row::new(&message));
                Told::Alone(message, row)
            }
            Report::InDigest(line) => Told::InDigest(line),
        });
        Self { lease, attempt, verdict, report }
    }
}

/// A settlement that could not be written. It stays in memory, the lease with it, so the message is not sent again;
/// [`Queue::settle_again`](super::Queue::settle_again) tries once more.
#[derive(Debug, thiserror::Error)]
#[error("what became of message `{}` could not be recorded yet: {error}", settlement.lease.id)]
pub struct Unsettled {
    /// Why not.
    pub error: QueueError,
    pub(super) settlement: Arc<Settlement>,
}

impl Unsettled {
    /// The lease that is still taken.
    pub fn lease(&self) -> &Lease {
        &self.settlement.lease
    }

    /// What became of the attempt.
    pub fn attempt(&self) -> &Attempt {
        &self.settlement.attempt
    }
}

/// How an attempt ended, for the history of its message.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct AttemptResult {
    /// The way that was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<BackendKind>,
    /// Recipients that the provider took.
    #[serde(default)]
    pub relayed: u32,
    /// Recipients that wait for another attempt.
    #[serde(default)]
    pub outstanding: u32,
    /// Recipients that failed.
    #[serde(default)]
    pub failed: u32,
    /// The remote's words, each once.
    #[serde(default)]
    pub words: Vec<String>,
    /// What else there is to say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The remote's words that are kept of one attempt; a thousand recipients may have been refused one by one.
const MAX_WORDS: usize = 10;
/// What history says of an attempt whose answer was lost.
pub(super) const MAY_ARRIVE_TWICE: &str = "may arrive twice: the provider may have taken it before the answer was lost";

impl AttemptResult {
    fn new(settlement: &Settlement) -> Self {
        let Settlement { attempt, verdict, .. } = settlement;
        let mut result = Self { backend: attempt.backend, notes: attempt.notes.clone(), ..Self::default() };
        for fate in &verdict.recipients {
            let (count, words) = match fate {
                Fate::Relayed(receipt) => (&mut result.relayed, receipt.diagnostic.clone()),
                Fate::Outstanding(failure) => (&mut result.outstanding, failure.to_string()),
                Fate::Failed(failure) => (&mut result.failed, failure.to_string()),
            };
            *count += 1;
            if result.words.len() < MAX_WORDS && !result.words.contains(&words) {
                result.words.push(words);
            }
        }
        if attempt.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Unknown(_))) {
            result.notes.push(MAY_ARRIVE_TWICE.to_owned());
        }
        result
    }
}

/// What else changed with a settlement.
pub(super) struct Settled {
    /// The message is relayed to all, or removed; its content is no longer named by any row.
    pub(super) done: bool,
    /// The mailbox is held now.
    pub(super) held: Option<hold::Begun>,
    /// The account whose hold ended.
    pub(super) released: Option<String>,
    /// The lane of the report.
    pub(super) report_lane: Option<i64>,
}

pub(super) fn write(connection: &Connection, settlement: &Settlement, now: Timestamp) -> rusqlite::Result<Settled> {
    let Settlement { lease, attempt, verdict, report } = settlement;
    let record = &lease.record;
    let done = if verdict.removed {
        remove(connection, lease, verdict)?
    } else {
        end_attempt(connection, settlement, now)?;
        recipients(connection, lease, verdict, now)?;
        direct::keep(connection, record.seq)?;
        message(connection, lease, verdict, now)?
    };
    let mut settled = Settled { done, held: None, released: None, report_lane: None };
    if lease.probe {
        hold::probed(connection, record.lane, record.seq)?;
    }
    if let Some(failure) = &verdict.hold {
        let lane = (record.lane, record.releases);
        settled.held = hold::begin(connection, lane, &lease.route.account, failure, now)?;
    } else if lease.probe && attempt.outcomes.iter().any(hold::shows_health) {
        settled.released = hold::end(connection, record.lane, hold::End::Mended, now)?;
    }
    match report {
        Some(Told::Alone(_, row)) => settled.report_lane = Some(row.insert(connection, now)?),
        Some(Told::InDigest(line)) => digest::add(connection, line, now)?,
        None => {}
    }
    Ok(settled)
}

/// An attempt that does not count is given back with its number.
fn end_attempt(connection: &Connection, settlement: &Settlement, now: Timestamp) -> rusqlite::Result<()> {
    let Settlement { lease, attempt, verdict, .. } = settlement;
    if !lease.record.recorded {
        return Ok(());
    }
    let key = (lease.record.seq, lease.attempt);
    if !verdict.counts {
        connection.prepare_cached("DELETE FROM attempt WHERE message = ?1 AND number = ?2")?.execute(key)?;
        connection.prepare_cached("UPDATE message SET attempts = ?2 - 1 WHERE seq = ?1")?.execute(key)?;
        return Ok(());
    }
    let sent = attempt.outcomes.iter().filter(|o| matches!(o, Outcome::Relayed(_) | Outcome::Unknown(_))).count();
    let sent = i64::try_from(sent).unwrap_or(i64::MAX);
    let sql = "UPDATE attempt SET ended_at = ?3, sent = ?4, result = ?5 WHERE message = ?1 AND number = ?2";
    let result = json(&AttemptResult::new(settlement))?;
    connection.prepare_cached(sql)?.execute((key.0, key.1, now.as_millis(), sent, result))?;
    Ok(())
}

fn recipients(connection: &Connection, lease: &Lease, verdict: &Verdict, now: Timestamp) -> rusqlite::Result<()> {
    let sql =
        "UPDATE recipient SET state = ?3, failure = ?4, receipt = ?5, at = ?6 WHERE message = ?1 AND position = ?2";
    let mut update = connection.prepare_cached(sql)?;
    for (position, fate) in lease.record.positions.iter().zip(&verdict.recipients) {
        let (state, failure, receipt) = match fate {
            Fate::Relayed(receipt) => (TAKEN, None, Some(&receipt.diagnostic)),
            Fate::Outstanding(failure) => (OUTSTANDING, Some(json(failure)?), None),
            Fate::Failed(failure) => (REFUSED, Some(json(failure)?), None),
        };
        update.execute((lease.record.seq, position, state, failure, receipt, now.as_millis()))?;
    }
    Ok(())
}

/// Removes the message, but not the wait that the remote asked its mailbox for. `true`: no row names its content.
fn remove(connection: &Connection, lease: &Lease, verdict: &Verdict) -> rusqlite::Result<bool> {
    handling::remove_rows(connection, lease.record.seq)?;
    if let Some(not_before) = verdict.not_before {
        let sql = "UPDATE lane SET not_before = max(not_before, ?2) WHERE id = ?1";
        connection.prepare_cached(sql)?.execute((lease.record.lane, not_before.as_millis()))?;
    }
    Ok(true)
}

/// The state of the message follows from those of its recipients. `true`: all are relayed.
fn message(connection: &Connection, lease: &Lease, verdict: &Verdict, now: Timestamp) -> rusqlite::Result<bool> {
    let seq = lease.record.seq;
    let now = now.as_millis();
    if let Some(next) = verdict.next {
        let sql = "UPDATE message SET state = ?2, next_attempt = ?3, not_before = ?4 WHERE seq = ?1";
        let not_before = verdict.not_before.map_or(0, Timestamp::as_millis);
        connection.prepare_cached(sql)?.execute((seq, WAITING, next.as_millis(), not_before))?;
        return Ok(false);
    }
    let any_failed = "SELECT EXISTS (SELECT 1 FROM recipient WHERE message = ?1 AND state = ?2)";
    let failed: bool = connection.prepare_cached(any_failed)?.query_row((seq, REFUSED), |row| row.get(0))?;
    if failed {
        finish(connection, seq, FAILED, now)?;
        return Ok(false);
    }
    finish(connection, seq, RELAYED, now)?;
    forget_content(connection, seq)?;
    Ok(true)
}

fn finish(connection: &Connection, seq: i64, state: i64, now: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE message SET state = ?2, finished_at = ?3 WHERE seq = ?1";
    connection.prepare_cached(sql)?.execute((seq, state, now))?;
    Ok(())
}

/// Removes the content from the database; a spool file may go once this is committed.
pub(super) fn forget_content(connection: &Connection, seq: i64) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM body WHERE message = ?1")?.execute([seq])?;
    let sql = "UPDATE message SET spool = NULL WHERE seq = ?1 AND spool IS NOT NULL";
    connection.prepare_cached(sql)?.execute([seq])?;
    Ok(())
}
