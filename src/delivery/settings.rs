//! What delivery is told by configuration.

use std::collections::HashMap;
use std::time::Duration;

use url::Url;

use crate::mail::{Address, BackendKind};
use crate::queue::{MailboxKey, Rates};
use crate::reading::ReadingServer;
use crate::secret::Secret;

/// How TLS begins on a connection to an SMTP server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SmtpTls {
    /// STARTTLS, required (RFC 3207).
    StartTls,
    /// TLS from the first octet (RFC 8314).
    Implicit,
    /// Never: a smarthost that the configuration says so of. Neither password nor token goes there.
    Never,
}

/// How one logs in to an SMTP server.
#[derive(Clone, Debug)]
pub enum SmtpLogin {
    /// As the mailbox, with the account's token: the provider's own server.
    Token,
    /// With a password that does not depend on the account: a smarthost.
    Password {
        /// The login.
        login: String,
        /// Its password.
        password: Secret,
    },
    /// Not at all: a smarthost that knows this machine.
    Nobody,
}

impl PartialEq for SmtpLogin {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Token, Self::Token) | (Self::Nobody, Self::Nobody) => true,
            (Self::Password { login, password }, Self::Password { login: other, password: secret }) => {
                login == other && password.expose() == secret.expose()
            }
            (Self::Token | Self::Password { .. } | Self::Nobody, _) => false,
        }
    }
}

impl Eq for SmtpLogin {}

/// Submission to an SMTP server: the provider's, or a smarthost.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SmtpWay {
    /// Host name; also the name its certificate must have.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How TLS begins.
    pub tls: SmtpTls,
    /// Largest message in octets; the server's own SIZE counts as well.
    pub max_octets: u64,
    /// Recipients in one transaction.
    pub max_recipients: usize,
    /// What we call ourselves in EHLO.
    pub helo: String,
    /// Whether the server is known to keep DSN (RFC 3461), so that a listener may offer it.
    pub dsn: bool,
    /// How one logs in.
    pub login: SmtpLogin,
}

/// Microsoft Graph `sendMail`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GraphWay {
    /// Base such as `https://graph.microsoft.com/v1.0`, without a slash at the end.
    pub base: Url,
    /// Whether the mailbox is named in the path, `/users/{mailbox}`, instead of `/me`: for an app without a person, and
    /// for a mailbox that somebody else signs in for.
    pub by_name: bool,
    /// Largest message in octets before base64 that is sent in one request. Default and most: 3 MiB.
    pub max_octets: u64,
    /// Largest message in octets that is sent as a draft with its large files apart; `None`: none is, and the
    /// permission `Mail.ReadWrite` is not needed.
    pub drafts: Option<u64>,
    /// Recipients in one message.
    pub max_recipients: usize,
}

/// The Gmail API, `messages.send`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GmailWay {
    /// Base such as `https://gmail.googleapis.com`, without a slash at the end.
    pub base: Url,
    /// Largest message in octets. Default and most: 35 MiB.
    pub max_octets: u64,
    /// Recipients in one message. Google: 100.
    pub max_recipients: usize,
}

/// Exchange Web Services, `CreateItem`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EwsWay {
    /// Such as `https://outlook.office365.com/EWS/Exchange.asmx`.
    pub url: Url,
    /// Whether the mailbox is impersonated: for an app without a person.
    pub impersonate: bool,
    /// Whether a copy goes to Sent Items.
    pub save_copy: bool,
    /// Largest message in octets.
    pub max_octets: u64,
    /// Recipients in one message.
    pub max_recipients: usize,
}

/// One way out of an account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Way {
    /// Graph.
    Graph(GraphWay),
    /// SMTP.
    Smtp(SmtpWay),
    /// Gmail API.
    Gmail(GmailWay),
    /// Exchange Web Services.
    Ews(EwsWay),
}

impl Way {
    /// Which backend carries it.
    pub const fn kind(&self) -> BackendKind {
        match self {
            Self::Graph(_) => BackendKind::Graph,
            Self::Smtp(SmtpWay { login: SmtpLogin::Token, .. }) => BackendKind::Smtp,
            Self::Smtp(_) => BackendKind::Smarthost,
            Self::Gmail(_) => BackendKind::Gmail,
            Self::Ews(_) => BackendKind::Ews,
        }
    }

    /// Largest message in octets.
    pub const fn max_octets(&self) -> u64 {
        match self {
            Self::Graph(way) => match way.drafts {
                Some(drafts) if drafts > way.max_octets => drafts,
                Some(_) | None => way.max_octets,
            },
            Self::Smtp(way) => way.max_octets,
            Self::Gmail(way) => way.max_octets,
            Self::Ews(way) => way.max_octets,
        }
    }

    /// Recipients in one transaction or message.
    pub const fn max_recipients(&self) -> usize {
        match self {
            Self::Graph(way) => way.max_recipients,
            Self::Smtp(way) => way.max_recipients,
            Self::Gmail(way) => way.max_recipients,
            Self::Ews(way) => way.max_recipients,
        }
    }
}

/// The provider's limits for one mailbox; all are configuration, 0 means none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// SMTP sessions at once. Microsoft: 3.
    pub smtp_sessions: usize,
    /// Requests at once, by Graph, EWS or the Gmail API. Microsoft: 4.
    pub graph_requests: usize,
    /// Messages in any minute. Microsoft: 30.
    pub messages_per_minute: u32,
    /// Recipients in any 24 hours. Microsoft: 10,000.
    pub recipients_per_day: u32,
    /// Octets that are uploaded by Graph in any 5 minutes. Microsoft: 150 MB.
    pub graph_octets_per_5_minutes: u64,
    /// Requests by Graph in any 10 minutes. Microsoft: 10,000.
    pub graph_requests_per_10_minutes: u32,
}

impl Limits {
    /// For a mailbox that no account owns any longer: one at a time.
    pub const STRICTEST: Self = Self {
        smtp_sessions: 1,
        graph_requests: 1,
        messages_per_minute: 30,
        recipients_per_day: 10_000,
        graph_octets_per_5_minutes: 150_000_000,
        graph_requests_per_10_minutes: 10_000,
    };

    /// How fast mail goes within these limits; the octets count if it goes `by_graph`.
    const fn rates(&self, by_graph: bool) -> Rates {
        // They are counted in base64.
        let octets = if by_graph { self.graph_octets_per_5_minutes / 4 * 3 } else { 0 };
        Rates {
            messages_per_minute: self.messages_per_minute,
            recipients_per_day: self.recipients_per_day,
            octets_per_5_minutes: octets,
        }
    }

    /// What one way may do at once; `None`: no limit.
    pub(super) const fn of(&self, kind: BackendKind) -> Option<usize> {
        let limit = match kind {
            BackendKind::Smtp | BackendKind::Smarthost => self.smtp_sessions,
            BackendKind::Graph | BackendKind::Gmail | BackendKind::Ews => self.graph_requests,
        };
        if limit == 0 { None } else { Some(limit) }
    }
}

/// How an account's mail goes out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountWays {
    /// The account's name.
    pub account: String,
    /// The name of its provider.
    pub provider: String,
    /// The ways out in order of preference; never empty.
    pub ways: Vec<Way>,
    /// Limits per mailbox.
    pub limits: Limits,
    /// The address reports about this account's mail come from and fall back to, unless `*@domain`.
    pub mailbox: Option<Address>,
}

impl AccountWays {
    /// How fast the mail of a mailbox goes by its account's first way. `None`: no account owns it any longer.
    pub fn rates(account: Option<&Self>) -> Rates {
        let of = |account: &Self| account.limits.rates(matches!(account.ways.first(), Some(Way::Graph(_))));
        account.map_or(Limits::STRICTEST.rates(false), of)
    }

    /// Whose limits count for a mailbox: those of the account that owns it, or of one that may use its whole domain.
    pub fn of_mailbox<'a>(accounts: &'a HashMap<String, Self>, key: &MailboxKey) -> Option<&'a Self> {
        let of_provider = || accounts.values().filter(|account| account.provider == key.provider);
        let owner = of_provider().find(|account| account.mailbox.as_ref().is_some_and(|m| m.key() == key.mailbox));
        owner.or_else(|| of_provider().find(|account| account.mailbox.is_none()))
    }
}

/// A mailbox that is looked into for reports about mail that did not arrive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchedInbox {
    /// The account's name.
    pub account: String,
    /// The name of its provider.
    pub provider: String,
    /// The mailbox.
    pub mailbox: Address,
    /// By what.
    pub by: WatchedBy,
    /// Whether nobody signs in for it.
    pub app_only: bool,
    /// How often.
    pub every: Duration,
}

/// How a watched inbox is looked into.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WatchedBy {
    /// Microsoft Graph.
    Graph {
        /// Its base, such as `https://graph.microsoft.com/v1.0`, without a slash at the end.
        base: Url,
        /// Whether the mailbox is named in the path, as in [`GraphWay`].
        by_name: bool,
    },
    /// IMAP, on this server.
    Imap(ReadingServer),
}

/// Settings of delivery.
#[derive(Clone, Debug)]
pub struct Settings {
    /// By account name.
    pub accounts: HashMap<String, AccountWays>,
    /// Mailboxes that are watched.
    pub inboxes: Vec<WatchedInbox>,
    /// The longest wait for one step of a provider. Default 30 s.
    pub step_timeout: Duration,
    /// The longest wait for the answer to the end of data. Default 10 min (RFC 5321 section 4.5.3.2.6).
    pub final_timeout: Duration,
    /// How long an idle SMTP session is kept. Default 20 s.
    pub idle_timeout: Duration,
}
