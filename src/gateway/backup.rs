//! A copy of the data folder, made while a gateway works in it or not.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::config::{Config, KeySource};
use crate::queue::{self, Copied, CopyError};

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The folder is there already.
    #[error("`{0}` is there already; a backup goes into a new folder")]
    Exists(PathBuf),
    /// The folder would be within the data folder.
    #[error("`{0}` is within the data folder")]
    Within(PathBuf),
    /// The key is not in a file of its own.
    #[error("the sealing key comes from elsewhere, so it cannot be put into the backup")]
    KeyElsewhere,
    /// The queue.
    #[error(transparent)]
    Queue(#[from] CopyError),
    /// A file or folder.
    #[error("`{path}` cannot be copied or made: {cause}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

/// Copies queue, history and sealed sign-ins into the new folder `to`; with `keys` also what opens them, and the
/// certificates with their keys. The folder has its name only once it is whole.
///
/// # Errors
/// Nothing is left behind then.
pub fn backup(config: &Config, to: &Path, keys: bool) -> Result<Copied, BackupError> {
    let data = config.data.canonicalize().map_err(|cause| failed(&config.data, cause))?;
    if to.exists() {
        return Err(BackupError::Exists(to.to_owned()));
    }
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = parent.canonicalize().map_err(|cause| failed(parent, cause))?;
    if parent.starts_with(&data) {
        return Err(BackupError::Within(to.to_owned()));
    }
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = parent.join(name);
    make_folder(&part)?;
    let made = fill(config, &data, &part, keys).and_then(|copied| {
        std::fs::rename(&part, to).map_err(|cause| failed(to, cause))?;
        sync(&parent)?;
        Ok(copied)
    });
    if made.is_err() {
        let _best_effort = std::fs::remove_dir_all(&part);
    }
    made
}

fn fill(config: &Config, data: &Path, part: &Path, keys: bool) -> Result<Copied, BackupError> {
    if keys {
        let KeySource::File(key) = &config.key else { return Err(BackupError::KeyElsewhere) };
        copy_file(key, &part.join("key"))?;
        let certificates = &config.submission.tls.folder;
        if certificates.is_dir() {
            copy_folder(certificates, &part.join("certs"))?;
        }
    }
    Ok(queue::copy(data, part)?)
}

/// The files of a folder; it has no others in it.
fn copy_folder(from: &Path, to: &Path) -> Result<(), BackupError> {
    make_folder(to)?;
    let entries = std::fs::read_dir(from).map_err(|cause| failed(from, cause))?;
    for entry in entries {
        let entry = entry.map_err(|cause| failed(from, cause))?;
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            copy_file(&entry.path(), &to.join(entry.file_name()))?;
        }
    }
    sync(to)
}

fn copy_file(from: &Path, to: &Path) -> Result<(), BackupError> {
    std::fs::copy(from, to).map_err(|cause| failed(from, cause))?;
    sync(to)
}

fn make_folder(path: &Path) -> Result<(), BackupError> {
    DirBuilder::new().mode(0o700).create(path).map_err(|cause| failed(path, cause))
}

fn sync(path: &Path) -> Result<(), BackupError> {
    std::fs::File::open(path).and_then(|file| file.sync_all()).map_err(|cause| failed(path, cause))
}

fn failed(path: &Path, cause: io::Error) -> BackupError {
    BackupError::File { path: path.to_owned(), cause }
}
