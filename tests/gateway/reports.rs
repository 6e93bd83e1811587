//! What senders and administrators are told: reports as they were asked for, none too many, and holds.

use std::time::Duration;

use oxpost::mail::{Event, QueueId};
use oxpost::practice::{AuthFault, Fault, RecipientFault, Rule};
use oxpost::queue::{Filter, State};

use crate::house::{ALICE, BILLING, House, Plan, RECIPIENT, SCANNER, account, letter, queue_id};

const GONE: &str = "gone@x.example";

/// A gateway whose ways out all keep DSN.
async fn smtp_alone() -> House {
    let accounts = account(SCANNER, r#"["smtp"]"#);
    let clients =
        "[[client]]\nname = \"printers\"\nnetworks = [\"127.0.0.1/32\"]\naccounts = [\"scanner\"]\n".to_owned();
    let house = House::start(Plan { accounts, clients, ..Plan::default() }).await;
    house.tenant.switches().inject(Rule::always(Fault::Recipient(GONE.into(), RecipientFault::Permanent)));
    house
}

/// Hands a message in with the parameters of MAIL and of each RCPT.
async fn send(house: &House, mail: &str, rcpt: &[&str], content: &str) -> QueueId {
    let mut client = house.client().await;
    assert_eq!(client.say(format!("MAIL FROM:<{SCANNER}>{mail}")).await, "250 2.1.0 Sender OK");
    for to in rcpt {
        assert_eq!(client.say(format!("RCPT TO:{to}")).await, "250 2.1.5 Recipient OK");
    }
    client.say("DATA").await;
    queue_id(&client.say(format!("{content}.")).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_as_its_sender_asked_for() {
    let house = smtp_alone().await;
    let whole = letter(SCANNER, GONE, "all of it").replace("Text of", "Bcc was not here. Text of");
    let to = format!("<{GONE}> NOTIFY=FAILURE ORCPT=rfc822;first+2Bname@x.example");
    send(&house, " RET=FULL ENVID=job+2042", &[&to], &whole).await;
    let report = house.only_one().await;
    let text = String::from_utf8_lossy(&report.raw);
    for part in [
        "Original-Envelope-Id: job 42",
        "Original-Recipient: rfc822; first+name@x.example",
        "Final-Recipient: rfc822; gone@x.example",
        "Content-Type: message/rfc822",
        "Bcc was not here. Text of all of it",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }

    let never = send(&house, "", &[&format!("<{GONE}> NOTIFY=NEVER")], &letter(SCANNER, GONE, "quiet")).await;
    let unreported = |event: &Event| {
        if let Event::Unreported { about, why } = event
            && *about == never
        {
            return Some(why.clone());
        }
        None
    };
    let why = house.events.first("nobody is told", unreported).await;
    assert!(why.contains("NOTIFY"), "{why}");
    let failed = |event: &Event| matches!(event, Event::Failed { id, .. } if *id == never).then_some(());
    house.events.first("it is settled", failed).await;
    assert_eq!(house.show(never).await.summary.state, State::Failed, "the administrator sees it all the same");
    assert_eq!(house.events.count(|event| matches!(event, Event::Reported { .. })), 1);
    // The content goes together with its commands, so it comes to a server that has refused everybody.
    let findings = house.tenant.findings();
    assert!(findings.iter().all(|finding| finding.what.starts_with("BDAT without")), "{findings:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_that_the_provider_will_not_tell_is_told_here() {
    let mut house = smtp_alone().await;
    house.tenant.revoke(SCANNER);
    let to = format!("<{RECIPIENT}> NOTIFY=SUCCESS");
    let id = send(&house, "", &[&to], &letter(SCANNER, RECIPIENT, "over graph")).await;
    let held = |event: &Event| matches!(event, Event::Held { .. }).then_some(());
    house.events.first("it is held", held).await;
    // The way that was there when it was accepted is replaced by one that knows nothing of DSN.
    house.write(&Plan { accounts: account(SCANNER, r#"["graph"]"#), clients: client_of_scanner(), ..Plan::default() });
    house.restart().await;
    house.sign_in("scanner").await;
    let mail = house.arrived(2).await;
    assert_eq!(mail[0].subject(), "over graph");
    let text = String::from_utf8_lossy(&mail[1].raw);
    for part in ["Your message was handed over", "Action: relayed", "Final-Recipient: rfc822; carol@elsewhere.example"]
    {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let said = |event: &Event| matches!(event, Event::Reported { about, .. } if *about == id);
    house.events.first("it is told of", |event| said(event).then_some(())).await;
    assert_eq!(house.events.count(said), 1);
}

fn client_of_scanner() -> String {
    "[[client]]\nname = \"printers\"\nnetworks = [\"127.0.0.1/32\"]\naccounts = [\"scanner\"]\n".to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn dsn_is_not_offered_where_one_way_does_not_keep_it() {
    let house = House::new().await;
    let mut client = crate::client::Client::connect(house.listener(0)).await;
    client.reply().await;
    let said = client.say("EHLO client.example").await;
    assert!(said.contains("SIZE") && !said.contains("DSN"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_failures_is_not_a_flood_of_reports() {
    let tables = "[limits]\nmessages_per_minute = 0\n".to_owned();
    let mut house = House::start(Plan { tables, ..Plan::default() }).await;
    house.tenant.switches().inject(Rule::always(Fault::Recipient(GONE.into(), RecipientFault::Permanent)));
    house.tenant.switches().set(|knobs| knobs.message_rate = oxpost::practice::MessageRate::Off);
    for number in 0..25 {
        if number == 12 {
            house.arrived(12).await;
            house.restart().await;
        }
        house.send(SCANNER, &[GONE], letter(SCANNER, GONE, &format!("number {number}"))).await;
    }
    let mail = house.arrived(20).await;
    assert!(mail.iter().all(|mail| mail.subject() == "Your message could not be delivered"));
    let summed = |event: &Event| matches!(event, Event::Unreported { why, .. } if why.contains("digest"));
    house.until(|| house.events.count(summed) == 5).await;
    house.clock.advance(Duration::from_secs(16 * 60));
    let digests = house.control().queue.digests().await.unwrap();
    if digests.is_empty() {
        // The minute's round came first.
        let mail = house.arrived(21).await;
        assert_eq!(mail[20].subject(), "5 more of your messages could not be delivered");
    } else {
        assert_eq!(
            digests.iter().map(|digest| digest.lines.len()).collect::<Vec<_>>(),
            [5],
            "the rest, in one message"
        );
    }
    let failed = house.list(Filter::default()).await.into_iter().filter(|message| message.state == State::Failed);
    assert_eq!(failed.count(), 25, "each can be looked at");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_is_told_once_that_mail_is_held() {
    let tables = "notify = \"alice\"\nnotify_to = \"admin@practice.example\"\n".to_owned();
    let house = House::start(Plan { tables, ..Plan::default() }).await;
    house.tenant.switches().inject(Rule::always(Fault::Auth(AuthFault::SwitchedOff)).only_for(SCANNER));
    house.send(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, "one")).await;
    let notice = house.only_one().await;
    let text = String::from_utf8_lossy(&notice.raw).replace("=\r\n", "");
    for part in ["mail of account scanner is held", SCANNER, "SmtpClientAuthenticationDisabled", "5.7.139"] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    assert_eq!((notice.mailbox.as_str(), &notice.recipients[..]), (ALICE, &["admin@practice.example".to_owned()][..]));
    house.send(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, "two")).await;
    house.later(Duration::from_secs(6 * 60), SCANNER).await;
    let probed = |event: &Event| matches!(event, Event::Held { fresh: false, .. }).then_some(());
    house.events.first("a probe fails", probed).await;
    house.clock.advance(Duration::from_secs(3_600));
    house.control().queue.remind().await.unwrap();
    let mail = house.arrived(2).await;
    let text = String::from_utf8_lossy(&mail[1].raw).replace("=\r\n", "");
    assert!(text.contains("3 messages of `scanner@practice.example` are held since"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_of_a_mailbox_is_held_by_hand_and_goes_when_it_is_released() {
    let house = House::new().await;
    for (what, status) in [("nobody", 400), ("x@other.example", 400), ("billing", 204), (SCANNER, 204)] {
        let body = serde_json::json!({ "what": what, "why": "a test" }).to_string();
        assert_eq!(house.call("POST", "/api/v1/holds/begin", &body).await.0, status, "{what}");
    }
    for mailbox in [SCANNER, BILLING] {
        let id = house.send(mailbox, &[RECIPIENT], letter(mailbox, RECIPIENT, "waits")).await;
        assert_eq!(house.show(id).await.summary.state, State::Held);
    }
    house.sign_in("scanner").await;
    house.send(ALICE, &[RECIPIENT], letter(ALICE, RECIPIENT, "goes")).await;
    assert_eq!(house.only_one().await.subject(), "goes", "a sign-in ends no hold by hand, and others are not held");
    house.post("/api/v1/holds/release", r#"{"account": "scanner"}"#).await;
    house.arrived(2).await;
    house.post("/api/v1/holds/release", r#""all""#).await;
    house.arrived(3).await;
}
