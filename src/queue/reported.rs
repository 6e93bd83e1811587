//! Which reports were made lately: an address gets so many in a while.

use rusqlite::{Connection, Row};

use super::day::first_since;
use super::rows::{parsed, time};
use super::{Queue, QueueError};
use crate::clock::Timestamp;
use crate::mail::Address;

impl Queue {
    /// To whom reports were made since `since`, and when, oldest first. A digest is one of them.
    ///
    /// # Errors
    /// What the store says.
    pub async fn recent_reports(&self, since: Timestamp) -> Result<Vec<(Address, Timestamp)>, QueueError> {
        Ok(self.inner.store.read(move |connection| recent(connection, since)).await?)
    }
}

fn recent(connection: &Connection, since: Timestamp) -> rusqlite::Result<Vec<(Address, Timestamp)>> {
    let sql = "SELECT address, accepted_at FROM message JOIN recipient ON recipient.message = message.seq
        WHERE seq >= ?1 AND accepted_at >= ?2 AND report_about IS NOT NULL ORDER BY accepted_at";
    let read = |row: &Row<'_>| Ok((parsed::<Address>(row, "address")?, time(row, "accepted_at")?));
    let first = first_since(connection, since)?;
    connection.prepare(sql)?.query_map((first, since.as_millis()), read)?.collect()
}
