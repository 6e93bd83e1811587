//! The disk reserve: below it no mail is accepted, so that what became of accepted mail can always be written.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Timestamp};

/// How long an answer of the system is used again.
const FRESH: Duration = Duration::from_secs(1);

/// Watches the free space of one folder.
pub(super) struct Room {
    reserve_octets: u64,
    reserve_percent: u8,
    last: Mutex<Option<(Timestamp, bool)>>,
}

impl Room {
    pub(super) fn new(reserve_octets: u64, reserve_percent: u8) -> Self {
        Self { reserve_octets, reserve_percent, last: Mutex::new(None) }
    }

    /// Whether there is more than the reserve. A system that does not answer counts as no room.
    pub(super) fn is_left(&self, folder: &Path, clock: &Clock) -> bool {
        let now = clock.now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match *last {
            Some((at, room)) if now >= at && now.since(at) < FRESH => room,
            _ => {
                let room = self.ask(folder);
                *last = Some((now, room));
                room
            }
        }
    }

    fn ask(&self, folder: &Path) -> bool {
        let Ok(space) = rustix::fs::statvfs(folder) else { return false };
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        let total = space.f_blocks.saturating_mul(space.f_frsize);
        // File systems that make inodes as needed report none at all.
        let inodes_left = space.f_files == 0 || space.f_favail > 0;
        inodes_left && free > self.reserve(total)
    }

    fn reserve(&self, total: u64) -> u64 {
        self.reserve_octets.max((total / 100).saturating_mul(u64::from(self.reserve_percent)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_reserve_counts() {
        assert_eq!(Room::new(200, 5).reserve(1_000), 200);
        assert_eq!(Room::new(200, 5).reserve(10_000), 500);
    }

    #[test]
    fn an_answer_is_asked_for_again_after_a_second() {
        let folder = tempfile::TempDir::new().unwrap();
        let clock = Clock::manual(Timestamp::from_millis(0));
        let room = Room::new(0, 0);
        assert!(room.is_left(folder.path(), &clock));
        let gone = folder.path().join("gone");
        assert!(room.is_left(&gone, &clock), "still the old answer");
        clock.advance(FRESH);
        assert!(!room.is_left(&gone, &clock));
        clock.advance(FRESH);
        assert!(!Room::new(u64::MAX, 0).is_left(folder.path(), &clock));
    }
}
