//! Mail that waits, mailbox by mailbox, and when the last of it will have gone.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row};

use super::pace::{Learnt, Pace};
use super::rows::time;
use super::{MailboxKey, Queue, QueueError, lease, listing, throttle};
use crate::clock::Timestamp;

/// How far back the daily figures look.
const DAY: Duration = Duration::from_hours(24);

/// The mail of a mailbox that waits.
#[derive(Clone, Debug)]
pub struct Backlog {
    /// The mailbox.
    pub key: MailboxKey,
    /// Messages that wait, attempts under way not among them.
    pub messages: u64,
    /// Their recipients.
    pub recipients: u64,
    /// Whether it is held, so that nobody can say when it goes.
    pub held: bool,
    /// When the first of it may go.
    begins: Timestamp,
    /// When the last of it is due.
    last_due: Timestamp,
    sends: Vec<(Timestamp, u32)>,
    learnt: Option<Learnt>,
}

impl Backlog {
    /// When the last message will have gone at these rates (0: none), if nothing comes between. `None`: it is held, or no
    /// rate says how fast it goes.
    pub fn drained(&self, messages_per_minute: u32, recipients_per_day: u32, now: Timestamp) -> Option<Timestamp> {
        let is_bound = messages_per_minute > 0 || recipients_per_day > 0 || self.learnt.is_some();
        if self.held || !is_bound {
            return None;
        }
        let begins = now.max(self.begins);
        let mut pace = Pace::new(messages_per_minute, recipients_per_day, self.sends.clone()).knowing(self.learnt);
        let takes = pace.time_to_drain(begins, self.messages, self.recipients);
        Some(begins.plus(takes).max(self.last_due))
    }
}

impl Queue {
    /// The mail that waits, mailbox by mailbox, most messages first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn backlogs(&self) -> Result<Vec<Backlog>, QueueError> {
        let since = self.inner.clock.now().minus(DAY);
        Ok(self.inner.store.read(move |connection| all(connection, since)).await?)
    }
}

fn all(connection: &Connection, since: Timestamp) -> rusqlite::Result<Vec<Backlog>> {
    let sql = "SELECT lane.id, lane.provider, lane.mailbox, waiting.*,
            EXISTS (SELECT 1 FROM hold WHERE hold.lane = lane.id) AS held
        FROM (SELECT lane, count(*) AS messages, min(next_attempt) AS first, max(next_attempt) AS last FROM message
            WHERE state = 0 AND finished_at IS NULL GROUP BY lane) AS waiting
        JOIN lane ON lane.id = waiting.lane ORDER BY waiting.messages DESC, lane.id";
    let read = |row: &Row<'_>| {
        let key = MailboxKey { provider: row.get("provider")?, mailbox: row.get("mailbox")? };
        let messages = row.get::<_, i64>("messages")?.cast_unsigned();
        let (begins, last_due, held) = (time(row, "first")?, time(row, "last")?, row.get("held")?);
        let (recipients, sends, learnt) = (0, Vec::new(), None);
        Ok((row.get("id")?, Backlog { key, messages, recipients, held, begins, last_due, sends, learnt }))
    };
    let found: Vec<(i64, Backlog)> =
        connection.prepare_cached(sql)?.query_map([], read)?.collect::<rusqlite::Result<_>>()?;
    found.into_iter().map(|(lane, backlog)| with_pace(connection, lane, backlog, since)).collect()
}

fn with_pace(connection: &Connection, lane: i64, backlog: Backlog, since: Timestamp) -> rusqlite::Result<Backlog> {
    let sql = "SELECT count(*) FROM recipient WHERE state = 0 AND message IN
        (SELECT seq FROM message WHERE lane = ?1 AND state = 0 AND finished_at IS NULL)";
    let recipients: i64 = connection.prepare_cached(sql)?.query_row([lane], |row| row.get(0))?;
    let asked = lease::asked_to_wait(connection, lane)?.unwrap_or_default();
    Ok(Backlog {
        recipients: recipients.cast_unsigned(),
        begins: backlog.begins.max(asked),
        sends: listing::recent_sends(connection, lane, since)?,
        learnt: throttle::learnt(connection, lane).optional()?,
        ..backlog
    })
}
