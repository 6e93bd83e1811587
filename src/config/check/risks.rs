//! What is possible and risky: the warnings of `oxpost check`.

use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;

use super::super::machine::{Machine, is_readable_by_others};
use super::super::{Config, KeySource};
use super::{Warning, admitted, list_addresses};
use crate::account::{Account, Client};
use crate::delivery::{SmtpTls, SmtpWay, Way};
use crate::front::{ListenerSettings, ListenerTls};
use crate::mail::{BackendKind, SenderPolicy};
use crate::token::{ClientAuthentication, Provider, ProviderKind};

/// Everything that is risky about a configuration.
pub(super) fn warnings(config: &Config, machine: &Machine) -> Vec<Warning> {
    let mut warnings = Vec::new();
    warn_of_network_settings(config, &mut warnings);
    for provider in &config.token.providers {
        warn_of_provider(provider, &mut warnings);
    }
    for account in &config.accounts {
        warn_of_account(config, account, &mut warnings);
    }
    for (index, listener) in config.submission.listeners.iter().enumerate() {
        warn_of_listener(config, index + 1, listener, &mut warnings);
    }
    for client in config.clients.iter() {
        warn_of_client(config, client, machine, &mut warnings);
    }
    warn_of_files(config, &mut warnings);
    warnings
}

fn warn_of_network_settings(config: &Config, warnings: &mut Vec<Warning>) {
    if let Some(variable) = config.network.ignored {
        warnings.push(Warning {
            risk: format!("the environment variable `{variable}` names a proxy, and nothing goes through it"),
            hint: "write `proxy = \"environment\"` or `proxy = \"none\"` into `[network]`".to_owned(),
        });
    }
    let in_clear = config.network.proxy.as_ref().filter(|proxy| proxy.login.is_some());
    if let Some(proxy) = in_clear {
        warnings.push(Warning {
            risk: format!("the login at the proxy `{}` crosses the network in clear text", proxy.name()),
            hint: "give oxpost a login there that opens nothing else".to_owned(),
        });
    }
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
    // What comes in through a published port has the address of the bridge itself, its first.
    let trusted = |bridge: &IpNet| bridge.hosts().next().is_some_and(|itself| holds(&itself));
    for bridge in machine.bridges.iter().filter(|bridge| trusted(&bridge.network)) {
        warnings.push(Warning {
            risk: format!(
                "client `{client}` trusts `{network}`, which holds the container bridge `{}` ({}): through a \
                 published port everybody may seem to come from there",
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
    let by_smtp_alone = !ways.ways.is_empty() && ways.ways.iter().all(|way| way.kind() == BackendKind::Smtp);
    if provider.kind == ProviderKind::Microsoft && by_smtp_alone {
        warnings.push(Warning {
            risk: format!("account `{name}` sends by SMTP alone, which many Microsoft directories have switched off"),
            hint: "add \"graph\" to `send`, or run `Set-CASMailbox -SmtpClientAuthenticationDisabled $false` for the \
                   mailbox"
                .to_owned(),
        });
    }
    for way in &ways.ways {
        warn_of_way(name, way, warnings);
    }
    warn_of_watching(config, name, warnings);
    if provider.kind == ProviderKind::Microsoft && name_one_resource(provider) && ways.ways.len() > 1 {
        warnings.push(Warning {
            risk: format!(
                "provider `{}` has `scopes`, and account `{name}` needs tokens for two resources",
                provider.name
            ),
            hint: "name scopes of both resources, with `https://...` before each, or take `scopes` out".to_owned(),
        });
    }
}

/// What sending alone would not need.
fn warn_of_watching(config: &Config, account: &str, warnings: &mut Vec<Warning>) {
    if config.delivery.inboxes.iter().any(|inbox| inbox.account == account) {
        warnings.push(Warning {
            risk: format!("account `{account}` has `watch_inbox`: its token may read all mail of the mailbox"),
            hint: "take `watch_inbox` out where nobody looks at what bounced".to_owned(),
        });
    }
}

fn warn_of_way(account: &str, way: &Way, warnings: &mut Vec<Warning>) {
    match way {
        Way::Graph(graph) if graph.drafts.is_some() => warnings.push(Warning {
            risk: format!("account `{account}` has `drafts`: its token may read and change all mail of the mailbox"),
            hint: "take `drafts` out where SMTP carries large mail, or nobody sends any".to_owned(),
        }),
        Way::Ews(ews) if ews.url.host_str().is_some_and(|host| host.contains("outlook")) => warnings.push(Warning {
            risk: format!(
                "account `{account}` sends by EWS, which Exchange Online blocks since 2026-10-01 unless an administrator \
                 allowed this app, and ends on 2027-04-01"
            ),
            hint: "put \"graph\" or \"smtp\" before \"ews\" in `send`; until then the client id must be in \
                   `Set-OrganizationConfig -EwsEnabled $true -EwsAllowedAppIDs`"
                .to_owned(),
        }),
        Way::Smtp(SmtpWay { tls: SmtpTls::Never, host, .. }) => warnings.push(Warning {
            risk: format!("account `{account}` sends by the smarthost `{host}` in clear text"),
            hint: "write `tls = \"starttls\"` into `[smarthost]`, unless the wire to it is your own".to_owned(),
        }),
        Way::Graph(_) | Way::Smtp(_) | Way::Gmail(_) | Way::Ews(_) => {}
    }
}

/// Whether the scopes of the configuration are all of one resource.
fn name_one_resource(provider: &Provider) -> bool {
    let hosts = provider.scopes.iter().flatten().filter_map(|scope| scope.split_once("://")?.1.split('/').next());
    provider.scopes.is_some() && hosts.collect::<std::collections::BTreeSet<_>>().len() < 2
}

fn warn_of_provider(provider: &Provider, warnings: &mut Vec<Warning>) {
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
    let is_google = matches!(provider.kind, ProviderKind::Google);
    is_google && provider.service_account.is_none() && matches!(provider.authentication, ClientAuthentication::None)
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
