//! A copy of a database that is in use.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::{BUSY_TIMEOUT, StoreError, create};

/// Copies the database at `from`, as it stands at one moment, into a new file at `to`, and has `look` read the copy.
/// Whoever writes to `from` goes on meanwhile. The copy is on the disk when this returns.
///
/// # Errors
/// [`StoreError::Open`] if there is no database, `to` exists or cannot be written; otherwise what SQLite says.
pub fn copy<T>(from: &Path, to: &Path, look: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
    let failed = |path: &Path, why: String| StoreError::Open { path: path.to_owned(), why };
    if to.exists() {
        return Err(failed(to, "it is there already".to_owned()));
    }
    let source = open(from).map_err(|error| failed(from, error.to_string()))?;
    create(to).map_err(|error| failed(to, error.to_string()))?;
    let name = to.to_str().ok_or_else(|| failed(to, "its name is not UTF-8".to_owned()))?;
    // One read transaction in WAL mode: neither does it wait for the writer nor the writer for it.
    source.execute("VACUUM INTO ?1", [name]).map_err(|error| failed(to, error.to_string()))?;
    let sync = || std::fs::File::open(to)?.sync_all();
    sync().map_err(|error| failed(to, error.to_string()))?;
    let copied = open(to).map_err(|error| failed(to, error.to_string()))?;
    Ok(look(&copied)?)
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(PathBuf::from(path), flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF")?;
    Ok(connection)
}
