//! What clones of the queue share, and the work that must come to its end even if its caller goes away.

use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::direct::{self, Answer, Clients};
use super::forms::OneLarge;
use super::lanes::{Lanes, Standby};
use super::lease::{self, Offer, Taken};
use super::room::Room;
use super::rows::Row;
use super::settle::{self, Settlement, Told};
use super::spool::{BodyReader, Content, Spool};
use super::{Lease, MailboxKey, NewMessage, QueueError, Settings, events, recover};
use crate::clock::Clock;
use crate::mail::{Event, Failure, Observer, Outcome, QueueId, Reason};
use crate::store::{Store, StoreError};

pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) settings: Settings,
    pub(super) clock: Clock,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) spool: Arc<Spool>,
    pub(super) room: Room,
    pub(super) lanes: Lanes,
    pub(super) clients: Clients,
    pub(super) one_large: OneLarge,
}

impl Inner {
    pub(super) async fn recover(&self) -> Result<(), QueueError> {
        let now = self.clock.now();
        let next = now.plus(self.settings.unknown_retry);
        let dropped = self.store.write(direct::recover).await?;
        if dropped > 0 {
            tracing::info!(messages = dropped, "dropped what was never tried and whose clients never heard 250");
        }
        for found in self.store.write(move |connection| recover::leases(connection, now, next)).await? {
            self.observer.observe(&Event::Deferred {
                id: found.id,
                account: found.account,
                backend: None,
                attempt: found.attempt,
                recipients: usize::try_from(found.recipients).unwrap_or(usize::MAX),
                failure: recover::stopped(),
                next,
            });
        }
        recover::sweep(&self.spool, &self.store).await?;
        for (key, lane) in self.store.read(recover::lanes).await? {
            self.lanes.has_mail(&key, lane);
        }
        Ok(())
    }

    pub(super) async fn accept(&self, message: NewMessage) -> Result<QueueId, QueueError> {
        let id = message.id;
        self.make(message, None).await.map(|_| id)
    }

    /// Makes a message durable and tells its mailbox. With a `client` that waits it is pending, and a hold refuses it:
    /// the failure.
    pub(super) async fn make(
        &self,
        message: NewMessage,
        client: Option<oneshot::Sender<Answer>>,
    ) -> Result<Option<Failure>, QueueError> {
        let now = self.clock.now();
        let row = Row::new(&message);
        let (id, key, mut event) = (message.id, row.key.clone(), Some(accepted(&message)));
        let standby = self.lanes.lane(&key).standby();
        let draft = standby.is_some().then(|| lease::draft(&message, (row.content.clone(), row.checksum), now));
        let file = message.body.hand_over(id, &self.spool.recent);
        let take = standby.is_some();
        let waits = client.is_some();
        let insert = move |connection: &_| match (waits, take) {
            (true, take) => direct::insert(connection, &row, now, take),
            (false, true) => lease::accept(connection, &row, now).map(Ok),
            (false, false) => Ok(Ok((row.insert(connection, now)?, None))),
        };
        if let Some((client, event)) = client.zip(event.take_if(|_| waits)) {
            self.clients.wait(id, client, event);
        }
        match self.store.write(insert).await {
            Ok(Ok((lane, taken))) => {
                if let Some(event) = event {
                    self.observer.observe(&event);
                }
                self.hand_out(&key, lane, taken, standby.zip(draft));
                Ok(None)
            }
            Ok(Err(held)) => {
                self.clients.forget(id);
                self.spool.recent.forget(id);
                if let Some(file) = file {
                    file.discard();
                }
                Ok(Some(held))
            }
            Err(error) => {
                self.clients.forget(id);
                self.spool.recent.forget(id);
                // After a failed flush or a closed store nobody knows whether the row is on the disk.
                let unclear = matches!(error, StoreError::Suspect(_) | StoreError::Closed);
                if let Some(file) = file.filter(|_| !unclear) {
                    file.discard();
                }
                Err(error.into())
            }
        }
    }

    /// Accepts messages of our own, and does `also` in the same transaction.
    pub(super) async fn accept_all(
        &self,
        mut messages: Vec<NewMessage>,
        also: impl Fn(&Connection) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<(), QueueError> {
        let now = self.clock.now();
        let rows: Vec<Row> = messages.iter().map(Row::new).collect();
        let keys: Vec<_> = rows.iter().map(|row| row.key.clone()).collect();
        let insert = move |connection: &Connection| {
            also(connection)?;
            rows.iter().map(|row| row.insert(connection, now)).collect::<rusqlite::Result<Vec<_>>>()
        };
        messages.iter_mut().for_each(|message| message.body.keep());
        let lanes = self.store.write(insert).await?;
        for ((message, key), lane) in messages.iter().zip(keys).zip(lanes) {
            self.observer.observe(&events::reported(message));
            self.lanes.has_mail(&key, lane);
        }
        Ok(())
    }

    /// A message that was leased as it was accepted goes to whoever stood by; of any other the mailbox is told.
    fn hand_out(&self, key: &MailboxKey, lane: i64, taken: Option<Taken>, by: Option<(Standby, Lease)>) {
        match (taken, by) {
            (Some(taken), Some((standby, draft))) => standby.carry_out(taken.complete(draft)),
            _ => self.lanes.has_mail(key, lane),
        }
    }

    /// Writes a settlement. With `go_on` the same transaction leases the next message of the mailbox.
    pub(super) async fn settle(&self, settlement: Arc<Settlement>, go_on: bool) -> Result<Option<Lease>, QueueError> {
        let now = self.clock.now();
        let (work, lane) = (Arc::clone(&settlement), self.lanes.lane(&settlement.lease.key()));
        let write = move |connection: &_| {
            let settled = settle::write(connection, &work, now)?;
            let next = || lease::next(connection, work.lease.record.lane, &lane.fair, now);
            let offer = if go_on { Some(next()?) } else { None };
            Ok((settled, offer))
        };
        let (settled, offer) = self.store.write(write).await?;
        events::tell(self.observer.as_ref(), &settlement, &settled, now);
        let lease = &settlement.lease;
        self.spool.recent.forget(lease.id);
        if settled.released.is_some() || settlement.verdict.next.is_some() {
            // What waits has another time now.
            self.lanes.wake(&lease.key());
        }
        if let (Some(Told::Alone(_, row)), Some(lane)) = (&settlement.report, settled.report_lane) {
            self.lanes.has_mail(&row.key, lane);
        }
        if let Content::File(name) = &lease.record.content {
            if settled.done {
                self.spool.remove(vec![name.clone()]).await;
            } else if lease.record.decided.is_empty() && settlement.attempt.outcomes.iter().any(is_damaged) {
                self.spool.quarantine(lease.id, name).await;
            }
        }
        Ok(self.taken_up(offer, &lease.key()).await)
    }

    /// The lease of an offer. After anything else the mailbox is woken, because nobody noted what it said.
    async fn taken_up(&self, offer: Option<Offer>, key: &MailboxKey) -> Option<Lease> {
        match offer? {
            Offer::Lease(mut lease) => {
                self.find_content(&mut lease).await;
                return Some(*lease);
            }
            Offer::SetAside { id, why } => {
                self.set_aside(id, &why);
                self.lanes.wake(key);
            }
            Offer::Wait(_) => {}
        }
        None
    }

    /// Where the content of a lease is: still in memory, or in a file that is looked at before anything is sent.
    pub(super) async fn find_content(&self, lease: &mut Lease) {
        match &lease.record.content {
            Content::File(name) => {
                if let Err(error) = BodyReader::file(self.spool.path(name), lease.size, None).await
                    && matches!(error, QueueError::BodyDamaged(_))
                {
                    lease.record.decided = vec![error.failure(); lease.record.positions.len()];
                    self.spool.quarantine(lease.id, name).await;
                }
            }
            Content::Memory(_) | Content::Stored => {
                if let Some(octets) = self.spool.recent.get(lease.id) {
                    lease.record.content = Content::Memory(octets);
                }
            }
        }
    }

    pub(super) fn set_aside(&self, id: Option<QueueId>, why: &str) {
        let Some(about) = id else {
            tracing::error!(why, "a message without a readable queue id was set aside");
            return;
        };
        let why = format!("its record is damaged and was set aside ({why})");
        self.observer.observe(&Event::Unreported { about, why });
    }
}

/// Whether an attempt found the content damaged.
fn is_damaged(outcome: &Outcome) -> bool {
    outcome.failure().is_some_and(|failure| failure.reason == Reason::BodyDamaged)
}

fn accepted(message: &NewMessage) -> Event {
    Event::Accepted {
        id: message.id,
        client: message.route.client.clone(),
        peer: message.peer,
        account: message.route.account.clone(),
        mailbox: message.route.mailbox.to_string(),
        reverse_path: message.envelope.reverse_path().to_string(),
        recipients: message.envelope.recipients().len(),
        octets: message.body.size() + message.prefix.len() as u64,
        message_id: message.message_id.clone(),
    }
}
