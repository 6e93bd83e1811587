//! `oxpost explain FILE`: which way a message would take, and why. Nothing is sent, and no provider is asked.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::Report;
use crate::account::{Account, Client};
use crate::config::Config;
use crate::delivery::AccountWays;
use crate::delivery::route::{Facts, choose};
use crate::mail::address_list::AddressList;
use crate::mail::header::HeaderBlock;
use crate::mail::outgoing::{for_envelope, for_headers};
use crate::mail::{Address, BackendKind, Envelope, Recipient, ReversePath, Sender, SenderPolicy};

/// What `oxpost explain` is told.
#[derive(Args, Debug)]
pub(super) struct ExplainArguments {
    /// The message; `-`: standard input.
    file: PathBuf,
    /// The reverse path, as MAIL FROM would say it; empty: the null reverse path. Default: the first address of From.
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// A recipient, as RCPT TO would say it; may be repeated. Default: everybody whom the header names.
    #[arg(long, value_name = "ADDRESS")]
    to: Vec<Address>,
    /// The client that hands it in, by its name. Default: the first one.
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
}

/// Reads configuration and message and prints the choice.
pub(super) fn run(config: &Path, arguments: &ExplainArguments) -> Result<(), Report> {
    let environment = |name: &str| std::env::var(name).ok();
    let config = Config::load(config, &environment).map_err(|errors| Report::new(errors.to_string()))?;
    let message = canonical(&read(&arguments.file)?);
    let text = explain(&config, arguments, &message)?;
    let written = std::io::stdout().write_all(text.as_bytes());
    written.map_err(|error| Report::new(format!("cannot write: {error}")))
}

fn read(file: &Path) -> Result<Vec<u8>, Report> {
    let mut message = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_end(&mut message).map(drop)
    } else {
        std::fs::read(file).map(|octets| message = octets)
    };
    read.map_err(|error| Report::new(format!("cannot read `{}`: {error}", file.display())))?;
    Ok(message)
}

/// With the line ends that the gateway would give it.
fn canonical(message: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(message.len());
    for line in message.split_inclusive(|&octet| octet == b'\n') {
        lines.extend_from_slice(without_line_end(line));
        if line.ends_with(b"\n") {
            lines.extend_from_slice(b"\r\n");
        }
    }
    lines
}

/// The line without its end, of whatever form.
fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let end = line.iter().rposition(|&octet| octet != b'\r').map_or(0, |last| last + 1);
    &line[..end]
}

fn explain(config: &Config, arguments: &ExplainArguments, message: &[u8]) -> Result<String, Report> {
    let envelope = envelope(arguments, message)?;
    let client = client(config, arguments.client.as_deref())?;
    let alias = envelope.reverse_path().address().and_then(|path| client.alias_of(path));
    let path = alias.or(envelope.reverse_path().address());
    let first = envelope.recipients().first().map(|to| &to.address);
    let found = match config.routing.account(&client.name, envelope.reverse_path().address(), first) {
        Some(account) => client.mailbox_of(account, path).map(|mailbox| (account, mailbox)),
        None => client.account_for(path),
    };
    let (account, mailbox) =
        found.map_err(|error| Report::new(format!("client `{}` cannot send this: {error}", client.name)))?;
    let ways = config.delivery.accounts.get(&account.name);
    let ways = ways.ok_or_else(|| Report::new(format!("account `{}` has no way out", account.name)))?;
    let policy = if alias.is_some() { SenderPolicy::Rewrite } else { client.sender };
    let sender = Sender { policy, mailbox: &mailbox };
    let facts = Facts::read(message, &envelope, &sender, message.len() as u64);
    let mut text = format!(
        "{} octets from {} to {} recipients\nclient `{}`, account `{}`, mailbox {mailbox}\n",
        facts.size,
        envelope.reverse_path().address().map_or("<>".to_owned(), ToString::to_string),
        envelope.recipients().len(),
        client.name,
        account.name,
    );
    text += &list(account, ways, &facts);
    if let Some(first) = choose(ways, &facts, |_| None).ways.first().filter(|first| first.is_able()) {
        let by_smtp = matches!(first.way.kind(), BackendKind::Smtp | BackendKind::Smarthost);
        let outgoing = if by_smtp { for_envelope } else { for_headers }(message, &envelope, &sender);
        for note in outgoing.notes {
            text += &format!("header: {note}\n");
        }
    }
    text += "what the provider refuses or throttles just now is known to the running gateway alone: see `oxpost queue show`\n";
    Ok(text)
}

fn list(account: &Account, ways: &AccountWays, facts: &Facts) -> String {
    let choice = choose(ways, facts, |_| None);
    let mut text = String::new();
    for (number, weighed) in choice.ways.iter().enumerate() {
        let against = weighed.against();
        let verdict = match (weighed.is_able(), number, against.is_empty()) {
            (false, _, _) => format!("cannot carry it: {}", against.join("; ")),
            (true, 0, true) => "taken".to_owned(),
            (true, 0, false) => format!("taken, although {}", against.join("; ")),
            (true, _, true) => "next, if those before it are refused".to_owned(),
            (true, _, false) => format!("next, if those before it are refused, although {}", against.join("; ")),
        };
        text += &format!("{}. {}: {verdict}\n", number + 1, weighed.way.kind());
    }
    if let Some(failure) = choice.failure(ways) {
        text += &format!("it would be refused: {failure}\nhint: {}\n", failure.reason.hint(&account.name));
    }
    text
}

fn client<'c>(config: &'c Config, name: Option<&str>) -> Result<&'c Client, Report> {
    let mut clients = config.clients.iter();
    let found = match name {
        Some(name) => clients.find(|client| client.name == name),
        None => clients.next(),
    };
    let missing = || Report::new(format!("there is no client `{}`", name.unwrap_or_default()));
    found.map(|client| &**client).ok_or_else(missing)
}

fn envelope(arguments: &ExplainArguments, message: &[u8]) -> Result<Envelope, Report> {
    let block = HeaderBlock::parse(message);
    let addresses = |name: &str| -> Vec<Address> {
        block.named(name).flat_map(|field| AddressList::parse(field.body()).into_addresses()).collect()
    };
    let from = match arguments.from.as_deref() {
        Some("" | "<>") => None,
        Some(from) => Some(from.parse().map_err(|error| Report::new(format!("`{from}` is no address: {error}")))?),
        None => addresses("From").into_iter().next(),
    };
    let to = if arguments.to.is_empty() {
        ["To", "Cc", "Bcc"].into_iter().flat_map(addresses).collect()
    } else {
        arguments.to.clone()
    };
    let recipients: Vec<Recipient> = to.into_iter().map(Recipient::from).collect();
    Envelope::new(from.map_or(ReversePath::Null, ReversePath::Mailbox), recipients)
        .map_err(|_| Report::new("nobody is to receive it: name somebody with `--to`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
data = "/tmp"
[provider.p]
kind = "microsoft"
client_id = "c"
[account.scanner]
provider = "p"
mailbox = "scanner@x.example"
send = ["graph", "smtp"]
[[listener]]
listen = "localhost:0"
[[client]]
name = "c"
networks = ["127.0.0.1/32"]
accounts = ["scanner"]
"#;

    fn explained(to: &[&str], message: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("oxpost.toml");
        std::fs::write(&file, CONFIG).unwrap();
        let config = Config::load(&file, &|_| None).unwrap_or_else(|errors| panic!("{errors}"));
        let to = to.iter().map(|to| to.parse().unwrap()).collect();
        let arguments = ExplainArguments { file: PathBuf::new(), from: None, to, client: None };
        explain(&config, &arguments, &canonical(message.as_bytes())).unwrap()
    }

    #[test]
    fn the_choice_is_told_with_its_reasons() {
        let mail = "From: scanner@x.example\nTo: a@y.example, b@y.example\n\ntext\n";
        let plain = explained(&[], mail);
        assert!(plain.contains("to 2 recipients\nclient `c`, account `scanner`, mailbox scanner@x.example"), "{plain}");
        assert!(plain.contains("1. graph: taken\n2. smtp: next, if those before it are refused\n"), "{plain}");
        let fewer = explained(&["a@y.example"], mail);
        assert!(fewer.contains("1. smtp: taken\n2. graph: next"), "{fewer}");
        assert!(fewer.contains("although it mails to whom the header names, and 1 of them"), "{fewer}");
        let large = explained(&[], &format!("{mail}{}", "x".repeat(4 << 20)));
        assert!(large.contains("1. smtp: taken\n2. graph: cannot carry it: 41943"), "{large}");
        let huge = explained(&[], &format!("{mail}{}", "x".repeat(36 << 20)));
        assert!(huge.contains("it would be refused: the message is larger"), "{huge}");
    }
}
