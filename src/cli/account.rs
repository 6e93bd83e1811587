//! `oxpost account`: who is signed in.

use std::path::Path;

use super::block_on;
use super::reach::{Reach, load};
use super::report::{Report, say};
use crate::front::admin::AccountView;

/// Prints the accounts.
pub(super) fn run(config: &Path) -> Result<(), Report> {
    let config = load(config)?;
    block_on(async {
        let reach = Reach::open(&config).await?;
        let accounts: Result<Vec<AccountView>, Report> = reach.get("/api/v1/accounts").await;
        reach.close().await;
        for account in accounts? {
            let name = account.name.map(|name| format!(" (signed in as {name})")).unwrap_or_default();
            say(format_args!("{}  provider {}  {}{name}", account.account, account.provider, account.state));
            if let Some(why) = &account.why {
                say(format_args!("  {why}"));
            }
            if let Some(hint) = &account.hint {
                say(format_args!("  next step: {hint}"));
            }
        }
        Ok(())
    })
}
