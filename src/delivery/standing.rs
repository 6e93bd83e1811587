//! How the ways of each mailbox stand: which of them the provider refuses now. Kept in memory; after a restart the first
//! message finds out anew.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::mail::{Attempt, BackendKind, Failure, Outcome, Reason};
use crate::queue::MailboxKey;

/// How long a way is passed over that is switched off for the mailbox: nobody switches it on within minutes.
const SWITCHED_OFF: Duration = Duration::from_secs(60 * 60);
/// How long one that could not be reached, or was throttled without a word on when to come again.
const PASSING: Duration = Duration::from_secs(60);

/// A way of a mailbox of an account.
type Key = (String, MailboxKey, BackendKind);

/// Which ways are refused now.
#[derive(Default)]
pub(super) struct Standing(Mutex<HashMap<Key, Refused>>);

/// A refusal that is remembered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Refused {
    pub(super) until: Timestamp,
    pub(super) failure: Failure,
}

impl Standing {
    /// Why a way is passed over now, in words.
    pub(super) fn trouble(&self, key: &Key, now: Timestamp) -> Option<String> {
        let refused = self.lock().get(key).filter(|refused| refused.until > now).cloned()?;
        Some(format!("it was refused and is passed over until {}: {}", refused.until, refused.failure))
    }

    /// Remembers a refusal. True if the way was not refused before.
    pub(super) fn refuse(&self, key: Key, failure: Failure, now: Timestamp) -> Option<Timestamp> {
        let usual = if is_passing(failure.reason) { PASSING } else { SWITCHED_OFF };
        let until = now.plus(failure.retry_after.unwrap_or(usual));
        let mut refused = self.lock();
        refused.retain(|_, refused| refused.until > now);
        refused.insert(key, Refused { until, failure }).is_none().then_some(until)
    }

    /// Forgets a refusal: the way took a message.
    pub(super) fn clear(&self, key: &Key) {
        self.lock().remove(key);
    }

    /// Forgets what is known of a mailbox: somebody wants its mail tried now.
    pub(super) fn clear_of(&self, mailbox: &MailboxKey) {
        self.lock().retain(|(_, of, _), _| of != mailbox);
    }

    /// Forgets all: what was in the way may have been mended.
    pub(super) fn clear_all(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Refused>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an attempt says about the way it took.
pub(super) enum Word {
    /// It took the message, or refused it for a reason that every way would have.
    Final,
    /// It is too narrow for this message: another may be wider.
    TooNarrow,
    /// It is refused to this mailbox, whatever the message.
    Refused(Failure),
}

/// Reads an attempt. Only if it ended the same for all recipients, so that nothing was handed over, may another way be
/// tried. A smarthost needs no token, so where there is one the lack of a token is about the way.
pub(super) fn word(attempt: &Attempt, has_smarthost: bool) -> Word {
    let Some(first) = attempt.outcomes.first().and_then(Outcome::failure) else { return Word::Final };
    let same = |outcome: &Outcome| outcome.failure().is_some_and(|failure| failure.reason == first.reason);
    if !attempt.outcomes.iter().all(same) {
        return Word::Final;
    }
    match first.reason {
        Reason::MessageTooLarge | Reason::CannotCarry => Word::TooNarrow,
        Reason::SmtpAuthDisabled
        | Reason::MailboxUnavailable
        | Reason::PermissionMissing
        | Reason::AuthenticationRejected
        | Reason::Throttled
        | Reason::Unreachable
        | Reason::TlsRefused => Word::Refused(first.clone()),
        reason if has_smarthost && is_about_the_token(reason) => Word::Refused(first.clone()),
        Reason::TimedOut
        | Reason::ProviderTrouble
        | Reason::RecipientDeferred
        | Reason::TokenUnavailable
        | Reason::AnswerLost
        | Reason::Unexpected
        | Reason::SignInNeeded
        | Reason::ConfigurationRejected
        | Reason::MailboxFull
        | Reason::DailyLimit
        | Reason::SenderBlocked
        | Reason::ReadingDisabled
        | Reason::NoWayOut
        | Reason::HeldByHand
        | Reason::SenderRefused
        | Reason::RecipientRefused
        | Reason::ContentRefused
        | Reason::Rejected
        | Reason::BodyDamaged
        | Reason::Expired
        | Reason::HoldExpired => Word::Final,
    }
}

const fn is_about_the_token(reason: Reason) -> bool {
    matches!(reason, Reason::TokenUnavailable | Reason::SignInNeeded | Reason::ConfigurationRejected)
}

const fn is_passing(reason: Reason) -> bool {
    is_about_the_token(reason) || matches!(reason, Reason::Throttled | Reason::Unreachable | Reason::TlsRefused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn key(kind: BackendKind) -> Key {
        let mailbox = MailboxKey { provider: "p".to_owned(), mailbox: "a@x.example".to_owned() };
        ("a".to_owned(), mailbox, kind)
    }

    #[test]
    fn a_refusal_is_remembered_for_a_while_and_told_once() {
        let standing = Standing::default();
        let off = Failure::new(Reason::SmtpAuthDisabled, "535 5.7.139");
        assert_eq!(standing.refuse(key(BackendKind::Smtp), off.clone(), at(0)), Some(at(3_600)));
        assert_eq!(standing.refuse(key(BackendKind::Smtp), off.clone(), at(10)), None, "told before");
        assert!(standing.trouble(&key(BackendKind::Smtp), at(3_609)).unwrap().contains("535 5.7.139"));
        assert_eq!(standing.trouble(&key(BackendKind::Smtp), at(3_610)), None, "worth another try");
        assert_eq!(standing.trouble(&key(BackendKind::Graph), at(20)), None, "only that way");
        assert!(standing.refuse(key(BackendKind::Smtp), off, at(4_000)).is_some(), "told anew after a while");
        standing.clear(&key(BackendKind::Smtp));
        assert_eq!(standing.trouble(&key(BackendKind::Smtp), at(4_000)), None);
        let throttled = Failure::new(Reason::Throttled, "429").retry_after(Some(Duration::from_secs(7)));
        assert_eq!(standing.refuse(key(BackendKind::Graph), throttled, at(0)), Some(at(7)), "as long as was asked for");
    }

    #[test]
    fn the_lack_of_a_token_leads_to_a_way_that_needs_none() {
        for reason in [Reason::SignInNeeded, Reason::TokenUnavailable, Reason::ConfigurationRejected] {
            let attempt = Attempt::uniform(None, 1, Failure::new(reason, "").into());
            assert!(matches!(word(&attempt, true), Word::Refused(_)), "{reason:?}");
            assert!(matches!(word(&attempt, false), Word::Final), "{reason:?}");
        }
    }

    #[test]
    fn only_what_is_about_the_way_leads_to_another() {
        let outcome = |reason| Outcome::from(Failure::new(reason, ""));
        let taken = || Outcome::Relayed(crate::mail::Receipt { diagnostic: String::new(), knows_wishes: false });
        let attempt = |outcomes| Attempt { backend: None, outcomes, notes: Vec::new() };
        let off = || outcome(Reason::SmtpAuthDisabled);
        assert!(matches!(word(&attempt(vec![off(), off()]), false), Word::Refused(_)));
        assert!(matches!(word(&attempt(vec![outcome(Reason::MessageTooLarge)]), false), Word::TooNarrow));
        for outcomes in [
            vec![taken()],
            vec![off(), taken()],
            vec![taken(), off()],
            vec![off(), outcome(Reason::RecipientRefused)],
            vec![outcome(Reason::AnswerLost)],
            vec![outcome(Reason::RecipientRefused)],
            vec![outcome(Reason::SignInNeeded)],
            vec![],
        ] {
            assert!(matches!(word(&attempt(outcomes.clone()), false), Word::Final), "{outcomes:?}");
        }
    }
}
