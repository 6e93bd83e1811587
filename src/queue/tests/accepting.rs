use super::*;

#[tokio::test]
async fn an_accepted_message_is_leased_as_it_was_handed_in() {
    let desk = Desk::new().await;
    let id = desk.accept(&["a@x.example", "b@x.example"]).await;
    let lease = desk.lease().await;
    assert_eq!((lease.id, lease.attempt, lease.probe), (id, 1, false));
    assert_eq!(lease.route, route());
    assert_eq!(lease.envelope.recipients().len(), 2);
    assert_eq!(lease.envelope.reverse_path().to_string(), "<app@x.example>");
    assert_eq!(lease.prefix, b"Received: by test\r\n");
    assert_eq!(lease.message_id.as_deref(), Some("<1@x.example>"));
    assert_eq!(desk.read(&lease).await.unwrap(), b"Subject: a\r\n\r\nb\r\n");
    assert_eq!(desk.witness.count(|event| matches!(event, Event::Accepted { .. })), 1);
}

#[tokio::test]
async fn the_null_reverse_path_and_what_mail_declared_survive() {
    let desk = Desk::new().await;
    let mut message = desk.message(&["ä@x.example"], b"x").await;
    message.envelope = Envelope::new(ReversePath::Null, message.envelope.recipients().to_vec()).unwrap();
    (message.envelope.body, message.envelope.smtputf8) = (crate::mail::BodyType::EightBitMime, true);
    let envelope = message.envelope.clone();
    desk.queue.accept(message).await.unwrap();
    assert_eq!(desk.lease().await.envelope, envelope);
}

#[tokio::test]
async fn messages_that_arrive_together_share_commits() {
    let desk = Desk::new().await;
    let before = desk.store.commits();
    let mut messages = Vec::new();
    for _ in 0..100 {
        messages.push(desk.message(&["a@x.example"], b"x").await);
    }
    let accepting: Vec<_> = messages
        .into_iter()
        .map(|message| {
            let queue = desk.queue.clone();
            tokio::spawn(async move { queue.accept(message).await })
        })
        .collect();
    for accepted in accepting {
        accepted.await.unwrap().unwrap();
    }
    let commits = desk.store.commits() - before;
    assert!(commits < 50, "{commits} commits for 100 messages");
}

#[tokio::test]
async fn below_the_reserve_nothing_is_accepted_but_outcomes_are_written() {
    let desk = Desk::new().await;
    desk.accept(&["a@x.example"]).await;
    let mut settings = desk.settings.clone();
    settings.reserve_octets = u64::MAX;
    let Desk { folder, clock, queue, store, .. } = desk;
    drop((queue, store));
    let desk = Desk::open(folder, clock, settings).await;
    assert!(matches!(desk.queue.check_room(), Err(QueueError::NoRoom)));
    let message = desk.message(&["b@x.example"], b"x").await;
    assert!(matches!(desk.queue.accept(message).await, Err(QueueError::NoRoom)));
    let id = desk.attempt(relayed()).await;
    assert_eq!(desk.state(id).await, State::Relayed);
}

#[tokio::test]
async fn a_full_disk_refuses_and_leaves_nothing_half_accepted() {
    let desk = Desk::new().await;
    let id = desk.accept(&["a@x.example"]).await;
    let limit = |pages: u32| {
        move |c: &rusqlite::Connection| c.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
    };
    desk.store.write(limit(1)).await.unwrap();
    let refused = loop {
        let message = desk.message(&["b@x.example"], &[b'x'; 2_000]).await;
        if let Err(error) = desk.queue.accept(message).await {
            break error;
        }
    };
    assert!(matches!(refused, QueueError::NoRoom), "{refused}");
    let listed = desk.queue.list(Filter::default()).await.unwrap();
    assert_eq!(listed.len(), 1 + desk.spool_files().len(), "the refused message left no row and no file");
    assert!(listed.iter().any(|message| message.id == id));
    desk.store.write(limit(10_000)).await.unwrap();
    desk.accept(&["c@x.example"]).await;
}

#[tokio::test]
async fn a_failed_disk_stops_accepting() {
    let desk = Desk::new().await;
    let failing = desk.store.write(|_| {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
        Err::<(), _>(rusqlite::Error::SqliteFailure(code, None))
    });
    assert!(failing.await.is_err());
    assert!(matches!(desk.queue.check_room(), Err(QueueError::Suspect(_))));
    let message = desk.message(&["b@x.example"], b"x").await;
    assert!(matches!(desk.queue.accept(message).await, Err(QueueError::Suspect(_))));
}

#[tokio::test]
async fn a_caller_that_gives_up_does_not_lose_the_message() {
    let desk = Desk::new().await;
    let mut lanes = desk.queue.new_lanes();
    let message = desk.message(&["a@x.example"], &[b'x'; 5_000]).await;
    {
        let accepting = desk.queue.accept(message);
        tokio::pin!(accepting);
        // One poll starts it; then nobody waits for it any longer.
        assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(accepting.as_mut().poll(cx))).await.is_pending());
    }
    assert_eq!(lanes.recv().await, Some(route().key()));
    let lease = desk.lease().await;
    assert_eq!(desk.read(&lease).await.unwrap().len(), 5_000);
}

#[tokio::test]
async fn a_mailbox_is_announced_once_and_woken_for_each_message() {
    let desk = Desk::new().await;
    let mut lanes = desk.queue.new_lanes();
    desk.accept(&["a@x.example"]).await;
    assert_eq!(lanes.recv().await, Some(route().key()));
    desk.queue.wait(&route().key()).await;
    let waiting = desk.queue.wait(&route().key());
    desk.accept(&["b@x.example"]).await;
    waiting.await;
    assert!(lanes.try_recv().is_err());
}
