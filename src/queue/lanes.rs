//! The mailboxes that have mail: who works on them is told of each once, and woken when there is something to do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::MailboxKey;

/// One mailbox.
#[derive(Default)]
pub(super) struct Lane {
    /// Its row; not known before its first message.
    pub(super) row: OnceLock<i64>,
    pub(super) wake: Notify,
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
