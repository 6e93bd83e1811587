//! Much mail at once: it is taken at once and goes just under the limit of its mailbox, each client in its turn.

use std::time::Duration;

use oxpost::clock::Timestamp;
use oxpost::mail::Event;
use oxpost::practice::MessageRate;
use oxpost::queue::{Filter, State};
use serde_json::Value;

use crate::client::Client;
use crate::house::{ALICE, BILLING, House, LOGIN, PASSWORD, Plan, RECIPIENT, SCANNER, letter, queue_id};

/// Messages that the practice tenant takes in a minute.
const MINUTE: u64 = 30;

async fn relayed(house: &House, count: u64) {
    let of = |event: &&Event| matches!(event, Event::Relayed { .. });
    let enough = |events: &[Event]| events.iter().filter(of).count() as u64 >= count;
    house.events.until("all that may go is relayed", enough).await;
}

/// What the API says of the mailbox's mail.
async fn waiting(house: &House) -> Value {
    let (status, overview) = house.get("/api/v1/overview").await;
    assert!(status.is_success(), "{overview}");
    let overview: Value = serde_json::from_str(&overview).unwrap();
    overview["waiting"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_taken_at_once_and_goes_just_under_the_limit() {
    let burst: u64 = 300;
    let mut house = House::new().await;
    house.tenant.switches().set(|knobs| knobs.message_rate = MessageRate::Refused);
    let begun = house.clock.now();
    let mut client = house.client().await;
    let mut last = None;
    for number in 0..burst {
        let content = letter(SCANNER, RECIPIENT, &format!("number {number}"));
        last = Some(queue_id(&client.hand_in(SCANNER, &[RECIPIENT], content).await));
    }
    relayed(&house, MINUTE).await;
    let left = waiting(&house).await;
    let drained = Timestamp::from_millis(left["drained"].as_i64().unwrap());
    assert_eq!((left["mailbox"].as_str(), left["messages"].as_u64()), (Some(SCANNER), Some(burst - MINUTE)));
    let listed = house.command(&["queue", "list"]).await;
    let words = format!("{} messages wait in {SCANNER}, expected to have gone by {drained}", burst - MINUTE);
    assert!(listed.text.contains(&words), "no {words:?} in {}", listed.text);
    for step in 1..burst / MINUTE {
        if step == 5 {
            house.restart().await;
            // Something to wait for, while a gateway that had forgotten the minute would go on with the burst.
            let other = house.send(BILLING, &[RECIPIENT], letter(BILLING, RECIPIENT, "another mailbox")).await;
            house.relayed(other).await;
        }
        let others = u64::from(step >= 5);
        house.clock.advance(Duration::from_secs(61));
        // Wakes the mailbox; the real time has not come yet. If the message is under way already, nothing needs a wake.
        let _ = house.control().queue.retry(last.unwrap()).await;
        relayed(&house, MINUTE * (step + 1) + others).await;
        assert!(house.tenant.mail_count() <= MINUTE * (step + 1) + others, "no more than a minute allows");
    }
    assert_eq!(house.clock.now(), drained, "as was expected {:?} before", drained.since(begun));
    let mut subjects: Vec<_> = house.arrived(burst + 1).await.iter().map(|mail| mail.subject().to_owned()).collect();
    subjects.sort_unstable();
    subjects.dedup();
    assert_eq!(subjects.len() as u64, burst + 1, "each has arrived, and once");
    let refused = house.events.count(|event| matches!(event, Event::Deferred { .. } | Event::Failed { .. }));
    assert!(refused as u64 * 100 <= burst, "{refused} were refused");
    assert_eq!(waiting(&house).await, Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hands_in_much_keeps_no_other_client_of_its_mailbox_waiting() {
    let listeners = vec!["tls = \"none\"\nallow_clear_auth = true".to_owned()];
    let tables = "[limits]\nmessages_per_minute = 5\n".to_owned();
    let house = House::start(Plan { listeners, tables, ..Plan::default() }).await;
    let hold = serde_json::json!({ "what": SCANNER, "why": "until all have handed in" }).to_string();
    assert!(house.call("POST", "/api/v1/holds/begin", &hold).await.0.is_success());
    let mut dumper = Client::connect(house.listener(0)).await.greeted().await;
    assert!(dumper.log_in(LOGIN, PASSWORD).await.starts_with("235"));
    for number in 0..100 {
        let content = letter(SCANNER, RECIPIENT, &format!("number {number}"));
        queue_id(&dumper.hand_in(SCANNER, &[RECIPIENT], content).await);
    }
    house.send(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, "the single one")).await;
    house.post("/api/v1/holds/release", r#""all""#).await;
    let mail = house.arrived(5).await;
    let subjects: Vec<_> = mail.iter().map(|mail| mail.subject()).collect();
    assert!(subjects.iter().any(|subject| subject == "the single one"), "among the first five: {subjects:?}");
    relayed(&house, 5).await;
    let left = house.list(Filter { state: Some(State::Waiting), ..Filter::default() }).await;
    assert_eq!(left.len(), 96, "and the minute allows no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_graph_takes_in_five_minutes_is_not_exceeded_and_waiting_is_no_attempt() {
    let tables = "[limits]\ngraph_octets_per_5_minutes = \"20 kB\"\n".to_owned();
    let mut house = House::start(Plan { tables, ..Plan::default() }).await;
    // Each has a little more than 6 kB, and 8 kB in base64.
    let large = |from: &str, subject: &str| letter(from, RECIPIENT, &format!("{subject} {}", "x".repeat(3_000)));
    for subject in ["one", "two"] {
        let id = house.send(BILLING, &[RECIPIENT], large(BILLING, subject)).await;
        house.relayed(id).await;
    }
    let third = house.send(BILLING, &[RECIPIENT], large(BILLING, "three")).await;
    let waits = |event: &Event| {
        let Event::Deferred { id, failure, .. } = event else { return None };
        (*id == third).then(|| failure.to_string())
    };
    let why = house.events.first("the third waits", waits).await;
    assert!(why.contains("20000 octets in 5 minutes"), "{why}");
    let detail = house.show(third).await;
    assert_eq!((detail.summary.state, detail.attempts.len()), (State::Waiting, 0));
    assert_eq!(detail.summary.next_attempt, Some(house.clock.now().plus(Duration::from_secs(301))));

    // Another way takes what this one may not.
    for subject in ["one", "two", "three"] {
        let id = house.send(ALICE, &[RECIPIENT], large(ALICE, subject)).await;
        house.relayed(id).await;
    }
    house.restart().await;
    // A retry ends what the provider asked for, and not what we count ourselves.
    let again = house.events.count(|event| waits(event).is_some());
    assert!(house.control().queue.retry(third).await.is_ok());
    let counted = |events: &[Event]| events.iter().filter(|event| waits(event).is_some()).count() > again;
    house.events.until("it waits again", counted).await;
    assert_eq!(house.tenant.mail_count(), 5);

    house.clock.advance(Duration::from_secs(301));
    // A wake; if the message is under way already, nothing needs one.
    let _ = house.control().queue.retry(third).await;
    house.relayed(third).await;
    let by = |way: &str| {
        let is = |event: &Event| matches!(event, Event::Relayed { backend, .. } if backend.name() == way);
        house.events.count(is)
    };
    assert_eq!((by("graph"), by("smtp")), (5, 1), "the third of the other mailbox left by SMTP");
}
