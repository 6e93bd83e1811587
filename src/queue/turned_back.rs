//! A wall clock that was set back: what is to happen at a moment of the old time would wait as much longer.

use std::time::Duration;

use rusqlite::{Connection, named_params};

use super::inner::Inner;
use super::{QueueError, recover};
use crate::clock::Timestamp;

/// Columns that hold moments which may lie ahead, with the rows that count.
const MOMENTS: [(&str, &str, &str); 8] = [
    ("message", "next_attempt", "finished_at IS NULL"),
    ("message", "not_before", "finished_at IS NULL"),
    ("message", "accepted_at", "finished_at IS NULL"),
    ("message", "expiry_from", "finished_at IS NULL"),
    ("lane", "not_before", "TRUE"),
    ("hold", "next_probe", "TRUE"),
    ("hold", "since", "TRUE"),
    ("rest", "until", "TRUE"),
];

/// Brings every moment that lies ahead of `now` forward by as much as the clock went back.
fn bring_forward(connection: &Connection, by: Duration, now: Timestamp) -> rusqlite::Result<usize> {
    let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    let mut changed = 0;
    for (table, column, rows) in MOMENTS {
        let sql = format!("UPDATE {table} SET {column} = {column} - :by WHERE {rows} AND {column} > :now");
        changed += connection.prepare(&sql)?.execute(named_params! { ":by": by, ":now": now.as_millis() })?;
    }
    Ok(changed)
}

impl Inner {
    /// See [`super::Queue::clock_was_set_back`].
    pub(super) async fn clock_was_set_back(&self, by: Duration) -> Result<(), QueueError> {
        let now = self.clock.now();
        let changed = self.store.write(move |connection| bring_forward(connection, by, now)).await?;
        tracing::warn!(
            seconds = by.as_secs(),
            changed,
            "the clock was set back; what waits was brought forward by as much"
        );
        for (key, lane) in self.store.read(recover::lanes).await? {
            self.lanes.has_mail(&key, lane);
        }
        Ok(())
    }
}
