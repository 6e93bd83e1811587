//! What must survive: accepted messages until they are handed over or reported.
//!
//! A message is durable before it is acknowledged, an attempt before it is made, and what became of it before the
//! message can be tried again. See [`Queue`] for the way of a message through it.

mod backlog;
mod backup;
mod bounces;
mod clock_watch;
mod content;
mod day;
mod digest;
mod direct;
mod error;
mod events;
pub mod fair;
mod forms;
mod handling;
mod hold;
mod holding;
mod inner;
mod lanes;
mod late;
mod lease;
mod listing;
mod message;
mod notes;
pub mod pace;
mod recover;
mod remind;
mod reported;
pub mod retry;
mod room;
mod rows;
mod settings;
mod settle;
mod spool;
mod tables;
mod tell;
#[cfg(test)]
mod tests;
mod throttle;
mod turned_back;
mod verdict;

use std::future::Future;
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

pub use backlog::{Backlog, Rates};
pub use backup::{Copied, CopyError, copy};
pub use bounces::{Bounce, FoundReport};
pub use content::MessageCopy;
pub use day::HourOfMail;
pub use digest::{Digest, DigestLine};
pub use direct::{Answer, Refusal};
pub use error::QueueError;
pub use forms::{Alone, Outlined};
pub use hold::{Hold, Selector, is_probed};
pub use lanes::Standby;
pub use late::{Late, LateMail};
pub use listing::{AttemptDetail, Detail, Filter, RecipientDetail, State, Summary, Totals};
pub use message::{Lease, MailboxKey, NewMessage, Next, Report, Route};
pub use settings::Settings;
pub use settle::{AttemptResult, Unsettled};
pub use spool::{BodyReader, BodyWriter, ContentKind, SpooledBody};
pub use tables::MIGRATIONS;
pub use verdict::{Fate, Verdict};

use crate::clock::{Clock, Timestamp};
use crate::mail::{Attempt, BackendKind, Observer, QueueId};
use crate::store::{Store, StoreError};
use clock_watch::ClockWatch;
use direct::Clients;
use forms::OneLarge;
use inner::Inner;
use lanes::Lanes;
use lease::Offer;
use retry::Jitter;
use room::Room;
use settle::Settlement;
use spool::{Content, Spool};

/// Overdue messages that are leased at once.
const OVERDUE_BATCH: usize = 100;

/// The queue. Clones share it.
///
/// A front receives content through [`Queue::body_writer`] and hands the message to [`Queue::accept`]. A worker for
/// each mailbox (told of by [`Queue::new_lanes`]) takes leases, makes attempts, asks for the [`Queue::verdict`] and
/// settles; while there is nothing to do it waits for [`Queue::wait`] or the time it was given.
#[derive(Clone)]
pub struct Queue {
    inner: Arc<Inner>,
}

impl Queue {
    /// Opens the queue and picks up where the last run stopped: attempts that were under way become unknown, spool
    /// files without a message are removed. Memory does not depend on the number of messages.
    ///
    /// # Errors
    /// [`QueueError::Spool`] if the spool folder cannot be used, otherwise what the store says.
    pub async fn open(
        store: Store,
        settings: Settings,
        clock: Clock,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, QueueError> {
        let spool = Arc::new(Spool::open(&settings)?);
        let room = Room::new(settings.reserve_octets, settings.reserve_percent);
        let (lanes, clients, one_large) = (Arc::new(Lanes::new()), Clients::default(), OneLarge::default());
        let (wall, steady) = clock.both();
        let (watch, turned) = (Mutex::new(ClockWatch::new(wall, steady)), watch::Sender::new(0));
        let inner = Inner { store, settings, clock, observer, spool, room, lanes, clients, one_large, watch, turned };
        inner.recover().await?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Whether mail can be taken. Cheap: the system is asked once a second.
    ///
    /// # Errors
    /// [`QueueError::NoRoom`] below the disk reserve, [`QueueError::Suspect`] once the disk has failed.
    pub fn check_room(&self) -> Result<(), QueueError> {
        let Inner { store, spool, room, settings, clock, .. } = &*self.inner;
        store.check()?;
        spool.check()?;
        if room.is_left(&settings.data, clock) { Ok(()) } else { Err(QueueError::NoRoom) }
    }

    /// Takes the content of one message.
    pub fn body_writer(&self) -> BodyWriter {
        BodyWriter::new(Arc::clone(&self.inner.spool))
    }

    /// Accepts a message: on `Ok` it is on the disk and ours.
    ///
    /// # Errors
    /// [`QueueError::NoRoom`], [`QueueError::Suspect`], or what the store says. The message is not accepted then.
    pub async fn accept(&self, message: NewMessage) -> Result<QueueId, QueueError> {
        self.check_room()?;
        let inner = Arc::clone(&self.inner);
        // A task of its own: a caller that gives up must not leave the message half announced.
        let accepting = tokio::spawn(async move { inner.accept(message).await });
        accepting.await.map_err(|_| StoreError::Closed)?
    }

    /// Leases the message of a mailbox that is due first. The attempt is on the disk before this returns. While the
    /// mailbox is held, one message is leased as a probe when that is due.
    ///
    /// A lease that is already [decided](Lease::decided) is settled, not sent.
    ///
    /// # Errors
    /// What the store says; nothing is leased then.
    pub async fn lease(&self, key: &MailboxKey) -> Result<Next, QueueError> {
        let inner = &self.inner;
        let lane = inner.lanes.lane(key);
        let Some(&row) = lane.row.get() else { return Ok(Next::Wait(None)) };
        loop {
            let (now, lane) = (inner.now(), Arc::clone(&lane));
            match inner.store.write(move |connection| lease::next(connection, row, &lane.fair, now)).await? {
                Offer::Wait(until) => return Ok(Next::Wait(until)),
                Offer::SetAside { id, why } => inner.set_aside(id, &why),
                Offer::Lease(mut lease) => {
                    inner.find_content(&mut lease).await;
                    return Ok(Next::Lease(lease));
                }
            }
        }
    }

    /// Leases messages whose time is up while they wait or are held; each is [decided](Lease::decided). Up to 100 at
    /// once, so ask again until none come.
    ///
    /// # Errors
    /// What the store says; nothing is leased then.
    pub async fn lease_expired(&self) -> Result<Vec<Lease>, QueueError> {
        let inner = &self.inner;
        let (now, settings) = (inner.now(), inner.settings.clone());
        let overdue = move |connection: &_| lease::overdue(connection, &settings, now, OVERDUE_BATCH);
        let overdue = inner.store.read(overdue).await?;
        if overdue.is_empty() {
            return Ok(Vec::new());
        }
        let settings = inner.settings.clone();
        let expired = move |connection: &_| lease::expired(connection, &settings, now, &overdue);
        let mut leases = Vec::new();
        for offer in inner.store.write(expired).await? {
            match offer {
                Offer::Lease(lease) => leases.push(*lease),
                Offer::SetAside { id, why } => inner.set_aside(id, &why),
                Offer::Wait(_) => {}
            }
        }
        Ok(leases)
    }

    /// What follows from an attempt. Changes nothing.
    pub fn verdict(&self, lease: &Lease, attempt: &Attempt) -> Verdict {
        let jitter = Jitter::new(rand::random());
        verdict::judge(lease, attempt, &self.inner.settings, self.inner.now(), jitter)
    }

    /// Writes down what became of an attempt, with the report about it. On `Ok` it is on the disk and the lease is
    /// given back.
    ///
    /// # Errors
    /// [`Unsettled`] holds everything for [`Queue::settle_again`]; until that succeeds the message is not sent again.
    pub async fn settle(
        &self,
        lease: Lease,
        attempt: Attempt,
        verdict: Verdict,
        report: Option<Report>,
    ) -> Result<(), Unsettled> {
        let settlement = Arc::new(Settlement::new(lease, attempt, verdict, report));
        self.write_settlement(settlement, false).await.map(drop)
    }

    /// As [`Queue::settle`], and leases the next message of the same mailbox in the same transaction, if one is due.
    ///
    /// # Errors
    /// As [`Queue::settle`]; nothing is leased then.
    pub async fn settle_and_lease(
        &self,
        lease: Lease,
        attempt: Attempt,
        verdict: Verdict,
        report: Option<Report>,
    ) -> Result<Option<Lease>, Unsettled> {
        let settlement = Arc::new(Settlement::new(lease, attempt, verdict, report));
        self.write_settlement(settlement, true).await
    }

    /// Tries once more to write down what became of an attempt.
    ///
    /// # Errors
    /// As [`Queue::settle`].
    pub async fn settle_again(&self, unsettled: Unsettled) -> Result<(), Unsettled> {
        self.write_settlement(unsettled.settlement, false).await.map(drop)
    }

    async fn write_settlement(&self, settlement: Arc<Settlement>, go_on: bool) -> Result<Option<Lease>, Unsettled> {
        let (inner, work) = (Arc::clone(&self.inner), Arc::clone(&settlement));
        let settling = tokio::spawn(async move { inner.settle(work, go_on).await });
        let settled = settling.await.map_err(|_| QueueError::from(StoreError::Closed)).flatten();
        settled.map_err(|error| Unsettled { error, settlement })
    }

    /// Has the next message of the mailbox leased as it is accepted, and carried out by `standby`. Each stands by for
    /// one message. Only while nothing of the mailbox is due: what waits has waited longer.
    pub fn stand_by(&self, key: &MailboxKey, standby: Standby) {
        self.inner.lanes.lane(key).stand_by(standby);
    }

    /// Gives back what stands by for the mailbox.
    pub fn withdraw(&self, key: &MailboxKey) {
        self.inner.lanes.lane(key).withdraw();
    }

    /// Completes when the mailbox has something to do: mail was accepted, retried or released, or has another time. One waiter for each
    /// mailbox; a wake that comes while nobody waits is kept.
    pub fn wait(&self, key: &MailboxKey) -> impl Future<Output = ()> + Send + 'static {
        let lane = self.inner.lanes.lane(key);
        async move { lane.wake.notified().await }
    }

    /// Tells each mailbox that has mail once: those there are at the start, then new ones. For one caller.
    pub fn new_lanes(&self) -> UnboundedReceiver<MailboxKey> {
        self.inner.lanes.announcements()
    }

    /// When messages of a mailbox were sent since `since`, and to how many recipients; attempts whose answer was lost
    /// count.
    ///
    /// # Errors
    /// What the store says.
    pub async fn recent_sends(&self, key: &MailboxKey, since: Timestamp) -> Result<Vec<(Timestamp, u32)>, QueueError> {
        let Some(&lane) = self.inner.lanes.lane(key).row.get() else { return Ok(Vec::new()) };
        let sends = move |connection: &_| listing::recent_sends(connection, lane, since);
        Ok(self.inner.store.read(sends).await?)
    }

    /// When messages of a mailbox were sent by this way since `since`, how large each was, and to how many recipients it
    /// went; attempts whose answer was lost count, whatever their way was.
    ///
    /// # Errors
    /// What the store says.
    pub async fn recent_uploads(
        &self,
        key: &MailboxKey,
        way: BackendKind,
        since: Timestamp,
    ) -> Result<Vec<(Timestamp, u64, u32)>, QueueError> {
        let Some(&lane) = self.inner.lanes.lane(key).row.get() else { return Ok(Vec::new()) };
        Ok(self.inner.store.read(move |connection| listing::recent_uploads(connection, lane, way, since)).await?)
    }

    /// The content of a leased message, from its beginning.
    ///
    /// # Errors
    /// [`QueueError::BodyDamaged`] if it is not what was accepted.
    pub async fn body(&self, lease: &Lease) -> Result<BodyReader, QueueError> {
        let (spool, seq) = (&self.inner.spool, lease.record.seq);
        match &lease.record.content {
            Content::Memory(octets) => BodyReader::memory(Arc::clone(octets), lease.size, None),
            Content::File(name) => BodyReader::file(spool.path(name), lease.size, lease.expected()).await,
            Content::Stored => {
                let octets = self.inner.store.read(move |connection| listing::content(connection, seq)).await?;
                let missing = || QueueError::BodyDamaged("the content is not in the database".to_owned());
                BodyReader::memory(octets.ok_or_else(missing)?, lease.size, lease.expected())
            }
        }
    }

    /// What was written under `key` for the message of a lease, in this attempt or an earlier one.
    ///
    /// # Errors
    /// What the store says.
    pub async fn note(&self, lease: &Lease, key: &str) -> Result<Option<String>, QueueError> {
        let (seq, key) = (lease.record.seq, key.to_owned());
        Ok(self.inner.store.read(move |connection| notes::read(connection, seq, &key)).await?)
    }

    /// Writes `note` under `key` for the message of a lease, or takes away what is there. On `Ok` it is on the disk.
    ///
    /// # Errors
    /// What the store says; nothing is written then.
    pub async fn write_note(&self, lease: &Lease, key: &str, note: Option<String>) -> Result<(), QueueError> {
        let (seq, key) = (lease.record.seq, key.to_owned());
        let write = move |connection: &_| notes::write(connection, seq, &key, note.as_deref());
        Ok(self.inner.store.write(write).await?)
    }

    /// When the first attempt began of which nobody knows whether the provider took the message. `None` if there was
    /// none, or if some recipients are relayed already: then a copy at the provider proves nothing for the others.
    ///
    /// # Errors
    /// What the store says.
    pub async fn maybe_taken(&self, lease: &Lease) -> Result<Option<Timestamp>, QueueError> {
        if lease.attempt < 2 {
            return Ok(None);
        }
        let (seq, attempt) = (lease.record.seq, lease.attempt);
        Ok(self.inner.store.read(move |connection| notes::maybe_taken(connection, seq, attempt)).await?)
    }

    /// How far the mailbox has been looked through for reports, as [`Queue::record_bounces`] was told.
    ///
    /// # Errors
    /// What the store says.
    pub async fn inbox_place(&self, key: &MailboxKey) -> Result<Option<String>, QueueError> {
        let key = key.clone();
        Ok(self.inner.store.read(move |connection| bounces::place(connection, &key)).await?)
    }

    /// Writes into history what reports in the mailbox say of messages that it sent, together with how far the mailbox
    /// has been looked through. Nothing else changes by them. Gives how many lines are new.
    ///
    /// # Errors
    /// What the store says; nothing is written then.
    pub async fn record_bounces(
        &self,
        key: &MailboxKey,
        found: Vec<FoundReport>,
        place: String,
    ) -> Result<usize, QueueError> {
        let (inner, key) = (Arc::clone(&self.inner), key.clone());
        // A task of its own: what is written is told.
        let recording = tokio::spawn(async move { inner.record_bounces(key, found, place).await });
        recording.await.map_err(|_| StoreError::Closed)?
    }

    /// The messages that `filter` asks for, newest first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn list(&self, filter: Filter) -> Result<Vec<Summary>, QueueError> {
        Ok(self.inner.store.read(move |connection| listing::list(connection, &filter)).await?)
    }

    /// Everything about the messages that `filter` asks for, relayed and dropped ones included, newest first: at most
    /// 200, the next ones `before` the last of them.
    ///
    /// # Errors
    /// What the store says.
    pub async fn history(&self, filter: Filter) -> Result<Vec<Detail>, QueueError> {
        Ok(self.inner.store.read(move |connection| listing::history(connection, &filter)).await?)
    }

    /// Everything about one message.
    ///
    /// # Errors
    /// What the store says.
    pub async fn show(&self, id: QueueId) -> Result<Option<Detail>, QueueError> {
        Ok(self.inner.store.read(move |connection| listing::show(connection, id)).await?)
    }

    /// A message as it would be sent, if its content is still there.
    ///
    /// # Errors
    /// [`QueueError::NoContent`], [`QueueError::BodyDamaged`], or what the store says.
    pub async fn copy(&self, id: QueueId) -> Result<MessageCopy, QueueError> {
        self.inner.copy(id).await
    }

    /// How many messages were accepted, relayed and failed before `until`, by the hour, of those accepted since `since`.
    ///
    /// # Errors
    /// What the store says.
    pub async fn hours(&self, since: Timestamp, until: Timestamp) -> Result<Vec<HourOfMail>, QueueError> {
        Ok(self.inner.store.read(move |connection| day::hours(connection, since, until)).await?)
    }

    /// How many messages there are in each state.
    ///
    /// # Errors
    /// What the store says.
    pub async fn totals(&self) -> Result<Totals, QueueError> {
        Ok(self.inner.store.read(listing::totals).await?)
    }

    /// When the oldest message was accepted that has not come to its end.
    ///
    /// # Errors
    /// What the store says.
    pub async fn oldest(&self) -> Result<Option<Timestamp>, QueueError> {
        Ok(self.inner.store.read(listing::oldest).await?)
    }

    /// Makes a message due now, and ends every wait that its mailbox or a way of it was asked for. If it failed, the
    /// failed recipients are tried again and its time begins anew.
    ///
    /// # Errors
    /// [`QueueError::NoSuchMessage`], [`QueueError::InFlight`], [`QueueError::NoContent`].
    pub async fn retry(&self, id: QueueId) -> Result<(), QueueError> {
        let (now, inner) = (self.inner.now(), Arc::clone(&self.inner));
        let retry = move |connection: &_| {
            let retried = handling::retry(connection, id, now)?;
            if let Ok((key, _)) = &retried {
                // Before the message can be leased, so that its attempt knows. Once more than needed does no harm.
                inner.lanes.lane(key).insist();
            }
            Ok(retried)
        };
        let (key, lane) = self.inner.store.write(retry).await??;
        self.inner.lanes.has_mail(&key, lane);
        Ok(())
    }

    /// How often a message of the mailbox was to be tried now ([`Queue::retry`]) since the start: what ways out asked
    /// for before that counts no more.
    pub fn insisted(&self, key: &MailboxKey) -> u64 {
        self.inner.lanes.lane(key).insisted()
    }

    /// Drops a message: its content goes at once, its history when its time is over. Nobody is told.
    ///
    /// # Errors
    /// [`QueueError::NoSuchMessage`], [`QueueError::InFlight`].
    pub async fn drop_message(&self, id: QueueId) -> Result<(), QueueError> {
        let inner = &self.inner;
        let now = inner.now();
        let spool = inner.store.write(move |connection| handling::drop_message(connection, id, now)).await??;
        inner.spool.recent.forget(id);
        inner.spool.remove(spool.into_iter().collect()).await;
        Ok(())
    }

    /// Removes messages that finished longer ago than they are kept. To be called every minute or so.
    ///
    /// # Errors
    /// What the store says; the rest is removed the next time.
    pub async fn maintain(&self) -> Result<(), QueueError> {
        let inner = &self.inner;
        let before = inner.now().minus(inner.settings.keep);
        loop {
            let old = inner.store.read(move |connection| handling::old_messages(connection, before)).await?;
            if old.is_empty() {
                return Ok(());
            }
            let (_, files) = inner.store.write(move |connection| handling::purge(connection, before)).await?;
            inner.spool.remove(files).await;
        }
    }
}
