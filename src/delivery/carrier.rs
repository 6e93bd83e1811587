//! One attempt from lease to settled: chooses the way, hands the message over, reports what failed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use backon::{BackoffBuilder, ExponentialBuilder};

use super::allowance::{self, Allowances, Cost, Full, REQUESTS};
use super::budget::ReportBudget;
use super::content::LeaseContent;
use super::notebook::LeaseNotebook;
use super::rests::{self, Rests};
use super::route::{self, Choice, Facts};
use super::standing::{self, Standing, Word};
use super::{AccountWays, Backend, Delivery, Limits, Way};
use crate::clock::Clock;
use crate::mail::{Address, Attempt, BackendKind, Event, Failure, Observer, Outcome, Reason, Sender};
use crate::queue::{Lease, MailboxKey, Queue, QueueError, Unsettled};

/// The longest wait before an outcome is written once more.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The ways out that exist: replaced as a whole by a reload.
pub struct Ways {
    /// How each account's mail goes out.
    pub accounts: HashMap<String, AccountWays>,
    /// The backends of each account, in the order of its ways.
    pub backends: HashMap<String, Vec<Arc<dyn Backend>>>,
    /// Who reports about mail of an account that cannot send itself.
    pub notify: Option<Notify>,
}

/// The account that reports for accounts which are on hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notify {
    /// Its name.
    pub account: String,
    /// The name of its provider.
    pub provider: String,
    /// Its mailbox, from which such reports come.
    pub mailbox: Address,
}

/// Attempts at once for a mailbox without limits of its own.
const UNLIMITED: usize = 64;

/// How much may be under way for a mailbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rates {
    /// Attempts at once.
    pub(super) at_once: usize,
    /// Messages and recipients over time.
    pub(super) limits: Limits,
}

/// Carries leases out.
pub struct Carrier {
    queue: Queue,
    ways: ArcSwap<Ways>,
    clock: Clock,
    observer: Arc<dyn Observer>,
    hostname: String,
    reports: ReportBudget,
    rests: Rests,
    allowances: Allowances,
    replaced: tokio::sync::Notify,
    standing: Standing,
}

impl Carrier {
    /// A carrier with its ways out. `hostname` is what reports call this machine.
    pub fn new(queue: Queue, ways: Ways, clock: Clock, observer: Arc<dyn Observer>, hostname: String) -> Self {
        Self {
            queue,
            ways: ArcSwap::from_pointee(ways),
            clock,
            observer,
            hostname,
            reports: ReportBudget::default(),
            rests: Rests::default(),
            allowances: Allowances::default(),
            replaced: tokio::sync::Notify::new(),
            standing: Standing::default(),
        }
    }

    /// Other ways out from now on; open attempts end on the old ones.
    pub fn replace(&self, ways: Ways) {
        self.ways.store(Arc::new(ways));
        self.standing.clear_all();
        self.replaced.notify_waiters();
    }

    /// Completes when the ways out, and the limits with them, are replaced.
    pub(super) async fn replaced(&self) {
        self.replaced.notified().await;
    }

    /// The pace of a mailbox: that of the account that owns it, or of one that may use its whole domain.
    pub(super) fn rates(&self, key: &MailboxKey) -> Rates {
        let ways = self.ways.load();
        AccountWays::of_mailbox(&ways.accounts, key).map_or(
            Rates { at_once: 1, limits: Limits::STRICTEST },
            |account| Rates { at_once: account.at_once(UNLIMITED), limits: account.limits },
        )
    }

    /// Tries the ways in turn until one takes the message or says something about it that another way cannot mend.
    pub(super) async fn attempt(&self, lease: &Lease) -> Attempt {
        if let Some(decided) = lease.decided() {
            return decided;
        }
        let recipients = lease.envelope.recipients().len();
        let failed = |failure: Failure| Attempt::uniform(None, recipients, failure.into());
        let content = match LeaseContent::open(&self.queue, lease).await {
            Ok(content) => content,
            Err(error) => return failed(error.into()),
        };
        self.heed(&lease.key());
        let ways = self.ways.load_full();
        let Some(account) = ways.accounts.get(&lease.route.account) else {
            let words = format!("account `{}` is no longer in the configuration", lease.route.account);
            return failed(Failure::new(Reason::NoWayOut, words));
        };
        let sender = Sender { policy: lease.route.sender, mailbox: &lease.route.mailbox };
        let facts = Facts::read(content.head(), &lease.envelope, &sender, content.size());
        let facts = facts.with_object(content.object_facts());
        let now = self.clock.now();
        let choice = route::choose(account, &facts, |kind| self.standing.trouble(&way_key(lease, kind), now));
        if let Some(failure) = choice.failure(account) {
            return failed(failure);
        }
        let mut attempt = self.try_ways(lease, &content, (&ways, &choice)).await;
        attempt.notes.splice(0..0, choice.reasons(account));
        attempt.notes.extend(loss(&attempt, account, &facts));
        attempt
    }

    /// If somebody wants mail of the mailbox tried now, what its ways asked for before counts no more.
    fn heed(&self, key: &MailboxKey) {
        if self.rests.heed(key, self.queue.insisted(key)) {
            self.standing.clear_of(key);
        }
    }

    /// One way after the other, until one takes the message or says something about it that another cannot mend. If all
    /// refuse, the most hopeful refusal counts: mail must not fail because the last of the ways was too narrow.
    async fn try_ways(
        &self,
        lease: &Lease,
        content: &LeaseContent<'_>,
        (ways, choice): (&Ways, &Choice<'_>),
    ) -> Attempt {
        let notebook = LeaseNotebook::new(&self.queue, lease);
        let mut refused: Option<Attempt> = None;
        let mut notes = Vec::new();
        let mut closed: Option<Full> = None;
        let has_smarthost = choice.ways.iter().any(|w| w.is_able() && w.way.kind() == BackendKind::Smarthost);
        let has_choice = choice.ways.iter().filter(|weighed| weighed.is_able()).count() > 1;
        for weighed in choice.ways.iter().filter(|weighed| weighed.is_able()) {
            let kind = weighed.way.kind();
            let Some(backend) = ways.backend(&lease.route.account, kind) else { continue };
            let cost = match self.open(lease, weighed.way, content.size()) {
                Ok(cost) => cost,
                Err(full) => {
                    notes.push(format!("{kind} was passed over: {}", full.why));
                    closed = closed.into_iter().chain([full]).min_by_key(|full| full.until);
                    continue;
                }
            };
            let mut attempt = backend.deliver(delivery(lease, content, &notebook)).await;
            if let Some(cost) = cost.filter(|_| allowance::sent_nothing(&attempt)) {
                self.allowances.give_back(&lease.key(), cost);
            }
            if let Some(wait) = rests::asked(&attempt) {
                self.leave_alone(lease, kind, wait).await;
            }
            match standing::word(&attempt, has_smarthost) {
                Word::Final => {
                    if attempt.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Relayed(_))) {
                        self.standing.clear(&way_key(lease, kind));
                    }
                    attempt.notes.splice(0..0, notes);
                    return attempt;
                }
                Word::TooNarrow => {}
                Word::Refused(failure) if has_choice => self.remember(lease, kind, failure),
                Word::Refused(_) => {}
            }
            let why = attempt.outcomes.first().and_then(Outcome::failure).map(ToString::to_string);
            notes.push(format!("{kind} did not take it: {}", why.unwrap_or_default()));
            if refused.as_ref().is_none_or(|other| hope(&attempt) < hope(other)) {
                refused = Some(attempt);
            }
        }
        let patience = closed.map(|full| rests::patience(full.until.since(self.clock.now()), &full.why));
        let mut attempt = last_word(refused, patience, lease.envelope.recipients().len());
        if notes.len() > 1 {
            attempt.notes.splice(0..0, notes);
        }
        attempt
    }

    /// Takes from the allowance of the mailbox what the message costs on this way. Otherwise the way is closed to it: it
    /// rests, or the allowance is used up.
    fn open(&self, lease: &Lease, way: &Way, octets: u64) -> Result<Option<Cost>, Full> {
        let (key, now) = (lease.key(), self.clock.now());
        if let Some(until) = self.rests.until(&key, way.kind(), now) {
            return Err(Full { until, why: format!("{} asked for patience", way.kind()) });
        }
        let cost = Cost::of(way, octets, lease.envelope.recipients().len());
        cost.map(|cost| self.allowances.take(&key, &self.rates(&key).limits, cost, now).map(|()| cost)).transpose()
    }

    /// What a mailbox used of its allowance before the start counts on.
    pub(super) async fn remember_uploads(&self, key: &MailboxKey) {
        let ways = self.ways.load_full();
        let account = AccountWays::of_mailbox(&ways.accounts, key);
        let Some(way) = account.and_then(|account| account.ways.iter().find(|way| way.kind() == BackendKind::Graph))
        else {
            return;
        };
        match self.queue.recent_uploads(key, BackendKind::Graph, self.clock.now().minus(REQUESTS)).await {
            Ok(uploads) => {
                let cost = |(at, octets, sent)| {
                    Some((at, Cost::of(way, octets, usize::try_from(sent).unwrap_or(usize::MAX))?))
                };
                self.allowances.remember(key, uploads.into_iter().filter_map(cost));
            }
            Err(error) => {
                tracing::error!(%error, mailbox = key.mailbox, "cannot read what was uploaded; it is counted anew");
            }
        }
    }

    /// Passes a way over for a while, and tells of it once.
    fn remember(&self, lease: &Lease, backend: BackendKind, failure: Failure) {
        if let Some(until) = self.standing.refuse(way_key(lease, backend), failure.clone(), self.clock.now()) {
            let (account, mailbox) = (lease.route.account.clone(), lease.route.mailbox.to_string());
            self.observe(&Event::WayRefused { account, mailbox, backend, failure, until });
        }
    }

    /// Ways that asked for patience before the restart get it.
    pub(super) async fn remember_rests(&self) {
        match self.queue.rests().await {
            Ok(rests) => rests.into_iter().for_each(|(key, way, until)| self.rests.note(key, way, until)),
            Err(error) => tracing::error!(%error, "cannot read which ways asked to be left alone; they will ask again"),
        }
    }

    /// Reports that were made before the start count.
    pub(super) async fn remember_reports(&self) {
        match self.queue.recent_reports(ReportBudget::since(self.clock.now())).await {
            Ok(reports) => self.reports.remember(reports),
            Err(error) => tracing::error!(%error, "cannot read which reports were made; they are counted anew"),
        }
    }

    /// The clock was set back: what is remembered until a moment of the old time is forgotten, or read again.
    pub(super) async fn clock_was_set_back(&self) {
        self.standing.clear_all();
        self.rests.clear();
        self.remember_rests().await;
    }

    async fn leave_alone(&self, lease: &Lease, way: BackendKind, wait: Duration) {
        let until = self.clock.now().plus(wait);
        self.rests.note(lease.key(), way, until);
        if let Err(error) = self.queue.rest(&lease.key(), way, until).await {
            tracing::error!(%error, %way, "cannot write that a way asked to be left alone; a restart forgets it");
        }
    }

    /// Writes down what became of an attempt; with `go_on` the next message of the mailbox is leased by the same
    /// write. While it cannot be written it stays here, and the message is not sent again.
    pub(super) async fn settle(&self, lease: Lease, attempt: Attempt, go_on: bool) -> Option<Lease> {
        let mut verdict = self.queue.verdict(&lease, &attempt);
        let refusal = self.queue.answer(&lease, &attempt, &mut verdict);
        if verdict.next.is_none() && !verdict.failed.is_empty() {
            self.clear_away(&lease).await;
        }
        let report = self.report(&lease, &verdict).await;
        let settled = if go_on {
            self.queue.settle_and_lease(lease, attempt, verdict, report).await
        } else {
            self.queue.settle(lease, attempt, verdict, report).await.map(|()| None)
        };
        if let Some(refusal) = refusal {
            refusal.say();
        }
        match settled {
            Ok(next) => next,
            Err(unsettled) => {
                self.settle_later(unsettled).await;
                None
            }
        }
    }

    /// Has the ways take back what attempts left at the provider of a message that comes to its end undelivered.
    async fn clear_away(&self, lease: &Lease) {
        let ways = self.ways.load_full();
        let account = &lease.route.account;
        let with_drafts = |way: &Way| matches!(way, Way::Graph(graph) if graph.drafts.is_some());
        if !ways.accounts.get(account).is_some_and(|account| account.ways.iter().any(with_drafts)) {
            return;
        }
        // What cannot be read names no draft.
        let Ok(content) = LeaseContent::open(&self.queue, lease).await else { return };
        let notebook = LeaseNotebook::new(&self.queue, lease);
        for backend in ways.backends.get(account).into_iter().flatten() {
            backend.abandon(delivery(lease, &content, &notebook)).await;
        }
    }

    async fn settle_later(&self, mut unsettled: Unsettled) {
        let mut waits = ExponentialBuilder::default().with_max_delay(LONGEST_WAIT).without_max_times().build();
        loop {
            tracing::error!(error = %unsettled, "an outcome is kept in memory and written later");
            if matches!(unsettled.error, QueueError::Suspect(_)) {
                // Nothing is written before a restart; then the attempt counts as unknown.
                return;
            }
            tokio::time::sleep(waits.next().unwrap_or(LONGEST_WAIT)).await;
            match self.queue.settle_again(unsettled).await {
                Ok(()) => return,
                Err(again) => unsettled = again,
            }
        }
    }

    /// Who reports for accounts that are on hold.
    pub(super) fn notify(&self) -> Option<Notify> {
        self.ways.load().notify.clone()
    }

    pub(super) const fn reports(&self) -> &ReportBudget {
        &self.reports
    }

    pub(super) const fn queue(&self) -> &Queue {
        &self.queue
    }

    pub(super) const fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(super) fn hostname(&self) -> &str {
        &self.hostname
    }

    pub(super) fn observe(&self, event: &Event) {
        self.observer.observe(event);
    }
}

impl Ways {
    fn backend(&self, account: &str, kind: BackendKind) -> Option<&Arc<dyn Backend>> {
        self.backends.get(account)?.iter().find(|backend| backend.kind() == kind)
    }
}

/// What the way that an attempt took has lost of the object that the message was handed in as.
fn loss(attempt: &Attempt, account: &AccountWays, facts: &Facts) -> Option<String> {
    let object = facts.object.as_ref()?;
    let way = account.ways.iter().find(|way| Some(way.kind()) == attempt.backend)?;
    let loss = object.loss().filter(|_| !object.is_taken_by(way))?;
    Some(format!("{}: {loss}", way.kind()))
}

fn way_key(lease: &Lease, kind: BackendKind) -> (String, MailboxKey, BackendKind) {
    (lease.route.account.clone(), lease.key(), kind)
}

/// The hope of an attempt after which the message waits.
const WAITS: u8 = 1;

/// How much hope an attempt leaves: less is better.
fn hope(attempt: &Attempt) -> u8 {
    match attempt.outcomes.first() {
        Some(Outcome::Relayed(_) | Outcome::Unknown(_)) => 0,
        Some(Outcome::Deferred(_)) => WAITS,
        Some(Outcome::Held(_)) => 2,
        Some(Outcome::Failed(_)) | None => 3,
    }
}

/// What becomes of a message that no way took. A way that rests may take it yet: then no other's hold or failure
/// decides.
fn last_word(refused: Option<Attempt>, patience: Option<Failure>, recipients: usize) -> Attempt {
    let uniform = |failure: Failure| Attempt::uniform(None, recipients, failure.into());
    match (refused, patience) {
        (Some(attempt), Some(patience)) if hope(&attempt) > WAITS => uniform(patience),
        (Some(attempt), _) => attempt,
        (None, Some(patience)) => uniform(patience),
        (None, None) => uniform(Failure::new(Reason::NoWayOut, "no backend for the account's ways")),
    }
}

fn delivery<'a>(lease: &'a Lease, content: &'a LeaseContent, notebook: &'a LeaseNotebook) -> Delivery<'a> {
    Delivery {
        id: lease.id,
        account: &lease.route.account,
        mailbox: &lease.route.mailbox,
        envelope: &lease.envelope,
        sender: lease.route.sender,
        head: content.head(),
        content,
        size: content.size(),
        notebook,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(reason: Reason) -> Attempt {
        Attempt::uniform(Some(BackendKind::Smtp), 1, Failure::new(reason, "the remote's words").into())
    }

    #[test]
    fn a_way_that_rests_keeps_another_from_deciding_for_the_worse() {
        let resting = || Some(rests::patience(Duration::from_secs(10), "all rest"));
        let table = [
            (Some(Reason::SmtpAuthDisabled), resting(), Reason::Throttled, "a hold would stop the whole mailbox"),
            (Some(Reason::MessageTooLarge), resting(), Reason::Throttled, "a failure is for good"),
            (Some(Reason::Unreachable), resting(), Reason::Unreachable, "it waits anyhow, with the provider's words"),
            (Some(Reason::SmtpAuthDisabled), None, Reason::SmtpAuthDisabled, "nobody rests"),
            (None, resting(), Reason::Throttled, "all rest"),
            (None, None, Reason::NoWayOut, "there is none"),
        ];
        for (refused, patience, expected, why) in table {
            let last = last_word(refused.map(attempt), patience, 1);
            assert_eq!(last.outcomes[0].failure().map(|failure| failure.reason), Some(expected), "{why}");
        }
    }
}
