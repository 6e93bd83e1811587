//! What people do to single messages, and what time does to old ones.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::rows::{DROPPED, FAILED, HELD_SO_FAR, LEASED, OUTSTANDING, REFUSED, RELAYED, WAITING};
use super::rows::{optional_time, time};
use super::settle::forget_content;
use super::{MailboxKey, QueueError};
use crate::clock::Timestamp;
use crate::mail::QueueId;

/// Old messages that are removed in one transaction.
const PURGE_BATCH: usize = 500;

struct Found {
    seq: i64,
    lane: i64,
    state: i64,
    spool: Option<String>,
    has_content: bool,
    key: MailboxKey,
}

fn find(connection: &Connection, id: QueueId) -> rusqlite::Result<Option<Found>> {
    let sql = "SELECT seq, lane, state, spool, provider, mailbox,
        EXISTS (SELECT 1 FROM body WHERE body.message = seq) AS has_content
        FROM message JOIN lane ON lane.id = message.lane WHERE message.id = ?1";
    let read = |row: &Row<'_>| {
        Ok(Found {
            seq: row.get("seq")?,
            lane: row.get("lane")?,
            state: row.get("state")?,
            spool: row.get("spool")?,
            has_content: row.get("has_content")?,
            key: MailboxKey { provider: row.get("provider")?, mailbox: row.get("mailbox")? },
        })
    };
    connection.prepare_cached(sql)?.query_row([id.as_bytes()], read).optional()
}

/// Makes a message due now; the waits that its mailbox and its ways were asked for end. Recipients that failed are
/// tried again, and its time begins anew.
pub(super) fn retry(
    connection: &Connection,
    id: QueueId,
    now: Timestamp,
) -> rusqlite::Result<Result<(MailboxKey, i64), QueueError>> {
    let Some(found) = find(connection, id)? else { return Ok(Err(QueueError::NoSuchMessage(id))) };
    match found.state {
        LEASED => return Ok(Err(QueueError::InFlight(id))),
        WAITING => {
            let sql = "UPDATE message SET next_attempt = ?2 WHERE seq = ?1";
            connection.prepare_cached(sql)?.execute((found.seq, now.as_millis()))?;
        }
        FAILED if found.has_content => {
            let sql = "UPDATE recipient SET state = ?3 WHERE message = ?1 AND state = ?2";
            connection.prepare_cached(sql)?.execute((found.seq, REFUSED, OUTSTANDING))?;
            let sql = format!(
                "UPDATE message SET state = 0, next_attempt = :now, expiry_from = :now, finished_at = NULL, \
                 held_before = {HELD_SO_FAR} WHERE seq = :seq"
            );
            connection
                .prepare_cached(&sql)?
                .execute(named_params! { ":seq": found.seq, ":lane": found.lane, ":now": now.as_millis() })?;
        }
        _ => return Ok(Err(QueueError::NoContent(id))),
    }
    let sql = "UPDATE message SET not_before = 0 WHERE lane = ?1 AND state < 2 AND not_before > 0";
    connection.prepare_cached(sql)?.execute([found.lane])?;
    let sql = "UPDATE lane SET not_before = 0 WHERE id = ?1 AND not_before > 0";
    connection.prepare_cached(sql)?.execute([found.lane])?;
    connection.prepare_cached("DELETE FROM rest WHERE lane = ?1")?.execute([found.lane])?;
    Ok(Ok((found.key, found.lane)))
}

/// Drops a message: its content goes, its history stays. Returns the spool file to remove.
pub(super) fn drop_message(
    connection: &Connection,
    id: QueueId,
    now: Timestamp,
) -> rusqlite::Result<Result<Option<String>, QueueError>> {
    let Some(found) = find(connection, id)? else { return Ok(Err(QueueError::NoSuchMessage(id))) };
    match found.state {
        LEASED => Ok(Err(QueueError::InFlight(id))),
        RELAYED | DROPPED => Ok(Ok(None)),
        _ => {
            let sql = "UPDATE message SET state = ?2, finished_at = ?3 WHERE seq = ?1";
            connection.prepare_cached(sql)?.execute((found.seq, DROPPED, now.as_millis()))?;
            forget_content(connection, found.seq)?;
            Ok(Ok(found.spool))
        }
    }
}

/// Removes messages that finished before `before`, oldest first. Returns how many, and their spool files.
pub(super) fn purge(connection: &Connection, before: Timestamp) -> rusqlite::Result<(usize, Vec<String>)> {
    let old = old_messages(connection, before)?;
    for (seq, _) in &old {
        remove_rows(connection, *seq)?;
    }
    // The numbers of rows that are gone are given out again, so nobody may have looked beyond the last that is there.
    connection.execute("UPDATE sweep SET seq = min(seq, (SELECT coalesce(max(seq), 0) FROM message))", [])?;
    Ok((old.len(), old.into_iter().filter_map(|(_, spool)| spool).collect()))
}

/// Removes everything that the database has of a message.
pub(super) fn remove_rows(connection: &Connection, seq: i64) -> rusqlite::Result<()> {
    for sql in [
        "DELETE FROM body WHERE message = ?1",
        "DELETE FROM recipient WHERE message = ?1",
        "DELETE FROM attempt WHERE message = ?1",
        "DELETE FROM note WHERE message = ?1",
        "DELETE FROM pending WHERE message = ?1",
        "DELETE FROM bounce WHERE message = ?1",
        "DELETE FROM message WHERE seq = ?1",
    ] {
        connection.prepare_cached(sql)?.execute([seq])?;
    }
    Ok(())
}

/// Messages were accepted in the order of their rows, so the search ends at the first one that is too young.
pub(super) fn old_messages(connection: &Connection, before: Timestamp) -> rusqlite::Result<Vec<(i64, Option<String>)>> {
    let sql = "SELECT seq, spool, accepted_at, finished_at FROM message ORDER BY seq";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut old = Vec::new();
    while old.len() < PURGE_BATCH
        && let Some(row) = rows.next()?
        && time(row, "accepted_at")? <= before
    {
        if optional_time(row, "finished_at")?.is_some_and(|finished| finished <= before) {
            old.push((row.get("seq")?, row.get("spool")?));
        }
    }
    Ok(old)
}
