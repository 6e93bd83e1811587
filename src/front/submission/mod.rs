//! SMTP submission: the listeners that legacy programs and devices speak to.

mod connection;
mod desk;
mod intake;
mod prefix;
mod program;
mod replies;
mod rules;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use self::connection::{Connection, End};
pub use self::program::{HandIn, NotTaken, Programs, Taken, What};
pub use self::rules::Rules;
use super::entrance::Entrance;
use super::settings::ListenerSettings;
use crate::clock::Clock;
use crate::mail::Observer;
use crate::net::proxy::NotIntroduced;
use crate::net::{Limits, Permit, ServerTls};
use crate::queue::Queue;

/// What all SMTP listeners share.
pub struct Submission {
    /// Our own name, in greeting and Received lines.
    pub hostname: String,
    /// Where accepted mail goes.
    pub queue: Queue,
    /// Who may send what; swapped by a reload.
    pub rules: ArcSwap<Rules>,
    /// Where events go.
    pub observer: Arc<dyn Observer>,
    /// The time.
    pub clock: Clock,
}

/// One SMTP listener.
pub struct Door {
    submission: Arc<Submission>,
    settings: ListenerSettings,
    entrance: Entrance,
    limits: Limits,
}

impl Door {
    /// A listener with its settings; `tls` is needed unless they say none.
    pub fn new(submission: Arc<Submission>, settings: ListenerSettings, tls: Option<ServerTls>) -> Self {
        let limits = Limits::new(settings.max_sessions, settings.max_sessions_per_address);
        let limits = limits.behind(settings.proxy_from.clone());
        let entrance = Entrance::new(&settings, tls);
        Self { submission, settings, entrance, limits }
    }

    /// Serves a socket until `stopping`; open sessions are tracked and end by themselves.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, stopping: CancellationToken, sessions: TaskTracker) {
        loop {
            let (tcp, peer, permit) = tokio::select! {
                accepted = self.limits.accept(&listener) => accepted,
                () = stopping.cancelled() => return,
            };
            let Some(permit) = permit else {
                say_full(&tcp, peer.ip());
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
            Err(NotIntroduced::TooMany(client)) => return say_full(&tcp, client),
            Err(why) => return why.tell(from),
        };
        let span = tracing::info_span!("smtp", %peer, port = from.port());
        let serving = async move {
            if let Err(end) = Connection::serve(self, tcp, peer, stopping).await {
                log_end(&end);
            }
        };
        serving.instrument(span).await;
    }
}

/// A full house says so in one write that cannot block, and hangs up.
fn say_full(tcp: &TcpStream, peer: IpAddr) {
    let _best_effort = tcp.try_write(&crate::smtp::replies::TOO_MANY_SESSIONS.to_octets());
    tracing::warn!(%peer, "too many sessions; a connection was refused with 421");
}

fn log_end(end: &End) {
    match end {
        End::Broken(_) => tracing::debug!(%end, "session ended"),
        End::TimedOut | End::LineEndings | End::Tls(_) | End::Stranger => tracing::info!(%end, "session ended"),
    }
}
