//! Clients that wait for the provider's answer.

use std::future::{pending, ready};

use tokio::task::JoinHandle;

use super::*;

/// Hands a message in, and a client waits for as long as it takes.
async fn hand_in(desk: &Desk, to: &[&str]) -> (QueueId, JoinHandle<Answer>) {
    hand_in_content(desk, to, b"Subject: a\r\n\r\nb\r\n").await
}

async fn hand_in_content(desk: &Desk, to: &[&str], octets: &[u8]) -> (QueueId, JoinHandle<Answer>) {
    let message = desk.message(to, octets).await;
    let (id, queue) = (message.id, desk.queue.clone());
    (id, tokio::spawn(async move { queue.hand_over(message, pending()).await.unwrap() }))
}

/// The lease of a message that is being handed in.
async fn leased(desk: &Desk) -> Lease {
    desk.queue.wait(&route().key()).await;
    desk.lease().await
}

/// Settles as a worker would.
async fn settle(desk: &Desk, lease: Lease, attempt: Attempt) {
    let mut verdict = desk.queue.verdict(&lease, &attempt);
    let refusal = desk.queue.answer(&lease, &attempt, &mut verdict);
    desk.queue.settle(lease, attempt, verdict, None).await.unwrap();
    if let Some(refusal) = refusal {
        refusal.say();
    }
}

fn rows(desk: &Desk) -> impl Future<Output = i64> {
    let count = |connection: &rusqlite::Connection| {
        let mut rows = 0;
        for table in ["message", "body", "recipient", "attempt", "note", "pending"] {
            rows += connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0))?;
        }
        Ok(rows)
    };
    let store = desk.store.clone();
    async move { store.read(count).await.unwrap() }
}

#[tokio::test]
async fn what_the_provider_took_is_told_and_kept_in_history() {
    let desk = Desk::new().await;
    let (id, client) = hand_in(&desk, &["a@y.example", "b@y.example"]).await;
    let lease = leased(&desk).await;
    assert_eq!(lease.id, id);
    assert_eq!(desk.witness.count(|event| matches!(event, Event::Accepted { .. })), 0, "not ours yet");
    let attempt = all(&lease, relayed());
    settle(&desk, lease, attempt).await;
    assert_eq!(client.await.unwrap(), Answer::Relayed);
    assert_eq!(desk.state(id).await, State::Relayed);
    assert_eq!(desk.witness.count(|event| matches!(event, Event::Accepted { .. })), 1);
}

#[tokio::test]
async fn what_nobody_took_is_told_in_the_worst_words_and_leaves_nothing() {
    use Reason as R;
    let rows_of = [
        (vec![R::RecipientRefused, R::RecipientRefused], R::RecipientRefused, "all for good"),
        (vec![R::RecipientDeferred, R::RecipientRefused], R::RecipientRefused, "for good is worse"),
        (vec![R::RecipientDeferred, R::Throttled], R::RecipientDeferred, "the first of equals"),
        (vec![R::Throttled, R::Throttled], R::Throttled, "the remote's own trouble"),
    ];
    for (reasons, told, why) in rows_of {
        let desk = Desk::new().await;
        let (id, client) = hand_in_content(&desk, &["a@y.example", "b@y.example"], &[b'x'; 5_000]).await;
        let lease = leased(&desk).await;
        let outcomes = reasons.into_iter().map(outcome).collect();
        settle(&desk, lease, Attempt { backend: None, outcomes, notes: Vec::new() }).await;
        assert!(matches!(client.await.unwrap(), Answer::Refused(failure) if failure.reason == told), "{why}");
        assert_eq!(desk.queue.show(id).await.unwrap().map(|found| found.summary.state), None, "{why}");
        assert_eq!((rows(&desk).await, desk.spool_files().len()), (0, 0), "{why}");
        let told = |event: &Event| matches!(event, Event::Failed { .. } | Event::Deferred { .. });
        assert_eq!(desk.witness.count(told), 0, "{why}: the client alone hears of it");
    }
}

#[tokio::test]
async fn mixed_and_lost_answers_are_taken_and_go_the_queues_way() {
    let rows_of = [
        (vec![relayed(), outcome(Reason::RecipientRefused)], State::Failed, "one was refused"),
        (vec![relayed(), outcome(Reason::RecipientDeferred)], State::Waiting, "one was put off"),
        (vec![outcome(Reason::AnswerLost), outcome(Reason::AnswerLost)], State::Waiting, "nobody knows"),
        (vec![outcome(Reason::RecipientRefused), outcome(Reason::AnswerLost)], State::Waiting, "nobody knows of one"),
    ];
    for (outcomes, state, why) in rows_of {
        let desk = Desk::new().await;
        let (id, client) = hand_in(&desk, &["a@y.example", "b@y.example"]).await;
        let lease = leased(&desk).await;
        settle(&desk, lease, Attempt { backend: None, outcomes, notes: Vec::new() }).await;
        assert_eq!(client.await.unwrap(), Answer::Queued, "{why}");
        assert_eq!(desk.state(id).await, state, "{why}");
        let desk = desk.crash().await;
        assert_eq!(desk.state(id).await, state, "{why}: it is ours");
    }
}

#[tokio::test]
async fn when_patience_ends_the_message_is_an_ordinary_one() {
    let desk = Desk::new().await;
    let message = desk.message(&["a@y.example"], b"Subject: a\r\n\r\nb\r\n").await;
    let id = message.id;
    assert_eq!(desk.queue.hand_over(message, ready(())).await.unwrap(), Answer::Queued);
    assert_eq!(desk.witness.count(|event| matches!(event, Event::Accepted { .. })), 1);
    let desk = desk.crash().await;
    assert_eq!(desk.state(id).await, State::Waiting);
    let lease = desk.lease().await;
    let attempt = all(&lease, outcome(Reason::RecipientRefused));
    settle(&desk, lease, attempt).await;
    assert_eq!(desk.state(id).await, State::Failed, "nobody waits, so it is kept and reported");
}

#[tokio::test]
async fn a_restart_drops_what_was_never_tried_and_keeps_what_was() {
    let desk = Desk::new().await;
    let (tried, first) = hand_in(&desk, &["a@y.example"]).await;
    leased(&desk).await;
    let (untried, second) = hand_in_content(&desk, &["b@y.example"], &[b'x'; 5_000]).await;
    desk.queue.wait(&route().key()).await;
    assert_eq!(desk.state(untried).await, State::Waiting, "on the disk before any attempt");
    first.abort();
    second.abort();
    let desk = desk.crash().await;
    assert!(desk.queue.show(untried).await.unwrap().is_none(), "its client never heard 250");
    assert_eq!(desk.spool_files().len(), 0);
    let detail = desk.show(tried).await;
    assert_eq!(detail.summary.failure.unwrap().reason, Reason::AnswerLost);
    assert_eq!(desk.waits().await, Some(desk.clock.now().plus(desk.settings.unknown_retry)));
}

#[tokio::test]
async fn a_held_mailbox_refuses_at_once_but_for_a_probe_that_is_due() {
    let desk = Desk::new().await;
    let (_, client) = hand_in(&desk, &["a@y.example"]).await;
    let lease = leased(&desk).await;
    let attempt = all(&lease, outcome(Reason::MailboxFull));
    settle(&desk, lease, attempt).await;
    assert!(matches!(client.await.unwrap(), Answer::Refused(_)));
    assert_eq!(desk.queue.holds().await.unwrap().len(), 1, "the trouble is the mailbox's");

    let message = desk.message(&["b@y.example"], &[b'x'; 5_000]).await;
    let answer = desk.queue.hand_over(message, pending()).await.unwrap();
    assert!(matches!(answer, Answer::Refused(failure) if failure.reason == Reason::MailboxFull));
    assert_eq!((rows(&desk).await, desk.spool_files().len()), (0, 0));

    desk.clock.advance(5 * MINUTE);
    let (sender, mut leases) = tokio::sync::mpsc::unbounded_channel();
    desk.queue.stand_by(&route().key(), Standby::new(move |lease| sender.send(lease).unwrap()));
    let (_, client) = hand_in(&desk, &["c@y.example"]).await;
    let lease = leases.recv().await.unwrap();
    assert!(lease.probe);
    let attempt = all(&lease, relayed());
    settle(&desk, lease, attempt).await;
    assert_eq!(client.await.unwrap(), Answer::Relayed);
    assert_eq!(desk.queue.holds().await.unwrap().len(), 0, "the probe went through");
}

#[tokio::test]
async fn a_hold_that_begins_while_a_message_waits_its_turn_refuses_it_in_the_end() {
    let desk = Desk::new().await;
    desk.accept(&["a@y.example"]).await;
    let lease = desk.lease().await;
    let message = desk.message(&["b@y.example"], b"Subject: b\r\n\r\n").await;
    let (id, queue, patience) = (message.id, desk.queue.clone(), Arc::new(tokio::sync::Notify::new()));
    let ends = Arc::clone(&patience);
    let client = tokio::spawn(async move { queue.hand_over(message, ends.notified()).await.unwrap() });
    desk.queue.wait(&route().key()).await;
    desk.queue.wait(&route().key()).await;
    let attempt = all(&lease, outcome(Reason::SignInNeeded));
    desk.settle(lease, attempt).await;
    patience.notify_one();
    assert!(matches!(client.await.unwrap(), Answer::Refused(failure) if failure.reason == Reason::SignInNeeded));
    assert!(desk.queue.show(id).await.unwrap().is_none());
}

/// The wait that the remote asked for is the mailbox's, not that of the message which is gone.
#[tokio::test]
async fn a_wait_that_was_asked_for_outlives_the_message() {
    let desk = Desk::new().await;
    let (_, client) = hand_in(&desk, &["a@y.example"]).await;
    let lease = leased(&desk).await;
    let asked = Failure::new(Reason::Throttled, "429").retry_after(Some(MINUTE));
    let attempt = all(&lease, asked.into());
    settle(&desk, lease, attempt).await;
    assert!(matches!(client.await.unwrap(), Answer::Refused(_)));
    let id = desk.accept(&["b@y.example"]).await;
    assert_eq!(desk.waits().await, Some(desk.clock.now().plus(MINUTE)));
    desk.queue.retry(id).await.unwrap();
    assert_eq!(desk.lease().await.id, id, "an administrator knows better");
}

#[tokio::test]
async fn a_message_that_was_dropped_meanwhile_is_not_acknowledged() {
    let desk = Desk::new().await;
    let message = desk.message(&["a@y.example"], b"Subject: a\r\n\r\nb\r\n").await;
    let (id, queue, patience) = (message.id, desk.queue.clone(), Arc::new(tokio::sync::Notify::new()));
    let ends = Arc::clone(&patience);
    let client = tokio::spawn(async move { queue.hand_over(message, ends.notified()).await.unwrap() });
    desk.queue.wait(&route().key()).await;
    desk.queue.drop_message(id).await.unwrap();
    patience.notify_one();
    assert!(matches!(client.await.unwrap(), Answer::Refused(failure) if failure.reason == Reason::Rejected));
}
