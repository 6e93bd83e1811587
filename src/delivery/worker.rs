//! The worker: a lane for each mailbox, so that one in trouble delays no other.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::carrier::{Carrier, Rates};
use crate::clock::{Clock, Timestamp};
use crate::queue::pace::Pace;
use crate::queue::{Lease, MailboxKey, Next, Queue, QueueError};

/// How far back the daily figures look.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How often mail whose time is up is looked for, and old entries are removed.
const MAINTAIN_EVERY: Duration = Duration::from_secs(60);
/// The wait after the store gave an error.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// Takes leases and has them carried out.
#[derive(Clone)]
pub struct Worker {
    queue: Queue,
    carrier: Arc<Carrier>,
    clock: Clock,
    stopping: CancellationToken,
    attempts: TaskTracker,
}

impl Worker {
    /// A worker that runs until `stopping`; attempts that are open then are tracked and come to their end.
    pub fn new(queue: Queue, carrier: Arc<Carrier>, clock: Clock, stopping: CancellationToken) -> Self {
        Self { queue, carrier, clock, stopping, attempts: TaskTracker::new() }
    }

    /// Runs the lanes; returns when told to stop and every open attempt is settled.
    pub async fn run(self) {
        let lanes = TaskTracker::new();
        lanes.spawn(self.clone().maintain());
        let mut new_lanes = self.queue.new_lanes();
        loop {
            tokio::select! {
                key = new_lanes.recv() => match key {
                    Some(key) => { lanes.spawn(self.clone().lane(key)); }
                    None => break,
                },
                () = self.stopping.cancelled() => break,
            }
        }
        lanes.close();
        lanes.wait().await;
        self.attempts.close();
        self.attempts.wait().await;
    }

    /// One mailbox: its sessions and rates bound how much is under way. Place and slot are waited for before the lease,
    /// so that waiting is not an attempt.
    async fn lane(self, key: MailboxKey) {
        let mut pace = self.pace_so_far(&key).await;
        let mut places = Places::default();
        while !self.stopping.is_cancelled() {
            let Rates { at_once, limits } = self.carrier.rates(&key);
            pace.set_rates(limits.messages_per_minute, limits.recipients_per_day);
            let Some(place) = self.place(&mut places, at_once).await else { return };
            if !self.wait_for_slot(&mut pace).await {
                return;
            }
            let waiting = self.queue.wait(&key);
            match self.queue.lease(&key).await {
                Ok(Next::Lease(lease)) => {
                    pace.sent(self.clock.now(), u32::try_from(lease.envelope.recipients().len()).unwrap_or(u32::MAX));
                    let this = self.clone();
                    self.attempts.spawn(async move {
                        this.carry_out(*lease).await;
                        drop(place);
                    });
                }
                Ok(Next::Wait(until)) => {
                    drop(place);
                    self.until(until, waiting).await;
                }
                Err(error) => {
                    tracing::error!(%error, mailbox = key.mailbox, "cannot lease a message; trying again");
                    self.pause(STORE_PAUSE).await;
                }
            }
        }
    }

    /// A place for one attempt; `None` when stopping.
    async fn place(&self, places: &mut Places, limit: usize) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            place = places.of(limit).acquire_owned() => place.ok(),
            () = self.stopping.cancelled() => None,
        }
    }

    /// Waits until the mailbox's rates allow another message. False when stopping.
    async fn wait_for_slot(&self, pace: &mut Pace) -> bool {
        while !self.stopping.is_cancelled() {
            let now = self.clock.now();
            let at = pace.earliest(now, 1);
            if at <= now {
                return true;
            }
            self.pause(at.since(now)).await;
        }
        false
    }

    async fn carry_out(&self, lease: Lease) {
        let attempt = self.carrier.attempt(&lease).await;
        self.carrier.settle(lease, attempt).await;
    }

    async fn pace_so_far(&self, key: &MailboxKey) -> Pace {
        let since = self.clock.now().minus(DAY);
        match self.queue.recent_sends(key, since).await {
            Ok(sends) => Pace::new(0, 0, sends),
            Err(error) => {
                tracing::error!(%error, mailbox = key.mailbox, "cannot read what was sent today; the daily figures begin anew");
                Pace::new(0, 0, Vec::new())
            }
        }
    }

    /// Mail whose time is up becomes a report; old entries go.
    async fn maintain(self) {
        while !self.stopping.is_cancelled() {
            if let Err(error) = self.expire().await {
                tracing::error!(%error, "cannot look for expired mail; trying again");
            }
            self.pause(MAINTAIN_EVERY).await;
        }
    }

    async fn expire(&self) -> Result<(), QueueError> {
        loop {
            let overdue = self.queue.lease_expired().await?;
            if overdue.is_empty() {
                return self.queue.maintain().await;
            }
            for lease in overdue {
                self.carry_out(lease).await;
            }
        }
    }

    async fn until(&self, until: Option<Timestamp>, woken: impl Future<Output = ()>) {
        let wait = until.map(|until| until.since(self.clock.now()));
        let sleep = async {
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep => {}
            () = woken => {}
            () = self.stopping.cancelled() => {}
        }
    }

    async fn pause(&self, wait: Duration) {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.stopping.cancelled() => {}
        }
    }
}

/// The places of a lane. A reload that changes their number takes effect as attempts end.
struct Places {
    limit: usize,
    places: Arc<Semaphore>,
}

impl Default for Places {
    fn default() -> Self {
        Self { limit: 0, places: Arc::new(Semaphore::new(0)) }
    }
}

impl Places {
    fn of(&mut self, limit: usize) -> Arc<Semaphore> {
        if self.limit != limit {
            (self.limit, self.places) = (limit, Arc::new(Semaphore::new(limit)));
        }
        Arc::clone(&self.places)
    }
}
