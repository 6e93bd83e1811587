//! How many reports an address gets one by one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::mail::Address;

/// Reports to one address within [`WINDOW`]; what is more goes into a digest.
const AT_ONCE: usize = 20;
const WINDOW: Duration = Duration::from_hours(1);

/// Counts the reports to each address.
#[derive(Default)]
pub(super) struct ReportBudget(Mutex<HashMap<String, VecDeque<Timestamp>>>);

impl ReportBudget {
    /// Counts reports that were made before the start: to whom, and when.
    pub(super) fn remember(&self, reports: Vec<(Address, Timestamp)>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (to, at) in reports {
            known.entry(to.key()).or_default().push_back(at);
        }
    }

    /// Since when reports count.
    pub(super) fn since(now: Timestamp) -> Timestamp {
        now.minus(WINDOW)
    }

    /// Whether one more report may go to the address by itself; if so, it counts.
    pub(super) fn allow(&self, to: &Address, now: Timestamp) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, times| {
            // A clock that went back must not keep an address silent.
            times.retain(|at| *at <= now && at.plus(WINDOW) > now);
            !times.is_empty()
        });
        let times = known.entry(to.key()).or_default();
        let allowed = times.len() < AT_ONCE;
        if allowed {
            times.push_back(now);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_gets_twenty_reports_an_hour_and_does_not_use_up_those_of_another() {
        let budget = ReportBudget::default();
        let at = |minutes: i64| Timestamp::from_millis(minutes * 60_000);
        let [one, other]: [Address; 2] = ["a@x.example", "b@x.example"].map(|text| text.parse().unwrap());
        assert_eq!((0..50).filter(|minute| budget.allow(&one, at(*minute))).count(), 20);
        assert!(budget.allow(&other, at(50)));
        assert!(budget.allow(&one, at(60)), "the first has left the hour");
        assert!(!budget.allow(&one, at(60)));
        assert!(budget.allow(&one, at(-600)), "a clock that went back");
    }

    #[test]
    fn what_was_told_before_the_start_counts() {
        let budget = ReportBudget::default();
        let at = |minutes: i64| Timestamp::from_millis(minutes * 60_000);
        let one: Address = "A@x.example".parse().unwrap();
        budget.remember((0..15).map(|minute| (one.clone(), at(minute))).collect());
        let other: Address = "b@x.example".parse().unwrap();
        budget.remember(vec![(other, at(0))]);
        assert_eq!((0..50).filter(|_| budget.allow(&one, at(15))).count(), 5);
        assert_eq!(ReportBudget::since(at(100)), at(40));
    }
}
