//! What a configuration would do on this machine, and what about it is risky: the answer of `oxpost check`.

mod risks;

use std::fmt;
use std::net::SocketAddr;

use ipnet::IpNet;

use super::machine::Machine;
use super::quantity::{duration_words, size_words};
use super::{Config, KeySource};
use crate::account::{Account, Client, MailboxRule};
use crate::delivery::{AccountWays, Limits, SmtpLogin, SmtpTls, WatchedBy, Way};
use crate::front::{ListenerSettings, ListenerTls, Mode};
use crate::mail::{Address, SenderPolicy};
use crate::reading::{ReadingServer, ReadingServers, UpstreamTls};
use crate::token::Grant;

/// A part of the report: a heading and what belongs to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Section {
    /// What it is about.
    pub heading: String,
    /// One statement a line.
    pub lines: Vec<String>,
}

/// A risk that is not a fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warning {
    /// What could happen, and through which key.
    pub risk: String,
    /// What to do about it.
    pub hint: String,
}

/// What a configuration would do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// What the gateway would do: files, listeners, accounts.
    pub sections: Vec<Section>,
    /// What is risky about it.
    pub warnings: Vec<Warning>,
}

/// Looks at a configuration in the light of the machine it would run on.
pub fn report(config: &Config, machine: &Machine) -> Report {
    let listeners = config.submission.listeners.iter().map(|listener| listener_section(config, listener));
    let accounts = config.accounts.iter().filter_map(|account| account_section(config, account));
    let sections = std::iter::once(gateway_section(config)).chain(listeners).chain(accounts).collect();
    Report { sections, warnings: risks::warnings(config, machine) }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for section in &self.sections {
            writeln!(f, "{}", section.heading)?;
            for line in &section.lines {
                writeln!(f, "  {line}")?;
            }
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {}\n  hint: {}", warning.risk, warning.hint)?;
        }
        Ok(())
    }
}

fn gateway_section(config: &Config) -> Section {
    let key = match &config.key {
        KeySource::Environment(_) => "the environment variable `OXPOST_KEY`".to_owned(),
        KeySource::Credential(path) => format!("the credential `{}`", path.display()),
        KeySource::File(path) => format!("`{}`", path.display()),
    };
    let certificate = match &config.submission.tls.certificate {
        Some(path) => format!("`{}`", path.display()),
        None => format!("self-made, in `{}`", config.submission.tls.folder.display()),
    };
    let queue = &config.queue;
    let people = config.directory.as_ref().map(|people| format!("people: looked up with account `{}`", people.account));
    let lines = vec![
        format!("data: `{}`, sealed with the key from {key}", config.data.display()),
        format!("certificate: {certificate}"),
        page_line(config),
        network_line(config),
        format!(
            "queue: tried for {}, on hold for {} at most, listed for {}",
            duration_words(queue.expire_after),
            duration_words(queue.hold_expire_after),
            duration_words(queue.keep)
        ),
    ];
    Section { heading: format!("gateway `{}`", config.hostname), lines: lines.into_iter().chain(people).collect() }
}

fn network_line(config: &Config) -> String {
    let Some(proxy) = &config.network.proxy else { return "network: no proxy".to_owned() };
    let login = proxy.login.as_ref().map(|login| format!(", logging in as `{}`", login.name)).unwrap_or_default();
    let loopback = if proxy.for_loopback { "" } else { ", but for this machine's own addresses" };
    let also = if proxy.past.is_empty() { "" } else { " and what `no_proxy` lists" };
    format!("network: all connections go through the proxy `{}`{login}{loopback}{also}", proxy.name())
}

fn page_line(config: &Config) -> String {
    let page = &config.page;
    if page.listen.is_empty() {
        return "page: none".to_owned();
    }
    let scheme = if page.tls { "https" } else { "http" };
    let public = page.public_url.as_ref().map(|url| format!(", browsed as {url}")).unwrap_or_default();
    let entry = if page.password.is_some() { "the password" } else { "one-time links" };
    let keys: Vec<String> = page.keys.iter().map(|key| format!("`{}`", key.name)).collect();
    let keys = if keys.is_empty() { String::new() } else { format!("; API keys {}", keys.join(", ")) };
    let loopback = page.listen.iter().all(|address| address.ip().is_loopback());
    let place = match page.listen.first() {
        Some(first) if loopback => format!("localhost:{}", first.port()),
        _ => list_addresses(&page.listen),
    };
    format!("page: {scheme} on {place}{public}, entered by {entry}{keys}")
}

fn listener_section(config: &Config, listener: &ListenerSettings) -> Section {
    let tls = match listener.tls {
        ListenerTls::None => "clear text",
        ListenerTls::StartTls => "clear text and STARTTLS",
        ListenerTls::Implicit => "TLS",
        ListenerTls::Auto => "TLS or clear text, as the client begins",
    };
    let reach = if listener.is_reachable() { "other machines can reach it" } else { "this machine alone" };
    let logins = match (listener.tls, listener.allow_clear_auth) {
        (_, true) => "logins are taken without TLS too",
        (ListenerTls::None, false) => "no logins are taken",
        (ListenerTls::StartTls | ListenerTls::Auto, false) => "logins are taken over TLS alone",
        (ListenerTls::Implicit, false) => "logins are taken",
    };
    let mut lines = vec![format!("{tls}; {reach}; {logins}")];
    if let Mode::Direct(patience) = listener.mode {
        lines.push(format!("direct: a client waits {} at most for the provider's answer", duration_words(patience)));
    }
    let admitted: Vec<&Client> = admitted(config, listener).collect();
    if admitted.is_empty() {
        lines.push("nobody may use it".to_owned());
    }
    lines.extend(admitted.into_iter().map(client_line));
    if let Some(octets) = listener.max_octets {
        lines.push(format!("messages up to {}", size_words(octets)));
    }
    Section { heading: format!("listener {} {}", list_addresses(&listener.listen), listener.protocol.name()), lines }
}

fn admitted<'c>(config: &'c Config, listener: &ListenerSettings) -> impl Iterator<Item = &'c Client> {
    config.clients.iter().map(AsRef::as_ref).filter(|client| listener.admits(&client.name))
}

fn client_line(client: &Client) -> String {
    let mut by: Vec<String> = Vec::new();
    if !client.networks.is_empty() {
        let networks = client.networks.iter().map(IpNet::to_string).collect::<Vec<_>>().join(", ");
        by.push(format!("from {networks}{}", if client.any_login { " with any login" } else { "" }));
    }
    if let Some((login, _)) = &client.login {
        by.push(format!("with the login `{login}`"));
    }
    let accounts = client.accounts.iter().map(|account| format!("`{}`", account.name)).collect::<Vec<_>>().join(" or ");
    let sender = match client.sender {
        SenderPolicy::Keep => "the sender is kept",
        SenderPolicy::Rewrite => "the sender becomes the mailbox",
        SenderPolicy::Strict => "the sender must be the mailbox",
    };
    let aliases = match client.aliases.len() {
        0 => String::new(),
        1 => ", and 1 other name becomes a mailbox".to_owned(),
        count => format!(", and {count} other names become mailboxes"),
    };
    format!("client `{}` {}: through {accounts}; {sender}{aliases}", client.name, by.join(", or "))
}

fn account_section(config: &Config, account: &Account) -> Option<Section> {
    let ways = config.delivery.accounts.get(&account.name)?;
    let grant = match grant(config, account)? {
        Grant::AuthorizationCode => format!("authorization code; sign in once with `oxpost login {}`", account.name),
        Grant::DeviceCode => format!("device code; sign in once with `oxpost login {}`", account.name),
        Grant::ClientCredentials => "client credentials; nobody signs in".to_owned(),
        Grant::ServiceAccount => "service account; nobody signs in".to_owned(),
        Grant::ManagedIdentity => "managed identity of this machine; nobody signs in".to_owned(),
        Grant::RefreshToken(Some(_)) => "refresh token from this configuration".to_owned(),
        Grant::RefreshToken(None) => "refresh token that was imported before".to_owned(),
    };
    let mailbox = match &account.mailbox {
        MailboxRule::One(address) => address.to_string(),
        MailboxRule::Domain(domain) => format!("any mailbox of {domain}"),
    };
    let mut lines = vec![format!("mailbox: {mailbox}"), format!("grant: {grant}")];
    if !ways.ways.is_empty() {
        lines.push(format!("ways out: {}", ways.ways.iter().map(way_words).collect::<Vec<_>>().join(", then ")));
        lines.push(format!("limits: {}", limit_words(ways)));
    }
    if let Some(servers) = config.reading.get(&account.name) {
        lines.push(format!("read by {}", reading_words(servers)));
    }
    if let Some(inbox) = config.delivery.inboxes.iter().find(|inbox| inbox.account == account.name) {
        let every = duration_words(inbox.every);
        let by = match &inbox.by {
            WatchedBy::Graph { base, .. } => format!("{base} (needs Mail.Read)"),
            WatchedBy::Imap(server) => format!("IMAP at {}:{}", server.host, server.port),
        };
        lines.push(format!("inbox: looked into every {every} for reports about mail that did not arrive, by {by}"));
    }
    if !account.shared.is_empty() {
        lines.push(format!(
            "shared mailboxes: {}",
            account.shared.iter().map(Address::to_string).collect::<Vec<_>>().join(", ")
        ));
    }
    Some(Section { heading: format!("account `{}` at `{}`", account.name, account.provider), lines })
}

fn grant<'c>(config: &'c Config, account: &Account) -> Option<&'c Grant> {
    config.token.accounts.iter().find(|settings| settings.name == account.name).map(|settings| &settings.grant)
}

fn way_words(way: &Way) -> String {
    let size = size_words(way.max_octets());
    match way {
        Way::Graph(graph) if graph.drafts.is_some() => {
            let one = size_words(graph.max_octets);
            format!("graph by {} (up to {one}, and as a draft up to {size}, which needs Mail.ReadWrite)", graph.base)
        }
        Way::Graph(graph) => format!("graph by {} (up to {size})", graph.base),
        Way::Gmail(gmail) => format!("gmail by {} (up to {size})", gmail.base),
        Way::Ews(ews) => format!("ews by {} (up to {size})", ews.url),
        Way::Smtp(smtp) => {
            let tls = match smtp.tls {
                SmtpTls::StartTls => "STARTTLS",
                SmtpTls::Implicit => "TLS",
                SmtpTls::Never => "no TLS",
            };
            let login = match &smtp.login {
                SmtpLogin::Token => String::new(),
                SmtpLogin::Password { login, .. } => format!(", logging in as `{login}` with a password"),
                SmtpLogin::Nobody => ", without a login".to_owned(),
            };
            format!("{} by {}:{} with {tls}{login} (up to {size})", way.kind(), smtp.host, smtp.port)
        }
    }
}

fn reading_words(servers: &ReadingServers) -> String {
    let words = |name: &str, server: &Option<ReadingServer>| {
        let ReadingServer { host, port, tls } = server.as_ref()?;
        let tls = match tls {
            UpstreamTls::StartTls => "STARTTLS",
            UpstreamTls::Implicit => "TLS",
        };
        Some(format!("{name} at {host}:{port} with {tls}"))
    };
    let all = [words("imap", &servers.imap), words("pop3", &servers.pop3)];
    all.into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

fn limit_words(ways: &AccountWays) -> String {
    let Limits { smtp_sessions, graph_requests, messages_per_minute, recipients_per_day, .. } = ways.limits;
    let has_smtp = ways.ways.iter().any(|way| matches!(way, Way::Smtp(_)));
    let has_requests = ways.ways.iter().any(|way| !matches!(way, Way::Smtp(_)));
    let mut words: Vec<String> = Vec::new();
    let mut say = |is_there: bool, number: u64, what: &str| {
        if is_there && number > 0 {
            words.push(format!("{number} {what}"));
        }
    };
    say(has_smtp, smtp_sessions as u64, "SMTP sessions");
    say(has_requests, graph_requests as u64, "requests at once");
    say(true, u64::from(messages_per_minute), "messages a minute");
    say(true, u64::from(recipients_per_day), "recipients a day");
    if ways.ways.iter().any(|way| matches!(way, Way::Graph(_))) {
        let (octets, requests) = (ways.limits.graph_octets_per_5_minutes, ways.limits.graph_requests_per_10_minutes);
        let uploads = (octets > 0).then(|| format!("{} by Graph in 5 minutes", size_words(octets)));
        let requests = (requests > 0).then(|| format!("{requests} requests in 10 minutes"));
        words.extend(uploads.into_iter().chain(requests));
    }
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

fn list_addresses(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ")
}
