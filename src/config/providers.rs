//! `[provider.NAME]`: endpoints, hosts and client authentication of an OAuth 2.0 service.

use std::collections::BTreeMap;

use url::Url;

use super::fault::KeyPath;
use super::file::{self, Cloud, Kind, OneOrMany, UpstreamTls};
use super::reader::{Reader, is_loopback};
use super::reading;
use crate::delivery::SmtpTls;
use crate::front::ReadingServers;
use crate::token::{ClientAuthentication, ManagedIdentity, Provider, ProviderKind};

/// The tenants that stand for many directories; a grant without a person needs a real one.
const SHARED_TENANTS: [&str; 3] = ["common", "organizations", "consumers"];

/// Where a provider takes mail by SMTP.
#[derive(Clone, Debug)]
pub(super) struct Submission {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: SmtpTls,
}

/// A provider with what its accounts need to know of it.
pub(super) struct Service {
    pub(super) kind: Kind,
    /// Whether its tenant is one directory.
    pub(super) has_own_tenant: bool,
    /// Whether the app can prove itself.
    pub(super) has_secret: bool,
    pub(super) graph_url: Option<Url>,
    pub(super) smtp: Option<Submission>,
    /// Where its mail is read.
    pub(super) reading: ReadingServers,
    /// `None` if a fault stands in the way.
    provider: Option<Provider>,
}

/// All providers of a file, by name.
pub(super) struct Services(BTreeMap<String, Service>);

impl Services {
    pub(super) fn get(&self, name: &str) -> Option<&Service> {
        self.0.get(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Service)> {
        self.0.iter()
    }

    pub(super) fn into_providers(self) -> Vec<Provider> {
        self.0.into_values().filter_map(|service| service.provider).collect()
    }
}

/// What is known of a kind of provider without being told.
#[derive(Default)]
struct Known {
    authorize_url: Option<String>,
    token_url: Option<String>,
    graph_host: Option<&'static str>,
    exchange_resource: Option<&'static str>,
    exchange_app_resource: Option<&'static str>,
    smtp_host: Option<&'static str>,
    imap_host: Option<&'static str>,
    pop3_host: Option<&'static str>,
}

impl Known {
    fn of(kind: Kind, cloud: Cloud, tenant: &str) -> Self {
        match kind {
            Kind::Custom => Self::default(),
            Kind::Google => Self {
                authorize_url: Some("https://accounts.google.com/o/oauth2/v2/auth".to_owned()),
                token_url: Some("https://oauth2.googleapis.com/token".to_owned()),
                smtp_host: Some("smtp.gmail.com"),
                imap_host: Some("imap.gmail.com"),
                pop3_host: Some("pop.gmail.com"),
                ..Self::default()
            },
            Kind::Microsoft => Self::microsoft(cloud, tenant),
        }
    }

    /// Hosts of the national clouds:
    /// <https://learn.microsoft.com/en-us/entra/identity-platform/authentication-national-cloud>
    /// and <https://learn.microsoft.com/en-us/graph/deployments>.
    fn microsoft(cloud: Cloud, tenant: &str) -> Self {
        let (login, graph, smtp, delegated, app) = match cloud {
            Cloud::Global => (
                "login.microsoftonline.com",
                "graph.microsoft.com",
                "smtp.office365.com",
                "https://outlook.office.com",
                "https://outlook.office365.com",
            ),
            Cloud::UsGov => (
                "login.microsoftonline.us",
                "graph.microsoft.us",
                "smtp.office365.us",
                "https://outlook.office365.us",
                "https://outlook.office365.us",
            ),
            Cloud::UsDod => (
                "login.microsoftonline.us",
                "dod-graph.microsoft.us",
                "outlook-dod.office365.us",
                "https://outlook-dod.office365.us",
                "https://outlook-dod.office365.us",
            ),
            Cloud::China => (
                "login.partner.microsoftonline.cn",
                "microsoftgraph.chinacloudapi.cn",
                "smtp.partner.outlook.cn",
                "https://partner.outlook.cn",
                "https://partner.outlook.cn",
            ),
        };
        // The host of IMAP, POP3 and EWS is the one that tokens are asked for.
        let reading = app.strip_prefix("https://").unwrap_or(app);
        Self {
            authorize_url: Some(format!("https://{login}/{tenant}/oauth2/v2.0/authorize")),
            token_url: Some(format!("https://{login}/{tenant}/oauth2/v2.0/token")),
            graph_host: Some(graph),
            exchange_resource: Some(delegated),
            exchange_app_resource: Some(app),
            smtp_host: Some(smtp),
            imap_host: Some(reading),
            pop3_host: Some(reading),
        }
    }
}

/// Reads all providers. A provider without a kind is left out; its accounts say nothing of it.
pub(super) fn read(reader: &mut Reader<'_>) -> Services {
    let mut services = BTreeMap::new();
    for (name, typed) in &reader.file.provider {
        let at = KeyPath::root().key("provider").key(name);
        if let Some(kind) = typed.kind {
            let service = service(reader, &at, name, (kind, typed));
            services.insert(name.clone(), service);
        }
    }
    Services(services)
}

fn service(reader: &mut Reader<'_>, at: &KeyPath, name: &str, (kind, typed): (Kind, &file::Provider)) -> Service {
    refuse_keys_of_another_kind(reader, at, kind, typed);
    if typed.client_id.as_ref().is_some_and(|id| id.trim().is_empty()) {
        reader.fault(
            at.key("client_id"),
            "the client id is empty",
            "write the id of the app as its registration shows it",
        );
    }
    let known = Known::of(kind, typed.cloud, tenant(reader, at, typed));
    let secret = typed.client_secret.as_ref().map(|source| reader.secret(&at.key("client_secret"), source));
    let has_secret = secret.is_some() || reader.is_faulty(&at.key("client_secret"));
    let authentication = match secret.flatten() {
        Some(secret) => ClientAuthentication::SecretPost(secret),
        None => ClientAuthentication::None,
    };
    let authorize_url = needed_endpoint(reader, at.key("authorize_url"), &typed.authorize_url, known.authorize_url);
    let token_url = needed_endpoint(reader, at.key("token_url"), &typed.token_url, known.token_url);
    let graph_default = known.graph_host.map(|host| format!("https://{host}/v1.0"));
    let graph_url = typed.graph_url.as_ref().or(graph_default.as_ref());
    let graph_url = graph_url.and_then(|url| reader.endpoint(at.key("graph_url"), url.trim_end_matches('/')));
    let resource = |typed: &Option<String>, known: Option<&str>| {
        typed.as_deref().or(known).unwrap_or_default().trim_end_matches('/').to_owned()
    };
    let graph_host = known.graph_host.map(|host| format!("https://{host}"));
    let redirect_uri = typed.redirect_uri.as_ref().and_then(|uri| redirect_uri(reader, at.key("redirect_uri"), uri));
    let scopes = typed.scopes.as_ref().and_then(|scopes| scope_list(reader, at.key("scopes"), scopes));
    let sign_in_timeout = reader.time_to_wait(at.key("sign_in_timeout"), &typed.sign_in_timeout);
    let provider = match (authorize_url, token_url, &typed.client_id) {
        (Some(authorize_url), Some(token_url), Some(client_id)) => Some(Provider {
            name: name.to_owned(),
            kind: provider_kind(kind),
            issuer: None,
            authorize_url: Some(authorize_url),
            token_url: Some(token_url),
            device_url: None,
            client_id: client_id.clone(),
            authentication,
            secret_expires: None,
            service_account: None,
            managed_identity: ManagedIdentity::default(),
            redirect_uri,
            graph_resource: resource(&typed.graph_resource, graph_host.as_deref()),
            exchange_resource: resource(&typed.smtp_resource, known.exchange_resource),
            exchange_app_resource: resource(&typed.smtp_resource, known.exchange_app_resource),
            scopes,
            authorize_parameters: BTreeMap::new(),
            token_parameters: BTreeMap::new(),
            sign_in_timeout,
            test_mode: false,
        }),
        _ => None,
    };
    Service {
        kind,
        has_own_tenant: kind != Kind::Microsoft || !SHARED_TENANTS.contains(&typed.tenant.as_str()),
        has_secret,
        graph_url,
        smtp: submission(reader, at, typed, known.smtp_host),
        reading: reading::servers(reader, at, typed, (known.imap_host, known.pop3_host)),
        provider,
    }
}

const fn provider_kind(kind: Kind) -> ProviderKind {
    match kind {
        Kind::Microsoft => ProviderKind::Microsoft,
        Kind::Google => ProviderKind::Google,
        Kind::Custom => ProviderKind::Custom,
    }
}

/// A key that would be passed over in silence is worse than one that is refused.
fn refuse_keys_of_another_kind(reader: &mut Reader<'_>, at: &KeyPath, kind: Kind, typed: &file::Provider) {
    if kind == Kind::Microsoft {
        return;
    }
    let common = file::Provider::default();
    for (key, is_there) in [("tenant", typed.tenant != common.tenant), ("cloud", typed.cloud != common.cloud)] {
        if is_there {
            reader.fault(at.key(key), "only a provider of the kind `microsoft` has this key", "take it out");
        }
    }
}

/// The tenant becomes part of a URL.
fn tenant<'t>(reader: &mut Reader<'_>, at: &KeyPath, typed: &'t file::Provider) -> &'t str {
    let tenant = typed.tenant.as_str();
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    if !tenant.is_empty() && tenant.chars().all(fine) {
        return tenant;
    }
    let remedy = "write the domain or the id of the directory, such as `contoso.onmicrosoft.com`, or `common`";
    reader.fault(at.key("tenant"), format!("`{tenant}` is no tenant"), remedy);
    "common"
}

fn needed_endpoint(reader: &mut Reader<'_>, at: KeyPath, typed: &Option<String>, known: Option<String>) -> Option<Url> {
    match typed.as_ref().or(known.as_ref()) {
        Some(url) => reader.endpoint(at, url),
        None => {
            reader.fault(at, "a custom provider needs this key", "write the URL that its documentation gives");
            None
        }
    }
}

/// Microsoft, Google and RFC 8252 agree: https, or http to this machine.
fn redirect_uri(reader: &mut Reader<'_>, at: KeyPath, typed: &str) -> Option<Url> {
    let remedy = "write the redirect URI as it is registered with the provider, such as `http://localhost`";
    let url: Url = reader.parsed(at.clone(), typed, remedy)?;
    if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)) {
        return Some(url);
    }
    reader.fault(at, format!("`{typed}` is neither https nor on this machine; providers refuse it"), remedy);
    None
}

fn scope_list(reader: &mut Reader<'_>, at: KeyPath, typed: &OneOrMany) -> Option<Vec<String>> {
    let scopes: Vec<String> =
        typed.texts().iter().flat_map(|text| text.split_whitespace()).map(str::to_owned).collect();
    if scopes.is_empty() {
        reader.fault(at, "there is no scope in it", "write the scopes, or take the key out to have the usual ones");
        return None;
    }
    Some(scopes)
}

fn submission(
    reader: &mut Reader<'_>,
    at: &KeyPath,
    typed: &file::Provider,
    known: Option<&str>,
) -> Option<Submission> {
    let host = typed.smtp_host.as_deref().or(known)?;
    if !is_host(host) {
        let remedy = "write the name of the server alone; the port goes to `smtp_port`";
        reader.fault(at.key("smtp_host"), format!("`{host}` is no host name"), remedy);
        return None;
    }
    let tls = match typed.smtp_tls {
        Some(UpstreamTls::StartTls) => SmtpTls::StartTls,
        Some(UpstreamTls::Implicit) => SmtpTls::Implicit,
        None if typed.smtp_port == 465 => SmtpTls::Implicit,
        None => SmtpTls::StartTls,
    };
    Some(Submission { host: host.to_owned(), port: typed.smtp_port, tls })
}

/// A name or an address, without a port.
pub(super) fn is_host(host: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
    !host.is_empty() && host.chars().all(fine) && host.parse::<std::net::SocketAddr>().is_err()
}
