//! How far an inbox has been looked through: a value without I/O. Its times are the provider's own, so that our clock does
//! not matter.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// Mail may come to lie before mail that was there already: so far back is looked at again.
const OVERLAP: Duration = Duration::from_secs(600);
/// Messages that are known again.
const MAX_SEEN: usize = 1_000;
/// The shortest step: providers tell times in whole seconds.
const STEP: Duration = Duration::from_secs(1);

/// How far an inbox has been looked through.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// What came before is done with.
    since: Timestamp,
    /// What came since and is done with, in the order it came.
    seen: Vec<Seen>,
}

/// A message that was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Seen {
    mark: String,
    at: Timestamp,
}

/// Why a look ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// There was no more.
    Whole,
    /// Enough for one look.
    Bound,
    /// What comes next could not be read.
    Trouble,
}

impl Seen {
    pub(super) fn new(id: &str, at: Timestamp) -> Self {
        Self { mark: mark(id), at }
    }
}

impl Cursor {
    /// Nothing that came since then was looked at.
    pub(super) const fn beginning(since: Timestamp) -> Self {
        Self { since, seen: Vec::new() }
    }

    /// What was written down; `None` if it cannot be read.
    pub(super) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// To be written down.
    pub(super) fn text(&self) -> String {
        // Times and marks become JSON without fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From when on to look.
    pub(super) const fn since(&self) -> Timestamp {
        self.since
    }

    /// Whether the message was looked at before.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.has(&mark(id))
    }

    fn has(&self, mark: &str) -> bool {
        self.seen.iter().any(|seen| seen.mark == mark)
    }

    /// After a look at these, in the order they came.
    pub(super) fn advance(&self, looked_at: Vec<Seen>, end: End) -> Self {
        let newest = looked_at.iter().map(|seen| seen.at).max().unwrap_or(self.since).max(self.since);
        let has_news = looked_at.iter().any(|seen| !self.has(&seen.mark));
        let mut since = match end {
            End::Whole | End::Trouble => newest.minus(OVERLAP).max(self.since),
            // More came within one second than a list shows, and all that it shows is known: the rest is given up, or
            // it would never end.
            End::Bound if newest == self.since && !has_news => self.since.plus(STEP),
            End::Bound => newest,
        };
        let known = self.seen.iter().filter(|seen| !looked_at.iter().any(|again| again.mark == seen.mark));
        let mut seen: Vec<Seen> = known.cloned().chain(looked_at.clone()).filter(|seen| seen.at >= since).collect();
        seen.sort_by_key(|seen| seen.at);
        if seen.len() > MAX_SEEN {
            seen.drain(..seen.len() - MAX_SEEN);
            since = seen.first().map_or(since, |first| first.at);
        }
        Self { since, seen }
    }
}

/// Ids are long; what is kept of one is enough to know it again.
fn mark(id: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, id.as_bytes());
    digest.as_ref().iter().take(8).map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + second * 1000)
    }

    fn seen(messages: &[(&str, i64)]) -> Vec<Seen> {
        messages.iter().map(|(id, second)| Seen::new(id, at(*second))).collect()
    }

    #[test]
    fn a_whole_look_looks_back_and_knows_again_what_it_saw() {
        let begun = Cursor::beginning(at(0));
        let next = begun.advance(seen(&[("a", 10), ("b", 5_000)]), End::Whole);
        assert_eq!(next.since(), at(5_000 - 600));
        assert!(next.knows("b") && !next.knows("c"));
        assert!(!next.knows("a"), "it came before, so it is not listed again");
        let quiet = next.advance(Vec::new(), End::Whole);
        assert_eq!(quiet, next, "a quiet inbox changes nothing");
        let again = next.advance(seen(&[("b", 5_000), ("c", 5_001)]), End::Whole);
        assert_eq!(again.seen.len(), 2, "each once");
    }

    #[test]
    fn the_first_look_does_not_go_back_before_its_beginning() {
        let next = Cursor::beginning(at(0)).advance(seen(&[("a", 10)]), End::Whole);
        assert_eq!(next.since(), at(0));
        assert!(next.knows("a"));
    }

    #[test]
    fn a_look_that_stops_goes_on_where_it_stopped() {
        let table = [
            (vec![("a", 10), ("b", 20)], End::Bound, 20, "the last that was looked at"),
            (
                vec![("a", 10), ("b", 20)],
                End::Trouble,
                0,
                "what could not be read is tried again, the others are known",
            ),
            (vec![("a", 10), ("b", 5_000)], End::Trouble, 4_400, "and what came late is looked for"),
            (vec![], End::Trouble, 0, "nothing was done"),
            (vec![("a", 0), ("b", 0)], End::Bound, 0, "a second with more than one look takes"),
            (vec![("a", 0), ("b", 0)], End::Trouble, 0, "the same"),
        ];
        for (looked_at, end, since, why) in table {
            let next = Cursor::beginning(at(0)).advance(seen(&looked_at), end);
            assert_eq!(next.since(), at(since), "{why}");
            assert!(looked_at.iter().all(|(id, second)| *second < since || next.knows(id)), "{why}");
        }
        let second = [("a", 0), ("b", 0)];
        let known = Cursor::beginning(at(0)).advance(seen(&second), End::Bound);
        assert_eq!(known.advance(seen(&second), End::Bound).since(), at(1), "a second that shows nothing new must end");
    }

    #[test]
    fn what_is_known_again_is_bounded_and_nothing_is_passed_over() {
        let ids: Vec<String> = (0..3_000).map(|number| number.to_string()).collect();
        let many: Vec<Seen> = ids.iter().zip(0..).map(|(id, second)| Seen::new(id, at(second / 10))).collect();
        let next = Cursor::beginning(at(0)).advance(many, End::Whole);
        assert_eq!(next.seen.len(), MAX_SEEN);
        assert_eq!(next.since(), next.seen[0].at);
        assert!(next.knows("2999") && next.text().len() < 64 * MAX_SEEN);
    }

    #[test]
    fn it_is_written_down_and_read_again() {
        let cursor = Cursor::beginning(at(0)).advance(seen(&[("a", 10)]), End::Whole);
        assert_eq!(Cursor::read(&cursor.text()), Some(cursor));
        assert_eq!(Cursor::read("{}"), None);
    }
}
