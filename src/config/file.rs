//! The configuration file exactly as it is typed. The doc comments here are the manual: the reference page, the
//! annotated sample and the JSON schema are rendered from them. What the keys *mean* is decided one file up.

mod doors;
mod network;
mod page;
mod sign_in;

pub use doors::{Client, LineEndings, Listener, Mode, Protocol, Route, Tls};
pub use network::Network;
pub use page::{Admin, ApiKey};
pub use sign_in::{
    Account, Cloud, Grant, Kind, Provider, SecretPlace, SecretSource, Smarthost, SmarthostTls, UpstreamTls, WayIn,
    WayOut,
};

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::quantity::{DurationText, SizeText};

/// One text, or a list of them.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    /// A single text.
    One(String),
    /// A list.
    Many(Vec<String>),
}

impl OneOrMany {
    /// The texts as a list.
    pub fn texts(&self) -> Vec<&str> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts.iter().map(String::as_str).collect(),
        }
    }
}

/// The configuration of oxpost.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "oxpost.toml")]
pub struct File {
    /// The folder that holds the queue, the tokens and the key they are sealed with. One process owns it. A path that
    /// does not begin with `/` counts from the folder of this file, here and at every other path.
    pub data: String,
    /// What the gateway calls itself in its greeting, in `Received` lines and to the provider. Without it: the name
    /// of the machine.
    #[schemars(example = "mail.contoso.com")]
    pub hostname: Option<String>,
    /// The folder of the self-made certificate and its CA. Without it: the folder `certs` in `data`.
    #[schemars(example = "/etc/oxpost/certs")]
    pub certs: Option<String>,
    /// Certificates (PEM) that are trusted for connections to providers, beside those the system trusts.
    #[schemars(example = "/etc/ssl/company-ca.pem")]
    pub ca_file: Option<String>,
    /// The file with the key that seals tokens on disk; it is made at the first start. Without it: the file `key` in
    /// `data`. The environment variable `OXPOST_KEY` (base64) and the systemd credential `oxpost-key` come before it.
    #[schemars(example = "/etc/oxpost/key")]
    pub key_file: Option<String>,
    /// The account that sends reports about mail of an account which is on hold itself, and notices about accounts that
    /// need somebody: a sign-in, a new secret, a new certificate.
    #[schemars(example = &"office")]
    pub notify: Option<String>,
    /// Who gets those notices. Without it: the mailbox of the account that `notify` names.
    #[schemars(example = &"admin@contoso.com")]
    pub notify_to: Option<String>,
    /// A URL that gets the same notices as JSON (`gateway`, `account`, `kind`, `what`, `hint`, `due`).
    #[schemars(example = &"https://alerts.contoso.com/oxpost")]
    pub notify_webhook: Option<String>,
    /// What is logged, and how.
    pub log: Log,
    /// The administrator's page and the API on its port.
    pub admin: Admin,
    /// Keys with which programs use the API. Each begins with `[[api_key]]`.
    pub api_key: Vec<ApiKey>,
    /// The certificate of the listeners. Without it, one is made at the first start, by a small CA of its own.
    pub tls: TlsFiles,
    /// How long mail is kept and tried.
    pub queue: Queue,
    /// How long to wait for providers.
    pub delivery: Delivery,
    /// The providers' limits for one mailbox, for all accounts. An account may have its own.
    pub limits: Limits,
    /// How connections leave this machine.
    pub network: Network,
    /// An ordinary mail server, for accounts with "smarthost" in their `send`.
    pub smarthost: Smarthost,
    /// Looking people up in a Microsoft tenant: on the page, in the API and by `oxpost user`.
    pub directory: Directory,
    /// OAuth 2.0 services, by a name of your choice: `[provider.NAME]`.
    pub provider: BTreeMap<String, Provider>,
    /// What one signs in: a provider, a grant and ways out, by a name of your choice: `[account.NAME]`.
    pub account: BTreeMap<String, Account>,
    /// Where clients come in. Each begins with `[[listener]]`.
    pub listener: Vec<Listener>,
    /// The apps and devices that are let in. Each begins with `[[client]]`.
    pub client: Vec<Client>,
    /// Mail that takes another account than its client's own. Each begins with `[[route]]`; the first that fits counts.
    pub route: Vec<Route>,
    /// Who is meant by a name: `root = "it@contoso.com"`. A name without a domain is a user of this machine; a list sends
    /// to several.
    #[schemars(example = BTreeMap::from([("root", "it@contoso.com")]))]
    pub alias: BTreeMap<String, OneOrMany>,
}

impl Default for File {
    fn default() -> Self {
        Self {
            data: "/var/lib/oxpost".to_owned(),
            hostname: None,
            certs: None,
            ca_file: None,
            key_file: None,
            notify: None,
            notify_to: None,
            notify_webhook: None,
            log: Log::default(),
            admin: Admin::default(),
            api_key: Vec::new(),
            tls: TlsFiles::default(),
            queue: Queue::default(),
            delivery: Delivery::default(),
            limits: Limits::default(),
            network: Network::default(),
            smarthost: Smarthost::default(),
            directory: Directory::default(),
            provider: BTreeMap::new(),
            account: BTreeMap::new(),
            listener: Vec::new(),
            client: Vec::new(),
            route: Vec::new(),
            alias: BTreeMap::new(),
        }
    }
}

/// What is logged, and how.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// The form of a line.
    pub format: LogFormat,
    /// The least important kind of line that is written.
    pub level: LogLevel,
}

/// The form of a log line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line, for machines.
    Json,
}

impl LogLevel {
    /// The word that a log filter takes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// How important a log line is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What somebody must look after.
    Error,
    /// What may need looking after.
    Warn,
    /// Every message's way, every sign-in.
    #[default]
    Info,
    /// Decisions on the way.
    Debug,
    /// The dialogues, with secrets taken out.
    Trace,
}

/// The certificate of the listeners.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TlsFiles {
    /// Your own certificate chain (PEM), read again when the file changes. Without it, one is made.
    #[schemars(example = "/etc/oxpost/fullchain.pem")]
    pub certificate: Option<String>,
    /// The private key of `certificate` (PEM).
    #[schemars(example = "/etc/oxpost/privkey.pem")]
    pub key: Option<String>,
    /// More names and IP addresses for the self-made certificate: those by which clients call the gateway.
    #[schemars(example = ["mail.contoso.com", "192.168.10.2"])]
    pub names: Vec<String>,
}

/// How long mail is kept and tried.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Queue {
    /// How long a message is tried before it is reported as failed. Time on hold does not count.
    pub expire_after: DurationText,
    /// How long a message may wait on hold, for a sign-in for instance.
    pub hold_expire_after: DurationText,
    /// How long an attempt whose answer was lost waits at least before the next one: it may have succeeded, and then
    /// the next one makes a second copy.
    pub unknown_retry: DurationText,
    /// How long a message may wait until its sender is told that it is late; `0` tells nobody. One report a message, and
    /// none where the sender asked for none (`NOTIFY`).
    pub delay_report_after: DurationText,
    /// How long relayed and failed messages stay in the list, and failed ones keep their content.
    pub keep: DurationText,
    /// Free space on disk below which no mail is taken (452 4.3.1). The larger of this and `reserve_percent` counts.
    pub reserve: SizeText,
    /// The same in percent of the file system.
    #[schemars(range(max = 90))]
    pub reserve_percent: u8,
    /// Content up to this size is kept in the database, larger content in a file of its own.
    pub inline: SizeText,
    /// Content held in memory, all sessions together. Beyond it even small content goes to a file.
    pub memory: SizeText,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            expire_after: "4 days".into(),
            hold_expire_after: "14 days".into(),
            unknown_retry: "15 min".into(),
            delay_report_after: "4 h".into(),
            keep: "30 days".into(),
            reserve: "200 MB".into(),
            reserve_percent: 5,
            inline: "256 KiB".into(),
            memory: "16 MiB".into(),
        }
    }
}

/// How long to wait for providers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Delivery {
    /// The longest wait for one step: connecting, a reply, an HTTP answer.
    pub step_timeout: DurationText,
    /// The longest wait for the answer to the end of a message (RFC 5321 section 4.5.3.2.6).
    pub final_timeout: DurationText,
    /// How long an idle SMTP session to a provider is kept for the next message.
    pub idle_timeout: DurationText,
}

impl Default for Delivery {
    fn default() -> Self {
        Self { step_timeout: "30 s".into(), final_timeout: "10 min".into(), idle_timeout: "20 s".into() }
    }
}

/// Looking people up in a Microsoft tenant: on the page, in the API and by `oxpost user`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Directory {
    /// The account whose rights people are looked up with; its sign-in asks for `User.ReadBasic.All` as well. With
    /// client credentials the app needs `User.Read.All`. Without it nobody is looked up.
    #[schemars(example = &"office")]
    pub account: Option<String>,
}

/// The provider's limits for one mailbox. A key that is not written has the value of the provider's kind; 0 means no
/// limit.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// SMTP sessions at once. Microsoft 3, Google and custom 5.
    #[schemars(example = 3)]
    pub smtp_sessions: Option<u32>,
    /// Graph requests at once. Microsoft 4. With `watch_inbox` one of them looks into the mailbox, if there are two.
    #[schemars(example = 4)]
    pub graph_requests: Option<u32>,
    /// Messages in any minute. Microsoft 30, Google and custom without a limit.
    #[schemars(example = 30)]
    pub messages_per_minute: Option<u32>,
    /// Recipients in any 24 hours. Microsoft and Google 10,000, custom without a limit.
    #[schemars(example = 10_000)]
    pub recipients_per_day: Option<u32>,
    /// Octets that are uploaded by Graph in any 5 minutes, base64 included; `0 B`: no limit. Microsoft 150 MB.
    #[schemars(example = "150 MB")]
    pub graph_octets_per_5_minutes: Option<SizeText>,
    /// Requests by Graph in any 10 minutes. Microsoft 10,000.
    #[schemars(example = 10_000)]
    pub graph_requests_per_10_minutes: Option<u32>,
    /// Recipients of one message; with more it is split. Microsoft 500, Google and custom 100.
    #[schemars(example = 500, range(min = 1))]
    pub recipients_per_message: Option<u32>,
    /// The largest message by SMTP. Microsoft, Google and custom 35 MiB; the server's own SIZE counts as well.
    #[schemars(example = "150 MiB")]
    pub smtp_size: Option<SizeText>,
    /// The largest message by Graph. Microsoft 3 MiB, which is what its limit of 4 MB leaves before base64.
    #[schemars(example = "3 MiB")]
    pub graph_size: Option<SizeText>,
    /// The largest message by EWS. Microsoft 35 MiB.
    #[schemars(example = "35 MiB")]
    pub ews_size: Option<SizeText>,
    /// The largest message by Graph for an account with `drafts`. Microsoft 35 MiB, which is what a mailbox takes unless
    /// its administrator has raised that, up to 150 MB.
    #[schemars(example = "150 MB")]
    pub draft_size: Option<SizeText>,
}
