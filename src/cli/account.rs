//! `oxpost account`: who is signed in.

use std::path::Path;

use super::block_on;
use super::reach::{Reach, load};
use super::report::{Report, say};
use crate::token::AccountStatus;

/// Prints the accounts.
pub(super) fn run(config: &Path) -> Result<(), Report> {
    let config = load(config)?;
    block_on(async {
        let reach = Reach::open(&config).await?;
        let accounts: Result<Vec<AccountStatus>, Report> = reach.get("/v1/accounts").await;
        reach.close().await;
        for account in accounts? {
            say(format_args!("{}  provider {}  {}", account.name, account.provider, account.state));
            if let Some(hint) = &account.hint {
                say(format_args!("  next step: {hint}"));
            }
        }
        Ok(())
    })
}
