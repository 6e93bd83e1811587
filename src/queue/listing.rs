//! What the queue shows to people: command line, page, and whoever asks over the control socket.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use serde::{Deserialize, Serialize};

use super::rows::{self, DROPPED, FAILED, LEASED, RELAYED, TAKEN};
use super::rows::{optional_json, optional_time, queue_id, time};
use super::settle::AttemptResult;
use super::{Bounce, Hold, bounces, hold};
use crate::clock::Timestamp;
use crate::mail::{BackendKind, Failure, QueueId};

/// Messages in one answer, unless the filter wants fewer.
const MAX_LISTED: u32 = 10_000;

/// Messages in one answer with their whole lives.
const MAX_LIVES: u32 = 200;

/// Where a message stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It waits for its next attempt.
    Waiting,
    /// It waits for its account to be mended.
    Held,
    /// An attempt is under way.
    Sending,
    /// The provider took it for every recipient.
    Relayed,
    /// It failed for some recipient.
    Failed,
    /// Somebody dropped it.
    Dropped,
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting",
            Self::Held => "held",
            Self::Sending => "sending",
            Self::Relayed => "relayed",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        })
    }
}

/// Which messages to list.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Of this account alone.
    pub account: Option<String>,
    /// In this state alone; `None`: all but relayed and dropped ones.
    pub state: Option<State>,
    /// Without a state: relayed and dropped ones as well.
    pub all: bool,
    /// At most so many, newest first; `None`: 10,000.
    pub limit: Option<u32>,
    /// Those accepted before this message alone: the next page of a list.
    pub before: Option<QueueId>,
    /// Those alone whose queue id, Message-ID, reverse path or a recipient has this text in it.
    pub search: Option<String>,
    /// Those alone that this client handed in.
    pub client: Option<String>,
    /// Those alone that were accepted at this time or later.
    pub since: Option<Timestamp>,
    /// Those alone that were accepted before this time.
    pub until: Option<Timestamp>,
    /// Those alone of which a report in the mailbox said later that they did not arrive.
    pub bounced: bool,
}

/// One line of the list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// The message.
    pub id: QueueId,
    /// Where it stands.
    pub state: State,
    /// The account it leaves by.
    pub account: String,
    /// The mailbox it leaves from.
    pub mailbox: String,
    /// The reverse path; `None`: `<>`.
    pub reverse_path: Option<String>,
    /// The first recipient.
    pub first_recipient: String,
    /// How many recipients there are.
    pub recipients: u32,
    /// Octets of the content.
    pub size: u64,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// When it is tried next, if it waits.
    pub next_attempt: Option<Timestamp>,
    /// Attempts so far.
    pub attempts: u32,
    /// Why it waits or failed.
    pub failure: Option<Failure>,
    /// The next step, for people.
    pub hint: Option<String>,
    /// Recipients of whom a report in the mailbox said later that it did not arrive.
    #[serde(default)]
    pub bounced: u32,
}

/// One recipient of a message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RecipientDetail {
    /// The address.
    pub address: String,
    /// `waiting`, `relayed` or `failed`.
    pub state: State,
    /// Why it waits or failed.
    pub failure: Option<Failure>,
    /// The provider's words when it took the message.
    pub receipt: Option<String>,
    /// When it came to this.
    pub at: Option<Timestamp>,
    /// What reports in the mailbox said later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bounces: Vec<Bounce>,
}

/// One attempt at a message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AttemptDetail {
    /// Its number, from 1.
    pub number: u32,
    /// When it was recorded.
    pub started_at: Timestamp,
    /// When its result was recorded; `None`: it is under way.
    pub ended_at: Option<Timestamp>,
    /// How it ended.
    pub result: Option<AttemptResult>,
}

/// Everything about one message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Detail {
    /// What the list says.
    pub summary: Summary,
    /// The client that handed it in.
    pub client: String,
    /// Its Message-ID.
    pub message_id: Option<String>,
    /// The message that it reports about.
    pub report_about: Option<QueueId>,
    /// When it was relayed to all, failed or was dropped.
    pub finished_at: Option<Timestamp>,
    /// Its recipients.
    pub recipients: Vec<RecipientDetail>,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptDetail>,
    /// The hold it waits for.
    pub hold: Option<Hold>,
}

const SUMMARY: &str = "SELECT message.*, lane.mailbox, hold.lane IS NOT NULL AS on_hold, hold.failure AS hold_failure,
    (SELECT count(*) FROM recipient WHERE message = seq) AS recipients,
    (SELECT address FROM recipient WHERE message = seq ORDER BY position LIMIT 1) AS first_recipient,
    (SELECT failure FROM recipient WHERE message = seq AND failure IS NOT NULL ORDER BY recipient.state DESC, position LIMIT 1)
        AS failure,
    (SELECT count(*) FROM bounce WHERE bounce.message = seq AND action = 'failed') AS bounced
    FROM message JOIN lane ON lane.id = message.lane LEFT JOIN hold ON hold.lane = message.lane";

/// The search goes through what is listed: ids and Message-IDs from their beginning would not need it, people do.
const MATCHES: &str = "(lower(hex(message.id)) LIKE :search ESCAPE '\\' OR message.message_id LIKE :search ESCAPE '\\'
    OR message.reverse_path LIKE :search ESCAPE '\\' OR EXISTS (SELECT 1 FROM recipient
    WHERE recipient.message = message.seq AND recipient.address LIKE :search ESCAPE '\\'))";

pub(super) fn list(connection: &Connection, filter: &Filter) -> rusqlite::Result<Vec<Summary>> {
    // Each condition stands as the indexes have it; history, however long, is not read through.
    const OUTSTANDING: &str = "SELECT seq FROM message WHERE finished_at IS NULL";
    const UNSENT: &str = "SELECT seq FROM message WHERE state > 2";
    let wanted = match filter.state {
        None if filter.all => "TRUE".to_owned(),
        None => format!("message.seq IN ({OUTSTANDING} UNION ALL {UNSENT} AND state = 3)"),
        Some(State::Waiting) => format!("message.seq IN ({OUTSTANDING} AND state = 0) AND hold.lane IS NULL"),
        Some(State::Held) => format!("message.seq IN ({OUTSTANDING} AND state = 0) AND hold.lane IS NOT NULL"),
        Some(State::Sending) => format!("message.seq IN ({OUTSTANDING} AND state = 1)"),
        Some(State::Relayed) => "state = 2".to_owned(),
        Some(State::Failed) => format!("message.seq IN ({UNSENT} AND state = 3)"),
        Some(State::Dropped) => format!("message.seq IN ({UNSENT} AND state = 4)"),
    };
    let sql = format!(
        "{SUMMARY} WHERE {wanted} AND (:account IS NULL OR message.account = :account)
         AND (:before IS NULL OR message.seq < (SELECT seq FROM message AS other WHERE other.id = :before))
         AND (:client IS NULL OR json_extract(message.route, '$.client') = :client)
         AND (:since IS NULL OR message.accepted_at >= :since) AND (:until IS NULL OR message.accepted_at < :until)
         AND (NOT :bounced OR message.seq IN (SELECT bounce.message FROM bounce))
         AND (:search IS NULL OR {MATCHES}) ORDER BY message.seq DESC LIMIT :limit"
    );
    let limit = filter.limit.unwrap_or(MAX_LISTED).min(MAX_LISTED);
    let mut statement = connection.prepare(&sql)?;
    let search = filter.search.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(pattern);
    let values = named_params! {
        ":account": filter.account,
        ":limit": limit,
        ":before": filter.before.as_ref().map(QueueId::as_bytes),
        ":search": search,
        ":client": filter.client,
        ":since": filter.since.map(Timestamp::as_millis),
        ":bounced": filter.bounced,
        ":until": filter.until.map(Timestamp::as_millis),
    };
    statement.query_map(values, summary)?.collect()
}

/// The whole lives of the messages that the filter asks for, newest first; at most [`MAX_LIVES`].
pub(super) fn history(connection: &Connection, filter: &Filter) -> rusqlite::Result<Vec<Detail>> {
    let limit = Some(filter.limit.unwrap_or(MAX_LIVES).min(MAX_LIVES));
    let found = list(connection, &Filter { all: true, limit, ..filter.clone() })?;
    found.into_iter().filter_map(|summary| show(connection, summary.id).transpose()).collect()
}

/// A text for LIKE that has no wildcards of its own.
fn pattern(text: &str) -> String {
    let plain = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{plain}%")
}

/// How many messages there are in each state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Totals {
    /// They wait for their next attempt.
    pub waiting: u64,
    /// They wait for their account to be mended.
    pub held: u64,
    /// An attempt is under way.
    pub sending: u64,
    /// They failed and wait for somebody to look at them.
    pub failed: u64,
}

pub(super) fn totals(connection: &Connection) -> rusqlite::Result<Totals> {
    let count = |sql: &str| connection.prepare_cached(sql)?.query_row([], |row| row.get::<_, i64>(0));
    let outstanding = |state: &str| {
        let sql = "SELECT count(*) FROM message LEFT JOIN hold ON hold.lane = message.lane WHERE finished_at IS NULL";
        count(&format!("{sql} AND {state}"))
    };
    Ok(Totals {
        waiting: outstanding("state = 0 AND hold.lane IS NULL")?.cast_unsigned(),
        held: outstanding("state = 0 AND hold.lane IS NOT NULL")?.cast_unsigned(),
        sending: outstanding("state = 1")?.cast_unsigned(),
        failed: count("SELECT count(*) FROM message WHERE state > 2 AND state = 3")?.cast_unsigned(),
    })
}

/// When the oldest message was accepted that has not come to its end. Messages were accepted in the order of rows.
pub(super) fn oldest(connection: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let sql = "SELECT accepted_at FROM message WHERE seq = (SELECT min(seq) FROM message WHERE finished_at IS NULL)";
    connection.prepare_cached(sql)?.query_row([], |row| time(row, "accepted_at")).optional()
}

fn summary(row: &Row<'_>) -> rusqlite::Result<Summary> {
    let state = state(row.get("state")?, row.get("on_hold")?);
    let account: String = row.get("account")?;
    let failure = match state {
        State::Held => optional_json(row, "hold_failure")?,
        State::Waiting | State::Sending | State::Failed | State::Dropped => optional_json(row, "failure")?,
        State::Relayed => None,
    };
    let hint = failure.as_ref().map(|failure: &Failure| failure.reason.hint(&account));
    Ok(Summary {
        id: queue_id(row, "id")?,
        state,
        account,
        mailbox: row.get("mailbox")?,
        reverse_path: row.get("reverse_path")?,
        first_recipient: row.get::<_, Option<String>>("first_recipient")?.unwrap_or_default(),
        recipients: row.get("recipients")?,
        size: row.get::<_, i64>("size")?.cast_unsigned(),
        accepted_at: time(row, "accepted_at")?,
        next_attempt: if state == State::Waiting { Some(next_attempt(row)?) } else { None },
        attempts: row.get("attempts")?,
        failure,
        hint,
        bounced: row.get("bounced")?,
    })
}

/// Not before it is due, and not before the remote allowed.
fn next_attempt(row: &Row<'_>) -> rusqlite::Result<Timestamp> {
    Ok(time(row, "next_attempt")?.max(time(row, "not_before")?))
}

fn state(column: i64, on_hold: bool) -> State {
    match column {
        LEASED => State::Sending,
        RELAYED => State::Relayed,
        FAILED => State::Failed,
        DROPPED => State::Dropped,
        _ if on_hold => State::Held,
        _ => State::Waiting,
    }
}

pub(super) fn show(connection: &Connection, id: QueueId) -> rusqlite::Result<Option<Detail>> {
    let read = |row: &Row<'_>| {
        let seq: i64 = row.get("seq")?;
        let about: Option<Vec<u8>> = row.get("report_about")?;
        let route: serde_json::Value = rows::from_json(row, "route")?;
        let detail = Detail {
            summary: summary(row)?,
            client: route.get("client").and_then(|client| client.as_str()).unwrap_or_default().to_owned(),
            message_id: row.get("message_id")?,
            report_about: about.as_deref().and_then(QueueId::from_slice),
            finished_at: optional_time(row, "finished_at")?,
            recipients: Vec::new(),
            attempts: Vec::new(),
            hold: None,
        };
        Ok((seq, row.get("lane")?, detail))
    };
    let found: Option<(i64, i64, Detail)> =
        connection.prepare(&format!("{SUMMARY} WHERE message.id = ?1"))?.query_row([id.as_bytes()], read).optional()?;
    let Some((seq, lane, mut detail)) = found else { return Ok(None) };
    detail.recipients = recipients(connection, seq)?;
    detail.attempts = attempts(connection, seq)?;
    if detail.summary.state == State::Held {
        detail.hold = hold::of_lane(connection, lane)?;
    }
    Ok(Some(detail))
}

fn recipients(connection: &Connection, seq: i64) -> rusqlite::Result<Vec<RecipientDetail>> {
    let mut bounces = bounces::of_message(connection, seq)?;
    let read = |row: &Row<'_>| {
        let state = match row.get("state")? {
            rows::OUTSTANDING => State::Waiting,
            TAKEN => State::Relayed,
            _ => State::Failed,
        };
        Ok(RecipientDetail {
            address: row.get("address")?,
            state,
            failure: optional_json(row, "failure")?,
            receipt: row.get("receipt")?,
            at: optional_time(row, "at")?,
            bounces: bounces.remove(&row.get("position")?).unwrap_or_default(),
        })
    };
    connection
        .prepare("SELECT * FROM recipient WHERE message = ?1 ORDER BY position")?
        .query_map([seq], read)?
        .collect()
}

fn attempts(connection: &Connection, seq: i64) -> rusqlite::Result<Vec<AttemptDetail>> {
    let read = |row: &Row<'_>| {
        Ok(AttemptDetail {
            number: row.get("number")?,
            started_at: time(row, "started_at")?,
            ended_at: optional_time(row, "ended_at")?,
            result: optional_json(row, "result")?,
        })
    };
    connection.prepare("SELECT * FROM attempt WHERE message = ?1 ORDER BY number")?.query_map([seq], read)?.collect()
}

/// When messages of a lane were sent, and to how many recipients.
pub(super) fn recent_sends(
    connection: &Connection,
    lane: i64,
    since: Timestamp,
) -> rusqlite::Result<Vec<(Timestamp, u32)>> {
    let sql =
        "SELECT started_at, sent FROM attempt WHERE lane = ?1 AND started_at >= ?2 AND sent > 0 ORDER BY started_at";
    let read = |row: &Row<'_>| Ok((time(row, "started_at")?, row.get("sent")?));
    connection.prepare_cached(sql)?.query_map((lane, since.as_millis()), read)?.collect()
}

/// When messages of a lane were sent by a way, their octets and recipients.
pub(super) fn recent_uploads(
    connection: &Connection,
    lane: i64,
    way: BackendKind,
    since: Timestamp,
) -> rusqlite::Result<Vec<(Timestamp, u64, u32)>> {
    // An attempt that a crash cut off has no way.
    let sql = "SELECT started_at, sent, size FROM attempt JOIN message ON message.seq = attempt.message
        WHERE attempt.lane = ?1 AND started_at >= ?2 AND sent > 0
            AND coalesce(json_extract(result, '$.backend'), ?3) = ?3 ORDER BY started_at";
    let read = |row: &Row<'_>| {
        Ok((time(row, "started_at")?, row.get::<_, i64>("size")?.cast_unsigned(), row.get::<_, u32>("sent")?))
    };
    connection.prepare_cached(sql)?.query_map((lane, since.as_millis(), way.name()), read)?.collect()
}

/// The content of a message that is in the database.
pub(super) fn content(connection: &Connection, seq: i64) -> rusqlite::Result<Option<Arc<[u8]>>> {
    let sql = "SELECT content FROM body WHERE message = ?1 AND content IS NOT NULL";
    let read = |row: &Row<'_>| Ok(row.get_ref("content")?.as_blob()?.into());
    connection.prepare_cached(sql)?.query_row([seq], read).optional()
}
