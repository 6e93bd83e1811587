//! The configuration: from the file as typed to what each part of the program is told.
//!
//! A file is read in three steps that all go on after a fault, so that a person sees every fault at once:
//! `document` (is it TOML), `shape` (is every key known, every type right), and one reader for each section, which
//! says what the keys mean together.

mod accounts;
mod admin;
pub mod check;
mod clients;
mod directory;
mod document;
mod fault;
pub mod file;
mod listeners;
pub mod machine;
mod network;
mod proofs;
mod providers;
mod quantity;
mod reader;
mod reading;
pub mod reference;
mod routing;
mod shape;
mod smarthost;
mod suggest;
#[cfg(test)]
mod tests;
mod watching;

pub use document::Position;
pub use fault::{ConfigError, ConfigErrors, KeyPath, Step};
pub use file::{LogFormat, LogLevel};
pub use network::NetworkSettings;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use document::Document;
use fault::Faults;
use reader::Reader;
use url::Url;

use crate::account::{Account, Clients, Routing};
use crate::mail::Address;
use crate::reading::ReadingServers;
use crate::secret::Secret;
use crate::token::{SealingKey, SealingKeyError};
use crate::{delivery, directory as people, front, queue, telemetry, token};

/// The environment variable that holds the sealing key.
const KEY_VARIABLE: &str = "OXPOST_KEY";
/// The systemd credential that holds the sealing key.
const KEY_CREDENTIAL: &str = "oxpost-key";

/// Where the key comes from that seals tokens on disk.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// Base64 text from the environment variable `OXPOST_KEY`.
    Environment(Secret),
    /// A file that the service manager provides; it is read and never made.
    Credential(PathBuf),
    /// A file that is made, readable by its owner alone, if it is not there.
    File(PathBuf),
}

/// What is logged, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogSettings {
    /// The form of a line.
    pub format: LogFormat,
    /// The least important kind of line that is written.
    pub level: LogLevel,
}

/// A configuration that holds together, ready to be handed to the parts.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it came from.
    pub file: PathBuf,
    /// The data folder.
    pub data: PathBuf,
    /// What the gateway calls itself.
    pub hostname: String,
    /// Certificates that are trusted for connections to providers, beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// Where the sealing key comes from.
    pub key: KeySource,
    /// The name of the account that reports for accounts on hold.
    pub notify: Option<String>,
    /// Who gets notices about accounts; `None`: the mailbox of that account.
    pub notify_to: Option<Address>,
    /// Where notices about accounts are posted.
    pub notify_webhook: Option<Url>,
    /// How connections leave.
    pub network: NetworkSettings,
    /// What is logged, and how.
    pub log: LogSettings,
    /// All accounts, by name.
    pub accounts: Vec<Arc<Account>>,
    /// All clients, in the order of the file.
    pub clients: Clients,
    /// Routes and aliases.
    pub routing: Routing,
    /// For the token manager.
    pub token: token::Settings,
    /// For the queue.
    pub queue: queue::Settings,
    /// For delivery.
    pub delivery: delivery::Settings,
    /// For looking people up; `None`: nobody is looked up.
    pub directory: Option<people::Settings>,
    /// For the SMTP front.
    pub submission: front::SubmissionSettings,
    /// Where each account that is read has its servers.
    pub reading: HashMap<String, ReadingServers>,
    /// The page.
    pub page: front::admin::PageSettings,
    /// The files that secrets were read from.
    pub secret_files: Vec<PathBuf>,
}

impl From<LogFormat> for telemetry::LogFormat {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Human => Self::Human,
            LogFormat::Json => Self::Json,
        }
    }
}

impl Config {
    /// Where commands reach the running gateway.
    pub fn control_socket(&self) -> PathBuf {
        self.data.join("control.sock")
    }

    /// The key that seals tokens; made at the first start where it comes from a file.
    ///
    /// # Errors
    /// The key cannot be read, or others can read it.
    pub fn sealing_key(&self) -> Result<SealingKey, SealingKeyError> {
        match &self.key {
            KeySource::Environment(text) => SealingKey::from_base64(text, KEY_VARIABLE),
            KeySource::Credential(path) => SealingKey::load(path),
            KeySource::File(path) => SealingKey::load_or_create(path),
        }
    }

    /// Reads the file at `path`; `environment` looks up environment variables.
    ///
    /// # Errors
    /// Every fault of the file, with its place, its cause and what to write instead.
    pub fn load(path: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            let fault = ConfigError {
                position: None,
                key: KeyPath::root(),
                cause: format!("the file cannot be read: {error}"),
                remedy: "give the path of a TOML file that this user may read".to_owned(),
            };
            ConfigErrors { file: path.to_owned(), errors: vec![fault] }
        })?;
        Self::read(&text, path, environment)
    }

    /// Reads a text as if it stood in the file at `path`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn read(text: &str, path: &Path, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let refused = |errors| ConfigErrors { file: path.to_owned(), errors };
        let document = Document::parse(text).map_err(refused)?;
        let mut faults = Faults::new(&document);
        let file = shape::read(&document, &mut faults);
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        let mut reader = Reader::new(&file, faults, folder, environment);
        let config = whole(&mut reader, path);
        let errors = reader.into_errors();
        if errors.is_empty() { Ok(config) } else { Err(refused(errors)) }
    }
}

/// Everything, from what is sound. It is of use only if the reader has found no fault.
fn whole(reader: &mut Reader<'_>, path: &Path) -> Config {
    let file = reader.file;
    let data = reader.path(&file.data);
    let hostname = hostname(reader);
    let services = providers::read(reader);
    let smarthost = smarthost::read(reader);
    let read = accounts::read(reader, (&services, smarthost.as_ref()), &hostname);
    let clients = clients::read(reader, &read.accounts);
    let routing = routing::read(reader, &read.accounts, &hostname);
    let submission = front::SubmissionSettings {
        tls: listeners::tls_files(reader, &data),
        listeners: listeners::read(reader, &clients),
        hostname: hostname.clone(),
    };
    let page = admin::read(reader, &submission.listeners);
    listeners::refuse_circles(reader, &submission, &services);
    smarthost::refuse_circle(reader, &submission);
    let directory = directory::read(reader, &services);
    let notify = file.notify.clone();
    if let Some(name) = &notify {
        check_notify(reader, name);
    }
    let notify_to = file.notify_to.as_ref().and_then(|to| notify_to(reader, to));
    let webhook = file.notify_webhook.as_ref();
    let notify_webhook = webhook.and_then(|url| reader.endpoint(KeyPath::root().key("notify_webhook"), url));
    Config {
        file: path.to_owned(),
        ca_file: file.ca_file.as_deref().map(|path| reader.readable(KeyPath::root().key("ca_file"), path)),
        network: network::read(reader),
        key: key_source(reader, &data),
        log: LogSettings { format: file.log.format, level: file.log.level },
        token: token::Settings { providers: services.into_providers(), accounts: read.grants },
        queue: queue_settings(reader, &file.queue, &data),
        delivery: delivery_settings(reader, &file.delivery, (read.ways, read.inboxes)),
        reading: read.reading,
        directory,
        accounts: read.accounts,
        secret_files: reader.secret_files.clone(),
        data,
        hostname,
        notify,
        notify_to,
        notify_webhook,
        clients,
        routing,
        submission,
        page,
    }
}

/// Notices are sent from the account's own mailbox.
fn check_notify(reader: &mut Reader<'_>, name: &str) {
    let key = KeyPath::root().key("notify");
    if !reader.known_account(key.clone(), name) {
        return;
    }
    let Some(account) = reader.file.account.get(name) else { return };
    let mailbox = account.mailbox.as_deref().unwrap_or_default();
    let why = match &account.send {
        _ if mailbox.starts_with("*@") => format!("is for `{mailbox}`, so it has no mailbox to send notices from"),
        Some(ways) if ways.is_empty() => "has no way out, so it cannot send notices".to_owned(),
        Some(_) | None => return,
    };
    let remedy = "name an account with one mailbox and a way out; `notify_to` says who gets the notices";
    reader.fault(key, format!("the account `{name}` {why}"), remedy);
}

fn notify_to(reader: &mut Reader<'_>, to: &str) -> Option<Address> {
    let key = KeyPath::root().key("notify_to");
    if reader.file.notify.is_none() && !reader.is_faulty(&KeyPath::root().key("notify")) {
        reader.fault(key, "no account sends notices", "add `notify` with the name of an account, or take this out");
        return None;
    }
    reader.parsed(key, to, "write an address such as `admin@contoso.com`")
}

/// The name the file gives, else the machine's.
fn hostname(reader: &mut Reader<'_>) -> String {
    let key = KeyPath::root().key("hostname");
    match &reader.file.hostname {
        Some(name) => {
            if name.parse::<crate::mail::Domain>().is_err() {
                reader.fault(key, format!("`{name}` is no host name"), "write a name such as `mail.contoso.com`");
            }
            name.to_lowercase()
        }
        None => machine::hostname(),
    }
}

fn key_source(reader: &mut Reader<'_>, data: &Path) -> KeySource {
    if let Some(text) = (reader.environment)(KEY_VARIABLE).filter(|text| !text.is_empty()) {
        return KeySource::Environment(Secret::new(text));
    }
    let credential =
        (reader.environment)("CREDENTIALS_DIRECTORY").map(|folder| Path::new(&folder).join(KEY_CREDENTIAL));
    match credential.filter(|path| path.exists()) {
        Some(path) => KeySource::Credential(path),
        None => {
            KeySource::File(reader.file.key_file.as_deref().map_or_else(|| data.join("key"), |path| reader.path(path)))
        }
    }
}

fn queue_settings(reader: &mut Reader<'_>, typed: &file::Queue, data: &Path) -> queue::Settings {
    let at = KeyPath::root().key("queue");
    let count = |octets: u64| usize::try_from(octets).unwrap_or(usize::MAX);
    queue::Settings {
        data: data.to_owned(),
        expire_after: reader.duration(at.key("expire_after"), &typed.expire_after),
        hold_expire_after: reader.duration(at.key("hold_expire_after"), &typed.hold_expire_after),
        unknown_retry: reader.duration(at.key("unknown_retry"), &typed.unknown_retry),
        delay_report_after: reader.duration(at.key("delay_report_after"), &typed.delay_report_after),
        keep: reader.duration(at.key("keep"), &typed.keep),
        reserve_octets: reader.size(at.key("reserve"), &typed.reserve),
        reserve_percent: typed.reserve_percent,
        inline_octets: count(reader.size(at.key("inline"), &typed.inline)),
        memory_octets: count(reader.size(at.key("memory"), &typed.memory)),
    }
}

fn delivery_settings(
    reader: &mut Reader<'_>,
    typed: &file::Delivery,
    (ways, inboxes): (Vec<delivery::AccountWays>, Vec<delivery::WatchedInbox>),
) -> delivery::Settings {
    let at = KeyPath::root().key("delivery");
    delivery::Settings {
        accounts: ways.into_iter().map(|ways| (ways.account.clone(), ways)).collect(),
        inboxes,
        step_timeout: reader.time_to_wait(at.key("step_timeout"), &typed.step_timeout),
        final_timeout: reader.time_to_wait(at.key("final_timeout"), &typed.final_timeout),
        idle_timeout: reader.duration(at.key("idle_timeout"), &typed.idle_timeout),
    }
}
