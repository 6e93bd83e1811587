//! `[[listener]]` and `[[client]]`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::quantity::{DurationText, SizeText};
use super::OneOrMany;
use crate::mail::SenderPolicy;

/// A place where clients come in.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Listener {
    /// What is spoken there.
    pub protocol: Protocol,
    /// Address and port, or a list of them. `localhost`: this machine alone; `0.0.0.0` and `[::]`: every address.
    pub listen: OneOrMany,
    /// When a client hears what became of its message.
    pub mode: Mode,
    /// With `mode = "direct"`: how long a client waits for the provider's answer. After that it gets 250, and the
    /// message goes the queue's way. Less than the client's own patience.
    pub answer_within: DurationText,
    /// How TLS begins.
    pub tls: Tls,
    /// With `tls = "auto"`: how long to wait for a TLS hello before greeting in clear.
    pub auto_wait: DurationText,
    /// Whether logins are taken on a connection without TLS, where anybody on the way can read the password.
    pub allow_clear_auth: bool,
    /// Whether a lone LF or CR in a message is refused instead of made into a proper line end.
    pub strict_line_ends: bool,
    /// Names of the clients that may use it. Without it: all of them.
    #[schemars(example = ["floor-2-printers"])]
    pub clients: Vec<String>,
    /// Networks of proxies such as HAProxy. Who connects from there must send a PROXY header (version 1 or 2) first, and
    /// the client it names counts for `networks`, limits, log and `Received`. From anywhere else no header is taken.
    #[schemars(example = ["192.0.2.10"])]
    pub proxy_from: Vec<String>,
    /// Sessions at once.
    #[schemars(range(min = 1))]
    pub max_sessions: u32,
    /// Sessions at once from one address.
    #[schemars(range(min = 1))]
    pub max_sessions_per_address: u32,
    /// Recipients of one message.
    #[schemars(range(min = 100))]
    pub max_recipients: u32,
    /// The largest message, if smaller than what the accounts can send.
    #[schemars(example = "25 MB")]
    pub max_size: Option<SizeText>,
    /// How long a client may take for its next command.
    pub command_timeout: DurationText,
    /// How long a reading session may be silent in both directions once it is logged in. Without it: 35 minutes for
    /// `imap`, 11 for `pop3`.
    #[schemars(example = "1 h")]
    pub idle_timeout: Option<DurationText>,
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            protocol: Protocol::Smtp,
            listen: OneOrMany::One("localhost:2525".to_owned()),
            mode: Mode::Queue,
            answer_within: "45 s".into(),
            tls: Tls::StartTls,
            auto_wait: "1 s".into(),
            allow_clear_auth: false,
            strict_line_ends: false,
            clients: Vec::new(),
            proxy_from: Vec::new(),
            max_sessions: 1_000,
            max_sessions_per_address: 100,
            max_recipients: 1_000,
            max_size: None,
            command_timeout: "5 min".into(),
            idle_timeout: None,
        }
    }
}

/// What is spoken on a listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// SMTP: mail is handed in.
    Smtp,
    /// IMAP: mail is read.
    Imap,
    /// POP3: mail is fetched.
    Pop3,
}

/// When a client hears what became of its message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// At once: the message is in the queue, and trouble at the provider is not the client's.
    Queue,
    /// When the provider has answered: what the provider refuses is refused to the client, and not kept.
    Direct,
}

/// How TLS begins on a listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// Never.
    None,
    /// By the STARTTLS command; clear text is possible.
    StartTls,
    /// With the first octet, as on port 465.
    Implicit,
    /// One port for both: TLS if the client begins it, otherwise clear text with STARTTLS on offer.
    Auto,
}

/// An app or device that is let in: by the network it comes from, by a login, or by both.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name", "accounts"]))]
pub struct Client {
    /// A name of your choice, for the log and for `clients` of a listener.
    #[schemars(example = "floor-2-printers")]
    pub name: Option<String>,
    /// Networks it comes from. Mail from there needs no login. The longest prefix wins.
    #[schemars(example = ["192.168.10.0/24"])]
    pub networks: Vec<String>,
    /// The login it uses. Needs `password`.
    #[schemars(example = &"scanner")]
    pub login: Option<String>,
    /// The argon2id hash of its password, as `oxpost password` prints it.
    #[schemars(example = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$...")]
    pub password: Option<String>,
    /// From its networks any login and password succeed: for devices that insist on logging in. Needs `networks`.
    pub any_login: bool,
    /// The accounts its mail may go through. With several, the login or the reverse path says which.
    #[schemars(example = ["scanner"])]
    pub accounts: Vec<String>,
    /// The mailbox to use within an account for `*@domain`. Without it: the login if it is an address there, else the
    /// reverse path.
    #[schemars(example = "scanner@contoso.com")]
    pub mailbox: Option<String>,
    /// What its mail may say of the sender.
    pub sender: SenderPolicy,
    /// Who sends when it calls itself something else: `aliases = { "erp@intranet.local" = "billing@contoso.com" }`. Mail
    /// under that reverse path goes by the mailbox named, and its From is rewritten to it, whatever `sender` says. A key
    /// such as `"@intranet.local"` stands for every address of a domain. Each mailbox must be one of its accounts.
    #[schemars(example = BTreeMap::from([("erp@intranet.local", "billing@contoso.com")]))]
    pub aliases: BTreeMap<String, String>,
    /// Where reports about its mail go, instead of the reverse path.
    #[schemars(example = "it@contoso.com")]
    pub bounces_to: Option<String>,
    /// From its networks it may read with a token of its own (XOAUTH2, OAUTHBEARER), which is handed to the provider as
    /// it is: for programs that sign in by themselves. Needs `networks`.
    pub own_token: bool,
    /// How its lines end. `lf` only for devices that send a lone LF even around the final dot.
    pub line_endings: LineEndings,
}

/// Mail that takes another account than its client's own. At least one of `clients`, `senders` and `recipients` says
/// which mail it is for; what is not written fits all.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["account"]))]
pub struct Route {
    /// Names of the clients it is for.
    #[schemars(example = ["floor-2-printers"])]
    pub clients: Vec<String>,
    /// Reverse paths it is for: addresses, or `@contoso.com` for all of a domain.
    #[schemars(example = ["hr@contoso.com"])]
    pub senders: Vec<String>,
    /// Recipients it is for, in the same form. A message for recipients of several routes is taken for the first of them;
    /// the client is asked to send to the others in a message of its own (452 4.5.3).
    #[schemars(example = ["@fabrikam.com"])]
    pub recipients: Vec<String>,
    /// The account the mail takes, also where the client's `accounts` do not have it.
    #[schemars(example = &"hr")]
    pub account: Option<String>,
}

/// How a client's lines end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LineEndings {
    /// CR LF, as RFC 5321 has it.
    #[default]
    Crlf,
    /// LF alone.
    Lf,
}
