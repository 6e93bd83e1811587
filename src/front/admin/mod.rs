//! What administrators ask for: each operation once, as a small HTTP API. The command line speaks it over the control
//! socket, or straight to the router when no gateway runs.

mod api;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub use self::api::{
    AccountView, BeginSignIn, Caller, FinishSignIn, Holds, Listing, Problem, Released, Reloaded, Scope, SessionListing,
    SignInBegun, SignInFinished, router,
};
use super::reading::ReadingSessions;
use crate::queue::Queue;
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
    /// Reads the configuration again; `None` where no gateway runs.
    pub reload: Option<Reload>,
}
