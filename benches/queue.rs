//! The queue alone: accept, lease, settle, each durable, with 1 and 16 messages under way at once.
//!
//!     cargo bench --bench queue
#![expect(clippy::expect_used, reason = "a bench stops where an expectation fails")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use oxpost::clock::Clock;
use oxpost::mail::{
    Address, Attempt, BackendKind, Envelope, Event, Observer, Outcome, QueueId, Receipt, Recipient, ReversePath,
    SenderPolicy,
};
use oxpost::queue::{MIGRATIONS, NewMessage, Next, Queue, Route, Settings};
use oxpost::store::Store;

/// Octets of each message.
const CONTENT: usize = 4096;

struct Silent;

impl Observer for Silent {
    fn observe(&self, event: &Event) {
        black_box(event);
    }
}

fn address(text: &str) -> Address {
    text.parse().expect("an address")
}

fn route() -> Route {
    Route {
        account: "bench".to_owned(),
        provider: "bench".to_owned(),
        mailbox: address("bench@example.test"),
        client: "bench".to_owned(),
        sender: SenderPolicy::Keep,
        reports_to: None,
    }
}

async fn cycle(queue: &Queue) {
    let mut writer = queue.body_writer();
    writer.write(&[b'x'; CONTENT]).await.expect("room");
    let body = writer.finish().await.expect("room");
    let path = ReversePath::Mailbox(address("bench@example.test"));
    let envelope = Envelope::to_one(path, Recipient::from(address("to@example.test")));
    let (id, route) = (QueueId::fresh(), route());
    let key = route.key();
    let prefix = b"Received: bench\r\n".to_vec();
    let message = NewMessage { id, envelope, route, prefix, body, message_id: None, peer: None, report_about: None };
    queue.accept(message).await.expect("accepted");
    if let Next::Lease(lease) = queue.lease(&key).await.expect("leased") {
        let taken = Outcome::Relayed(Receipt { diagnostic: "250 2.0.0 OK".to_owned(), knows_wishes: false });
        let attempt = Attempt::uniform(Some(BackendKind::Smtp), 1, taken);
        let verdict = queue.verdict(&lease, &attempt);
        queue.settle(*lease, attempt, verdict, None).await.expect("settled");
    }
}

/// So many cycles at once; ends when all have.
async fn together(queue: &Queue, at_once: u64) {
    let of = |queue: Queue| async move { cycle(&queue).await };
    let cycles: Vec<_> = (0..at_once).map(|_| tokio::spawn(of(queue.clone()))).collect();
    for cycle in cycles {
        cycle.await.expect("a cycle");
    }
}

fn bench(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let store = Store::open(&folder.path().join("bench.db"), MIGRATIONS).expect("a store");
    let settings = Settings { reserve_octets: 0, reserve_percent: 0, ..Settings::new(folder.path()) };
    let queue =
        runtime.block_on(Queue::open(store.clone(), settings, Clock::system(), Arc::new(Silent))).expect("a queue");
    let mut group = criterion.benchmark_group("accept, lease, settle");
    for at_once in [1_u64, 16] {
        group.throughput(Throughput::Elements(at_once));
        group.bench_function(format!("{at_once} at once"), |bencher| {
            bencher.to_async(&runtime).iter(|| together(&queue, at_once));
        });
    }
    group.finish();
    drop(queue);
    store.close();
}

criterion_group!(benches, bench);
criterion_main!(benches);
