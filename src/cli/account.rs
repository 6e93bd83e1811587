//! `oxpost account`: who is signed in, and whether it can send and be read.

use std::path::Path;
use std::time::Duration;

use clap::{Args, Subcommand};
use http::Method;
use tokio::time::{Instant, sleep};

use super::block_on;
use super::queue::print_detail;
use super::reach::{Reach, load};
use super::report::{Report, say};
use crate::account::{Account, MailboxRule};
use crate::config::machine::Machine;
use crate::config::{Config, check};
use crate::front::admin::{AccountView, Holds, ReadTest, ReadTested, TestMessage, TestSent};
use crate::mail::Address;
use crate::queue::{Detail, MailboxKey, State};
use crate::reading::Probed;

/// Between two looks at a message.
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[derive(Subcommand, Debug)]
pub(super) enum AccountCommand {
    /// Show the accounts and whether they are signed in.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show one account: its settings, where it stands, mail that waits for it.
    Show {
        /// Its name.
        account: String,
    },
    /// Try to read the mailbox, send a test message, and follow it to its outcome: as much of it as the account is for.
    Test(TestArguments),
    /// Forget the sign-in of an account. Its mail waits until somebody signs in again.
    Forget {
        /// Its name.
        account: String,
    },
}

#[derive(Args, Debug)]
pub(super) struct TestArguments {
    /// The account's name.
    account: String,
    /// Who gets the message. Default: the mailbox itself.
    #[arg(long)]
    to: Option<String>,
    /// With an account for a whole domain: the mailbox to send from, and to read.
    #[arg(long)]
    mailbox: Option<String>,
    /// Send nothing, only try to read.
    #[arg(long)]
    no_send: bool,
    /// Seconds to follow it.
    #[arg(long, default_value_t = 60)]
    wait: u64,
}

/// Runs the subcommand; without one it lists.
pub(super) fn run(config: &Path, command: Option<AccountCommand>) -> Result<(), Report> {
    let config = load(config)?;
    block_on(async {
        let mut reach = Reach::open(&config).await?;
        let done = match command.unwrap_or(AccountCommand::List { json: false }) {
            AccountCommand::List { json } => list(&reach, json).await,
            AccountCommand::Show { account } => show(&reach, &config, &account).await,
            AccountCommand::Test(arguments) => test(&mut reach, &config, &arguments).await,
            AccountCommand::Forget { account } => forget(&reach, &account).await,
        };
        reach.close().await;
        done
    })
}

async fn list(reach: &Reach, json: bool) -> Result<(), Report> {
    let accounts: Vec<AccountView> = reach.get("/api/v1/accounts").await?;
    if json {
        let accounts = serde_json::to_value(accounts).map_err(|error| Report::new(error.to_string()))?;
        say(format_args!("{accounts:#}"));
        return Ok(());
    }
    for account in &accounts {
        say_state(account);
    }
    Ok(())
}

fn say_state(account: &AccountView) {
    let name = account.name.as_ref().map(|name| format!(" (signed in as {name})")).unwrap_or_default();
    say(format_args!("{}  provider {}  {}{name}", account.account, account.provider, account.state));
    if let Some(why) = &account.why {
        say(format_args!("  {why}"));
    }
    if let Some(hint) = &account.hint {
        say(format_args!("  next step: {hint}"));
    }
    for warning in &account.warnings {
        say(format_args!("  soon: {}\n  next step: {}", warning.what, warning.hint));
    }
}

async fn show(reach: &Reach, config: &Config, name: &str) -> Result<(), Report> {
    let accounts: Vec<AccountView> = reach.get("/api/v1/accounts").await?;
    let Some(account) = accounts.iter().find(|account| account.account == name) else {
        return Err(unknown(config, name));
    };
    say_state(account);
    let heading = format!("account `{name}` ");
    let sections = check::report(config, &Machine::read()).sections;
    for line in sections.iter().filter(|section| section.heading.starts_with(&heading)).flat_map(|s| &s.lines) {
        say(format_args!("  {line}"));
    }
    let holds: Holds = reach.get("/api/v1/holds").await?;
    for hold in holds.holds.iter().filter(|hold| concerns(config, name, &hold.key)) {
        say(format_args!("  mail of {} is held since {}: {}", hold.key.mailbox, hold.since, hold.failure));
        say(format_args!("    next step: {}", hold.hint));
    }
    Ok(())
}

/// Holds are of mailboxes; an account has one, or all of a domain.
fn concerns(config: &Config, name: &str, key: &MailboxKey) -> bool {
    let account = config.accounts.iter().find(|account| account.name == name && account.provider == key.provider);
    let mailbox: Option<Address> = key.mailbox.parse().ok();
    account.zip(mailbox).is_some_and(|(account, mailbox)| match &account.mailbox {
        MailboxRule::One(own) => *own == mailbox,
        MailboxRule::Domain(domain) => domain == mailbox.domain(),
    })
}

fn unknown(config: &Config, name: &str) -> Report {
    let known: Vec<_> = config.accounts.iter().map(|account| account.name.as_str()).collect();
    Report::new(format!("there is no account `{name}`")).hint(format!("the configuration has: {}", known.join(", ")))
}

async fn test(reach: &mut Reach, config: &Config, arguments: &TestArguments) -> Result<(), Report> {
    let name = &arguments.account;
    let account = config.accounts.iter().find(|account| account.name == *name).ok_or_else(|| unknown(config, name))?;
    let reads = config.reading.contains_key(name);
    let sends = config.delivery.accounts.get(name).is_some_and(|ways| !ways.ways.is_empty());
    if !reads && arguments.no_send {
        return Err(Report::new(format!("account `{name}` is not read")).hint("add `read = [\"imap\"]` to it"));
    }
    let read = if reads { test_reading(reach, arguments).await } else { Ok(()) };
    if sends && !arguments.no_send {
        // What is found out of reading is said in any case, and sending is tried all the same.
        let sent = test_sending(reach, config, account, arguments).await;
        return if sent.is_err() { sent } else { read };
    }
    read
}

/// Says by which protocols the mailbox can be read.
async fn test_reading(reach: &Reach, arguments: &TestArguments) -> Result<(), Report> {
    let path = format!("/api/v1/accounts/{}/read", arguments.account);
    let request = ReadTest { mailbox: arguments.mailbox.clone() };
    let ReadTested { ways } = reach.call(Method::POST, &path, Some(&request)).await?;
    let mut failed = None;
    for Probed { protocol, server, mailbox, messages, why, hint } in ways {
        let protocol = protocol.to_uppercase();
        let Some(count) = messages else {
            let why = why.unwrap_or_default();
            say(format_args!("{protocol} does not work at {server}: {why}"));
            let report = Report::new(format!("{mailbox} cannot be read by {protocol}: {why}"));
            failed = failed.or(Some(report.hint(hint.unwrap_or_default())));
            continue;
        };
        say(format_args!("{protocol} works at {server}: {count} messages in the inbox of {mailbox}"));
    }
    failed.map_or(Ok(()), Err)
}

async fn test_sending(
    reach: &mut Reach,
    config: &Config,
    account: &Account,
    arguments: &TestArguments,
) -> Result<(), Report> {
    let name = &arguments.account;
    let own = match &account.mailbox {
        MailboxRule::One(mailbox) => Some(mailbox.to_string()),
        MailboxRule::Domain(_) => arguments.mailbox.clone(),
    };
    let Some(to) = arguments.to.clone().or_else(|| own.clone()) else {
        return Err(Report::new(format!("account `{name}` is for any mailbox of its domain"))
            .hint("name the one to send from with --mailbox"));
    };
    let message = TestMessage { to, from: own };
    let path = format!("/api/v1/accounts/{name}/test");
    let TestSent { id } = reach.call(Method::POST, &path, Some(&message)).await?;
    say(format_args!("{id} is in the queue, to {}", message.to));
    reach.deliver(config);
    let end = Instant::now() + Duration::from_secs(arguments.wait);
    loop {
        let detail: Detail = reach.get(&format!("/api/v1/messages/{id}")).await?;
        if let Some(outcome) = outcome(&detail, arguments, Instant::now() >= end) {
            print_detail(&detail);
            return outcome;
        }
        sleep(LOOK_EVERY).await;
    }
}

/// What became of it; `None`: nothing yet.
fn outcome(detail: &Detail, arguments: &TestArguments, time_is_up: bool) -> Option<Result<(), Report>> {
    let summary = &detail.summary;
    let failed = |what: &str| {
        let why = summary.failure.as_ref().map(|failure| format!(": {failure}")).unwrap_or_default();
        let report = Report::new(format!("the test message {what}{why}"));
        let hint = summary.hint.clone().unwrap_or_else(|| format!("run `oxpost doctor {}`", arguments.account));
        Some(Err(report.hint(hint)))
    };
    match summary.state {
        State::Relayed => {
            say("the provider took it; whether it arrives shows in the mailbox");
            Some(Ok(()))
        }
        State::Failed => failed("failed"),
        State::Dropped => failed("was dropped"),
        State::Held => failed("is held"),
        State::Waiting if summary.attempts > 0 => failed("was put off and will be tried again"),
        State::Waiting | State::Sending if time_is_up => failed("is still on its way"),
        State::Waiting | State::Sending => None,
    }
}

async fn forget(reach: &Reach, name: &str) -> Result<(), Report> {
    reach.call::<()>(Method::DELETE, &format!("/api/v1/accounts/{name}/sign-in"), None::<&()>).await?;
    say(format_args!("the sign-in of account `{name}` is forgotten here; at the provider the app keeps its consent"));
    say(format_args!("next: oxpost login {name}"));
    Ok(())
}
