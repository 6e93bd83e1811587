//! One message in is one message out, whatever looks like an end on the way (SMTP smuggling, pipelining).

use oxpost::queue::Filter;

use crate::client::Client;
use crate::house::{BILLING, BOB, House, Plan, RECIPIENT, SCANNER, letter};

/// Sequences that one server or another took for the end of content, or passed on to one that did.
const FORMS: [(&str, &str); 24] = [
    ("\n.\n", "lone LF around the dot"),
    ("\n.\r", "LF before, CR behind"),
    ("\n.\r\n", "LF before: Postfix, Sendmail and Exim took it"),
    ("\r.\r", "lone CR around the dot"),
    ("\r.\n", "CR before, LF behind"),
    ("\r.\r\n", "CR before: passed on by Cisco"),
    ("\r\n.\n", "LF behind: taken by many"),
    ("\r\n.\r", "CR behind"),
    ("\r\n\0.\r\n", "a NUL before the dot"),
    ("\r\n.\0\r\n", "a NUL behind the dot"),
    ("\r\n.\r\0\n", "a NUL within the line end"),
    ("\r\n.\r\r\n", "two CR behind"),
    ("\r\r.\r\r", "pairs of CR"),
    ("\n\n.\n\n", "pairs of LF"),
    ("\n.\n\r", "LF CR behind"),
    ("\r\n.\n\r", "CRLF before, LF CR behind"),
    ("\r\n.\r\r", "CRLF before, two CR behind"),
    ("\n\r.\n\r", "LF CR around"),
    ("\n\r.\r\n", "LF CR before"),
    ("\r.\r\r\n", "CR before, CR CRLF behind"),
    ("\r\n .\r\n", "a blank before the dot"),
    ("\r\n. \r\n", "a blank behind the dot"),
    ("\r\n\t.\r\n", "a tab before the dot"),
    ("\r\n.\x0b\r\n", "a vertical tab behind the dot"),
];

/// What is to be smuggled.
const SECOND: &str =
    "MAIL FROM:<bob@practice.example>\r\nRCPT TO:<evil@elsewhere.example>\r\nDATA\r\nSubject: evil\r\n\r\nsmuggled";

async fn at_data(client: &mut Client, from: &str) {
    assert!(client.envelope(from, &[RECIPIENT]).await.starts_with("354"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_message_in_is_one_message_at_the_provider() {
    let house = House::new().await;
    let mut taken = 0;
    for from in [SCANNER, BILLING] {
        let mut client = house.client().await;
        for (form, why) in FORMS {
            at_data(&mut client, from).await;
            client.send(format!("{}{form}{SECOND}\r\n.\r\nNOOP\r\n", letter(from, RECIPIENT, "one"))).await;
            let reply = client.reply().await;
            assert_eq!(client.reply().await, "250 2.0.0 OK", "{why}: exactly one reply, then that of NOOP");
            if form.contains('\0') {
                assert_eq!(reply, "554 5.6.0 The message holds a NUL", "{why}");
                continue;
            }
            assert!(reply.starts_with("250 2.0.0 queued"), "{why}: {reply}");
            taken += 1;
            let mail = house.arrived(taken).await.pop().unwrap();
            assert_eq!(mail.recipients, [RECIPIENT], "{why}");
            assert!(memchr::memmem::find(&mail.raw, b"smuggled").is_some(), "{why}: it is content");
        }
    }
    assert_eq!(taken, 42);
    assert_eq!(house.tenant.findings(), [], "the provider saw CRLF alone, and each message end once");
    assert!(house.tenant.mail().iter().all(|mail| mail.subject() == "one"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_listener_refuses_what_is_no_proper_line_end() {
    let listeners = vec!["tls = \"none\"\nstrict_line_ends = true".to_owned()];
    let house = House::start(Plan { listeners, ..Plan::default() }).await;
    let mut client = house.client().await;
    for (form, why) in FORMS {
        at_data(&mut client, SCANNER).await;
        client.send(format!("{}{form}{SECOND}\r\n.\r\n", letter(SCANNER, RECIPIENT, "one"))).await;
        let reply = client.reply().await;
        let bare = form.replace("\r\n", "").contains(['\r', '\n', '\0']);
        assert_eq!(reply.starts_with("554 5.6.0 "), bare, "{why}: {reply}");
    }
    house.arrived(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_server_reads_one_transaction_and_only_proper_lines() {
    let house = House::new().await;
    let rows = [
        (".", "a dot alone at the end"),
        ("..\r\n...", "stuffed dots"),
        (".\r\n.\r\n.", "one dot after another"),
        ("a\r.b\r\n", "a dot behind a lone CR (CVE-2026-33604)"),
        ("a\n.b\n.\n", "dots behind lone LF"),
        ("\r\n\r\n.x", "a dot behind empty lines"),
        ("a\r\r\r\n.b", "a run of CR"),
    ];
    for (number, (body, why)) in (1..).zip(rows) {
        let mut client = house.client().await;
        at_data(&mut client, BOB).await;
        // The client stuffs as it should: dots at the start of proper lines.
        let stuffed = format!("\r\n{body}").replace("\r\n.", "\r\n..");
        client.send(format!("{}{}\r\n.\r\n", letter(BOB, RECIPIENT, "dots").trim_end(), stuffed)).await;
        assert!(client.reply().await.starts_with("250"), "{why}");
        let mail = house.arrived(number).await.pop().unwrap();
        let text = String::from_utf8(mail.raw.to_vec()).unwrap();
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{why}: {text:?}");
        let dots = |text: &str| text.matches('.').count();
        let sent = letter(BOB, RECIPIENT, "dots");
        assert!(dots(&text[text.find("From: ").unwrap()..]) >= dots(&sent), "{why}: no dot is lost: {text:?}");
    }
    assert_eq!(house.tenant.findings(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn content_before_the_354_ends_the_session() {
    let house = House::new().await;
    for (early, why) in [
        ("Subject: x\r\n\r\nx\r\n.\r\n", "content"),
        ("MAIL FROM:<bob@practice.example>\r\n", "a command"),
        ("\r\n", "an empty line"),
    ] {
        let mut client = house.client().await;
        client.send(format!("MAIL FROM:<{SCANNER}>\r\nRCPT TO:<{RECIPIENT}>\r\nDATA\r\n{early}")).await;
        let replies = client.replies_to_the_end().await;
        let last = replies.last().unwrap();
        assert_eq!(last, "554 5.5.0 Wait for the reply to DATA before you send the message", "{why}");
    }
    assert!(house.list(Filter { all: true, ..Filter::default() }).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_behind_the_final_dot_are_answered_in_order() {
    let house = House::new().await;
    let mut client = house.client().await;
    at_data(&mut client, SCANNER).await;
    let again = format!("RSET\r\nMAIL FROM:<{SCANNER}>\r\nRCPT TO:<nobody>\r\nQUIT\r\n");
    client.send(format!("{}.\r\n{again}", letter(SCANNER, RECIPIENT, "one"))).await;
    let codes: Vec<String> = client.replies_to_the_end().await.iter().map(|reply| reply[..3].to_owned()).collect();
    assert_eq!(codes, ["250", "250", "250", "501", "221"]);
    house.only_one().await;
}
