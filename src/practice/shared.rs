//! What the parts of a running tenant have in common.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::bounces;
use super::codes::Codes;
use super::directory::Directory;
use super::gmail::Pending;
use super::items::Items;
use super::ledger::{Access, Bad, Ledger, random_text};
use super::post_office::{Incoming, Place, PostOffice};
use super::switches::Switches;
use crate::clock::{Clock, Timestamp};

/// What the parts of a running tenant have in common.
pub(super) struct Shared {
    /// Scheme, host and port of the HTTP side, without a slash at the end.
    pub(super) origin: String,
    pub(super) directory: Directory,
    pub(super) clock: Clock,
    pub(super) switches: Switches,
    pub(super) office: PostOffice,
    pub(super) stopping: CancellationToken,
    /// Graph requests by client id and mailbox.
    pub(super) graph_gate: Gate<(String, String)>,
    /// SMTP sessions by mailbox.
    pub(super) smtp_gate: Gate<String>,
    ledger: Mutex<Ledger>,
    items: Mutex<Items>,
    uploads: Mutex<HashMap<String, Pending>>,
    codes: Mutex<Codes>,
    sent: Mutex<HashMap<String, VecDeque<Timestamp>>>,
}

impl Shared {
    pub(super) fn new(directory: Directory, clock: Clock, origin: String) -> Self {
        Self {
            origin,
            directory,
            clock,
            switches: Switches::default(),
            office: PostOffice::new(),
            stopping: CancellationToken::new(),
            graph_gate: Gate::default(),
            smtp_gate: Gate::default(),
            ledger: Mutex::default(),
            items: Mutex::default(),
            uploads: Mutex::default(),
            codes: Mutex::default(),
            sent: Mutex::default(),
        }
    }

    /// The ledger, for as long as the guard lives: never across an await.
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drafts and Sent Items, for as long as the guard lives: never across an await.
    pub(super) fn items(&self) -> MutexGuard<'_, Items> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uploads of the Gmail API by id, for as long as the guard lives: never across an await.
    pub(super) fn uploads(&self) -> MutexGuard<'_, HashMap<String, Pending>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The device codes, for as long as the guard lives: never across an await.
    pub(super) fn codes(&self) -> MutexGuard<'_, Codes> {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a message; of those recipients who are nobody a report comes back after a while. Gives its number.
    pub(super) fn take(&self, incoming: Incoming) -> u64 {
        let now = self.clock.now();
        let nobody: Vec<&String> = incoming.recipients.iter().filter(|to| bounces::is_nobody(to)).collect();
        // Mail with `<>` asks for no report.
        let sender = incoming.reverse_path.as_deref().unwrap_or(&incoming.mailbox);
        if !nobody.is_empty() && !sender.is_empty() {
            let at = now.plus(self.switches.knobs().bounce_delay);
            let id = random_text(20);
            let report = bounces::report(&incoming.raw, &incoming.mailbox, &nobody, (&id, at));
            self.items().put_into_inbox(sender, bounces::REPORT_CLASS, report, at);
        }
        self.office.take(incoming, now)
    }

    /// What an access token may do now.
    pub(super) fn access(&self, token: &str) -> Result<Access, Bad> {
        self.ledger().access(token, self.clock.now())
    }

    /// Notes what a client did wrong.
    pub(super) fn note(&self, place: Place, what: impl Into<String>) {
        self.office.note(self.clock.now(), place, what);
    }

    /// Waits; shorter if the tenant stops.
    pub(super) async fn pause(&self, duration: Duration) {
        if !duration.is_zero() {
            let _ = self.stopping.run_until_cancelled(tokio::time::sleep(duration)).await;
        }
    }

    /// Counts a message of a mailbox and says how many it sent within the last minute, this one included.
    pub(super) fn sent_within_a_minute(&self, mailbox: &str) -> usize {
        let now = self.clock.now();
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let times = sent.entry(mailbox.to_ascii_lowercase()).or_default();
        times.retain(|at| now.since(*at) < Duration::from_secs(60));
        times.push_back(now);
        times.len()
    }
}

/// Counts who is inside, by key.
pub(super) struct Gate<K: Eq + Hash>(Arc<Mutex<HashMap<K, usize>>>);

impl<K: Eq + Hash> Default for Gate<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash + Clone> Gate<K> {
    /// Goes in, unless `limit` are inside already; a limit of 0 is none.
    pub(super) fn enter(&self, key: K, limit: usize) -> Option<Pass<K>> {
        let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = inside.entry(key.clone()).or_default();
        if limit != 0 && *count >= limit {
            return None;
        }
        *count += 1;
        Some(Pass { gate: Arc::clone(&self.0), key })
    }
}

/// The right to be inside; dropping it goes out.
pub(super) struct Pass<K: Eq + Hash> {
    gate: Arc<Mutex<HashMap<K, usize>>>,
    key: K,
}

impl<K: Eq + Hash> Drop for Pass<K> {
    fn drop(&mut self) {
        let mut inside = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = inside.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                inside.remove(&self.key);
            }
        }
    }
}
