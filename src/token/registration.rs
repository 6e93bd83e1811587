//! An account as configured, and the refresh token that belongs to it.

use super::explain::Addressee;
use super::provider::{self, Resource};
use super::settings::{AccountSettings, Grant, Provider, Purpose};
use crate::clock::Timestamp;
use crate::secret::Secret;

/// Counts what makes earlier answers void.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Generation(pub(super) i64);

/// Counts how often an account was forgotten: what began before comes too late.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Era(pub(super) u32);

/// An account with its provider, as configured.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) account: AccountSettings,
    pub(super) provider: Provider,
}

impl Registration {
    /// Which app of which server the account's refresh tokens belong to.
    pub(super) fn app(&self) -> App {
        let place = self.provider.token_url.as_ref().or(self.provider.issuer.as_ref());
        let token_server = place.map(provider::server).unwrap_or_default();
        App { client_id: self.provider.client_id.clone(), token_server }
    }

    pub(super) fn resource(&self, purpose: Purpose) -> Resource {
        Resource::of(&self.provider, &self.account, purpose)
    }

    /// The resources of everything the account is for, each once, in order.
    pub(super) fn resources(&self) -> Vec<Resource> {
        let mut resources = Vec::new();
        for purpose in &self.account.purposes {
            let resource = self.resource(*purpose);
            if !resources.contains(&resource) {
                resources.push(resource);
            }
        }
        resources
    }

    /// Whether the account is set up to be used for what this opens; programs may ask for more.
    pub(super) fn is_for(&self, resource: &Resource) -> bool {
        self.account.purposes.iter().any(|purpose| self.resource(*purpose) == *resource)
    }

    /// The imported refresh token, and a mark by which it is known again.
    pub(super) fn import(&self) -> Option<(&Secret, String)> {
        match &self.account.grant {
            Grant::RefreshToken(Some(token)) => Some((token, fingerprint(token))),
            Grant::RefreshToken(None)
            | Grant::AuthorizationCode
            | Grant::DeviceCode
            | Grant::ClientCredentials
            | Grant::ServiceAccount
            | Grant::ManagedIdentity => None,
        }
    }

    /// The mark of the configured import, to be stored with a new grant: from then on the import is the older one.
    pub(super) fn import_mark(&self) -> Option<String> {
        self.import().map(|(_, mark)| mark)
    }

    /// Whether the token endpoint would answer both alike.
    pub(super) fn asks_like(&self, other: &Self) -> bool {
        let (a, b) = (&self.provider, &other.provider);
        let same_service_account = match (&a.service_account, &b.service_account) {
            (Some(a), Some(b)) => a.same_as(b),
            (None, None) => true,
            (Some(_) | None, _) => false,
        };
        let resources =
            |p: &Provider| [p.graph_resource.clone(), p.exchange_resource.clone(), p.exchange_app_resource.clone()];
        a.authentication.same_as(&b.authentication)
            && same_service_account
            && self.grant_like(other)
            && (a.kind, &a.issuer, &a.token_url, &a.client_id) == (b.kind, &b.issuer, &b.token_url, &b.client_id)
            && (&a.scopes, &a.token_parameters, &a.managed_identity)
                == (&b.scopes, &b.token_parameters, &b.managed_identity)
            && resources(a) == resources(b)
    }

    /// Whether a refresh token of one is one of the other: however it was got, it is used alike.
    fn grant_like(&self, other: &Self) -> bool {
        let kind = |grant: &Grant| match grant {
            Grant::AuthorizationCode | Grant::DeviceCode => 0,
            Grant::RefreshToken(_) => 1,
            Grant::ClientCredentials => 2,
            Grant::ServiceAccount => 3,
            Grant::ManagedIdentity => 4,
        };
        let acts_as = |account: &AccountSettings| match account.grant {
            Grant::ServiceAccount => account.login_hint.clone(),
            Grant::AuthorizationCode
            | Grant::DeviceCode
            | Grant::RefreshToken(_)
            | Grant::ClientCredentials
            | Grant::ManagedIdentity => None,
        };
        kind(&self.account.grant) == kind(&other.account.grant)
            && self.import_mark() == other.import_mark()
            && acts_as(&self.account) == acts_as(&other.account)
    }

    /// Whom explanations are for.
    pub(super) fn addressee(&self) -> Addressee {
        Addressee { account: self.account.name.clone(), consent: self.consent_page() }
    }

    /// What is to be asked about whoever signed in under `name`; `None` if it is the mailbox, or whom the settings name.
    pub(super) fn question(&self, name: Option<&str>) -> Option<String> {
        let AccountSettings { name: account, login_hint, .. } = &self.account;
        let name = name.filter(|name| !self.account.expects(name))?;
        let mailbox = login_hint.as_deref().unwrap_or(account);
        Some(format!(
            "`{name}` signed in, and the mailbox of `{account}` is `{mailbox}`: is that meant (a shared mailbox, or \
             another name of the same one)?"
        ))
    }
}

fn fingerprint(token: &Secret) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.expose().as_bytes());
    digest.as_ref().iter().map(|octet| format!("{octet:02x}")).collect()
}

/// An app at a token endpoint. A refresh token is sent to the one it came from and to no other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct App {
    pub(super) client_id: String,
    pub(super) token_server: String,
}

/// A refresh token with what belongs to it.
#[derive(Clone, Debug)]
pub(super) struct StoredGrant {
    pub(super) refresh_token: Secret,
    pub(super) app: App,
    /// When it was issued.
    pub(super) obtained: Timestamp,
    /// When it was last used with success, as of the day that was last written down. The epoch: never.
    pub(super) used: Timestamp,
    /// Who signed in, as the provider says.
    pub(super) name: Option<String>,
    /// Somebody said that this name is meant although it is not the mailbox's.
    pub(super) confirmed: bool,
    /// When the provider ends it whatever happens, if it said so.
    pub(super) ends: Option<Timestamp>,
    /// The mark of the imported refresh token that was configured then: that one is older than this grant.
    pub(super) import: Option<String>,
}

impl StoredGrant {
    /// Whether both are the same refresh token of the same app.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.app == other.app && self.refresh_token.same_as(other.refresh_token.expose())
    }
}

/// What tokens are minted from.
#[derive(Clone, Debug)]
pub(super) enum Root {
    /// The app itself: client credentials.
    App,
    /// A refresh token.
    Grant(StoredGrant),
}
