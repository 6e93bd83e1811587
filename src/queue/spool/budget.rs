//! One budget for all content in memory, and the content that was accepted a moment ago.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::mail::QueueId;

/// Octets of content that may be in memory, all sessions together.
#[derive(Debug)]
pub(in crate::queue) struct Budget {
    limit: usize,
    used: AtomicUsize,
}

impl Budget {
    pub(in crate::queue) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0) })
    }

    fn take(&self, octets: usize) -> bool {
        let fits = |used: usize| used.checked_add(octets).filter(|used| *used <= self.limit);
        self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).is_ok()
    }

    #[cfg(test)]
    pub(in crate::queue) fn used(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }
}

/// A share of the budget; given back when dropped.
#[derive(Debug)]
pub(super) struct Charge {
    budget: Arc<Budget>,
    octets: usize,
}

impl Charge {
    pub(super) fn none(budget: &Arc<Budget>) -> Self {
        Self { budget: Arc::clone(budget), octets: 0 }
    }

    /// Makes the share `octets` large, if there is room.
    pub(super) fn grow_to(&mut self, octets: usize) -> bool {
        let grown = octets <= self.octets || self.budget.take(octets - self.octets);
        if grown {
            self.octets = self.octets.max(octets);
        }
        grown
    }

    /// Gives back what is above `octets`.
    pub(super) fn shrink_to(&mut self, octets: usize) {
        let surplus = self.octets.saturating_sub(octets);
        self.octets -= surplus;
        self.budget.used.fetch_sub(surplus, Ordering::AcqRel);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

/// Content that was accepted a moment ago, so that its first attempt need not read it back. It takes half of the
/// budget at most; what does not fit is read from the database.
#[derive(Debug)]
pub(in crate::queue) struct Recent {
    limit: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    octets: usize,
    bodies: HashMap<QueueId, (Arc<[u8]>, Charge)>,
}

impl Recent {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, kept: Mutex::default() }
    }

    pub(super) fn keep(&self, id: QueueId, octets: Arc<[u8]>, charge: Charge) {
        let mut kept = self.lock();
        if kept.octets + octets.len() <= self.limit {
            kept.octets += octets.len();
            kept.bodies.insert(id, (octets, charge));
        }
    }

    pub(in crate::queue) fn get(&self, id: QueueId) -> Option<Arc<[u8]>> {
        self.lock().bodies.get(&id).map(|(octets, _)| Arc::clone(octets))
    }

    pub(in crate::queue) fn forget(&self, id: QueueId) {
        let mut kept = self.lock();
        if let Some((octets, _)) = kept.bodies.remove(&id) {
            kept.octets -= octets.len();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
