//! Brings the tables of each part up to date.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::StoreError;

/// One step of a part's tables. The steps of a part are numbered 1, 2, 3 ... and never change once released.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// The part of the program that owns the tables, such as `queue`.
    pub part: &'static str,
    /// The version that the part has after this step.
    pub version: u32,
    /// The statements.
    pub sql: &'static str,
}

/// Applies what is missing, each step with its version number in one transaction.
pub(super) fn migrate(connection: &mut Connection, migrations: &[Migration], path: &Path) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| StoreError::Open { path: path.to_owned(), why: error.to_string() };
    connection
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS part (name TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID",
        )
        .map_err(failed)?;
    refuse_newer(connection, migrations, path)?;
    let mut ordered: Vec<_> = migrations.iter().collect();
    ordered.sort_by_key(|step| (step.part, step.version));
    for step in ordered {
        apply(connection, step).map_err(|error| StoreError::Open {
            path: path.to_owned(),
            why: format!("step {} of its part `{}` failed: {error}", step.version, step.part),
        })?;
    }
    Ok(())
}

fn refuse_newer(connection: &Connection, migrations: &[Migration], path: &Path) -> Result<(), StoreError> {
    for step in migrations {
        let found = version(connection, step.part)
            .map_err(|error| StoreError::Open { path: path.to_owned(), why: error.to_string() })?;
        let known = migrations.iter().filter(|other| other.part == step.part).map(|other| other.version).max();
        let known = known.unwrap_or(0);
        if found > known {
            return Err(StoreError::Newer { path: path.to_owned(), part: step.part, found, known });
        }
    }
    Ok(())
}

fn apply(connection: &mut Connection, step: &Migration) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if version(&transaction, step.part)? >= step.version {
        return Ok(());
    }
    transaction.execute_batch(step.sql)?;
    transaction.execute("INSERT OR REPLACE INTO part (name, version) VALUES (?1, ?2)", (step.part, step.version))?;
    transaction.commit()
}

fn version(connection: &Connection, part: &str) -> rusqlite::Result<u32> {
    let found =
        connection.query_row("SELECT version FROM part WHERE name = ?1", [part], |row| row.get(0)).optional()?;
    Ok(found.unwrap_or(0))
}
