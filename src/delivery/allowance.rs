//! Graph's limits of what is uploaded for a mailbox and of how often it is asked, counted ahead: a message that would go
//! beyond them waits for its time, and another way may take it meanwhile.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{GraphWay, Limits, Way, graph};
use crate::clock::Timestamp;
use crate::mail::{Attempt, Reason};
use crate::queue::MailboxKey;
use crate::queue::pace::Window;

/// Within which Graph counts uploads: "150 MB upload (PATCH, POST, and PUT) in a 5-minute period" (Microsoft Graph
/// service-specific throttling limits, Outlook service).
pub(super) const UPLOADS: Duration = Duration::from_mins(5);
/// Within which it counts requests: "10,000 API requests in a 10 minute period" (the same).
pub(super) const REQUESTS: Duration = Duration::from_mins(10);
/// Requests for a draft whatever its files are: looking for an earlier one, making, sending, opening a session.
const AROUND_A_DRAFT: u64 = 4;

/// What a message costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Cost {
    octets: u64,
    requests: u64,
}

/// There is no room now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Full {
    /// When there is.
    pub(super) until: Timestamp,
    /// Which limit it is, for people.
    pub(super) why: String,
}

/// What each mailbox has used.
#[derive(Default)]
pub(super) struct Allowances(Mutex<HashMap<MailboxKey, Used>>);

struct Used {
    octets: Window,
    requests: Window,
}

impl Cost {
    /// What a message of so many octets costs on a way out; `None`: that way counts neither.
    pub(super) fn of(way: &Way, octets: u64, recipients: usize) -> Option<Self> {
        let Way::Graph(graph) = way else { return None };
        let copies = recipients.div_ceil(graph.max_recipients.max(1)) as u64;
        let one = Self::of_one(graph, octets);
        Some(Self { octets: one.octets.saturating_mul(copies), requests: one.requests.saturating_mul(copies) })
    }

    fn of_one(way: &GraphWay, octets: u64) -> Self {
        if octets <= way.max_octets {
            return Self { octets: graph::encoded_length(octets), requests: 1 };
        }
        // The files of a draft go without the base64 that they have in the message, in ranges of nearly 4 MB or each for
        // itself: no exact count, but not less than it comes to.
        Self { octets, requests: AROUND_A_DRAFT + octets.div_ceil(1 << 20) }
    }
}

impl Allowances {
    /// Takes what a message costs, if there is room for it.
    pub(super) fn take(&self, key: &MailboxKey, limits: &Limits, cost: Cost, now: Timestamp) -> Result<(), Full> {
        let mut known = self.known();
        let used = known.entry(key.clone()).or_default();
        let octets = used.octets.earliest(now, limits.graph_octets_per_5_minutes, cost.octets);
        let requests = used.requests.earliest(now, limits.graph_requests_per_10_minutes.into(), cost.requests);
        let until = octets.max(requests);
        if until <= now {
            used.add(now, cost);
            return Ok(());
        }
        let why = if octets >= requests {
            format!("{} octets in 5 minutes", limits.graph_octets_per_5_minutes)
        } else {
            format!("{} requests in 10 minutes", limits.graph_requests_per_10_minutes)
        };
        Err(Full { until, why: format!("Graph takes {why} for the mailbox, and they are used up") })
    }

    /// Nothing was sent after all.
    pub(super) fn give_back(&self, key: &MailboxKey, cost: Cost) {
        if let Some(used) = self.known().get_mut(key) {
            used.octets.take_back(cost.octets);
            used.requests.take_back(cost.requests);
        }
    }

    /// What a mailbox used before the start, oldest first.
    pub(super) fn remember(&self, key: &MailboxKey, costs: impl Iterator<Item = (Timestamp, Cost)>) {
        let mut used = Used::default();
        costs.for_each(|(at, cost)| used.add(at, cost));
        self.known().insert(key.clone(), used);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<MailboxKey, Used>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Used {
    fn default() -> Self {
        Self { octets: Window::new(UPLOADS), requests: Window::new(REQUESTS) }
    }
}

impl Used {
    fn add(&mut self, at: Timestamp, cost: Cost) {
        self.octets.add(at, cost.octets);
        self.requests.add(at, cost.requests);
    }
}

/// Whether an attempt ended before anything was uploaded.
pub(super) fn sent_nothing(attempt: &Attempt) -> bool {
    let mut failures = attempt.outcomes.iter().map(|outcome| outcome.failure());
    failures.all(|failure| {
        failure.is_some_and(|failure| {
            matches!(
                failure.reason,
                Reason::TokenUnavailable
                    | Reason::SignInNeeded
                    | Reason::ConfigurationRejected
                    | Reason::Unreachable
                    | Reason::TlsRefused
                    | Reason::CannotCarry
                    | Reason::BodyDamaged
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::mail::{BackendKind, Failure};

    const MB: u64 = 1_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn key(mailbox: &str) -> MailboxKey {
        MailboxKey { provider: "p".to_owned(), mailbox: mailbox.to_owned() }
    }

    fn way() -> Way {
        Way::Graph(GraphWay {
            base: "https://graph.example/v1.0".parse().unwrap(),
            by_name: false,
            max_octets: 3 << 20,
            drafts: Some(150 * MB),
            max_recipients: 500,
        })
    }

    fn limits(graph_octets_per_5_minutes: u64, graph_requests_per_10_minutes: u32) -> Limits {
        Limits { graph_octets_per_5_minutes, graph_requests_per_10_minutes, ..Limits::STRICTEST }
    }

    #[test]
    fn a_message_costs_what_graph_is_sent_of_it() {
        let table = [
            (3_000, 1, (4_000, 1), "in base64"),
            (3 << 20, 1, (4 << 20, 1), "the largest that goes in one request"),
            (10 << 20, 1, (10 << 20, 14), "a draft"),
            (3_000, 501, (8_000, 2), "in two copies"),
        ];
        for (octets, recipients, (uploaded, requests), why) in table {
            let expected = Cost { octets: uploaded, requests };
            assert_eq!(Cost::of(&way(), octets, recipients), Some(expected), "{why}");
        }
    }

    #[test]
    fn what_is_used_up_is_had_again_when_its_time_has_come_and_other_mailboxes_have_their_own() {
        let allowances = Allowances::default();
        let (one, cost) = (key("a@x.example"), Cost { octets: 60, requests: 1 });
        assert_eq!(allowances.take(&one, &limits(100, 10), cost, at(0)), Ok(()));
        let full = allowances.take(&one, &limits(100, 10), cost, at(10)).unwrap_err();
        assert_eq!(full.until, at(301));
        assert!(full.why.contains("100 octets in 5 minutes"), "{}", full.why);
        let full = allowances.take(&one, &limits(0, 1), cost, at(10)).unwrap_err();
        assert_eq!(full.until, at(601));
        assert!(full.why.contains("1 requests in 10 minutes"), "{}", full.why);
        assert_eq!(allowances.take(&key("b@x.example"), &limits(100, 10), cost, at(10)), Ok(()));
        assert_eq!(allowances.take(&one, &limits(0, 0), cost, at(10)), Ok(()), "no limits");
        allowances.give_back(&one, cost);
        allowances.give_back(&one, cost);
        assert_eq!(allowances.take(&one, &limits(100, 1), cost, at(10)), Ok(()), "neither was sent");
    }

    #[test]
    fn only_an_attempt_that_came_to_no_upload_gives_back_what_it_took() {
        let attempt = |reasons: &[Reason]| Attempt {
            backend: Some(BackendKind::Graph),
            outcomes: reasons.iter().map(|reason| Failure::new(*reason, "").into()).collect(),
            notes: vec![],
        };
        assert!(sent_nothing(&attempt(&[Reason::TokenUnavailable, Reason::Unreachable])));
        for reason in [Reason::Throttled, Reason::AnswerLost, Reason::ProviderTrouble, Reason::Rejected] {
            assert!(!sent_nothing(&attempt(&[Reason::Unreachable, reason])), "{reason:?}");
        }
    }

    /// 150 MB within any five minutes, as the provider counts what arrives.
    struct Provider {
        taken: VecDeque<(i64, u64)>,
    }

    impl Provider {
        fn takes(&mut self, millis: i64, octets: u64) -> bool {
            while self.taken.front().is_some_and(|(first, _)| first + 300_000 <= millis) {
                self.taken.pop_front();
            }
            self.taken.push_back((millis, octets));
            self.taken.iter().map(|(_, octets)| octets).sum::<u64>() <= 150 * MB
        }
    }

    #[test]
    fn a_burst_of_messages_of_3_mb_stays_just_below_what_graph_takes() {
        let (allowances, limits) = (Allowances::default(), limits(150 * MB, 10_000));
        let cost = Cost::of(&way(), 3 * MB, 1).unwrap();
        let mut provider = Provider { taken: VecDeque::new() };
        let (mut now, mut arrived, mut seed) = (at(0), 0, 12_345_u64);
        for number in 0..10_000 {
            if let Err(full) = allowances.take(&key("a@x.example"), &limits, cost, now) {
                now = full.until;
                assert_eq!(allowances.take(&key("a@x.example"), &limits, cost, now), Ok(()), "{number}: as was said");
            }
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            arrived = (now.as_millis() + i64::try_from((seed >> 33) % 900).unwrap()).max(arrived);
            assert!(provider.takes(arrived, 4 * MB), "message {number} is refused at {arrived}");
            now = now.plus(Duration::from_millis(200));
        }
        // 40,000 MB at 150 MB in 300 s, the first window at once.
        let at_best = (40_000.0 - 150.0) / 150.0 * 300.0;
        let share = at_best / now.since(at(0)).as_secs_f64();
        assert!(share >= 0.97, "{share:.3} of what Graph takes");
    }
}
