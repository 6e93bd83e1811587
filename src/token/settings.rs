//! What the token manager is told by configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::assertion::{AssertionKey, ServiceAccount};
use crate::clock::Timestamp;
use crate::secret::Secret;

/// What an access token is for. One token opens one resource, so the purpose decides which token is used.
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Microsoft Graph, to send mail.
    Graph,
    /// SMTP submission.
    Smtp,
    /// Reading by IMAP.
    Imap,
    /// Reading by POP3.
    Pop,
    /// Exchange Web Services.
    Ews,
    /// The Gmail API.
    Gmail,
    /// Looking people up with Microsoft Graph.
    Directory,
    /// Looking into the mailbox for reports: with Microsoft Graph, elsewhere by IMAP.
    Inbox,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Graph, Self::Smtp, Self::Imap, Self::Pop, Self::Ews, Self::Gmail, Self::Directory, Self::Inbox];

    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Graph => "graph",
            Self::Smtp => "smtp",
            Self::Imap => "imap",
            Self::Pop => "pop",
            Self::Ews => "ews",
            Self::Gmail => "gmail",
            Self::Directory => "directory",
            Self::Inbox => "inbox",
        }
    }

    /// Whether a provider of this kind has something that such a token opens.
    pub const fn exists_at(self, kind: ProviderKind) -> bool {
        match self {
            Self::Smtp | Self::Imap | Self::Pop | Self::Inbox => true,
            Self::Graph | Self::Ews | Self::Directory => matches!(kind, ProviderKind::Microsoft),
            Self::Gmail => matches!(kind, ProviderKind::Google),
        }
    }
}

/// Whose rules an OAuth 2.0 service follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProviderKind {
    /// Microsoft identity platform v2.0.
    Microsoft,
    /// Google.
    Google,
    /// Any other, by its endpoints.
    Custom,
}

/// How the client proves itself at the token endpoint (RFC 6749 section 2.3).
#[derive(Clone, Debug)]
pub enum ClientAuthentication {
    /// A public client: client id alone.
    None,
    /// `client_secret` in the form body.
    SecretPost(Secret),
    /// `client_secret` in an `Authorization` header (RFC 6749 section 2.3.1).
    SecretBasic(Secret),
    /// A signed assertion (RFC 7523 section 2.2, `private_key_jwt`).
    Key(AssertionKey),
    /// An assertion that somebody else keeps fresh in this file: a federated credential. It is read for each request.
    TokenFile(PathBuf),
    /// The token of a managed identity as the assertion: a federated credential without a file. The resource that the
    /// identity's token is asked for, such as `api://AzureADTokenExchange`.
    ManagedIdentity(String),
}

impl ClientAuthentication {
    /// Whether both prove the same.
    pub(super) fn same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::SecretPost(a), Self::SecretPost(b)) | (Self::SecretBasic(a), Self::SecretBasic(b)) => {
                a.same_as(b.expose())
            }
            (Self::Key(a), Self::Key(b)) => a.same_as(b),
            (Self::TokenFile(a), Self::TokenFile(b)) => a == b,
            (Self::ManagedIdentity(a), Self::ManagedIdentity(b)) => a == b,
            (
                Self::None
                | Self::SecretPost(_)
                | Self::SecretBasic(_)
                | Self::Key(_)
                | Self::TokenFile(_)
                | Self::ManagedIdentity(_),
                _,
            ) => false,
        }
    }
}

/// The identity that Azure gives to a machine (IMDS).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ManagedIdentity {
    /// Where its tokens are asked for, such as `http://169.254.169.254/metadata/identity/oauth2/token`.
    pub url: Url,
    /// The client id of a user-assigned identity; `None`: the one the system assigned.
    pub client_id: Option<String>,
}

impl Default for ManagedIdentity {
    fn default() -> Self {
        Self { url: imds(), client_id: None }
    }
}

#[expect(clippy::expect_used, reason = "a constant that a test reads")]
fn imds() -> Url {
    Url::parse("http://169.254.169.254/metadata/identity/oauth2/token").expect("a URL")
}

/// An OAuth 2.0 service, ready for use.
#[derive(Clone, Debug)]
pub struct Provider {
    /// The name in the configuration.
    pub name: String,
    /// Whose rules it follows.
    pub kind: ProviderKind,
    /// Where the endpoints that are not given below are found (OpenID Connect Discovery 1.0, RFC 8414).
    pub issuer: Option<Url>,
    /// Authorization endpoint; parameters it already has stay. `None`: from `issuer`, or there is none.
    pub authorize_url: Option<Url>,
    /// Token endpoint. `None`: from `issuer`.
    pub token_url: Option<Url>,
    /// Device authorization endpoint (RFC 8628). `None`: from `issuer`, or there is none.
    pub device_url: Option<Url>,
    /// Client id.
    pub client_id: String,
    /// Client authentication.
    pub authentication: ClientAuthentication,
    /// When the client secret ends, as its owner wrote down.
    pub secret_expires: Option<Timestamp>,
    /// For the grant of the same name.
    pub service_account: Option<Arc<ServiceAccount>>,
    /// For the grant of the same name, and for [`ClientAuthentication::ManagedIdentity`].
    pub managed_identity: ManagedIdentity,
    /// Redirect URI; `None`: a loopback listener on a free port, `http://localhost:PORT/`.
    pub redirect_uri: Option<Url>,
    /// Scope to ask for Graph: resource prefix, such as `https://graph.microsoft.com`.
    pub graph_resource: String,
    /// Resource prefix for SMTP, IMAP and POP3 with delegated grants, such as `https://outlook.office.com`.
    pub exchange_resource: String,
    /// Resource prefix for Exchange with client credentials, and for EWS, such as `https://outlook.office365.com`.
    pub exchange_app_resource: String,
    /// Scopes given by the configuration; they replace the computed ones, for each resource that they name.
    pub scopes: Option<Vec<String>>,
    /// More parameters of the authorization request, such as `prompt` or `domain_hint`; they win over the usual ones.
    pub authorize_parameters: BTreeMap<String, String>,
    /// More parameters of every token request.
    pub token_parameters: BTreeMap<String, String>,
    /// How long a sign-in may take. Default 120 s.
    pub sign_in_timeout: Duration,
    /// Google: the app is in test mode, so a refresh token ends after seven days.
    pub test_mode: bool,
}

/// How an account gets tokens.
#[derive(Clone, Debug)]
pub enum Grant {
    /// Authorization code with PKCE (RFC 7636), then refresh tokens.
    AuthorizationCode,
    /// Device code (RFC 8628), then refresh tokens.
    DeviceCode,
    /// Client credentials (RFC 6749 section 4.4).
    ClientCredentials,
    /// A service account that acts as the mailbox: Google's domain-wide delegation (RFC 7523 section 2.1).
    ServiceAccount,
    /// The identity of the machine itself (Azure IMDS).
    ManagedIdentity,
    /// A refresh token from elsewhere, imported once from configuration; the store's newer one wins.
    RefreshToken(Option<Secret>),
}

impl Grant {
    /// Its word in the configuration.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization-code",
            Self::DeviceCode => "device-code",
            Self::ClientCredentials => "client-credentials",
            Self::ServiceAccount => "service-account",
            Self::ManagedIdentity => "managed-identity",
            Self::RefreshToken(_) => "refresh-token",
        }
    }

    /// Whether nobody signs in for it.
    pub const fn is_app(&self) -> bool {
        match self {
            Self::ClientCredentials | Self::ServiceAccount | Self::ManagedIdentity => true,
            Self::AuthorizationCode | Self::DeviceCode | Self::RefreshToken(_) => false,
        }
    }
}

/// What the token manager knows of an account.
#[derive(Clone, Debug)]
pub struct AccountSettings {
    /// The account's name.
    pub name: String,
    /// The name of its provider.
    pub provider: String,
    /// How it gets tokens.
    pub grant: Grant,
    /// What tokens will be asked for: the account's ways out, looking people up, and what programs get tokens for.
    pub purposes: Vec<Purpose>,
    /// The mailbox, as a hint for the sign-in page; `None` for `*@domain`.
    pub login_hint: Option<String>,
    /// Who signs in for the mailbox, where that is another name.
    pub sign_in_as: Option<String>,
    /// Whether large messages go by Graph as drafts, which needs a permission to write in the mailbox.
    pub drafts: bool,
}

impl AccountSettings {
    /// Whether somebody else than the mailbox signs in.
    pub(super) fn signs_in_for_another(&self) -> bool {
        match (&self.sign_in_as, &self.login_hint) {
            (Some(name), Some(mailbox)) => !name.eq_ignore_ascii_case(mailbox),
            (Some(_) | None, _) => false,
        }
    }

    /// Whether whoever signed in under this name is known to be right.
    pub(super) fn expects(&self, name: &str) -> bool {
        let expected = [&self.sign_in_as, &self.login_hint];
        let mut expected = expected.into_iter().flatten().peekable();
        expected.peek().is_none() || expected.any(|known| known.eq_ignore_ascii_case(name))
    }
}

/// Settings of the token manager.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Providers by their names.
    pub providers: Vec<Provider>,
    /// Accounts.
    pub accounts: Vec<AccountSettings>,
}
