//! Copying the queue while it is in use: the database as it stands at one moment, and the spool files that it names.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::spool::WHOLE;
use crate::store::{self, StoreError};

/// The database's name in a data folder.
const DATABASE: &str = "oxpost.db";
/// The spool folder's name in a data folder.
const SPOOL: &str = "spool";
/// How often the database is copied again because mail went meanwhile.
const ROUNDS: usize = 10;

/// What was copied.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Copied {
    /// Messages that have not come to their end.
    pub outstanding: u64,
    /// Spool files.
    pub files: usize,
    /// Spool files that messages need and that are not in the data folder either.
    pub missing: Vec<String>,
}

/// Why the queue was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file or folder.
    #[error("`{path}` cannot be copied or made: {cause}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Mail with spool files came and went faster than it was copied.
    #[error("mail went faster than it could be copied; the copy is not whole")]
    Restless,
}

/// What the copied database says.
struct Named {
    spool: Vec<String>,
    outstanding: u64,
}

/// Copies the queue of the data folder `data` into the folder `to`, which is empty. Nothing is locked: files are taken
/// before and after the database, and the database once more if one of its files went in between. So each message in
/// the copy has its content.
///
/// # Errors
/// Nothing in `to` is of use then.
pub fn copy(data: &Path, to: &Path) -> Result<Copied, CopyError> {
    let (from, into) = (data.join(SPOOL), to.join(SPOOL));
    make_folder(&into)?;
    for name in whole_files(&from)? {
        take(&from, &into, &name)?;
    }
    let mut missing_before = Vec::new();
    for _ in 0..ROUNDS {
        let database = to.join(DATABASE);
        if database.exists() {
            std::fs::remove_file(&database).map_err(|cause| failed(&database, cause))?;
        }
        let Named { spool, outstanding } = store::copy(&data.join(DATABASE), &database, named)?;
        let mut missing = Vec::new();
        for name in &spool {
            if !take(&from, &into, name)? {
                missing.push(name.clone());
            }
        }
        // What is still missing after another look at the database is not there at all.
        if missing == missing_before {
            forget_others(&into, &spool)?;
            sync(&into)?;
            sync(to)?;
            return Ok(Copied { outstanding, files: spool.len() - missing.len(), missing });
        }
        missing_before = missing;
    }
    Err(CopyError::Restless)
}

fn named(connection: &Connection) -> rusqlite::Result<Named> {
    let mut statement = connection.prepare("SELECT spool FROM message WHERE spool IS NOT NULL ORDER BY seq")?;
    let spool = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let sql = "SELECT count(*) FROM message WHERE finished_at IS NULL";
    let outstanding: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(Named { spool, outstanding: outstanding.cast_unsigned() })
}

/// Copies a file unless it was; `false` if it is in neither place. Whole files never change.
fn take(from: &Path, into: &Path, name: &str) -> Result<bool, CopyError> {
    let (source, copy) = (from.join(name), into.join(name));
    if copy.exists() {
        return Ok(true);
    }
    match std::fs::copy(&source, &copy) {
        Ok(_) => {
            let synced = std::fs::File::open(&copy).and_then(|file| file.sync_all());
            synced.map(|()| true).map_err(|cause| failed(&copy, cause))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let _nothing_copied = std::fs::remove_file(&copy);
            Ok(false)
        }
        Err(cause) => Err(failed(&source, cause)),
    }
}

/// Files of messages that came to their end meanwhile.
fn forget_others(into: &Path, named: &[String]) -> Result<(), CopyError> {
    for name in whole_files(into)?.into_iter().filter(|name| !named.contains(name)) {
        let path = into.join(name);
        std::fs::remove_file(&path).map_err(|cause| failed(&path, cause))?;
    }
    Ok(())
}

fn whole_files(folder: &Path) -> Result<Vec<String>, CopyError> {
    let entries = std::fs::read_dir(folder).map_err(|cause| failed(folder, cause))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|cause| failed(folder, cause))?;
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_file && Path::new(&name).extension().is_some_and(|extension| extension == WHOLE) {
            names.push(name);
        }
    }
    Ok(names)
}

fn make_folder(path: &Path) -> Result<(), CopyError> {
    std::fs::DirBuilder::new().mode(0o700).create(path).map_err(|cause| failed(path, cause))
}

fn sync(folder: &Path) -> Result<(), CopyError> {
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(|cause| failed(folder, cause))
}

fn failed(path: &Path, cause: io::Error) -> CopyError {
    CopyError::File { path: path.to_owned(), cause }
}
