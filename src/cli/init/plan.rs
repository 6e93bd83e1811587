//! What a configuration is to say.

use std::io::{BufRead, Write};
use std::path::Path;

use ipnet::IpNet;

use super::interview::{Interview, Question};
use super::{InitArguments, Known};
use crate::cli::Report;
use crate::config::file::Kind;
use crate::mail::{Address, Domain};

/// Networks of this machine alone.
const THIS_MACHINE: [&str; 2] = ["127.0.0.0/8", "::1/128"];
/// What stands for "no secret".
const NONE: &str = "none";

/// What is to be written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Plan {
    pub(super) provider: ProviderPlan,
    pub(super) account: String,
    pub(super) mailbox: String,
    pub(super) app_only: bool,
    pub(super) networks: Vec<String>,
    /// Whether others than this machine may come in.
    pub(super) is_reachable: bool,
    pub(super) people: bool,
    /// The data folder of a new file.
    pub(super) data: &'static str,
}

/// Which provider.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ProviderPlan {
    /// One that the file has; its name and kind.
    Known(String, Kind),
    /// A new one.
    New(NewProvider),
}

/// A provider that is to be written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct NewProvider {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) tenant: Option<String>,
    pub(super) client_id: String,
    pub(super) secret: Option<Place>,
    /// Keys and values of a custom one.
    pub(super) endpoints: Vec<(&'static str, String)>,
}

/// Where a secret is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Variable(String),
    File(String),
}

impl Plan {
    pub(super) fn ask(
        given: &InitArguments,
        known: Option<&Known>,
        path: &Path,
        interview: &mut Interview<'_, impl BufRead, impl Write>,
    ) -> Result<Self, Report> {
        let word = provider_word(given, known, interview)?;
        let existing = known.and_then(|known| known.file.provider.get(&word)).and_then(|provider| provider.kind);
        let kind = existing.unwrap_or(match word.as_str() {
            "microsoft" => Kind::Microsoft,
            "google" => Kind::Google,
            _ => Kind::Custom,
        });
        let asks_for_app = !given.app_only && kind == Kind::Microsoft;
        let app_only = given.app_only
            || (asks_for_app && interview.confirm("Send as the app itself, without a person who signs in?")?);
        let provider = match existing {
            Some(kind) => ProviderPlan::Known(word, kind),
            None => ProviderPlan::New(Asked { given, known, path, app_only }.provider(kind, interview)?),
        };
        let mailbox = interview.answer(
            given.mailbox.as_deref(),
            &Question {
                text: "Mailbox to send as",
                flag: "--mailbox",
                default: None,
                check: &|text| mailbox(text, app_only),
            },
        )?;
        let usual = account_name(&mailbox);
        let taken = |name: &str| known.is_some_and(|known| known.file.account.contains_key(name));
        let account = interview.answer(
            given.account.as_deref(),
            &Question {
                text: "Name of the account",
                flag: "--account",
                default: Some(&usual),
                check: &|name| {
                    if taken(name) {
                        Err(format!("the file has an account `{name}` already"))
                    } else {
                        name_is_fine(name)
                    }
                },
            },
        )?;
        let networks = if known.is_some() { Vec::new() } else { networks(given, interview)? };
        let is_reachable = networks.iter().any(|network| !THIS_MACHINE.contains(&network.as_str()));
        let data = if path.starts_with("/etc") { "/var/lib/oxpost" } else { "data" };
        let people = given.people && known.is_none_or(|known| known.file.directory.account.is_none());
        Ok(Self { provider, account, mailbox, app_only, networks, is_reachable, people, data })
    }

    /// The kind of the provider.
    pub(super) const fn kind(&self) -> Kind {
        match &self.provider {
            ProviderPlan::Known(_, kind) => *kind,
            ProviderPlan::New(new) => new.kind,
        }
    }

    /// The name of the provider.
    pub(super) fn provider_name(&self) -> &str {
        match &self.provider {
            ProviderPlan::Known(name, _) => name,
            ProviderPlan::New(new) => &new.name,
        }
    }

    /// The environment variable with the secret.
    pub(super) fn variable(&self) -> Option<&str> {
        match &self.provider {
            ProviderPlan::New(NewProvider { secret: Some(Place::Variable(name)), .. }) => Some(name),
            ProviderPlan::New(_) | ProviderPlan::Known(..) => None,
        }
    }

    /// What to do now.
    pub(super) fn next_steps(&self, path: &Path) -> Vec<String> {
        let config = format!("--config {}", path.display());
        let account = &self.account;
        let mut steps = Vec::new();
        if let Some(variable) = self.variable().filter(|name| std::env::var_os(name).is_none()) {
            steps.push(format!("put the client secret into the environment variable `{variable}` of the service"));
        }
        steps.push(format!("oxpost check {config}"));
        if !self.app_only {
            steps.push(format!("oxpost login {account} {config}"));
        }
        steps.push(format!("oxpost doctor {account} {config}"));
        steps.push(format!("oxpost serve {config}"));
        steps
    }
}

/// What is given and known while a provider is asked for.
struct Asked<'a> {
    given: &'a InitArguments,
    known: Option<&'a Known>,
    path: &'a Path,
    app_only: bool,
}

/// A kind of provider, or the name of one that the file has.
fn provider_word(
    given: &InitArguments,
    known: Option<&Known>,
    interview: &mut Interview<'_, impl BufRead, impl Write>,
) -> Result<String, Report> {
    let names: Vec<&str> = known.iter().flat_map(|known| known.file.provider.keys()).map(String::as_str).collect();
    let choices = [names, vec!["microsoft", "google", "custom"]].concat();
    let listed = choices.join(", ");
    interview.answer(
        given.provider.as_deref(),
        &Question {
            text: &format!("Provider ({listed})"),
            flag: "--provider",
            default: choices.first().copied(),
            check: &|word| if choices.contains(&word) { Ok(()) } else { Err(format!("it is one of {listed}")) },
        },
    )
}

impl Asked<'_> {
    fn provider(
        &self,
        kind: Kind,
        interview: &mut Interview<'_, impl BufRead, impl Write>,
    ) -> Result<NewProvider, Report> {
        let tenant = if kind == Kind::Microsoft { Some(self.tenant(interview)?) } else { None };
        let client_id = interview.answer(
            self.given.client_id.as_deref(),
            &Question { text: "Client id of the app", flag: "--client-id", default: None, check: &not_empty },
        )?;
        let secret = self.secret(kind, interview)?;
        let endpoints = if kind == Kind::Custom { self.endpoints(interview)? } else { Vec::new() };
        let name = self.free_name(&provider_name(kind, tenant.as_deref()));
        Ok(NewProvider { name, kind, tenant, client_id, secret, endpoints })
    }

    fn tenant(&self, interview: &mut Interview<'_, impl BufRead, impl Write>) -> Result<String, Report> {
        let default = if self.app_only { None } else { Some("common") };
        interview.answer(
            self.given.tenant.as_deref(),
            &Question { text: "Tenant (domain or id of the directory)", flag: "--tenant", default, check: &not_empty },
        )
    }

    /// Where the secret is; the secret itself is never asked for, for it would stand in a history or on the screen.
    fn secret(
        &self,
        kind: Kind,
        interview: &mut Interview<'_, impl BufRead, impl Write>,
    ) -> Result<Option<Place>, Report> {
        let is_needed = self.app_only || kind == Kind::Google;
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let answer = interview.answer(
            self.given.client_secret.as_deref(),
            &Question {
                text: "Client secret (path of a file that holds it, or name of an environment variable)",
                flag: "--client-secret",
                default: Some(if is_needed { "OXPOST_SECRET" } else { NONE }),
                check: &|text| match place(text) {
                    None if is_needed => Err("this app needs a secret".to_owned()),
                    Some(Place::File(file)) if !folder.join(&file).is_file() => Err(
                        "there is no such file (write the secret's value into one that oxpost's user alone may read)"
                            .to_owned(),
                    ),
                    _ => Ok(()),
                },
            },
        )?;
        Ok(place(&answer))
    }

    fn endpoints(
        &self,
        interview: &mut Interview<'_, impl BufRead, impl Write>,
    ) -> Result<Vec<(&'static str, String)>, Report> {
        let given = self.given;
        let rows = [
            ("authorize_url", "Authorization endpoint", "--authorize-url", &given.authorize_url),
            ("token_url", "Token endpoint", "--token-url", &given.token_url),
            ("smtp_host", "Submission server", "--smtp-host", &given.smtp_host),
        ];
        let ask = |(key, text, flag, given): (_, _, _, &Option<String>)| {
            let question = Question { text, flag, default: None, check: &not_empty };
            interview.answer(given.as_deref(), &question).map(|answer| (key, answer))
        };
        rows.into_iter().map(ask).collect()
    }

    /// A name that the file does not have yet.
    fn free_name(&self, wanted: &str) -> String {
        let taken = |name: &str| self.known.is_some_and(|known| known.file.provider.contains_key(name));
        let numbered = (2..).map(|number| format!("{wanted}-{number}"));
        std::iter::once(wanted.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
    }
}

fn networks(
    given: &InitArguments,
    interview: &mut Interview<'_, impl BufRead, impl Write>,
) -> Result<Vec<String>, Report> {
    let usual = THIS_MACHINE.join(", ");
    let typed = given.networks.join(",");
    let check = |text: &str| match split(text).iter().find(|one| one.parse::<IpNet>().is_err()) {
        Some(wrong) => Err(format!("`{wrong}` is no network; write it as 192.168.10.0/24")),
        None => Ok(()),
    };
    let answer = interview.answer(
        Some(typed.as_str()).filter(|typed| !typed.is_empty()),
        &Question { text: "Networks that may hand mail in", flag: "--networks", default: Some(&usual), check: &check },
    )?;
    Ok(split(&answer).into_iter().map(str::to_owned).collect())
}

fn split(text: &str) -> Vec<&str> {
    text.split([',', ' ']).map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// Capital letters name a variable, everything else a file.
fn place(text: &str) -> Option<Place> {
    if text == NONE {
        return None;
    }
    let is_variable = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    Some(if text.chars().all(is_variable) { Place::Variable(text.to_owned()) } else { Place::File(text.to_owned()) })
}

fn mailbox(text: &str, app_only: bool) -> Result<(), String> {
    match text.strip_prefix("*@") {
        Some(domain) if app_only => domain.parse::<Domain>().map(drop).map_err(|why| why.to_string()),
        Some(_) => Err("only an app without a person (--app-only) sends as any mailbox".to_owned()),
        None => text.parse::<Address>().map(drop).map_err(|why| why.to_string()),
    }
}

fn account_name(mailbox: &str) -> String {
    let (local, domain) = mailbox.split_once('@').unwrap_or((mailbox, ""));
    let wanted = if local == "*" { domain.split('.').next().unwrap_or_default() } else { local };
    let name: String = wanted.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.')).collect();
    if name.is_empty() { "mailbox".to_owned() } else { name }
}

fn provider_name(kind: Kind, tenant: Option<&str>) -> String {
    let first = tenant.and_then(|tenant| tenant.split_once('.')).map(|(first, _)| first.to_owned());
    match kind {
        Kind::Microsoft => first.unwrap_or_else(|| "microsoft".to_owned()),
        Kind::Google => "google".to_owned(),
        Kind::Custom => "custom".to_owned(),
    }
}

fn name_is_fine(name: &str) -> Result<(), String> {
    let fine = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    if !name.is_empty() && name.chars().all(fine) {
        Ok(())
    } else {
        Err("it has letters, digits and `-_.@` alone".into())
    }
}

fn not_empty(text: &str) -> Result<(), String> {
    if text.trim().is_empty() { Err("it is needed".to_owned()) } else { Ok(()) }
}
