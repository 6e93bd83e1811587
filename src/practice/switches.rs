//! The switches of the practice tenant: how strict, how slow, how faulty. They can be turned while it runs.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::directory::same;
use super::faults::{Fault, Rule, Times};

/// What happens to a refresh token when it is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rotation {
    /// It stays the only one; answers carry none (Google).
    Off,
    /// Each use gives a new one and the old ones stay good (Microsoft).
    On,
    /// Each use gives a new one, and a second use of an old one ends the grant (RFC 9700 section 4.14.2).
    Strict,
}

/// What a Graph request over 4 MiB gets. Both have been seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Oversize {
    /// 413 Request Entity Too Large.
    Status413,
    /// 200 with an empty body, though nothing was sent.
    Status200,
}

/// How a bad token is refused over SMTP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FailedAuth {
    /// 535 at once (Microsoft).
    Direct,
    /// A 334 challenge with the reason, an empty line from the client, then 535 (Google).
    Challenge,
}

/// What happens to the 31st message of a mailbox within a minute.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageRate {
    /// Nothing.
    Off,
    /// It is taken, and noted as a finding: Exchange delays it.
    Delayed,
    /// It is refused with 451 4.7.500.
    Refused,
}

/// The settings that can be turned at run time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Knobs {
    /// Lifetime of new access tokens, in whole seconds. Default 3,599.
    pub token_lifetime: Duration,
    /// Refresh token rotation. Default `On`.
    pub rotation: Rotation,
    /// Whether the authorize page signs in without a click. Default no; `practice_auto=1` in the URL does it once.
    pub auto_sign_in: bool,
    /// Whether several resources may be consented to at once. Default yes.
    pub combined_consent: bool,
    /// How often a device code may be asked for, in whole seconds. Default 5 s.
    pub device_interval: Duration,
    /// Added to each answer of the identity endpoints.
    pub identity_latency: Duration,
    /// Added to each answer of Graph.
    pub graph_latency: Duration,
    /// Added to each SMTP round trip: pipelined commands share one.
    pub smtp_latency: Duration,
    /// The answer to a Graph request over 4 MiB. Default 413.
    pub oversize: Oversize,
    /// Whether line breaks in `sendMail`'s base64 are let through, as Graph does. Default no: they cost room.
    pub base64_breaks: bool,
    /// How long after a message was taken the report comes that one of its recipients is nobody. Default 2 s.
    pub bounce_delay: Duration,
    /// Graph requests of one app for one mailbox at once; 0 is no limit. Default 4.
    pub graph_requests: usize,
    /// How a bad token is refused over SMTP. Default `Direct`.
    pub failed_auth: FailedAuth,
    /// Whether EWS is switched on for the tenant. Default yes.
    pub ews: bool,
    /// SMTP sessions of one mailbox at once; 0 is no limit. Default 3.
    pub smtp_sessions: usize,
    /// The rule for more than 30 messages of a mailbox within a minute. Default `Off`.
    pub message_rate: MessageRate,
    /// Largest message over SMTP in octets; EHLO keeps saying 157,286,400. Default 157,286,400.
    pub smtp_max_octets: usize,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            token_lifetime: Duration::from_secs(3_599),
            rotation: Rotation::On,
            auto_sign_in: false,
            combined_consent: true,
            device_interval: Duration::from_secs(5),
            identity_latency: Duration::ZERO,
            graph_latency: Duration::ZERO,
            smtp_latency: Duration::ZERO,
            oversize: Oversize::Status413,
            base64_breaks: false,
            bounce_delay: Duration::from_secs(2),
            graph_requests: 4,
            failed_auth: FailedAuth::Direct,
            ews: true,
            smtp_sessions: 3,
            message_rate: MessageRate::Off,
            smtp_max_octets: 157_286_400,
        }
    }
}

/// A handle to the switches of a running tenant; clones turn the same ones.
#[derive(Clone, Debug, Default)]
pub struct Switches(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    knobs: Knobs,
    rules: Vec<Rule>,
}

impl Switches {
    /// The settings as they are now.
    pub fn knobs(&self) -> Knobs {
        self.state().knobs.clone()
    }

    /// Changes settings, from the next request on.
    pub fn set(&self, change: impl FnOnce(&mut Knobs)) {
        change(&mut self.state().knobs);
    }

    /// Adds a fault behind those already there; of two for the same place the older goes first.
    pub fn inject(&self, rule: Rule) {
        self.state().rules.push(rule);
    }

    /// Takes all faults back.
    pub fn clear_faults(&self) {
        self.state().rules.clear();
    }

    /// The faults that are still to come.
    pub fn pending_faults(&self) -> Vec<Rule> {
        self.state().rules.clone()
    }

    /// The first fault for `who` that `pick` wants; one of its times is used up.
    pub(super) fn take<T>(&self, who: Option<&str>, pick: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        let mut state = self.state();
        let meant = |rule: &Rule| rule.only_for.as_deref().is_none_or(|one| who.is_some_and(|who| same(one, who)));
        let found = state.rules.iter().enumerate().filter(|(_, rule)| meant(rule));
        let (at, picked) = found.filter_map(|(at, rule)| pick(&rule.fault).map(|picked| (at, picked))).next()?;
        match &mut state.rules[at].times {
            Times::Always => {}
            Times::Exactly(left) if *left > 1 => *left -= 1,
            Times::Exactly(_) => {
                state.rules.remove(at);
            }
        }
        Some(picked)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::faults::{AuthFault, TokenFault};
    use super::*;

    #[test]
    fn faults_come_in_order_as_often_as_told_and_only_where_meant() {
        let switches = Switches::default();
        switches.inject(Rule::always(Fault::Auth(AuthFault::Temporary)));
        switches.inject(Rule::times(Fault::Token(TokenFault::Hang), 2).only_for("a@practice.example"));
        switches.inject(Rule::once(Fault::Token(TokenFault::Html)));
        assert_eq!(switches.take(Some("A@practice.example"), Fault::of_token), Some(TokenFault::Hang));
        assert_eq!(switches.take(Some("b@practice.example"), Fault::of_token), Some(TokenFault::Html));
        assert_eq!(switches.take(Some("b@practice.example"), Fault::of_token), None);
        assert_eq!(switches.take(Some("a@practice.example"), Fault::of_token), Some(TokenFault::Hang));
        assert_eq!(switches.take(Some("a@practice.example"), Fault::of_token), None);
        assert_eq!(switches.pending_faults().len(), 1);
    }
}
