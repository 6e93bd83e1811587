//! Mailboxes that are watched: what a provider reports later stands in the history of the message, and nothing more
//! comes of it.

use std::time::Duration;

use oxpost::mail::dsn::BounceAction;
use oxpost::mail::{Event, QueueId};
use oxpost::practice::{Fault, GraphFault, Rule, WebStep};
use oxpost::queue::State;

use crate::house::{BILLING, House, Plan, RECIPIENT, SCANNER, account, letter};

const NOBODY: &str = "nobody@elsewhere.example";
/// As often as the mailbox is looked into, and more than the report takes.
const EVERY: Duration = Duration::from_mins(5);

fn plan(watched: bool) -> Plan {
    let mut accounts = account(SCANNER, r#"["smtp"]"#) + account(BILLING, r#"["graph"]"#).trim_end();
    accounts += if watched { "\nwatch_inbox = true\n\n" } else { "\n\n" };
    let clients =
        "[[client]]\nname = \"printers\"\nnetworks = [\"127.0.0.1/32\"]\naccounts = [\"scanner\", \"billing\"]\n";
    Plan { accounts, clients: clients.to_owned(), ..Plan::default() }
}

/// A letter with a Message-ID of its own.
async fn send(house: &House, to: &str, name: &str) -> QueueId {
    let text = letter(BILLING, to, name).replace("<1@client.example>", &message_id(name));
    let id = house.send(BILLING, &[to], text).await;
    house.relayed(id).await;
    id
}

fn message_id(name: &str) -> String {
    format!("<{name}@client.example>")
}

/// Waits until a report about the message is found.
async fn bounced(house: &House, message: QueueId) -> String {
    let about = |event: &Event| {
        let Event::Bounced { id, recipient, .. } = event else { return None };
        (*id == message).then(|| recipient.clone())
    };
    house.events.first("the report is found", about).await
}

/// How often a report about the message was found.
fn times(house: &House, message: QueueId) -> usize {
    house.events.count(|event| matches!(event, Event::Bounced { id, .. } if *id == message))
}

/// Moves the clock on and on.
async fn time_goes_by(house: &House, step: Duration) {
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    loop {
        ticks.tick().await;
        house.clock.advance(step);
    }
}

/// A report as anybody can write one.
fn forged(message_id: &str, to: &str) -> String {
    format!(
        "From: postmaster@elsewhere.example\r\nContent-Type: multipart/report; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nNo.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n\
         Reporting-MTA: dns;x\r\n\r\nFinal-Recipient: rfc822;{to}\r\nAction: failed\r\nStatus: 5.0.0\r\n\r\n\
         --b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: {message_id}\r\n\r\n--b--\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_bounces_after_it_was_relayed_says_so_in_its_history() {
    let house = House::start(plan(true)).await;
    let (lost, fine) = (send(&house, NOBODY, "lost").await, send(&house, RECIPIENT, "fine").await);
    house.clock.advance(EVERY);
    assert_eq!(bounced(&house, lost).await, NOBODY);
    let detail = house.show(lost).await;
    assert_eq!(
        (detail.summary.state, detail.summary.bounced),
        (State::Relayed, 1),
        "the queue goes by the provider's 202"
    );
    let bounce = &detail.recipients[0].bounces[0];
    assert_eq!(bounce.action, BounceAction::Failed);
    assert!(bounce.words.starts_with("550 5.1.10 RESOLVER.ADR.RecipientNotFound"), "{}", bounce.words);
    assert_eq!(house.show(fine).await.summary.bounced, 0);

    let (_, answer) = house.get("/api/v1/history?bounced=true").await;
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["messages"].as_array().unwrap().len(), 1);
    assert_eq!(answer["messages"][0]["recipients"][0]["bounces"][0]["status"], "5.1.10");
    let shown = house.control().journal.newest(100, |entry| entry.what == "bounced");
    assert!(shown.len() == 1 && shown[0].warning && shown[0].text.contains(NOBODY), "{shown:?}");
    assert_eq!(house.tenant.findings(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_told_once_however_often_the_gateway_starts() {
    let mut house = House::start(plan(true)).await;
    let first = send(&house, NOBODY, "first").await;
    house.clock.advance(EVERY);
    bounced(&house, first).await;
    for round in 0..2 {
        house.restart().await;
        let next = send(&house, NOBODY, &format!("next{round}")).await;
        house.clock.advance(EVERY);
        bounced(&house, next).await;
    }
    assert_eq!(times(&house, first), 1);
    assert_eq!(house.show(first).await.recipients[0].bounces.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_report_does_no_more_than_a_line_of_history() {
    let house = House::start(plan(true)).await;
    let mine = send(&house, RECIPIENT, "mine").await;
    let other = house.send(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, "other")).await;
    house.relayed(other).await;
    let put = |text: String| house.tenant.put_into_inbox(BILLING, "IPM.Note", text);
    put(forged("<1@client.example>", RECIPIENT));
    put(forged("<unknown@client.example>", RECIPIENT));
    put(forged(&message_id("mine"), RECIPIENT).replace("multipart/report", "multipart/mixed"));
    (0..50).for_each(|_| put(forged(&message_id("mine"), RECIPIENT)));
    put("From: postmaster@elsewhere.example\r\n\r\nIt is lost, believe me.\r\n".to_owned());
    let marker = send(&house, NOBODY, "marker").await;
    house.clock.advance(EVERY);
    bounced(&house, marker).await;
    assert_eq!((times(&house, mine), times(&house, other)), (1, 0), "fifty times the same is one line");
    for (id, lines) in [(mine, 1), (other, 0)] {
        let detail = house.show(id).await;
        assert_eq!((detail.summary.state, detail.attempts.len()), (State::Relayed, 1));
        assert_eq!(detail.recipients[0].bounces.len(), lines);
    }
    assert_eq!(house.tenant.mail_count(), 3, "nothing is sent for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_permission_the_account_says_what_to_do_and_mail_goes_out() {
    let house = House::not_signed_in(plan(true)).await;
    let denied = Fault::GraphAt(WebStep::Inbox, GraphFault::AccessDenied);
    house.tenant.switches().inject(Rule::always(denied));
    house.sign_in("scanner").await;
    house.sign_in("billing").await;
    let lost = send(&house, NOBODY, "lost").await;
    house.clock.advance(EVERY);
    let warned = |event: &Event| {
        let Event::AccountWarning { account, what, hint, .. } = event else { return None };
        (account == "billing").then(|| (what.clone(), hint.clone()))
    };
    let (what, hint) = house.events.first("somebody is told", warned).await;
    assert!(what.contains(BILLING) && what.contains("ErrorAccessDenied"), "{what}");
    assert!(hint.contains("`Mail.Read`") && hint.contains("oxpost login billing"), "{hint}");
    let standing = house.control().tokens.status().into_iter().find(|status| status.account == "billing").unwrap();
    assert_eq!((standing.words(), standing.warnings.len()), ("works", 1));
    send(&house, RECIPIENT, "goes").await;

    house.tenant.switches().clear_faults();
    house.clock.advance(EVERY);
    bounced(&house, lost).await;
    assert_eq!(house.events.count(|event| warned(event).is_some()), 1, "told once");
    let is_over = || {
        let status = house.control().tokens.status();
        status.iter().all(|status| status.warnings.is_empty())
    };
    house.until(is_over).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_of_the_provider_delays_the_news_and_loses_none() {
    let house = House::start(plan(true)).await;
    let lost = send(&house, NOBODY, "lost").await;
    let faults = [
        (WebStep::Inbox, GraphFault::Html),
        (WebStep::Inbox, GraphFault::Throttled(1)),
        (WebStep::Value, GraphFault::Reset),
        (WebStep::Value, GraphFault::Unavailable),
        (WebStep::Value, GraphFault::Unauthorized),
    ];
    for (step, fault) in faults {
        house.tenant.switches().inject(Rule::once(Fault::GraphAt(step, fault)));
    }
    tokio::select! {
        _ = bounced(&house, lost) => {}
        () = time_goes_by(&house, EVERY) => {}
    }
    assert_eq!(times(&house, lost), 1);
    assert_eq!(house.tenant.switches().pending_faults(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_inbox_is_read_in_bounds_and_to_its_end() {
    let house = House::start(plan(true)).await;
    for number in 0..1_200 {
        house.tenant.put_into_inbox(BILLING, "IPM.Note", format!("From: boss@x.example\r\n\r\n{number}\r\n"));
        if number % 100 == 0 {
            house.clock.advance(Duration::from_secs(1));
        }
        if number % 8 == 0 {
            house.tenant.put_into_inbox(BILLING, "IPM.Note", forged(&format!("<{number}@x>"), RECIPIENT));
        }
    }
    let lost = send(&house, NOBODY, "lost").await;
    tokio::select! {
        _ = bounced(&house, lost) => {}
        () = time_goes_by(&house, Duration::from_secs(30)) => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_begins_with_a_reload_and_ends_with_one() {
    let house = House::start(plan(false)).await;
    let lost = send(&house, NOBODY, "lost").await;
    house.write(&plan(true));
    house.post("/api/v1/reload", "").await;
    house.sign_in("billing").await;
    house.clock.advance(EVERY);
    bounced(&house, lost).await;

    house.tenant.switches().inject(Rule::always(Fault::GraphAt(WebStep::Inbox, GraphFault::AccessDenied)));
    house.clock.advance(EVERY);
    let warnings =
        |house: &House| house.control().tokens.status().iter().map(|status| status.warnings.len()).sum::<usize>();
    house.until(|| warnings(&house) == 1).await;
    house.write(&plan(false));
    house.post("/api/v1/reload", "").await;
    house.until(|| warnings(&house) == 0).await;
}
