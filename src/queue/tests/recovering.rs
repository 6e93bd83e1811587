use super::*;

#[tokio::test]
async fn what_was_accepted_survives_and_its_mailbox_is_announced() {
    let desk = Desk::new().await;
    let id = desk.accept(&["a@x.example"]).await;
    desk.queue.accept(desk.message(&["b@x.example"], &[b'y'; 5_000]).await).await.unwrap();
    let desk = desk.crash().await;
    assert_eq!(desk.queue.new_lanes().recv().await, Some(route().key()));
    let lease = desk.lease().await;
    assert_eq!(lease.id, id);
    assert_eq!(desk.read(&lease).await.unwrap(), b"Subject: a\r\n\r\nb\r\n");
    let lease = desk.lease().await;
    assert_eq!(desk.read(&lease).await.unwrap(), [b'y'; 5_000]);
}

#[tokio::test]
async fn an_attempt_that_was_under_way_is_unknown_and_tried_later() {
    let desk = Desk::new().await;
    let id = desk.accept(&["a@x.example", "b@x.example"]).await;
    desk.lease().await;
    let desk = desk.crash().await;
    let due = desk.clock.now().plus(desk.settings.unknown_retry);
    assert_eq!(desk.waits().await, Some(due));
    let detail = desk.show(id).await;
    let result = detail.attempts[0].result.as_ref().unwrap();
    assert!(result.notes[0].contains("may arrive twice"), "{result:?}");
    assert_eq!(detail.summary.failure.unwrap().reason, Reason::AnswerLost);
    let unknown =
        |event: &Event| matches!(event, Event::Deferred { failure, .. } if failure.reason == Reason::AnswerLost);
    assert_eq!(desk.witness.count(unknown), 1);
    let sends = desk.queue.recent_sends(&route().key(), Timestamp::default()).await.unwrap();
    assert_eq!(sends.iter().map(|(_, recipients)| recipients).sum::<u32>(), 2, "it counts for the limits");
    desk.clock.advance(desk.settings.unknown_retry);
    assert_eq!(desk.lease().await.attempt, 2);
}

#[tokio::test]
async fn a_lease_without_an_attempt_is_simply_given_back() {
    let desk = Desk::new().await;
    let id = desk.accept(&["a@x.example"]).await;
    desk.clock.advance(5 * DAY);
    assert_eq!(desk.queue.lease_expired().await.unwrap().len(), 1);
    let desk = desk.crash().await;
    assert_eq!(desk.queue.lease_expired().await.unwrap()[0].id, id);
}

#[tokio::test]
async fn what_an_interrupted_reception_left_is_removed() {
    let desk = Desk::new().await;
    desk.queue.accept(desk.message(&["a@x.example"], &[b'x'; 5_000]).await).await.unwrap();
    let kept = desk.spool_files();
    std::fs::write(desk.spool().join(format!("{}.part", QueueId::fresh())), "half").unwrap();
    std::fs::write(desk.spool().join(format!("{}.body", QueueId::fresh())), "nobody's").unwrap();
    let desk = desk.crash().await;
    assert_eq!(desk.spool_files(), kept);
}

#[tokio::test]
async fn foreign_files_links_and_fifos_in_the_spool_are_left_alone() {
    let desk = Desk::new().await;
    let secret = desk.folder.path().join("secret");
    std::fs::write(&secret, "do not touch").unwrap();
    let spool = desk.spool();
    std::fs::write(spool.join("notes.txt"), "a note").unwrap();
    std::os::unix::fs::symlink(&secret, spool.join(format!("{}.body", QueueId::fresh()))).unwrap();
    std::os::unix::fs::symlink(&secret, spool.join(format!("{}.part", QueueId::fresh()))).unwrap();
    let fifo = spool.join(format!("{}.part", QueueId::fresh()));
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    let desk = desk.crash().await;
    assert_eq!(desk.spool_files().len(), 4);
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "do not touch");
}

#[tokio::test]
async fn content_that_is_not_what_was_accepted_fails_alone() {
    let desk = Desk::new().await;
    type Damage = fn(&std::path::Path);
    let damages: [(Damage, &str); 4] = [
        (|path| std::fs::remove_file(path).unwrap(), "missing"),
        (|path| std::fs::write(path, "short").unwrap(), "truncated"),
        (
            |path| {
                let elsewhere = path.with_extension("elsewhere");
                std::fs::rename(path, &elsewhere).unwrap();
                std::os::unix::fs::symlink(&elsewhere, path).unwrap();
            },
            "a link to the right content",
        ),
        (
            |path| {
                std::fs::remove_file(path).unwrap();
                rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
                    .unwrap();
            },
            "a FIFO that would block",
        ),
    ];
    for (damage, why) in damages {
        let before = desk.spool_files();
        let id = desk.queue.accept(desk.message(&["a@x.example"], &[b'x'; 5_000]).await).await.unwrap();
        let name = desk.spool_files().into_iter().find(|name| !before.contains(name)).unwrap();
        damage(&desk.spool().join(&name));
        let lease = desk.lease().await;
        assert!(matches!(desk.read(&lease).await, Err(QueueError::BodyDamaged(_))), "{why}");
        let attempt = lease.decided().unwrap();
        let verdict = desk.queue.verdict(&lease, &attempt);
        assert_eq!(verdict.failed[0].1.reason, Reason::BodyDamaged, "{why}");
        desk.queue.settle(lease, attempt, verdict, None).await.unwrap();
        assert_eq!(desk.state(id).await, State::Failed, "{why}");
        let aside = desk.folder.path().join("quarantine").join(&name);
        assert!(std::fs::symlink_metadata(desk.spool().join(&name)).is_err(), "{why}: it is out of the way");
        assert_eq!(
            std::fs::symlink_metadata(aside).is_ok(),
            why != "missing",
            "{why}: it is put aside, not thrown away"
        );
    }
    let fine = desk.accept(&["b@x.example"]).await;
    assert_eq!(desk.attempt(relayed()).await, fine);
    desk.crash().await;
}

#[tokio::test]
async fn a_hundred_thousand_waiting_messages_do_not_hold_up_the_start() {
    let desk = Desk::new().await;
    desk.accept(&["a@x.example"]).await;
    let fill = |c: &rusqlite::Connection| {
        c.execute_batch(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
             INSERT INTO message (id, lane, state, account, route, reverse_path, eight_bit, smtputf8, size, accepted_at,
                 expiry_from, held_before, next_attempt)
             SELECT randomblob(16), 1, 0, account, route, reverse_path, 0, 0, 1, accepted_at, expiry_from, 0, next_attempt
             FROM message, n;
             INSERT INTO recipient (message, position, address) SELECT seq, 0, 'x@x.example' FROM message WHERE seq > 1;",
        )
    };
    desk.store.write(fill).await.unwrap();
    let begun = std::time::Instant::now();
    let desk = desk.crash().await;
    desk.lease().await;
    assert!(desk.queue.lease_expired().await.unwrap().is_empty());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(desk.queue.list(Filter::default()).await.unwrap().len(), 10_000);
}

#[tokio::test]
async fn a_long_queue_is_not_read_through_to_find_what_is_due() {
    let desk = Desk::new().await;
    let plan = |c: &rusqlite::Connection| {
        let mut explain = c.prepare(&format!("EXPLAIN QUERY PLAN {}", lease::FIRST))?;
        let steps = explain.query_map((1, ""), |row| row.get::<_, String>("detail"))?;
        steps.collect::<Result<Vec<_>, _>>()
    };
    let plan = desk.store.read(plan).await.unwrap();
    assert_eq!(plan, ["SEARCH message USING INDEX message_outstanding (lane=? AND state=? AND client>?)"]);
}

/// Flips one bit in the middle.
fn flip(octets: &mut [u8]) {
    octets[octets.len() / 2] ^= 1;
}

#[tokio::test]
async fn content_that_rotted_at_its_length_is_set_aside_and_the_others_go_on() {
    for large in [true, false] {
        let desk = Desk::new().await;
        let octets = vec![b'x'; if large { 300_000 } else { 500 }];
        let id = desk.queue.accept(desk.message(&["a@x.example"], &octets).await).await.unwrap();
        let name = desk.spool_files().pop();
        if let Some(name) = &name {
            let mut rotten = std::fs::read(desk.spool().join(name)).unwrap();
            flip(&mut rotten);
            std::fs::write(desk.spool().join(name), rotten).unwrap();
        } else {
            let rot = |c: &rusqlite::Connection| {
                let mut rotten: Vec<u8> = c.query_row("SELECT content FROM body", [], |row| row.get(0))?;
                flip(&mut rotten);
                c.execute("UPDATE body SET content = ?1", [rotten])
            };
            desk.store.write(rot).await.unwrap();
        }
        let desk = desk.crash().await;
        let fine = desk.accept(&["b@x.example"]).await;
        let lease = desk.lease().await;
        assert_eq!((lease.id, lease.decided()), (id, None), "its length is right, so nothing shows before it is read");
        let error = desk.read(&lease).await.unwrap_err();
        assert!(error.to_string().contains("not its checksum"), "{error}");
        assert!(desk.queue.copy(id).await.is_err() || large, "nobody is shown it as the message");
        let attempt = all(&lease, Outcome::Failed(error.failure()));
        desk.settle(lease, attempt).await;
        assert_eq!(desk.state(id).await, State::Failed);
        if let Some(name) = name {
            assert!(desk.folder.path().join("quarantine").join(name).is_file(), "it is put aside, not thrown away");
            assert!(desk.spool_files().is_empty());
        }
        assert_eq!(desk.attempt(relayed()).await, fine);
    }
}

#[tokio::test]
async fn header_lines_of_our_own_that_rotted_are_noticed_too() {
    let desk = Desk::new().await;
    desk.accept(&["a@x.example"]).await;
    let rot = |c: &rusqlite::Connection| c.execute("UPDATE body SET prefix = CAST('Received: by tesu' AS BLOB)", []);
    desk.store.write(rot).await.unwrap();
    let desk = desk.crash().await;
    let lease = desk.lease().await;
    assert!(matches!(desk.read(&lease).await, Err(QueueError::BodyDamaged(_))));
}

#[tokio::test]
async fn a_queue_of_an_older_program_goes_on_where_it_was() {
    let desk = Desk::new().await;
    let small = desk.accept(&["a@x.example"]).await;
    let large = desk.queue.accept(desk.message(&["b@x.example"], &[b'y'; 5_000]).await).await.unwrap();
    let under_way = desk.lease().await;
    let older = |c: &rusqlite::Connection| {
        c.execute_batch(
            "DROP TABLE bounce; DROP TABLE inbox; ALTER TABLE body DROP COLUMN checksum;
             UPDATE part SET version = 5 WHERE name = 'queue'",
        )
    };
    desk.store.write(older).await.unwrap();
    let Desk { folder, clock, settings, store, queue, .. } = desk;
    drop(queue);
    tokio::task::spawn_blocking(move || store.close()).await.unwrap();
    let desk = Desk::open(folder, clock, settings).await;
    assert_eq!(under_way.id, small);
    let lease = desk.lease().await;
    assert_eq!(lease.id, large);
    assert_eq!(desk.read(&lease).await.unwrap(), [b'y'; 5_000]);
    desk.clock.advance(DAY);
    let lease = desk.lease().await;
    assert_eq!((lease.id, lease.attempt), (small, 2));
    assert_eq!(desk.read(&lease).await.unwrap(), b"Subject: a\r\n\r\nb\r\n");
}
