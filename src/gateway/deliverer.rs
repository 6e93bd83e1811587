//! Delivery without listeners, for a command that hands one message in and waits for what becomes of it.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Parts;
use super::ways::Wiring;
use crate::clock::Clock;
use crate::config::Config;
use crate::delivery::carrier::Carrier;
use crate::delivery::worker::Worker;
use crate::mail::Observer;

/// The worker of this process. It works on the whole queue, as a gateway would.
pub struct Deliverer {
    stopping: CancellationToken,
    worker: JoinHandle<()>,
}

impl Deliverer {
    /// Starts it.
    pub fn start(parts: &Parts, config: &Config, clock: Clock, observer: Arc<dyn Observer>) -> Self {
        let ways = Wiring::new(parts).ways(config);
        let hostname = config.submission.hostname.clone();
        let carrier = Arc::new(Carrier::new(parts.queue.clone(), ways, clock.clone(), observer, hostname));
        let stopping = CancellationToken::new();
        let worker = tokio::spawn(Worker::new(parts.queue.clone(), carrier, clock, stopping.clone()).run());
        Self { stopping, worker }
    }

    /// Lets open attempts come to their end.
    pub async fn stop(self) {
        self.stopping.cancel();
        // A worker that failed leaves its attempts open; the next start settles them.
        let _failed = self.worker.await;
    }
}
