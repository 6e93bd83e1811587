//! What clones of the queue share, and the work that must come to its end even if its caller goes away.

use std::sync::Arc;

use super::lanes::Lanes;
use super::room::Room;
use super::rows::Row;
use super::settle::{self, Settlement};
use super::spool::{BodyReader, Content, Spool};
use super::{Lease, NewMessage, QueueError, Settings, events, recover};
use crate::clock::Clock;
use crate::mail::{Event, Observer, QueueId};
use crate::store::{Store, StoreError};

pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) settings: Settings,
    pub(super) clock: Clock,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) spool: Arc<Spool>,
    pub(super) room: Room,
    pub(super) lanes: Lanes,
}

impl Inner {
    pub(super) async fn recover(&self) -> Result<(), QueueError> {
        let now = self.clock.now();
        let next = now.plus(self.settings.unknown_retry);
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
        let now = self.clock.now();
        let row = Row::new(&message);
        let (id, key, event) = (message.id, row.key.clone(), accepted(&message));
        let file = message.body.hand_over(id, &self.spool.recent);
        match self.store.write(move |connection| row.insert(connection, now)).await {
            Ok(lane) => {
                self.observer.observe(&event);
                self.lanes.has_mail(&key, lane);
                Ok(id)
            }
            Err(error) => {
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

    pub(super) async fn settle(&self, settlement: Arc<Settlement>) -> Result<(), QueueError> {
        let now = self.clock.now();
        let work = Arc::clone(&settlement);
        let settled = self.store.write(move |connection| settle::write(connection, &work, now)).await?;
        events::tell(self.observer.as_ref(), &settlement, &settled, now);
        let lease = &settlement.lease;
        self.spool.recent.forget(lease.id);
        if settled.released.is_some() {
            self.lanes.wake(&lease.key());
        }
        if let (Some((_, row)), Some(lane)) = (&settlement.report, settled.report_lane) {
            self.lanes.has_mail(&row.key, lane);
        }
        if settled.done
            && let Content::File(name) = &lease.record.content
        {
            self.spool.remove(vec![name.clone()]).await;
        }
        Ok(())
    }

    /// Where the content of a lease is: still in memory, or in a file that is looked at before anything is sent.
    pub(super) async fn find_content(&self, lease: &mut Lease) {
        match &lease.record.content {
            Content::File(name) => {
                if let Err(error) = BodyReader::file(self.spool.path(name), lease.size).await
                    && matches!(error, QueueError::BodyDamaged(_))
                {
                    lease.record.decided = vec![error.failure(); lease.record.positions.len()];
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
