//! Ways that asked to be left alone: not asked again before their time, whatever other ways do meanwhile.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::mail::{Attempt, BackendKind, Failure, Reason};
use crate::queue::MailboxKey;

/// How long a way rests that said "too many" without a time.
const UNTOLD: Duration = Duration::from_secs(10);

/// Until when each way of each mailbox rests.
#[derive(Default)]
pub(super) struct Rests(Mutex<Known>);

#[derive(Default)]
struct Known {
    rests: HashMap<(MailboxKey, BackendKind), Timestamp>,
    /// How often somebody had insisted on trying now, as far as it was heeded.
    insisted: HashMap<MailboxKey, u64>,
}

impl Rests {
    /// Notes a rest; a longer one stays.
    pub(super) fn note(&self, key: MailboxKey, way: BackendKind, until: Timestamp) {
        let mut known = self.known();
        let at = known.rests.entry((key, way)).or_insert(until);
        *at = until.max(*at);
    }

    /// Until when a way rests, if it does.
    pub(super) fn until(&self, key: &MailboxKey, way: BackendKind, now: Timestamp) -> Option<Timestamp> {
        let mut known = self.known();
        known.rests.retain(|_, until| *until > now);
        known.rests.get(&(key.clone(), way)).copied()
    }

    /// Ends the rests of a mailbox if somebody insisted since the last look; `insisted` is how often that was so far.
    pub(super) fn heed(&self, key: &MailboxKey, insisted: u64) -> bool {
        let mut known = self.known();
        if insisted <= known.insisted.get(key).copied().unwrap_or_default() {
            return false;
        }
        known.insisted.insert(key.clone(), insisted);
        known.rests.retain(|(of, _), _| of != key);
        true
    }

    /// Forgets all, to be told anew.
    pub(super) fn clear(&self) {
        self.known().rests.clear();
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a way is to be left alone after this attempt, if it said that there are too many; then nothing was handed
/// over, and another way may take the message.
pub(super) fn asked(attempt: &Attempt) -> Option<Duration> {
    let waits = attempt.outcomes.iter().map(|outcome| {
        let failure = outcome.failure().filter(|failure| failure.reason == Reason::Throttled)?;
        Some(failure.retry_after.unwrap_or(UNTOLD))
    });
    let waits: Option<Vec<_>> = waits.collect();
    waits?.into_iter().max()
}

/// No way out may be asked now.
pub(super) fn patience(wait: Duration, why: &str) -> Failure {
    Failure::new(Reason::Throttled, format!("no way out may be asked yet: {why}")).retry_after(Some(wait))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{Outcome, Receipt};

    #[test]
    fn a_rest_ends_by_itself_and_a_shorter_one_changes_nothing() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        let key = MailboxKey { provider: "p".to_owned(), mailbox: "a@x.example".to_owned() };
        let rests = Rests::default();
        rests.note(key.clone(), BackendKind::Graph, at(60));
        rests.note(key.clone(), BackendKind::Graph, at(30));
        assert_eq!(rests.until(&key, BackendKind::Graph, at(10)), Some(at(60)));
        assert_eq!(rests.until(&key, BackendKind::Smtp, at(10)), None, "another way");
        assert_eq!(rests.until(&key, BackendKind::Graph, at(60)), None);
    }

    #[test]
    fn who_insists_ends_the_rests_of_one_mailbox_and_those_that_come_later_stay() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        let of = |mailbox: &str| MailboxKey { provider: "p".to_owned(), mailbox: mailbox.to_owned() };
        let (one, other, rests) = (of("a@x.example"), of("b@x.example"), Rests::default());
        for (key, way) in [(&one, BackendKind::Graph), (&one, BackendKind::Smtp), (&other, BackendKind::Graph)] {
            rests.note(key.clone(), way, at(60));
        }
        assert!(!rests.heed(&one, 0), "nobody insisted");
        assert_eq!(rests.until(&one, BackendKind::Graph, at(0)), Some(at(60)));
        assert!(rests.heed(&one, 1));
        assert_eq!(rests.until(&one, BackendKind::Graph, at(0)), None);
        assert_eq!(rests.until(&one, BackendKind::Smtp, at(0)), None);
        assert_eq!(rests.until(&other, BackendKind::Graph, at(0)), Some(at(60)), "another mailbox");
        rests.note(one.clone(), BackendKind::Graph, at(90));
        assert!(!rests.heed(&one, 1), "that was heeded");
        assert_eq!(rests.until(&one, BackendKind::Graph, at(0)), Some(at(90)), "asked for after that");
    }

    #[test]
    fn only_a_refusal_of_everybody_for_too_much_mail_is_a_wish_to_be_left_alone() {
        let too_many = |wait| Outcome::from(Failure::new(Reason::Throttled, "").retry_after(wait));
        let minute = Duration::from_mins(1);
        let taken = Outcome::Relayed(Receipt { diagnostic: String::new(), knows_wishes: false });
        let table = [
            (vec![too_many(None)], Some(UNTOLD), "no time"),
            (vec![too_many(Some(minute)), too_many(None)], Some(minute), "the longer one"),
            (vec![too_many(None), taken], None, "somebody has it"),
            (vec![Failure::new(Reason::TimedOut, "").into()], None, "another trouble"),
            (vec![], None, "nothing was tried"),
        ];
        for (outcomes, expected, why) in table {
            assert_eq!(asked(&Attempt { backend: None, outcomes, notes: vec![] }), expected, "{why}");
        }
    }
}
