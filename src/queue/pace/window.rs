//! So much in any stretch of time: one limit as a sliding window. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use super::MARGIN;
use crate::clock::Timestamp;

/// What was used within the last stretch.
#[derive(Clone, Debug)]
pub struct Window {
    length: Duration,
    /// Each use, oldest first.
    uses: VecDeque<(Timestamp, u64)>,
    /// The sum of `uses`.
    used: u64,
}

impl Window {
    /// A window of this length in which nothing was used yet.
    pub const fn new(length: Duration) -> Self {
        Self { length, uses: VecDeque::new(), used: 0 }
    }

    /// When `amount` more may be used without more than `limit` (0: none) in any stretch: now, or a later moment. More
    /// than the limit may be used once nothing else counts.
    pub fn earliest(&mut self, now: Timestamp, limit: u64, amount: u64) -> Timestamp {
        self.forget(now);
        let mut left = self.used;
        let mut earliest = now;
        if limit == 0 {
            return earliest;
        }
        for (at, used) in &self.uses {
            if left.saturating_add(amount) <= limit {
                break;
            }
            left -= used;
            earliest = at.plus(self.length + MARGIN);
        }
        earliest
    }

    /// Takes note of a use.
    pub fn add(&mut self, now: Timestamp, amount: u64) {
        // A clock that was set back must not break the order.
        let at = self.uses.back().map_or(now, |(last, _)| now.max(*last));
        self.uses.push_back((at, amount));
        self.used = self.used.saturating_add(amount);
    }

    /// It was not used after all: the newest use of that amount counts no more.
    pub fn take_back(&mut self, amount: u64) {
        if let Some(index) = self.uses.iter().rposition(|(_, used)| *used == amount) {
            self.uses.remove(index);
            self.used -= amount;
        }
    }

    /// How long it takes from now until the last of `amount` may be used, in whole windows as the limit allows (0: none).
    pub fn time_to_use(&mut self, now: Timestamp, limit: u64, amount: u64) -> Duration {
        self.forget(now);
        match (limit, amount.saturating_sub(limit.saturating_sub(self.used))) {
            (0, _) | (_, 0) => Duration::ZERO,
            (limit, more) => {
                (self.length + MARGIN).saturating_mul(u32::try_from(more.div_ceil(limit)).unwrap_or(u32::MAX))
            }
        }
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some((at, used)) = self.uses.front()
            && at.plus(self.length + MARGIN) <= now
        {
            self.used -= used;
            self.uses.pop_front();
        }
        // After a clock was set back: what was used counts from now on, not from a time to come.
        for (at, _) in self.uses.iter_mut().rev().take_while(|(at, _)| *at > now) {
            *at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LENGTH: Duration = Duration::from_secs(300);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn window(uses: &[(i64, u64)]) -> Window {
        let mut window = Window::new(LENGTH);
        uses.iter().for_each(|(seconds, amount)| window.add(at(*seconds), *amount));
        window
    }

    #[test]
    fn a_use_waits_until_the_window_has_room_for_it() {
        let table: [(&[_], _, _, _, _); 8] = [
            (&[], 10, 4, 100, "nothing used yet"),
            (&[(50, 6)], 10, 4, 100, "exactly full is allowed"),
            (&[(50, 6), (60, 4)], 10, 1, 351, "the first must leave the window, with a margin"),
            (&[(50, 6), (60, 4)], 10, 7, 361, "seven need both gone"),
            (&[(50, 6)], 10, 50, 351, "more than the limit: alone"),
            (&[], 10, 50, 100, "more than the limit, and nothing else counts"),
            (&[(50, 1_000)], 0, 1_000, 100, "no limit"),
            (&[(-500, 10)], 10, 10, 100, "that was long ago"),
        ];
        for (uses, limit, amount, expected, why) in table {
            assert_eq!(window(uses).earliest(at(100), limit, amount), at(expected), "{why}");
        }
    }

    #[test]
    fn what_was_not_used_after_all_makes_room_again() {
        let mut window = window(&[(10, 6), (20, 4)]);
        window.take_back(6);
        assert_eq!(window.earliest(at(30), 10, 6), at(30));
        window.take_back(5);
        assert_eq!(window.earliest(at(30), 10, 7), at(321), "nobody had used five");
    }

    #[test]
    fn a_clock_that_was_set_back_blocks_for_one_window_and_no_longer() {
        let mut window = window(&[(1_000_000, 10)]);
        assert_eq!(window.earliest(at(0), 10, 1), at(301), "it counts as used now");
        assert_eq!(window.earliest(at(301), 10, 1), at(301));
    }

    #[test]
    fn the_time_to_use_an_amount_is_that_of_whole_windows() {
        let table: [(&[_], _, _, _, _); 5] = [
            (&[], 10, 10, 0, "all of it now"),
            (&[], 10, 11, 301, "a little too much"),
            (&[(99, 10)], 10, 20, 602, "the window is full"),
            (&[(99, 4)], 10, 6, 0, "what is left is enough"),
            (&[(99, 4)], 0, 1_000, 0, "no limit"),
        ];
        for (uses, limit, amount, seconds, why) in table {
            let time = window(uses).time_to_use(at(100), limit, amount);
            assert_eq!(time, Duration::from_secs(seconds), "{why}");
        }
    }

    proptest! {
        #[test]
        fn no_stretch_ever_holds_more_than_the_limit(
            gaps in proptest::collection::vec((0_u64..200, 1_u64..5), 1..100),
            limit in 5_u64..50,
        ) {
            let mut window = Window::new(LENGTH);
            let mut uses = Vec::new();
            let mut now = at(0);
            for (gap, amount) in gaps {
                now = window.earliest(now.plus(Duration::from_secs(gap)), limit, amount);
                window.add(now, amount);
                uses.push((now, amount));
            }
            for (start, _) in &uses {
                let within = uses.iter().filter(|(at, _)| at >= start && *at < start.plus(LENGTH));
                prop_assert!(within.map(|(_, amount)| amount).sum::<u64>() <= limit);
            }
        }
    }
}
