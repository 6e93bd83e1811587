//! Messages that are leased as they are accepted.

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;

/// Room for `count` messages, and the leases that come of it.
fn stand_by(desk: &Desk, count: usize) -> UnboundedReceiver<Lease> {
    let (sender, leases) = unbounded_channel();
    for _ in 0..count {
        let sender = sender.clone();
        desk.queue.stand_by(&route().key(), Standby::new(move |lease| sender.send(lease).unwrap()));
    }
    leases
}

#[tokio::test]
async fn a_message_is_leased_by_the_commit_that_accepts_it() {
    let desk = Desk::new().await;
    let mut leases = stand_by(&desk, 1);
    let commits = desk.store.commits();
    let id = desk.accept(&["a@y.example", "b@y.example"]).await;
    let lease = leases.recv().await.unwrap();
    assert_eq!(desk.store.commits(), commits + 1);
    assert_eq!((lease.id, lease.attempt, lease.envelope.recipients().len()), (id, 1, 2));
    assert_eq!(lease.prefix, b"Received: by test\r\n");
    assert_eq!(desk.read(&lease).await.unwrap(), b"Subject: a\r\n\r\nb\r\n");
    assert_eq!(desk.waits().await, None, "nobody else gets it");

    let attempt = all(&lease, relayed());
    desk.settle(lease, attempt).await;
    assert_eq!(desk.state(id).await, State::Relayed);
}

/// A lease from the database and one made at acceptance must not differ: whoever carries them out cannot tell.
#[tokio::test]
async fn such_a_lease_is_the_one_that_the_queue_would_have_given() {
    for octets in [&b"Subject: small\r\n\r\n"[..], &[b'x'; 5_000]] {
        let desk = Desk::new().await;
        let mut leases = stand_by(&desk, 1);
        let first = desk.queue.accept(desk.message(&["a@y.example"], octets).await).await.unwrap();
        let leased = leases.recv().await.unwrap();
        desk.settle(leased.clone(), all(&leased, outcome(Reason::TimedOut))).await;
        desk.queue.retry(first).await.unwrap();
        let again = desk.lease().await;
        let mut expected = Lease { attempt: 2, ..leased };
        expected.record.content = again.record.content.clone();
        assert_eq!(format!("{again:?}"), format!("{expected:?}"));
        assert_eq!(desk.read(&again).await.unwrap(), octets);
    }
}

#[tokio::test]
async fn each_stands_by_for_one_message() {
    let desk = Desk::new().await;
    let mut leases = stand_by(&desk, 1);
    desk.accept(&["a@y.example"]).await;
    let second = desk.accept(&["b@y.example"]).await;
    assert!(leases.recv().await.is_some());
    assert!(leases.recv().await.is_none());
    assert_eq!(desk.lease().await.id, second);
}

#[tokio::test]
async fn a_message_of_a_held_mailbox_waits() {
    let desk = Desk::new().await;
    desk.accept(&["a@y.example"]).await;
    desk.attempt(outcome(Reason::SignInNeeded)).await;
    let mut leases = stand_by(&desk, 1);
    let id = desk.accept(&["b@y.example"]).await;
    assert!(leases.recv().await.is_none(), "the room is given back");
    assert_eq!(desk.state(id).await, State::Held);
}

#[tokio::test]
async fn a_message_of_a_mailbox_that_was_asked_to_wait_waits() {
    let desk = Desk::new().await;
    desk.accept(&["a@y.example"]).await;
    let failure = Failure::new(Reason::Throttled, "429").retry_after(Some(MINUTE));
    desk.attempt(failure.into()).await;
    let mut leases = stand_by(&desk, 1);
    desk.accept(&["b@y.example"]).await;
    assert!(leases.recv().await.is_none());
    assert!(desk.waits().await.is_some());
}

#[tokio::test]
async fn what_is_withdrawn_is_leased_to_nobody() {
    let desk = Desk::new().await;
    let mut leases = stand_by(&desk, 3);
    desk.queue.withdraw(&route().key());
    let id = desk.accept(&["a@y.example"]).await;
    assert!(leases.recv().await.is_none());
    assert_eq!(desk.lease().await.id, id);
}

#[tokio::test]
async fn a_crash_right_after_the_acceptance_makes_the_attempt_unknown() {
    let desk = Desk::new().await;
    let mut leases = stand_by(&desk, 1);
    let id = desk.accept(&["a@y.example"]).await;
    drop(leases.recv().await.unwrap());
    let desk = desk.crash().await;
    let detail = desk.show(id).await;
    assert_eq!(detail.attempts.len(), 1);
    assert!(format!("{:?}", detail.attempts).contains("may arrive twice"), "{detail:?}");
}
