use super::*;

#[tokio::test]
async fn each_recipient_has_its_own_fate() {
    let desk = Desk::new().await;
    let id = desk.accept(&["taken@x.example", "later@x.example", "never@x.example", "lost@x.example"]).await;
    let lease = desk.lease().await;
    let outcomes = vec![
        relayed(),
        outcome(Reason::RecipientDeferred),
        outcome(Reason::RecipientRefused),
        outcome(Reason::AnswerLost),
    ];
    let attempt = Attempt { backend: Some(BackendKind::Smtp), outcomes, notes: vec!["split".to_owned()] };
    let verdict = desk.queue.verdict(&lease, &attempt);
    assert_eq!(verdict.failed.len(), 1);
    assert_eq!(verdict.failed[0].0.address, address("never@x.example"));
    desk.queue.settle(lease, attempt, verdict, None).await.unwrap();

    let detail = desk.show(id).await;
    let states: Vec<_> = detail.recipients.iter().map(|recipient| recipient.state).collect();
    assert_eq!(states, [State::Relayed, State::Waiting, State::Failed, State::Waiting]);
    assert_eq!(detail.recipients[0].receipt.as_deref(), Some("250 2.0.0 OK"));
    let result = detail.attempts[0].result.as_ref().unwrap();
    assert_eq!((result.relayed, result.outstanding, result.failed), (1, 2, 1));
    assert!(result.notes.iter().any(|note| note.contains("may arrive twice")), "{:?}", result.notes);

    desk.clock.advance(20 * MINUTE);
    let again = desk.lease().await;
    let to: Vec<_> = again.envelope.recipients().iter().map(|to| to.address.to_string()).collect();
    assert_eq!(to, ["later@x.example", "lost@x.example"], "the relayed one never again");
    let attempt = all(&again, relayed());
    desk.settle(again, attempt).await;
    assert_eq!(desk.state(id).await, State::Failed, "somebody did not get it");
}

#[tokio::test]
async fn the_next_attempt_follows_what_was_said() {
    let hour = Duration::from_hours(1);
    let table = [
        (outcome(Reason::ProviderTrouble), MINUTE, "the schedule"),
        (outcome(Reason::Throttled), Duration::from_secs(10), "the mailbox rests, whatever else it has"),
        (Failure::new(Reason::Throttled, "").retry_after(Some(hour)).into(), hour, "never before Retry-After"),
        (outcome(Reason::AnswerLost), 15 * MINUTE, "an answer that was lost"),
    ];
    for (outcome, wait, why) in table {
        let desk = Desk::new().await;
        desk.accept(&["a@x.example"]).await;
        desk.attempt(outcome).await;
        let until = desk.waits().await.unwrap();
        let (earliest, latest) = (desk.clock.now().plus(wait), desk.clock.now().plus(wait.mul_f64(1.11)));
        assert!(until >= earliest && until <= latest, "{why}: {until}");
    }
}

#[tokio::test]
async fn waiting_for_a_way_out_is_no_attempt_and_no_longer_than_it_takes() {
    let desk = Desk::new().await;
    let id = desk.accept(&["a@x.example", "b@x.example"]).await;
    let lease = desk.lease().await;
    let wait = Duration::from_secs(7);
    let patience = Failure::new(Reason::Throttled, "all is used up").retry_after(Some(wait));
    let attempt = Attempt::uniform(None, 2, patience.into());
    desk.settle(lease, attempt).await;
    assert_eq!(desk.waits().await, Some(desk.clock.now().plus(wait)));
    let detail = desk.show(id).await;
    assert_eq!((detail.summary.attempts, detail.attempts.len()), (0, 0));
    assert!(detail.summary.failure.unwrap().to_string().contains("all is used up"), "it says why it waits");
    assert_eq!(detail.summary.next_attempt, Some(desk.clock.now().plus(wait)));
    desk.clock.advance(Duration::from_secs(1));
    desk.accept(&["c@x.example"]).await;
    desk.clock.advance(wait);
    let lease = desk.lease().await;
    assert_eq!((lease.id, lease.attempt), (id, 1), "it goes before what came while it waited");
}

#[tokio::test]
async fn a_missing_outcome_is_not_taken_for_success() {
    let desk = Desk::new().await;
    desk.accept(&["a@x.example", "b@x.example"]).await;
    let lease = desk.lease().await;
    let attempt = Attempt::uniform(Some(BackendKind::Graph), 1, relayed());
    let verdict = desk.queue.verdict(&lease, &attempt);
    assert!(matches!(&verdict.recipients[1], Fate::Outstanding(failure) if failure.reason == Reason::Unexpected));
}

#[tokio::test]
async fn a_relayed_message_keeps_its_history_but_not_its_content() {
    let desk = Desk::new().await;
    let large = desk.message(&["a@x.example"], &[b'x'; 5_000]).await;
    let id = desk.queue.accept(large).await.unwrap();
    assert_eq!(desk.spool_files().len(), 1);
    desk.attempt(relayed()).await;
    assert!(desk.spool_files().is_empty());
    let bodies = |c: &rusqlite::Connection| c.query_row("SELECT count(*) FROM body", [], |row| row.get::<_, i64>(0));
    assert_eq!(desk.store.read(bodies).await.unwrap(), 0);
    assert_eq!(desk.state(id).await, State::Relayed);
    assert_eq!(desk.waits().await, None);
}

#[tokio::test]
async fn content_in_memory_is_bounded_and_given_back() {
    let desk = Desk::new().await;
    let used = || desk.queue.inner.spool.budget.used();
    for _ in 0..20 {
        desk.queue.accept(desk.message(&["a@x.example"], &[b'x'; 900]).await).await.unwrap();
    }
    assert!(used() > 0 && used() <= desk.settings.memory_octets / 2, "{} octets", used());
    for _ in 0..20 {
        let lease = desk.lease().await;
        assert_eq!(desk.read(&lease).await.unwrap(), [b'x'; 900]);
        let attempt = all(&lease, relayed());
        desk.settle(lease, attempt).await;
    }
    assert_eq!(used(), 0);
}

#[tokio::test]
async fn a_report_is_queued_with_the_outcome_that_it_reports() {
    let desk = Desk::new().await;
    let about = desk.accept(&["a@x.example"]).await;
    let lease = desk.lease().await;
    let attempt = all(&lease, outcome(Reason::RecipientRefused));
    let verdict = desk.queue.verdict(&lease, &attempt);
    let mut report = desk.message(&["app@x.example"], &[b'r'; 3_000]).await;
    report.report_about = Some(about);
    desk.queue.settle(lease, attempt, verdict, Some(report.into())).await.unwrap();
    let lease = desk.lease().await;
    assert_eq!(lease.report_about, Some(about));
    assert_eq!(desk.read(&lease).await.unwrap(), [b'r'; 3_000]);
    assert_eq!(desk.state(about).await, State::Failed);
    assert_eq!(desk.witness.count(|event| matches!(event, Event::Reported { .. })), 1);
}

#[tokio::test]
async fn an_outcome_that_cannot_be_written_stays_and_the_message_is_not_sent_again() {
    let desk = Desk::new().await;
    let id = desk.accept(&["a@x.example"]).await;
    let lease = desk.lease().await;
    let attempt = all(&lease, relayed());
    let verdict = desk.queue.verdict(&lease, &attempt);
    desk.store.write(|c| c.execute_batch("ALTER TABLE recipient RENAME TO elsewhere")).await.unwrap();
    let unsettled = desk.queue.settle(lease, attempt, verdict, None).await.unwrap_err();
    assert_eq!((unsettled.lease().id, &unsettled.attempt().outcomes[0]), (id, &relayed()));
    assert_eq!(desk.waits().await, None);
    let unsettled = desk.queue.settle_again(unsettled).await.unwrap_err();
    desk.store.write(|c| c.execute_batch("ALTER TABLE elsewhere RENAME TO recipient")).await.unwrap();
    desk.queue.settle_again(unsettled).await.unwrap();
    assert_eq!(desk.state(id).await, State::Relayed);
    assert_eq!(desk.witness.count(|event| matches!(event, Event::Relayed { .. })), 1);
}

#[tokio::test]
async fn a_message_that_must_wait_wakes_its_mailbox_so_that_its_time_is_known() {
    let desk = Desk::new().await;
    desk.accept(&["a@y.example"]).await;
    let lease = desk.lease().await;
    // A worker with places left asks again, and waits for a wake.
    assert_eq!(desk.waits().await, None);
    desk.queue.wait(&route().key()).await;
    let attempt = all(&lease, outcome(Reason::TimedOut));
    desk.settle(lease, attempt).await;
    let woken = tokio::time::timeout(Duration::from_secs(10), desk.queue.wait(&route().key())).await;
    assert!(woken.is_ok(), "nobody would try the message again before other mail comes");
    assert!(desk.waits().await.is_some());
}

#[tokio::test]
async fn a_settlement_leases_the_next_message_in_the_same_transaction() {
    let desk = Desk::new().await;
    let [first, second] = [desk.accept(&["a@y.example"]).await, desk.accept(&["b@y.example"]).await];
    let lease = desk.lease().await;
    assert_eq!(lease.id, first);
    let commits = desk.store.commits();
    let attempt = all(&lease, relayed());
    let verdict = desk.queue.verdict(&lease, &attempt);
    let next = desk.queue.settle_and_lease(lease, attempt, verdict, None).await.unwrap().unwrap();
    assert_eq!((next.id, next.attempt), (second, 1));
    assert_eq!(desk.store.commits(), commits + 1);
    assert_eq!(desk.read(&next).await.unwrap(), b"Subject: a\r\n\r\nb\r\n");

    let attempt = all(&next, outcome(Reason::SignInNeeded));
    let verdict = desk.queue.verdict(&next, &attempt);
    desk.accept(&["c@y.example"]).await;
    let none = desk.queue.settle_and_lease(next, attempt, verdict, None).await.unwrap();
    assert!(none.is_none(), "the mailbox is held now");
}
