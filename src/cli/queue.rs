//! `oxpost queue`: what waits, why, and what to do about it.

use std::path::Path;

use clap::Subcommand;
use http::Method;

use super::block_on;
use super::reach::{Reach, load};
use super::report::{Report, say};
use crate::front::admin::{BeginHold, Listing, Overview, Released, Waiting};
use crate::queue::{AttemptDetail, AttemptResult, Detail, Hold, Selector, Summary};

#[derive(Subcommand, Debug)]
pub(super) enum QueueCommand {
    /// List messages and held mailboxes.
    List {
        /// Messages of this account alone.
        #[arg(long)]
        account: Option<String>,
        /// Relayed messages as well.
        #[arg(long)]
        all: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show everything about a message.
    Show {
        /// The queue id, from the reply `250 2.0.0 queued as ...`.
        id: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Try a message again now; one that failed as well.
    Retry {
        /// The queue id.
        id: String,
    },
    /// Keep the mail of an account's mailbox here until it is released.
    Hold {
        /// The account's name or the mailbox's address.
        what: String,
        /// Why, for whoever looks at it later.
        #[arg(long, default_value = "")]
        why: String,
    },
    /// End the hold of an account's or a mailbox's mail, and try it now.
    Release {
        /// The account's name or the mailbox's address.
        what: String,
    },
    /// Throw a message away, without a report.
    Drop {
        /// The queue id.
        id: String,
    },
}

/// Runs the subcommand.
pub(super) fn run(config: &Path, command: QueueCommand) -> Result<(), Report> {
    let config = load(config)?;
    block_on(async {
        let reach = Reach::open(&config).await?;
        let done = carry_out(&reach, command).await;
        reach.close().await;
        done
    })
}

async fn carry_out(reach: &Reach, command: QueueCommand) -> Result<(), Report> {
    match command {
        QueueCommand::List { account, all, json } => {
            let listing: serde_json::Value = reach.get(&list_path(account.as_deref(), all)).await?;
            if json {
                print_json(&listing);
                return Ok(());
            }
            let Overview { waiting, .. } = understood(reach.get("/api/v1/overview").await?)?;
            print_listing(&understood(listing)?, &waiting);
        }
        QueueCommand::Show { id, json } => {
            let detail: serde_json::Value = reach.get(&format!("/api/v1/messages/{id}")).await?;
            if json { print_json(&detail) } else { print_detail(&understood(detail)?) }
        }
        QueueCommand::Retry { id } => {
            reach.call::<()>(Method::POST, &format!("/api/v1/messages/{id}/retry"), None::<&()>).await?;
            say(format_args!(
                "{id} is tried again now{}",
                if reach.is_running() { "" } else { ", as soon as the gateway runs" }
            ));
        }
        QueueCommand::Drop { id } => {
            reach.call::<()>(Method::DELETE, &format!("/api/v1/messages/{id}"), None::<&()>).await?;
            say(format_args!("{id} is dropped"));
        }
        QueueCommand::Hold { what, why } => {
            let begin = BeginHold { what: what.clone(), why };
            reach.call::<()>(Method::POST, "/api/v1/holds/begin", Some(&begin)).await?;
            say(format_args!("mail of {what} is held; `oxpost queue release {what}` ends it"));
        }
        QueueCommand::Release { what } => {
            let selector = what.parse().map_or_else(|_| Selector::Account(what.clone()), Selector::Mailbox);
            let released: Released = reach.call(Method::POST, "/api/v1/holds/release", Some(&selector)).await?;
            say(match released.mailboxes.len() {
                0 => format!("no mail of {what} is held"),
                1 => format!("the hold of {what} has ended; its mail is tried now"),
                more => format!("{more} holds of {what} have ended; their mail is tried now"),
            });
        }
    }
    Ok(())
}

fn list_path(account: Option<&str>, all: bool) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("all", if all { "true" } else { "false" });
    if let Some(account) = account {
        query.append_pair("account", account);
    }
    format!("/api/v1/messages?{}", query.finish())
}

pub(super) fn understood<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> Result<T, Report> {
    serde_json::from_value(value).map_err(|error| {
        Report::new(format!("the gateway's answer is not understood: {error}"))
            .hint("gateway and command are of different versions; use --json or restart the gateway")
    })
}

fn print_json(value: &serde_json::Value) {
    say(format_args!("{value:#}"));
}

fn print_listing(listing: &Listing, waiting: &[Waiting]) {
    for hold in &listing.holds {
        print_hold(hold);
    }
    // Those of mailboxes that are listed: the list may be of one account.
    let is_listed = |waiting: &&Waiting| listing.messages.iter().any(|message| message.mailbox == waiting.mailbox);
    let lines: Vec<_> = waiting.iter().filter(is_listed).filter_map(waiting_words).collect();
    for line in &lines {
        say(line);
    }
    if !(listing.holds.is_empty() && lines.is_empty()) {
        say("");
    }
    if listing.messages.is_empty() {
        say("the queue is empty");
    }
    for message in &listing.messages {
        print_summary(message);
    }
}

/// How much of a mailbox waits and by when it has gone, if anybody can say.
fn waiting_words(waiting: &Waiting) -> Option<String> {
    let Waiting { mailbox, messages, drained, .. } = waiting;
    let what = if *messages == 1 { "1 message waits".to_owned() } else { format!("{messages} messages wait") };
    drained.map(|at| format!("{what} in {mailbox}, expected to have gone by {at}"))
}

fn print_hold(hold: &Hold) {
    say(format_args!("mail of {} is held since {}: {}", hold.key.mailbox, hold.since, hold.failure));
    say(format_args!("  next step: {}", hold.hint));
    if let Some(probe) = hold.next_probe {
        say(format_args!("  one message tries again at {probe}"));
    }
}

fn print_summary(message: &Summary) {
    let more = match message.recipients {
        0 | 1 => String::new(),
        all => format!(" and {} more", all - 1),
    };
    say(format_args!(
        "{}  {}  {}  {} octets  from <{}> to <{}>{more}  attempts {}",
        message.id,
        message.state,
        message.accepted_at,
        message.size,
        message.reverse_path.as_deref().unwrap_or_default(),
        message.first_recipient,
        message.attempts
    ));
    if let Some(next) = message.next_attempt {
        say(format_args!("  next attempt {next}"));
    }
    if let Some(failure) = &message.failure {
        say(format_args!("  {failure}"));
    }
    if message.bounced > 0 {
        say(format_args!("  a report in the mailbox says later that it did not reach {} of them", message.bounced));
    }
    if let Some(hint) = &message.hint {
        say(format_args!("  next step: {hint}"));
    }
}

pub(super) fn print_detail(detail: &Detail) {
    print_summary(&detail.summary);
    let (account, mailbox) = (&detail.summary.account, &detail.summary.mailbox);
    say(format_args!("  account {account}, mailbox {mailbox}, client {}", detail.client));
    if let Some(message_id) = &detail.message_id {
        say(format_args!("  Message-ID {message_id}"));
    }
    for recipient in &detail.recipients {
        let words = recipient.receipt.clone().or_else(|| recipient.failure.as_ref().map(ToString::to_string));
        say(format_args!("  to <{}>: {} {}", recipient.address, recipient.state, words.unwrap_or_default()));
        for bounce in &recipient.bounces {
            say(format_args!("    a report in the mailbox at {} says: {bounce}", bounce.at));
        }
    }
    for attempt in &detail.attempts {
        print_attempt(attempt);
    }
}

fn print_attempt(attempt: &AttemptDetail) {
    let Some(result) = &attempt.result else {
        say(format_args!("  attempt {} at {}: under way", attempt.number, attempt.started_at));
        return;
    };
    let by = result.backend.map(|backend| format!(" by {backend}")).unwrap_or_default();
    let AttemptResult { relayed, outstanding, failed, .. } = result;
    let counts = format!("{relayed} relayed, {outstanding} waiting, {failed} failed");
    say(format_args!("  attempt {} at {}{by}: {counts}", attempt.number, attempt.started_at));
    for words in result.words.iter().chain(&result.notes) {
        say(format_args!("    {words}"));
    }
}
