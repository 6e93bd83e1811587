//! The pace against three kinds of limiters that providers have, on a virtual clock: nearly all that each allows, and
//! hardly anything refused.

use std::collections::VecDeque;
use std::time::Duration;

use super::Pace;
use crate::clock::Timestamp;

const MESSAGES: u32 = 5_000;
const MINUTE: i64 = 60_000;

/// A provider's side: whether a message that arrives at this millisecond is taken.
trait Limiter {
    fn takes(&mut self, at: i64) -> bool;
}

/// So many in each minute of the provider's clock, which begins at any second.
struct FixedWindow {
    limit: usize,
    offset: i64,
    window: i64,
    taken: usize,
}

impl Limiter for FixedWindow {
    fn takes(&mut self, at: i64) -> bool {
        let window = (at + self.offset).div_euclid(MINUTE);
        if window != self.window {
            (self.window, self.taken) = (window, 0);
        }
        self.taken += 1;
        self.taken <= self.limit
    }
}

/// So many within any minute.
struct SlidingWindow {
    limit: usize,
    taken: VecDeque<i64>,
}

impl Limiter for SlidingWindow {
    fn takes(&mut self, at: i64) -> bool {
        while self.taken.front().is_some_and(|first| first + MINUTE <= at) {
            self.taken.pop_front();
        }
        let room = self.taken.len() < self.limit;
        if room {
            self.taken.push_back(at);
        }
        room
    }
}

/// A bucket of so many that fills evenly within a minute.
struct TokenBucket {
    limit: i64,
    /// In 60,000ths of a token.
    level: i64,
    last: i64,
}

impl Limiter for TokenBucket {
    fn takes(&mut self, at: i64) -> bool {
        let full = self.limit * MINUTE;
        self.level = (self.level + (at - self.last).max(0) * self.limit).min(full);
        self.last = self.last.max(at);
        let room = self.level >= MINUTE;
        if room {
            self.level -= MINUTE;
        }
        room
    }
}

/// What came of sending all messages.
#[derive(Debug)]
struct Drained {
    millis: i64,
    refused: u32,
}

/// Sends until all are taken. Each message reaches the provider within a second, in the order in which they left; after a
/// refusal the mailbox rests for ten seconds, as the queue has it.
fn drain(limiter: &mut dyn Limiter, configured: u32) -> Drained {
    let mut pace = Pace::new(configured, 0, Vec::new());
    let (mut now, mut arrived) = (Timestamp::from_millis(0), 0);
    let (mut taken, mut refused, mut seed) = (0, 0, 12_345_u64);
    while taken < MESSAGES {
        now = pace.earliest(now, 1);
        pace.sent(now, 1);
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let delay = i64::try_from((seed >> 33) % 900).unwrap();
        arrived = (now.as_millis() + delay).max(arrived);
        if limiter.takes(arrived) {
            taken += 1;
        } else {
            refused += 1;
            pace.refused(now);
            now = now.plus(Duration::from_secs(10));
        }
    }
    Drained { millis: now.as_millis(), refused }
}

/// The shortest time in which any client could have got all messages through, in milliseconds.
fn at_best(limit: u32) -> f64 {
    f64::from(MESSAGES - limit) / f64::from(limit) * 60_000.0
}

fn limiters(limit: u32) -> Vec<(&'static str, Box<dyn Limiter>)> {
    let count = usize::try_from(limit).unwrap();
    let (limit, full) = (i64::from(limit), i64::from(limit) * MINUTE);
    let fixed = |offset| Box::new(FixedWindow { limit: count, offset, window: i64::MIN, taken: 0 });
    vec![
        ("fixed window", fixed(17_000)),
        ("fixed window that ends as the first message comes", fixed(59_999)),
        ("sliding window", Box::new(SlidingWindow { limit: count, taken: VecDeque::new() })),
        ("token bucket", Box::new(TokenBucket { limit, level: full, last: 0 })),
    ]
}

#[test]
fn five_thousand_messages_drain_just_under_the_limit_that_is_configured() {
    for (name, mut limiter) in limiters(30) {
        let drained = drain(limiter.as_mut(), 30);
        let share = at_best(30) / f64::from(i32::try_from(drained.millis).unwrap());
        assert!(share >= 0.97, "{name}: {share:.3} of what it allows; {drained:?}");
        assert_eq!(drained.refused, 0, "{name}: {drained:?}");
    }
}

#[test]
fn a_limit_below_the_configured_one_is_learnt() {
    for (limit, configured) in [(10, 30), (15, 30), (20, 30), (25, 30), (29, 30), (20, 0), (40, 0)] {
        for (name, mut limiter) in limiters(limit) {
            let drained = drain(limiter.as_mut(), configured);
            let share = at_best(limit) / f64::from(i32::try_from(drained.millis).unwrap());
            assert!(share >= 0.97, "{name} of {limit}: {share:.3} of what it allows; {drained:?}");
            assert!(drained.refused * 1_000 <= MESSAGES, "{name} of {limit}: {drained:?}");
        }
    }
}
