//! What an attempt writes down between its steps.

use rusqlite::{Connection, OptionalExtension};

use crate::clock::Timestamp;

/// What was written under `key` for the message.
pub(super) fn read(connection: &Connection, message: i64, key: &str) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT text FROM note WHERE message = ?1 AND key = ?2";
    connection.prepare_cached(sql)?.query_row((message, key), |row| row.get(0)).optional()
}

/// Writes `text` under `key`, or takes away what is there.
pub(super) fn write(connection: &Connection, message: i64, key: &str, text: Option<&str>) -> rusqlite::Result<()> {
    match text {
        Some(text) => {
            let sql = "INSERT OR REPLACE INTO note (message, key, text) VALUES (?1, ?2, ?3)";
            connection.prepare_cached(sql)?.execute((message, key, text))?;
        }
        None => {
            let sql = "DELETE FROM note WHERE message = ?1 AND key = ?2";
            connection.prepare_cached(sql)?.execute((message, key))?;
        }
    }
    Ok(())
}

/// When the first attempt before `attempt` began whose answer was lost; `None` once a recipient is relayed.
pub(super) fn maybe_taken(connection: &Connection, message: i64, attempt: u32) -> rusqlite::Result<Option<Timestamp>> {
    let sql = "SELECT min(started_at) FROM attempt WHERE message = ?1 AND number < ?2 AND sent > 0
        AND NOT EXISTS (SELECT 1 FROM recipient WHERE message = ?1 AND state = 1)";
    let started: Option<i64> = connection.prepare_cached(sql)?.query_row((message, attempt), |row| row.get(0))?;
    Ok(started.map(Timestamp::from_millis))
}
