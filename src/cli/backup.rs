//! `oxpost backup`: a copy of the data folder.

use std::path::{Path, PathBuf};

use clap::Args;

use super::reach::load;
use super::report::{Report, say};
use crate::gateway::{self, BackupError};
use crate::queue::CopyError;

#[derive(Args, Debug)]
pub(super) struct BackupArguments {
    /// The folder to make; it must not be there.
    folder: PathBuf,
    /// Put the sealing key and the certificates with their keys into it as well: whoever has such a backup has the
    /// accounts.
    #[arg(long)]
    with_keys: bool,
}

/// Makes a backup, whether a gateway runs or not.
pub(super) fn run(config: &Path, arguments: &BackupArguments) -> Result<(), Report> {
    let config = load(config)?;
    let BackupArguments { folder, with_keys } = arguments;
    let copied = gateway::backup(&config, folder, *with_keys).map_err(report)?;
    say(format_args!(
        "`{}` holds the history, {} messages that wait and {} spool files",
        folder.display(),
        copied.outstanding,
        copied.files
    ));
    if !copied.missing.is_empty() {
        say(format_args!("content is missing of: {}", copied.missing.join(", ")));
    }
    if !with_keys {
        say("the sealing key is not in it: without that key every account must be signed in again");
    }
    Ok(())
}

fn report(error: BackupError) -> Report {
    let hint = match &error {
        BackupError::Exists(_) => "name a folder that is not there, with the day in it for instance",
        BackupError::Within(_) => "choose a place outside of the data folder, best on another disk",
        BackupError::KeyElsewhere => "leave `--with-keys` out and keep the key where it comes from",
        BackupError::Queue(CopyError::Restless) => "try again when less mail flows, or onto a faster disk",
        BackupError::Queue(_) | BackupError::File { .. } => "run it as the user oxpost runs as, with room on the disk",
    };
    Report::new(error.to_string()).hint(hint)
}
