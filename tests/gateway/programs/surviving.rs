//! An object stays one over a restart, and so does everything else that is promised of mail.

use std::time::Duration;

use oxpost::mail::Event;
use oxpost::practice::{Fault, GraphFault, Rule, TokenFault};
use oxpost::queue::State;
use serde_json::json;

use super::{microsoft, person, queued, with};
use crate::house::{ALICE, BILLING, House, Plan, RECIPIENT, network_client};

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_waits_is_still_one_after_a_restart() {
    let mut house = House::start(Plan::default()).await;
    house.tenant.switches().inject(Rule::always(Fault::Graph(GraphFault::Unavailable)));
    let large = "Zm9v".repeat(200_000);
    let object = with(
        microsoft(BILLING, "waits"),
        &json!({ "flag": { "flagStatus": "flagged" }, "attachments": [{ "name": "a.bin", "contentBytes": large }] }),
    );
    let (small, _) = queued(&house, "", &microsoft(BILLING, "small")).await;
    let (id, _) = queued(&house, "", &object).await;
    let deferred =
        |id| move |event: &Event| matches!(event, Event::Deferred { id: other, .. } if *other == id).then_some(());
    house.events.first("the first is deferred", deferred(small)).await;
    house.events.first("the second is deferred", deferred(id)).await;
    house.restart().await;
    assert_eq!(house.tenant.mail_count(), 0);
    house.tenant.switches().clear_faults();
    house.later(Duration::from_secs(3600), BILLING).await;
    for id in [small, id] {
        house.relayed(id).await;
    }
    let arrived = house.arrived(3).await;
    let arrived = arrived.iter().find(|mail| mail.subject() == "waits").unwrap();
    let message = &arrived.object.as_ref().unwrap()["message"];
    assert_eq!(message["flag"]["flagStatus"], "flagged");
    assert_eq!(message["attachments"][0]["contentBytes"], large);
    assert_eq!(house.tenant.findings().iter().filter(|finding| !finding.what.contains("503")).count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_object_goes_after_the_sign_in() {
    let house = House::start(Plan::default()).await;
    house.clock.advance(Duration::from_secs(2 * 3600));
    house.tenant.switches().inject(Rule::always(Fault::Token(TokenFault::InvalidGrant)));
    let (id, _) = queued(&house, "", &microsoft(BILLING, "held")).await;
    let held = |event: &Event| matches!(event, Event::Held { .. }).then_some(());
    house.events.first("the mailbox is held", held).await;
    assert_eq!(house.show(id).await.summary.state, State::Held);
    house.tenant.switches().clear_faults();
    house.sign_in("billing").await;
    house.relayed(id).await;
    assert!(house.only_one().await.object.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_graph_refuses_the_mailbox_the_object_leaves_as_mime_by_the_next_way() {
    let house = House::start(Plan { clients: network_client("keep"), ..Plan::default() }).await;
    house.tenant.switches().inject(Rule::always(Fault::Graph(GraphFault::NoRest)));
    let object = with(microsoft(ALICE, "fallback"), &json!({ "flag": { "flagStatus": "flagged" } }));
    let (id, answer) = queued(&house, "", &object).await;
    assert_eq!(answer["notCarried"], json!([]), "Graph comes first, and carries it");
    house.relayed(id).await;
    let arrived = house.only_one().await;
    assert!(arrived.object.is_none());
    let history = format!("{:?}", house.show(id).await.attempts);
    assert!(history.contains("it carries MIME, which has no `flag`"), "history says what was lost: {history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_recipients_than_one_message_may_have_are_split_and_each_part_names_its_own() {
    let house = House::start(Plan { clients: network_client("keep"), ..Plan::default() }).await;
    let many: Vec<_> = (0..600).map(|n| person(&format!("r{n}@elsewhere.example"))).collect();
    let (id, _) = queued(&house, "", &with(microsoft(BILLING, "many"), &json!({ "toRecipients": many }))).await;
    house.relayed(id).await;
    let arrived = house.arrived(2).await;
    let mut all: Vec<&String> = arrived.iter().flat_map(|mail| &mail.recipients).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 600, "each once");
    assert!(arrived.iter().all(|mail| mail.object.is_some() && mail.recipients.len() <= 500));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_can_be_downloaded_as_the_message_it_becomes() {
    let house = House::start(Plan::default()).await;
    house.tenant.switches().inject(Rule::always(Fault::Graph(GraphFault::Unavailable)));
    let (id, _) = queued(&house, "", &microsoft(BILLING, "shown")).await;
    let (status, text) = house.get(&format!("/api/v1/messages/{id}/content")).await;
    assert!(status.is_success());
    for part in [" with HTTP id ", "\r\nSubject: shown\r\n", &format!("\r\nTo: <{RECIPIENT}>\r\n"), "\r\n\r\nText"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_leaves_an_object_unknown_and_tried_again() {
    let house = House::start(Plan::default()).await;
    house.tenant.switches().inject(Rule::once(Fault::Graph(GraphFault::TakenThenTimeout)));
    let (id, _) = queued(&house, "", &microsoft(BILLING, "lost")).await;
    let deferred = |event: &Event| matches!(event, Event::Deferred { id: other, .. } if *other == id).then_some(());
    house.events.first("it is written down", deferred).await;
    assert_eq!(house.tenant.mail_count(), 1, "it was taken");
    let history = format!("{:?}", house.show(id).await.attempts);
    assert!(history.contains("may arrive twice"), "{history}");
    house.later(Duration::from_secs(3600), BILLING).await;
    house.relayed(id).await;
    let objects = house.arrived(3).await.iter().filter(|mail| mail.object.is_some()).count();
    assert_eq!(objects, 2, "sent as an object again");
}
