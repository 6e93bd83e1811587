//! Digests: when much fails at once, an address is told of the first failures one by one and of the rest in one
//! message, so that a dead provider does not end in a flood of reports.

use std::time::Duration;

use rusqlite::{Connection, Row};

use super::Route;
use super::rows::{from_json, json, parsed, queue_id};
use crate::clock::Timestamp;
use crate::mail::{Address, QueueId};

/// How long lines are collected from the first on.
const COLLECT: Duration = Duration::from_mins(15);
/// Lines of one digest; the rest stands in the next.
const LINES: u32 = 1_000;

/// What is told of one message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DigestLine {
    /// Who is told.
    pub to: Address,
    /// How the digest leaves.
    pub route: Route,
    /// The message.
    pub about: QueueId,
    /// What is said of it, on one line.
    pub line: String,
}

/// What one address is told of many messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Digest {
    /// Who is told.
    pub to: Address,
    /// How it leaves.
    pub route: Route,
    /// The messages, and what is said of each.
    pub lines: Vec<(QueueId, String)>,
    pub(super) last: i64,
}

pub(super) fn add(connection: &Connection, line: &DigestLine, now: Timestamp) -> rusqlite::Result<()> {
    let sql = "INSERT INTO digest (address, route, about, line, at) VALUES (?1, ?2, ?3, ?4, ?5)";
    let DigestLine { to, route, about, line } = line;
    connection.prepare_cached(sql)?.execute((to.to_string(), json(route)?, about.as_bytes(), line, now.as_millis()))?;
    Ok(())
}

/// The digests whose first line is old enough. A clock that went back makes nobody wait.
pub(super) fn due(connection: &Connection, now: Timestamp) -> rusqlite::Result<Vec<Digest>> {
    let sql = "SELECT address FROM digest GROUP BY address HAVING min(at) <= ?1 OR min(at) > ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let addresses = statement.query_map((now.minus(COLLECT).as_millis(), now.as_millis()), |row| row.get(0))?;
    let addresses: Vec<String> = addresses.collect::<Result<_, _>>()?;
    addresses.iter().filter_map(|address| of_address(connection, address).transpose()).collect()
}

fn of_address(connection: &Connection, address: &str) -> rusqlite::Result<Option<Digest>> {
    let sql = "SELECT id, address, route, about, line FROM digest WHERE address = ?1 ORDER BY id LIMIT ?2";
    let read = |row: &Row<'_>| {
        let line = (queue_id(row, "about")?, row.get("line")?);
        Ok((row.get("id")?, parsed::<Address>(row, "address")?, from_json::<Route>(row, "route")?, line))
    };
    let mut digest: Option<Digest> = None;
    for row in connection.prepare_cached(sql)?.query_map((address, LINES), read)? {
        let (id, to, route, line) = row?;
        let digest = digest.get_or_insert_with(|| Digest { to, route, lines: Vec::new(), last: id });
        digest.lines.push(line);
        digest.last = id;
    }
    Ok(digest)
}

pub(super) fn told(connection: &Connection, address: &str, last: i64) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM digest WHERE address = ?1 AND id <= ?2")?.execute((address, last))?;
    Ok(())
}
