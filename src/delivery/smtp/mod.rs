//! Submission to an SMTP server: the provider's with a token, or a smarthost with a password or none.

use std::sync::Arc;

use super::{Backend, BoxFuture, Delivery, Settings, SmtpLogin, SmtpWay, Tokens};
use crate::mail::{Attempt, BackendKind, Failure};
use crate::net::connect::Connector;
use crate::token::Purpose;

mod classify;
mod errand;
mod login;
mod message;
mod pool;
mod session;
#[cfg(test)]
mod tests;
mod wire;

pub use login::try_login;
pub use wire::Timeouts;

use errand::Errand;
use pool::Pool;
use session::{Session, Target};
use wire::Lost;

impl From<&Settings> for Timeouts {
    fn from(settings: &Settings) -> Self {
        Self { step: settings.step_timeout, last: settings.final_timeout, idle: settings.idle_timeout }
    }
}

/// One SMTP way of one account. Sessions are kept by mailbox and used again; how many there are at once is up to how
/// many deliveries the caller has running.
pub struct SmtpBackend {
    target: Target,
    tokens: Arc<dyn Tokens>,
    pool: Arc<Pool>,
}

impl SmtpBackend {
    /// A backend without any session yet.
    pub fn new(way: SmtpWay, connector: Connector, tokens: Arc<dyn Tokens>, timeouts: Timeouts) -> Self {
        Self { target: Target { way, connector, timeouts }, tokens, pool: Pool::new(timeouts.idle) }
    }

    /// A session of the delivery's mailbox, and whether it was used before. `fresh` demands a new one.
    async fn session(&self, delivery: &Delivery<'_>, mailbox: &str, fresh: bool) -> Result<(Session, bool), Failure> {
        if self.target.way.login != SmtpLogin::Token {
            return match self.pool.take(mailbox, 0).filter(|_| !fresh) {
                Some(session) => Ok((session, true)),
                None => Ok((Session::open(&self.target, delivery.mailbox, None).await?, false)),
            };
        }
        let token = self.tokens.access_token(delivery.account, Purpose::Smtp).await?;
        if !fresh && let Some(session) = self.pool.take(mailbox, token.generation) {
            return Ok((session, true));
        }
        match Session::open(&self.target, delivery.mailbox, Some(&token)).await {
            // The token may have been revoked or have died early. A second refusal is about the mailbox.
            Err(Lost::Trouble(trouble)) if classify::may_be_a_stale_token(&trouble) => {
                tracing::debug!(account = delivery.account, %trouble, "the token was refused, trying a fresh one");
                self.tokens.invalidate(delivery.account, Purpose::Smtp, &token).await;
                let token = self.tokens.access_token(delivery.account, Purpose::Smtp).await?;
                Ok((Session::open(&self.target, delivery.mailbox, Some(&token)).await?, false))
            }
            opened => Ok((opened?, false)),
        }
    }
}

impl Backend for SmtpBackend {
    fn kind(&self) -> BackendKind {
        if self.target.way.login == SmtpLogin::Token { BackendKind::Smtp } else { BackendKind::Smarthost }
    }

    fn deliver<'a>(&'a self, delivery: Delivery<'a>) -> BoxFuture<'a, Attempt> {
        Box::pin(async move { Errand::new(self, &delivery).run().await })
    }
}
