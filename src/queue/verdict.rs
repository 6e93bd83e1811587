//! What follows from an attempt. Pure: settings, time and jitter are handed in.

use std::time::Duration;

use super::lease::expiry;
use super::retry::{self, Jitter};
use super::{Lease, Settings};
use crate::clock::Timestamp;
use crate::mail::{Attempt, Failure, Outcome, Reason, Receipt, Recipient};

/// How long a mailbox rests after "too many" (429, 432, 421) without a Retry-After.
const THROTTLED: Duration = Duration::from_secs(10);

/// What becomes of one recipient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fate {
    /// The provider took it.
    Relayed(Receipt),
    /// It is tried again.
    Outstanding(Failure),
    /// It is reported.
    Failed(Failure),
}

/// What follows from an attempt: for each recipient, for the message and for its mailbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// One for each recipient of the lease, in its order.
    pub recipients: Vec<Fate>,
    /// When the outstanding recipients are tried again; `None` if there are none.
    pub next: Option<Timestamp>,
    /// The earliest time that the remote allowed.
    pub not_before: Option<Timestamp>,
    /// Who failed and why: what a report is about.
    pub failed: Vec<(Recipient, Failure)>,
    /// Why the mailbox must be held.
    pub hold: Option<Failure>,
    /// Whether the attempt counts. It does not if it came to nothing but a hold, or to no way out at all because each waits
    /// for its time.
    pub counts: bool,
    /// Whether the message is removed without a trace, because nobody took it and its client, which waits, is told so.
    pub removed: bool,
}

pub(super) fn judge(lease: &Lease, attempt: &Attempt, settings: &Settings, now: Timestamp, jitter: Jitter) -> Verdict {
    let only_waits = attempt.only_waits();
    let judge = Judge { lease, settings, now, jitter, only_waits };
    let silent = Outcome::Deferred(Failure::new(Reason::Unexpected, "the way out gave no outcome for this recipient"));
    let outcomes = attempt.outcomes.iter().chain(std::iter::repeat(&silent));
    let outcomes: Vec<_> = lease.envelope.recipients().iter().zip(outcomes).collect();
    let recipients: Vec<_> = outcomes.iter().map(|(_, outcome)| judge.fate(outcome)).collect();
    let still = |(fate, (_, outcome)): (&Fate, &(&Recipient, &Outcome))| {
        matches!(fate, Fate::Outstanding(_)).then(|| judge.next(outcome))
    };
    let next = recipients.iter().zip(&outcomes).filter_map(still).max();
    let asked = recipients.iter().filter_map(|fate| match fate {
        Fate::Outstanding(failure) => asked_wait(failure).map(|wait| now.plus(wait)),
        Fate::Relayed(_) | Fate::Failed(_) => None,
    });
    let failed = recipients.iter().zip(lease.envelope.recipients()).filter_map(|(fate, recipient)| match fate {
        Fate::Failed(failure) => Some((recipient.clone(), failure.clone())),
        Fate::Relayed(_) | Fate::Outstanding(_) => None,
    });
    Verdict {
        next,
        not_before: asked.max(),
        failed: failed.collect(),
        hold: outcomes.iter().find_map(|(_, outcome)| held(outcome)).cloned(),
        counts: !only_waits && outcomes.iter().any(|(_, outcome)| held(outcome).is_none()),
        removed: false,
        recipients,
    }
}

/// How long the remote wants to be left alone. One that says "too many" without a time means all of the mailbox's mail
/// as well.
fn asked_wait(failure: &Failure) -> Option<Duration> {
    failure.retry_after.or((failure.reason == Reason::Throttled).then_some(THROTTLED))
}

struct Judge<'a> {
    lease: &'a Lease,
    settings: &'a Settings,
    now: Timestamp,
    jitter: Jitter,
    only_waits: bool,
}

impl Judge<'_> {
    fn fate(&self, outcome: &Outcome) -> Fate {
        let up = || expiry(self.settings, self.lease.record.expiry_from, self.lease.record.held, self.now);
        let failure = match outcome {
            Outcome::Relayed(receipt) => return Fate::Relayed(receipt.clone()),
            Outcome::Failed(failure) => return Fate::Failed(failure.clone()),
            Outcome::Held(failure) => {
                let held_out = up().filter(|reason| *reason == Reason::HoldExpired);
                return after(held_out, failure);
            }
            Outcome::Deferred(failure) | Outcome::Unknown(failure) => failure,
        };
        after(up(), failure)
    }

    fn next(&self, outcome: &Outcome) -> Timestamp {
        let Self { lease, settings, now, jitter, only_waits } = *self;
        match outcome {
            // Due as soon as the hold ends.
            Outcome::Held(_) => now,
            Outcome::Unknown(failure) => {
                let next = retry::next_after_unknown(lease.attempt, now, jitter, settings.unknown_retry);
                next.max(now.plus(failure.retry_after.unwrap_or_default()))
            }
            // All of the mailbox waits, and it keeps its place before what is accepted meanwhile: that would use up again
            // what it waits for.
            Outcome::Deferred(_) if only_waits => now,
            Outcome::Relayed(_) | Outcome::Failed(_) | Outcome::Deferred(_) => {
                let asked = outcome.failure().and_then(|failure| failure.retry_after);
                retry::next(lease.attempt, now, jitter, asked)
            }
        }
    }
}

/// Outstanding, unless time is up: then the last words go into the report.
fn after(time_is_up: Option<Reason>, failure: &Failure) -> Fate {
    match time_is_up {
        Some(reason) => Fate::Failed(Failure::new(reason, failure.to_string())),
        None => Fate::Outstanding(failure.clone()),
    }
}

fn held(outcome: &Outcome) -> Option<&Failure> {
    match outcome {
        Outcome::Held(failure) => Some(failure),
        Outcome::Relayed(_) | Outcome::Deferred(_) | Outcome::Failed(_) | Outcome::Unknown(_) => None,
    }
}
