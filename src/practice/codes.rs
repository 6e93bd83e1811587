//! Device codes (RFC 8628) that were given out. A value without I/O.

use std::collections::HashMap;
use std::time::Duration;

use rand::Rng;

use super::ledger::random_text;
use super::scope::Scope;
use crate::clock::Timestamp;

/// How long a code can be typed (Microsoft's default).
const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// What asking too often adds (RFC 8628 section 3.5).
const SLOWER: Duration = Duration::from_secs(5);
/// Letters that people do not mix up, and no vowels that make words.
const LETTERS: &[u8] = b"BCDFGHJKLMNPQRSTVWXZ";

/// A code that waits for somebody.
pub(super) struct Code {
    pub(super) client_id: String,
    pub(super) scopes: Vec<Scope>,
    user_code: String,
    expires: Timestamp,
    interval: Duration,
    asked: Option<Timestamp>,
    answer: Answer,
}

#[derive(Clone)]
enum Answer {
    Nobody,
    Agreed(String),
    Declined,
}

/// What the app is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    Pending,
    TooFast,
    Declined,
    Expired,
    Unknown,
    /// By whom.
    Agreed(String),
}

/// All codes, by what the app holds.
#[derive(Default)]
pub(super) struct Codes(HashMap<String, Code>);

impl Codes {
    /// A new pair: what the app holds, and what somebody types.
    pub(super) fn issue(
        &mut self,
        client_id: &str,
        scopes: Vec<Scope>,
        interval: Duration,
        now: Timestamp,
    ) -> (String, String) {
        let letter = |_| char::from(LETTERS[rand::rng().random_range(0..LETTERS.len())]);
        let user_code: String = (0..9).map(letter).collect();
        let code = random_text(300);
        let kept = Code {
            client_id: client_id.to_owned(),
            scopes,
            user_code: user_code.clone(),
            expires: now.plus(LIFETIME),
            interval,
            asked: None,
            answer: Answer::Nobody,
        };
        self.0.insert(code.clone(), kept);
        (code, user_code)
    }

    /// Somebody typed a code: who agrees, or nobody who declines. Gives whether the code waits for that.
    pub(super) fn answer(&mut self, user_code: &str, who: Option<&str>, now: Timestamp) -> bool {
        let typed = user_code.trim().to_ascii_uppercase();
        let waiting = self.0.values_mut().find(|code| code.user_code == typed && now < code.expires);
        let Some(code) = waiting.filter(|code| matches!(code.answer, Answer::Nobody)) else { return false };
        code.answer = who.map_or(Answer::Declined, |who| Answer::Agreed(who.to_owned()));
        true
    }

    /// The app asks. A code that somebody agreed to is good once.
    pub(super) fn ask(&mut self, code: &str, client_id: &str, now: Timestamp) -> (Told, Vec<Scope>) {
        let Some(kept) = self.0.get_mut(code).filter(|kept| kept.client_id == client_id) else {
            return (Told::Unknown, Vec::new());
        };
        if now >= kept.expires {
            return (Told::Expired, Vec::new());
        }
        let too_fast = kept.asked.is_some_and(|last| now.since(last) < kept.interval);
        kept.asked = Some(now);
        if too_fast {
            kept.interval += SLOWER;
            return (Told::TooFast, Vec::new());
        }
        match kept.answer.clone() {
            Answer::Nobody => (Told::Pending, Vec::new()),
            Answer::Declined => (Told::Declined, Vec::new()),
            Answer::Agreed(who) => {
                let scopes = self.0.remove(code).map(|kept| kept.scopes).unwrap_or_default();
                (Told::Agreed(who), scopes)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_too_often_is_told_to_slow_down_and_a_code_is_good_once() {
        let (mut codes, start) = (Codes::default(), Timestamp::from_millis(0));
        let at = |seconds: u64| start.plus(Duration::from_secs(seconds));
        let (code, user_code) = codes.issue("app", Vec::new(), Duration::from_secs(5), start);
        let told = |codes: &mut Codes, seconds| codes.ask(&code, "app", at(seconds)).0;
        assert_eq!(told(&mut codes, 5), Told::Pending);
        assert_eq!(told(&mut codes, 7), Told::TooFast);
        assert_eq!(told(&mut codes, 16), Told::TooFast, "five seconds more");
        assert_eq!(told(&mut codes, 40), Told::Pending);
        assert!(!codes.answer("WRONG", Some("a@b"), at(41)));
        assert!(codes.answer(&format!(" {} ", user_code.to_lowercase()), Some("a@b"), at(41)), "as people type it");
        assert_eq!(told(&mut codes, 60), Told::Agreed("a@b".into()));
        assert_eq!(told(&mut codes, 80), Told::Unknown, "used");
        let (code, user_code) = codes.issue("app", Vec::new(), Duration::ZERO, start);
        assert_eq!(codes.ask(&code, "other", at(1)).0, Told::Unknown, "of another app");
        assert!(codes.answer(&user_code, None, at(1)));
        assert_eq!(codes.ask(&code, "app", at(2)).0, Told::Declined);
        assert_eq!(codes.ask(&code, "app", at(900)).0, Told::Expired);
    }
}
