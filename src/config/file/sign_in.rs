//! `[provider.NAME]` and `[account.NAME]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::quantity::DurationText;
use super::{Limits, OneOrMany};
use crate::token::Purpose;

/// A secret that is kept outside this file: `{ env = "NAME" }` or `{ file = "PATH" }`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Secret")]
pub struct SecretSource {
    /// The environment variable that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// The file that holds it; a line end after it does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// An OAuth 2.0 service.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["kind"]))]
pub struct Provider {
    /// Whose rules it follows.
    #[schemars(example = &"microsoft")]
    pub kind: Option<Kind>,
    /// Microsoft: the directory, by its domain or id. `common`, `organizations` and `consumers` let any such account
    /// sign in; grants without a person need a real one.
    pub tenant: String,
    /// The id of the app that was registered with the provider. A service account or a managed identity has none.
    #[schemars(example = "8f54719b-4070-41ae-91ad-f48e3c793c5f")]
    pub client_id: Option<String>,
    /// The secret of that app. It is never written here itself.
    #[schemars(example = SecretSource { env: Some("OXPOST_SECRET".to_owned()), file: None })]
    pub client_secret: Option<SecretSource>,
    /// The day on which that secret ends, as the app registration shows it: oxpost warns 30 days before.
    #[schemars(example = &"2027-06-30")]
    pub client_secret_expires: Option<String>,
    /// How the secret is sent: in the form's body, or as HTTP Basic authentication.
    pub client_authentication: SecretPlace,
    /// Instead of a secret: the private key and the certificate of the app, in one PEM file. The end of the certificate
    /// is read from it, and oxpost warns 30 days before.
    #[schemars(example = SecretSource { env: None, file: Some("/etc/oxpost/app.pem".to_owned()) })]
    pub certificate: Option<SecretSource>,
    /// The name of that key (`kid`), for a provider that knows keys by name.
    #[schemars(example = &"oxpost-2026")]
    pub certificate_key_id: Option<String>,
    /// Instead of a secret: a file with a token of another identity provider, which that one keeps fresh (a federated
    /// credential). It is read for each request.
    #[schemars(example = &"/var/run/secrets/azure/tokens/azure-identity-token")]
    pub federated_token_file: Option<String>,
    /// Instead of a secret: the managed identity of this machine in Azure as a federated credential of the app. It must
    /// be a user-assigned one.
    pub managed_identity: bool,
    /// The client id of the user-assigned managed identity. Without it, the grant `managed-identity` uses the one that
    /// the system assigned.
    #[schemars(example = &"3f8e0c1a-5b7d-4a52-9a31-0c2f7f1f2f10")]
    pub identity_client_id: Option<String>,
    /// Where the tokens of the managed identity are asked for.
    #[schemars(example = &"http://169.254.169.254/metadata/identity/oauth2/token")]
    pub identity_url: Option<String>,
    /// Google: the JSON key of a service account with domain-wide delegation, for the grant `service-account`.
    #[schemars(example = SecretSource { env: None, file: Some("/etc/oxpost/google-key.json".to_owned()) })]
    pub service_account: Option<SecretSource>,
    /// Google: the app's publishing status is "Testing", so every sign-in ends after seven days.
    pub test_mode: bool,
    /// Microsoft: the cloud the directory lives in. It decides the hosts of every endpoint below.
    pub cloud: Cloud,
    /// Custom: where the provider describes itself (OpenID Connect Discovery). Endpoints that are not written below
    /// are found there.
    #[schemars(example = "https://login.contoso.com")]
    pub issuer: Option<String>,
    /// The authorization endpoint. Known for Microsoft and Google, needed for custom without an issuer. Parameters that
    /// it has stay.
    #[schemars(example = "https://login.contoso.com/oauth2/authorize")]
    pub authorize_url: Option<String>,
    /// The token endpoint. Known for Microsoft and Google, needed for custom without an issuer.
    #[schemars(example = "https://login.contoso.com/oauth2/token")]
    pub token_url: Option<String>,
    /// The device authorization endpoint, for `oxpost login --device`. Without it: that of the issuer, or the
    /// authorization endpoint with `devicecode` instead of `authorize` at its end.
    #[schemars(example = "https://login.contoso.com/oauth2/devicecode")]
    pub device_authorization_url: Option<String>,
    /// Microsoft Graph. Known for Microsoft.
    #[schemars(example = "https://graph.microsoft.com/v1.0")]
    pub graph_url: Option<String>,
    /// The Gmail API. Known for Google.
    #[schemars(example = "https://gmail.googleapis.com")]
    pub gmail_url: Option<String>,
    /// Exchange Web Services. Known for Microsoft; on the premises `https://HOST/EWS/Exchange.asmx`.
    #[schemars(example = "https://mail.contoso.com/EWS/Exchange.asmx")]
    pub ews_url: Option<String>,
    /// The resource that tokens for Graph are asked for. Known for Microsoft.
    #[schemars(example = "https://graph.microsoft.com")]
    pub graph_resource: Option<String>,
    /// The resource that tokens for SMTP are asked for. Known for Microsoft.
    #[schemars(example = "https://outlook.office.com")]
    pub smtp_resource: Option<String>,
    /// The submission server. Known for Microsoft and Google, needed for custom when `smtp` is a way out.
    #[schemars(example = "smtp.contoso.com")]
    pub smtp_host: Option<String>,
    /// The port of the submission server.
    #[schemars(range(min = 1))]
    pub smtp_port: u16,
    /// How TLS begins there. Without it: `implicit` on port 465, `starttls` on any other.
    #[schemars(example = &"starttls")]
    pub smtp_tls: Option<UpstreamTls>,
    /// Whether that server offers DSN (RFC 3461): a listener offers it to its clients if every way out of theirs keeps
    /// it. Known for Microsoft (it does) and Google (it does not).
    #[schemars(example = &true)]
    pub smtp_dsn: Option<bool>,
    /// The server for reading by IMAP. Known for Microsoft and Google, needed for custom when `imap` is in `read`.
    #[schemars(example = "imap.contoso.com")]
    pub imap_host: Option<String>,
    /// Its port.
    #[schemars(range(min = 1))]
    pub imap_port: u16,
    /// How TLS begins there. Without it: `starttls` on port 143, `implicit` on any other.
    #[schemars(example = &"implicit")]
    pub imap_tls: Option<UpstreamTls>,
    /// The server for reading by POP3. Known for Microsoft and Google, needed for custom when `pop3` is in `read`.
    #[schemars(example = "pop.contoso.com")]
    pub pop3_host: Option<String>,
    /// Its port.
    #[schemars(range(min = 1))]
    pub pop3_port: u16,
    /// How TLS begins there. Without it: `starttls` (STLS) on port 110, `implicit` on any other.
    #[schemars(example = &"implicit")]
    pub pop3_tls: Option<UpstreamTls>,
    /// Where the browser is sent after signing in. Without it: `http://localhost` with a free port, on the machine
    /// where `oxpost login` runs. On this machine with a port and path of its own, such as
    /// `http://127.0.0.1:50993/authorize/`: listened on while somebody signs in. Any other, such as
    /// `https://login.microsoftonline.com/common/oauth2/nativeclient`: the address the browser ends at is pasted.
    #[schemars(example = "https://mail.contoso.com/sign-in")]
    pub redirect_uri: Option<String>,
    /// Scopes to ask for instead of those that follow from the ways out: one text with blanks, or a list. If they name
    /// several resources, each replaces those of its own resource alone.
    #[schemars(example = ["https://mail.contoso.com/send", "offline_access"])]
    pub scopes: Option<OneOrMany>,
    /// More parameters of the sign-in page, such as `prompt`, `login_hint` or `domain_hint`. They win over the usual
    /// ones.
    #[schemars(example = BTreeMap::from([("prompt", "select_account")]))]
    pub authorize_parameters: BTreeMap<String, String>,
    /// More parameters of every request for a token.
    #[schemars(example = BTreeMap::from([("audience", "https://mail.contoso.com")]))]
    pub token_parameters: BTreeMap<String, String>,
    /// How long a person may take to sign in.
    pub sign_in_timeout: DurationText,
}

impl Default for Provider {
    fn default() -> Self {
        Self {
            kind: None,
            tenant: "common".to_owned(),
            client_id: None,
            client_secret: None,
            client_secret_expires: None,
            client_authentication: SecretPlace::Body,
            certificate: None,
            certificate_key_id: None,
            federated_token_file: None,
            managed_identity: false,
            identity_client_id: None,
            identity_url: None,
            service_account: None,
            test_mode: false,
            cloud: Cloud::Global,
            issuer: None,
            authorize_url: None,
            token_url: None,
            device_authorization_url: None,
            graph_url: None,
            gmail_url: None,
            ews_url: None,
            graph_resource: None,
            smtp_resource: None,
            smtp_host: None,
            smtp_port: 587,
            smtp_tls: None,
            smtp_dsn: None,
            imap_host: None,
            imap_port: 993,
            imap_tls: None,
            pop3_host: None,
            pop3_port: 995,
            pop3_tls: None,
            redirect_uri: None,
            scopes: None,
            authorize_parameters: BTreeMap::new(),
            token_parameters: BTreeMap::new(),
            sign_in_timeout: "120 s".into(),
        }
    }
}

/// Whose rules an OAuth 2.0 service follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Microsoft 365 and Exchange Online.
    Microsoft,
    /// Gmail and Google Workspace.
    Google,
    /// Any other; its endpoints must be written.
    Custom,
}

/// How a client secret is sent (RFC 6749 section 2.3.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecretPlace {
    /// In the form's body, as most providers like it.
    #[default]
    Body,
    /// As HTTP Basic authentication.
    Basic,
}

/// Where a Microsoft directory lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cloud {
    /// Worldwide, and GCC.
    #[default]
    Global,
    /// GCC High (L4).
    UsGov,
    /// Department of Defense (L5).
    UsDod,
    /// Operated by 21Vianet.
    China,
}

/// How TLS begins on the connection to a provider.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UpstreamTls {
    /// By the STARTTLS command.
    StartTls,
    /// With the first octet.
    Implicit,
}

/// An ordinary mail server, with a password or none.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Smarthost {
    /// Its name, which its certificate must have.
    #[schemars(example = &"relay.contoso.com")]
    pub host: Option<String>,
    /// Its port.
    #[schemars(range(min = 1))]
    pub port: u16,
    /// How TLS begins there. Without it: `implicit` on port 465, `starttls` on any other. With `none` mail goes in clear
    /// text, and nobody logs in.
    #[schemars(example = &"starttls")]
    pub tls: Option<SmarthostTls>,
    /// The login, by AUTH PLAIN or LOGIN. Without it nobody logs in: the server knows this machine.
    #[schemars(example = &"oxpost@contoso.com")]
    pub login: Option<String>,
    /// The password of that login. It is never written here itself.
    #[schemars(example = SecretSource { env: None, file: Some("/etc/oxpost/relay.password".to_owned()) })]
    pub password: Option<SecretSource>,
    /// Whether that server offers DSN (RFC 3461), as Postfix does: a listener offers it to its clients if every way out of
    /// theirs keeps it.
    pub dsn: bool,
}

/// How TLS begins at a smarthost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SmarthostTls {
    /// By STARTTLS.
    StartTls,
    /// With the first octet.
    Implicit,
    /// Never.
    None,
}

impl Default for Smarthost {
    fn default() -> Self {
        Self { host: None, port: 587, tls: None, login: None, password: None, dsn: false }
    }
}

/// What one signs in: a provider, a grant and ways out.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["provider", "mailbox"]))]
pub struct Account {
    /// The name of its provider.
    #[schemars(example = &"contoso")]
    pub provider: Option<String>,
    /// The address whose rights and limits apply. `*@contoso.com` with client credentials or a managed identity: any
    /// mailbox of the domain.
    #[schemars(example = "scanner@contoso.com")]
    pub mailbox: Option<String>,
    /// How it gets tokens.
    pub grant: Grant,
    /// Who signs in for the mailbox, where that is another name: somebody with rights on a shared mailbox, or a user
    /// whose name is not the mailbox's address. Without it, another name is asked about.
    #[schemars(example = "admin@contoso.com")]
    pub sign_in_as: Option<String>,
    /// With the grant `refresh-token`: the token, imported once. A newer one that the provider gave is kept in `data`.
    #[schemars(example = SecretSource { env: None, file: Some("/etc/oxpost/scanner.token".to_owned()) })]
    pub refresh_token: Option<SecretSource>,
    /// The ways out, in order of preference. Without it: `graph`, then `smtp` for Microsoft, `smtp` for all others.
    #[schemars(example = ["graph", "smtp"])]
    pub send: Option<Vec<WayOut>>,
    /// Graph: whether messages above 3 MiB go as drafts with their files attached one by one. The app then needs the
    /// permission `Mail.ReadWrite` beside `Mail.Send`, which lets it read and change all mail of the mailbox.
    pub drafts: bool,
    /// Whether the mailbox is looked into from time to time for reports that mail which was relayed did not arrive;
    /// history has them then. At Microsoft by Graph, for which the app needs the permission `Mail.Read`; elsewhere by
    /// IMAP, which at Google needs the scope `https://mail.google.com/`. Either lets it read all mail of the mailbox.
    /// Nothing is changed there.
    pub watch_inbox: bool,
    /// How often, with `watch_inbox`; 10 s at least.
    pub watch_inbox_every: DurationText,
    /// EWS: whether a copy of what is sent goes to Sent Items. Graph and Gmail always keep one.
    pub save_copy: bool,
    /// The ways its mail is read: `imap`, `pop3`. Without it nobody reads it here.
    #[schemars(example = ["imap"])]
    pub read: Vec<WayIn>,
    /// Mailboxes of others that whoever signs in may read as well. A client names the one it wants as its login.
    #[schemars(example = ["info@contoso.com"])]
    pub shared: Vec<String>,
    /// What programs get tokens for, beside the ways out: the sign-in asks for the permission. Without it, such a token
    /// can be had only where the permission was given otherwise.
    #[schemars(example = ["imap"])]
    pub tokens_for: Vec<Purpose>,
    /// Limits of this account, where they differ from `[limits]`.
    #[schemars(example = Limits { messages_per_minute: Some(10), ..Limits::default() })]
    pub limits: Limits,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            provider: None,
            mailbox: None,
            grant: Grant::AuthorizationCode,
            sign_in_as: None,
            refresh_token: None,
            send: None,
            drafts: false,
            watch_inbox: false,
            watch_inbox_every: "5 min".into(),
            save_copy: true,
            read: Vec::new(),
            shared: Vec::new(),
            tokens_for: Vec::new(),
            limits: Limits::default(),
        }
    }
}

/// How an account gets tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Grant {
    /// A person signs in once in a browser, by `oxpost login ACCOUNT`.
    AuthorizationCode,
    /// A person signs in once on any machine, with a code, by `oxpost login ACCOUNT`. Not at Google.
    DeviceCode,
    /// The app itself, with its secret, certificate or federated credential, and without any person. Microsoft and
    /// custom.
    ClientCredentials,
    /// Google: a service account that acts as the mailbox (domain-wide delegation).
    ServiceAccount,
    /// Microsoft: the managed identity of this machine in Azure, without any app.
    ManagedIdentity,
    /// A refresh token from elsewhere.
    RefreshToken,
}

/// A way in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WayIn {
    /// IMAP with XOAUTH2.
    Imap,
    /// POP3 with XOAUTH2.
    Pop3,
}

impl Grant {
    /// Whether nobody signs in for it.
    pub const fn is_app(self) -> bool {
        matches!(self, Self::ClientCredentials | Self::ServiceAccount | Self::ManagedIdentity)
    }
}

/// A way out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WayOut {
    /// Microsoft Graph `sendMail`.
    Graph,
    /// SMTP submission with XOAUTH2.
    Smtp,
    /// The Gmail API. The scope `gmail.send` is enough for it.
    Gmail,
    /// Exchange Web Services: for Exchange on the premises. Exchange Online ends them in April 2027.
    Ews,
    /// The server of `[smarthost]`, with its password or none instead of the account's token.
    Smarthost,
}
