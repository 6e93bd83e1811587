//! Builds the backends of each account from the configuration.

use std::sync::Arc;

use super::Parts;
use crate::clock::Clock;
use crate::config::Config;
use crate::delivery::carrier::Ways;
use crate::delivery::graph::GraphBackend;
use crate::delivery::smtp::SmtpBackend;
use crate::delivery::{Backend, BoxFuture, Token, Tokens, Way};
use crate::http::Http;
use crate::mail::Failure;
use crate::net::connect::{ConnectError, Connector};
use crate::token::{Purpose, TokenManager};

/// TLS towards providers cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up TLS towards providers: {0}")]
pub struct WaysError(#[from] ConnectError);

/// What backends are made of.
pub(super) struct Wiring {
    tokens: Arc<dyn Tokens>,
    http: Http,
    connector: Connector,
    clock: Clock,
}

impl Wiring {
    pub(super) fn new(parts: &Parts, config: &Config, clock: Clock) -> Result<Self, WaysError> {
        let connector = Connector::new(config.ca_file.as_deref())?;
        Ok(Self { tokens: Arc::new(parts.tokens.clone()), http: parts.http.clone(), connector, clock })
    }

    /// The ways out of a configuration, with fresh session pools.
    pub(super) fn ways(&self, config: &Config) -> Ways {
        let accounts = config.delivery.accounts.clone();
        let backends = accounts.iter().map(|(name, account)| {
            let backends = account.ways.iter().map(|way| self.backend(way, config, account.limits)).collect();
            (name.clone(), backends)
        });
        Ways { backends: backends.collect(), accounts }
    }
}
