//! The mailboxes that have mail: who works on them is told of each once, and woken when there is something to do.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::fair::Fair;
use super::{Lease, MailboxKey};

/// Room for one attempt that a worker has ready: the next message of the mailbox is leased in the transaction that
/// accepts it, and carried out by this. Dropping it gives the room back.
pub struct Standby(Box<dyn FnOnce(Lease) + Send>);

impl Standby {
    /// `carry_out` must not block; it is called once the acceptance is durable.
    pub fn new(carry_out: impl FnOnce(Lease) + Send + 'static) -> Self {
        Self(Box::new(carry_out))
    }

    pub(super) fn carry_out(self, lease: Lease) {
        (self.0)(lease);
    }
}

/// One mailbox.
#[derive(Default)]
pub(super) struct Lane {
    /// Its row; not known before its first message.
    pub(super) row: OnceLock<i64>,
    pub(super) wake: Notify,
    /// Whose message goes next.
    pub(super) fair: Mutex<Fair>,
    standbys: Mutex<Vec<Standby>>,
    /// How often somebody wanted a message of it tried now.
    insisted: AtomicU64,
}

impl Lane {
    pub(super) fn stand_by(&self, standby: Standby) {
        self.standbys().push(standby);
    }

    pub(super) fn standby(&self) -> Option<Standby> {
        self.standbys().pop()
    }

    pub(super) fn withdraw(&self) {
        // Dropped outside the lock: what a standby holds may have ideas of its own about being given back.
        let standbys = std::mem::take(&mut *self.standbys());
        drop(standbys);
    }

    /// Somebody wants a message tried now.
    pub(super) fn insist(&self) {
        self.insisted.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn insisted(&self) -> u64 {
        self.insisted.load(Ordering::Acquire)
    }

    fn standbys(&self) -> MutexGuard<'_, Vec<Standby>> {
        self.standbys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct Lanes {
    known: Mutex<HashMap<MailboxKey, Arc<Lane>>>,
    announce: UnboundedSender<MailboxKey>,
    announced: Mutex<Option<UnboundedReceiver<MailboxKey>>>,
}

impl Lanes {
    pub(super) fn new() -> Self {
        let (announce, announced) = unbounded_channel();
        Self { known: Mutex::default(), announce, announced: Mutex::new(Some(announced)) }
    }

    pub(super) fn lane(&self, key: &MailboxKey) -> Arc<Lane> {
        let mut known = self.lock();
        if let Some(lane) = known.get(key) {
            return Arc::clone(lane);
        }
        Arc::clone(known.entry(key.clone()).or_default())
    }

    /// Notes that the mailbox has mail; the first time it is announced, each time it is woken.
    pub(super) fn has_mail(&self, key: &MailboxKey, row: i64) {
        let lane = self.lane(key);
        if lane.row.set(row).is_ok() {
            // Without a receiver nobody works on the queue, which is how a test or a command line looks into it.
            let _ = self.announce.send(key.clone());
        }
        lane.wake.notify_one();
    }

    pub(super) fn wake(&self, key: &MailboxKey) {
        self.lane(key).wake.notify_one();
    }

    /// The announcements; whoever asks second gets a channel that stays silent.
    pub(super) fn announcements(&self) -> UnboundedReceiver<MailboxKey> {
        let taken = self.announced.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.unwrap_or_else(|| unbounded_channel().1)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<MailboxKey, Arc<Lane>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
