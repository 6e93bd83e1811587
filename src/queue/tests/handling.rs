use super::*;

#[tokio::test]
async fn a_deferred_message_can_be_retried_at_once() {
    let desk = Desk::new().await;
    let id = desk.accept(&["a@x.example"]).await;
    desk.attempt(outcome(Reason::Throttled)).await;
    let waiting = desk.queue.wait(&route().key());
    desk.queue.retry(id).await.unwrap();
    waiting.await;
    let lease = desk.lease().await;
    assert_eq!(lease.attempt, 2);
    assert!(matches!(desk.queue.retry(id).await, Err(QueueError::InFlight(_))));
    let stranger = QueueId::fresh();
    assert!(matches!(desk.queue.retry(stranger).await, Err(QueueError::NoSuchMessage(_))));
}

#[tokio::test]
async fn a_retry_ends_the_rests_of_its_mailbox_and_of_no_other() {
    let desk = Desk::new().await;
    let id = desk.accept(&["a@x.example"]).await;
    let mut other = desk.message(&["a@x.example"], b"Subject: a\r\n\r\nb\r\n").await;
    other.route.mailbox = address("other@contoso.example");
    let (key, other_key) = (route().key(), other.route.key());
    desk.queue.accept(other).await.unwrap();
    let until = desk.clock.now().plus(MINUTE);
    for (key, way) in [(&key, BackendKind::Graph), (&key, BackendKind::Smtp), (&other_key, BackendKind::Graph)] {
        desk.queue.rest(key, way, until).await.unwrap();
    }
    desk.attempt(outcome(Reason::Throttled)).await;
    assert_eq!(desk.queue.insisted(&key), 0);
    desk.queue.retry(id).await.unwrap();
    assert_eq!((desk.queue.insisted(&key), desk.queue.insisted(&other_key)), (1, 0));
    assert_eq!(desk.queue.rests().await.unwrap(), [(other_key, BackendKind::Graph, until)]);
    assert_eq!(desk.lease().await.id, id);
    assert!(desk.queue.retry(id).await.is_err());
    assert_eq!(desk.queue.insisted(&key), 1, "one that is refused changes nothing");
}

#[tokio::test]
async fn a_failed_message_can_be_retried_and_its_time_begins_anew() {
    let desk = Desk::new().await;
    let id = desk.accept(&["a@x.example", "b@x.example"]).await;
    desk.attempt_each(vec![relayed(), outcome(Reason::RecipientRefused)]).await;
    desk.clock.advance(20 * DAY);
    desk.queue.retry(id).await.unwrap();
    assert!(desk.queue.lease_expired().await.unwrap().is_empty());
    let lease = desk.lease().await;
    assert_eq!(lease.envelope.recipients()[0].address, address("b@x.example"));
    assert_eq!(desk.read(&lease).await.unwrap(), b"Subject: a\r\n\r\nb\r\n");
    let attempt = all(&lease, relayed());
    desk.settle(lease, attempt).await;
    assert_eq!(desk.state(id).await, State::Relayed);
    assert!(matches!(desk.queue.retry(id).await, Err(QueueError::NoContent(_))));
}

#[tokio::test]
async fn a_dropped_message_loses_its_content_and_is_not_sent() {
    let desk = Desk::new().await;
    let id = desk.queue.accept(desk.message(&["a@x.example"], &[b'x'; 5_000]).await).await.unwrap();
    desk.queue.drop_message(id).await.unwrap();
    assert!(desk.spool_files().is_empty());
    assert_eq!(desk.waits().await, None);
    assert_eq!(desk.state(id).await, State::Dropped);
    assert!(matches!(desk.queue.retry(id).await, Err(QueueError::NoContent(_))));
    desk.accept(&["b@x.example"]).await;
    let lease = desk.lease().await;
    assert!(matches!(desk.queue.drop_message(lease.id).await, Err(QueueError::InFlight(_))));
}

#[tokio::test]
async fn history_is_kept_for_its_time_and_waiting_mail_is_never_purged() {
    let desk = Desk::new().await;
    let relayed_one = desk.accept(&["a@x.example"]).await;
    desk.attempt(relayed()).await;
    let failed = desk.queue.accept(desk.message(&["b@x.example"], &[b'x'; 5_000]).await).await.unwrap();
    desk.attempt(outcome(Reason::Rejected)).await;
    let waiting = desk.accept(&["c@x.example"]).await;
    desk.clock.advance(30 * DAY - MINUTE);
    desk.queue.maintain().await.unwrap();
    assert_eq!(desk.state(relayed_one).await, State::Relayed);
    assert_eq!((desk.state(failed).await, desk.spool_files().len()), (State::Failed, 1));
    desk.clock.advance(MINUTE);
    desk.queue.maintain().await.unwrap();
    assert!(desk.queue.show(relayed_one).await.unwrap().is_none());
    assert!(desk.queue.show(failed).await.unwrap().is_none());
    assert!(desk.spool_files().is_empty());
    assert_eq!(desk.state(waiting).await, State::Waiting);
    let rows = |c: &rusqlite::Connection| {
        c.query_row("SELECT (SELECT count(*) FROM recipient) + (SELECT count(*) FROM attempt)", [], |row| row.get(0))
    };
    assert_eq!(desk.store.read::<i64, _>(rows).await.unwrap(), 1, "the rows of purged messages are gone");
}

#[tokio::test]
async fn the_list_shows_what_the_filter_asks_for() {
    let desk = Desk::new().await;
    let gone = desk.accept(&["a@x.example"]).await;
    desk.attempt(relayed()).await;
    let failed = desk.accept(&["b@x.example"]).await;
    desk.attempt(outcome(Reason::Rejected)).await;
    let sending = desk.accept(&["c@x.example"]).await;
    let _lease = desk.lease().await;
    let waiting = desk.accept(&["d@x.example", "e@x.example"]).await;
    let dropped = desk.accept(&["f@x.example"]).await;
    desk.queue.drop_message(dropped).await.unwrap();
    let only = |state| Filter { state: Some(state), ..Filter::default() };
    let table = [
        (Filter::default(), vec![waiting, sending, failed], "what needs attention"),
        (only(State::Waiting), vec![waiting], "waiting"),
        (only(State::Held), vec![], "held"),
        (only(State::Sending), vec![sending], "under way"),
        (only(State::Relayed), vec![gone], "relayed"),
        (only(State::Failed), vec![failed], "failed"),
        (only(State::Dropped), vec![dropped], "dropped"),
        (Filter { limit: Some(1), ..Filter::default() }, vec![waiting], "the newest"),
        (Filter { account: Some("other".to_owned()), ..Filter::default() }, vec![], "another account"),
        (Filter { account: Some("scanner".to_owned()), ..Filter::default() }, vec![waiting, sending, failed], "ours"),
    ];
    for (filter, expected, why) in table {
        let listed = desk.queue.list(filter).await.unwrap();
        assert_eq!(listed.iter().map(|message| message.id).collect::<Vec<_>>(), expected, "{why}");
    }
    let summary = desk.show(waiting).await.summary;
    assert_eq!((summary.recipients, summary.first_recipient.as_str()), (2, "d@x.example"));
    let failed = desk.show(failed).await.summary;
    assert!(failed.hint.is_some() && failed.failure.is_some());
    let json = serde_json::to_string(&desk.show(waiting).await).unwrap();
    assert_eq!(serde_json::from_str::<Detail>(&json).unwrap(), desk.show(waiting).await);
}
