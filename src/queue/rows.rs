//! Values as columns, and the statement that makes a message.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, named_params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::spool::{Checksum, Content, ContentKind};
use super::{MailboxKey, NewMessage, Route};
use crate::clock::Timestamp;
use crate::mail::{BodyType, QueueId};

/// `message.state`.
pub(super) const WAITING: i64 = 0;
pub(super) const LEASED: i64 = 1;
pub(super) const RELAYED: i64 = 2;
pub(super) const FAILED: i64 = 3;
pub(super) const DROPPED: i64 = 4;

/// `recipient.state`.
pub(super) const OUTSTANDING: i64 = 0;
pub(super) const TAKEN: i64 = 1;
pub(super) const REFUSED: i64 = 2;

/// A value as JSON, for what the queue keeps but never asks about.
pub(super) fn json<T: Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// A JSON column.
pub(super) fn from_json<T: DeserializeOwned>(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<T> {
    decode(row.get_ref(column)?.as_str()?)
}

/// A JSON column that may be empty.
pub(super) fn optional_json<T: DeserializeOwned>(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<Option<T>> {
    row.get_ref(column)?.as_str_or_null()?.map(decode).transpose()
}

fn decode<T: DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(damaged)
}

/// A column that does not hold what it must.
pub(super) fn damaged(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, error.into())
}

/// A column that must parse, such as an address.
pub(super) fn parsed<T>(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<T>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    row.get_ref(column)?.as_str()?.parse().map_err(|error: T::Err| damaged(error))
}

/// A queue id column.
pub(super) fn queue_id(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<QueueId> {
    QueueId::from_slice(row.get_ref(column)?.as_blob()?).ok_or_else(|| damaged("not a queue id"))
}

/// A time column.
pub(super) fn time(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_millis)
}

/// A time column that may be empty.
pub(super) fn optional_time(row: &rusqlite::Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    row.get::<_, Option<i64>>(column).map(|millis| millis.map(Timestamp::from_millis))
}

/// The row of a mailbox, made if it is not there.
pub(super) fn lane(connection: &Connection, key: &MailboxKey) -> rusqlite::Result<i64> {
    let known = "SELECT id FROM lane WHERE provider = ?1 AND mailbox = ?2";
    let row =
        connection.prepare_cached(known)?.query_row((&key.provider, &key.mailbox), |row| row.get(0)).optional()?;
    if let Some(row) = row {
        return Ok(row);
    }
    let fresh = "INSERT INTO lane (provider, mailbox) VALUES (?1, ?2)";
    connection.prepare_cached(fresh)?.insert((&key.provider, &key.mailbox))
}

/// Hold time of the lane up to now, in milliseconds, the present hold included.
pub(super) const HELD_SO_FAR: &str = "(SELECT lane.held + coalesce((SELECT max(0, :now - hold.since) FROM hold \
     WHERE hold.lane = lane.id), 0) FROM lane WHERE lane.id = :lane)";

const fn kind_number(kind: ContentKind) -> i64 {
    match kind {
        ContentKind::Mime => 0,
        ContentKind::Microsoft => 1,
    }
}

/// What the content of a message is.
pub(super) fn kind(row: &rusqlite::Row<'_>) -> rusqlite::Result<ContentKind> {
    match row.get("kind")? {
        0_i64 => Ok(ContentKind::Mime),
        1 => Ok(ContentKind::Microsoft),
        other => Err(damaged(format!("there is no kind {other} of content"))),
    }
}

/// A message that is ready to become rows: everything a job needs, without what stays outside.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: QueueId,
    pub(super) key: MailboxKey,
    route: Route,
    reverse_path: Option<String>,
    recipients: Vec<(String, Option<String>)>,
    wishes: Option<String>,
    eight_bit: bool,
    smtputf8: bool,
    prefix: Vec<u8>,
    size: u64,
    pub(super) content: Content,
    kind: ContentKind,
    pub(super) checksum: Checksum,
    message_id: Option<String>,
    report_about: Option<QueueId>,
}

impl Row {
    pub(super) fn new(message: &NewMessage) -> Self {
        let envelope = &message.envelope;
        Self {
            id: message.id,
            key: message.route.key(),
            route: message.route.clone(),
            reverse_path: envelope.reverse_path().address().map(ToString::to_string),
            recipients: envelope.recipients().iter().map(|to| (to.address.to_string(), wishes(&to.wishes))).collect(),
            wishes: wishes(&envelope.wishes),
            eight_bit: envelope.body == BodyType::EightBitMime,
            smtputf8: envelope.smtputf8,
            prefix: message.prefix.clone(),
            size: message.body.size(),
            content: message.body.content(),
            kind: message.body.kind(),
            checksum: message.body.checksum(&message.prefix),
            message_id: message.message_id.clone(),
            report_about: message.report_about,
        }
    }

    /// Makes the message; due at once. Returns the row of its lane.
    pub(super) fn insert(&self, connection: &Connection, now: Timestamp) -> rusqlite::Result<i64> {
        let lane = lane(connection, &self.key)?;
        self.insert_as(connection, lane, WAITING, now)?;
        Ok(lane)
    }

    /// Makes the message in this state. Returns its row.
    pub(super) fn insert_as(
        &self,
        connection: &Connection,
        lane: i64,
        state: i64,
        now: Timestamp,
    ) -> rusqlite::Result<i64> {
        let (octets, spool) = match &self.content {
            Content::Memory(octets) => (Some(&**octets), None),
            Content::File(name) => (None, Some(name)),
            Content::Stored => return Err(damaged("the content of a new message is with another one")),
        };
        let seq = connection.prepare_cached(&insert_message())?.insert(named_params! {
            ":id": self.id.as_bytes(),
            ":lane": lane,
            ":state": state,
            ":account": self.route.account,
            ":client": client_column(&self.route.client),
            ":route": json(&self.route)?,
            ":reverse_path": self.reverse_path,
            ":eight_bit": self.eight_bit,
            ":smtputf8": self.smtputf8,
            ":size": self.size.cast_signed(),
            ":spool": spool,
            ":kind": kind_number(self.kind),
            ":message_id": self.message_id,
            ":wishes": self.wishes,
            ":report_about": self.report_about.as_ref().map(QueueId::as_bytes),
            ":now": now.as_millis(),
        })?;
        let body = "INSERT INTO body (message, prefix, content, checksum) VALUES (?1, ?2, ?3, ?4)";
        connection.prepare_cached(body)?.insert((seq, &self.prefix, octets, self.checksum))?;
        let mut recipient = connection
            .prepare_cached("INSERT INTO recipient (message, position, address, wishes) VALUES (?1, ?2, ?3, ?4)")?;
        for (position, (address, wishes)) in (0_i64..).zip(&self.recipients) {
            recipient.execute((seq, position, address, wishes))?;
        }
        Ok(seq)
    }
}

/// What was asked for about reports, as a column; nearly nobody asks for anything.
fn wishes<T: Serialize + Default + PartialEq>(wishes: &T) -> Option<String> {
    // Words and short texts become JSON without fail.
    if *wishes == T::default() { None } else { serde_json::to_string(wishes).ok() }
}

/// The name that a client's mail is found by; it is never empty.
fn client_column(name: &str) -> &str {
    if name.is_empty() { "?" } else { name }
}

/// A leased message has one attempt, which the same transaction records.
fn insert_message() -> String {
    format!(
        "INSERT INTO message (id, lane, state, attempts, account, client, route, reverse_path, eight_bit, smtputf8, size, spool, \
         kind, message_id, wishes, report_about, accepted_at, expiry_from, held_before, next_attempt) VALUES (:id, :lane, :state, \
         :state = {LEASED}, :account, :client, :route, :reverse_path, :eight_bit, :smtputf8, :size, :spool, :kind, :message_id, :wishes, \
         :report_about, :now, :now, {HELD_SO_FAR}, :now)"
    )
}
