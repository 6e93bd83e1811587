//! How the app of a provider proves itself: secret, certificate, federated credential, service account.

use std::sync::Arc;

use super::fault::KeyPath;
use super::file::{self, Cloud, Kind, SecretPlace, SecretSource};
use super::reader::Reader;
use crate::clock::Timestamp;
use crate::secret::Secret;
use crate::token::{AssertionKey, AssertionKeyError, ClientAuthentication, ManagedIdentity, ServiceAccount};

/// What a provider's app proves itself with.
pub(super) struct Proofs {
    pub(super) authentication: ClientAuthentication,
    /// Whether the file says how, even if that has a fault.
    pub(super) is_there: bool,
    pub(super) secret_expires: Option<Timestamp>,
    pub(super) service_account: Option<Arc<ServiceAccount>>,
    pub(super) has_service_account: bool,
    pub(super) managed_identity: ManagedIdentity,
}

/// Reads the keys of a provider that prove who the app is.
pub(super) fn read(reader: &mut Reader<'_>, at: &KeyPath, kind: Kind, typed: &file::Provider) -> Proofs {
    let ways = [
        ("client_secret", typed.client_secret.is_some()),
        ("certificate", typed.certificate.is_some()),
        ("federated_token_file", typed.federated_token_file.is_some()),
        ("managed_identity", typed.managed_identity),
    ];
    let mut there = ways.iter().filter(|(key, is_there)| *is_there || reader.is_faulty(&at.key(key)));
    let (first, second) = (there.next().map(|(key, _)| *key), there.next().map(|(key, _)| *key));
    if let (Some(first), Some(second)) = (first, second) {
        let remedy = format!("keep either `{first}` or `{second}`");
        reader.fault(at.key(second), "the app would prove itself in two ways", remedy);
    }
    refuse_lonely_keys(reader, at, typed);
    let authentication = match first {
        Some("client_secret") => secret(reader, at, typed),
        Some("certificate") => certificate(reader, at, typed),
        Some("federated_token_file") => {
            typed.federated_token_file.as_ref().map(|path| ClientAuthentication::TokenFile(reader.path(path)))
        }
        Some(_) => federated_identity(reader, at, kind, typed),
        None => None,
    };
    let service_account = typed.service_account.as_ref().and_then(|source| service_account(reader, at, kind, source));
    Proofs {
        authentication: authentication.unwrap_or(ClientAuthentication::None),
        is_there: first.is_some(),
        secret_expires: typed.client_secret_expires.as_ref().and_then(|day| day_of(reader, at, day)),
        service_account: service_account.map(Arc::new),
        has_service_account: typed.service_account.is_some() || reader.is_faulty(&at.key("service_account")),
        managed_identity: managed_identity(reader, at, typed),
    }
}

fn secret(reader: &mut Reader<'_>, at: &KeyPath, typed: &file::Provider) -> Option<ClientAuthentication> {
    let secret = reader.secret(&at.key("client_secret"), typed.client_secret.as_ref()?)?;
    Some(match typed.client_authentication {
        SecretPlace::Body => ClientAuthentication::SecretPost(secret),
        SecretPlace::Basic => ClientAuthentication::SecretBasic(secret),
    })
}

fn certificate(reader: &mut Reader<'_>, at: &KeyPath, typed: &file::Provider) -> Option<ClientAuthentication> {
    let key = at.key("certificate");
    let pem = reader.secret(&key, typed.certificate.as_ref()?)?;
    let read = AssertionKey::from_pem(&pem, typed.certificate_key_id.clone());
    let remedy = "write the private key and its certificate, both PEM, into one file: `cat app.key app.crt > app.pem`";
    read.map_err(|error| unusable(reader, key, &error, remedy)).ok().map(ClientAuthentication::Key)
}

fn service_account(reader: &mut Reader<'_>, at: &KeyPath, kind: Kind, source: &SecretSource) -> Option<ServiceAccount> {
    let key = at.key("service_account");
    if kind != Kind::Google {
        reader.fault(key, "only a provider of the kind `google` has service accounts", "take it out");
        return None;
    }
    let json: Secret = reader.secret(&key, source)?;
    let remedy = "make a JSON key of the service account in the Google Cloud console (IAM & Admin, Service accounts, \
                  Keys) and give its path";
    ServiceAccount::from_json(&json).map_err(|error| unusable(reader, key, &error, remedy)).ok()
}

fn unusable(reader: &mut Reader<'_>, key: KeyPath, error: &AssertionKeyError, remedy: &str) {
    reader.fault(key, format!("what is there cannot be used: {error}"), remedy);
}

/// "Configure an application to trust a managed identity": the audiences of the national clouds.
fn federated_identity(
    reader: &mut Reader<'_>,
    at: &KeyPath,
    kind: Kind,
    typed: &file::Provider,
) -> Option<ClientAuthentication> {
    let key = at.key("managed_identity");
    if kind != Kind::Microsoft {
        reader.fault(key, "only a provider of the kind `microsoft` has managed identities", "take it out");
        return None;
    }
    if typed.identity_client_id.is_none() {
        let remedy = "add `identity_client_id` with the client id of the user-assigned identity";
        reader.fault(key, "only a user-assigned managed identity can stand for an app", remedy);
        return None;
    }
    let audience = match typed.cloud {
        Cloud::Global => "api://AzureADTokenExchange",
        Cloud::UsGov | Cloud::UsDod => "api://AzureADTokenExchangeUSGov",
        Cloud::China => "api://AzureADTokenExchangeChina",
    };
    Some(ClientAuthentication::ManagedIdentity(audience.to_owned()))
}

fn managed_identity(reader: &mut Reader<'_>, at: &KeyPath, typed: &file::Provider) -> ManagedIdentity {
    let usual = ManagedIdentity { client_id: typed.identity_client_id.clone(), ..ManagedIdentity::default() };
    let Some(text) = &typed.identity_url else { return usual };
    // Instance metadata is on the machine's own link, without TLS.
    if *text == usual.url.as_str() {
        return usual;
    }
    match reader.endpoint(at.key("identity_url"), text) {
        Some(url) => ManagedIdentity { url, ..usual },
        None => usual,
    }
}

/// Keys that mean nothing alone.
fn refuse_lonely_keys(reader: &mut Reader<'_>, at: &KeyPath, typed: &file::Provider) {
    let secret = (typed.client_secret.is_some() || reader.is_faulty(&at.key("client_secret")), "client_secret");
    let certificate = (typed.certificate.is_some() || reader.is_faulty(&at.key("certificate")), "certificate");
    for (key, is_there, (has_other, other)) in [
        ("client_secret_expires", typed.client_secret_expires.is_some(), secret),
        ("client_authentication", typed.client_authentication != SecretPlace::Body, secret),
        ("certificate_key_id", typed.certificate_key_id.is_some(), certificate),
    ] {
        if is_there && !has_other {
            reader.fault(at.key(key), format!("there is no `{other}` that it could be about"), "take it out");
        }
    }
}

/// The end of a day, in UTC.
fn day_of(reader: &mut Reader<'_>, at: &KeyPath, text: &str) -> Option<Timestamp> {
    let remedy = "write the day as the year, month and day, such as `2027-06-30`";
    let date: jiff::civil::Date = reader.parsed(at.key("client_secret_expires"), text, remedy)?;
    let end = date.at(23, 59, 59, 0).to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Timestamp::from_millis(end.timestamp().as_millisecond()))
}
