//! The worker: a lane for each mailbox, so that one in trouble delays no other.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::carrier::Carrier;
use super::lane::Lane;
use super::turns::{Turn, Turns};
use crate::clock::{Clock, Timestamp};
use crate::mail::{Attempt, Reason};
use crate::queue::pace::{Learnt, Pace};
use crate::queue::{Lease, MailboxKey, Queue, QueueError};

/// How far back the daily figures look.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How often mail whose time is up is looked for, and old entries are removed.
const MAINTAIN_EVERY: Duration = Duration::from_secs(60);
/// How often the clock is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Takes leases and has them carried out.
#[derive(Clone)]
pub struct Worker {
    queue: Queue,
    carrier: Arc<Carrier>,
    clock: Clock,
    stopping: CancellationToken,
    attempts: TaskTracker,
}

impl Worker {
    /// A worker that runs until `stopping`; attempts that are open then are tracked and come to their end.
    pub fn new(queue: Queue, carrier: Arc<Carrier>, clock: Clock, stopping: CancellationToken) -> Self {
        Self { queue, carrier, clock, stopping, attempts: TaskTracker::new() }
    }

    /// Runs the lanes; returns when told to stop and every open attempt is settled.
    pub async fn run(self) {
        self.carrier.remember_rests().await;
        self.carrier.remember_reports().await;
        let lanes = TaskTracker::new();
        lanes.spawn(self.clone().maintain());
        lanes.spawn(self.clone().watch_the_clock());
        let mut new_lanes = self.queue.new_lanes();
        loop {
            tokio::select! {
                key = new_lanes.recv() => match key {
                    Some(key) => { lanes.spawn(self.clone().lane(key)); }
                    None => break,
                },
                () = self.stopped() => break,
            }
        }
        lanes.close();
        lanes.wait().await;
        self.attempts.close();
        self.attempts.wait().await;
    }

    async fn lane(self, key: MailboxKey) {
        let turns = Turns::new(self.pace_so_far(&key).await);
        self.carrier.remember_uploads(&key).await;
        Lane::new(self, key, turns).run().await;
    }

    /// Makes the attempt of a lease, then those of the messages that are due behind it, in a task of its own.
    pub(super) fn spawn(&self, lease: Lease, turn: Turn) {
        let this = self.clone();
        self.attempts.spawn(async move { this.carry_out(lease, turn).await });
    }

    async fn carry_out(&self, first: Lease, mut turn: Turn) {
        let mut next = Some(first);
        while let Some(lease) = next {
            let recipients = lease.envelope.recipients().len();
            turn.used(self.now(), recipients);
            let attempt = self.carrier.attempt(&lease).await;
            if attempt.only_waits() {
                turn.unused(recipients);
            }
            if is_too_fast(&attempt)
                && let Some(learnt) = turn.refused(self.now())
            {
                self.learn(&lease.key(), learnt).await;
            }
            let go_on = !self.is_stopping() && turn.renew(self.now());
            next = self.carrier.settle(lease, attempt, go_on).await;
        }
    }

    async fn learn(&self, key: &MailboxKey, learnt: Learnt) {
        if let Err(error) = self.queue.learn(key, learnt).await {
            tracing::error!(%error, mailbox = key.mailbox, "cannot write what limit was learnt; a restart forgets it");
        }
    }

    async fn pace_so_far(&self, key: &MailboxKey) -> Pace {
        let since = self.now().minus(DAY);
        let learnt = self.queue.learnt(key).await.unwrap_or_else(|error| {
            tracing::error!(%error, mailbox = key.mailbox, "cannot read what limit was learnt; it will show again");
            None
        });
        match self.queue.recent_sends(key, since).await {
            Ok(sends) => Pace::new(0, 0, sends).knowing(learnt),
            Err(error) => {
                tracing::error!(%error, mailbox = key.mailbox, "cannot read what was sent today; the daily figures begin anew");
                Pace::new(0, 0, Vec::new())
            }
        }
    }

    /// Mail whose time is up becomes a report, and people are told of what waits; old entries go.
    async fn maintain(self) {
        while !self.is_stopping() {
            if let Err(error) = self.expire().await {
                tracing::error!(%error, "cannot look for expired mail; trying again");
            }
            if let Err(error) = self.tell().await {
                tracing::error!(%error, "cannot tell of mail that waits; trying again");
            }
            self.sleep(MAINTAIN_EVERY).await;
        }
    }

    async fn expire(&self) -> Result<(), QueueError> {
        loop {
            let overdue = self.queue.lease_expired().await?;
            if overdue.is_empty() {
                return self.queue.maintain().await;
            }
            for lease in overdue {
                let attempt = self.carrier.attempt(&lease).await;
                self.carrier.settle(lease, attempt, false).await;
            }
        }
    }

    /// A clock that is set back must not make mail wait for the same hours again.
    async fn watch_the_clock(self) {
        let mut turned = self.queue.turned_back();
        while !self.is_stopping() {
            self.queue.look_at_the_clock();
            tokio::select! {
                Ok(()) = turned.changed() => self.carrier.clock_was_set_back().await,
                () = self.sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Senders are told of mail that is late, and of what is told of many messages at once.
    async fn tell(&self) -> Result<(), QueueError> {
        loop {
            let found = self.queue.late().await?;
            let mut reports = Vec::new();
            for late in &found.late {
                reports.extend(self.carrier.report_late(late).await);
            }
            self.queue.told(&found, reports).await?;
            if found.is_end() {
                break;
            }
        }
        for digest in self.queue.digests().await? {
            let message = self.carrier.digest(&digest).await?;
            self.queue.told_digest(&digest, message).await?;
        }
        self.queue.remind().await
    }

    pub(super) const fn queue(&self) -> &Queue {
        &self.queue
    }

    pub(super) fn carrier(&self) -> &Carrier {
        &self.carrier
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    pub(super) async fn stopped(&self) {
        self.stopping.cancelled().await;
    }

    /// Waits, but no longer than the worker works.
    pub(super) async fn sleep(&self, wait: Duration) {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.stopped() => {}
        }
    }

    /// Waits until this moment; `None` never comes.
    pub(super) async fn sleep_until(&self, at: Option<Timestamp>) {
        match at {
            Some(at) => tokio::time::sleep(at.since(self.now())).await,
            None => std::future::pending().await,
        }
    }
}

/// Whether the provider refused the message because there were too many over time. Too many at once (432, or Graph's
/// `MailboxConcurrency`), too many logins (454), and our own patience, which comes to no provider, say nothing about that.
fn is_too_fast(attempt: &Attempt) -> bool {
    let another =
        |words: &str| words.starts_with("432") || words.starts_with("454") || words.contains("MailboxConcurrency");
    let mut failures = attempt.outcomes.iter().filter_map(|outcome| outcome.failure());
    attempt.backend.is_some()
        && failures.any(|failure| failure.reason == Reason::Throttled && !another(&failure.diagnostic))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{BackendKind, Failure};

    #[test]
    fn what_came_too_fast_is_told_from_what_came_too_often_at_once() {
        let table = [
            (Some(BackendKind::Smtp), Reason::Throttled, "421 4.7.28 rate", true, "too many over time"),
            (Some(BackendKind::Smtp), Reason::Throttled, "432 4.3.2 concurrent connections", false, "at once"),
            (Some(BackendKind::Smtp), Reason::Throttled, "454 4.7.0 Too many login attempts", false, "logins"),
            (Some(BackendKind::Graph), Reason::Throttled, "HTTP 429 MailboxConcurrency", false, "at once, too"),
            (Some(BackendKind::Graph), Reason::ProviderTrouble, "HTTP 503", false, "no refusal of that kind"),
            (None, Reason::Throttled, "every way out asked for patience", false, "our own words"),
        ];
        for (backend, reason, words, expected, why) in table {
            let attempt = Attempt::uniform(backend, 1, Failure::new(reason, words).into());
            assert_eq!(is_too_fast(&attempt), expected, "{why}");
        }
    }
}
