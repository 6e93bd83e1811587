//! What will go wrong with an account unless somebody does something, said while there is time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::TokenManager;
use super::manager::Entry;
use super::registration::Registration;
use super::settings::{ClientAuthentication, ProviderKind};
use super::standing::Life;
use crate::clock::Timestamp;
use crate::mail::Event;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Secrets and certificates take their time to be replaced.
const AHEAD: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// An account renews daily, so that many days without are a sign.
const IDLE: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// Google: refresh tokens of an app in test mode ("Using OAuth 2.0 to access Google APIs", refresh token expiration).
const TEST_MODE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Something that will go wrong.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Warning {
    /// What.
    pub what: String,
    /// What to do about it.
    pub hint: String,
    /// When it goes wrong, if that is known.
    pub due: Option<Timestamp>,
}

/// How soon the same warning is given again.
const AGAIN: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What an account was warned of, and when last: by the hint, which stays the same while days count up.
pub(super) type Warned = BTreeMap<String, Timestamp>;

/// What was found out about an account elsewhere, by what it is about.
pub(super) type FoundOut = BTreeMap<&'static str, Warning>;

impl TokenManager {
    /// Takes note of what was found out about what an account's tokens may do, or that it is over (`None`). It stands
    /// with the account's warnings until then, and the observer is told when it is new.
    pub fn found_out(&self, account: &str, about: &'static str, warning: Option<Warning>) {
        let Ok(entry) = self.entry(account) else { return };
        let Some(warning) = warning else {
            entry.found().remove(about);
            return;
        };
        let before = entry.found().insert(about, warning.clone());
        if before.is_none_or(|before| before.hint != warning.hint) {
            let (account, Warning { what, hint, due }) = (account.to_owned(), warning);
            self.inner.observer.observe(&Event::AccountWarning { account, what, hint, due });
        }
    }

    /// Tells the observer what will go wrong, once a week.
    pub(super) fn warn(&self, entry: &Entry, now: Timestamp) {
        let state = entry.state();
        let (Some(registration), Some(standing)) = (state.registration(), state.standing(now)) else { return };
        drop(state);
        let warnings = of(&registration, standing.life, now);
        let mut warned = entry.warned();
        warned.retain(|hint, _| warnings.iter().any(|warning| warning.hint == *hint));
        for Warning { what, hint, due } in warnings {
            if warned.get(&hint).is_none_or(|last| now.since(*last) >= AGAIN) {
                warned.insert(hint.clone(), now);
                let account = entry.name.clone();
                self.inner.observer.observe(&Event::AccountWarning { account, what, hint, due });
            }
        }
    }
}

/// What to warn of. `life` is that of the refresh token, where there is one.
pub(super) fn of(registration: &Registration, life: Option<Life>, now: Timestamp) -> Vec<Warning> {
    let mut warnings = Vec::new();
    warnings.extend(of_secret(registration, now));
    warnings.extend(of_certificate(registration, now));
    if let Some(life) = life {
        warnings.extend(of_end(registration, life).or_else(|| of_idleness(registration, life, now)));
    }
    warnings
}

fn of_secret(registration: &Registration, now: Timestamp) -> Option<Warning> {
    let provider = &registration.provider;
    let due = provider.secret_expires.filter(|due| is_near(*due, now))?;
    let what = format!("the client secret of `{}` {}", provider.name, ends(due, now));
    let hint = "make a new client secret in the app registration (Certificates & secrets), put its value where \
                `client_secret` says, change `client_secret_expires`, and reload";
    Some(Warning { what, hint: hint.to_owned(), due: Some(due) })
}

fn of_certificate(registration: &Registration, now: Timestamp) -> Option<Warning> {
    let provider = &registration.provider;
    let ClientAuthentication::Key(key) = &provider.authentication else { return None };
    let due = key.not_after().filter(|due| is_near(*due, now))?;
    let what = format!("the certificate of the app of `{}` {}", provider.name, ends(due, now));
    let hint = "make a new certificate, upload it to the app registration (Certificates & secrets), put it with its key \
                where `certificate` says, and reload";
    Some(Warning { what, hint: hint.to_owned(), due: Some(due) })
}

/// A grant that ends whatever happens.
fn of_end(registration: &Registration, life: Life) -> Option<Warning> {
    let Registration { account, provider } = registration;
    let is_google = provider.kind == ProviderKind::Google;
    let in_test_mode = (is_google && provider.test_mode).then(|| life.obtained.plus(TEST_MODE));
    let due = life.ends.or(in_test_mode)?;
    let what = format!("the sign-in of `{}` ends on {due}, however much it is used", account.name);
    let hint = if is_google {
        format!(
            "publish the app (Google Cloud console, Google Auth Platform, Audience) or make it internal, then run \
             `oxpost login {}`; until then sign in again before that day",
            account.name
        )
    } else {
        format!("run `oxpost login {}` before that day", account.name)
    };
    Some(Warning { what, hint, due: Some(due) })
}

/// A refresh token that was not used for so long that it may die of it.
fn of_idleness(registration: &Registration, life: Life, now: Timestamp) -> Option<Warning> {
    let Registration { account, provider } = registration;
    let idle = now.since(life.renewed);
    if idle < IDLE || life.renewed.as_millis() == 0 {
        return None;
    }
    let limit = match provider.kind {
        ProviderKind::Microsoft => Some(90),
        ProviderKind::Google => Some(180),
        ProviderKind::Custom => None,
    };
    let due = limit.map(|days| life.renewed.plus(DAY * days));
    let days = idle.as_secs() / DAY.as_secs();
    let what = format!("the refresh token of `{}` could not be used for {days} days", account.name);
    let hint = format!(
        "see what keeps this machine from `{}` (`oxpost account`, the log); if it lasts, run `oxpost login {}`",
        provider.name, account.name
    );
    Some(Warning { what, hint, due })
}

fn is_near(due: Timestamp, now: Timestamp) -> bool {
    due.minus(AHEAD) <= now
}

fn ends(due: Timestamp, now: Timestamp) -> String {
    if due <= now { format!("ended on {due}") } else { format!("ends on {due}") }
}
