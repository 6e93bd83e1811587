//! `oxpost session`: who is reading.

use std::path::Path;

use clap::Subcommand;
use http::Method;

use super::block_on;
use super::reach::{Reach, load};
use super::report::{Report, say};
use crate::front::admin::SessionListing;
use crate::front::reading::SessionView;

#[derive(Subcommand, Debug)]
pub(super) enum SessionCommand {
    /// List the open reading sessions.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// End one; its program may come again.
    Close {
        /// The session's id, from the list or the log.
        id: String,
    },
}

/// Runs the subcommand.
pub(super) fn run(config: &Path, command: SessionCommand) -> Result<(), Report> {
    let config = load(config)?;
    block_on(async {
        let reach = Reach::open(&config).await?;
        let done = carry_out(&reach, command).await;
        reach.close().await;
        done
    })
}

async fn carry_out(reach: &Reach, command: SessionCommand) -> Result<(), Report> {
    match command {
        SessionCommand::List { json } => {
            let listing: SessionListing = reach.get("/api/v1/sessions").await?;
            if json {
                let value = serde_json::to_value(&listing).map_err(|error| Report::new(error.to_string()))?;
                say(format_args!("{value:#}"));
                return Ok(());
            }
            if listing.sessions.is_empty() {
                say(if reach.is_running() {
                    "nobody is reading"
                } else {
                    "no gateway is running, so nobody is reading"
                });
            }
            for session in &listing.sessions {
                print(session);
            }
        }
        SessionCommand::Close { id } => {
            reach.call::<()>(Method::DELETE, &format!("/api/v1/sessions/{id}"), None::<&()>).await?;
            say(format_args!("{id} is ended"));
        }
    }
    Ok(())
}

fn print(session: &SessionView) {
    let SessionView { id, protocol, client, account, mailbox, peer, since, up, down } = session;
    say(format_args!(
        "{id}  {protocol}  {mailbox} (account {account})  client {client} from {peer}  since {since}  {up} octets up, \
         {down} down"
    ));
}
