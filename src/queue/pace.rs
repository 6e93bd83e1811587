//! The provider's limits for one mailbox as sliding windows: messages in any minute, recipients in any 24 hours. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Timestamp;

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

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
}

impl Pace {
    /// Limits (0: none) and what was sent before, such as [`Queue::recent_sends`](super::Queue::recent_sends) tells
    /// after a restart.
    pub fn new(messages_per_minute: u32, recipients_per_day: u32, mut sends: Vec<(Timestamp, u32)>) -> Self {
        sends.sort_unstable();
        let recipients = sends.iter().map(|(_, recipients)| u64::from(*recipients)).sum();
        Self { messages_per_minute, recipients_per_day, sends: sends.into(), recipients }
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
        now.max(self.minute_allows()).max(self.day_allows(recipients))
    }

    /// How many messages for one recipient each may go now.
    pub fn room(&mut self, now: Timestamp) -> usize {
        self.forget(now);
        let usize = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let minute = match self.messages_per_minute {
            0 => usize::MAX,
            limit => usize(limit.into())
                .saturating_sub(self.sends.iter().rev().take_while(|(at, _)| at.plus(MINUTE) > now).count()),
        };
        let day = match self.recipients_per_day {
            0 => usize::MAX,
            limit => usize(u64::from(limit).saturating_sub(self.recipients)),
        };
        minute.min(day)
    }

    /// Takes note of a send.
    pub fn sent(&mut self, now: Timestamp, recipients: u32) {
        if self.messages_per_minute == 0 && self.recipients_per_day == 0 {
            return;
        }
        // A clock that was set back must not break the order.
        let at = self.sends.back().map_or(now, |(last, _)| now.max(*last));
        self.sends.push_back((at, recipients));
        self.recipients += u64::from(recipients);
    }

    fn minute_allows(&self) -> Timestamp {
        let limit = usize::try_from(self.messages_per_minute).unwrap_or(usize::MAX);
        if limit == 0 || self.sends.len() < limit {
            return Timestamp::default();
        }
        // The limit-th newest send must have left the window.
        self.sends.get(self.sends.len() - limit).map_or(Timestamp::default(), |(at, _)| at.plus(MINUTE))
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
        let window = if self.recipients_per_day == 0 { MINUTE } else { DAY };
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
            (2, 0, vec![(50, 1), (60, 1)], 100, 1, 110, "the older one must leave the minute"),
            (2, 0, vec![(60, 1), (50, 1)], 100, 1, 110, "in whatever order history comes"),
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
