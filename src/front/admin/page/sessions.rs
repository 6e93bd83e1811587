//! Who is signed in to the page: sessions by their cookie, and one-time links that begin one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::Url;

use crate::account::PasswordHash;
use crate::clock::{Clock, Timestamp};
use crate::secret::Secret;

/// A session that nobody uses ends.
const IDLE: Duration = Duration::from_secs(8 * 3600);
/// A session ends, used or not.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);
/// A one-time link that nobody uses ends.
const LINK: Duration = Duration::from_secs(24 * 3600);
/// Sessions and links at once; beyond it the oldest goes.
const MOST: usize = 100;

/// What a secret of a browser is filed under: the secret itself is not kept.
pub(super) type Filed = [u8; 32];

/// Files a secret, or anything else.
pub(super) fn filed(text: &str) -> Filed {
    let mut octets = [0; 32];
    octets.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    octets
}

/// 256 random bits as 43 characters.
pub(super) fn random() -> Option<String> {
    let mut octets = [0; 32];
    aws_lc_rs::rand::fill(&mut octets).ok()?;
    Some(URL_SAFE_NO_PAD.encode(octets))
}

/// What the page has to say after something was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Flash {
    /// Whether it went well.
    pub(super) good: bool,
    pub(super) text: String,
    pub(super) hint: Option<String>,
}

impl Flash {
    pub(super) fn good(text: impl Into<String>) -> Self {
        Self { good: true, text: text.into(), hint: None }
    }

    pub(super) fn bad(text: impl Into<String>, hint: Option<String>) -> Self {
        Self { good: false, text: text.into(), hint }
    }
}

/// A session, as a request sees it.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) filed: Filed,
    /// What every form of the session carries.
    pub(super) csrf: Arc<Secret>,
}

struct Kept {
    csrf: Arc<Secret>,
    began: Timestamp,
    seen: Timestamp,
    /// The password that was set when it began: with another one it is over.
    password: Filed,
    flash: Option<Flash>,
}

/// All sessions.
pub(super) struct Sessions {
    clock: Clock,
    kept: Mutex<HashMap<Filed, Kept>>,
}

impl Sessions {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, kept: Mutex::default() }
    }

    /// Begins a session under a fresh name, whatever the browser brought along. Returns what its cookie holds.
    pub(super) fn begin(&self, password: Option<&PasswordHash>) -> Option<Secret> {
        let (name, csrf) = (random()?, random()?);
        let now = self.clock.now();
        let kept = Kept {
            csrf: Arc::new(Secret::new(csrf)),
            began: now,
            seen: now,
            password: password_filed(password),
            flash: None,
        };
        let mut all = self.all();
        all.retain(|_, kept| is_alive(kept, now));
        if all.len() >= MOST
            && let Some(oldest) = all.iter().min_by_key(|(_, kept)| kept.seen).map(|(filed, _)| *filed)
        {
            all.remove(&oldest);
        }
        all.insert(filed(&name), kept);
        Some(Secret::new(name))
    }

    /// The session of a cookie, if it is alive. `used`: somebody did something, so it is not idle.
    pub(super) fn find(&self, cookie: &str, password: Option<&PasswordHash>, used: bool) -> Option<Session> {
        let (now, filed) = (self.clock.now(), filed(cookie));
        let mut all = self.all();
        let kept = all.get_mut(&filed)?;
        if !is_alive(kept, now) || kept.password != password_filed(password) {
            all.remove(&filed);
            return None;
        }
        if used {
            kept.seen = now;
        }
        Some(Session { filed, csrf: Arc::clone(&kept.csrf) })
    }

    pub(super) fn end(&self, session: &Filed) {
        self.all().remove(session);
    }

    /// Leaves a word for the next page of the session.
    pub(super) fn leave(&self, session: &Filed, flash: Flash) {
        if let Some(kept) = self.all().get_mut(session) {
            kept.flash = Some(flash);
        }
    }

    /// Takes what was left.
    pub(super) fn take(&self, session: &Filed) -> Option<Flash> {
        self.all().get_mut(session)?.flash.take()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Filed, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_alive(kept: &Kept, now: Timestamp) -> bool {
    now.since(kept.seen) < IDLE && now.since(kept.began) < LONGEST
}

fn password_filed(password: Option<&PasswordHash>) -> Filed {
    filed(password.map_or("", |hash| hash.0.expose()))
}

/// One-time links to the page. Clones share them.
#[derive(Clone)]
pub struct Links {
    clock: Clock,
    kept: Arc<Mutex<LinksKept>>,
}

#[derive(Default)]
struct LinksKept {
    page: Option<Url>,
    open: HashMap<Filed, Timestamp>,
}

impl Links {
    /// No links, and no page yet that they could lead to.
    pub fn new(clock: Clock) -> Self {
        Self { clock, kept: Arc::default() }
    }

    /// Takes note of where the page is.
    pub fn lead_to(&self, page: Url) {
        self.kept().page = Some(page);
    }

    /// Where the page is, if there is one.
    pub fn page(&self) -> Option<Url> {
        self.kept().page.clone()
    }

    /// A fresh link, good once within a day; `None`: there is no page.
    pub fn make(&self) -> Option<Url> {
        let (now, key) = (self.clock.now(), random()?);
        let mut kept = self.kept();
        let mut link = kept.page.clone()?.join("enter").ok()?;
        link.query_pairs_mut().append_pair("key", &key);
        kept.open.retain(|_, until| now < *until);
        if kept.open.len() >= MOST {
            kept.open.clear();
        }
        kept.open.insert(filed(&key), now.plus(LINK));
        Some(link)
    }

    /// Uses a key up.
    pub(super) fn redeem(&self, key: &str) -> bool {
        let now = self.clock.now();
        self.kept().open.remove(&filed(key)).is_some_and(|until| now < until)
    }

    fn kept(&self) -> MutexGuard<'_, LinksKept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions() -> (Clock, Sessions) {
        let clock = Clock::manual(Timestamp::from_millis(0));
        (clock.clone(), Sessions::new(clock))
    }

    #[test]
    fn a_session_ends_when_it_is_not_used_when_it_is_old_and_when_the_password_changes() {
        let (clock, sessions) = sessions();
        let cookie = sessions.begin(None).unwrap();
        assert!(sessions.find(cookie.expose(), None, true).is_some());
        for _ in 0..30 {
            clock.advance(IDLE - Duration::from_secs(1));
            if sessions.find(cookie.expose(), None, true).is_none() {
                break;
            }
        }
        assert!(clock.now().since(Timestamp::from_millis(0)) >= LONGEST, "it ended while it was in use");
        assert!(sessions.find(cookie.expose(), None, true).is_none(), "it is a week old");

        let cookie = sessions.begin(None).unwrap();
        clock.advance(IDLE);
        assert!(sessions.find(cookie.expose(), None, true).is_none(), "nobody used it");

        let cookie = sessions.begin(None).unwrap();
        clock.advance(IDLE - Duration::from_secs(1));
        assert!(sessions.find(cookie.expose(), None, false).is_some());
        clock.advance(Duration::from_secs(1));
        assert!(sessions.find(cookie.expose(), None, true).is_none(), "only a page that looks again by itself did");

        let cookie = sessions.begin(None).unwrap();
        let password = PasswordHash(Secret::new("$argon2id$other"));
        assert!(sessions.find(cookie.expose(), Some(&password), true).is_none(), "a password was set since");
    }

    #[test]
    fn a_session_is_found_by_its_whole_cookie_alone() {
        let (_, sessions) = sessions();
        let cookie = sessions.begin(None).unwrap();
        for other in ["", &cookie.expose()[1..], "x"] {
            assert!(sessions.find(other, None, true).is_none(), "{other}");
        }
        let session = sessions.find(cookie.expose(), None, true).unwrap();
        assert!(!session.csrf.same_as(cookie.expose()), "the form's token must not be the cookie");
        sessions.end(&session.filed);
        assert!(sessions.find(cookie.expose(), None, true).is_none());
    }

    #[test]
    fn the_oldest_of_too_many_sessions_goes() {
        let (clock, sessions) = sessions();
        let first = sessions.begin(None).unwrap();
        for _ in 0..MOST {
            clock.advance(Duration::from_millis(1));
            sessions.begin(None).unwrap();
        }
        assert!(sessions.find(first.expose(), None, true).is_none());
        assert_eq!(sessions.all().len(), MOST);
    }

    #[test]
    fn a_link_is_good_once_within_a_day() {
        let clock = Clock::manual(Timestamp::from_millis(0));
        let links = Links::new(clock.clone());
        assert_eq!(links.make(), None, "there is no page");
        links.lead_to("http://localhost:8025/".parse().unwrap());
        let key = |link: Url| link.query_pairs().next().unwrap().1.into_owned();
        let link = links.make().unwrap();
        assert!(link.as_str().starts_with("http://localhost:8025/enter?key="));
        let key_of_link = key(link);
        assert!(links.redeem(&key_of_link));
        assert!(!links.redeem(&key_of_link), "twice");
        let old = key(links.make().unwrap());
        clock.advance(LINK);
        assert!(!links.redeem(&old), "a day later");
    }
}
