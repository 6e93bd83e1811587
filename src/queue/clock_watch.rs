//! Notices that the wall clock was set back: it went less far than time did.

use std::time::Duration;

use crate::clock::Timestamp;

/// Less than this is the ordinary correction of a clock.
const STEP: Duration = Duration::from_secs(60);

/// Both clocks at the last look.
pub(super) struct ClockWatch {
    wall: Timestamp,
    steady: Duration,
}

impl ClockWatch {
    pub(super) const fn new(wall: Timestamp, steady: Duration) -> Self {
        Self { wall, steady }
    }

    /// How far the wall clock was set back since the last look. `steady` is the time of a clock that nobody sets.
    pub(super) fn look(&mut self, wall: Timestamp, steady: Duration) -> Option<Duration> {
        let back = self.wall.plus(steady.saturating_sub(self.steady)).since(wall);
        *self = Self { wall, steady };
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
            (start.plus(TICK).minus(STEP), Some(STEP), "a minute back"),
            (start.plus(TICK).minus(DAY), Some(DAY), "a day back"),
        ];
        for (wall, back, why) in table {
            let mut watch = ClockWatch::new(start, DAY);
            assert_eq!(watch.look(wall, DAY + TICK), back, "{why}");
            assert_eq!(watch.look(wall.plus(TICK), DAY + 2 * TICK), None, "{why}: told of once");
        }
    }
}
