//! What the token manager is told by configuration.

use std::time::Duration;

use url::Url;

use crate::secret::Secret;

/// What an access token is for. One token opens one resource, so the purpose decides which token is used.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Microsoft Graph.
    Graph,
    /// SMTP submission.
    Smtp,
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
}

/// An OAuth 2.0 service, ready for use.
#[derive(Clone, Debug)]
pub struct Provider {
    /// The name in the configuration.
    pub name: String,
    /// Whose rules it follows.
    pub kind: ProviderKind,
    /// Authorization endpoint; parameters it already has stay.
    pub authorize_url: Url,
    /// Token endpoint.
    pub token_url: Url,
    /// Client id.
    pub client_id: String,
    /// Client authentication.
    pub authentication: ClientAuthentication,
    /// Redirect URI; `None`: a loopback listener on a free port, `http://localhost:PORT/`.
    pub redirect_uri: Option<Url>,
    /// Scope to ask for Graph: resource prefix, such as `https://graph.microsoft.com`.
    pub graph_resource: String,
    /// Resource prefix for SMTP with delegated grants, such as `https://outlook.office.com`.
    pub exchange_resource: String,
    /// Resource prefix for SMTP with client credentials, such as `https://outlook.office365.com`.
    pub exchange_app_resource: String,
    /// Scopes given by the configuration; they replace the computed ones for every purpose.
    pub scopes: Option<Vec<String>>,
    /// How long a sign-in may take. Default 120 s.
    pub sign_in_timeout: Duration,
}

/// How an account gets tokens.
#[derive(Clone, Debug)]
pub enum Grant {
    /// Authorization code with PKCE (RFC 7636), then refresh tokens.
    AuthorizationCode,
    /// Client credentials (RFC 6749 section 4.4).
    ClientCredentials,
    /// A refresh token from elsewhere, imported once from configuration; the store's newer one wins.
    RefreshToken(Option<Secret>),
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
    /// What tokens will be asked for: the ways out and in of the account.
    pub purposes: Vec<Purpose>,
    /// The mailbox, as a hint for the sign-in page; `None` for `*@domain`.
    pub login_hint: Option<String>,
}

/// Settings of the token manager.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Providers by their names.
    pub providers: Vec<Provider>,
    /// Accounts.
    pub accounts: Vec<AccountSettings>,
}
