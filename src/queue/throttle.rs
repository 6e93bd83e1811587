//! What providers asked for in the way of patience, kept over restarts: rests of single ways, and limits that were learnt.

use std::str::FromStr;

use rusqlite::{Connection, OptionalExtension, Row};

use super::pace::Learnt;
use super::rows::time;
use super::{MailboxKey, Queue, QueueError};
use crate::clock::Timestamp;
use crate::mail::BackendKind;

impl Queue {
    /// Notes that a way of a mailbox is not to be asked before this moment.
    ///
    /// # Errors
    /// What the store says.
    pub async fn rest(&self, key: &MailboxKey, way: BackendKind, until: Timestamp) -> Result<(), QueueError> {
        let Some(&lane) = self.inner.lanes.lane(key).row.get() else { return Ok(()) };
        // The moment is of the time that the clock has now.
        self.look_at_the_clock();
        let sql = "INSERT INTO rest (lane, backend, until) VALUES (?1, ?2, ?3)
            ON CONFLICT (lane, backend) DO UPDATE SET until = max(until, ?3)";
        let write = move |connection: &Connection| {
            connection.prepare_cached(sql)?.execute((lane, way.name(), until.as_millis())).map(drop)
        };
        Ok(self.inner.store.write(write).await?)
    }

    /// Which ways rest, and until when.
    ///
    /// # Errors
    /// What the store says.
    pub async fn rests(&self) -> Result<Vec<(MailboxKey, BackendKind, Timestamp)>, QueueError> {
        let now = self.inner.now();
        Ok(self.inner.store.read(move |connection| rests(connection, now)).await?)
    }

    /// Notes the limit that a mailbox showed to have.
    ///
    /// # Errors
    /// What the store says.
    pub async fn learn(&self, key: &MailboxKey, learnt: Learnt) -> Result<(), QueueError> {
        let Some(&lane) = self.inner.lanes.lane(key).row.get() else { return Ok(()) };
        let sql = "INSERT INTO learnt (lane, per_minute, since) VALUES (?1, ?2, ?3)
            ON CONFLICT (lane) DO UPDATE SET per_minute = ?2, since = ?3";
        let write = move |connection: &Connection| {
            connection.prepare_cached(sql)?.execute((lane, learnt.per_minute, learnt.since.as_millis())).map(drop)
        };
        Ok(self.inner.store.write(write).await?)
    }

    /// The limit that a mailbox showed to have, if any.
    ///
    /// # Errors
    /// What the store says.
    pub async fn learnt(&self, key: &MailboxKey) -> Result<Option<Learnt>, QueueError> {
        let Some(&lane) = self.inner.lanes.lane(key).row.get() else { return Ok(None) };
        Ok(self.inner.store.read(move |connection| learnt(connection, lane).optional()).await?)
    }
}

/// The limit that a lane showed to have.
pub(super) fn learnt(connection: &Connection, lane: i64) -> rusqlite::Result<Learnt> {
    let read = |row: &Row<'_>| Ok(Learnt { per_minute: row.get("per_minute")?, since: time(row, "since")? });
    connection.prepare_cached("SELECT per_minute, since FROM learnt WHERE lane = ?1")?.query_row([lane], read)
}

fn rests(connection: &Connection, now: Timestamp) -> rusqlite::Result<Vec<(MailboxKey, BackendKind, Timestamp)>> {
    let sql = "SELECT provider, mailbox, backend, until FROM rest JOIN lane ON lane.id = rest.lane WHERE until > ?1";
    let read = |row: &Row<'_>| {
        let key = MailboxKey { provider: row.get("provider")?, mailbox: row.get("mailbox")? };
        // A way that this version does not know asks nobody for patience.
        let way = BackendKind::from_str(row.get_ref("backend")?.as_str()?).ok();
        let until = time(row, "until")?;
        Ok(way.map(|way| (key, way, until)))
    };
    let rests = connection.prepare(sql)?.query_map([now.as_millis()], read)?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(rests.into_iter().flatten().collect())
}
