//! Mail that waits, mailbox by mailbox, and when the last of it will have gone.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row};

use super::pace::{Learnt, Pace, Window};
use super::rows::time;
use super::{MailboxKey, Queue, QueueError, lease, listing, throttle};
use crate::clock::Timestamp;
use crate::mail::BackendKind;

/// How far back the daily figures look.
const DAY: Duration = Duration::from_hours(24);
/// Within which uploads are limited.
const UPLOADS: Duration = Duration::from_mins(5);

/// How fast the mail of a mailbox may go; 0: no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rates {
    /// Messages in any minute.
    pub messages_per_minute: u32,
    /// Recipients in any 24 hours.
    pub recipients_per_day: u32,
    /// Octets of messages, as they are before any encoding, in any 5 minutes by Graph.
    pub octets_per_5_minutes: u64,
}

/// The mail of a mailbox that waits.
#[derive(Clone, Debug)]
pub struct Backlog {
    /// The mailbox.
    pub key: MailboxKey,
    /// Messages that wait, attempts under way not among them.
    pub messages: u64,
    /// Their recipients.
    pub recipients: u64,
    /// Their octets.
    pub octets: u64,
    /// Whether it is held, so that nobody can say when it goes.
    pub held: bool,
    /// When the first of it may go.
    begins: Timestamp,
    /// When the last of it is due.
    last_due: Timestamp,
    sends: Vec<(Timestamp, u32)>,
    /// What was uploaded within the last 5 minutes, oldest first.
    uploads: Vec<(Timestamp, u64)>,
    learnt: Option<Learnt>,
}

impl Backlog {
    /// When the last message will have gone at these rates, if nothing comes between. `None`: it is held, or no rate says
    /// how fast it goes.
    pub fn drained(&self, rates: &Rates, now: Timestamp) -> Option<Timestamp> {
        let Rates { messages_per_minute, recipients_per_day, octets_per_5_minutes } = *rates;
        let begins = now.max(self.begins);
        let mut pace = Pace::new(messages_per_minute, recipients_per_day, self.sends.clone()).knowing(self.learnt);
        let mut uploads = Window::new(UPLOADS);
        self.uploads.iter().for_each(|(at, octets)| uploads.add(*at, *octets));
        let by_octets = uploads.time_to_use(begins, octets_per_5_minutes, self.octets);
        // A limit of octets says nothing about mail that is far below it.
        let is_bound =
            messages_per_minute > 0 || recipients_per_day > 0 || self.learnt.is_some() || !by_octets.is_zero();
        if self.held || !is_bound {
            return None;
        }
        let takes = pace.time_to_drain(begins, self.messages, self.recipients).max(by_octets);
        Some(begins.plus(takes).max(self.last_due))
    }
}

impl Queue {
    /// The mail that waits, mailbox by mailbox, most messages first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn backlogs(&self) -> Result<Vec<Backlog>, QueueError> {
        let now = self.inner.now();
        Ok(self.inner.store.read(move |connection| all(connection, now)).await?)
    }
}

fn all(connection: &Connection, now: Timestamp) -> rusqlite::Result<Vec<Backlog>> {
    let sql = "SELECT lane.id, lane.provider, lane.mailbox, waiting.*,
            EXISTS (SELECT 1 FROM hold WHERE hold.lane = lane.id) AS held
        FROM (SELECT lane, count(*) AS messages, sum(size) AS octets, min(next_attempt) AS first, max(next_attempt) AS last FROM message
            WHERE state = 0 AND finished_at IS NULL GROUP BY lane) AS waiting
        JOIN lane ON lane.id = waiting.lane ORDER BY waiting.messages DESC, lane.id";
    let read = |row: &Row<'_>| {
        let key = MailboxKey { provider: row.get("provider")?, mailbox: row.get("mailbox")? };
        let messages = row.get::<_, i64>("messages")?.cast_unsigned();
        let (begins, last_due, held) = (time(row, "first")?, time(row, "last")?, row.get("held")?);
        let octets = row.get::<_, i64>("octets")?.cast_unsigned();
        let (recipients, sends, uploads, learnt) = (0, Vec::new(), Vec::new(), None);
        let backlog = Backlog { key, messages, recipients, octets, held, begins, last_due, sends, uploads, learnt };
        Ok((row.get("id")?, backlog))
    };
    let found: Vec<(i64, Backlog)> =
        connection.prepare_cached(sql)?.query_map([], read)?.collect::<rusqlite::Result<_>>()?;
    found.into_iter().map(|(lane, backlog)| with_pace(connection, lane, backlog, now)).collect()
}

fn with_pace(connection: &Connection, lane: i64, backlog: Backlog, now: Timestamp) -> rusqlite::Result<Backlog> {
    let sql = "SELECT count(*) FROM recipient WHERE state = 0 AND message IN
        (SELECT seq FROM message WHERE lane = ?1 AND state = 0 AND finished_at IS NULL)";
    let recipients: i64 = connection.prepare_cached(sql)?.query_row([lane], |row| row.get(0))?;
    let asked = lease::asked_to_wait(connection, lane)?.unwrap_or_default();
    let uploads = listing::recent_uploads(connection, lane, BackendKind::Graph, now.minus(UPLOADS))?;
    Ok(Backlog {
        recipients: recipients.cast_unsigned(),
        begins: backlog.begins.max(asked),
        sends: listing::recent_sends(connection, lane, now.minus(DAY))?,
        uploads: uploads.into_iter().map(|(at, octets, _)| (at, octets)).collect(),
        learnt: throttle::learnt(connection, lane).optional()?,
        ..backlog
    })
}
