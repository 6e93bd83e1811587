//! `[account.NAME]`: whose mail it is, how it gets tokens, and its ways out.

use std::collections::HashMap;
use std::sync::Arc;

use super::fault::KeyPath;
use super::file::{self, Kind, WayOut};
use super::providers::{Service, Services, provider_kind};
use super::quantity::SizeText;
use super::reader::Reader;
use super::reading;
use super::smarthost::Smarthost;
use super::watching;
use crate::account::{Account, MailboxRule};
use crate::delivery::{AccountWays, EwsWay, GmailWay, GraphWay, Limits, SmtpLogin, SmtpWay, WatchedInbox, Way};
use crate::mail::{Address, BackendKind, Domain};
use crate::reading::ReadingServers;
use crate::token::{AccountSettings, Grant, Purpose};

/// What each part is told of the accounts.
#[derive(Default)]
pub(super) struct Read {
    pub(super) accounts: Vec<Arc<Account>>,
    pub(super) grants: Vec<AccountSettings>,
    pub(super) ways: Vec<AccountWays>,
    pub(super) reading: HashMap<String, ReadingServers>,
    pub(super) inboxes: Vec<WatchedInbox>,
}

/// Reads all accounts. One with a fault that leaves nothing to build is left out.
pub(super) fn read(
    reader: &mut Reader<'_>,
    (services, smarthost): (&Services, Option<&Smarthost>),
    hostname: &str,
) -> Read {
    let mut read = Read::default();
    let providers: Vec<&str> = reader.file.provider.keys().map(String::as_str).collect();
    for (name, typed) in &reader.file.account {
        let at = KeyPath::root().key("account").key(name);
        check_name(reader, &at, name);
        let mailbox = typed.mailbox.as_deref().and_then(|text| mailbox(reader, &at, typed, text));
        let Some(provider) = &typed.provider else { continue };
        if !reader.known_name(at.key("provider"), provider, "provider", &providers) {
            continue;
        }
        let Some(service) = services.get(provider) else { continue };
        let grant = grant(reader, &at, typed, service);
        let sign_in_as = sign_in_as(reader, &at, typed);
        let limits = EffectiveLimits::of(reader, &at, typed, service);
        let ways = ways(reader, &at, typed, &Outlet { service, smarthost, limits: &limits, hostname });
        let (servers, for_reading) = reading::of_account(reader, &at, typed, service);
        let shared = reading::shared(reader, &at, typed);
        let tokens_for = tokens_for(reader, &at, typed, service);
        let watched = watching::of_account(reader, (&at, name), typed, (service, mailbox.as_ref()));
        let Some(mailbox) = mailbox else { continue };
        if !typed.read.is_empty() {
            read.reading.insert(name.clone(), servers);
        }
        let address = match &mailbox {
            MailboxRule::One(address) => Some(address.clone()),
            MailboxRule::Domain(_) => None,
        };
        read.grants.push(AccountSettings {
            name: name.clone(),
            provider: provider.clone(),
            grant,
            purposes: ways
                .iter()
                .filter_map(purpose)
                .chain(for_reading)
                .chain(directory(reader, name))
                .chain(tokens_for)
                .chain(watched.is_some().then_some(Purpose::Inbox))
                .collect(),
            drafts: typed.drafts,
            login_hint: address.as_ref().map(Address::to_string),
            sign_in_as,
        });
        read.inboxes.extend(watched);
        let (account, provider) = (name.clone(), provider.clone());
        read.ways.push(AccountWays {
            account,
            provider: provider.clone(),
            ways,
            limits: limits.pace,
            mailbox: address,
        });
        read.accounts.push(Arc::new(Account { name: name.clone(), provider, mailbox, shared }));
    }
    if reader.file.account.is_empty() && !reader.is_faulty(&KeyPath::root().key("account")) {
        let remedy = "write a `[provider.NAME]` and an `[account.NAME]`";
        reader.fault(KeyPath::root().key("account"), "there is no account, so no mail could leave", remedy);
    }
    read
}

/// Looking people up is asked for at the sign-in of the account that does it, and of no other.
fn directory(reader: &Reader<'_>, account: &str) -> Option<Purpose> {
    (reader.file.directory.account.as_deref() == Some(account)).then_some(Purpose::Directory)
}

/// What programs get tokens for.
fn tokens_for(reader: &mut Reader<'_>, at: &KeyPath, typed: &file::Account, service: &Service) -> Vec<Purpose> {
    let key = at.key("tokens_for");
    for (index, purpose) in typed.tokens_for.iter().enumerate() {
        let word = purpose.word();
        if typed.tokens_for[..index].contains(purpose) {
            reader.fault(key.item(index), format!("`{word}` stands here already"), "take it out");
        } else if !purpose.exists_at(provider_kind(service.kind)) {
            let provider = typed.provider.as_deref().unwrap_or_default();
            let cause = format!("the provider `{provider}` has nothing that a token for `{word}` opens");
            reader.fault(key.item(index), cause, "take it out");
        }
    }
    typed.tokens_for.clone()
}

/// What tokens a way needs, if any.
fn purpose(way: &Way) -> Option<Purpose> {
    match way.kind() {
        BackendKind::Graph => Some(Purpose::Graph),
        BackendKind::Smtp => Some(Purpose::Smtp),
        BackendKind::Gmail => Some(Purpose::Gmail),
        BackendKind::Ews => Some(Purpose::Ews),
        BackendKind::Smarthost => None,
    }
}

/// Names of accounts are typed on command lines and stand in log lines.
fn check_name(reader: &mut Reader<'_>, at: &KeyPath, name: &str) {
    let fine = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    if name.is_empty() || !name.chars().all(fine) {
        let cause = "the name of an account has letters, digits and `-_.@` alone";
        reader.fault(at.clone(), cause, "choose another name, such as `scanner`");
    }
}

fn mailbox(reader: &mut Reader<'_>, at: &KeyPath, typed: &file::Account, text: &str) -> Option<MailboxRule> {
    let key = at.key("mailbox");
    let Some(domain) = text.strip_prefix("*@") else {
        let remedy = "write an address such as `scanner@contoso.com`";
        return reader.parsed::<Address>(key, text, remedy).map(MailboxRule::One);
    };
    let for_many = matches!(typed.grant, file::Grant::ClientCredentials | file::Grant::ManagedIdentity);
    if !for_many && !reader.is_faulty(&at.key("grant")) {
        let cause = format!("`{text}` needs a grant of the app itself; others are for one mailbox");
        reader.fault(key, cause, "write one address, or set `grant = \"client-credentials\"`");
        return None;
    }
    reader.parsed::<Domain>(key, domain, "write it as `*@contoso.com`").map(MailboxRule::Domain)
}

fn grant(reader: &mut Reader<'_>, at: &KeyPath, typed: &file::Account, service: &Service) -> Grant {
    let key = at.key("grant");
    if typed.refresh_token.is_some() && typed.grant != file::Grant::RefreshToken && !reader.is_faulty(&key) {
        let remedy = "set `grant = \"refresh-token\"`, or take the key out";
        reader.fault(at.key("refresh_token"), "this key is for the grant `refresh-token` alone", remedy);
    }
    match typed.grant {
        file::Grant::AuthorizationCode => Grant::AuthorizationCode,
        file::Grant::DeviceCode => {
            if service.kind == Kind::Google {
                let cause = "Google gives no permission for mail by device code";
                reader.fault(key, cause, "set `grant = \"authorization-code\"`");
            }
            Grant::DeviceCode
        }
        file::Grant::RefreshToken => {
            let source = typed.refresh_token.as_ref();
            Grant::RefreshToken(source.and_then(|source| reader.secret(&at.key("refresh_token"), source)))
        }
        file::Grant::ClientCredentials => {
            check_client_credentials(reader, key, typed, service);
            Grant::ClientCredentials
        }
        file::Grant::ServiceAccount => {
            check_service_account(reader, key, typed, service);
            Grant::ServiceAccount
        }
        file::Grant::ManagedIdentity => {
            if service.kind != Kind::Microsoft {
                let cause = "only Microsoft takes the managed identity of a machine";
                reader.fault(key, cause, "set `grant = \"authorization-code\"`");
            }
            Grant::ManagedIdentity
        }
    }
}

fn check_client_credentials(reader: &mut Reader<'_>, key: KeyPath, typed: &file::Account, service: &Service) {
    let provider = typed.provider.as_deref().unwrap_or_default();
    if service.kind == Kind::Google {
        let cause = "Google has no client credentials for mailboxes";
        reader.fault(key, cause, "set `grant = \"service-account\"` or `grant = \"authorization-code\"`");
    } else if !service.has_proof {
        let cause = format!("client credentials need a secret, and the provider `{provider}` has none");
        reader.fault(key, cause, format!("add `client_secret = {{ env = \"NAME\" }}` to `[provider.{provider}]`"));
    } else if !service.has_own_tenant {
        let cause = format!("client credentials need one directory, and the tenant of `{provider}` stands for many");
        let remedy = format!("set `tenant` of `[provider.{provider}]` to your domain or directory id");
        reader.fault(key, cause, remedy);
    }
}

fn check_service_account(reader: &mut Reader<'_>, key: KeyPath, typed: &file::Account, service: &Service) {
    let provider = typed.provider.as_deref().unwrap_or_default();
    if service.kind != Kind::Google {
        let cause = format!("service accounts are Google's, and the provider `{provider}` is not");
        reader.fault(key, cause, "set `grant = \"client-credentials\"`");
    } else if !service.has_service_account {
        let cause = format!("the provider `{provider}` has no `service_account`");
        let remedy = format!("add `service_account = {{ file = \"PATH\" }}` to `[provider.{provider}]`");
        reader.fault(key, cause, remedy);
    }
}

fn sign_in_as(reader: &mut Reader<'_>, at: &KeyPath, typed: &file::Account) -> Option<String> {
    let (key, name) = (at.key("sign_in_as"), typed.sign_in_as.clone()?);
    if typed.grant.is_app() {
        reader.fault(key, "nobody signs in with the grant of this account", "take it out");
    } else if name.trim().is_empty() || name.chars().any(char::is_control) {
        reader.fault(key, "this is no name", "write the name that signs in, such as `admin@contoso.com`");
    }
    Some(name)
}

/// What the ways out are built from.
struct Outlet<'a> {
    service: &'a Service,
    smarthost: Option<&'a Smarthost>,
    limits: &'a EffectiveLimits,
    hostname: &'a str,
}

fn ways(reader: &mut Reader<'_>, at: &KeyPath, typed: &file::Account, outlet: &Outlet<'_>) -> Vec<Way> {
    let usual: &[WayOut] = match outlet.service.kind {
        Kind::Microsoft => &[WayOut::Graph, WayOut::Smtp],
        Kind::Google | Kind::Custom => &[WayOut::Smtp],
    };
    let key = at.key("send");
    let chosen = typed.send.as_deref().unwrap_or(usual);
    if chosen.is_empty() && typed.read.is_empty() && (0..5).all(|index| !reader.is_faulty(&key.item(index))) {
        reader.fault(key.clone(), "there is no way out", "write at least one, such as `send = [\"smtp\"]`");
    }
    let mut ways: Vec<Way> = Vec::new();
    for (index, out) in chosen.iter().enumerate() {
        if chosen[..index].contains(out) {
            reader.fault(key.item(index), "this way out stands here already", "take it out");
        } else if let Some(way) = way(reader, key.item(index), typed, (*out, outlet)) {
            ways.push(way);
        }
    }
    ways
}

fn way(
    reader: &mut Reader<'_>,
    at: KeyPath,
    typed: &file::Account,
    (out, outlet): (WayOut, &Outlet<'_>),
) -> Option<Way> {
    let Outlet { service, limits, .. } = outlet;
    let max_recipients = limits.recipients_per_message;
    let (url, key, whose) = match out {
        WayOut::Smtp => return smtp_way(reader, &at, typed, outlet),
        WayOut::Smarthost => return smarthost_way(reader, at, outlet),
        WayOut::Graph => (&service.graph_url, "graph_url", "`graph` is Microsoft's"),
        WayOut::Gmail => (&service.gmail_url, "gmail_url", "`gmail` is Google's"),
        WayOut::Ews => (&service.ews_url, "ews_url", "`ews` is Microsoft's"),
    };
    let Some(url) = url else {
        let provider = typed.provider.as_deref().unwrap_or_default();
        if !reader.is_faulty(&KeyPath::root().key("provider").key(provider).key(key)) {
            let cause = format!("{whose}, and the provider `{provider}` is not");
            reader.fault(at, cause, "set `send = [\"smtp\"]`");
        }
        return None;
    };
    let (url, app) = (url.clone(), typed.grant.is_app());
    Some(match out {
        WayOut::Graph => Way::Graph(GraphWay {
            base: url,
            by_name: is_named_in_path(typed),
            max_octets: limits.graph_octets,
            drafts: limits.draft_octets,
            max_recipients,
        }),
        WayOut::Gmail => Way::Gmail(GmailWay { base: url, max_octets: GMAIL_OCTETS, max_recipients }),
        WayOut::Ews => Way::Ews(EwsWay {
            url,
            impersonate: app,
            save_copy: typed.save_copy,
            max_octets: limits.ews_octets,
            max_recipients,
        }),
        WayOut::Smtp | WayOut::Smarthost => return None,
    })
}

/// Whether Graph must be told which mailbox is meant: `/me` is that of whoever signs in.
pub(super) fn is_named_in_path(typed: &file::Account) -> bool {
    let names = typed.sign_in_as.as_deref().zip(typed.mailbox.as_deref());
    typed.grant.is_app() || names.is_some_and(|(name, mailbox)| !name.eq_ignore_ascii_case(mailbox))
}

/// The largest message of the Gmail API, from its discovery document.
const GMAIL_OCTETS: u64 = 36_700_160;

fn smtp_way(reader: &mut Reader<'_>, at: &KeyPath, typed: &file::Account, outlet: &Outlet<'_>) -> Option<Way> {
    let Outlet { service, limits, hostname, .. } = outlet;
    let Some(smtp) = &service.smtp else {
        let provider = typed.provider.as_deref().unwrap_or_default();
        let key = KeyPath::root().key("provider").key(provider).key("smtp_host");
        let cause = format!("the account `{}` sends by SMTP, so this key is needed", last_key(at));
        reader.fault(key, cause, "write the name of the submission server, such as `smtp.contoso.com`");
        return None;
    };
    Some(Way::Smtp(SmtpWay {
        host: smtp.host.clone(),
        port: smtp.port,
        tls: smtp.tls,
        max_octets: limits.smtp_octets,
        max_recipients: limits.recipients_per_message,
        helo: (*hostname).to_owned(),
        dsn: smtp.dsn,
        login: SmtpLogin::Token,
    }))
}

fn smarthost_way(reader: &mut Reader<'_>, at: KeyPath, outlet: &Outlet<'_>) -> Option<Way> {
    let Outlet { smarthost, limits, hostname, .. } = outlet;
    let Some(Smarthost { host, port, tls, login, dsn }) = smarthost.cloned() else {
        if reader.file.smarthost.host.is_none() && !reader.is_faulty(&KeyPath::root().key("smarthost")) {
            let remedy = "write `[smarthost]` with `host = \"relay.contoso.com\"`, or take the way out";
            reader.fault(at, "there is no smarthost in this file", remedy);
        }
        return None;
    };
    let (max_octets, max_recipients) = (limits.smtp_octets, limits.recipients_per_message);
    let helo = (*hostname).to_owned();
    Some(Way::Smtp(SmtpWay { host, port, tls, max_octets, max_recipients, helo, dsn, login }))
}

/// The name in `account.NAME...`.
fn last_key(at: &KeyPath) -> &str {
    match at.steps().get(1) {
        Some(super::Step::Key(name)) => name,
        Some(super::Step::Item(_)) | None => "",
    }
}

/// The limits of one account: its own, else the file's, else those of the provider's kind.
struct EffectiveLimits {
    pace: Limits,
    recipients_per_message: usize,
    smtp_octets: u64,
    graph_octets: u64,
    /// `None`: messages above `graph_octets` do not go by Graph.
    draft_octets: Option<u64>,
    ews_octets: u64,
}

impl EffectiveLimits {
    fn of(reader: &mut Reader<'_>, at: &KeyPath, typed: &file::Account, service: &Service) -> Self {
        let (own, common) = (&typed.limits, &reader.file.limits);
        let usual = Usual::of(service.kind);
        let number = |own: Option<u32>, common: Option<u32>, usual: u32| own.or(common).unwrap_or(usual);
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let requests = count(number(own.graph_requests, common.graph_requests, usual.graph_requests));
        let watching = usize::from(typed.watch_inbox && service.graph_url.is_some());
        let smtp_size = own.smtp_size.as_ref().or(common.smtp_size.as_ref());
        let draft_size = own.draft_size.as_ref().or(common.draft_size.as_ref());
        let ews_size = own.ews_size.as_ref().or(common.ews_size.as_ref());
        let graph_size = own.graph_size.as_ref().or(common.graph_size.as_ref());
        let upload = own.graph_octets_per_5_minutes.as_ref().or(common.graph_octets_per_5_minutes.as_ref());
        let place = |is_own: bool| if is_own { at.key("limits") } else { KeyPath::root().key("limits") };
        let mut size = |key: &str, typed: Option<&SizeText>, is_own: bool, usual: u64| match typed {
            Some(typed) => reader.size(place(is_own).key(key), typed),
            None => usual,
        };
        let drafts = size("draft_size", draft_size, own.draft_size.is_some(), usual.draft_octets);
        Self {
            draft_octets: typed.drafts.then_some(drafts),
            ews_octets: size("ews_size", ews_size, own.ews_size.is_some(), usual.ews_octets),
            smtp_octets: size("smtp_size", smtp_size, own.smtp_size.is_some(), usual.smtp_octets),
            graph_octets: size("graph_size", graph_size, own.graph_size.is_some(), usual.graph_octets),
            pace: Limits {
                smtp_sessions: count(number(own.smtp_sessions, common.smtp_sessions, usual.smtp_sessions)),
                graph_requests: requests.saturating_sub(watching).max(1),
                messages_per_minute: number(own.messages_per_minute, common.messages_per_minute, usual.per_minute),
                recipients_per_day: number(own.recipients_per_day, common.recipients_per_day, usual.per_day),
                graph_octets_per_5_minutes: size(
                    "graph_octets_per_5_minutes",
                    upload,
                    own.graph_octets_per_5_minutes.is_some(),
                    usual.uploads,
                ),
                graph_requests_per_10_minutes: number(
                    own.graph_requests_per_10_minutes,
                    common.graph_requests_per_10_minutes,
                    usual.requests,
                ),
            },
            recipients_per_message: count(number(
                own.recipients_per_message,
                common.recipients_per_message,
                usual.per_message,
            )),
        }
    }
}

/// What providers allow by default. Microsoft: the Exchange Online limits page and the Graph throttling page;
/// Google: <https://support.google.com/a/answer/166852>.
struct Usual {
    smtp_sessions: u32,
    graph_requests: u32,
    per_minute: u32,
    per_day: u32,
    per_message: u32,
    /// Octets by Graph in 5 minutes, and requests in 10.
    uploads: u64,
    requests: u32,
    smtp_octets: u64,
    graph_octets: u64,
    draft_octets: u64,
    ews_octets: u64,
}

impl Usual {
    const fn of(kind: Kind) -> Self {
        let (smtp_sessions, per_minute, per_day, per_message) = match kind {
            Kind::Microsoft => (3, 30, 10_000, 500),
            Kind::Google => (5, 0, 10_000, 100),
            Kind::Custom => (5, 0, 0, 100),
        };
        Self {
            smtp_sessions,
            graph_requests: 4,
            per_minute,
            per_day,
            per_message,
            uploads: 150_000_000,
            requests: 10_000,
            smtp_octets: 35 << 20,
            graph_octets: 3 << 20,
            draft_octets: 35 << 20,
            ews_octets: 35 << 20,
        }
    }
}
