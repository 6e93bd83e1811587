//! Several ways out of one account: which one a message takes, and what happens where one is refused.

use std::time::Duration;

use oxpost::mail::{BackendKind, Event, Reason};
use oxpost::practice::{AuthFault, Fault, GraphFault, Rule, Via, WebStep};

use crate::house::{ALICE, BILLING, House, Plan, RECIPIENT, account, letter};

/// Sends one, and says by which way it arrived and what history says of it.
async fn way_of(house: &House, from: &str, content: &str) -> (Via, Vec<String>) {
    let before = house.tenant.mail_count();
    let id = house.send(from, &[RECIPIENT], content).await;
    let via = house.arrived(before + 1).await.last().unwrap().via;
    house.relayed(id).await;
    let attempts = house.show(id).await.attempts;
    (via, attempts.last().unwrap().result.as_ref().unwrap().notes.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_that_is_switched_off_is_passed_over_for_a_while_and_told_of_once() {
    let house = House::new().await;
    let mail = letter(ALICE, RECIPIENT, "s");
    house.tenant.switches().inject(Rule::always(Fault::Graph(GraphFault::NoRest)).only_for(ALICE));
    let (via, notes) = way_of(&house, ALICE, &mail).await;
    assert_eq!(via, Via::Smtp);
    assert!(notes[0].starts_with("graph did not take it: the mailbox cannot be used this way"), "{notes:?}");
    let refused = |event: &Event| {
        let Event::WayRefused { backend: BackendKind::Graph, mailbox, failure, .. } = event else { return None };
        (mailbox == ALICE).then_some(failure.reason)
    };
    assert_eq!(house.events.first("it is told", refused).await, Reason::MailboxUnavailable);
    let (via, notes) = way_of(&house, ALICE, &mail).await;
    assert_eq!(via, Via::Smtp);
    assert!(notes[0].starts_with("by smtp and not by graph: it was refused and is passed over until"), "{notes:?}");
    assert_eq!(house.events.count(|event| refused(event).is_some()), 1, "once");
    // It was mended, and the while is over.
    house.tenant.switches().clear_faults();
    house.clock.advance(Duration::from_secs(3_601));
    assert_eq!(way_of(&house, ALICE, &mail).await.0, Via::Graph);
}

#[tokio::test(flavor = "multi_thread")]
async fn smtp_auth_that_is_switched_off_leads_to_graph() {
    let plan = Plan { accounts: account(ALICE, r#"["smtp", "graph"]"#), ..Plan::default() };
    let clients =
        crate::house::network_client("rewrite").replace(&format!("{:?}", crate::house::ACCOUNTS), "[\"alice\"]");
    let house = House::start(Plan { clients, ..plan }).await;
    house.tenant.switches().inject(Rule::always(Fault::Auth(AuthFault::SwitchedOff)));
    let (via, notes) = way_of(&house, ALICE, &letter(ALICE, RECIPIENT, "s")).await;
    assert_eq!(via, Via::Graph);
    assert!(notes[0].contains("smtp did not take it: SMTP AUTH is switched off"), "{notes:?}");
    assert!(house.control().queue.holds().await.unwrap().is_empty(), "one way works: nothing is held");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_way_gives_way_to_the_next_and_a_refused_message_does_not() {
    let house = House::new().await;
    house.tenant.switches().inject(Rule::once(Fault::Graph(GraphFault::Throttled(600))).only_for(ALICE));
    assert_eq!(way_of(&house, ALICE, &letter(ALICE, RECIPIENT, "s")).await.0, Via::Smtp);
    assert_eq!(way_of(&house, ALICE, &letter(ALICE, RECIPIENT, "s")).await.0, Via::Smtp, "for as long as was asked");
    house.clock.advance(Duration::from_secs(601));
    assert_eq!(way_of(&house, ALICE, &letter(ALICE, RECIPIENT, "s")).await.0, Via::Graph);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_message_goes_as_a_draft_through_the_whole_gateway() {
    let accounts = account(BILLING, r#"["graph"]"#) + "drafts = true\n";
    let clients =
        crate::house::network_client("rewrite").replace(&format!("{:?}", crate::house::ACCOUNTS), "[\"billing\"]");
    let mut house = House::start(Plan { accounts, clients, ..Plan::default() }).await;
    let file = "QUJD".repeat(1 << 20);
    let lines: String = file.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line) + "\r\n").collect();
    let mail = format!(
        "From: {BILLING}\r\nTo: {RECIPIENT}\r\nSubject: large\r\nContent-Type: application/pdf; name=a.pdf\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{lines}"
    );
    let (via, notes) = way_of(&house, BILLING, &mail).await;
    assert_eq!(via, Via::Graph);
    assert!(notes.iter().any(|note| note.contains("as a draft with 1 of its files")), "{notes:?}");
    let arrived = house.arrived(1).await.remove(0);
    let parsed = mail_parser::MessageParser::default().parse(&arrived.raw[..]).unwrap();
    assert!(parsed.attachments().next().unwrap().contents() == "ABC".repeat(1 << 20).as_bytes());
    assert_eq!((house.tenant.draft_count(), house.tenant.findings()), (0, vec![]));

    // The answer to the last step is lost and the gateway restarts: what was sent is not sent again.
    house.tenant.switches().inject(Rule::once(Fault::GraphAt(WebStep::Send, GraphFault::TakenThenReset)));
    let id = house.send(BILLING, &[RECIPIENT], &mail).await;
    let unknown = |event: &Event| {
        let Event::Deferred { id: other, failure, .. } = event else { return None };
        (*other == id).then_some(failure.reason)
    };
    assert_eq!(house.events.first("the answer is lost", unknown).await, Reason::AnswerLost);
    house.restart().await;
    let small = house.later(Duration::from_secs(20 * 60), BILLING).await;
    house.relayed(id).await;
    house.relayed(small).await;
    let words = house.show(id).await.attempts.last().unwrap().result.as_ref().unwrap().words.clone();
    assert!(words[0].contains("found in Sent Items"), "{words:?}");
    assert_eq!((house.tenant.mail_count(), house.tenant.draft_count()), (3, 0), "it, the one before, and a small one");

    // The last step is never answered and the message expires: the draft does not stay in the mailbox.
    house.tenant.switches().inject(Rule::always(Fault::GraphAt(WebStep::Send, GraphFault::Html)));
    house.tenant.switches().inject(Rule::times(Fault::GraphAt(WebStep::Delete, GraphFault::Unavailable), 2));
    let id = house.send(BILLING, &[RECIPIENT], &mail).await;
    house
        .events
        .first("it is put off", |event| {
            matches!(event, Event::Deferred { id: other, .. } if *other == id).then_some(())
        })
        .await;
    assert_eq!(house.tenant.draft_count(), 1, "it could not be removed at once");
    house.later(Duration::from_secs(30 * 24 * 3_600), BILLING).await;
    house
        .events
        .first("it fails", |event| matches!(event, Event::Failed { id: other, .. } if *other == id).then_some(()))
        .await;
    // Its last attempt meets the second fault and the removal at its end none. Where the round of every minute was
    // there first, it ends without another attempt: the removal itself met the fault, and the draft is still there.
    let asked = |rule: &Rule| matches!(rule.fault, Fault::GraphAt(WebStep::Delete, _));
    assert!(!house.tenant.switches().pending_faults().iter().any(asked), "its removal was asked for");
    let attempts = house.show(id).await.attempts.len();
    assert_eq!(house.tenant.draft_count() + attempts, 2, "nobody will send it; {attempts} attempts");
    house.tenant.switches().clear_faults();

    // Signed mail of that size has no way: the client is told at once.
    let signed =
        format!("From: {BILLING}\r\nTo: {RECIPIENT}\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n{lines}");
    let reply = house.client().await.hand_in(BILLING, &[RECIPIENT], &signed).await;
    assert!(reply.starts_with("552 5.3.4") && reply.contains("multipart/signed"), "{reply}");
}
