//! One mailbox: sees to it that what is due is attempted, no more at once and no faster than its limits allow.
//!
//! While something waits, attempts take one message after the other: each settlement leases the next. While nothing
//! waits, the turns stand by at the queue, and a new message is leased as it is accepted.

use std::sync::Arc;
use std::time::Duration;

use super::turns::{NoTurn, Turn, Turns};
use super::worker::Worker;
use crate::clock::Timestamp;
use crate::queue::{Lease, MailboxKey, Next, Standby};

/// The wait after the store gave an error.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// A mailbox that is worked on.
pub(super) struct Lane {
    worker: Worker,
    key: MailboxKey,
    turns: Arc<Turns>,
}

/// When the queue is asked what is due.
#[derive(Clone, Copy)]
enum Look {
    Now,
    /// Then, or when the mailbox is woken.
    At(Option<Timestamp>),
}

impl Lane {
    pub(super) const fn new(worker: Worker, key: MailboxKey, turns: Arc<Turns>) -> Self {
        Self { worker, key, turns }
    }

    /// Works until told to stop. Attempts that are open then go on by themselves.
    pub(super) async fn run(self) {
        let queue = self.worker.queue().clone();
        let mut look = Look::Now;
        while !self.worker.is_stopping() {
            self.turns.set(self.worker.carrier().rates(&self.key));
            let woken = queue.wait(&self.key);
            let wait_until = match look {
                Look::Now => match self.take_one().await {
                    Ok(next) => {
                        look = next;
                        continue;
                    }
                    Err(NoTurn::Busy) => None,
                    Err(NoTurn::Until(at)) => Some(at),
                },
                Look::At(due) => earlier(due, self.stand_by()),
            };
            tokio::select! {
                () = woken => look = Look::Now,
                () = self.turns.freed() => {}
                () = self.worker.sleep_until(wait_until) => look = look.at(self.worker.now()),
                () = self.worker.carrier().replaced() => queue.withdraw(&self.key),
                () = self.worker.stopped() => {}
            }
        }
        queue.withdraw(&self.key);
    }

    /// Has the message that is due first attempted, if there is one. What stands by makes way: what waits has waited
    /// longer.
    async fn take_one(&self) -> Result<Look, NoTurn> {
        self.worker.queue().withdraw(&self.key);
        let turn = self.turns.take(self.worker.now())?;
        match self.worker.queue().lease(&self.key).await {
            Ok(Next::Lease(lease)) => self.worker.spawn(*lease, turn),
            Ok(Next::Wait(until)) => return Ok(Look::At(until)),
            Err(error) => {
                tracing::error!(%error, mailbox = self.key.mailbox, "cannot lease a message; trying again");
                self.worker.sleep(STORE_PAUSE).await;
            }
        }
        Ok(Look::Now)
    }

    /// Lets every free turn stand by. Until when the pace allows no more; `None`: not a question of time.
    fn stand_by(&self) -> Option<Timestamp> {
        loop {
            match self.turns.take(self.worker.now()) {
                Ok(turn) => self.worker.queue().stand_by(&self.key, self.standby(turn)),
                Err(NoTurn::Busy) => return None,
                Err(NoTurn::Until(at)) => return Some(at),
            }
        }
    }

    fn standby(&self, turn: Turn) -> Standby {
        let worker = self.worker.clone();
        Standby::new(move |lease: Lease| worker.spawn(lease, turn))
    }
}

impl Look {
    /// What is to be done at `now`: the pace may have ended a wait before anything is due.
    fn at(self, now: Timestamp) -> Self {
        match self {
            Self::At(Some(due)) if due <= now => Self::Now,
            Self::Now | Self::At(_) => self,
        }
    }
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
