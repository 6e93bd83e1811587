//! A wall clock that was set back: what is to happen at a moment of the old time would wait as much longer.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, named_params};
use tokio::sync::watch;

use super::inner::Inner;
use super::{Queue, recover};
use crate::clock::Timestamp;
use crate::store::StoreError;

/// The wait before what could not be brought forward is tried again.
const AGAIN: Duration = Duration::from_secs(1);

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
    /// The time now. A clock that was set back is noticed before anything is written with its time, and what waits is
    /// brought forward before that: afterwards nobody could tell moments of the old time from those of the new one.
    pub(super) fn now(&self) -> Timestamp {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, steady) = self.clock.both();
        if let Some(by) = watch.look(now, steady) {
            self.bring_forward(by, now);
        }
        now
    }

    /// Puts it in line, and sees to it that it is done.
    fn bring_forward(&self, by: Duration, now: Timestamp) {
        let first = self.store.submit(move |connection| bring_forward(connection, by, now));
        let (store, lanes, turned) = (self.store.clone(), Arc::clone(&self.lanes), self.turned.clone());
        let clock = self.clock.clone();
        tokio::spawn(async move {
            let mut written = first.await;
            while let Err(error) = &written {
                if matches!(error, StoreError::Suspect(_) | StoreError::Closed) {
                    return;
                }
                tracing::error!(%error, "the clock was set back, and what waits may wait too long; trying again");
                tokio::time::sleep(AGAIN).await;
                // What was written meanwhile is of the new time.
                let now = clock.now();
                written = store.write(move |connection| bring_forward(connection, by, now)).await;
            }
            let (seconds, changed) = (by.as_secs(), written.unwrap_or_default());
            tracing::warn!(seconds, changed, "the clock was set back; what waits was brought forward by as much");
            turned.send_modify(|times| *times += 1);
            match store.read(recover::lanes).await {
                Ok(known) => known.iter().for_each(|(key, row)| lanes.has_mail(key, *row)),
                Err(error) => tracing::error!(%error, "cannot wake the mailboxes after the clock was set back"),
            }
        });
    }
}

impl Queue {
    /// Looks whether the clock was set back, as everything that is written does: for when nothing is written.
    pub fn look_at_the_clock(&self) {
        self.inner.now();
    }

    /// How often the clock was set back so far; changes once what waits is brought forward.
    pub fn turned_back(&self) -> watch::Receiver<u64> {
        self.inner.turned.subscribe()
    }
}
