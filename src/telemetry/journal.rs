//! The newest events in memory, for people who look at the page, and counts by the hour.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Metrics;
use super::words::{Words, words};
use crate::clock::{Clock, Timestamp};
use crate::mail::{Event, Observer};

/// Events that are kept.
const KEPT: usize = 1_000;
/// Characters of a text that are kept: texts quote what others sent.
const MAX_TEXT: usize = 1_000;
/// Hours that are counted: a day, and the one that has begun.
const HOURS: usize = 25;
const HOUR: Duration = Duration::from_secs(3600);

/// One event, as people read it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Counts up from 1 with each start.
    pub number: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened, in a word or two, such as `relayed`.
    pub what: String,
    /// Whether somebody should look at it.
    pub warning: bool,
    /// The message it is about.
    pub message: Option<String>,
    /// The account it is about.
    pub account: Option<String>,
    /// The rest.
    pub text: String,
    /// What to do, if anything can be done.
    pub hint: Option<String>,
}

/// What happened in one hour.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Hour {
    /// When it began.
    pub from: Timestamp,
    /// Messages that were accepted.
    pub accepted: u64,
    /// Messages that a provider took, for some recipients at least.
    pub relayed: u64,
    /// Messages that failed, for some recipients at least.
    pub failed: u64,
}

/// Keeps the newest events and counts them, for people and for monitoring, and passes each on. Clones share everything.
#[derive(Clone)]
pub struct Journal {
    clock: Clock,
    next: Arc<dyn Observer>,
    metrics: Metrics,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    entries: VecDeque<Entry>,
    hours: VecDeque<Hour>,
    number: u64,
}

impl Journal {
    /// A journal before `next`, which is told of everything as well.
    pub fn new(clock: Clock, next: Arc<dyn Observer>) -> Self {
        Self { clock, next, metrics: Metrics::default(), kept: Arc::default() }
    }

    /// The figures that were counted from the same events.
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The newest events, newest first, that `wanted` picks.
    pub fn newest(&self, most: usize, wanted: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        self.kept().entries.iter().rev().filter(|entry| wanted(entry)).take(most).cloned().collect()
    }

    /// The last day by the hour, oldest first, the hour that has begun included.
    pub fn day(&self) -> Vec<Hour> {
        let now = self.clock.now();
        let mut kept = self.kept();
        kept.hour(now);
        kept.hours.iter().copied().collect()
    }

    /// Adds what is known from before the start.
    pub fn remember(&self, earlier: &[Hour]) {
        let now = self.clock.now();
        let mut kept = self.kept();
        kept.hour(now);
        for known in earlier {
            let from = beginning(known.from);
            if let Some(hour) = kept.hours.iter_mut().find(|hour| hour.from == from) {
                hour.accepted += known.accepted;
                hour.relayed += known.relayed;
                hour.failed += known.failed;
            }
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Journal {
    fn observe(&self, event: &Event) {
        self.metrics.count(event);
        let at = self.clock.now();
        let Words { what, warning, message, account, text, hint } = words(event);
        let text = text.chars().take(MAX_TEXT).collect();
        let mut kept = self.kept();
        kept.count(event, at);
        kept.number += 1;
        let entry = Entry { number: kept.number, at, what: what.to_owned(), warning, message, account, text, hint };
        if kept.entries.len() == KEPT {
            kept.entries.pop_front();
        }
        kept.entries.push_back(entry);
        drop(kept);
        self.next.observe(event);
    }
}

impl Kept {
    fn count(&mut self, event: &Event, at: Timestamp) {
        let hour = self.hour(at);
        if matches!(event, Event::Accepted { .. }) {
            hour.accepted += 1;
        }
        if matches!(event, Event::Relayed { .. }) {
            hour.relayed += 1;
        }
        if matches!(event, Event::Failed { .. }) {
            hour.failed += 1;
        }
    }

    /// The hour of `now`; those since the last one are made, those of more than a day ago go.
    fn hour(&mut self, now: Timestamp) -> &mut Hour {
        let from = beginning(now);
        let first = from.minus(HOUR * (HOURS as u32 - 1));
        let mut next = self.hours.back().map_or(first, |last| last.from.plus(HOUR)).max(first);
        while next <= from {
            self.hours.push_back(Hour { from: next, ..Hour::default() });
            next = next.plus(HOUR);
        }
        while self.hours.len() > HOURS {
            self.hours.pop_front();
        }
        let last = self.hours.len() - 1;
        &mut self.hours[last]
    }
}

fn beginning(at: Timestamp) -> Timestamp {
    let hour = HOUR.as_millis() as i64;
    Timestamp::from_millis(at.as_millis().div_euclid(hour) * hour)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::QueueId;

    struct Nobody;

    impl Observer for Nobody {
        fn observe(&self, _: &Event) {}
    }

    fn journal() -> (Clock, Journal) {
        let clock = Clock::manual(Timestamp::from_millis(1_795_219_200_000));
        (clock.clone(), Journal::new(clock, Arc::new(Nobody)))
    }

    fn unreported(why: &str) -> Event {
        Event::Unreported { about: QueueId::fresh(), why: why.to_owned() }
    }

    fn accepted() -> Event {
        Event::Accepted {
            id: QueueId::fresh(),
            client: "c".into(),
            peer: None,
            account: "a".into(),
            mailbox: "a@x.example".into(),
            reverse_path: "<a@x.example>".into(),
            recipients: 1,
            octets: 1,
            message_id: None,
        }
    }

    #[test]
    fn only_the_newest_events_are_kept_and_long_texts_are_cut() {
        let (_, journal) = journal();
        for number in 0..KEPT + 5 {
            journal.observe(&unreported(&format!("number {number}")));
        }
        journal.observe(&unreported(&"x".repeat(2 * MAX_TEXT)));
        let all = journal.newest(usize::MAX, |_| true);
        assert_eq!(all.len(), KEPT);
        assert!(all[0].text.chars().count() <= MAX_TEXT);
        assert_eq!(all[0].number, KEPT as u64 + 6);
        assert_eq!(journal.newest(10, |entry| entry.text.ends_with("number 3")), [], "the oldest went");
    }

    #[test]
    fn a_day_is_counted_by_the_hour_and_older_hours_go() {
        let (clock, journal) = journal();
        journal.observe(&accepted());
        clock.advance(HOUR);
        journal.observe(&accepted());
        journal.observe(&accepted());
        let counts = |journal: &Journal| journal.day().iter().map(|hour| hour.accepted).collect::<Vec<_>>();
        assert_eq!(counts(&journal)[HOURS - 3..], [0, 1, 2]);
        clock.advance(HOUR * 23);
        assert_eq!((counts(&journal).len(), counts(&journal)[0], counts(&journal)[1]), (HOURS, 1, 2));
        clock.advance(HOUR * 100);
        assert_eq!(counts(&journal), [0; HOURS]);
    }

    #[test]
    fn what_happened_before_the_start_is_added_to_its_hour() {
        let (clock, journal) = journal();
        journal.observe(&accepted());
        let an_hour_ago = clock.now().minus(HOUR);
        journal.remember(&[
            Hour { from: an_hour_ago, accepted: 5, relayed: 4, failed: 1 },
            Hour { from: an_hour_ago.minus(HOUR * 50), accepted: 9, relayed: 9, failed: 9 },
        ]);
        let day = journal.day();
        assert_eq!((day[HOURS - 2].accepted, day[HOURS - 2].relayed, day[HOURS - 2].failed), (5, 4, 1));
        assert_eq!(day.iter().map(|hour| hour.accepted).sum::<u64>(), 6);
    }
}
