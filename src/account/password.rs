//! Local passwords: argon2id hashes, checked without letting a guesser use up the machine.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc};
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::{hmac, rand};
use tokio::sync::Semaphore;

use super::{Client, Clients};
use crate::clock::{Clock, Timestamp};
use crate::secret::Secret;

/// How long a checked password is remembered.
const REMEMBER: Duration = Duration::from_secs(600);
/// Checks that may wait for the one that runs; one takes 19 MiB and some 25 ms.
const LINE: usize = 32;
/// Wrong passwords for one login from one address within [`WINDOW`].
const MAX_FAILURES: u32 = 20;
/// See [`MAX_FAILURES`].
const WINDOW: Duration = Duration::from_secs(60);
/// Entries kept of each kind; beyond it the stale ones go first, then all.
const MAX_ENTRIES: usize = 10_000;

/// A local login as the client gave it.
#[derive(Clone, Debug)]
pub struct Login {
    /// Where it comes from.
    pub peer: IpAddr,
    /// The name.
    pub name: String,
    /// The password.
    pub password: Secret,
}

/// What became of a local login.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// This client.
    Accepted(Arc<Client>),
    /// No such login, or another password: the same answer after the same time.
    Refused,
    /// Too many checks or failures at the moment; the client may try again.
    Busy,
}

/// Makes the argon2id hash (PHC text) of a password, with the parameters that OWASP names (19 MiB, 2 passes).
pub fn hash(password: &Secret) -> Result<String, HashError> {
    let hash = hasher().hash_password(password.expose().as_bytes()).map_err(|_| HashError)?;
    Ok(hash.to_string())
}

/// Whether a text is an argon2id hash in PHC form that can be checked here.
pub fn is_hash(text: &str) -> bool {
    phc::PasswordHash::new(text).is_ok_and(|hash| hash.algorithm.as_str() == "argon2id" && hash.hash.is_some())
}

/// The password could not be hashed.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the password could not be hashed")]
pub struct HashError;

fn hasher() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::default())
}

/// Checks local logins. One per gateway, shared by its listeners; a reload makes a new one and so forgets.
pub struct Passwords {
    clock: Clock,
    /// One check runs at a time.
    running: Semaphore,
    /// Checks that run or wait.
    line: Semaphore,
    key: hmac::Key,
    /// What an unknown name is checked against, so that it takes as long as a known one.
    decoy: String,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    /// HMAC of login and password, and until when it is good.
    good: HashMap<[u8; 32], Timestamp>,
    /// Failures by address and login (`None`: no such login) since a moment.
    failures: HashMap<(IpAddr, Option<String>), (u32, Timestamp)>,
}

impl Passwords {
    /// A checker that remembers nothing yet.
    pub fn new(clock: Clock) -> Result<Self, HashError> {
        let random = rand::SystemRandom::new();
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &random).map_err(|_| HashError)?;
        let decoy = hash(&Secret::new("no client has this password"))?;
        let running = Semaphore::new(1);
        Ok(Self { clock, running, line: Semaphore::new(LINE), key, decoy, memory: Mutex::default() })
    }

    /// Checks a login. A wrong or unknown one costs the same as a right one that is not remembered.
    pub async fn check(&self, clients: &Clients, login: &Login) -> Verdict {
        let client = clients.by_login(&login.name);
        let bucket = (login.peer, client.map(|_| login.name.clone()));
        if self.too_many_failures(&bucket) {
            return Verdict::Busy;
        }
        let tag = self.tag(login);
        if let Some(client) = client.filter(|_| self.remembers(&tag)) {
            return Verdict::Accepted(Arc::clone(client));
        }
        let hash = client.and_then(|c| c.login.as_ref()).map_or(self.decoy.as_str(), |(_, hash)| hash.0.expose());
        let Some(right) = self.verify(hash.to_owned(), login.password.clone(), &tag).await else {
            return Verdict::Busy;
        };
        match client {
            Some(client) if right => {
                self.remember(tag);
                Verdict::Accepted(Arc::clone(client))
            }
            _ => {
                self.note_failure(bucket);
                Verdict::Refused
            }
        }
    }

    /// `None` when the line is full or the check could not run.
    async fn verify(&self, hash: String, password: Secret, tag: &[u8; 32]) -> Option<bool> {
        let _place = self.line.try_acquire().ok()?;
        let _turn = self.running.acquire().await.ok()?;
        if self.remembers(tag) {
            // Somebody ahead in the line had the same login: thirty printers that wake up together cost one check.
            return Some(true);
        }
        let check = move || {
            let parsed = phc::PasswordHash::new(&hash).ok()?;
            Some(hasher().verify_password(password.expose().as_bytes(), &parsed).is_ok())
        };
        tokio::task::spawn_blocking(check).await.ok().flatten()
    }

    /// Login and password under a key that lives as long as this checker. The length keeps `a`+`bc` from being `ab`+`c`.
    fn tag(&self, login: &Login) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&(login.name.len() as u64).to_be_bytes());
        context.update(login.name.as_bytes());
        context.update(login.password.expose().as_bytes());
        let mut octets = [0; 32];
        octets.copy_from_slice(context.sign().as_ref());
        octets
    }

    fn remembers(&self, tag: &[u8; 32]) -> bool {
        let now = self.clock.now();
        self.memory().good.get(tag).is_some_and(|until| now < *until)
    }

    fn remember(&self, tag: [u8; 32]) {
        let now = self.clock.now();
        let mut memory = self.memory();
        make_room(&mut memory.good, |until| now < *until);
        memory.good.insert(tag, now.plus(REMEMBER));
    }

    fn too_many_failures(&self, bucket: &(IpAddr, Option<String>)) -> bool {
        let now = self.clock.now();
        let memory = self.memory();
        memory.failures.get(bucket).is_some_and(|(count, since)| *count >= MAX_FAILURES && now.since(*since) < WINDOW)
    }

    fn note_failure(&self, bucket: (IpAddr, Option<String>)) {
        let now = self.clock.now();
        let mut memory = self.memory();
        make_room(&mut memory.failures, |(_, since)| now.since(*since) < WINDOW);
        let entry = memory.failures.entry(bucket).or_insert((0, now));
        if now.since(entry.1) >= WINDOW {
            *entry = (0, now);
        }
        entry.0 += 1;
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a map from growing without end: drops what is stale, and everything if that is not enough.
fn make_room<K: std::hash::Hash + Eq, V>(map: &mut HashMap<K, V>, fresh: impl Fn(&V) -> bool) {
    if map.len() >= MAX_ENTRIES {
        map.retain(|_, value| fresh(value));
    }
    if map.len() >= MAX_ENTRIES {
        map.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::tests::client_with_login;

    fn login(peer: &str, name: &str, password: &str) -> Login {
        Login { peer: peer.parse().unwrap(), name: name.to_owned(), password: Secret::new(password) }
    }

    fn setup() -> (Clock, Clients, Passwords) {
        let clock = Clock::manual(Timestamp::from_millis(0));
        let clients = Clients::new(vec![client_with_login("scanner", &hash(&Secret::new("right")).unwrap())]);
        (clock.clone(), clients, Passwords::new(clock).unwrap())
    }

    #[tokio::test]
    async fn the_right_password_comes_in_and_a_wrong_or_unknown_one_does_not() {
        let (_, clients, passwords) = setup();
        assert!(matches!(
            passwords.check(&clients, &login("192.0.2.1", "scanner", "right")).await,
            Verdict::Accepted(_)
        ));
        assert!(matches!(
            passwords.check(&clients, &login("192.0.2.1", "scanner", "right")).await,
            Verdict::Accepted(_)
        ));
        for (name, password) in [("scanner", "wrong"), ("nobody", "right"), ("", ""), ("scannerr", "ight")] {
            assert!(matches!(passwords.check(&clients, &login("192.0.2.1", name, password)).await, Verdict::Refused));
        }
    }

    #[tokio::test]
    async fn guessing_is_slowed_for_its_address_and_name_alone() {
        let (clock, clients, passwords) = setup();
        for _ in 0..MAX_FAILURES {
            passwords.note_failure(("192.0.2.1".parse().unwrap(), Some("scanner".to_owned())));
        }
        assert!(matches!(passwords.check(&clients, &login("192.0.2.1", "scanner", "right")).await, Verdict::Busy));
        assert!(matches!(
            passwords.check(&clients, &login("192.0.2.2", "scanner", "right")).await,
            Verdict::Accepted(_)
        ));
        assert!(matches!(passwords.check(&clients, &login("192.0.2.1", "other", "x")).await, Verdict::Refused));
        clock.advance(WINDOW);
        assert!(matches!(
            passwords.check(&clients, &login("192.0.2.1", "scanner", "right")).await,
            Verdict::Accepted(_)
        ));
    }

    #[tokio::test]
    async fn a_full_line_says_busy_instead_of_waiting() {
        let (_, clients, passwords) = setup();
        let _all = passwords.line.acquire_many(LINE as u32).await.unwrap();
        assert!(matches!(passwords.check(&clients, &login("192.0.2.1", "scanner", "right")).await, Verdict::Busy));
    }

    #[test]
    fn only_argon2id_in_phc_form_is_a_hash() {
        assert!(is_hash(&hash(&Secret::new("x")).unwrap()));
        for text in ["", "plain", "$2b$12$abcdefghijklmnopqrstuv", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ"] {
            assert!(!is_hash(text), "{text}");
        }
    }
}
