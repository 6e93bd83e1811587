//! What an account has for a resource: an access token, or an obstacle.

use std::sync::Arc;
use std::time::Duration;

use super::causes::Kind;
use super::error::TokenError;
use super::explain::{Addressee, Refusal};
use crate::clock::Timestamp;
use crate::secret::Secret;

/// Waits between attempts while a trouble lasts that passes by itself.
const BACK_OFF: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(15), Duration::from_secs(60)];
/// How long an error of the settings is remembered: somebody may mend it at the provider without telling us.
const SETUP_MEMORY: Duration = Duration::from_secs(60);
/// `Retry-After: 0` is no leave to ask without end.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);

/// An access token, ready for use.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// What is sent to the provider.
    pub secret: Secret,
    /// When it stops being good.
    pub expires: Timestamp,
    /// Which issue it is: another number is another token.
    pub generation: u64,
    /// What it was granted, with blanks between; what was asked for if the provider did not say.
    pub scope: Arc<str>,
}

/// A token as it is kept.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) token: AccessToken,
    pub(super) lifetime: Duration,
    /// Whether anybody has asked for it: a token that nobody uses is not renewed.
    pub(super) used: bool,
}

impl Issued {
    /// The renewal's lead: ten minutes, or a fifth of a short life.
    pub(super) fn renewal(&self) -> Timestamp {
        self.token.expires.minus((self.lifetime / 5).min(Duration::from_secs(600)))
    }

    /// Too little life left to begin something with it.
    pub(super) fn spent(&self, now: Timestamp) -> bool {
        now >= self.token.expires.minus((self.lifetime / 10).min(Duration::from_secs(60)))
    }
}

/// Why a resource has no token, and how long it makes no sense to ask again.
#[derive(Debug)]
pub(super) struct Obstacle {
    pub(super) refusal: Refusal,
    pub(super) since: Timestamp,
    /// `None`: until the generation changes.
    pub(super) wait: Option<Duration>,
    count: usize,
}

impl Obstacle {
    /// The obstacle that a refusal is, after the one `before` it.
    pub(super) fn new(refusal: Refusal, before: Option<Self>, now: Timestamp) -> Self {
        let count = before.filter(|before| before.refusal.kind == refusal.kind).map_or(0, |before| before.count + 1);
        let wait = match refusal.kind {
            Kind::Later => {
                let wait = refusal.retry_after.unwrap_or(BACK_OFF[count.min(BACK_OFF.len() - 1)]);
                Some(wait.max(SHORTEST_WAIT))
            }
            Kind::Setup => Some(SETUP_MEMORY),
            Kind::Person | Kind::GrantLost => None,
        };
        Self { refusal, since: now, wait, count }
    }

    /// Whether it is of the same kind as the one before it.
    pub(super) fn repeated(&self) -> bool {
        self.count > 0
    }

    /// What it says to a caller; `None` once it is over.
    pub(super) fn error(&self, to: &Addressee, now: Timestamp) -> Option<TokenError> {
        let left = self.left(now)?;
        Some(match self.refusal.error(to) {
            TokenError::TryLater { why, .. } => TokenError::TryLater { why, retry_after: Some(left) },
            lasting @ (TokenError::SignInNeeded { .. }
            | TokenError::Configuration { .. }
            | TokenError::UnknownAccount(_)) => lasting,
        })
    }

    fn left(&self, now: Timestamp) -> Option<Duration> {
        let Some(wait) = self.wait else { return Some(Duration::MAX) };
        // A clock that was set back must not make the wait longer.
        (now >= self.since && now.since(self.since) < wait).then(|| wait - now.since(self.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn anybody() -> Addressee {
        Addressee { account: "a".into(), consent: None }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_wait_ends_and_does_not_grow_when_the_clock_is_set_back() {
        let refusal = Refusal::later("busy").after(Some(seconds(10)));
        let obstacle = Obstacle::new(refusal, None, NOW);
        let left = |now: Timestamp| match obstacle.error(&anybody(), now) {
            Some(TokenError::TryLater { retry_after, .. }) => retry_after,
            other => panic!("{other:?}"),
        };
        assert_eq!(left(NOW), Some(seconds(10)));
        assert_eq!(left(NOW.plus(seconds(9))), Some(seconds(1)));
        assert_eq!(obstacle.error(&anybody(), NOW.plus(seconds(10))), None);
        assert_eq!(obstacle.error(&anybody(), NOW.minus(seconds(1))), None, "set back");
    }

    #[test]
    fn waits_grow_while_the_trouble_is_the_same_and_begin_anew_with_another() {
        let later = |before| Obstacle::new(Refusal::later("busy"), before, NOW);
        let second = later(Some(later(None)));
        assert_eq!((second.wait, second.repeated()), (Some(seconds(15)), true));
        let setup = Obstacle::new(Refusal::setup("wrong", "mend it"), Some(second), NOW);
        assert_eq!((setup.wait, setup.repeated()), (Some(seconds(60)), false));
        assert_eq!(later(Some(setup)).wait, Some(seconds(5)));
        let at_once = Refusal::later("busy").after(Some(Duration::ZERO));
        assert_eq!(Obstacle::new(at_once, None, NOW).wait, Some(seconds(1)), "no leave to ask without end");
    }

    #[test]
    fn a_token_is_renewed_before_it_is_spent() {
        for (lifetime, renewal, spent) in [(3600, 3000, 3540), (10, 8, 9), (7200, 6600, 7140)] {
            let lifetime = seconds(lifetime);
            let token =
                AccessToken { secret: Secret::new("x"), expires: NOW.plus(lifetime), generation: 1, scope: "".into() };
            let issued = Issued { token, lifetime, used: true };
            assert_eq!(issued.renewal(), NOW.plus(seconds(renewal)));
            assert!(issued.spent(NOW.plus(seconds(spent))) && !issued.spent(NOW.plus(seconds(spent - 1))));
        }
    }
}
