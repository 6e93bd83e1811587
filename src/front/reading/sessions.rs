//! The open sessions, for those who want to see or end them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::clock::Timestamp;
use crate::net::splice::Traffic;

/// The open reading sessions. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct ReadingSessions {
    open: Arc<Mutex<BTreeMap<String, Arc<OpenSession>>>>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct OpenSession {
    pub(super) id: String,
    pub(super) protocol: &'static str,
    pub(super) client: String,
    pub(super) account: String,
    pub(super) mailbox: String,
    pub(super) peer: IpAddr,
    pub(super) since: Timestamp,
    pub(super) traffic: Traffic,
    pub(super) hang_up: CancellationToken,
}

/// What to show of a session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SessionView {
    /// Its id, as in the log.
    pub id: String,
    /// `imap` or `pop3`.
    pub protocol: String,
    /// The client.
    pub client: String,
    /// The account.
    pub account: String,
    /// The mailbox that is open.
    pub mailbox: String,
    /// Where the client is.
    pub peer: IpAddr,
    /// When it was logged in.
    pub since: Timestamp,
    /// Octets from the client to the provider.
    pub up: u64,
    /// Octets from the provider to the client.
    pub down: u64,
}

impl ReadingSessions {
    /// All of them, the oldest first.
    pub fn list(&self) -> Vec<SessionView> {
        let mut views: Vec<_> = self.lock().values().map(|session| session.view()).collect();
        views.sort_by_key(|view| view.since);
        views
    }

    /// Ends one; `false` if there is none of this id.
    pub fn close(&self, id: &str) -> bool {
        let session = self.lock().get(id).cloned();
        session.is_some_and(|session| {
            session.hang_up.cancel();
            true
        })
    }

    /// Enters a session; it is listed until what is returned is dropped.
    pub(super) fn enter(&self, session: OpenSession) -> Entered {
        let session = Arc::new(session);
        self.lock().insert(session.id.clone(), Arc::clone(&session));
        Entered { all: self.clone(), session }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<OpenSession>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenSession {
    fn view(&self) -> SessionView {
        SessionView {
            id: self.id.clone(),
            protocol: self.protocol.to_owned(),
            client: self.client.clone(),
            account: self.account.clone(),
            mailbox: self.mailbox.clone(),
            peer: self.peer,
            since: self.since,
            up: self.traffic.up(),
            down: self.traffic.down(),
        }
    }
}

/// A place in the list.
pub(super) struct Entered {
    all: ReadingSessions,
    pub(super) session: Arc<OpenSession>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.all.lock().remove(&self.session.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(id: &str, since: i64) -> OpenSession {
        OpenSession {
            id: id.to_owned(),
            protocol: "imap",
            client: "c".to_owned(),
            account: "a".to_owned(),
            mailbox: "a@x.example".to_owned(),
            peer: "192.0.2.1".parse().unwrap(),
            since: Timestamp::from_millis(since),
            traffic: Traffic::default(),
            hang_up: CancellationToken::new(),
        }
    }

    #[test]
    fn sessions_are_listed_while_they_are_open_and_one_can_be_ended() {
        let all = ReadingSessions::default();
        let (late, early) = (all.enter(session("a", 2)), all.enter(session("b", 1)));
        assert_eq!(all.list().iter().map(|view| view.id.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        assert!(all.close("a") && !all.close("c"));
        assert!(late.session.hang_up.is_cancelled() && !early.session.hang_up.is_cancelled());
        drop(late);
        assert_eq!(all.list().len(), 1);
        assert!(!all.close("a"), "it is gone");
    }
}
