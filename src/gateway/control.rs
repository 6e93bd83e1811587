//! The handle that administrators' operations get.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use super::Parts;
use crate::clock::{Clock, Timestamp};
use crate::config::Config;
use crate::front::admin::{Control, Links, Reload, Setup};
use crate::front::reading::ReadingSessions;
use crate::queue::HourOfMail;
use crate::telemetry::{Hour, Journal};

/// How far back the counts of the page go.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What the page shows of a configuration.
pub(super) fn setup(config: &Config) -> Setup {
    Setup {
        submission: config.submission.clone(),
        clients: config.clients.clone(),
        accounts: config.accounts.clone(),
        providers: config.token.providers.clone(),
        ways: config.delivery.accounts.clone(),
        reading: config.reading.clone(),
        step_timeout: config.delivery.step_timeout,
        page: config.page.clone(),
    }
}

impl Parts {
    /// The operations on these parts. Without a gateway there is nothing to reload and no page.
    pub fn control(&self, config: &Config, clock: Clock, journal: Journal, reload: Option<Reload>) -> Control {
        Control {
            queue: self.queue.clone(),
            tokens: self.tokens.clone(),
            connector: self.connector.clone(),
            directory: self.directory.clone(),
            setup: Arc::new(ArcSwap::from_pointee(setup(config))),
            links: Links::new(clock.clone()),
            reading: ReadingSessions::default(),
            journal,
            clock,
            programs: None,
            stopping: CancellationToken::new(),
            reload,
        }
    }
}

/// Adds to the journal what the queue knows from before the start. The counts are for people, so a failure is no more
/// than a line in the log.
pub(super) async fn remember_the_day(control: Control, started: Timestamp) {
    match control.queue.hours(started.minus(DAY), started).await {
        Ok(hours) => {
            let hour = |of: HourOfMail| {
                let HourOfMail { from, accepted, relayed, failed } = of;
                Hour { from, accepted, relayed, failed }
            };
            control.journal.remember(&hours.into_iter().map(hour).collect::<Vec<_>>());
        }
        Err(error) => tracing::warn!(%error, "the counts of the last day cannot be read; they begin anew"),
    }
}
