//! Builds the backends of each account from the configuration.

use std::sync::Arc;

use super::Parts;
use crate::account::MailboxRule;
use crate::clock::Clock;
use crate::config::Config;
use crate::delivery::carrier::{Notify, Ways};
use crate::delivery::ews::EwsBackend;
use crate::delivery::gmail::GmailBackend;
use crate::delivery::graph::GraphBackend;
use crate::delivery::inbox::WatchParts;
use crate::delivery::smtp::SmtpBackend;
use crate::delivery::{Backend, BoxFuture, Settings, Token, Tokens, Way};
use crate::http::Http;
use crate::mail::Failure;
use crate::net::connect::Connector;
use crate::token::{AccessToken, Purpose, TokenManager};

/// What backends are made of.
pub(super) struct Wiring {
    tokens: Arc<dyn Tokens>,
    http: Http,
    connector: Connector,
}

impl Wiring {
    pub(super) fn new(parts: &Parts) -> Self {
        let Parts { http, connector, tokens, .. } = parts;
        Self { tokens: Arc::new(tokens.clone()), http: http.clone(), connector: connector.clone() }
    }

    /// The ways out of a configuration, with fresh session pools.
    pub(super) fn ways(&self, config: &Config) -> Ways {
        let accounts = config.delivery.accounts.clone();
        let backends = accounts.iter().map(|(name, account)| {
            let backends = account.ways.iter().map(|way| self.backend(way, &config.delivery)).collect();
            (name.clone(), backends)
        });
        Ways { backends: backends.collect(), notify: notify(config), accounts }
    }

    /// What mailboxes are watched with.
    pub(super) fn watch(&self, parts: &Parts, clock: &Clock) -> WatchParts {
        WatchParts {
            queue: parts.queue.clone(),
            http: self.http.clone(),
            connector: self.connector.clone(),
            tokens: Arc::clone(&self.tokens),
            standing: parts.tokens.clone(),
            clock: clock.clone(),
        }
    }

    fn backend(&self, way: &Way, settings: &Settings) -> Arc<dyn Backend> {
        let tokens = Arc::clone(&self.tokens);
        match way {
            Way::Graph(way) => {
                Arc::new(GraphBackend::new(way.clone(), self.http.clone(), tokens, settings.final_timeout))
            }
            Way::Gmail(way) => {
                Arc::new(GmailBackend::new(way.clone(), self.http.clone(), tokens, settings.final_timeout))
            }
            Way::Ews(way) => Arc::new(EwsBackend::new(way.clone(), self.http.clone(), tokens, settings.final_timeout)),
            Way::Smtp(way) => Arc::new(SmtpBackend::new(way.clone(), self.connector.clone(), tokens, settings.into())),
        }
    }
}

/// The account that `notify` names. One for a whole domain has no mailbox of its own and cannot report.
fn notify(config: &Config) -> Option<Notify> {
    let named = config.notify.as_ref()?;
    let account = config.accounts.iter().find(|account| account.name == *named)?;
    match &account.mailbox {
        MailboxRule::One(mailbox) => {
            let (account, provider) = (account.name.clone(), account.provider.clone());
            Some(Notify { account, provider, mailbox: mailbox.clone() })
        }
        MailboxRule::Domain(_) => None,
    }
}

impl Tokens for TokenManager {
    fn access_token<'a>(&'a self, account: &'a str, purpose: Purpose) -> BoxFuture<'a, Result<Token, Failure>> {
        Box::pin(async move {
            let AccessToken { secret, expires, generation, .. } = Self::access_token(self, account, purpose).await?;
            Ok(Token { secret, expires, generation })
        })
    }

    fn invalidate<'a>(&'a self, account: &'a str, purpose: Purpose, token: &'a Token) -> BoxFuture<'a, ()> {
        Box::pin(Self::invalidate(self, account, purpose, token.generation))
    }
}
