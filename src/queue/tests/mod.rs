//! The queue on a real store, with a clock that the test moves.

mod accepting;
mod bouncing;
mod direct;
mod fairness;
mod forms;
mod handling;
mod holding;
mod leasing;
mod recovering;
mod settling;
mod showing;
mod spooling;
mod standing_by;
mod telling;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::mail::{
    Address, BackendKind, Envelope, Event, Failure, Outcome, Reason, Receipt, Recipient, ReversePath, SenderPolicy,
};

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// Keeps every event.
#[derive(Default)]
struct Witness(Mutex<Vec<Event>>);

impl Observer for Witness {
    fn observe(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

impl Witness {
    fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.0.lock().unwrap().iter().filter(|event| wanted(event)).count()
    }
}

/// A queue in a folder of its own.
struct Desk {
    folder: TempDir,
    clock: Clock,
    settings: Settings,
    store: Store,
    queue: Queue,
    witness: Arc<Witness>,
}

impl Desk {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A small queue: content above 1,000 octets goes to a file.
    async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = TempDir::new().unwrap();
        let mut settings = Settings::new(folder.path());
        (settings.inline_octets, settings.memory_octets) = (1_000, 10_000);
        (settings.reserve_octets, settings.reserve_percent) = (0, 0);
        change(&mut settings);
        Self::open(folder, Clock::manual(Timestamp::from_millis(1_800_000_000_000)), settings).await
    }

    async fn open(folder: TempDir, clock: Clock, settings: Settings) -> Self {
        let store = Store::open(&folder.path().join("queue.sqlite"), MIGRATIONS).unwrap();
        let witness = Arc::new(Witness::default());
        let observer = Arc::clone(&witness) as Arc<dyn Observer>;
        let queue = Queue::open(store.clone(), settings.clone(), clock.clone(), observer).await.unwrap();
        Self { folder, clock, settings, store, queue, witness }
    }

    /// Goes away without a farewell, and starts again.
    async fn crash(self) -> Self {
        let Self { folder, clock, settings, store, queue, .. } = self;
        drop((queue, store));
        Self::open(folder, clock, settings).await
    }

    fn spool(&self) -> PathBuf {
        self.settings.data.join("spool")
    }

    fn spool_files(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.spool()).unwrap();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    async fn body(&self, octets: &[u8]) -> SpooledBody {
        let mut writer = self.queue.body_writer();
        for piece in octets.chunks(300) {
            writer.write(piece).await.unwrap();
        }
        writer.finish().await.unwrap()
    }

    async fn message(&self, to: &[&str], octets: &[u8]) -> NewMessage {
        let recipients = to.iter().map(|to| Recipient::from(address(to))).collect();
        NewMessage {
            id: QueueId::fresh(),
            envelope: Envelope::new(ReversePath::Mailbox(address("app@x.example")), recipients).unwrap(),
            route: route(),
            prefix: b"Received: by test\r\n".to_vec(),
            body: self.body(octets).await,
            message_id: Some("<1@x.example>".to_owned()),
            report_about: None,
            peer: None,
        }
    }

    async fn accept(&self, to: &[&str]) -> QueueId {
        self.queue.accept(self.message(to, b"Subject: a\r\n\r\nb\r\n").await).await.unwrap()
    }

    async fn next(&self) -> Next {
        self.queue.lease(&route().key()).await.unwrap()
    }

    async fn lease(&self) -> Lease {
        match self.next().await {
            Next::Lease(lease) => *lease,
            Next::Wait(until) => panic!("nothing to lease until {until:?}"),
        }
    }

    /// Until when there is nothing to do.
    async fn waits(&self) -> Option<Timestamp> {
        match self.next().await {
            Next::Lease(lease) => panic!("{} was leased", lease.id),
            Next::Wait(until) => until,
        }
    }

    async fn settle(&self, lease: Lease, attempt: Attempt) {
        let verdict = self.queue.verdict(&lease, &attempt);
        self.queue.settle(lease, attempt, verdict, None).await.unwrap();
    }

    /// The next message gets the same outcome for each recipient.
    async fn attempt(&self, outcome: Outcome) -> QueueId {
        let lease = self.lease().await;
        let id = lease.id;
        let attempt = all(&lease, outcome);
        self.settle(lease, attempt).await;
        id
    }

    /// The next message gets an outcome for each recipient.
    async fn attempt_each(&self, outcomes: Vec<Outcome>) -> QueueId {
        let lease = self.lease().await;
        let id = lease.id;
        self.settle(lease, Attempt { backend: Some(BackendKind::Smtp), outcomes, notes: vec![] }).await;
        id
    }

    async fn read(&self, lease: &Lease) -> Result<Vec<u8>, QueueError> {
        let mut reader = self.queue.body(lease).await?;
        let mut octets = Vec::new();
        while let Some(chunk) = reader.chunk().await? {
            octets.extend(chunk);
        }
        Ok(octets)
    }

    async fn show(&self, id: QueueId) -> Detail {
        self.queue.show(id).await.unwrap().unwrap()
    }

    async fn state(&self, id: QueueId) -> State {
        self.show(id).await.summary.state
    }
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn route() -> Route {
    Route {
        account: "scanner".to_owned(),
        provider: "contoso".to_owned(),
        mailbox: address("scanner@contoso.example"),
        client: "printer".to_owned(),
        sender: SenderPolicy::Rewrite,
        reports_to: None,
    }
}

fn all(lease: &Lease, outcome: Outcome) -> Attempt {
    Attempt::uniform(Some(BackendKind::Smtp), lease.envelope.recipients().len(), outcome)
}

fn relayed() -> Outcome {
    Outcome::Relayed(Receipt { diagnostic: "250 2.0.0 OK".to_owned(), knows_wishes: false })
}

fn outcome(reason: Reason) -> Outcome {
    Failure::new(reason, "the remote's words").into()
}
