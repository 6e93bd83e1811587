use super::*;
use crate::mail::dsn::{Back, MessageWishes, Notify};

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn what_was_asked_for_about_reports_survives_a_crash() {
    let desk = Desk::new().await;
    let mut message = desk.message(&["a@x.example", "b@x.example"], b"Subject: a\r\n\r\nb\r\n").await;
    let mut to = message.envelope.recipients().to_vec();
    to[1].wishes.notify = Notify::parse("NEVER");
    let mut envelope = Envelope::new(message.envelope.reverse_path().clone(), to).unwrap();
    envelope.wishes = MessageWishes { back: Some(Back::Full), envelope_id: Some("id".to_owned()) };
    message.envelope = envelope.clone();
    desk.queue.accept(message).await.unwrap();
    let desk = desk.crash().await;
    assert_eq!(desk.lease().await.envelope, envelope);
}

#[tokio::test]
async fn a_message_is_late_once_with_the_words_it_waits_for() {
    let desk = Desk::new().await;
    let id = desk.accept(&["a@x.example"]).await;
    desk.attempt(outcome(Reason::Unreachable)).await;
    desk.accept(&["relayed@x.example"]).await;
    desk.attempt(relayed()).await;
    assert!(desk.queue.late().await.unwrap().is_end(), "nothing is old enough");

    desk.clock.advance(4 * HOUR);
    desk.accept(&["young@x.example"]).await;
    let found = desk.queue.late().await.unwrap();
    let [late] = &found.late[..] else { panic!("{found:?}") };
    assert_eq!((late.lease.id, late.held), (id, false));
    assert_eq!(late.waiting[0].1.diagnostic, "the remote's words");
    assert_eq!(late.until, desk.clock.now().minus(4 * HOUR).plus(desk.settings.expire_after));
    let mut report = desk.message(&["app@x.example"], b"Subject: late\r\n\r\n").await;
    report.report_about = Some(id);
    desk.queue.told(&found, vec![report]).await.unwrap();
    assert_eq!(desk.witness.count(|event| matches!(event, Event::Reported { about, .. } if *about == id)), 1);
    assert!(desk.queue.late().await.unwrap().is_end(), "it is told once");

    let desk = desk.crash().await;
    assert!(desk.queue.late().await.unwrap().is_end(), "and not again after a restart");
    desk.clock.advance(4 * HOUR);
    let found = desk.queue.late().await.unwrap();
    assert_eq!(found.late.len(), 1, "the young one; a report is never late");
    assert_eq!(found.late[0].waiting[0].1.reason, Reason::Throttled, "it was never tried");
}

#[tokio::test]
async fn a_history_without_late_mail_is_gone_through_once() {
    let desk = Desk::new().await;
    for _ in 0..3 {
        desk.accept(&["a@x.example"]).await;
        desk.attempt(relayed()).await;
    }
    desk.clock.advance(5 * HOUR);
    let found = desk.queue.late().await.unwrap();
    assert!(found.late.is_empty() && !found.is_end());
    desk.queue.told(&found, vec![]).await.unwrap();
    assert!(desk.queue.late().await.unwrap().is_end());
}

#[tokio::test]
async fn mail_is_late_as_before_after_all_history_was_purged() {
    let desk = Desk::new().await;
    for _ in 0..3 {
        desk.accept(&["a@x.example"]).await;
        desk.attempt(relayed()).await;
    }
    desk.clock.advance(5 * HOUR);
    let found = desk.queue.late().await.unwrap();
    desk.queue.told(&found, vec![]).await.unwrap();
    desk.clock.advance(desk.settings.keep);
    desk.queue.maintain().await.unwrap();
    let id = desk.accept(&["b@x.example"]).await;
    desk.clock.advance(5 * HOUR);
    let found = desk.queue.late().await.unwrap();
    assert_eq!(found.late.iter().map(|late| late.lease.id).collect::<Vec<_>>(), [id], "its row has a number of before");
}

#[tokio::test]
async fn nobody_is_late_where_that_is_switched_off() {
    let desk = Desk::with(|settings| settings.delay_report_after = Duration::ZERO).await;
    desk.accept(&["a@x.example"]).await;
    desk.clock.advance(DAY);
    assert!(desk.queue.late().await.unwrap().is_end());
}

#[tokio::test]
async fn what_goes_into_a_digest_is_collected_and_told_once() {
    let desk = Desk::new().await;
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(desk.accept(&["a@x.example"]).await);
        let lease = desk.lease().await;
        let attempt = all(&lease, outcome(Reason::Rejected));
        let verdict = desk.queue.verdict(&lease, &attempt);
        let line = format!("line {number}");
        let line = DigestLine { to: address("app@x.example"), route: route(), about: lease.id, line };
        desk.queue.settle(lease, attempt, verdict, Some(Report::InDigest(Box::new(line)))).await.unwrap();
    }
    assert_eq!(desk.queue.digests().await.unwrap(), [], "more may come");
    let desk = desk.crash().await;
    desk.clock.advance(15 * MINUTE);
    let digests = desk.queue.digests().await.unwrap();
    let [digest] = &digests[..] else { panic!("{digests:?}") };
    assert_eq!(digest.lines.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids);
    assert_eq!((digest.to.to_string(), digest.lines[2].1.as_str()), ("app@x.example".to_owned(), "line 2"));
    let message = desk.message(&["app@x.example"], b"Subject: digest\r\n\r\n").await;
    desk.queue.told_digest(digest, message).await.unwrap();
    assert_eq!(desk.queue.digests().await.unwrap(), []);
    assert_eq!(desk.read(&desk.lease().await).await.unwrap(), b"Subject: digest\r\n\r\n");
}

#[tokio::test]
async fn reports_that_were_made_lately_are_known_after_a_restart() {
    let desk = Desk::new().await;
    let begun = desk.clock.now();
    desk.accept(&["a@x.example"]).await;
    for to in ["app@x.example", "other@x.example"] {
        desk.clock.advance(MINUTE);
        let id = desk.accept(&["a@x.example"]).await;
        let mut report = desk.message(&[to], b"Subject: report\r\n\r\n").await;
        report.report_about = Some(id);
        desk.queue.accept(report).await.unwrap();
    }
    let desk = desk.crash().await;
    let (first, second) = (begun.plus(MINUTE), begun.plus(2 * MINUTE));
    let both = [(address("app@x.example"), first), (address("other@x.example"), second)];
    assert_eq!(desk.queue.recent_reports(begun).await.unwrap(), both, "and no other mail");
    assert_eq!(desk.queue.recent_reports(second).await.unwrap(), both[1..]);
}
