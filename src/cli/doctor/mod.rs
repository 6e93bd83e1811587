//! `oxpost doctor`: goes the whole way of a token and of a login, step by step, and says at each what is in the way and
//! what to do about it. It sends no mail and changes nothing.

mod account;
mod causes;
mod chart;
mod claims;
mod identity;
mod network;
mod reading;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use clap::Args;

use self::chart::Chart;
use self::network::Network;
use super::block_on;
use super::reach::{Reach, load};
use super::report::Report;
use crate::clock::Clock;
use crate::config::Config;
use crate::delivery::Way;
use crate::http::{Http, HttpSettings};
use crate::net::connect::Connector;
use crate::reading::UpstreamTls;

/// How long one step may take.
const STEP: Duration = Duration::from_secs(10);

#[derive(Args, Debug)]
pub(super) struct DoctorArguments {
    /// The account to look at. Default: all.
    account: Option<String>,
    /// With an account for a whole domain: the mailbox to try.
    #[arg(long)]
    mailbox: Option<String>,
}

/// Examines; the exit code says whether all is well.
pub(super) fn run(path: &Path, arguments: &DoctorArguments) -> Result<(), Report> {
    let config = load(path)?;
    let wanted: Vec<String> = config
        .accounts
        .iter()
        .map(|account| account.name.clone())
        .filter(|name| arguments.account.as_ref().is_none_or(|one| one == name))
        .collect();
    if wanted.is_empty() {
        let known: Vec<_> = config.accounts.iter().map(|account| account.name.as_str()).collect();
        let name = arguments.account.as_deref().unwrap_or_default();
        return Err(Report::new(format!("there is no account `{name}`"))
            .hint(format!("the configuration has: {}", known.join(", "))));
    }
    block_on(async {
        let reach = Reach::open(&config).await?;
        let mut chart = Chart::new(std::io::stdout());
        let examined = examine(&config, &reach, (&wanted, arguments.mailbox.as_deref()), &mut chart).await;
        reach.close().await;
        examined?;
        chart.verdict()
    })
}

async fn examine(
    config: &Config,
    reach: &Reach,
    (wanted, mailbox): (&[String], Option<&str>),
    chart: &mut Chart<impl std::io::Write>,
) -> Result<(), Report> {
    let proxy = config.network.proxy.clone();
    let settings =
        HttpSettings { ca_file: config.ca_file.clone(), proxy: proxy.clone(), timeout: STEP, connect_timeout: STEP };
    let http = Http::new(settings).map_err(|error| Report::new(error.to_string()))?;
    let connector = Connector::new(config.ca_file.as_deref()).map_err(|error| Report::new(error.to_string()))?;
    let connector = connector.with_proxy(proxy);
    chart.heading("this machine");
    if reach.is_running() {
        chart.fine("gateway", "it runs and answers on its control socket");
    } else {
        chart.skipped("gateway", "it does not run; this command works with the data folder itself");
    }
    if let Some(variable) = config.network.ignored {
        let what = format!("`{variable}` names a proxy, and nothing goes through it: `[network]` says nothing of it");
        chart.skipped("proxy", &what);
    }
    let network = Network { connector: connector.clone() };
    for server in servers(config, wanted) {
        network.examine(&server, chart).await;
    }
    for provider in &config.token.providers {
        let is_used = |name: &String| accounts_provider(config, name) == Some(provider.name.as_str());
        if wanted.iter().any(is_used) {
            chart.heading(&format!("provider `{}`", provider.name));
            identity::examine(provider, &http, &Clock::system(), chart).await;
        }
    }
    for name in wanted {
        chart.heading(&format!("account `{name}`"));
        account::Examination { config, reach, http: &http, connector: &connector, name, mailbox }.run(chart).await;
    }
    Ok(())
}

fn accounts_provider<'c>(config: &'c Config, account: &str) -> Option<&'c str> {
    let account = config.accounts.iter().find(|known| known.name == account)?;
    Some(&account.provider)
}

/// A server that accounts depend on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Server {
    host: String,
    port: u16,
    /// TLS with the first octet.
    tls: bool,
}

impl Server {
    fn of_url(url: &url::Url) -> Option<Self> {
        let (host, port) = (url.host_str()?.trim_matches(['[', ']']).to_owned(), url.port_or_known_default()?);
        Some(Self { host, port, tls: url.scheme() == "https" })
    }
}

/// Every server once.
fn servers(config: &Config, wanted: &[String]) -> BTreeSet<Server> {
    let mut servers = BTreeSet::new();
    for name in wanted {
        let provider = accounts_provider(config, name);
        let provider = config.token.providers.iter().find(|known| Some(known.name.as_str()) == provider);
        let identity = provider.and_then(|provider| provider.token_url.as_ref().or(provider.issuer.as_ref()));
        servers.extend(identity.and_then(Server::of_url));
        for way in config.delivery.accounts.get(name).iter().flat_map(|ways| &ways.ways) {
            servers.extend(match way {
                Way::Graph(graph) => Server::of_url(&graph.base),
                Way::Gmail(gmail) => Server::of_url(&gmail.base),
                Way::Ews(ews) => Server::of_url(&ews.url),
                Way::Smtp(smtp) => Some(Server {
                    host: smtp.host.clone(),
                    port: smtp.port,
                    tls: smtp.tls == crate::delivery::SmtpTls::Implicit,
                }),
            });
        }
        let reading = config.reading.get(name).into_iter().flat_map(|servers| [&servers.imap, &servers.pop3]);
        servers.extend(reading.flatten().map(|server| Server {
            host: server.host.clone(),
            port: server.port,
            tls: server.tls == UpstreamTls::Implicit,
        }));
    }
    servers
}
