//! Picking up where the last run stopped.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Row};

use super::rows::{OUTSTANDING, json, queue_id};
use super::settle::{AttemptResult, MAY_ARRIVE_TWICE};
use super::spool::{PART, Spool, WHOLE, is_regular};
use super::{MailboxKey, QueueError};
use crate::clock::Timestamp;
use crate::mail::{Failure, QueueId, Reason};
use crate::store::Store;

/// Names of spool files that are compared with the rows at once.
const BATCH: usize = 500;

/// An attempt that was under way when the program stopped.
pub(super) struct Interrupted {
    pub(super) id: QueueId,
    pub(super) account: String,
    pub(super) attempt: u32,
    pub(super) recipients: u32,
}

/// What became of an attempt that was under way when the program stopped: nobody knows.
pub(super) fn stopped() -> Failure {
    Failure::new(Reason::AnswerLost, "oxpost stopped during the attempt")
}

/// Gives back every lease. An attempt that may have been made waits until `next`; a lease without one is due at once.
pub(super) fn leases(connection: &Connection, now: Timestamp, next: Timestamp) -> rusqlite::Result<Vec<Interrupted>> {
    let sql = "SELECT seq, id, account, attempts, (SELECT count(*) FROM recipient WHERE message = seq AND state = 0)
        AS recipients FROM message WHERE state = 1 AND finished_at IS NULL";
    let read = |row: &Row<'_>| {
        let found = Interrupted {
            id: queue_id(row, "id")?,
            account: row.get("account")?,
            attempt: row.get("attempts")?,
            recipients: row.get("recipients")?,
        };
        Ok((row.get::<_, i64>("seq")?, found))
    };
    let leased: Vec<_> = connection.prepare(sql)?.query_map([], read)?.collect::<Result<_, _>>()?;
    let mut interrupted = Vec::new();
    for (seq, found) in leased {
        let open = end_attempt(connection, seq, &found, now)?;
        let waiting =
            "UPDATE message SET state = 0, next_attempt = CASE ?2 WHEN 1 THEN ?3 ELSE next_attempt END WHERE seq = ?1";
        connection.prepare_cached(waiting)?.execute((seq, open, next.as_millis()))?;
        if open {
            interrupted.push(found);
        }
    }
    connection.execute("UPDATE hold SET probing = NULL", [])?;
    Ok(interrupted)
}

/// Ends the open attempt of a message as unknown; `false` if none is open.
fn end_attempt(connection: &Connection, seq: i64, found: &Interrupted, now: Timestamp) -> rusqlite::Result<bool> {
    let failure = stopped();
    let result = AttemptResult {
        outstanding: found.recipients,
        words: vec![failure.to_string()],
        notes: vec![MAY_ARRIVE_TWICE.to_owned()],
        ..AttemptResult::default()
    };
    let sql = "UPDATE attempt SET ended_at = ?3, sent = ?4, result = ?5 WHERE message = ?1 AND number = ?2 AND ended_at IS NULL";
    let end = (seq, found.attempt, now.as_millis(), found.recipients, json(&result)?);
    if connection.prepare_cached(sql)?.execute(end)? == 0 {
        return Ok(false);
    }
    let sql = "UPDATE recipient SET failure = ?3, at = ?4 WHERE message = ?1 AND state = ?2";
    connection.prepare_cached(sql)?.execute((seq, OUTSTANDING, json(&failure)?, now.as_millis()))?;
    Ok(true)
}

/// The mailboxes that have mail to send, with their rows.
pub(super) fn lanes(connection: &Connection) -> rusqlite::Result<Vec<(MailboxKey, i64)>> {
    let sql = "SELECT id, provider, mailbox FROM lane
        WHERE EXISTS (SELECT 1 FROM message WHERE message.lane = lane.id AND finished_at IS NULL)";
    let read = |row: &Row<'_>| {
        let key = MailboxKey { provider: row.get("provider")?, mailbox: row.get("mailbox")? };
        Ok((key, row.get("id")?))
    };
    connection.prepare(sql)?.query_map([], read)?.collect()
}

/// Removes what an interrupted reception left in the spool folder, and reports what is not ours. Messages whose file
/// is missing are told of here and fail when they are leased.
pub(super) async fn sweep(spool: &Spool, store: &Store) -> Result<(), QueueError> {
    let entries = std::fs::read_dir(&spool.folder).map_err(|error| QueueError::spool(&spool.folder, error))?;
    let mut whole = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| QueueError::spool(&spool.folder, error))?;
        match kind(&entry.path()) {
            Kind::Part => spool.remove(vec![entry.file_name().to_string_lossy().into_owned()]).await,
            Kind::Whole => whole.push(entry.file_name().to_string_lossy().into_owned()),
            Kind::Foreign(what) => {
                let path = entry.path();
                tracing::warn!(path = %path.display(), what, "not a spool file of oxpost; it is left alone");
            }
        }
        if whole.len() == BATCH {
            remove_orphans(spool, store, std::mem::take(&mut whole)).await?;
        }
    }
    remove_orphans(spool, store, whole).await?;
    tell_missing(spool, store).await
}

async fn remove_orphans(spool: &Spool, store: &Store, names: Vec<String>) -> Result<(), QueueError> {
    let orphans = move |connection: &Connection| {
        let mut named = connection.prepare_cached("SELECT 1 FROM message WHERE spool = ?1")?;
        let mut orphans = Vec::new();
        for name in names {
            if named.query_row([&name], |_| Ok(())).optional()?.is_none() {
                orphans.push(name);
            }
        }
        Ok(orphans)
    };
    let orphans = store.read(orphans).await?;
    if !orphans.is_empty() {
        tracing::info!(files = orphans.len(), "removing spool files that belong to no message");
    }
    spool.remove(orphans).await;
    Ok(())
}

async fn tell_missing(spool: &Spool, store: &Store) -> Result<(), QueueError> {
    let folder = spool.folder.clone();
    let missing = move |connection: &Connection| {
        let mut statement = connection.prepare("SELECT id, spool, size FROM message WHERE spool IS NOT NULL")?;
        let mut rows = statement.query([])?;
        let mut missing = Vec::new();
        while let Some(row) = rows.next()? {
            let name: String = row.get("spool")?;
            if !is_regular(&folder.join(&name), row.get::<_, i64>("size")?.cast_unsigned()) {
                missing.push((queue_id(row, "id")?, name));
            }
        }
        Ok(missing)
    };
    for (id, name) in store.read(missing).await? {
        tracing::error!(%id, name, "the spool file of this message is missing or damaged; the message cannot be sent");
    }
    Ok(())
}

/// What an entry of the spool folder is.
enum Kind {
    Part,
    Whole,
    Foreign(&'static str),
}

fn kind(path: &Path) -> Kind {
    let Ok(found) = std::fs::symlink_metadata(path) else { return Kind::Foreign("unreadable") };
    if found.is_symlink() {
        return Kind::Foreign("a symbolic link");
    }
    if found.file_type().is_fifo() {
        return Kind::Foreign("a FIFO");
    }
    let text = |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str()).map(str::to_owned);
    let ours = text(path.file_stem()).is_some_and(|stem| stem.parse::<QueueId>().is_ok());
    match text(path.extension()) {
        Some(extension) if found.is_file() && ours && extension == PART => Kind::Part,
        Some(extension) if found.is_file() && ours && extension == WHOLE => Kind::Whole,
        _ => Kind::Foreign("a name oxpost does not give"),
    }
}
