use super::*;

#[tokio::test]
async fn an_attempt_is_on_the_disk_before_it_is_made_and_no_message_is_leased_twice() {
    let desk = Desk::new().await;
    let id = desk.accept(&["a@x.example"]).await;
    let lease = desk.lease().await;
    let detail = desk.show(id).await;
    assert_eq!(detail.summary.state, State::Sending);
    assert_eq!((detail.attempts[0].number, detail.attempts[0].ended_at), (1, None));
    assert_eq!(detail.attempts[0].started_at, lease.started_at);
    assert_eq!(desk.waits().await, None);
}

#[tokio::test]
async fn messages_leave_in_the_order_in_which_they_are_due() {
    let desk = Desk::new().await;
    let first = desk.accept(&["1@x.example"]).await;
    let second = desk.accept(&["2@x.example"]).await;
    assert_eq!(desk.attempt(outcome(Reason::TimedOut)).await, first);
    let third = desk.accept(&["3@x.example"]).await;
    assert_eq!(desk.attempt(relayed()).await, second);
    assert_eq!(desk.attempt(relayed()).await, third);
    let due = desk.waits().await.unwrap();
    assert!(due >= desk.clock.now().plus(MINUTE));
    desk.clock.advance(2 * MINUTE);
    let again = desk.lease().await;
    assert_eq!((again.id, again.attempt), (first, 2));
}

#[tokio::test]
async fn a_retry_after_is_for_the_whole_mailbox_until_somebody_says_otherwise() {
    let desk = Desk::new().await;
    let first = desk.accept(&["1@x.example"]).await;
    desk.attempt(Failure::new(Reason::Throttled, "").retry_after(Some(DAY)).into()).await;
    let second = desk.accept(&["2@x.example"]).await;
    let asked = desk.clock.now().plus(DAY);
    assert_eq!(desk.waits().await, Some(asked));
    desk.clock.advance(DAY - MINUTE);
    assert_eq!(desk.waits().await, Some(asked), "not even a minute early");
    desk.queue.retry(first).await.unwrap();
    let mut due = [desk.lease().await.id, desk.lease().await.id];
    due.sort();
    assert_eq!(due, [first, second]);
}

#[tokio::test]
async fn several_messages_of_a_mailbox_can_be_under_way() {
    let desk = Desk::new().await;
    for _ in 0..3 {
        desk.accept(&["a@x.example"]).await;
    }
    let leases = [desk.lease().await.id, desk.lease().await.id, desk.lease().await.id];
    assert!(leases[0] != leases[1] && leases[1] != leases[2]);
}

#[tokio::test]
async fn a_mailbox_does_not_wait_for_another() {
    let desk = Desk::new().await;
    desk.accept(&["a@x.example"]).await;
    let mut other = desk.message(&["b@x.example"], b"x").await;
    other.route.mailbox = address("other@contoso.example");
    let key = other.route.key();
    desk.queue.accept(other).await.unwrap();
    desk.attempt(outcome(Reason::SignInNeeded)).await;
    assert!(matches!(desk.queue.lease(&key).await.unwrap(), Next::Lease(_)));
    let stranger = MailboxKey { provider: "x".to_owned(), mailbox: "y@z.example".to_owned() };
    assert!(matches!(desk.queue.lease(&stranger).await.unwrap(), Next::Wait(None)));
}

#[tokio::test]
async fn a_record_that_is_not_understood_is_set_aside_and_the_others_go_on() {
    let desk = Desk::new().await;
    let damaged = desk.accept(&["a@x.example"]).await;
    let fine = desk.accept(&["b@x.example"]).await;
    let damage =
        move |c: &rusqlite::Connection| c.execute("UPDATE message SET route = '{' WHERE id = ?1", [damaged.as_bytes()]);
    desk.store.write(damage).await.unwrap();
    assert_eq!(desk.lease().await.id, fine);
    let unreported = |event: &Event| matches!(event, Event::Unreported { about, .. } if *about == damaged);
    assert_eq!(desk.witness.count(unreported), 1);
    let failed = desk.queue.list(Filter { state: Some(State::Failed), ..Filter::default() }).await.unwrap();
    assert_eq!(failed.len(), 1);
}

#[tokio::test]
async fn what_was_sent_is_remembered_for_the_limits() {
    let desk = Desk::new().await;
    let start = desk.clock.now();
    desk.accept(&["a@x.example", "b@x.example"]).await;
    desk.accept(&["c@x.example"]).await;
    desk.attempt(relayed()).await;
    desk.attempt(outcome(Reason::Throttled)).await;
    let desk = desk.crash().await;
    desk.accept(&["d@x.example"]).await;
    let sends = desk.queue.recent_sends(&route().key(), start).await.unwrap();
    assert_eq!(sends, [(start, 2)]);
    assert!(desk.queue.recent_sends(&route().key(), start.plus(MINUTE)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_message_expires_while_it_waits() {
    let desk = Desk::new().await;
    let id = desk.accept(&["a@x.example"]).await;
    desk.attempt(outcome(Reason::Throttled)).await;
    desk.clock.advance(4 * DAY - MINUTE);
    assert!(desk.queue.lease_expired().await.unwrap().is_empty());
    desk.clock.advance(MINUTE);
    let lease = desk.queue.lease_expired().await.unwrap().remove(0);
    assert!(desk.queue.lease_expired().await.unwrap().is_empty(), "leased once");
    let attempt = lease.decided().unwrap();
    let verdict = desk.queue.verdict(&lease, &attempt);
    assert_eq!(verdict.failed[0].1.reason, Reason::Expired);
    assert!(verdict.failed[0].1.diagnostic.contains("the remote's words"), "{:?}", verdict.failed);
    desk.queue.settle(lease, attempt, verdict, None).await.unwrap();
    let detail = desk.show(id).await;
    assert_eq!((detail.summary.state, detail.attempts.len()), (State::Failed, 1));
}

#[tokio::test]
async fn a_message_expires_with_its_last_attempt() {
    let desk = Desk::new().await;
    let id = desk.accept(&["a@x.example"]).await;
    desk.clock.advance(4 * DAY);
    let lease = desk.lease().await;
    let attempt = all(&lease, outcome(Reason::Unreachable));
    let verdict = desk.queue.verdict(&lease, &attempt);
    assert_eq!((verdict.next, verdict.failed[0].1.reason), (None, Reason::Expired));
    desk.queue.settle(lease, attempt, verdict, None).await.unwrap();
    assert_eq!(desk.state(id).await, State::Failed);
}

#[tokio::test]
async fn a_clock_that_was_set_back_makes_nothing_wait_for_the_same_hours_again() {
    let desk = Desk::new().await;
    let deferred = desk.accept(&["a@x.example"]).await;
    desk.attempt(outcome(Reason::ProviderTrouble)).await;
    let due = desk.show(deferred).await.summary.next_attempt.unwrap();
    let wait = due.since(desk.clock.now());
    desk.clock.set_back(DAY);
    assert_eq!(desk.waits().await, Some(desk.clock.now().plus(wait)));
    desk.clock.advance(wait);
    assert_eq!(desk.attempt(relayed()).await, deferred);
}

#[tokio::test]
async fn a_clock_that_was_set_back_changes_no_hold_and_no_wait_but_their_end() {
    let desk = Desk::new().await;
    desk.accept(&["a@x.example"]).await;
    desk.attempt(outcome(Reason::AuthenticationRejected)).await;
    let hold = desk.queue.holds().await.unwrap().remove(0);
    let wait = hold.next_probe.unwrap().since(desk.clock.now());
    desk.clock.set_back(DAY);
    let mut turned = desk.queue.turned_back();
    desk.queue.look_at_the_clock();
    turned.changed().await.unwrap();
    let hold = desk.queue.holds().await.unwrap().remove(0);
    assert_eq!(hold.next_probe, Some(desk.clock.now().plus(wait)));
    assert_eq!(hold.since, desk.clock.now(), "nothing began in the future");
}

#[tokio::test]
async fn what_is_written_after_the_clock_was_set_back_is_of_the_new_time_and_stays() {
    let desk = Desk::new().await;
    let patience = |wait| Outcome::from(Failure::new(Reason::ProviderTrouble, "").retry_after(Some(wait)));
    let (before, hours) = (desk.accept(&["a@x.example"]).await, Duration::from_hours(3));
    let lease = desk.lease().await;
    let mut turned = desk.queue.turned_back();
    desk.clock.set_back(DAY);
    let now = desk.clock.now();
    desk.queue.rest(&route().key(), BackendKind::Graph, now.plus(hours)).await.unwrap();
    let attempt = all(&lease, patience(hours));
    desk.settle(lease, attempt).await;
    let after = desk.accept(&["b@x.example"]).await;
    desk.clock.advance(MINUTE);
    desk.queue.look_at_the_clock();
    turned.changed().await.unwrap();
    let next = desk.show(before).await.summary.next_attempt;
    assert_eq!(next, Some(now.plus(hours)), "as the provider asked, counted from the time as it is");
    assert_eq!(desk.queue.rests().await.unwrap()[0].2, now.plus(hours));
    assert_eq!(desk.show(after).await.summary.accepted_at, now);
    assert_eq!(*turned.borrow(), 1, "it was set back once");
}
