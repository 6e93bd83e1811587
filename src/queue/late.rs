//! Messages that are late: each is looked at once, when it is as old as its sender should be told of.
//!
//! Messages were accepted in the order of their rows, so the search goes on where it stopped and touches no index that
//! accepting and settling would have to keep.

use rusqlite::{Connection, OptionalExtension};

use super::rows::{RELAYED, time};
use super::{Lease, Settings, lease};
use crate::clock::Timestamp;
use crate::mail::{Failure, Reason, Recipient};

/// Messages that are late at once.
const BATCH: usize = 100;
/// Messages that one search looks at; history may be long.
const LOOKS: u32 = 20_000;
const NAME: &str = "late";

/// A message whose sender waits.
#[derive(Debug)]
pub struct Late {
    /// The message, though nobody has leased it.
    pub lease: Lease,
    /// Who waits, and why.
    pub waiting: Vec<(Recipient, Failure)>,
    /// When it is given up, unless its mailbox is held meanwhile.
    pub until: Timestamp,
    /// Whether its mailbox is held.
    pub held: bool,
}

/// What one search found.
#[derive(Debug, Default)]
pub struct LateMail {
    /// The messages, oldest first.
    pub late: Vec<Late>,
    /// The last row that was looked at; `None`: there is nothing that is old enough.
    pub(super) seen: Option<i64>,
}

impl LateMail {
    /// Whether nothing more is old enough.
    pub const fn is_end(&self) -> bool {
        self.seen.is_none()
    }
}

/// The messages that became late since the last search.
pub(super) fn find(connection: &Connection, settings: &Settings, now: Timestamp) -> rusqlite::Result<LateMail> {
    let mut found = LateMail::default();
    if settings.delay_report_after.is_zero() {
        return Ok(found);
    }
    let before = now.minus(settings.delay_report_after);
    let sql = "SELECT seq, accepted_at, finished_at IS NULL AND state < ?2 AND report_about IS NULL AS waits
        FROM message WHERE seq > ?1 ORDER BY seq LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((cursor(connection)?, RELAYED, LOOKS))?;
    while let Some(row) = rows.next()?
        && found.late.len() < BATCH
    {
        let accepted = time(row, "accepted_at")?;
        // What a clock that went wrong has dated into the future must not stop the search.
        if before < accepted && accepted <= now {
            break;
        }
        if row.get("waits")?
            && accepted <= before
            && let Ok(lease) = lease::load(connection, row.get("seq")?, now)
        {
            found.late.push(with_words(connection, lease, settings)?);
        }
        found.seen = Some(row.get("seq")?);
    }
    Ok(found)
}

fn with_words(connection: &Connection, lease: Lease, settings: &Settings) -> rusqlite::Result<Late> {
    let words = lease::last_words(connection, lease.record.seq)?;
    let unknown = || Failure::new(Reason::Throttled, "its turn has not come yet");
    let waiting = lease.envelope.recipients().iter().cloned().zip(words);
    let waiting = waiting.map(|(to, failure)| (to, failure.unwrap_or_else(unknown))).collect();
    let until = lease.record.expiry_from.plus(settings.expire_after).plus(lease.record.held);
    let held = "SELECT 1 FROM hold WHERE lane = ?1";
    let held = connection.prepare_cached(held)?.query_row([lease.record.lane], |_| Ok(())).optional()?.is_some();
    Ok(Late { lease, waiting, until, held })
}

fn cursor(connection: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT seq FROM sweep WHERE name = ?1";
    Ok(connection.prepare_cached(sql)?.query_row([NAME], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// Everything up to this row was looked at.
pub(super) fn told(connection: &Connection, last: i64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO sweep (name, seq) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET seq = max(seq, ?2)";
    connection.prepare_cached(sql)?.execute((NAME, last))?;
    Ok(())
}
