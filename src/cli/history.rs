//! `oxpost history`: what became of messages.

use std::path::Path;

use clap::Args;

use super::block_on;
use super::queue::{print_detail, understood};
use super::reach::{Reach, load};
use super::report::{Report, say};
use crate::queue::Detail;

/// Messages that are asked for at once.
const PAGE: usize = 200;

#[derive(Args, Debug)]
pub(super) struct HistoryArguments {
    /// A queue id, a Message-ID or an address, or a part of one.
    text: Option<String>,
    /// Messages of this client alone.
    #[arg(long)]
    client: Option<String>,
    /// Messages of this account alone.
    #[arg(long)]
    account: Option<String>,
    /// Messages that were accepted on this day (UTC), such as 2026-11-21.
    #[arg(long)]
    day: Option<String>,
    /// Messages alone of which a report in the mailbox said later that they did not arrive (`watch_inbox`).
    #[arg(long)]
    bounced: bool,
    /// At most so many, newest first.
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// All of them, however many.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Prints the lives of messages, newest first.
pub(super) fn run(config: &Path, arguments: &HistoryArguments) -> Result<(), Report> {
    let config = load(config)?;
    block_on(async {
        let reach = Reach::open(&config).await?;
        let told = tell(&reach, arguments).await;
        reach.close().await;
        if told? == 0 && !arguments.json {
            say("no such message is known; history is kept for `keep` of `[queue]`");
        }
        Ok(())
    })
}

/// Page after page; each line goes out before the next page is asked for. Returns how many there were.
async fn tell(reach: &Reach, arguments: &HistoryArguments) -> Result<usize, Report> {
    let most = if arguments.all { usize::MAX } else { arguments.limit };
    let (mut told, mut before) = (0, None);
    while told < most {
        let wanted = PAGE.min(most - told);
        let answer: serde_json::Value = reach.get(&path(arguments, wanted, before.as_deref())).await?;
        let messages = answer.get("messages").and_then(|messages| messages.as_array()).cloned().unwrap_or_default();
        for message in &messages {
            if arguments.json { say(message) } else { print_detail(&understood::<Detail>(message.clone())?) }
        }
        told += messages.len();
        let last = messages.last().and_then(|last| last.pointer("/summary/id")?.as_str().map(str::to_owned));
        if messages.len() < wanted || last.is_none() {
            break;
        }
        before = last;
    }
    Ok(told)
}

fn path(arguments: &HistoryArguments, limit: usize, before: Option<&str>) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("limit", &limit.to_string());
    let HistoryArguments { text, client, account, day, bounced, .. } = arguments;
    if *bounced {
        query.append_pair("bounced", "true");
    }
    let rest = [
        ("search", text.as_deref()),
        ("client", client.as_deref()),
        ("account", account.as_deref()),
        ("day", day.as_deref()),
        ("before", before),
    ];
    for (name, value) in rest {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    format!("/api/v1/history?{}", query.finish())
}
