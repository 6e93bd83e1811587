//! What the page is told by configuration, and what it shows of it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use super::Scope;
use crate::account::{Account, Clients, PasswordHash};
use crate::delivery::AccountWays;
use crate::front::SubmissionSettings;
use crate::reading::ReadingServers;
use crate::token::Provider;

/// Settings of the page's port.
#[derive(Clone, Debug)]
pub struct PageSettings {
    /// Addresses and ports, resolved; empty: there is no page.
    pub listen: Vec<SocketAddr>,
    /// Whether the configuration names the address. A default that is taken is no reason not to start.
    pub wanted: bool,
    /// Whether the port speaks HTTPS, with the certificate of the listeners.
    pub tls: bool,
    /// Where the page is browsed from elsewhere, through a proxy for instance.
    pub public_url: Option<Url>,
    /// Proxies before the page: who asks through them is whom they name in `X-Forwarded-For`.
    pub proxies: Vec<IpNet>,
    /// The administrator's password; `None`: the page is entered by one-time links.
    pub password: Option<PasswordHash>,
    /// API keys.
    pub keys: Vec<ApiKey>,
    /// Networks from which monitoring may read figures and health without a key.
    pub watch_from: Vec<IpNet>,
}

/// A key with which a program uses the API.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Its name.
    pub name: String,
    /// The hash of its secret.
    pub secret: PasswordHash,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The name of the client whose mail it hands in.
    pub client: Option<String>,
}

/// What the configuration says, as the page shows it.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The SMTP listeners and the certificate.
    pub submission: SubmissionSettings,
    /// Who may come in.
    pub clients: Clients,
    /// All accounts, by name.
    pub accounts: Vec<Arc<Account>>,
    /// All providers.
    pub providers: Vec<Provider>,
    /// How each account's mail goes out, by its name.
    pub ways: HashMap<String, AccountWays>,
    /// Where the accounts that are read have their servers, by the account's name.
    pub reading: HashMap<String, ReadingServers>,
    /// How long each step at a provider may take.
    pub step_timeout: Duration,
    /// The page itself.
    pub page: PageSettings,
}

impl Setup {
    /// The account of this name.
    pub fn account(&self, name: &str) -> Option<&Arc<Account>> {
        self.accounts.iter().find(|account| account.name == name)
    }

    /// The provider of an account.
    pub fn provider_of(&self, account: &Account) -> Option<&Provider> {
        self.providers.iter().find(|provider| provider.name == account.provider)
    }
}
