//! From a client to the provider: who receives it, and what arrives.

use oxpost::practice::Via;
use oxpost::queue::{Filter, State};

use crate::house::{ALICE, BILLING, BOB, House, Plan, RECIPIENT, SCANNER, letter, network_client};

const VICTIM: &str = "dave@elsewhere.example";

#[tokio::test(flavor = "multi_thread")]
async fn a_message_arrives_by_smtp_and_by_graph() {
    let house = House::new().await;
    for (from, via) in [(SCANNER, Via::Smtp), (BILLING, Via::Graph)] {
        let content = letter(from, RECIPIENT, "scan");
        let before = house.tenant.mail_count();
        let id = house.send(from, &[RECIPIENT], &content).await;
        let mail = house.arrived(before + 1).await.pop().unwrap();
        assert_eq!((mail.via, mail.mailbox.as_str()), (via, from));
        assert_eq!(mail.recipients, [RECIPIENT]);
        assert!(mail.raw.ends_with(content.as_bytes()), "{via}: what the client sent is the end of what arrives");
        let prefix = &mail.raw[..mail.raw.len() - content.len()];
        assert!(prefix.starts_with(b"Received: from client.example ([127.0.0.1])\r\n\tby mx.example with ESMTP id "));
        house.relayed(id).await;
        assert_eq!(house.show(id).await.summary.state, State::Relayed);
    }
    assert_eq!(house.tenant.findings(), []);
    assert!(house.list(Filter::default()).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_envelope_receives_the_message_whatever_the_header_says() {
    let house = House::new().await;
    let content = format!(
        "From: {BILLING}\r\nTo: {RECIPIENT}, {VICTIM}\r\nCc: Team: eve@elsewhere.example;\r\n\
         Bcc: hidden@elsewhere.example, other@elsewhere.example\r\nSubject: who\r\n\r\nText\r\n"
    );
    let envelope = [RECIPIENT, "hidden@elsewhere.example", "unnamed@elsewhere.example"];
    let rows = [
        (SCANNER, Via::Smtp, "the envelope goes along"),
        (BILLING, Via::Graph, "the header is made to agree with the envelope"),
        (ALICE, Via::Smtp, "a header that names others goes by the way with an envelope"),
    ];
    for (number, (from, via, why)) in (1..).zip(rows) {
        house.send(from, &envelope, content.replace(BILLING, from)).await;
        let mail = house.arrived(number).await.pop().unwrap();
        let mut received = mail.recipients.clone();
        received.sort();
        assert_eq!(
            (mail.via, received),
            (via, [RECIPIENT, "hidden@elsewhere.example", "unnamed@elsewhere.example"].map(String::from).to_vec()),
            "{why}"
        );
        for seen in mail.seen() {
            assert!(seen.leaks.is_empty(), "{why}: {seen:?}");
        }
        let shown = String::from_utf8_lossy(&mail.shown);
        assert!(
            !shown.contains("hidden@") && !shown.contains("other@") && !shown.contains("unnamed@"),
            "{why}: {shown}"
        );
        assert!(shown.ends_with("\r\n\r\nText\r\n"), "{why}");
        let kept = shown.contains(&format!("X-Oxpost-Original-To: {RECIPIENT}, {VICTIM}\r\n"));
        assert_eq!(kept, via == Via::Graph, "{why}: the client's own line");
    }
    assert_eq!(house.tenant.findings(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_octet_arrives_as_it_was_sent() {
    let house = House::new().await;
    let bodies: [(&[u8], &str); 5] = [
        (b".\r\n..\r\n. x\r\n.x.\r\n", "dots at the start of lines"),
        (b"\xff\xfe\x80\r\n\xc3\xbc\x01\x7f\t\r\n", "octets above and below text"),
        (b"trailing blanks  \t\r\n\r\n\r\n", "blanks and empty lines at the end"),
        (b"Content-Type: x\r\n--boundary\r\nFrom: a\r\n>From b\r\n", "what looks like something else"),
        (b"", "nothing"),
    ];
    let mut arrived = 0;
    for (body, why) in bodies {
        for from in [SCANNER, BILLING] {
            let mut content = letter(from, RECIPIENT, "octets").into_bytes();
            content.extend_from_slice(body);
            content.extend("a line of many octets, ".repeat(40).into_bytes());
            content.extend(b"\r\n");
            house.send(from, &[RECIPIENT], &content).await;
            arrived += 1;
            let mail = house.arrived(arrived).await.pop().unwrap();
            assert!(mail.raw.ends_with(&content), "{why}, from {from}");
        }
    }
    assert_eq!(house.tenant.findings(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_message_goes_by_the_way_that_carries_it_or_is_refused_on_the_wire() {
    let house = House::new().await;
    let large = letter(ALICE, RECIPIENT, "large")
        + &"A line of an attachment, seventy octets of nothing in particular.\r\n".repeat(50_000);
    let id = house.send(ALICE, &[RECIPIENT], &large).await;
    house.relayed(id).await;
    let mail = house.only_one().await;
    assert_eq!(mail.via, Via::Smtp, "graph comes first, and takes 3 MiB");
    assert!(mail.raw.ends_with(large.as_bytes()));

    let mut client = house.client().await;
    let refusal = client.say(format!("MAIL FROM:<{BILLING}> SIZE={}", large.len())).await;
    assert_eq!(refusal, "552 5.3.4 The message is too large: this account can send at most 3145728 octets");
    let refusal = client.hand_in(BILLING, &[RECIPIENT], &large).await;
    assert!(refusal.starts_with("552 5.3.4 "), "{refusal}");
    let small = letter(BILLING, RECIPIENT, "small");
    assert!(client.hand_in(BILLING, &[RECIPIENT], &small).await.starts_with("250"), "the session lives on");
    house.arrived(2).await;
    assert!(house.list(Filter::default()).await.iter().all(|message| message.size < 1_000), "nothing half-accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_null_reverse_path_stays_null_where_the_way_has_an_envelope() {
    for (account, via, path) in [("scanner", Via::Smtp, Some(String::new())), ("billing", Via::Graph, None)] {
        let clients =
            network_client("rewrite").replace(r#"["scanner", "billing", "alice", "bob"]"#, &format!("[{account:?}]"));
        let house = House::start(Plan { clients, ..Plan::default() }).await;
        let id = house.send("", &[RECIPIENT], letter(RECIPIENT, RECIPIENT, "receipt")).await;
        let mail = house.only_one().await;
        assert_eq!((mail.via, mail.reverse_path.clone()), (via, path));
        house.relayed(id).await;
        let notes = house.show(id).await.attempts[0].result.clone().unwrap().notes;
        assert_eq!(notes.iter().any(|note| note.contains("null reverse path")), via == Via::Graph, "{notes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_beyond_ascii_go_where_every_way_carries_them() {
    let house = House::new().await;
    let mut client = house.client().await;
    assert!(!client.say("EHLO client.example").await.contains("SMTPUTF8"), "graph does not carry them");
    assert_eq!(client.say(format!("MAIL FROM:<{SCANNER}>")).await, "250 2.1.0 Sender OK");
    assert!(client.say("RCPT TO:<jürgen@elsewhere.example>").await.starts_with("553 5.6.7 "));

    let accounts = crate::house::account(SCANNER, r#"["smtp"]"#);
    let clients = network_client("rewrite").replace(r#"["scanner", "billing", "alice", "bob"]"#, r#"["scanner"]"#);
    let house = House::start(Plan { accounts, clients, ..Plan::default() }).await;
    let mut client = house.client().await;
    assert!(client.say("EHLO client.example").await.contains("SMTPUTF8"));
    assert_eq!(client.say(format!("MAIL FROM:<{SCANNER}> SMTPUTF8")).await, "250 2.1.0 Sender OK");
    assert_eq!(client.say("RCPT TO:<jürgen@elsewhere.example>").await, "250 2.1.5 Recipient OK");
    assert!(client.say("DATA").await.starts_with("354"));
    let content = letter(SCANNER, "jürgen@elsewhere.example", "Grüße");
    client.send(format!("{content}.\r\n")).await;
    assert!(client.reply().await.starts_with("250"));
    let mail = house.only_one().await;
    assert_eq!(mail.recipients, ["jürgen@elsewhere.example"]);
    assert!(mail.raw.ends_with(content.as_bytes()));
    assert_eq!(house.tenant.findings(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_recipients_each_receive_it_once() {
    let house = House::new().await;
    let recipients: Vec<String> = (0..1000).map(|number| format!("r{number:04}@elsewhere.example")).collect();
    let named: Vec<&str> = recipients.iter().map(String::as_str).collect();
    for (from, first) in [(SCANNER, 0), (BILLING, 2)] {
        let mut client = house.client().await;
        assert!(client.hand_in(from, &named, letter(from, "undisclosed-recipients:;", "all")).await.starts_with("250"));
        assert!(client.say(format!("MAIL FROM:<{from}>")).await.starts_with("250"));
        let mail = house.arrived(first as u64 + 2).await;
        let mut received: Vec<String> = mail[first..].iter().flat_map(|mail| mail.recipients.clone()).collect();
        received.sort();
        assert_eq!(received, recipients, "{from}: split in two, as Microsoft takes 500 at once");
        assert!(mail[first..].iter().all(|mail| mail.seen().iter().all(|seen| seen.leaks.is_empty())));
    }
    assert_eq!(house.tenant.findings(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_old_printer_leaves_out_or_writes_wrongly_is_mended() {
    let house = House::new().await;
    let rows = [
        ("Subject: scan\r\n\r\nText\r\n", "no From, Date or Message-ID"),
        ("Text without any header\r\n", "no header at all"),
        ("From: Scanner scanner@practice.example\r\nSubject: scan\r\n\r\nText\r\n", "From without brackets"),
        ("From: Scanner\r\nSubject: scan\r\n\r\nText\r\n", "From without an address"),
        ("From: a@x.example\r\nFrom: b@x.example\r\n\r\nText\r\n", "two From"),
    ];
    let mut arrived = 0;
    for (content, why) in rows {
        for from in [SCANNER, BILLING] {
            house.send(from, &[RECIPIENT], content).await;
            arrived += 1;
            let mail = house.arrived(arrived).await.pop().unwrap();
            let text = String::from_utf8_lossy(&mail.raw);
            let (header, body) = text.split_once("\r\n\r\n").expect(why);
            assert!(content.ends_with(body) && !body.is_empty(), "{why}: {text}");
            for field in ["From: ", "Date: ", "Message-ID: <"] {
                assert_eq!(header.matches(&format!("\r\n{field}")).count(), 1, "{why}: {field}: {text}");
            }
            let sender = header.lines().find(|line| line.starts_with("From: ")).unwrap();
            assert!(sender.ends_with(from) || sender.ends_with(&format!("<{from}>")), "{why}: {text}");
        }
    }
    assert_eq!(house.tenant.findings(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sender_policy_decides_who_it_comes_from() {
    const NOREPLY: &str = "noreply@practice.example";
    // Policy, reverse path, From; then what is refused, or reverse path, From and Reply-To as they arrive.
    type Came = (&'static str, &'static str, Option<&'static str>);
    type Row = (&'static str, &'static str, &'static str, Result<Came, &'static str>, &'static str);
    let rows: [Row; 7] = [
        ("keep", NOREPLY, NOREPLY, Ok((NOREPLY, NOREPLY, None)), "the mailbox has the right to send as it"),
        ("rewrite", NOREPLY, NOREPLY, Ok((SCANNER, SCANNER, Some(NOREPLY))), "the old From is kept as Reply-To"),
        ("rewrite", SCANNER, SCANNER, Ok((SCANNER, SCANNER, None)), "nothing to rewrite"),
        (
            "rewrite",
            "dev@x.example",
            "dev@x.example",
            Ok((SCANNER, SCANNER, Some("dev@x.example"))),
            "a foreign sender",
        ),
        ("strict", SCANNER, SCANNER, Ok((SCANNER, SCANNER, None)), "the mailbox itself"),
        ("strict", NOREPLY, SCANNER, Err("550 5.7.1 "), "another reverse path"),
        ("strict", SCANNER, NOREPLY, Err("550 5.7.1 "), "another From"),
    ];
    for (policy, path, from, expected, why) in rows {
        let house = House::start(Plan { clients: network_client(policy), ..Plan::default() }).await;
        let reply = house.client().await.hand_in(path, &[RECIPIENT], letter(from, RECIPIENT, "policy")).await;
        let (came_path, came_from, reply_to) = match expected {
            Err(refusal) => {
                assert!(reply.starts_with(refusal), "{why}: {reply}");
                assert!(house.list(Filter { all: true, ..Filter::default() }).await.is_empty(), "{why}");
                continue;
            }
            Ok(came) => came,
        };
        assert!(reply.starts_with("250"), "{why}: {reply}");
        let mail = house.only_one().await;
        let text = String::from_utf8_lossy(&mail.raw);
        assert_eq!(mail.reverse_path.as_deref(), Some(came_path), "{why}");
        let is_from = text.contains(&format!("\r\nFrom: {came_from}\r\n"))
            || text.contains(&format!("\r\nFrom: <{came_from}>\r\n"));
        assert!(is_from, "{why}: {text}");
        let expected = reply_to.map(|address| format!("Reply-To: {address}"));
        assert_eq!(text.lines().find(|line| line.starts_with("Reply-To")).map(str::to_owned), expected, "{why}");
        assert_eq!(house.tenant.findings(), [], "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_has_been_everywhere_is_in_a_loop() {
    let house = House::new().await;
    let travelled = |hops: usize| {
        "Received: from a by b; Sat, 21 Nov 2026 00:00:00 +0000\r\n".repeat(hops) + &letter(BOB, RECIPIENT, "round")
    };
    let mut client = house.client().await;
    let refusal = client.hand_in(BOB, &[RECIPIENT], travelled(51)).await;
    assert!(refusal.starts_with("554 5.4.6 "), "{refusal}");
    assert!(client.hand_in(BOB, &[RECIPIENT], travelled(50)).await.starts_with("250"));
    house.only_one().await;
}
