//! Figures for monitoring: counted from the closed list of events, written as OpenMetrics text.
//!
//! Labels are names of the configuration and words of closed lists, so that no client and no provider can make a new
//! series.

mod figures;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::Registry;

pub use self::figures::{AccountFigures, Standing};
use self::figures::{AccountLabel, BounceLabel, ClientLabel, Figures, SessionLabel, WayLabel, WhyLabel};
use crate::mail::failure::BackendKind;
use crate::mail::{Event, Failure, Reason};

/// The media type of [`Metrics::render`].
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The word in front of every name.
const PREFIX: &str = "oxpost";

/// The counters of one gateway. Clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    figures: Figures,
    registry: Registry,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let figures = Figures::registered(&mut registry);
        Self(Arc::new(Inner { figures, registry }))
    }
}

impl Metrics {
    /// All figures as OpenMetrics text: what was counted since the start, and what stands now.
    ///
    /// # Errors
    /// None that a text in memory has.
    pub fn render(&self, standing: &Standing) -> Result<String, fmt::Error> {
        let mut now = Registry::with_prefix(PREFIX);
        standing.register(&mut now);
        let mut text = String::new();
        encode_registry(&mut text, &self.0.registry)?;
        encode_registry(&mut text, &now)?;
        encode_eof(&mut text)?;
        Ok(text)
    }

    /// Counts an event.
    pub fn count(&self, event: &Event) {
        let figures = &self.0.figures;
        match event {
            Event::Accepted { client, account, octets, recipients, .. } => {
                let label = ClientLabel { client: client.clone(), account: account.clone() };
                figures.accepted.get_or_create(&label).inc();
                figures.accepted_octets.get_or_create(&label).inc_by(*octets);
                figures.accepted_recipients.get_or_create(&label).inc_by(number(*recipients));
            }
            Event::Refused { reply, .. } => {
                let temporary = reply.starts_with('4');
                if temporary {
                    figures.refused_for_now.inc()
                } else {
                    figures.refused.inc()
                };
            }
            Event::LoginRefused { .. } => {
                figures.logins_refused.inc();
            }
            Event::Relayed { account, backend, recipients, millis, .. } => {
                let label = way(account, Some(*backend));
                figures.relayed.get_or_create(&label).inc();
                figures.relayed_recipients.get_or_create(&label).inc_by(number(*recipients));
                figures.attempt_seconds.0.get_or_create(&label).observe(*millis as f64 / 1000.0);
            }
            Event::Deferred { account, backend, failure, .. } => {
                figures.deferred.get_or_create(&why(account, *backend, failure)).inc();
            }
            Event::Failed { account, backend, failure, .. } => {
                figures.failed.get_or_create(&why(account, *backend, failure)).inc();
            }
            Event::Held { account, failure, .. } => {
                figures.held.get_or_create(&why(account, None, failure)).inc();
            }
            Event::HeldByHand { account, why: words, .. } => {
                let failure = Failure::new(Reason::HeldByHand, words.clone());
                figures.held.get_or_create(&why(account, None, &failure)).inc();
            }
            // A reminder of what was counted when it began.
            Event::StillHeld { .. } => {}
            Event::Released { account, .. } => one(&figures.released, account),
            Event::Reported { .. } => {
                figures.reported.inc();
            }
            Event::Unreported { .. } => {
                figures.unreported.inc();
            }
            Event::Bounced { account, action, .. } => {
                let label = BounceLabel { account: account.clone(), action: action.word() };
                figures.bounced.get_or_create(&label).inc();
            }
            Event::WayRefused { account, backend, failure, .. } => {
                figures.ways_refused.get_or_create(&why(account, Some(*backend), failure)).inc();
            }
            Event::SessionOpened { .. } | Event::SessionClosed { .. } | Event::SessionRefused { .. } => {
                reading(figures, event);
            }
            Event::TokenRenewed { .. }
            | Event::TokenDeferred { .. }
            | Event::TokenUnsaved { .. }
            | Event::SignInNeeded { .. }
            | Event::AccountWarning { .. }
            | Event::SignedIn { .. } => sign_in(figures, event),
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the caller matches exhaustively and sends the rest here")]
fn reading(figures: &Figures, event: &Event) {
    let label = |protocol: &&'static str, account: &str| SessionLabel { protocol, account: account.to_owned() };
    match event {
        Event::SessionOpened { protocol, account, .. } => {
            figures.sessions_opened.get_or_create(&label(protocol, account)).inc();
        }
        Event::SessionClosed { protocol, account, up, down, .. } => {
            let label = label(protocol, account);
            figures.sessions_closed.get_or_create(&label).inc();
            figures.session_octets.get_or_create(&label).inc_by(up.saturating_add(*down));
        }
        Event::SessionRefused { protocol, account, .. } => {
            figures.sessions_refused.get_or_create(&label(protocol, account)).inc();
        }
        _ => {}
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the caller matches exhaustively and sends the rest here")]
fn sign_in(figures: &Figures, event: &Event) {
    match event {
        Event::TokenRenewed { account, .. } => one(&figures.tokens_renewed, account),
        Event::TokenDeferred { account, .. } => one(&figures.tokens_deferred, account),
        Event::TokenUnsaved { account, .. } => one(&figures.tokens_unsaved, account),
        Event::SignInNeeded { account, .. } => one(&figures.sign_ins_needed, account),
        Event::AccountWarning { account, .. } => one(&figures.warnings, account),
        Event::SignedIn { account, .. } => one(&figures.signed_in, account),
        _ => {}
    }
}

fn one(counters: &figures::PerAccount, account: &str) {
    counters.get_or_create(&AccountLabel { account: account.to_owned() }).inc();
}

fn way(account: &str, backend: Option<BackendKind>) -> WayLabel {
    WayLabel { account: account.to_owned(), backend: backend.map_or("none", BackendKind::name) }
}

fn why(account: &str, backend: Option<BackendKind>, failure: &Failure) -> WhyLabel {
    let WayLabel { account, backend } = way(account, backend);
    WhyLabel { account, backend, reason: word(failure.reason) }
}

/// The word that history and API have for a reason.
fn word(reason: Reason) -> String {
    let word = serde_json::to_value(reason).ok();
    word.as_ref().and_then(|word| word.as_str()).unwrap_or("unknown").to_owned()
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
