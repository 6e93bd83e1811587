//! Files of the spool folder.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::mail::QueueId;

/// How the name of a file ends while it is written.
pub(in crate::queue) const PART: &str = "part";
/// How the name of a whole file ends.
pub(in crate::queue) const WHOLE: &str = "body";

/// A spool file that no row names yet; removed when dropped.
#[derive(Debug)]
pub(in crate::queue) struct SpoolFile {
    path: PathBuf,
    keep: bool,
}

impl SpoolFile {
    /// A new, empty file for its owner alone, under a name that nobody can have planted.
    pub(super) fn create(folder: &Path) -> io::Result<(Self, File)> {
        let path = folder.join(format!("{}.{PART}", QueueId::fresh()));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(flags(OFlags::NOFOLLOW | OFlags::CLOEXEC))
            .open(&path)?;
        Ok((Self { path, keep: false }, file))
    }

    /// Makes the file durable under its final name: content, then name, then folder.
    pub(super) fn complete(mut self, file: &File) -> io::Result<Self> {
        file.sync_all()?;
        let whole = self.path.with_extension(WHOLE);
        std::fs::rename(&self.path, &whole)?;
        self.path = whole;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()?;
        Ok(self)
    }

    pub(super) fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A row names it now, or may do so: dropping it leaves the file.
    pub(super) fn keep(&mut self) {
        self.keep = true;
    }

    /// No row names it: the file goes.
    pub(in crate::queue) fn discard(mut self) {
        self.keep = false;
    }
}

impl Drop for SpoolFile {
    fn drop(&mut self) {
        if !self.keep {
            super::remove_file(&self.path);
        }
    }
}

/// Opens a whole file; neither a symbolic link is followed nor a FIFO waited for.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC)).open(path)
}

/// Whether `path` is a file of `size` octets, not a link to one.
pub(in crate::queue) fn is_regular(path: &Path, size: u64) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() == size)
}

fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}
