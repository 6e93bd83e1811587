//! What a reader may not do: hide something in a login, stay without one, come in crowds.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oxpost::mail::Event;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::{Client, PATIENCE};
use crate::house::{ALICE, House, LOGIN, PASSWORD, Plan, SCANNER, letter};
use crate::reading::{IMAP, POP3, answer, imap, log_in, plan};

#[tokio::test]
async fn a_response_to_authenticate_hides_nothing() {
    let house = House::start(plan()).await;
    let rows: [(&[u8], &str); 12] = [
        (b"\0app\tadmin\0tr0ub4dor", "a tab in the login (CVE-2026-33603)"),
        (b"\0app\0tr0ub4dor\x01auth=Bearer z\x01", "control-A, which parts the fields of XOAUTH2"),
        (b"\0u\x01auth=Bearer z\x01\0p", "control-A in the login"),
        (b"\0alice@practice.example\x01auth=Bearer z\x01\0tr0ub4dor", "control-A behind a mailbox"),
        (b"\0app\r\n\0tr0ub4dor", "CRLF in the login"),
        (b"\0app\0tr0ub4dor\r\nb SELECT INBOX", "CRLF in the password"),
        (b"\0app\0tr0ub4dor\0", "a NUL behind the password"),
        (b"\0\0app\0tr0ub4dor", "a NUL too many"),
        (b"admin\0app\0tr0ub4dor", "acting for another"),
        (b"alice@practice.example\0app\0tr0ub4dor", "acting for a mailbox"),
        (b"\0APP\0tr0ub4dor", "another case"),
        (b"\0\xff\xfe\0tr0ub4dor", "no text"),
    ];
    for (blob, why) in rows {
        let blob = STANDARD.encode(blob);
        let mut client = imap(&house).await;
        client.send(format!("a AUTHENTICATE PLAIN {blob}\r\nb NOOP\r\n")).await;
        let said = client.line().await.unwrap();
        assert!(
            said.starts_with("a BAD ") || said == "a NO [AUTHENTICATIONFAILED] Wrong login or password",
            "{why}: {said}"
        );
        assert_eq!(client.line().await.as_deref(), Some("b OK Nothing done"), "{why}: nobody is logged in");
        let mut client = Client::connect(house.listener(POP3)).await;
        client.line().await.unwrap();
        client.send(format!("AUTH PLAIN {blob}\r\nSTAT\r\n")).await;
        for _ in 0..2 {
            let said = client.line().await.unwrap();
            assert!(said.starts_with("-ERR "), "{why}: {said}");
        }
        house.clock.advance(Duration::from_secs(61));
    }
    assert_eq!(house.tenant.findings(), [], "no token was shown on behalf of any of them");
    assert_eq!(house.events.count(|event| matches!(event, Event::SessionOpened { .. })), 0);
}

#[tokio::test]
async fn a_full_house_of_readers_says_so_and_has_room_again_when_somebody_leaves() {
    let limits = "\nmax_sessions = 3\nmax_sessions_per_address = 2";
    let listeners = plan().listeners.into_iter().map(|keys| keys + limits).collect();
    let house = House::start(Plan { listeners, ..plan() }).await;
    for (door, full) in [
        (IMAP, "* BYE Too many sessions, try again later"),
        (POP3, "-ERR [SYS/TEMP] Too many sessions, try again later"),
    ] {
        let from = async |address| {
            let mut client = Client::connect_from(address, house.listener(door)).await;
            let greeting = client.line().await.unwrap();
            (client, greeting)
        };
        let (mut first, _) = from("127.0.0.1").await;
        let (_second, _) = from("127.0.0.1").await;
        for round in 0..50 {
            let (mut refused, greeting) = from("127.0.0.1").await;
            assert_eq!(greeting, full, "round {round}");
            assert!(refused.is_closed().await);
        }
        let (_third, greeting) = from("127.0.0.2").await;
        assert_ne!(greeting, full, "another address has places of its own");
        assert_eq!(from("127.0.0.3").await.1, full, "the listener is full");
        // Those inside are served.
        let leave = if door == IMAP { "a LOGOUT\r\n" } else { "QUIT\r\n" };
        first.send(leave).await;
        while first.line().await.is_some() {}
        // The place is given back after the farewell.
        while from("127.0.0.3").await.1 == full {
            tokio::task::yield_now().await;
        }
    }
}

/// Does one of three things that come to no login, until the gateway has enough.
async fn drip(mut client: Client, kind: usize) {
    let octets: &[u8] = [b"" as &[u8], b"a LOGIN joe", b"a NOOP\r\n"][kind];
    for octet in octets.iter().cycle() {
        // The pause between two drops is what this client is about.
        client.line_within(Duration::from_millis(20)).await;
        if client.try_send([*octet]).await.is_err() {
            break;
        }
    }
    // Who says nothing hears the end of it.
    while client.line().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_drip_are_shed_and_a_healthy_one_is_served() {
    let listeners = plan().listeners.into_iter().map(|keys| keys + "\ncommand_timeout = \"1s\"").collect();
    let house = House::start(Plan { listeners, ..plan() }).await;
    let mut drippers = JoinSet::new();
    for number in 0..30 {
        let address = format!("127.0.0.{}", 2 + number % 3);
        let client = Client::connect_from(&address, house.listener(IMAP)).await;
        drippers.spawn(async move { timeout(PATIENCE, drip(client, number % 3)).await.map_err(|_| number % 3) });
    }
    let mut served = false;
    for _ in 0..20 {
        // On a busy machine this client may itself be slower than a command may take; then it comes again.
        let mut client = Client::connect(house.listener(IMAP)).await;
        let sent = client.try_send(format!("a LOGIN {LOGIN} {PASSWORD}\r\n")).await.is_ok();
        while sent && !served {
            let Some(line) = client.line().await else { break };
            served = line == "a OK Logged in";
        }
        if served {
            break;
        }
    }
    assert!(served, "the healthy client is served");
    while let Some(shed) = drippers.join_next().await {
        shed.unwrap().unwrap_or_else(|kind| panic!("a client that drips is still there: {kind}"));
    }
}

#[tokio::test]
async fn a_program_that_has_said_all_still_gets_its_answers() {
    let house = House::start(plan()).await;
    let smtp = Client::connect(house.listener(2)).await;
    let taken = smtp.greeted().await.hand_in(SCANNER, &[ALICE], letter(SCANNER, ALICE, "half")).await;
    assert!(taken.starts_with("250"), "{taken}");
    house.arrived(1).await;
    let (mut client, said) = log_in(&house, ALICE).await;
    assert_eq!(said, "a OK Logged in");
    client.send("b SELECT INBOX\r\nc FETCH 1 BODY.PEEK[]\r\nd LOGOUT\r\n").await;
    client.has_said_all().await;
    assert!(answer(&mut client, "c ").await.contains(&"Subject: half".to_owned()));
    assert!(answer(&mut client, "d ").await.last().unwrap().starts_with("d OK"));
    assert!(client.is_closed().await);
    let closed = |event: &Event| matches!(event, Event::SessionClosed { why, .. } if why == "closed").then_some(());
    house.events.first("the session ends by itself", closed).await;
}
