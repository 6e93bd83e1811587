//! Notices that the wall clock was set back: it went less far than time did.

use std::time::Duration;

use crate::clock::Timestamp;

/// Less than this is the ordinary correction of a clock.
const STEP: Duration = Duration::from_secs(60);

/// The wall clock at the last look.
pub(super) struct ClockWatch(Timestamp);

impl ClockWatch {
    pub(super) const fn new(wall: Timestamp) -> Self {
        Self(wall)
    }

    /// How far the clock was set back since the last look, which was `elapsed` ago by a clock that nobody sets.
    pub(super) fn look(&mut self, wall: Timestamp, elapsed: Duration) -> Option<Duration> {
        let back = self.0.plus(elapsed).since(wall);
        self.0 = wall;
        (back >= STEP).then_some(back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_secs(10);
    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn only_a_clock_that_was_set_back_by_a_minute_or_more_is_told_of() {
        let start = Timestamp::from_millis(1_800_000_000_000);
        let table = [
            (start.plus(TICK), None, "as far as time went"),
            (start.plus(DAY), None, "set ahead, or the machine slept"),
            (start.plus(TICK).minus(STEP / 2), None, "corrected a little"),
            (start, None, "a test's clock stands still"),
            (start.plus(TICK).minus(STEP), Some(STEP), "a minute back"),
            (start.plus(TICK).minus(DAY), Some(DAY), "a day back"),
        ];
        for (wall, back, why) in table {
            let mut watch = ClockWatch::new(start);
            assert_eq!(watch.look(wall, TICK), back, "{why}");
            assert_eq!(watch.look(wall.plus(TICK), TICK), None, "{why}: told of once");
        }
    }
}
