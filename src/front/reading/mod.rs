//! Reading: the IMAP and POP3 listeners. A client logs in with a local password, the provider is logged in to with a
//! token, and from then on the two connections are joined octet by octet.

mod connection;
mod desk;
mod dialogue;
mod joined;
mod sessions;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use self::connection::Connection;
pub use self::sessions::{ReadingSessions, SessionView};
use super::entrance::Entrance;
use super::settings::ListenerSettings;
use crate::account::Clients;
use crate::account::password::Passwords;
use crate::clock::{Clock, Timestamp};
use crate::mail::{Failure, Observer};
use crate::net::connect::Connector;
use crate::net::proxy::NotIntroduced;
use crate::net::{Limits, Permit, ServerTls};
use crate::reading::{Protocol, ReadingServers};
use crate::token::TokenManager;

/// Mailboxes whose provider asked for a pause, at most; beyond it those whose time is over go, then all.
const MAX_PAUSES: usize = 4096;

/// What all reading listeners share.
pub struct Reading {
    /// Who may read what; swapped by a reload.
    pub rules: ArcSwap<Rules>,
    /// Where tokens come from.
    pub tokens: TokenManager,
    /// Makes connections to providers.
    pub connector: Connector,
    /// The open sessions.
    pub sessions: ReadingSessions,
    /// Where events go.
    pub observer: Arc<dyn Observer>,
    /// The time.
    pub clock: Clock,
    /// Until when a mailbox is left alone, and why.
    pub pauses: Pauses,
}

/// Everything a reload can change.
pub struct Rules {
    /// Who may come in.
    pub clients: Clients,
    /// The servers of each account that can be read.
    pub servers: HashMap<String, ReadingServers>,
    /// Checks local logins; shared with the other listeners.
    pub passwords: Arc<Passwords>,
    /// How long each step of a login at a provider may take.
    pub step_timeout: Duration,
}

/// Mailboxes that are left alone for a while, because their provider said so.
#[derive(Debug, Default)]
pub struct Pauses(Mutex<HashMap<(Protocol, String), (Timestamp, Failure)>>);

impl Pauses {
    /// Why a mailbox is left alone now.
    fn get(&self, protocol: Protocol, mailbox: &str, now: Timestamp) -> Option<Failure> {
        let pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, failure) = pauses.get(&(protocol, mailbox.to_owned()))?;
        (now < *until).then(|| failure.clone().retry_after(Some(until.since(now))))
    }

    /// Leaves a mailbox alone for as long as the failure says.
    fn note(&self, protocol: Protocol, mailbox: &str, failure: &Failure, now: Timestamp) {
        let Some(wait) = failure.retry_after else { return };
        let mut pauses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pauses.len() >= MAX_PAUSES {
            pauses.retain(|_, (until, _)| now < *until);
        }
        if pauses.len() >= MAX_PAUSES {
            pauses.clear();
        }
        pauses.insert((protocol, mailbox.to_owned()), (now.plus(wait), failure.clone()));
    }

    fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Reading {
    /// Swaps the rules. Who was left alone under the old ones is asked again.
    pub fn replace(&self, rules: Rules) {
        self.rules.store(Arc::new(rules));
        self.pauses.clear();
    }
}

/// One listener.
pub struct Door {
    reading: Arc<Reading>,
    protocol: Protocol,
    settings: ListenerSettings,
    entrance: Entrance,
    limits: Limits,
}

impl Door {
    /// A listener of `protocol` with its settings; `tls` is needed unless they say none.
    pub fn new(reading: Arc<Reading>, protocol: Protocol, settings: ListenerSettings, tls: Option<ServerTls>) -> Self {
        let limits = Limits::new(settings.max_sessions, settings.max_sessions_per_address);
        let limits = limits.behind(settings.proxy_from.clone());
        let entrance = Entrance::new(&settings, tls);
        Self { reading, protocol, settings, entrance, limits }
    }

    /// Serves a socket until `stopping`; open sessions are tracked and end by themselves.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, stopping: CancellationToken, sessions: TaskTracker) {
        loop {
            let (tcp, peer, permit) = tokio::select! {
                accepted = self.limits.accept(&listener) => accepted,
                () = stopping.cancelled() => return,
            };
            let Some(permit) = permit else {
                self.say_full(&tcp, peer.ip());
                continue;
            };
            let (door, stopping) = (Arc::clone(&self), stopping.clone());
            sessions.spawn(door.session(tcp, peer, permit, stopping));
        }
    }

    async fn session(
        self: Arc<Self>,
        mut tcp: TcpStream,
        from: SocketAddr,
        mut permit: Permit,
        stopping: CancellationToken,
    ) {
        let peer = match permit.introduce(&mut tcp, from.ip()).await {
            Ok(peer) => peer,
            Err(NotIntroduced::TooMany(client)) => return self.say_full(&tcp, client),
            Err(why) => return why.tell(from),
        };
        let span = tracing::info_span!("reading", protocol = self.protocol.name(), %peer, port = from.port());
        let serving = async move {
            // What a login needs is boxed and gone before the long part begins: thousands of sessions idle there.
            let joined = Box::pin(Connection::serve(self, tcp, peer, stopping)).await;
            if let Some(joined) = joined {
                joined.carry().await;
            }
        };
        serving.instrument(span).await;
    }

    /// A full house says so in one write that cannot block, and hangs up.
    fn say_full(&self, tcp: &TcpStream, peer: IpAddr) {
        let words = dialogue::goodbye(self.protocol, "Too many sessions, try again later");
        let _best_effort = tcp.try_write(&words);
        tracing::warn!(%peer, protocol = self.protocol.name(), "too many sessions; a connection was refused");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Reason;

    #[test]
    fn a_provider_that_asks_for_a_pause_gets_it_for_that_mailbox_alone() {
        let pauses = Pauses::default();
        let now = Timestamp::from_millis(1_000_000);
        let failure = Failure::new(Reason::Throttled, "slow down").retry_after(Some(Duration::from_secs(90)));
        pauses.note(Protocol::Imap, "a@x.example", &failure, now);
        pauses.note(Protocol::Imap, "b@x.example", &Failure::new(Reason::Unreachable, "x"), now);
        let left = |mailbox: &str, protocol, seconds| {
            let failure = pauses.get(protocol, mailbox, now.plus(Duration::from_secs(seconds)));
            failure.and_then(|failure| failure.retry_after).map(|wait| wait.as_secs())
        };
        assert_eq!(left("a@x.example", Protocol::Imap, 0), Some(90));
        assert_eq!(left("a@x.example", Protocol::Imap, 60), Some(30));
        assert_eq!(left("a@x.example", Protocol::Imap, 90), None);
        assert_eq!(left("a@x.example", Protocol::Pop3, 0), None, "another protocol");
        assert_eq!(left("b@x.example", Protocol::Imap, 0), None, "no pause was asked for");
    }
}
