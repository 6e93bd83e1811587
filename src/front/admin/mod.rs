//! What administrators ask for: each operation once, as a small HTTP API. The command line speaks it over the control
//! socket, or straight to the router when no gateway runs.

mod api;
mod own_message;
mod page;
pub mod read_test;
mod settings;
pub mod test_message;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

pub use self::api::{
    AccountView, BeginHold, BeginSignIn, Caller, Confirmed, DeviceCode, DeviceView, EventList, FinishSignIn, HandedIn,
    History, Holds, Listing, Overview, PageLink, PeopleProblem, Problem, ProgramToken, ReadTest, ReadTested, Released,
    Reloaded, Scope, SessionListing, SignInBegun, SignInFinished, TestMessage, TestSent, TokenFields, Waiting, router,
};
pub use self::own_message::OwnMessage;
pub use self::page::{Links, Peer, page, serve};
pub use self::settings::{ApiKey, PageSettings, Setup};
use super::reading::ReadingSessions;
use super::submission::Programs;
use crate::clock::Clock;
use crate::directory::Directory;
use crate::net::connect::Connector;
use crate::queue::Queue;
use crate::telemetry::Journal;
use crate::token::TokenManager;

/// Reads the configuration again: what was swapped, or why nothing was.
pub type Reload = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<String, String>> + Send>> + Send + Sync>;

/// A handle on the running parts, as administrators may use them.
#[derive(Clone)]
pub struct Control {
    /// The queue.
    pub queue: Queue,
    /// The tokens.
    pub tokens: TokenManager,
    /// The open reading sessions.
    pub reading: ReadingSessions,
    /// Makes connections to providers, to try whether a mailbox can be read.
    pub connector: Connector,
    /// People of the tenant.
    pub directory: Directory,
    /// What the configuration says, as it is in use; swapped by a reload.
    pub setup: Arc<ArcSwap<Setup>>,
    /// The newest events and the counts of the day.
    pub journal: Journal,
    /// One-time links to the page.
    pub links: Links,
    /// The time.
    pub clock: Clock,
    /// Where programs hand in mail; `None` where no gateway runs.
    pub programs: Option<Programs>,
    /// Cancelled once the gateway takes no new connections, because it stops.
    pub stopping: CancellationToken,
    /// Reads the configuration again; `None` where no gateway runs.
    pub reload: Option<Reload>,
}
