//! An account as configured, and the refresh token that belongs to it.

use super::provider::{self, Resource};
use super::settings::{AccountSettings, ClientAuthentication, Grant, Provider, Purpose};
use crate::clock::Timestamp;
use crate::secret::Secret;

/// Counts what makes earlier answers void.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Generation(pub(super) i64);

/// An account with its provider, as configured.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) account: AccountSettings,
    pub(super) provider: Provider,
}

impl Registration {
    /// Which app of which server the account's refresh tokens belong to.
    pub(super) fn app(&self) -> App {
        let token_server = provider::server(&self.provider.token_url);
        App { client_id: self.provider.client_id.clone(), token_server }
    }

    pub(super) fn resource(&self, purpose: Purpose) -> Resource {
        Resource::of(&self.provider, &self.account.grant, purpose)
    }

    /// The imported refresh token, and a mark by which it is known again.
    pub(super) fn import(&self) -> Option<(&Secret, String)> {
        match &self.account.grant {
            Grant::RefreshToken(Some(token)) => Some((token, fingerprint(token))),
            Grant::RefreshToken(None) | Grant::AuthorizationCode | Grant::ClientCredentials => None,
        }
    }

    /// The mark of the configured import, to be stored with a new grant: from then on the import is the older one.
    pub(super) fn import_mark(&self) -> Option<String> {
        self.import().map(|(_, mark)| mark)
    }

    /// Whether the token endpoint would answer both alike.
    pub(super) fn asks_like(&self, other: &Self) -> bool {
        let (a, b) = (&self.provider, &other.provider);
        let same_secret = match (&a.authentication, &b.authentication) {
            (ClientAuthentication::None, ClientAuthentication::None) => true,
            (ClientAuthentication::SecretPost(a), ClientAuthentication::SecretPost(b)) => a.same_as(b.expose()),
            (ClientAuthentication::None | ClientAuthentication::SecretPost(_), _) => false,
        };
        let resources =
            |p: &Provider| [p.graph_resource.clone(), p.exchange_resource.clone(), p.exchange_app_resource.clone()];
        let same_grant = std::mem::discriminant(&self.account.grant) == std::mem::discriminant(&other.account.grant)
            && self.import_mark() == other.import_mark();
        same_secret
            && same_grant
            && (a.kind, &a.token_url, &a.client_id, &a.scopes) == (b.kind, &b.token_url, &b.client_id, &b.scopes)
            && resources(a) == resources(b)
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
    /// Who signed in, as the provider says.
    pub(super) name: Option<String>,
    /// The mark of the imported refresh token that was configured then: that one is older than this grant.
    pub(super) import: Option<String>,
}

/// What tokens are minted from.
#[derive(Clone, Debug)]
pub(super) enum Root {
    /// The app itself: client credentials.
    App,
    /// A refresh token.
    Grant(StoredGrant),
}
