//! Mail that was held for an account goes when somebody has signed it in by code, wherever that is noticed.

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::Parts;
use crate::queue::{Queue, Selector};

/// Accounts that are signed in from now on, with the mail that waits for them.
pub struct SignedIn {
    names: broadcast::Receiver<String>,
    queue: Queue,
}

impl SignedIn {
    /// Of these parts.
    pub fn of(parts: &Parts) -> Self {
        Self { names: parts.tokens.subscribe(), queue: parts.queue.clone() }
    }

    /// Releases as long as there may be sign-ins.
    pub(super) async fn release(mut self) {
        loop {
            match self.names.recv().await {
                Ok(account) => self.go(Selector::Account(account)).await,
                Err(RecvError::Lagged(_)) => self.go(Selector::All).await,
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Releases for the sign-ins that were, before the parts are closed.
    pub async fn release_at_the_end(mut self) {
        loop {
            match self.names.try_recv() {
                Ok(account) => self.go(Selector::Account(account)).await,
                Err(TryRecvError::Lagged(_)) => self.go(Selector::All).await,
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    async fn go(&self, selector: Selector) {
        if let Err(error) = self.queue.mended(selector, "the account was signed in").await {
            tracing::warn!(%error, "held mail cannot be released now; release it by hand with `oxpost queue release`");
        }
    }
}
