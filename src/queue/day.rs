//! What happened lately, from the rows: for counts that go on over a restart.

use rusqlite::{Connection, OptionalExtension};

use super::rows::{FAILED, RELAYED};
use crate::clock::Timestamp;

const HOUR: i64 = 3_600_000;

/// What happened to messages in one hour.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HourOfMail {
    /// When it began.
    pub from: Timestamp,
    /// Messages that were accepted.
    pub accepted: u64,
    /// Messages whose end was that a provider took them.
    pub relayed: u64,
    /// Messages whose end was a failure.
    pub failed: u64,
}

/// By the hour until `until`, for messages that were accepted since `since`.
pub(super) fn hours(connection: &Connection, since: Timestamp, until: Timestamp) -> rusqlite::Result<Vec<HourOfMail>> {
    let first = first_since(connection, since)?;
    let sql = "SELECT accepted_at / ?2 * ?2 AS hour, count(*), 0, 0 FROM message
        WHERE seq >= ?1 AND accepted_at < ?5 GROUP BY hour
        UNION ALL SELECT finished_at / ?2 * ?2 AS hour, 0, sum(state = ?3), sum(state = ?4) FROM message
        WHERE seq >= ?1 AND finished_at < ?5 GROUP BY hour";
    let count = |value: i64| u64::try_from(value).unwrap_or(0);
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map((first, HOUR, RELAYED, FAILED, until.as_millis()), |row| {
        Ok(HourOfMail {
            from: Timestamp::from_millis(row.get(0)?),
            accepted: count(row.get(1)?),
            relayed: count(row.get(2)?),
            failed: count(row.get(3)?),
        })
    })?;
    rows.collect()
}

/// The first row of that time. Rows are in the order of acceptance, so halving finds it without reading history.
pub(super) fn first_since(connection: &Connection, since: Timestamp) -> rusqlite::Result<i64> {
    let bounds = "SELECT coalesce(min(seq), 0), coalesce(max(seq), -1) + 1 FROM message";
    let (mut low, mut high): (i64, i64) = connection.query_row(bounds, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut at = connection.prepare("SELECT seq, accepted_at FROM message WHERE seq >= ?1 ORDER BY seq LIMIT 1")?;
    while low < high {
        let middle = low + (high - low) / 2;
        let found: Option<(i64, i64)> = at.query_row([middle], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        match found {
            Some((seq, accepted)) if accepted < since.as_millis() => low = seq + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}
