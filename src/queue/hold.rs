//! Holds: a mailbox in trouble keeps its mail without using attempts, until somebody mends the account, releases it,
//! or a probe goes through.

use rusqlite::{Connection, OptionalExtension, Row};
use serde::{Deserialize, Serialize};

use super::rows::{from_json, json, optional_time, time};
use super::{MailboxKey, retry};
use crate::clock::Timestamp;
use crate::mail::{Address, Failure, Outcome, QueueId, Reason};

/// A mailbox whose mail waits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hold {
    /// The mailbox.
    pub key: MailboxKey,
    /// The account that is in trouble.
    pub account: String,
    /// Why it is held.
    pub failure: Failure,
    /// Since when.
    pub since: Timestamp,
    /// When one message will be tried; `None`: not before somebody mends the account.
    pub next_probe: Option<Timestamp>,
    /// The next step, for people.
    pub hint: String,
}

/// What to release.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selector {
    /// Everything that is held for an account.
    Account(String),
    /// A mailbox, at whatever provider.
    Mailbox(Address),
    /// The mailbox of a message.
    Message(QueueId),
    /// Every hold.
    All,
}

/// Whether a held mailbox is probed. A grant that is lost comes back by a sign-in alone, which ends the hold. An app's
/// secret, certificate or permission may be mended at the provider, of which nobody tells.
pub const fn is_probed(reason: Reason) -> bool {
    !matches!(reason, Reason::SignInNeeded | Reason::HeldByHand)
}

/// When the next probe is due after `probes` earlier ones.
pub(super) fn next_probe(failure: &Failure, probes: u32, now: Timestamp) -> Option<Timestamp> {
    let wait = retry::wait_before_probe(probes).max(failure.retry_after.unwrap_or_default());
    is_probed(failure.reason).then(|| now.plus(wait))
}

/// Whether the outcome of a probe shows that the mailbox works again: the provider took the message, or judged it.
pub(super) fn shows_health(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Relayed(_) => true,
        Outcome::Failed(failure) => matches!(
            failure.reason,
            Reason::SenderRefused | Reason::RecipientRefused | Reason::ContentRefused | Reason::Rejected
        ),
        Outcome::Deferred(_) | Outcome::Held(_) | Outcome::Unknown(_) => false,
    }
}

/// The hold of a lane as leasing sees it.
pub(super) struct Gate {
    pub(super) next_probe: Option<Timestamp>,
    pub(super) probes: u32,
    pub(super) probing: bool,
    pub(super) failure: Failure,
    by_hand: bool,
}

/// A hold that began or was renewed.
pub(super) struct Begun {
    pub(super) next_probe: Option<Timestamp>,
    /// The mailbox was not held before.
    pub(super) fresh: bool,
}

/// What ends a hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// The trouble is over, which is no reason to end a hold by hand.
    Mended,
    /// Somebody wants it.
    Released,
}

impl Gate {
    /// Whether a message may go as a probe now.
    pub(super) fn is_probe_due(&self, now: Timestamp) -> bool {
        !self.probing && self.next_probe.is_some_and(|at| at <= now)
    }
}

pub(super) fn gate(connection: &Connection, lane: i64) -> rusqlite::Result<Option<Gate>> {
    let sql = "SELECT next_probe, probes, probing, failure, by_hand FROM hold WHERE lane = ?1";
    let read = |row: &Row<'_>| {
        Ok(Gate {
            next_probe: optional_time(row, "next_probe")?,
            probes: row.get("probes")?,
            probing: row.get::<_, Option<i64>>("probing")?.is_some(),
            failure: from_json(row, "failure")?,
            by_hand: row.get("by_hand")?,
        })
    };
    connection.prepare_cached(sql)?.query_row([lane], read).optional()
}

/// Notes that message `seq` probes the lane.
pub(super) fn probe(connection: &Connection, lane: i64, seq: i64, gate: &Gate, now: Timestamp) -> rusqlite::Result<()> {
    let next = next_probe(&gate.failure, gate.probes + 1, now).map(Timestamp::as_millis);
    let sql = "UPDATE hold SET probing = ?2, probes = probes + 1, next_probe = ?3 WHERE lane = ?1";
    connection.prepare_cached(sql)?.execute((lane, seq, next))?;
    Ok(())
}

/// Makes the probe of every hold due now, but for those by hand. Returns the mailboxes.
pub(super) fn probe_now(connection: &Connection, now: Timestamp) -> rusqlite::Result<Vec<MailboxKey>> {
    connection.prepare_cached("UPDATE hold SET next_probe = ?1 WHERE by_hand = 0")?.execute([now.as_millis()])?;
    let sql = "SELECT lane.provider, lane.mailbox FROM hold JOIN lane ON lane.id = hold.lane WHERE by_hand = 0";
    connection.prepare_cached(sql)?.query_map([], key)?.collect()
}

/// Message `seq` probes no longer.
pub(super) fn probed(connection: &Connection, lane: i64, seq: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE hold SET probing = NULL WHERE lane = ?1 AND probing = ?2";
    connection.prepare_cached(sql)?.execute((lane, seq))?;
    Ok(())
}

/// Puts the lane on hold, or renews the cause of its hold. `releases` is what the lease saw: if the lane was released
/// since, the failure is old news and nothing happens; neither does it to a hold by hand.
pub(super) fn begin(
    connection: &Connection,
    (lane, releases): (i64, i64),
    account: &str,
    failure: &Failure,
    now: Timestamp,
) -> rusqlite::Result<Option<Begun>> {
    let current: i64 =
        connection.prepare_cached("SELECT releases FROM lane WHERE id = ?1")?.query_row([lane], |row| row.get(0))?;
    if current != releases {
        return Ok(None);
    }
    let gate = gate(connection, lane)?;
    let fresh = gate.is_none();
    let next = match gate {
        Some(Gate { by_hand: true, .. }) => return Ok(None),
        // Several attempts that were under way fail alike: they do not put the probe off.
        Some(Gate { next_probe: Some(next), .. }) if is_probed(failure.reason) => Some(next),
        Some(Gate { probes, .. }) => next_probe(failure, probes, now),
        None => next_probe(failure, 0, now),
    };
    let sql = "INSERT INTO hold (lane, account, failure, since, next_probe) VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (lane) DO UPDATE SET account = ?2, failure = ?3, next_probe = ?5";
    connection.prepare_cached(sql)?.execute((
        lane,
        account,
        json(failure)?,
        now.as_millis(),
        next.map(Timestamp::as_millis),
    ))?;
    Ok(Some(Begun { next_probe: next, fresh }))
}

/// Puts a lane on hold by hand, whatever state it is in.
pub(super) fn by_hand(
    connection: &Connection,
    lane: i64,
    account: &str,
    why: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO hold (lane, account, failure, since, by_hand) VALUES (?1, ?2, ?3, ?4, 1)
        ON CONFLICT (lane) DO UPDATE SET account = ?2, failure = ?3, next_probe = NULL, by_hand = 1";
    let failure = json(&Failure::new(Reason::HeldByHand, why))?;
    connection.prepare_cached(sql)?.execute((lane, account, failure, now.as_millis()))?;
    Ok(())
}

/// Ends the hold of a lane: its time is booked, and what waits is due now, unless the provider asked for later.
/// Returns the account that was held, if the lane was.
pub(super) fn end(connection: &Connection, lane: i64, by: End, now: Timestamp) -> rusqlite::Result<Option<String>> {
    let sql = "DELETE FROM hold WHERE lane = ?1 AND (by_hand = 0 OR ?2) RETURNING account, since";
    let read = |row: &Row<'_>| Ok((row.get::<_, String>("account")?, time(row, "since")?));
    let Some((account, since)) =
        connection.prepare_cached(sql)?.query_row((lane, by == End::Released), read).optional()?
    else {
        return Ok(None);
    };
    let held = i64::try_from(now.since(since).as_millis()).unwrap_or(i64::MAX);
    let book = "UPDATE lane SET held = held + ?2, releases = releases + 1 WHERE id = ?1";
    connection.prepare_cached(book)?.execute((lane, held))?;
    let due = "UPDATE message SET next_attempt = max(?2, not_before)
        WHERE lane = ?1 AND state = 0 AND finished_at IS NULL AND next_attempt > ?2";
    connection.prepare_cached(due)?.execute((lane, now.as_millis()))?;
    Ok(Some(account))
}

/// Ends the holds that `selector` names. Returns the mailboxes with their accounts.
pub(super) fn release(
    connection: &Connection,
    selector: &Selector,
    by: End,
    now: Timestamp,
) -> rusqlite::Result<Vec<(MailboxKey, String)>> {
    let mut released = Vec::new();
    for (lane, key) in selected(connection, selector)? {
        if let Some(account) = end(connection, lane, by, now)? {
            released.push((key, account));
        }
    }
    Ok(released)
}

fn selected(connection: &Connection, selector: &Selector) -> rusqlite::Result<Vec<(i64, MailboxKey)>> {
    let all = "SELECT lane.id, lane.provider, lane.mailbox FROM hold JOIN lane ON lane.id = hold.lane";
    let read = |row: &Row<'_>| Ok((row.get("id")?, key(row)?));
    let (condition, value): (&str, rusqlite::types::Value) = match selector {
        Selector::Account(account) => (" WHERE hold.account = ?1", account.clone().into()),
        Selector::Mailbox(mailbox) => (" WHERE lane.mailbox = ?1", mailbox.key().into()),
        Selector::Message(id) => {
            (" WHERE lane.id = (SELECT lane FROM message WHERE id = ?1)", id.as_bytes().to_vec().into())
        }
        Selector::All => (" WHERE ?1 IS NULL", rusqlite::types::Value::Null),
    };
    connection.prepare_cached(&format!("{all}{condition}"))?.query_map([value], read)?.collect()
}

fn key(row: &Row<'_>) -> rusqlite::Result<MailboxKey> {
    Ok(MailboxKey { provider: row.get("provider")?, mailbox: row.get("mailbox")? })
}

/// All holds, oldest first.
pub(super) fn list(connection: &Connection) -> rusqlite::Result<Vec<Hold>> {
    let sql = "SELECT lane.provider, lane.mailbox, hold.account, hold.failure, hold.since, hold.next_probe
        FROM hold JOIN lane ON lane.id = hold.lane ORDER BY hold.since, lane.id";
    connection.prepare_cached(sql)?.query_map([], read)?.collect()
}

/// The hold of a lane.
pub(super) fn of_lane(connection: &Connection, lane: i64) -> rusqlite::Result<Option<Hold>> {
    let sql = "SELECT lane.provider, lane.mailbox, hold.account, hold.failure, hold.since, hold.next_probe
        FROM hold JOIN lane ON lane.id = hold.lane WHERE lane.id = ?1";
    connection.prepare_cached(sql)?.query_row([lane], read).optional()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Hold> {
    let (account, failure): (String, Failure) = (row.get("account")?, from_json(row, "failure")?);
    let hint = failure.reason.hint(&account);
    Ok(Hold {
        key: key(row)?,
        account,
        failure,
        since: time(row, "since")?,
        next_probe: optional_time(row, "next_probe")?,
        hint,
    })
}
