//! What a configuration would do on this machine, and what about it is risky: the answer of `oxpost check`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use ipnet::IpNet;

use super::machine::{Machine, is_readable_by_others};
use super::quantity::{duration_words, size_words};
use super::{Config, KeySource};
use crate::account::{Account, Client, MailboxRule};
use crate::delivery::{AccountWays, Limits, SmtpTls, Way};
use crate::front::{ListenerSettings, ListenerTls};
use crate::mail::SenderPolicy;
use crate::token::{ClientAuthentication, Grant, Provider, ProviderKind};

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
    let mut warnings = Vec::new();
    for client in &config.clients.0 {
        warn_of_client(config, client, machine, &mut warnings);
    }
    for (index, listener) in config.submission.listeners.iter().enumerate() {
        warn_of_listener(config, index + 1, listener, &mut warnings);
    }
    for account in &config.accounts {
        warn_of_account(config, account, &mut warnings);
    }
    warn_of_files(config, &mut warnings);
    Report { sections, warnings }
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
    Section {
        heading: format!("gateway `{}`", config.hostname),
        lines: vec![
            format!("data: `{}`, sealed with the key from {key}", config.data.display()),
            format!("certificate: {certificate}"),
            format!(
                "queue: tried for {}, on hold for {} at most, listed for {}",
                duration_words(queue.expire_after),
                duration_words(queue.hold_expire_after),
                duration_words(queue.keep)
            ),
        ],
    }
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
    let admitted: Vec<&Client> = admitted(config, listener).collect();
    if admitted.is_empty() {
        lines.push("nobody may use it".to_owned());
    }
    lines.extend(admitted.into_iter().map(client_line));
    if let Some(octets) = listener.max_octets {
        lines.push(format!("messages up to {}", size_words(octets)));
    }
    Section { heading: format!("listener {} smtp", list_addresses(&listener.listen)), lines }
}

fn admitted<'c>(config: &'c Config, listener: &ListenerSettings) -> impl Iterator<Item = &'c Client> {
    config.clients.0.iter().map(AsRef::as_ref).filter(|client| listener.admits(&client.name))
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
    let accounts = client.accounts.iter().map(|account| format!("`{}`", account.name)).collect::<Vec<_>>().join(", ");
    let sender = match client.sender {
        SenderPolicy::Keep => "the sender is kept",
        SenderPolicy::Rewrite => "the sender becomes the mailbox",
        SenderPolicy::Strict => "the sender must be the mailbox",
    };
    format!("client `{}` {}: account {accounts}; {sender}", client.name, by.join(", or "))
}

fn account_section(config: &Config, account: &Account) -> Option<Section> {
    let ways = config.delivery.accounts.get(&account.name)?;
    let grant = match grant(config, account)? {
        Grant::AuthorizationCode => format!("authorization code; sign in once with `oxpost login {}`", account.name),
        Grant::ClientCredentials => "client credentials; nobody signs in".to_owned(),
        Grant::RefreshToken(Some(_)) => "refresh token from this configuration".to_owned(),
        Grant::RefreshToken(None) => "refresh token that was imported before".to_owned(),
    };
    let mailbox = match &account.mailbox {
        MailboxRule::One(address) => address.to_string(),
        MailboxRule::Domain(domain) => format!("any mailbox of {domain}"),
    };
    let lines = vec![
        format!("mailbox: {mailbox}"),
        format!("grant: {grant}"),
        format!("ways out: {}", ways.ways.iter().map(way_words).collect::<Vec<_>>().join(", then ")),
        format!("limits: {}", limit_words(ways)),
    ];
    Some(Section { heading: format!("account `{}` at `{}`", account.name, account.provider), lines })
}

fn grant<'c>(config: &'c Config, account: &Account) -> Option<&'c Grant> {
    config.token.accounts.iter().find(|settings| settings.name == account.name).map(|settings| &settings.grant)
}

fn way_words(way: &Way) -> String {
    let size = size_words(way.max_octets());
    match way {
        Way::Graph(graph) => format!("graph by {} (up to {size})", graph.base),
        Way::Smtp(smtp) => {
            let tls = match smtp.tls {
                SmtpTls::StartTls => "STARTTLS",
                SmtpTls::Implicit => "TLS",
            };
            format!("smtp by {}:{} with {tls} (up to {size})", smtp.host, smtp.port)
        }
    }
}

fn limit_words(ways: &AccountWays) -> String {
    let Limits { smtp_sessions, graph_requests, messages_per_minute, recipients_per_day } = ways.limits;
    let has_smtp = ways.ways.iter().any(|way| matches!(way, Way::Smtp(_)));
    let has_graph = ways.ways.iter().any(|way| matches!(way, Way::Graph(_)));
    let mut words: Vec<String> = Vec::new();
    let mut say = |is_there: bool, number: u64, what: &str| {
        if is_there && number > 0 {
            words.push(format!("{number} {what}"));
        }
    };
    say(has_smtp, smtp_sessions as u64, "SMTP sessions");
    say(has_graph, graph_requests as u64, "Graph requests at once");
    say(true, u64::from(messages_per_minute), "messages a minute");
    say(true, u64::from(recipients_per_day), "recipients a day");
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

fn list_addresses(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ")
}

fn warn_of_client(config: &Config, client: &Client, machine: &Machine, warnings: &mut Vec<Warning>) {
    let name = &client.name;
    for network in &client.networks {
        warn_of_network(name, network, machine, warnings);
    }
    let by_graph = client.accounts.iter().find(|account| {
        let ways = config.delivery.accounts.get(&account.name);
        ways.is_some_and(|ways| ways.ways.iter().any(|way| matches!(way, Way::Graph(_))))
    });
    if let (SenderPolicy::Keep, Some(account)) = (client.sender, by_graph) {
        warnings.push(Warning {
            risk: format!("client `{name}` keeps its sender, and account `{}` sends by Graph", account.name),
            hint: "Graph refuses a From that the mailbox may not send as: give it the Send As right, or use \
                   `sender = \"rewrite\"`"
                .to_owned(),
        });
    }
    if client.any_login {
        warnings.push(Warning {
            risk: format!("client `{name}` has `any_login`: whatever its networks say as a password is right"),
            hint: "keep its networks as small as the devices that need it".to_owned(),
        });
    }
}

/// Who comes through a gateway or a bridge may be anybody behind it.
fn warn_of_network(client: &str, network: &IpNet, machine: &Machine, warnings: &mut Vec<Warning>) {
    if network.prefix_len() == 0 {
        warnings.push(Warning {
            risk: format!("client `{client}` trusts every address there is (`{network}`)"),
            hint: "write the networks it really comes from".to_owned(),
        });
        return;
    }
    let holds = |address: &IpAddr| network.contains(address);
    if let Some(gateway) = machine.gateways.iter().find(|gateway| holds(gateway)) {
        warnings.push(Warning {
            risk: format!(
                "client `{client}` trusts `{network}`, which holds this machine's default gateway {gateway}: where it \
                 translates addresses, mail from the internet would come in as from there"
            ),
            hint: "leave the gateway out, with smaller networks, or use a login".to_owned(),
        });
    }
    let meets = |bridge: &IpNet| network.contains(bridge) || bridge.contains(network);
    for bridge in machine.bridges.iter().filter(|bridge| meets(&bridge.network)) {
        warnings.push(Warning {
            risk: format!(
                "client `{client}` trusts `{network}`, where the containers of `{}` ({}) are: with a published port \
                 everybody may seem to come from there",
                bridge.name, bridge.network
            ),
            hint: "use a login for containers, or write the addresses of those that may send".to_owned(),
        });
    }
}

fn warn_of_listener(config: &Config, number: usize, listener: &ListenerSettings, warnings: &mut Vec<Warning>) {
    let addresses = list_addresses(&listener.listen);
    if listener.allow_clear_auth && listener.is_reachable() && listener.tls != ListenerTls::Implicit {
        warnings.push(Warning {
            risk: format!(
                "listener {number} ({addresses}) takes passwords without TLS, and other machines can reach it"
            ),
            hint: "take `allow_clear_auth` out, or keep the port to a network of its own".to_owned(),
        });
    }
    if admitted(config, listener).next().is_none() {
        warnings.push(Warning {
            risk: format!("listener {number} ({addresses}) has no client, so nobody may use it"),
            hint: "add a `[[client]]` with `networks` or a `login`".to_owned(),
        });
    }
}

fn warn_of_account(config: &Config, account: &Account, warnings: &mut Vec<Warning>) {
    let Some(provider) = config.token.providers.iter().find(|provider| provider.name == account.provider) else {
        return;
    };
    let Some(ways) = config.delivery.accounts.get(&account.name) else { return };
    let name = &account.name;
    let by_smtp_alone = ways.ways.iter().all(|way| matches!(way, Way::Smtp(_)));
    if provider.kind == ProviderKind::Microsoft && by_smtp_alone {
        warnings.push(Warning {
            risk: format!("account `{name}` sends by SMTP alone, which many Microsoft directories have switched off"),
            hint: "add \"graph\" to `send`, or run `Set-CASMailbox -SmtpClientAuthenticationDisabled $false` for the \
                   mailbox"
                .to_owned(),
        });
    }
    if provider.kind == ProviderKind::Microsoft && provider.scopes.is_some() && ways.ways.len() > 1 {
        warnings.push(Warning {
            risk: format!(
                "provider `{}` has `scopes`, and account `{name}` needs tokens for two resources",
                provider.name
            ),
            hint: "take `scopes` out: one set of scopes gives a token for one resource alone".to_owned(),
        });
    }
    if needs_the_secret_of_google(provider) {
        warnings.push(Warning {
            risk: format!(
                "provider `{}` has no `client_secret`, which Google wants of desktop apps too",
                provider.name
            ),
            hint: "add `client_secret = { file = \"PATH\" }` with the one of the Google Cloud console".to_owned(),
        });
    }
}

const fn needs_the_secret_of_google(provider: &Provider) -> bool {
    matches!((provider.kind, &provider.authentication), (ProviderKind::Google, ClientAuthentication::None))
}

fn warn_of_files(config: &Config, warnings: &mut Vec<Warning>) {
    let key = match &config.key {
        KeySource::File(path) => Some(path),
        KeySource::Environment(_) | KeySource::Credential(_) => None,
    };
    let private = config.submission.tls.key.iter().chain(&config.secret_files).chain(key);
    for path in private.map(AsRef::<Path>::as_ref).filter(|path| is_readable_by_others(path)) {
        warnings.push(Warning {
            risk: format!("`{}` holds a secret, and everybody on this machine can read it", path.display()),
            hint: format!("run `chmod o-rwx {}`", path.display()),
        });
    }
}
