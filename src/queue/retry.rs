//! When a message is tried again. Pure: the time and the jitter are handed in.

use std::time::Duration;

use crate::clock::Timestamp;

/// The wait after each attempt, in minutes; the last one repeats until the message expires. RFC 5321 section 4.5.4.1
/// wants at least 30 minutes once the first tries are over.
const MINUTES: [u64; 6] = [1, 5, 15, 30, 60, 120];
/// The wait before each probe of a held mailbox, in minutes; the last one repeats.
const PROBE_MINUTES: [u64; 4] = [5, 15, 30, 60];

/// A number from 0 to 1 that spreads retries: up to a tenth of the wait is added, never taken away.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Jitter(f64);

impl Jitter {
    /// No spread at all.
    pub const NONE: Self = Self(0.0);

    /// Takes any number; what lies outside 0 to 1 is moved to the nearer end.
    pub fn new(share: f64) -> Self {
        Self(if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) })
    }

    fn spread(self, wait: Duration) -> Duration {
        wait + wait.mul_f64(self.0 / 10.0)
    }
}

/// The wait after attempt number `attempt` (the first is 1), without jitter.
pub fn wait_after(attempt: u32) -> Duration {
    step(&MINUTES, attempt.saturating_sub(1))
}

/// The wait before the probe that follows `probes` earlier ones of the same hold.
pub fn wait_before_probe(probes: u32) -> Duration {
    step(&PROBE_MINUTES, probes)
}

/// The next time after an attempt that was deferred; never before the remote's Retry-After.
pub fn next(attempt: u32, now: Timestamp, jitter: Jitter, retry_after: Option<Duration>) -> Timestamp {
    let wait = jitter.spread(wait_after(attempt));
    now.plus(wait.max(retry_after.unwrap_or_default()))
}

/// The next time after an attempt whose answer was lost: the first one waits `unknown_retry`, later ones follow the
/// schedule but never wait less than that.
pub fn next_after_unknown(attempt: u32, now: Timestamp, jitter: Jitter, unknown_retry: Duration) -> Timestamp {
    let wait = if attempt <= 1 { unknown_retry } else { unknown_retry.max(wait_after(attempt)) };
    now.plus(jitter.spread(wait))
}

fn step(minutes: &[u64], index: u32) -> Duration {
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    let minutes = minutes.get(index).or(minutes.last()).copied().unwrap_or_default();
    Duration::from_mins(minutes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    #[test]
    fn the_schedule_is_the_documented_one() {
        let waits: Vec<_> = (1..=8).map(|attempt| wait_after(attempt).as_secs() / 60).collect();
        assert_eq!(waits, [1, 5, 15, 30, 60, 120, 120, 120]);
        let probes: Vec<_> = (0..6).map(|probes| wait_before_probe(probes).as_secs() / 60).collect();
        assert_eq!(probes, [5, 15, 30, 60, 60, 60]);
        assert_eq!(wait_after(u32::MAX), Duration::from_mins(120));
    }

    #[test]
    fn the_next_time_follows_schedule_jitter_and_retry_after() {
        let minutes = Duration::from_mins;
        let table = [
            (1, 0.0, None, minutes(1), "the first step"),
            (1, 1.0, None, Duration::from_secs(66), "full jitter adds a tenth"),
            (4, 0.0, Some(minutes(10)), minutes(30), "a Retry-After shorter than the step changes nothing"),
            (1, 0.0, Some(minutes(10)), minutes(10), "a longer one is obeyed"),
            (0, 0.0, None, minutes(1), "an attempt that does not count"),
        ];
        for (attempt, jitter, retry_after, wait, why) in table {
            assert_eq!(next(attempt, NOW, Jitter::new(jitter), retry_after), NOW.plus(wait), "{why}");
        }
    }

    #[test]
    fn a_lost_answer_waits_its_own_time_first() {
        let quarter = Duration::from_mins(15);
        let table = [
            (1, quarter, 15, "first"),
            (2, quarter, 15, "the schedule's 5 minutes are too short"),
            (4, quarter, 30, "the schedule is longer"),
            (1, Duration::ZERO, 0, "as short as configured"),
        ];
        for (attempt, unknown, minutes, why) in table {
            let next = next_after_unknown(attempt, NOW, Jitter::NONE, unknown);
            assert_eq!(next, NOW.plus(Duration::from_mins(minutes)), "{why}");
        }
    }

    proptest! {
        #[test]
        fn no_retry_comes_before_its_step_or_its_retry_after(attempt: u32, share: f64, seconds in 0_u64..1_000_000) {
            let asked = Duration::from_secs(seconds);
            let at = next(attempt, NOW, Jitter::new(share), Some(asked));
            prop_assert!(at >= NOW.plus(asked));
            prop_assert!(at >= NOW.plus(wait_after(attempt)));
            prop_assert!(at <= NOW.plus(asked.max(wait_after(attempt).mul_f64(1.11))));
        }
    }
}
