use super::*;
use crate::mail::dsn::{BounceAction, BounceReport, Bounced};

const ID: &str = "<1@x.example>";

fn bounced(to: &str, action: BounceAction) -> Bounced {
    let words = "550 5.1.1 no such user".to_owned();
    Bounced { address: Some(address(to)), original: None, action, status: "5.1.1".parse().ok(), words }
}

fn report(desk: &Desk, id: &str, recipients: Vec<Bounced>) -> FoundReport {
    let report = BounceReport { about: None, message_ids: vec![id.to_owned()], recipients };
    FoundReport { report, at: desk.clock.now() }
}

async fn record(desk: &Desk, found: Vec<FoundReport>) -> usize {
    desk.queue.record_bounces(&route().key(), found, "here".to_owned()).await.unwrap()
}

async fn failed(desk: &Desk, id: &str, to: &str) -> usize {
    record(desk, vec![report(desk, id, vec![bounced(to, BounceAction::Failed)])]).await
}

/// What history has of each recipient.
async fn told(desk: &Desk, id: QueueId) -> Vec<usize> {
    let detail = desk.queue.show(id).await.unwrap().unwrap();
    detail.recipients.iter().map(|recipient| recipient.bounces.len()).collect()
}

#[tokio::test]
async fn a_report_is_a_line_of_the_messages_history_and_changes_nothing_else() {
    let desk = Desk::new().await;
    let id = desk.accept(&["ann@x.example", "Bob@x.example"]).await;
    desk.attempt(relayed()).await;
    assert_eq!(failed(&desk, ID, "bob@X.example").await, 1);
    let detail = desk.queue.show(id).await.unwrap().unwrap();
    assert_eq!((detail.summary.state, detail.summary.bounced), (State::Relayed, 1));
    assert_eq!(detail.recipients[0].bounces, []);
    let line = &detail.recipients[1].bounces[0];
    assert_eq!(line.to_string(), "failed: 550 5.1.1 no such user");
    assert_eq!((line.at, &line.address), (desk.clock.now(), &None));
    let bounced = |event: &Event| matches!(event, Event::Bounced { recipient, .. } if recipient == "Bob@x.example");
    assert_eq!(desk.witness.count(bounced), 1);
    let filter = Filter { bounced: true, all: true, ..Filter::default() };
    assert_eq!(desk.queue.list(filter).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_same_news_is_one_line_however_often_it_comes() {
    let desk = Desk::new().await;
    let id = desk.accept(&["ann@x.example"]).await;
    desk.attempt(relayed()).await;
    assert_eq!(failed(&desk, ID, "ann@x.example").await, 1);
    let desk = desk.crash().await;
    assert_eq!(desk.queue.inbox_place(&route().key()).await.unwrap().as_deref(), Some("here"));
    for _ in 0..3 {
        assert_eq!(failed(&desk, ID, "ann@x.example").await, 0);
    }
    let delayed = report(&desk, ID, vec![bounced("ann@x.example", BounceAction::Delayed)]);
    assert_eq!(record(&desk, vec![delayed.clone(), delayed]).await, 1, "other news is another line");
    assert_eq!(told(&desk, id).await, [2]);
}

#[tokio::test]
async fn only_what_the_mailbox_sent_to_that_recipient_is_told_of() {
    let desk = Desk::new().await;
    let id = desk.accept(&["ann@x.example", "bob@x.example"]).await;
    assert_eq!(failed(&desk, ID, "ann@x.example").await, 0, "it was not sent yet");
    desk.attempt(relayed()).await;
    let other = MailboxKey { mailbox: "other@x.example".to_owned(), ..route().key() };
    let found = vec![report(&desk, ID, vec![bounced("ann@x.example", BounceAction::Failed)])];
    assert_eq!(desk.queue.record_bounces(&other, found, String::new()).await.unwrap(), 0, "another mailbox sent it");
    assert_eq!(failed(&desk, "<2@x.example>", "ann@x.example").await, 0, "another message");
    assert_eq!(failed(&desk, ID, "carol@x.example").await, 0, "somebody else");
    let mut early = report(&desk, ID, vec![bounced("ann@x.example", BounceAction::Failed)]);
    early.at = early.at.minus(DAY);
    assert_eq!(record(&desk, vec![early]).await, 0, "it came before the message was there");
    assert_eq!(told(&desk, id).await, [0, 0]);
}

#[tokio::test]
async fn a_message_id_that_a_client_always_uses_means_the_newest_message_to_that_recipient() {
    let desk = Desk::new().await;
    let mut ids = Vec::new();
    for to in ["ann@x.example", "ann@x.example", "bob@x.example"] {
        // Not the only recipient, so the report must name it.
        ids.push(desk.accept(&[to, "all@x.example"]).await);
        desk.attempt(relayed()).await;
        desk.clock.advance(MINUTE);
    }
    assert_eq!(failed(&desk, ID, "ann@x.example").await, 1);
    let lines = [told(&desk, ids[0]).await, told(&desk, ids[1]).await, told(&desk, ids[2]).await];
    assert_eq!(lines, [[0, 0], [1, 0], [0, 0]]);
}

#[tokio::test]
async fn mail_that_is_passed_on_is_told_of_with_the_address_it_went_to() {
    let desk = Desk::new().await;
    let id = desk.accept(&["ann@x.example"]).await;
    desk.attempt(relayed()).await;
    assert_eq!(failed(&desk, ID, "ann@private.example").await, 1);
    let detail = desk.queue.show(id).await.unwrap().unwrap();
    let line = &detail.recipients[0].bounces[0];
    assert_eq!(line.to_string(), "failed for <ann@private.example>: 550 5.1.1 no such user");
}

#[tokio::test]
async fn lines_go_with_their_message() {
    let desk = Desk::new().await;
    desk.accept(&["ann@x.example"]).await;
    desk.attempt(relayed()).await;
    assert_eq!(failed(&desk, ID, "ann@x.example").await, 1);
    desk.clock.advance(desk.settings.keep + DAY);
    desk.queue.maintain().await.unwrap();
    let count =
        |connection: &rusqlite::Connection| connection.query_row("SELECT count(*) FROM bounce", [], |row| row.get(0));
    let left: i64 = desk.store.read(count).await.unwrap();
    assert_eq!(left, 0);
    assert_eq!(failed(&desk, ID, "ann@x.example").await, 0, "what is forgotten cannot be told of");
}

#[tokio::test]
async fn our_own_report_that_lies_in_the_mailbox_is_no_news() {
    let desk = Desk::new().await;
    let id = desk.accept(&["ann@x.example", "bob@x.example"]).await;
    desk.attempt_each(vec![relayed(), outcome(Reason::RecipientRefused)]).await;
    let mut found = report(&desk, ID, vec![bounced("bob@x.example", BounceAction::Failed)]);
    found.report.about = Some(id);
    assert_eq!(record(&desk, vec![found.clone()]).await, 0, "it failed here");
    desk.queue.retry(id).await.unwrap();
    desk.attempt(relayed()).await;
    assert_eq!(record(&desk, vec![found.clone()]).await, 0, "it tells of the time before");
    found.report.about = Some(QueueId::fresh());
    assert_eq!(record(&desk, vec![found]).await, 1, "another gateway passed the message on and tells of it");
    assert_eq!(told(&desk, id).await, [0, 1]);
}
