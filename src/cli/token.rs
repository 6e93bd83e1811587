//! `oxpost token`: an access token for a program that speaks to the provider itself.

use std::path::Path;

use clap::{Args, ValueEnum};

use super::block_on;
use super::reach::{Reach, load};
use super::report::{Report, say};
use crate::front::admin::ProgramToken;

#[derive(Args, Debug)]
pub(super) struct TokenArguments {
    /// The account's name in the configuration.
    account: String,
    /// What the token is for: each opens one resource.
    #[arg(long = "for", value_name = "WHAT")]
    purpose: Wanted,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Wanted {
    /// Microsoft Graph.
    Graph,
    /// SMTP submission.
    Smtp,
    /// Reading by IMAP.
    Imap,
    /// Reading by POP3.
    Pop,
    /// Exchange Web Services.
    Ews,
    /// The Gmail API.
    Gmail,
}

impl Wanted {
    const fn word(self) -> &'static str {
        match self {
            Self::Graph => "graph",
            Self::Smtp => "smtp",
            Self::Imap => "imap",
            Self::Pop => "pop",
            Self::Ews => "ews",
            Self::Gmail => "gmail",
        }
    }
}

/// Prints the token as JSON.
pub(super) fn run(config: &Path, arguments: &TokenArguments) -> Result<(), Report> {
    let config = load(config)?;
    let path = format!("/api/v1/accounts/{}/token?for={}", arguments.account, arguments.purpose.word());
    block_on(async {
        let reach = Reach::open(&config).await?;
        let token: Result<ProgramToken, Report> = reach.get(&path).await;
        reach.close().await;
        let text = serde_json::to_string_pretty(&token?).map_err(|error| Report::new(error.to_string()))?;
        say(text);
        Ok(())
    })
}
