//! Renewal in the background: tokens in use are new before they end, idle refresh tokens are kept alive, and a grant
//! that could not be written is written as soon as the disk lets us.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::TokenManager;
use super::manager::Entry;
use crate::clock::Timestamp;

/// The wall clock may jump (sleep, correction): nobody waits longer than this without looking at it.
const LONGEST_NAP: Duration = Duration::from_secs(60);
/// How soon to look again after somebody else whom it makes no sense to wait for.
const SHORT_NAP: Duration = Duration::from_secs(1);
/// Renewals at once: after a long stop all accounts are due, and providers dislike a rush.
const AT_ONCE: usize = 4;

impl TokenManager {
    /// Renews what is due until `stop`; then waits until what was asked for is stored.
    pub async fn renew_in_background(self, stop: CancellationToken) {
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        loop {
            let now = self.inner.clock.now();
            let mut next = now.plus(LONGEST_NAP);
            for entry in self.entries() {
                self.save_unsaved(&entry).await;
                self.warn(&entry, now);
                if let Some(due) = self.renew_if_due(&entry, now, &permits) {
                    next = next.min(due);
                }
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.inner.changed.notified() => {}
                () = tokio::time::sleep(next.since(self.inner.clock.now())) => {}
            }
        }
        for entry in self.entries() {
            drop(entry.flight().await);
        }
    }

    /// Begins a renewal that is due. Gives the time to look again.
    fn renew_if_due(&self, entry: &Arc<Entry>, now: Timestamp, permits: &Arc<Semaphore>) -> Option<Timestamp> {
        let (due, _) = entry.state().next_renewal()?;
        if due > now {
            return Some(due);
        }
        let (Some(flight), Ok(permit)) = (entry.try_flight(), Arc::clone(permits).try_acquire_owned()) else {
            return Some(now.plus(SHORT_NAP));
        };
        // The flight before may have brought what was due.
        let (due, job) = entry.state().next_renewal()?;
        if due > now {
            return Some(due);
        }
        let (manager, entry) = (self.clone(), Arc::clone(entry));
        tokio::spawn(async move {
            manager.renew_apart(&entry, job, flight).await;
            drop(permit);
        });
        None
    }

    async fn save_unsaved(&self, entry: &Entry) {
        let Some(_flight) = entry.try_flight() else { return };
        let unsaved = entry.state().unsaved();
        if let Some((generation, registration, grant)) = unsaved {
            self.save(entry, generation, &registration, &grant).await;
        }
    }
}
