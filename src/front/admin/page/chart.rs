//! A day in bars, as a picture without a script.

use crate::telemetry::Hour;

/// The size of the picture, in its own units.
pub(super) const WIDTH: u64 = 600;
pub(super) const HEIGHT: u64 = 120;
/// Space between two bars.
const GAP: u64 = 6;

/// One hour's bar.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Bar {
    pub(super) x: u64,
    pub(super) width: u64,
    pub(super) relayed_y: u64,
    pub(super) relayed_height: u64,
    pub(super) failed_y: u64,
    pub(super) failed_height: u64,
    /// The hour, such as `14:00`.
    pub(super) hour: String,
    pub(super) words: String,
    pub(super) accepted: u64,
    pub(super) relayed: u64,
    pub(super) failed: u64,
}

/// A day, drawn.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Chart {
    pub(super) bars: Vec<Bar>,
    pub(super) accepted: u64,
    pub(super) relayed: u64,
    pub(super) failed: u64,
    /// What the highest bar stands for.
    pub(super) most: u64,
}

impl Chart {
    pub(super) fn of(day: &[Hour]) -> Self {
        let most = day.iter().map(|hour| hour.relayed + hour.failed).max().unwrap_or(0);
        let step = WIDTH / (day.len() as u64).max(1);
        let bars = (0..).zip(day).map(|(at, hour)| bar(at * step, step - GAP, hour, most)).collect();
        let sum = |of: fn(&Hour) -> u64| day.iter().map(of).sum();
        Self {
            bars,
            accepted: sum(|hour| hour.accepted),
            relayed: sum(|hour| hour.relayed),
            failed: sum(|hour| hour.failed),
            most,
        }
    }
}

fn bar(x: u64, width: u64, hour: &Hour, most: u64) -> Bar {
    // What is there is seen, however little it is beside the highest bar.
    let height = |count: u64| if count == 0 { 0 } else { (count * HEIGHT / most.max(1)).max(2) };
    let failed_height = height(hour.failed);
    let relayed_height = height(hour.relayed).min(HEIGHT - failed_height.min(HEIGHT));
    let from = hour.from.to_string();
    let clock = from.split_once('T').and_then(|(_, time)| time.get(..5)).unwrap_or_default();
    Bar {
        x,
        width,
        relayed_y: HEIGHT - relayed_height,
        relayed_height,
        failed_y: HEIGHT - relayed_height - failed_height,
        failed_height,
        hour: clock.to_owned(),
        words: format!("{clock} UTC: {} accepted, {} relayed, {} failed", hour.accepted, hour.relayed, hour.failed),
        accepted: hour.accepted,
        relayed: hour.relayed,
        failed: hour.failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn bars_fill_the_picture_and_never_leave_it() {
        let hour = |relayed, failed| Hour { from: Timestamp::from_millis(0), accepted: relayed, relayed, failed };
        let day = [hour(0, 0), hour(1_000_000, 0), hour(1, 0), hour(0, 1), hour(500_000, 500_000)];
        let chart = Chart::of(&day);
        assert_eq!((chart.most, chart.relayed, chart.failed), (1_000_000, 1_500_001, 500_001));
        assert_eq!(chart.bars[0].relayed_height, 0, "nothing is nothing");
        assert_eq!(chart.bars[1].relayed_height, HEIGHT);
        assert_eq!((chart.bars[2].relayed_height, chart.bars[3].failed_height), (2, 2), "little is seen");
        for bar in &chart.bars {
            assert_eq!(bar.failed_y + bar.failed_height + bar.relayed_height, HEIGHT, "{bar:?}");
            assert!(bar.x + bar.width <= WIDTH, "{bar:?}");
        }
        assert_eq!(Chart::of(&[]).bars, []);
    }
}
