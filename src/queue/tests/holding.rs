use super::*;

async fn hold(desk: &Desk) -> Hold {
    desk.queue.holds().await.unwrap().remove(0)
}

#[tokio::test]
async fn a_hold_takes_no_attempt_and_says_what_to_do() {
    let desk = Desk::new().await;
    let id = desk.accept(&["a@x.example"]).await;
    desk.attempt(outcome(Reason::SignInNeeded)).await;
    let detail = desk.show(id).await;
    assert_eq!((detail.summary.state, detail.summary.attempts), (State::Held, 0));
    assert!(detail.attempts.is_empty());
    assert!(detail.summary.hint.unwrap().contains("oxpost login scanner"));
    assert_eq!(detail.hold.unwrap(), hold(&desk).await);
    assert_eq!(hold(&desk).await.next_probe, None);
    assert_eq!(desk.waits().await, None, "no probe: only a person can mend it");
    desk.clock.advance(DAY);
    assert_eq!(desk.waits().await, None);
}

#[tokio::test]
async fn one_message_probes_after_5_15_30_and_then_60_minutes() {
    let desk = Desk::new().await;
    desk.accept(&["a@x.example"]).await;
    desk.accept(&["b@x.example"]).await;
    desk.attempt(outcome(Reason::AuthenticationRejected)).await;
    for minutes in [5, 15, 30, 60, 60] {
        let probe_at = desk.clock.now().plus(Duration::from_mins(minutes));
        assert_eq!(desk.waits().await, Some(probe_at));
        desk.clock.advance(Duration::from_mins(minutes));
        let probe = desk.lease().await;
        assert!(probe.probe);
        assert_eq!(desk.waits().await, None, "one at a time");
        let attempt = all(&probe, outcome(Reason::AuthenticationRejected));
        desk.settle(probe, attempt).await;
    }
    assert_eq!(hold(&desk).await.next_probe, desk.waits().await);
}

#[tokio::test]
async fn a_probe_that_goes_through_ends_the_hold() {
    let table = [
        (relayed(), true, "taken"),
        (outcome(Reason::RecipientRefused), true, "judged by the provider"),
        (outcome(Reason::Unreachable), false, "says nothing of the mailbox"),
        (outcome(Reason::MailboxFull), false, "still in trouble"),
    ];
    for (result, ends, why) in table {
        let desk = Desk::new().await;
        desk.accept(&["a@x.example"]).await;
        desk.accept(&["b@x.example"]).await;
        desk.attempt(outcome(Reason::MailboxFull)).await;
        desk.clock.advance(5 * MINUTE);
        desk.attempt(result).await;
        assert_eq!(desk.queue.holds().await.unwrap().is_empty(), ends, "{why}");
        assert_eq!(matches!(desk.next().await, Next::Lease(_)), ends, "{why}");
    }
}

#[tokio::test]
async fn a_probe_waits_for_retry_after() {
    let desk = Desk::new().await;
    desk.accept(&["a@x.example"]).await;
    let failure = Failure::new(Reason::DailyLimit, "").retry_after(Some(DAY));
    desk.attempt(failure.into()).await;
    assert_eq!(desk.waits().await, Some(desk.clock.now().plus(DAY)));
}

#[tokio::test]
async fn attempts_under_way_do_not_put_the_probe_off() {
    let desk = Desk::new().await;
    desk.accept(&["a@x.example"]).await;
    desk.accept(&["b@x.example"]).await;
    let (first, second) = (desk.lease().await, desk.lease().await);
    let start = desk.clock.now();
    let attempt = all(&first, outcome(Reason::MailboxFull));
    desk.settle(first, attempt).await;
    desk.clock.advance(MINUTE);
    let attempt = all(&second, outcome(Reason::MailboxFull));
    desk.settle(second, attempt).await;
    assert_eq!(hold(&desk).await.next_probe, Some(start.plus(5 * MINUTE)));
    assert_eq!(hold(&desk).await.since, start);
}

#[tokio::test]
async fn a_release_makes_held_mail_due_and_wakes_its_mailbox() {
    let desk = Desk::new().await;
    let id = desk.accept(&["a@x.example"]).await;
    desk.queue.wait(&route().key()).await;
    for selector in [
        Selector::Account("scanner".to_owned()),
        Selector::Mailbox(address("Scanner@Contoso.example")),
        Selector::Message(id),
        Selector::All,
    ] {
        desk.attempt(outcome(Reason::SignInNeeded)).await;
        let other = Selector::Account("other".to_owned());
        assert!(desk.queue.release(other, "by hand").await.unwrap().is_empty());
        assert_eq!(desk.waits().await, None);
        let waiting = desk.queue.wait(&route().key());
        assert_eq!(desk.queue.release(selector, "by hand").await.unwrap(), [route().key()]);
        waiting.await;
    }
    assert_eq!(desk.lease().await.attempt, 1);
    assert_eq!(desk.witness.count(|event| matches!(event, Event::Released { .. })), 4);
    assert_eq!(desk.witness.count(|event| matches!(event, Event::Held { .. })), 4);
}

#[tokio::test]
async fn a_release_hurries_deferred_mail() {
    let desk = Desk::new().await;
    desk.accept(&["a@x.example"]).await;
    desk.accept(&["b@x.example"]).await;
    let deferred = desk.attempt(outcome(Reason::TokenUnavailable)).await;
    let held = desk.attempt(outcome(Reason::SignInNeeded)).await;
    desk.queue.release(Selector::All, "by hand").await.unwrap();
    let mut due = [desk.lease().await.id, desk.lease().await.id];
    due.sort();
    assert_eq!(due, [deferred, held]);
}

#[tokio::test]
async fn a_release_does_not_overrule_retry_after() {
    let desk = Desk::new().await;
    desk.accept(&["a@x.example"]).await;
    desk.accept(&["b@x.example"]).await;
    let (first, second) = (desk.lease().await, desk.lease().await);
    let attempt = all(&first, Failure::new(Reason::Throttled, "").retry_after(Some(DAY)).into());
    desk.settle(first, attempt).await;
    let attempt = all(&second, outcome(Reason::SignInNeeded));
    desk.settle(second, attempt).await;
    let asked = desk.clock.now().plus(DAY);
    desk.queue.release(Selector::All, "by hand").await.unwrap();
    assert_eq!(desk.waits().await, Some(asked));
}

#[tokio::test]
async fn an_attempt_from_before_the_release_does_not_hold_again() {
    let desk = Desk::new().await;
    desk.accept(&["a@x.example"]).await;
    desk.accept(&["b@x.example"]).await;
    let (first, second) = (desk.lease().await, desk.lease().await);
    let attempt = all(&first, outcome(Reason::SignInNeeded));
    desk.settle(first, attempt.clone()).await;
    desk.queue.release(Selector::Account("scanner".to_owned()), "signed in").await.unwrap();
    desk.settle(second, attempt).await;
    assert!(desk.queue.holds().await.unwrap().is_empty());
    desk.lease().await;
    desk.lease().await;
}

#[tokio::test]
async fn hold_time_does_not_count_towards_expiry() {
    let desk = Desk::new().await;
    desk.accept(&["a@x.example"]).await;
    desk.attempt(outcome(Reason::SignInNeeded)).await;
    desk.clock.advance(10 * DAY);
    let late = desk.accept(&["late@x.example"]).await;
    assert!(desk.queue.lease_expired().await.unwrap().is_empty());
    desk.queue.release(Selector::All, "by hand").await.unwrap();
    desk.clock.advance(4 * DAY - MINUTE);
    assert!(desk.queue.lease_expired().await.unwrap().is_empty());
    desk.clock.advance(MINUTE);
    let expired = desk.queue.lease_expired().await.unwrap();
    assert_eq!(expired.len(), 2, "both had four days besides the hold");
    assert!(expired.iter().any(|lease| lease.id == late));
}

#[tokio::test]
async fn a_hold_has_a_limit_of_its_own() {
    let desk = Desk::new().await;
    desk.accept(&["a@x.example"]).await;
    desk.attempt(outcome(Reason::SignInNeeded)).await;
    desk.clock.advance(14 * DAY - MINUTE);
    assert!(desk.queue.lease_expired().await.unwrap().is_empty());
    desk.clock.advance(MINUTE);
    let lease = desk.queue.lease_expired().await.unwrap().remove(0);
    let failure = desk.queue.verdict(&lease, &lease.decided().unwrap()).failed.remove(0).1;
    assert_eq!(failure.reason, Reason::HoldExpired);
    assert!(failure.diagnostic.contains("signed in again"), "{failure}");
}

#[tokio::test]
async fn a_hold_survives_a_restart() {
    let desk = Desk::new().await;
    desk.accept(&["a@x.example"]).await;
    desk.attempt(outcome(Reason::MailboxFull)).await;
    let before = hold(&desk).await;
    desk.clock.advance(5 * MINUTE);
    desk.lease().await;
    let desk = desk.crash().await;
    let after = hold(&desk).await;
    assert_eq!((after.since, after.failure), (before.since, before.failure));
    desk.clock.advance(15 * MINUTE);
    assert!(desk.lease().await.probe, "the interrupted probe does not block the next one");
}

#[tokio::test]
async fn a_hold_by_hand_ends_by_a_release_alone() {
    let desk = Desk::new().await;
    let id = desk.accept(&["a@x.example"]).await;
    let open = desk.lease().await;
    desk.queue.hold(&route().key(), "scanner", "the bill is wrong").await.unwrap();
    desk.accept(&["b@x.example"]).await;
    assert_eq!(desk.waits().await, None, "nothing is sent, nothing probes");
    let attempt = all(&open, outcome(Reason::SignInNeeded));
    desk.settle(open, attempt).await;
    desk.queue.mended(Selector::Account("scanner".to_owned()), "signed in").await.unwrap();
    let desk = desk.crash().await;
    assert_eq!(desk.waits().await, None, "neither trouble, nor its end, nor a restart changes that");
    let detail = desk.show(id).await;
    assert_eq!(detail.summary.failure.unwrap().reason, Reason::HeldByHand);
    assert!(detail.hold.unwrap().failure.diagnostic.contains("the bill is wrong"));
    assert_eq!(desk.queue.release(Selector::All, "by hand").await.unwrap(), [route().key()]);
    desk.lease().await;
}

#[tokio::test]
async fn a_probe_that_goes_through_does_not_end_a_hold_by_hand() {
    let desk = Desk::new().await;
    desk.accept(&["a@x.example"]).await;
    desk.attempt(outcome(Reason::MailboxFull)).await;
    desk.clock.advance(5 * MINUTE);
    let probe = desk.lease().await;
    desk.queue.hold(&route().key(), "scanner", "").await.unwrap();
    let attempt = all(&probe, relayed());
    desk.settle(probe, attempt).await;
    desk.accept(&["b@x.example"]).await;
    assert_eq!(desk.waits().await, None);
}

#[tokio::test]
async fn people_are_told_of_a_hold_once_and_reminded_after_an_hour_a_day_and_daily() {
    let desk = Desk::new().await;
    let (first, second) = (desk.accept(&["a@x.example"]).await, desk.accept(&["b@x.example"]).await);
    let leases = [desk.lease().await, desk.lease().await];
    assert_eq!([leases[0].id, leases[1].id], [first, second]);
    for lease in leases {
        let attempt = all(&lease, outcome(Reason::SenderBlocked));
        desk.settle(lease, attempt).await;
    }
    let fresh = |event: &Event| matches!(event, Event::Held { fresh: true, .. });
    assert_eq!((desk.witness.count(fresh), desk.queue.holds().await.unwrap().len()), (1, 1));
    let reminded = |desk: &Desk| {
        desk.witness.count(|event| matches!(event, Event::StillHeld { waiting: 2, failure, .. } if failure.reason == Reason::SenderBlocked))
    };
    let mut desk = desk;
    let mut expected = 0;
    for (minutes, told, why) in [
        (59, false, "not yet an hour"),
        (1, true, "an hour"),
        (0, false, "told already"),
        (22 * 60, false, "not yet a day"),
        (60, true, "a day"),
        (24 * 60, true, "two days"),
        (23 * 60, false, "not yet three"),
        (10 * 24 * 60, true, "days that were missed are not made up for"),
    ] {
        desk.clock.advance(minutes * MINUTE);
        desk.queue.remind().await.unwrap();
        expected += usize::from(told);
        assert_eq!(reminded(&desk), expected, "{why}");
        if why == "a day" {
            desk = desk.crash().await;
            expected = 0;
            desk.queue.remind().await.unwrap();
            assert_eq!(reminded(&desk), 0, "a restart remembers");
        }
    }
}
