//! The log: set-up, and one line for each event of the closed list in `mail::event`; the newest events in memory; the
//! figures for monitoring.

mod journal;
mod lines;
mod metrics;
mod words;

use std::io::{self, IsTerminal};

use tracing::{info, warn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

pub use self::journal::{Entry, Hour, Journal};
pub use self::lines::Logging;
pub use self::metrics::{AccountFigures, Metrics, OPEN_METRICS, Standing};
use crate::mail::{Event, Observer};

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Crates that print credentials or message content when they are asked for more than information.
const TALKATIVE: [&str; 6] = ["rustls", "hyper", "hyper_util", "reqwest", "h2", "mail_parser"];

/// Starts logging to standard error. `level` is a level or a `tracing` filter such as `info,oxpost::delivery=debug`;
/// crates that print credentials never get below `info`. An unreadable filter is replaced by `info`. Nobody waits for
/// whoever reads the log.
///
/// # Errors
/// What the system says if it has no thread for it.
pub fn start(format: LogFormat, level: &str) -> io::Result<Logging> {
    let (lines, logging) = lines::lines(io::stderr())?;
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter(level)).with_span_events(FmtSpan::NONE).with_writer(lines);
    // A second start (tests run many gateways in one process) keeps the first one's set-up.
    let _started = match format {
        LogFormat::Human => builder.with_ansi(io::stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
    };
    Ok(logging)
}

/// What is logged at a level: see [`start`].
pub fn filter(level: &str) -> EnvFilter {
    let mut filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    for target in TALKATIVE {
        if let Ok(cap) = format!("{target}=info").parse() {
            filter = filter.add_directive(cap);
        }
    }
    filter
}

/// Prints each event as one log line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Log;

impl Observer for Log {
    fn observe(&self, event: &Event) {
        match event {
            Event::Accepted { .. } | Event::Relayed { .. } | Event::Deferred { .. } | Event::Failed { .. } => {
                message(event)
            }
            Event::Refused { .. } | Event::LoginRefused { .. } => refusal(event),
            Event::WayRefused { .. }
            | Event::Held { .. }
            | Event::HeldByHand { .. }
            | Event::StillHeld { .. }
            | Event::Released { .. }
            | Event::Reported { .. }
            | Event::Unreported { .. }
            | Event::Bounced { .. } => aftermath(event),
            Event::SessionOpened { .. } | Event::SessionClosed { .. } | Event::SessionRefused { .. } => reading(event),
            Event::TokenRenewed { .. }
            | Event::TokenDeferred { .. }
            | Event::TokenUnsaved { .. }
            | Event::SignInNeeded { .. }
            | Event::AccountWarning { .. }
            | Event::SignedIn { .. } => {
                sign_in(event);
            }
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the caller matches exhaustively and sends each kind to its function"
)]
fn message(event: &Event) {
    match event {
        Event::Accepted { id, client, peer, account, mailbox, reverse_path, recipients, octets, message_id } => {
            let peer = peer.map(|p| p.to_string()).unwrap_or_default();
            let message_id = message_id.as_deref().unwrap_or("");
            info!(%id, client, peer, account, mailbox, reverse_path, recipients, octets, message_id, "accepted");
        }
        Event::Relayed { id, account, backend, attempt, recipients, diagnostic, millis } => {
            info!(%id, account, %backend, attempt, recipients, millis, diagnostic, "relayed");
        }
        Event::Deferred { id, account, backend, attempt, recipients, failure, next } => {
            let backend = backend.map_or("", |b| b.name());
            warn!(%id, account, backend, attempt, recipients, why = %failure, %next, hint = failure.reason.hint(account), "deferred");
        }
        Event::Failed { id, account, backend, attempt, recipients, failure } => {
            let backend = backend.map_or("", |b| b.name());
            let status = failure.status();
            warn!(%id, account, backend, attempt, recipients, %status, why = %failure, hint = failure.reason.hint(account), "failed");
        }
        _ => {}
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the caller matches exhaustively and sends each kind to its function"
)]
fn refusal(event: &Event) {
    match event {
        Event::Refused { client, peer, reply, why } => {
            let peer = peer.map(|p| p.to_string()).unwrap_or_default();
            info!(client, peer, reply, why, "refused");
        }
        Event::LoginRefused { peer, login, why } => {
            let peer = peer.map(|p| p.to_string()).unwrap_or_default();
            warn!(peer, login, why, "login refused");
        }
        _ => {}
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the caller matches exhaustively and sends each kind to its function"
)]
fn aftermath(event: &Event) {
    match event {
        Event::Held { id, account, mailbox, failure, probe, fresh } => {
            warn!(%id, fresh, account, mailbox, why = %failure, hint = failure.reason.hint(account), next_probe = probe.map(tracing::field::display), "held");
        }
        Event::HeldByHand { account, mailbox, why } => info!(account, mailbox, why, "held by hand"),
        Event::StillHeld { account, mailbox, failure, since, waiting } => {
            warn!(account, mailbox, why = %failure, hint = failure.reason.hint(account), %since, waiting, "still held");
        }
        Event::WayRefused { account, mailbox, backend, failure, until } => {
            let hint = failure.reason.hint(account);
            warn!(account, mailbox, %backend, why = %failure, %until, hint, "way refused; the account's other ways are used");
        }
        Event::Released { account, mailbox, why } => info!(account, mailbox, why, "released"),
        Event::Reported { id, about, to } => info!(%id, %about, to, "reported"),
        Event::Bounced { id, account, recipient, action, status, words } => {
            let (action, status) = (action.word(), status.map(tracing::field::display));
            warn!(%id, account, recipient, action, status, words, "bounced");
        }
        Event::Unreported { about, why } => warn!(%about, why, "failure cannot be reported by mail"),
        _ => {}
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the caller matches exhaustively and sends each kind to its function"
)]
fn reading(event: &Event) {
    match event {
        Event::SessionOpened { session, protocol, client, account, mailbox, peer } => {
            info!(session, protocol, client, account, mailbox, %peer, "session opened");
        }
        Event::SessionClosed { session, protocol, client, account, mailbox, why, up, down, millis } => {
            info!(session, protocol, client, account, mailbox, why, up, down, millis, "session closed");
        }
        Event::SessionRefused { session, protocol, client, account, mailbox, peer, failure, hint } => {
            warn!(session, protocol, client, account, mailbox, %peer, why = %failure, hint, "session refused");
        }
        _ => {}
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the caller matches exhaustively and sends each kind to its function"
)]
fn sign_in(event: &Event) {
    match event {
        Event::TokenRenewed { account, resource, expires } => {
            info!(account, resource, %expires, "access token renewed")
        }
        Event::TokenDeferred { account, why } => warn!(account, why, "no access token for now; trying again"),
        Event::TokenUnsaved { account, why } => {
            warn!(account, why, "the renewed refresh token is not on disk yet: do not stop oxpost before it is");
        }
        Event::SignInNeeded { account, why, hint } => warn!(account, why, hint, "sign-in needed"),
        Event::AccountWarning { account, what, hint, due } => {
            warn!(account, what, hint, due = due.map(tracing::field::display), "account warning");
        }
        Event::SignedIn { account, name } => info!(account, name = name.as_deref().unwrap_or(""), "signed in"),
        _ => {}
    }
}
