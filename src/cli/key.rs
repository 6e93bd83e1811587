//! `oxpost key`: the key that tokens are sealed with.

use std::path::Path;

use clap::Subcommand;
use http::Method;

use super::block_on;
use super::reach::{Reach, load};
use super::report::{Report, say};
use crate::token::KeyRotated;

#[derive(Subcommand, Debug)]
pub(super) enum KeyCommand {
    /// Make a new key, seal every stored token with it, and forget the old one.
    Rotate,
}

/// Works on the key.
pub(super) fn run(config: &Path, command: &KeyCommand) -> Result<(), Report> {
    match command {
        KeyCommand::Rotate => rotate(config),
    }
}

fn rotate(config: &Path) -> Result<(), Report> {
    let config = load(config)?;
    block_on(async {
        let reach = Reach::open(&config).await?;
        let rotated: Result<KeyRotated, Report> = reach.call(Method::POST, "/api/v1/key/rotate", None::<&()>).await;
        reach.close().await;
        let KeyRotated { sealed, closed } = rotated?;
        say(format_args!("a new key is in use; {sealed} stored sign-ins are sealed with it"));
        if closed > 0 {
            say(format_args!(
                "{closed} stored sign-ins were sealed with a key that is not here and stay as they are: their accounts \
                 must be signed in again"
            ));
        }
        say("backups of the data folder need the key that was in use when they were made");
        Ok(())
    })
}
