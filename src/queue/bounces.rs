//! What mailboxes say later of messages that were relayed: lines of history, and nothing else. Whoever knows the
//! Message-ID of a message can write such a report, so none of them changes what becomes of a message, and each recipient
//! has one line for each kind however many reports come.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};

use super::inner::Inner;
use super::rows::{damaged, queue_id, time};
use super::{MailboxKey, QueueError};
use crate::clock::Timestamp;
use crate::mail::dsn::{BounceAction, BounceReport, Bounced};
use crate::mail::failure::one_line;
use crate::mail::{Address, EnhancedStatusCode, Event, QueueId};

/// How long after its acceptance a message may be reported; servers give up within days (RFC 5321 section 4.5.4.1).
const LATEST: Duration = Duration::from_hours(14 * 24);
/// How far the provider's clock may be behind ours.
const CLOCKS_APART: Duration = Duration::from_secs(300);

/// A report that lies in a mailbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoundReport {
    /// What it says.
    pub report: BounceReport,
    /// When it came there.
    pub at: Timestamp,
}

/// What a report said of a recipient.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Bounce {
    /// What became of the message.
    pub action: BounceAction,
    /// The enhanced status code.
    pub status: Option<EnhancedStatusCode>,
    /// The words of the server that refused it.
    pub words: String,
    /// Whom it was to be delivered to in the end, if that is another address.
    pub address: Option<String>,
    /// When the report came.
    pub at: Timestamp,
}

/// Status and words.
impl std::fmt::Display for Bounce {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.action.word())?;
        if let Some(address) = &self.address {
            write!(f, " for <{address}>")?;
        }
        // Most servers begin with their code.
        match self.status.filter(|status| !self.words.contains(&status.to_string())) {
            Some(status) if self.words.is_empty() => write!(f, ": {status}"),
            Some(status) => write!(f, ": {status} {}", self.words),
            None if self.words.is_empty() => Ok(()),
            None => write!(f, ": {}", self.words),
        }
    }
}

/// A report that belongs to a message.
struct Match {
    seq: i64,
    id: QueueId,
    account: String,
    at: Timestamp,
    lines: Vec<(i64, String, Bounced)>,
}

/// How far the mailbox has been looked through, in the words of whoever looks.
pub(super) fn place(connection: &Connection, key: &MailboxKey) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT place FROM inbox WHERE provider = ?1 AND mailbox = ?2";
    connection.prepare_cached(sql)?.query_row((&key.provider, &key.mailbox), |row| row.get(0)).optional()
}

impl Inner {
    /// See [`super::Queue::record_bounces`].
    pub(super) async fn record_bounces(
        &self,
        key: MailboxKey,
        found: Vec<FoundReport>,
        place: String,
    ) -> Result<usize, QueueError> {
        let of = key.clone();
        let matches = if found.is_empty() {
            Vec::new()
        } else {
            // Reading, because history may be long and accepting must not wait for it.
            self.store.read(move |connection| find(connection, &of, &found)).await?
        };
        let events = self.store.write(move |connection| write(connection, &key, &matches, &place)).await?;
        for event in &events {
            self.observer.observe(event);
        }
        Ok(events.len())
    }
}

/// The messages that reports are about. The newest come first, since most reports come soon: the search ends with the
/// last report that is placed.
fn find(connection: &Connection, key: &MailboxKey, found: &[FoundReport]) -> rusqlite::Result<Vec<Match>> {
    let mut open: HashSet<usize> = HashSet::new();
    let mut wanted: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, FoundReport { report, .. }) in found.iter().enumerate() {
        if is_ours(connection, report)? {
            continue;
        }
        open.insert(index);
        for id in &report.message_ids {
            wanted.entry(id).or_default().push(index);
        }
    }
    let known = "SELECT id FROM lane WHERE provider = ?1 AND mailbox = ?2";
    let known: Option<i64> =
        connection.prepare_cached(known)?.query_row((&key.provider, &key.mailbox), |row| row.get(0)).optional()?;
    let Some(lane) = known else { return Ok(Vec::new()) };
    let sql = "SELECT seq, id, account, message_id, accepted_at FROM message
        WHERE lane = ?1 AND attempts > 0 AND message_id IS NOT NULL ORDER BY seq DESC";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([lane])?;
    let mut matches = Vec::new();
    let oldest = found.iter().map(|found| found.at).min().unwrap_or_default().minus(LATEST);
    while !open.is_empty()
        && let Some(row) = rows.next()?
    {
        if time(row, "accepted_at")? < oldest {
            break;
        }
        let Some(candidates) = wanted.get(row.get_ref("message_id")?.as_str()?) else { continue };
        let accepted = time(row, "accepted_at")?;
        for index in candidates.iter().filter(|index| open.contains(*index)).copied().collect::<Vec<_>>() {
            let FoundReport { report, at } = &found[index];
            let lines = if accepted <= at.plus(CLOCKS_APART) { lines(connection, row, report)? } else { Vec::new() };
            if !lines.is_empty() {
                open.remove(&index);
                matches.push(one(row, lines, *at)?);
            }
        }
    }
    // Reports in the order they came.
    matches.sort_by_key(|found| found.at);
    Ok(matches)
}

/// Whether this queue sent it: then history has what it says, and what became of the message afterwards. Another
/// gateway's report names a message that is not here.
fn is_ours(connection: &Connection, report: &BounceReport) -> rusqlite::Result<bool> {
    let Some(about) = report.about else { return Ok(false) };
    connection.prepare_cached("SELECT 1 FROM message WHERE id = ?1")?.exists([about.as_bytes()])
}

fn one(row: &Row<'_>, lines: Vec<(i64, String, Bounced)>, at: Timestamp) -> rusqlite::Result<Match> {
    Ok(Match { seq: row.get("seq")?, id: queue_id(row, "id")?, account: row.get("account")?, at, lines })
}

/// What the report says of the message's own recipients. What is said of the only recipient of a message may be said
/// under another name: the address that its mail is passed on to.
fn lines(
    connection: &Connection,
    row: &Row<'_>,
    report: &BounceReport,
) -> rusqlite::Result<Vec<(i64, String, Bounced)>> {
    let seq: i64 = row.get("seq")?;
    let sql = "SELECT position, address FROM recipient WHERE message = ?1 ORDER BY position";
    let recipients: Vec<(i64, String)> = connection
        .prepare_cached(sql)?
        .query_map([seq], |row| Ok((row.get("position")?, row.get("address")?)))?
        .collect::<Result<_, _>>()?;
    if let ([(position, address)], [only]) = (&recipients[..], &report.recipients[..]) {
        return Ok(vec![(*position, address.clone(), only.clone())]);
    }
    let mut by_key: HashMap<String, (i64, String)> = HashMap::new();
    for (position, text) in recipients {
        if let Ok(address) = text.parse::<Address>() {
            by_key.entry(address.key()).or_insert((position, text));
        }
    }
    let names = |bounced: &Bounced| [bounced.original.clone(), bounced.address.clone()];
    let own =
        |bounced: &Bounced| names(bounced).into_iter().flatten().find_map(|name| by_key.get(&name.key()).cloned());
    let found = report.recipients.iter().filter_map(|bounced| {
        let (position, address) = own(bounced)?;
        Some((position, address, bounced.clone()))
    });
    Ok(found.collect())
}

/// Writes the lines that are new, and how far the mailbox has been looked through. Gives what is new.
fn write(connection: &Connection, key: &MailboxKey, matches: &[Match], place: &str) -> rusqlite::Result<Vec<Event>> {
    let mut events = Vec::new();
    for Match { seq, id, account, at, lines } in matches {
        for (position, recipient, bounced) in lines {
            let line = (*seq, *id, *position);
            if insert(connection, line, (recipient, bounced), *at)? {
                events.push(Event::Bounced {
                    id: *id,
                    account: account.clone(),
                    recipient: recipient.clone(),
                    action: bounced.action,
                    status: bounced.status,
                    words: bounced.words.clone(),
                });
            }
        }
    }
    let sql = "INSERT OR REPLACE INTO inbox (provider, mailbox, place) VALUES (?1, ?2, ?3)";
    connection.prepare_cached(sql)?.execute((&key.provider, &key.mailbox, place))?;
    Ok(events)
}

/// `false`: history has such a line already, or has forgotten the message meanwhile.
fn insert(
    connection: &Connection,
    (seq, id, position): (i64, QueueId, i64),
    (recipient, bounced): (&str, &Bounced),
    at: Timestamp,
) -> rusqlite::Result<bool> {
    let sql = "INSERT OR IGNORE INTO bounce (message, position, action, status, words, address, at)
        SELECT seq, ?3, ?4, ?5, ?6, ?7, ?8 FROM message WHERE seq = ?1 AND id = ?2";
    let other = bounced.address.as_ref().map(ToString::to_string).filter(|text| !text.eq_ignore_ascii_case(recipient));
    let status = bounced.status.map(|status| status.to_string());
    let (action, words) = (bounced.action.word(), one_line(&bounced.words));
    let values = (seq, id.as_bytes(), position, action, status, words, other, at.as_millis());
    Ok(connection.prepare_cached(sql)?.execute(values)? == 1)
}

/// What reports said of a message, by the position of the recipient.
pub(super) fn of_message(connection: &Connection, seq: i64) -> rusqlite::Result<HashMap<i64, Vec<Bounce>>> {
    let sql = "SELECT * FROM bounce WHERE message = ?1 ORDER BY position, at";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([seq])?;
    let mut bounces: HashMap<i64, Vec<Bounce>> = HashMap::new();
    while let Some(row) = rows.next()? {
        bounces.entry(row.get("position")?).or_default().push(bounce(row)?);
    }
    Ok(bounces)
}

fn bounce(row: &Row<'_>) -> rusqlite::Result<Bounce> {
    let word = row.get_ref("action")?.as_str()?;
    let action = BounceAction::of_word(word).ok_or_else(|| damaged(format!("there is no action `{word}`")))?;
    let status = row.get_ref("status")?.as_str_or_null()?.and_then(|status| status.parse().ok());
    Ok(Bounce { action, status, words: row.get("words")?, address: row.get("address")?, at: time(row, "at")? })
}
