//! `[provider.NAME]`: endpoints, hosts and client authentication of an OAuth 2.0 service.

use std::collections::BTreeMap;

use url::Url;

use super::fault::KeyPath;
use super::file::{self, Cloud, Kind, OneOrMany, UpstreamTls};
use super::proofs;
use super::reader::Reader;
use super::reading;
use crate::delivery::SmtpTls;
use crate::http::may_have_secrets;
use crate::reading::ReadingServers;
use crate::token::{Provider, ProviderKind};

/// The tenants that stand for many directories; a grant without a person needs a real one.
const SHARED_TENANTS: [&str; 3] = ["common", "organizations", "consumers"];

/// Parameters that oxpost sets itself: another value would break the sign-in, or make it unsafe.
const OWN_PARAMETERS: [&str; 14] = [
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "redirect_uri",
    "response_type",
    "response_mode",
    "scope",
    "state",
    "code",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "grant_type",
];

/// Where a provider takes mail by SMTP.
#[derive(Clone, Debug)]
pub(super) struct Submission {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: SmtpTls,
    pub(super) dsn: bool,
}

/// A provider with what its accounts need to know of it.
pub(super) struct Service {
    pub(super) kind: Kind,
    /// Whether its tenant is one directory.
    pub(super) has_own_tenant: bool,
    /// Whether the app can prove itself.
    pub(super) has_proof: bool,
    pub(super) has_service_account: bool,
    pub(super) graph_url: Option<Url>,
    pub(super) gmail_url: Option<Url>,
    pub(super) ews_url: Option<Url>,
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
    gmail_url: Option<&'static str>,
    ews_url: Option<String>,
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
                gmail_url: Some("https://gmail.googleapis.com"),
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
            gmail_url: None,
            // Both names of Exchange Online serve it; the tokens are for the second.
            ews_url: Some(format!("{app}/EWS/Exchange.asmx")),
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
        match typed.kind {
            Some(kind) => {
                let service = service(reader, &at, name, (kind, typed));
                services.insert(name.clone(), service);
            }
            None => drop(client_id(reader, &at, name, typed)),
        }
    }
    Services(services)
}

fn service(reader: &mut Reader<'_>, at: &KeyPath, name: &str, (kind, typed): (Kind, &file::Provider)) -> Service {
    refuse_keys_of_another_kind(reader, at, kind, typed);
    let client_id = client_id(reader, at, name, typed);
    let known = Known::of(kind, typed.cloud, tenant(reader, at, typed));
    let proofs = proofs::read(reader, at, kind, typed);
    let places = places(reader, at, typed, &known);
    let graph_default = known.graph_host.map(|host| format!("https://{host}/v1.0"));
    let graph_url = typed.graph_url.as_ref().or(graph_default.as_ref());
    let graph_url = graph_url.and_then(|url| reader.endpoint(at.key("graph_url"), url.trim_end_matches('/')));
    let gmail_url = typed.gmail_url.as_deref().or(known.gmail_url);
    let gmail_url = gmail_url.and_then(|url| reader.endpoint(at.key("gmail_url"), url.trim_end_matches('/')));
    let ews_url = typed.ews_url.as_ref().or(known.ews_url.as_ref());
    let ews_url = ews_url.and_then(|url| reader.endpoint(at.key("ews_url"), url));
    let resource = |typed: &Option<String>, known: Option<&str>| {
        typed.as_deref().or(known).unwrap_or_default().trim_end_matches('/').to_owned()
    };
    let graph_host = known.graph_host.map(|host| format!("https://{host}"));
    let redirect_uri = typed.redirect_uri.as_ref().and_then(|uri| redirect_uri(reader, at.key("redirect_uri"), uri));
    let scopes = typed.scopes.as_ref().and_then(|scopes| scope_list(reader, at.key("scopes"), scopes));
    let sign_in_timeout = reader.time_to_wait(at.key("sign_in_timeout"), &typed.sign_in_timeout);
    refuse_own_parameters(reader, at, typed);
    let provider = match (places, client_id) {
        (Some(places), Some(client_id)) => Some(Provider {
            name: name.to_owned(),
            kind: provider_kind(kind),
            issuer: places.issuer,
            authorize_url: places.authorize,
            token_url: places.token,
            device_url: places.device,
            client_id,
            authentication: proofs.authentication,
            secret_expires: proofs.secret_expires,
            service_account: proofs.service_account,
            managed_identity: proofs.managed_identity,
            redirect_uri,
            graph_resource: resource(&typed.graph_resource, graph_host.as_deref()),
            exchange_resource: resource(&typed.smtp_resource, known.exchange_resource),
            exchange_app_resource: resource(&typed.smtp_resource, known.exchange_app_resource),
            scopes,
            authorize_parameters: typed.authorize_parameters.clone(),
            token_parameters: typed.token_parameters.clone(),
            sign_in_timeout,
            test_mode: typed.test_mode,
        }),
        _ => None,
    };
    Service {
        kind,
        has_own_tenant: kind != Kind::Microsoft || !SHARED_TENANTS.contains(&typed.tenant.as_str()),
        has_proof: proofs.is_there,
        has_service_account: proofs.has_service_account,
        graph_url,
        gmail_url,
        ews_url,
        smtp: submission(reader, at, typed, known.smtp_host),
        reading: reading::servers(reader, at, typed, (known.imap_host, known.pop3_host)),
        provider,
    }
}

/// Grants without an app need none: then it is empty.
fn client_id(reader: &mut Reader<'_>, at: &KeyPath, name: &str, typed: &file::Provider) -> Option<String> {
    let key = at.key("client_id");
    match &typed.client_id {
        Some(id) => {
            if id.trim().is_empty() {
                let remedy = "write the id of the app as its registration shows it";
                reader.fault(key, "the client id is empty", remedy);
            }
            Some(id.clone())
        }
        None if reader.is_faulty(&key) => None,
        None => {
            let without = |account: &file::Account| {
                matches!(account.grant, file::Grant::ServiceAccount | file::Grant::ManagedIdentity)
            };
            let mut own = reader.file.account.values().filter(|account| account.provider.as_deref() == Some(name));
            let is_needed = typed.service_account.is_none() && !(own.clone().count() > 0 && own.all(without));
            if is_needed {
                let example = "write one, such as `client_id = \"8f54719b-4070-41ae-91ad-f48e3c793c5f\"`";
                reader.fault(key, "this key is missing", example);
                return None;
            }
            Some(String::new())
        }
    }
}

/// The endpoints of the sign-in.
struct Places {
    issuer: Option<Url>,
    authorize: Option<Url>,
    token: Option<Url>,
    device: Option<Url>,
}

/// `None` if one that is needed is not there.
fn places(reader: &mut Reader<'_>, at: &KeyPath, typed: &file::Provider, known: &Known) -> Option<Places> {
    let issuer = typed.issuer.as_ref().map(|issuer| reader.endpoint(at.key("issuer"), issuer));
    let mut place = |key: &str, typed: &Option<String>, known: &Option<String>| {
        let key = at.key(key);
        match (typed.as_ref().or(known.as_ref()), &issuer) {
            (Some(url), _) => reader.endpoint(key, url).map(Some),
            (None, Some(_)) => Some(None),
            (None, None) => {
                let remedy = "write the URL that its documentation gives, or its `issuer`";
                reader.fault(key, "a custom provider needs this key", remedy);
                None
            }
        }
    };
    let authorize = place("authorize_url", &typed.authorize_url, &known.authorize_url);
    let token = place("token_url", &typed.token_url, &known.token_url);
    let device = typed.device_authorization_url.as_ref();
    let device = device.map(|url| reader.endpoint(at.key("device_authorization_url"), url));
    Some(Places { issuer: issuer.flatten(), authorize: authorize?, token: token?, device: device.flatten() })
}

fn refuse_own_parameters(reader: &mut Reader<'_>, at: &KeyPath, typed: &file::Provider) {
    for (table, given) in
        [("authorize_parameters", &typed.authorize_parameters), ("token_parameters", &typed.token_parameters)]
    {
        for name in given.keys().filter(|name| OWN_PARAMETERS.contains(&name.as_str())) {
            let remedy = match name.as_str() {
                "scope" => "write `scopes` instead",
                "client_id" | "redirect_uri" => "write the provider's own key of that name",
                _ => "take it out",
            };
            reader.fault(at.key(table).key(name), "oxpost sets this parameter itself", remedy);
        }
    }
}

pub(super) const fn provider_kind(kind: Kind) -> ProviderKind {
    match kind {
        Kind::Microsoft => ProviderKind::Microsoft,
        Kind::Google => ProviderKind::Google,
        Kind::Custom => ProviderKind::Custom,
    }
}

/// A key that would be passed over in silence is worse than one that is refused.
fn refuse_keys_of_another_kind(reader: &mut Reader<'_>, at: &KeyPath, kind: Kind, typed: &file::Provider) {
    if kind != Kind::Custom && typed.issuer.is_some() {
        let remedy = "take it out, or write `kind = \"custom\"`";
        reader.fault(at.key("issuer"), "the endpoints of Microsoft and Google are known without an issuer", remedy);
    }
    if kind != Kind::Google && typed.test_mode {
        reader.fault(at.key("test_mode"), "only a provider of the kind `google` has this key", "take it out");
    }
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

/// Microsoft, Google and RFC 8252 agree: https, or http to this machine.
fn redirect_uri(reader: &mut Reader<'_>, at: KeyPath, typed: &str) -> Option<Url> {
    let remedy = "write the redirect URI as it is registered with the provider, such as `http://localhost`";
    let url: Url = reader.parsed(at.clone(), typed, remedy)?;
    if may_have_secrets(&url) {
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
    let host = host_name(reader, at.key("smtp_host"), typed.smtp_host.as_deref().or(known)?, "smtp_port")?;
    let tls = match typed.smtp_tls {
        Some(UpstreamTls::StartTls) => SmtpTls::StartTls,
        Some(UpstreamTls::Implicit) => SmtpTls::Implicit,
        None if typed.smtp_port == 465 => SmtpTls::Implicit,
        None => SmtpTls::StartTls,
    };
    // Exchange Online offers DSN, Gmail does not.
    let dsn = typed.smtp_dsn.unwrap_or(typed.kind == Some(Kind::Microsoft));
    Some(Submission { host, port: typed.smtp_port, tls, dsn })
}

/// Reads the name of a server; its port has a key of its own.
pub(super) fn host_name(reader: &mut Reader<'_>, at: KeyPath, host: &str, port_key: &str) -> Option<String> {
    if !is_host(host) {
        let remedy = format!("write the name of the server alone; the port goes to `{port_key}`");
        reader.fault(at, format!("`{host}` is no host name"), remedy);
        return None;
    }
    Some(host.to_owned())
}

/// A name or an address, without a port.
pub(super) fn is_host(host: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    (!host.is_empty() && host.chars().all(fine)) || host.parse::<std::net::IpAddr>().is_ok()
}
