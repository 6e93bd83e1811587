//! The provider's limits for one mailbox as sliding windows: messages in any minute, recipients in any 24 hours; and
//! what the provider's refusals teach of them. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Timestamp;

mod window;

pub use window::Window;

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);
/// A message and its neighbours reach the provider's clock sooner or later than ours; so much is left free between one
/// minute and the next.
const MARGIN: Duration = Duration::from_secs(1);
/// How long a limit that was learnt stands until the configured one is tried again. If that is too much still, one
/// refusal says so.
const TRUST: Duration = Duration::from_hours(2);
/// The least limit that is learnt where none is configured.
const LEAST: u32 = 10;

/// What was sent within the windows, and how much more may be.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Messages in any minute; 0: no limit.
    messages_per_minute: u32,
    /// Recipients in any 24 hours; 0: no limit.
    recipients_per_day: u32,
    /// Each send and its recipients, oldest first.
    sends: VecDeque<(Timestamp, u32)>,
    /// The recipients of all `sends`.
    recipients: u64,
    learnt: Option<Learnt>,
}

/// A limit below the configured one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Learnt {
    /// Messages in any minute.
    pub per_minute: u32,
    /// When it showed.
    pub since: Timestamp,
}

impl Pace {
    /// Limits (0: none) and what was sent before, such as [`Queue::recent_sends`](super::Queue::recent_sends) tells
    /// after a restart.
    pub fn new(messages_per_minute: u32, recipients_per_day: u32, mut sends: Vec<(Timestamp, u32)>) -> Self {
        sends.sort_unstable();
        let recipients = sends.iter().map(|(_, recipients)| u64::from(*recipients)).sum();
        Self { messages_per_minute, recipients_per_day, sends: sends.into(), recipients, learnt: None }
    }

    /// Changes the limits (0: none); what was sent counts on. A limit that was off before knows nothing of the past.
    pub fn set_rates(&mut self, messages_per_minute: u32, recipients_per_day: u32) {
        self.messages_per_minute = messages_per_minute;
        self.recipients_per_day = recipients_per_day;
    }

    /// When a message for `recipients` recipients may go: now, or a later moment. A message larger than the day's
    /// limit goes once nothing else counts.
    pub fn earliest(&mut self, now: Timestamp, recipients: u32) -> Timestamp {
        self.forget(now);
        self.doubt(now);
        now.max(self.minute_allows()).max(self.day_allows(recipients))
    }

    /// How many messages for one recipient each may go now.
    pub fn room(&mut self, now: Timestamp) -> usize {
        self.forget(now);
        self.doubt(now);
        let usize = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let minute = match self.per_minute() {
            0 => usize::MAX,
            limit => usize(limit.into())
                .saturating_sub(self.sends.iter().rev().take_while(|(at, _)| at.plus(MINUTE + MARGIN) > now).count()),
        };
        let day = match self.recipients_per_day {
            0 => usize::MAX,
            limit => usize(u64::from(limit).saturating_sub(self.recipients)),
        };
        minute.min(day)
    }

    /// The provider refused the last send because there were too many: it took what was sent within the minute before,
    /// and that is its limit for a while. A refusal after few messages says nothing about how many it takes.
    pub fn refused(&mut self, now: Timestamp) -> Option<Learnt> {
        let within = self.sends.iter().rev().take_while(|(at, _)| at.plus(MINUTE) > now).count();
        let taken = u32::try_from(within.saturating_sub(1)).unwrap_or(u32::MAX);
        let least = if self.messages_per_minute == 0 { LEAST } else { self.messages_per_minute.div_ceil(3) };
        if taken < least {
            return None;
        }
        let known = self.per_minute();
        let per_minute = if known == 0 { taken } else { taken.min(known) };
        let learnt = Learnt { per_minute, since: now };
        self.learnt = Some(learnt);
        Some(learnt)
    }

    /// Goes on with a limit that was learnt before.
    #[must_use]
    pub fn knowing(self, learnt: Option<Learnt>) -> Self {
        Self { learnt, ..self }
    }

    /// How long `messages` to `recipients` in all take from now, if nothing comes between; both as the limits allow.
    pub fn time_to_drain(&mut self, now: Timestamp, messages: u64, recipients: u64) -> Duration {
        self.forget(now);
        self.doubt(now);
        let by_minute = match u64::from(self.per_minute()) {
            0 => Duration::ZERO,
            limit => match messages.saturating_sub(self.room(now) as u64) {
                0 => Duration::ZERO,
                more => (MINUTE + MARGIN).saturating_mul(u32::try_from(more.div_ceil(limit)).unwrap_or(u32::MAX)),
            },
        };
        let by_day = match u64::from(self.recipients_per_day) {
            0 => Duration::ZERO,
            limit => match recipients.saturating_sub(limit.saturating_sub(self.recipients)) {
                0 => Duration::ZERO,
                more => DAY.saturating_mul(u32::try_from(more.div_ceil(limit)).unwrap_or(u32::MAX)),
            },
        };
        by_minute.max(by_day)
    }

    /// The limit that counts: the configured one, or a lower one that was learnt.
    fn per_minute(&self) -> u32 {
        match (self.messages_per_minute, self.learnt) {
            (configured, None) => configured,
            (0, Some(learnt)) => learnt.per_minute,
            (configured, Some(learnt)) => learnt.per_minute.min(configured),
        }
    }

    /// What was learnt long ago, or in the future of a clock that was set back, counts no more.
    fn doubt(&mut self, now: Timestamp) {
        self.learnt = self.learnt.filter(|learnt| learnt.since <= now && learnt.since.plus(TRUST) > now);
    }

    /// Takes note of a send.
    pub fn sent(&mut self, now: Timestamp, recipients: u32) {
        // A clock that was set back must not break the order.
        let at = self.sends.back().map_or(now, |(last, _)| now.max(*last));
        self.sends.push_back((at, recipients));
        self.recipients += u64::from(recipients);
    }

    /// A message for so many recipients did not go after all.
    pub fn take_back(&mut self, recipients: u32) {
        if let Some(index) = self.sends.iter().rposition(|(_, sent)| *sent == recipients) {
            self.sends.remove(index);
            self.recipients -= u64::from(recipients);
        }
    }

    fn minute_allows(&self) -> Timestamp {
        let limit = usize::try_from(self.per_minute()).unwrap_or(usize::MAX);
        if limit == 0 || self.sends.len() < limit {
            return Timestamp::default();
        }
        // The limit-th newest send must have left the window.
        self.sends.get(self.sends.len() - limit).map_or(Timestamp::default(), |(at, _)| at.plus(MINUTE + MARGIN))
    }

    fn day_allows(&self, recipients: u32) -> Timestamp {
        let limit = u64::from(self.recipients_per_day);
        let mut counted = self.recipients;
        let mut earliest = Timestamp::default();
        if limit == 0 {
            return earliest;
        }
        for (at, sent) in &self.sends {
            if counted + u64::from(recipients) <= limit {
                break;
            }
            counted -= u64::from(*sent);
            earliest = at.plus(DAY);
        }
        earliest
    }

    fn forget(&mut self, now: Timestamp) {
        let window = if self.recipients_per_day == 0 { MINUTE + MARGIN } else { DAY };
        while let Some((at, recipients)) = self.sends.front()
            && at.plus(window) <= now
        {
            self.recipients -= u64::from(*recipients);
            self.sends.pop_front();
        }
        // After a clock was set back: what was sent counts from now on, not from a time to come.
        for (at, _) in self.sends.iter_mut().rev().take_while(|(at, _)| *at > now) {
            *at = now;
        }
    }
}

#[cfg(test)]
mod limiters;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn a_clock_that_was_set_back_blocks_for_one_window_and_no_longer() {
        let mut pace = Pace::new(2, 0, Vec::new());
        let now = Timestamp::from_millis(1_800_000_000_000);
        pace.sent(now, 1);
        pace.sent(now, 1);
        let earlier = now.minus(DAY);
        assert_eq!(pace.room(earlier), 0, "they count as sent now");
        assert_eq!(pace.room(earlier.plus(2 * MINUTE)), 2);
    }

    #[test]
    fn a_send_waits_until_both_windows_have_room() {
        let day = 24 * 3600;
        let table = [
            (2, 0, vec![], 100, 1, 100, "nothing sent yet"),
            (2, 0, vec![(50, 1)], 100, 1, 100, "room for one more"),
            (2, 0, vec![(50, 1), (60, 1)], 100, 1, 111, "the older one must leave the minute, with a margin"),
            (2, 0, vec![(60, 1), (50, 1)], 100, 1, 111, "in whatever order history comes"),
            (2, 0, vec![(10, 1), (20, 1)], 100, 1, 100, "both have left"),
            (0, 10, vec![(0, 6), (10, 4)], 100, 3, day, "the day is full; the first frees six"),
            (0, 10, vec![(0, 6), (10, 4)], 100, 7, 10 + day, "seven need both gone"),
            (0, 10, vec![(0, 6)], 100, 4, 100, "exactly full is allowed"),
            (0, 10, vec![(0, 1)], 100, 50, day, "more than the limit: alone"),
            (0, 10, vec![], 100, 50, 100, "more than the limit, nothing else counts"),
            (0, 0, vec![(99, 1_000_000)], 100, 1, 100, "no limits"),
        ];
        for (minute, per_day, sends, now, recipients, expected, why) in table {
            let sends = sends.into_iter().map(|(seconds, recipients)| (at(seconds), recipients)).collect();
            let mut pace = Pace::new(minute, per_day, sends);
            assert_eq!(pace.earliest(at(now), recipients), at(expected), "{why}");
        }
    }

    #[test]
    fn the_time_to_drain_is_that_of_the_narrower_limit() {
        let (minute, day) = (61, 24 * 3600);
        let table = [
            (30, 0, vec![], 30, 30, 0, "all of it now"),
            (30, 0, vec![], 31, 31, minute, "one too many"),
            (30, 0, vec![], 5_000, 5_000, 166 * minute, "5,000 messages"),
            (30, 0, vec![(99, 1); 30], 60, 60, 2 * minute, "the minute is full"),
            (30, 100, vec![], 60, 250, 2 * day, "the day's recipients take longer"),
            (0, 0, vec![], 5_000, 5_000, 0, "no limits"),
        ];
        for (per_minute, per_day, sends, messages, recipients, seconds, why) in table {
            let sends = sends.into_iter().map(|(seconds, recipients)| (at(seconds), recipients)).collect();
            let mut pace = Pace::new(per_minute, per_day, sends);
            assert_eq!(pace.time_to_drain(at(100), messages, recipients), Duration::from_secs(seconds), "{why}");
        }
    }

    #[test]
    fn what_did_not_go_after_all_makes_room_again() {
        let mut pace = Pace::new(2, 10, vec![(at(98), 4), (at(99), 5)]);
        assert_eq!(pace.room(at(100)), 0);
        pace.take_back(4);
        assert_eq!((pace.room(at(100)), pace.earliest(at(100), 5)), (1, at(100)));
        pace.take_back(4);
        assert_eq!(pace.room(at(100)), 1, "there was no other of four");
    }

    #[test]
    fn the_lower_of_what_was_configured_and_learnt_counts() {
        let learnt = Some(Learnt { per_minute: 25, since: at(0) });
        for (configured, expected) in [(30, 25), (10, 10), (0, 25)] {
            let mut pace = Pace::new(configured, 0, vec![]).knowing(learnt);
            assert_eq!(pace.room(at(1)), expected, "{configured}");
        }
    }

    #[test]
    fn a_refusal_teaches_the_limit_for_a_while() {
        let mut pace = Pace::new(30, 0, vec![]);
        for _ in 0..21 {
            pace.sent(at(0), 1);
        }
        pace.refused(at(1));
        assert_eq!((pace.room(at(1)), pace.room(at(61))), (0, 20), "it took twenty");
        assert_eq!(pace.room(at(2 * 3600)), 20);
        assert_eq!(pace.room(at(2 * 3600 + 1)), 30, "the configured limit is tried again after two hours");
        let mut quiet = Pace::new(30, 0, vec![]);
        quiet.sent(at(0), 1);
        assert_eq!(quiet.refused(at(0)), None, "421 to the first message of a minute is about something else");
        assert_eq!(quiet.room(at(61)), 30);
    }

    proptest! {
        #[test]
        fn there_is_room_exactly_when_a_message_may_go_now(
            sends in proptest::collection::vec((0_i64..200, 1_u32..5), 0..40),
            minute in 0_u32..6,
            day in 0_u32..50,
        ) {
            let sends = sends.into_iter().map(|(seconds, recipients)| (at(seconds), recipients)).collect();
            let mut pace = Pace::new(minute, day, sends);
            let now = at(200);
            let mut gone = 0;
            let room = pace.room(now);
            while gone < 60 && pace.earliest(now, 1) <= now {
                pace.sent(now, 1);
                gone += 1;
            }
            prop_assert_eq!(gone, room.min(60));
        }

        #[test]
        fn no_window_ever_holds_more_than_the_limit(
            gaps in proptest::collection::vec((0_i64..40, 1_u32..5), 1..100),
            minute in 1_u32..6,
            day in 5_u32..50,
        ) {
            let mut pace = Pace::new(minute, day, vec![]);
            let mut sends = Vec::new();
            let mut now = at(0);
            for (gap, recipients) in gaps {
                now = pace.earliest(now.plus(Duration::from_secs(gap.unsigned_abs())), recipients);
                pace.sent(now, recipients);
                sends.push((now, recipients));
            }
            for (start, _) in &sends {
                let within = |window: Duration| {
                    sends.iter().filter(move |(at, _)| at >= start && *at < start.plus(window))
                };
                prop_assert!(within(MINUTE).count() <= usize::try_from(minute).unwrap());
                prop_assert!(within(DAY).map(|(_, recipients)| recipients).sum::<u32>() <= day);
            }
        }
    }
}
