use super::*;

async fn hand_in(desk: &Desk, client: &str, octets: usize) {
    let mut message = desk.message(&["a@y.example"], &vec![b'x'; octets]).await;
    message.route.client = client.to_owned();
    desk.queue.accept(message).await.unwrap();
}

/// The clients of the next messages, each settled with the lease of the one behind it.
async fn order(desk: &Desk, count: usize) -> Vec<String> {
    let mut lease = desk.lease().await;
    let mut clients = vec![lease.route.client.clone()];
    while clients.len() < count {
        let attempt = all(&lease, relayed());
        let verdict = desk.queue.verdict(&lease, &attempt);
        lease = desk.queue.settle_and_lease(lease, attempt, verdict, None).await.unwrap().expect("more waits");
        clients.push(lease.route.client.clone());
    }
    let attempt = all(&lease, relayed());
    desk.settle(lease, attempt).await;
    clients
}

#[tokio::test]
async fn the_clients_of_a_mailbox_take_turns_and_the_messages_of_each_keep_their_order() {
    let desk = Desk::new().await;
    for _ in 0..50 {
        hand_in(&desk, "dumper", 900).await;
    }
    desk.clock.advance(MINUTE);
    hand_in(&desk, "quiet", 100).await;
    hand_in(&desk, "another", 100).await;
    let first = order(&desk, 6).await;
    assert!(["quiet", "another"].iter().all(|client| first.iter().any(|other| other == client)), "{first:?}");
    let mut accepted = Timestamp::default();
    for _ in 6..52 {
        let lease = desk.lease().await;
        assert!(lease.accepted_at >= accepted);
        accepted = lease.accepted_at;
        let attempt = all(&lease, relayed());
        desk.settle(lease, attempt).await;
    }
    assert_eq!(desk.waits().await, None);
}

#[tokio::test]
async fn a_client_whose_mail_is_not_due_yet_has_no_turn() {
    let desk = Desk::new().await;
    hand_in(&desk, "a", 10).await;
    let deferred = desk.attempt(outcome(Reason::TimedOut)).await;
    hand_in(&desk, "b", 10).await;
    assert_eq!(order(&desk, 1).await, ["b"]);
    let next = desk.show(deferred).await.summary.next_attempt;
    assert_eq!(desk.waits().await, next, "until the other's time has come");
}

fn rates(messages_per_minute: u32, recipients_per_day: u32, octets_per_5_minutes: u64) -> Rates {
    Rates { messages_per_minute, recipients_per_day, octets_per_5_minutes }
}

#[tokio::test]
async fn what_was_uploaded_by_a_way_counts_with_its_size() {
    let desk = Desk::new().await;
    let by = |lease: &Lease, way, outcome| Attempt::uniform(Some(way), lease.envelope.recipients().len(), outcome);
    let table = [
        (BackendKind::Graph, relayed(), 2, "two recipients"),
        (BackendKind::Smtp, relayed(), 0, "another way"),
        (BackendKind::Graph, outcome(Reason::RecipientRefused), 0, "nobody took it"),
        (BackendKind::Graph, outcome(Reason::AnswerLost), 2, "somebody may have"),
    ];
    let (mut expected, mut last) = (Vec::new(), QueueId::fresh());
    for (way, outcome, sent, why) in table {
        let content = b"Subject: a\r\n\r\nb\r\n";
        desk.queue.accept(desk.message(&["a@y.example", "b@y.example"], content).await).await.unwrap();
        let lease = desk.lease().await;
        last = lease.id;
        let attempt = by(&lease, way, outcome);
        desk.settle(lease, attempt).await;
        expected.extend((sent > 0).then_some((desk.clock.now(), content.len() as u64, sent)));
        let since = desk.clock.now().minus(MINUTE);
        let uploads = desk.queue.recent_uploads(&route().key(), BackendKind::Graph, since).await.unwrap();
        assert_eq!(uploads, expected, "{why}");
    }
    desk.queue.drop_message(last).await.unwrap();
    desk.accept(&["a@y.example"]).await;
    let backlog = desk.queue.backlogs().await.unwrap().remove(0);
    let (now, full) = (desk.clock.now(), backlog.octets * 2);
    let waits = backlog.drained(&rates(0, 0, full), now);
    assert_eq!(waits, Some(now.plus(Duration::from_secs(301))), "what was uploaded just now counts");
    let desk = desk.crash().await;
    let uploads = desk.queue.recent_uploads(&route().key(), BackendKind::Graph, now.minus(MINUTE)).await.unwrap();
    assert_eq!(uploads, expected, "a restart remembers");
    let later = now.plus(MINUTE);
    assert!(desk.queue.recent_uploads(&route().key(), BackendKind::Graph, later).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_waits_is_counted_with_the_time_that_it_takes() {
    let desk = Desk::new().await;
    assert!(desk.queue.backlogs().await.unwrap().is_empty());
    for _ in 0..4 {
        desk.accept(&["a@y.example", "b@y.example"]).await;
    }
    desk.attempt(relayed()).await;
    let backlog = desk.queue.backlogs().await.unwrap().remove(0);
    assert_eq!((backlog.key.clone(), backlog.messages, backlog.recipients), (route().key(), 3, 6));
    let (now, minute) = (desk.clock.now(), Duration::from_secs(61));
    let table = [
        (1, 0, Some(now.plus(minute * 3)), "one a minute, and this minute's has gone"),
        (4, 0, Some(now), "all of it now"),
        (30, 3, Some(now.plus(DAY * 2)), "the recipients of the day count"),
        (0, 0, None, "no limit, so nobody can say"),
    ];
    for (per_minute, per_day, expected, why) in table {
        assert_eq!(backlog.drained(&rates(per_minute, per_day, 0), now), expected, "{why}");
    }
    assert_eq!(backlog.drained(&rates(0, 0, 1_000), now), None, "so few octets say nothing");
    let (size, window) = (backlog.octets / 3, Duration::from_secs(301));
    assert_eq!(backlog.drained(&rates(30, 0, 3 * size), now), Some(now), "none of it went by Graph");
    assert_eq!(backlog.drained(&rates(30, 0, size), now), Some(now.plus(window * 2)), "one in five minutes");
    desk.queue.learn(&route().key(), pace::Learnt { per_minute: 1, since: now }).await.unwrap();
    let backlog = desk.queue.backlogs().await.unwrap().remove(0);
    assert_eq!(backlog.drained(&rates(30, 0, 0), now), Some(now.plus(minute * 3)), "a limit that was learnt");
    desk.queue.hold(&route().key(), "scanner", "a test").await.unwrap();
    let backlog = desk.queue.backlogs().await.unwrap().remove(0);
    assert_eq!((backlog.held, backlog.drained(&rates(30, 0, 0), now)), (true, None));
}
