//! Idle sessions, kept for a while by mailbox: the login of a provider costs more than a message.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

use super::session::Session;

/// The idle sessions of one backend.
pub(super) struct Pool {
    idle: Mutex<Idle>,
    keep: Duration,
}

#[derive(Default)]
struct Idle {
    /// By the mailbox's key; the one put aside last is at the end.
    sessions: HashMap<String, Vec<Session>>,
    /// Whether a task runs that closes what has been idle for too long.
    swept: bool,
}

impl Pool {
    /// Keeps idle sessions for `keep`.
    pub(super) fn new(keep: Duration) -> Arc<Self> {
        Arc::new(Self { idle: Mutex::default(), keep })
    }

    /// A session of the mailbox that was opened with this issue of the token and that the server has left alone. Those
    /// that do not fit are closed: they would count against the provider's limit.
    pub(super) fn take(&self, mailbox: &str, generation: u64) -> Option<Session> {
        let mut idle = self.lock();
        let sessions = idle.sessions.get_mut(mailbox)?;
        while let Some(mut session) = sessions.pop() {
            if session.generation == generation && session.idle_since.elapsed() < self.keep && session.is_quiet() {
                return Some(session);
            }
        }
        None
    }

    /// Puts a session aside, or closes it if it has carried enough.
    pub(super) fn put(self: &Arc<Self>, mailbox: &str, mut session: Session) {
        if !session.is_reusable() {
            session.close();
            return;
        }
        session.idle_since = Instant::now();
        let mut idle = self.lock();
        match idle.sessions.get_mut(mailbox) {
            Some(sessions) => sessions.push(session),
            None => {
                idle.sessions.insert(mailbox.to_owned(), vec![session]);
            }
        }
        if !std::mem::replace(&mut idle.swept, true) {
            tokio::spawn(sweep(Arc::downgrade(self), self.keep));
        }
    }

    /// Takes out what has been idle for too long. The second value is how long nothing more is to be done; `None` when
    /// nothing is left.
    fn outdated(&self) -> (Vec<Session>, Option<Duration>) {
        let mut idle = self.lock();
        let mut old = Vec::new();
        idle.sessions.retain(|_, sessions| {
            let fresh = sessions.partition_point(|session| session.idle_since.elapsed() >= self.keep);
            old.extend(sessions.drain(..fresh));
            !sessions.is_empty()
        });
        let oldest = idle.sessions.values().filter_map(|sessions| sessions.first()).map(|s| s.idle_since).min();
        idle.swept = oldest.is_some();
        (old, oldest.map(|since| self.keep.saturating_sub(since.elapsed())))
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the idle sessions look as if they had been idle for so much longer.
    #[cfg(test)]
    pub(super) fn age(&self, by: Duration) {
        for session in self.lock().sessions.values_mut().flatten() {
            session.idle_since -= by;
        }
    }

    #[cfg(test)]
    pub(super) fn idle_sessions(&self) -> usize {
        self.lock().sessions.values().map(Vec::len).sum()
    }
}

/// Closes sessions when their time is up; ends when none is left.
async fn sweep(pool: Weak<Pool>, first: Duration) {
    let mut wait = first;
    loop {
        tokio::time::sleep(wait).await;
        let Some(pool) = pool.upgrade() else { return };
        let (old, next) = pool.outdated();
        drop(pool);
        old.into_iter().for_each(Session::close);
        match next {
            // A little more than needed, so that one round closes what was put aside together.
            Some(next) => wait = next + Duration::from_millis(50),
            None => return,
        }
    }
}
