//! Time as a value that is handed in: nothing else in the program reads the wall clock.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// A moment, in milliseconds since the Unix epoch (UTC).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `millis` milliseconds after the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The moment `duration` later; saturates.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// The moment `duration` earlier; saturates.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// How long after `earlier` this is; zero if it is not after it (a clock that was set back).
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// As an RFC 5322 date-time in UTC, for `Date` and `Received` header fields.
    pub fn rfc5322(self) -> String {
        let zoned = self.instant().to_zoned(jiff::tz::TimeZone::UTC);
        zoned.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
    }

    /// As the date of an IMAP search (RFC 9051 section 6.4.4), of UTC: `21-Nov-2026`.
    pub fn imap_day(self) -> String {
        self.instant().to_zoned(jiff::tz::TimeZone::UTC).strftime("%-d-%b-%Y").to_string()
    }

    /// The date-time of an IMAP message (`INTERNALDATE`, RFC 9051 section 9), such as `" 1-Nov-2026 08:00:00 +0100"`.
    pub fn of_imap(text: &str) -> Option<Self> {
        let parsed = jiff::fmt::strtime::parse("%d-%b-%Y %H:%M:%S %z", text.trim_start()).ok()?;
        Some(Self(parsed.to_timestamp().ok()?.as_millisecond()))
    }

    /// The day of UTC that `text` names as `2026-11-21`: its beginning and its end.
    pub fn day(text: &str) -> Option<(Self, Self)> {
        let date: jiff::civil::Date = text.parse().ok()?;
        let beginning = |date: jiff::civil::Date| {
            let zoned = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
            Some(Self(zoned.timestamp().as_millisecond()))
        };
        Some((beginning(date)?, beginning(date.tomorrow().ok()?)?))
    }

    fn instant(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

/// RFC 3339 in UTC, to the second.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zoned = self.instant().to_zoned(jiff::tz::TimeZone::UTC);
        write!(f, "{}", zoned.strftime("%Y-%m-%dT%H:%M:%SZ"))
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Where a part gets the time from: the system, or a test's hand.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    /// Since when the steady time runs.
    System(Instant),
    Manual(Arc<Manual>),
}

struct Manual {
    wall: AtomicI64,
    /// Milliseconds by which it was moved forward.
    steady: AtomicU64,
}

/// The longest that two looks at the clocks of the system may lie apart.
const AT_ONCE: Duration = Duration::from_millis(500);

impl Clock {
    /// The machine's wall clock.
    pub fn system() -> Self {
        Self(Source::System(Instant::now()))
    }

    /// A clock that stands still at `start` until [`Clock::advance`] moves it.
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(Manual { wall: AtomicI64::new(start.as_millis()), steady: AtomicU64::new(0) })))
    }

    /// The time now.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System(_) => {
                let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                Timestamp(millis(since.unwrap_or_default()))
            }
            Source::Manual(manual) => Timestamp(manual.wall.load(Ordering::SeqCst)),
        }
    }

    /// The time now, and with it how much time has passed by a clock that nobody sets.
    pub fn both(&self) -> (Timestamp, Duration) {
        loop {
            let before = self.steady();
            let now = self.now();
            let steady = self.steady();
            // The program may have been stopped in between.
            if steady.saturating_sub(before) < AT_ONCE {
                return (now, steady);
            }
        }
    }

    fn steady(&self) -> Duration {
        match &self.0 {
            Source::System(since) => since.elapsed(),
            Source::Manual(manual) => Duration::from_millis(manual.steady.load(Ordering::SeqCst)),
        }
    }

    /// Sets a manual clock back; the system's clock is not ours to move, so nothing happens there.
    pub fn set_back(&self, by: Duration) {
        if let Source::Manual(manual) = &self.0 {
            manual.wall.fetch_sub(millis(by), Ordering::SeqCst);
        }
    }

    /// Moves a manual clock forward; the system's clock is not ours to move, so nothing happens there.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(manual) = &self.0 {
            manual.wall.fetch_add(millis(by), Ordering::SeqCst);
            let steady = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
            manual.steady.fetch_add(steady, Ordering::SeqCst);
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_that_of_utc() {
        let (from, until) = Timestamp::day("2026-11-21").unwrap();
        assert_eq!(
            (from.to_string().as_str(), until.to_string().as_str()),
            ("2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z")
        );
        for text in ["", "today", "2026-13-01", "21.11.2026"] {
            assert_eq!(Timestamp::day(text), None, "{text}");
        }
    }

    #[test]
    fn a_moment_prints_as_rfc_3339_and_rfc_5322() {
        let moment = Timestamp::from_millis(1_795_219_200_123);
        assert_eq!(moment.to_string(), "2026-11-21T00:00:00Z");
        assert_eq!(moment.rfc5322(), "Sat, 21 Nov 2026 00:00:00 +0000");
    }

    #[test]
    fn a_moment_is_told_to_imap_and_by_it() {
        assert_eq!(Timestamp::from_millis(1_795_219_200_123).imap_day(), "21-Nov-2026");
        assert_eq!(Timestamp::from_millis(1_793_491_200_000).imap_day(), "1-Nov-2026");
        let table = [
            ("21-Nov-2026 01:00:00 +0100", "2026-11-21T00:00:00Z"),
            (" 1-Nov-2026 23:59:59 -0700", "2026-11-02T06:59:59Z"),
            ("01-nov-2026 00:00:00 +0000", "2026-11-01T00:00:00Z"),
        ];
        for (text, expected) in table {
            assert_eq!(Timestamp::of_imap(text).map(|at| at.to_string()).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "21-Nov-2026", "32-Nov-2026 00:00:00 +0000", "Sat, 21 Nov 2026 00:00:00 +0000"] {
            assert_eq!(Timestamp::of_imap(text), None, "{text}");
        }
    }

    #[test]
    fn a_clock_set_back_gives_no_negative_age() {
        let late = Timestamp::from_millis(5_000);
        assert_eq!(Timestamp::from_millis(1_000).since(late), Duration::ZERO);
        assert_eq!(late.since(Timestamp::from_millis(1_000)), Duration::from_secs(4));
    }

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let clock = Clock::manual(Timestamp::from_millis(10));
        let shared = clock.clone();
        clock.advance(Duration::from_millis(5));
        assert_eq!(shared.now().as_millis(), 15);
    }

    #[test]
    fn the_steady_time_runs_on_when_the_clock_is_set_back() {
        let clock = Clock::manual(Timestamp::from_millis(10_000));
        clock.advance(Duration::from_secs(5));
        clock.set_back(Duration::from_secs(60));
        assert_eq!(clock.both(), (Timestamp::from_millis(-45_000), Duration::from_secs(5)));
        let system = Clock::system();
        let (first, second) = (system.both(), system.both());
        assert!(second.1 >= first.1, "it never runs backwards");
    }
}
