//! Values that bring something with them: commands, addresses and header lines hidden in what a client says; messages
//! made to exhaust whoever reads them.

use std::time::{Duration, Instant};

use oxpost::practice::Via;

use crate::client::Client;
use crate::house::{BILLING, House, RECIPIENT, SCANNER, letter};

#[tokio::test(flavor = "multi_thread")]
async fn no_value_brings_a_command_with_it() {
    let house = House::new().await;
    let rows: [(&str, &str); 12] = [
        ("EHLO x\rMAIL FROM:<evil@b.example>", "CR in the name"),
        ("EHLO x\0", "NUL in the name"),
        ("HELO x\x1b[2J", "an escape sequence in the name"),
        ("MAIL FROM:<scanner@practice.example> SIZE=10\rRCPT TO:<evil@d.example>", "CR in a size"),
        ("MAIL FROM:<scanner@practice.example> SIZE=1e9", "a size that is none"),
        ("MAIL FROM:<scanner@practice.example> BODY=8BITMIME\x0bX=1", "a control character in a parameter"),
        ("MAIL FROM:<a\r@b.example>", "CR in the reverse path"),
        ("MAIL FROM:<\"a\rb\"@b.example>", "CR in a quoted local part"),
        ("MAIL FROM:<a@b.example\0>", "NUL behind the reverse path"),
        ("MAIL FROM:<a@b.example> AUTH=<\0>", "NUL in AUTH="),
        ("MAIL FROM:<a@b.example> SIZE=99999999999999999999999999", "a number beyond all"),
        ("RCPT TO:<c@d.example\rDATA>", "CR in a recipient"),
    ];
    for (line, why) in rows {
        let mut client = house.client().await;
        let reply = client.say(line).await;
        assert!(reply.starts_with('5'), "{why}: {reply}");
        assert_eq!(client.say("NOOP").await, "250 2.0.0 OK", "{why}: one reply, and the session lives on");
    }
    let names = [
        ("a(b)c;d", "from abcd ([127.0.0.1])", "comments and semicolons"),
        (
            "x.example\t(evil.example [192.0.2.1])",
            "from x.exampleevil.example[192.0.2.1] ([127.0.0.1])",
            "a second address",
        ),
    ];
    for (number, (name, shown, why)) in (1..).zip(names) {
        let mut client = Client::connect(house.listener(0)).await;
        client.reply().await;
        if client.say(format!("EHLO {name}")).await.starts_with('5') {
            client.say("HELO abcd").await;
        }
        client.hand_in(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, why)).await;
        let mail = house.arrived(number).await.pop().unwrap();
        let text = String::from_utf8_lossy(&mail.raw).into_owned();
        let first = text.lines().next().unwrap();
        assert!(
            first == format!("Received: {shown}") || first == "Received: from abcd ([127.0.0.1])",
            "{why}: {first}"
        );
    }
    assert_eq!(house.tenant.findings(), [], "the provider saw one command for each command");
}

/// Addresses that two readers may take for different ones. Where RCPT takes them, exactly they receive the message.
const AMBIGUOUS: [(&str, &str); 14] = [
    ("\"victim@evil.example x\"@own.example", "a quoted address in the local part (GHSA-mm7p-fcc7-pg87)"),
    ("\"victim@evil.example\"@own.example", "the same without the blank"),
    ("\"a,victim@evil.example\"@own.example", "a quoted comma"),
    ("\"a>,<victim@evil.example\"@own.example", "quoted brackets"),
    ("\"a\\\"b\"@own.example", "an escaped quote"),
    ("\"a;b\"@own.example", "a quoted semicolon"),
    ("\"=?utf-8?Q?victim=40evil.example=2C?=\"@own.example", "an encoded word in quotes"),
    ("=?utf-8?Q?victim=40evil.example?=@own.example", "an encoded word"),
    ("a(victim@evil.example)@own.example", "a comment in the local part"),
    ("a@own.example(x)evil.example", "a comment within the domain"),
    ("a@own.example,victim@evil.example", "two addresses"),
    ("a@[evil.example]", "a name as a literal"),
    ("a'b*c=d+e@own.example", "everything that is allowed"),
    ("a@xn--evil-.example", "a domain that says it is encoded"),
];

#[tokio::test(flavor = "multi_thread")]
async fn exactly_the_address_that_was_checked_receives_it() {
    let house = House::new().await;
    let (mut arrived, mut reported) = (0, 0);
    for (address, why) in AMBIGUOUS {
        for (from, via) in [(SCANNER, Via::Smtp), (BILLING, Via::Graph)] {
            let content = letter(from, &format!("<{address}>"), "ambiguous");
            let reply = house.client().await.hand_in(from, &[address], content).await;
            if reply.starts_with("501") || reply.starts_with("555") {
                continue;
            }
            assert!(reply.starts_with("250"), "{why}: {reply}");
            arrived += 1;
            let mail = house.arrived(arrived).await.pop().unwrap();
            assert_eq!((mail.via, mail.recipients.len()), (via, 1), "{why}: {:?}", mail.recipients);
            if mail.subject() == "Your message could not be delivered" {
                // A provider that reads the header otherwise refuses the message, and its sender is told.
                assert_eq!((via, mail.recipients[0].as_str()), (Via::Graph, from), "{why}");
                reported += 1;
                continue;
            }
            let domain = mail.recipients[0].rsplit_once('@').unwrap().1;
            assert_eq!(domain, address.rsplit_once('@').unwrap().1, "{why}: {:?}", mail.recipients);
        }
    }
    assert!(arrived >= 12 && reported <= 2, "the table is about addresses that are taken: {arrived}, {reported}");
    assert!(house.tenant.findings().len() <= reported, "{:?}", house.tenant.findings());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_reads_differently_mails_to_nobody_else() {
    let house = House::new().await;
    let headers = [
        ("To: \"victim@evil.example x\"@own.example", "quoted"),
        ("To: a@own.example(x)evil.example", "a comment within"),
        ("To: carol@elsewhere.example\r\nTo: victim@evil.example", "a second To"),
        ("To: carol@elsewhere.example,\r\n victim@evil.example", "a folded list"),
        ("To: Group: victim@evil.example;, carol@elsewhere.example", "a group"),
        ("To : victim@evil.example", "a blank before the colon"),
        ("TO: victim@evil.example", "another case"),
        ("To: =?utf-8?Q?x=2C_victim=40evil.example=2C?= <carol@elsewhere.example>", "a comma in an encoded name"),
        ("To: =?utf-8?Q?x?= <victim@evil.example> =?utf-8?Q?y?=", "names on both sides"),
        ("Cc: victim@evil.example\r\nBcc: victim@evil.example", "Cc and Bcc"),
        ("Resent-To: victim@evil.example\r\nResent-Bcc: victim@evil.example", "resent"),
        ("Apparently-To: victim@evil.example", "an old field"),
        ("X: y\r\nvictim@evil.example\r\nTo: carol@elsewhere.example", "a line that is no field"),
    ];
    for (number, (header, why)) in (1..).zip(headers) {
        let content = format!("From: {BILLING}\r\nSubject: who\r\n{header}\r\n\r\nText\r\n");
        house.send(BILLING, &[RECIPIENT], content).await;
        let mail = house.arrived(number).await.pop().unwrap();
        assert_eq!(mail.recipients, [RECIPIENT], "{why}: {}", String::from_utf8_lossy(&mail.raw));
    }
    assert_eq!(house.tenant.findings(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_value_becomes_a_header_line() {
    let house = House::new().await;
    let fields = [
        ("Subject: one\r\n Bcc: victim@evil.example", "a folded line that looks like a field"),
        ("Subject: =?utf-8?Q?one=0D=0ABcc:_victim=40evil.example?=", "CRLF in an encoded word"),
        ("Subject: =?utf-8?B?b25lDQpCY2M6IHZpY3RpbUBldmlsLmV4YW1wbGU=?=", "the same in base64"),
        ("Subject: one\rBcc: victim@evil.example", "a lone CR"),
        ("Subject: one\nBcc: hidden@elsewhere.example", "a lone LF, which is a line end"),
        ("From: =?utf-8?Q?x=0D=0ABcc:_victim=40evil.example?= <dev@x.example>", "CRLF in the name of a rewritten From"),
        ("From: \"x\\\r\n Bcc: victim@evil.example\" <dev@x.example>", "a fold within a quoted name"),
        ("From: \"}, \\\"toRecipients\\\": [\" <dev@x.example>", "what would be JSON"),
    ];
    let mut arrived = 0;
    for (field, why) in fields {
        for from in [SCANNER, BILLING] {
            house.send(from, &[RECIPIENT], format!("{field}\r\nTo: {RECIPIENT}\r\n\r\nText\r\n")).await;
            arrived += 1;
            let mail = house.arrived(arrived).await.pop().unwrap();
            assert_eq!(mail.recipients, [RECIPIENT], "{why}");
            let text = String::from_utf8_lossy(&mail.shown);
            assert!(!text.to_lowercase().contains("\r\nbcc:"), "{why}: {text}");
            assert!(text.ends_with("\r\n\r\nText\r\n"), "{why}: {text}");
        }
    }
    assert_eq!(house.tenant.findings(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_made_to_exhaust_its_readers_is_taken_or_refused_in_time() {
    let house = House::new().await;
    let parts: String =
        (0..500).map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n")).collect();
    let many = |count: usize, one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<String>();
    let rows: [(String, &str, &str); 8] = [
        (
            format!("Content-Type: text/plain; {}", many(9_999, &|n| format!("a*{n}*=x;"))),
            "250",
            "9,999 parameters (CVE-2026-27859)",
        ),
        (format!("X: y\r\n{}", parts.trim_end()), "250", "500 parts, one within another"),
        (format!("X: y{}", "\r\n z".repeat(250_000)), "552", "250,000 folded lines"),
        (format!("To: {}", many(50_000, &|n| format!("a{n}@x.example, "))), "552", "50,000 addresses"),
        (format!("To: {}", many(10_000, &|n| format!("a{n}@x.example, "))), "250", "10,000 addresses"),
        (format!("To: {}a@x.example", "(".repeat(60_000)), "250", "60,000 open parentheses (CVE-2025-14874)"),
        (format!("To: {}{}", "a:".repeat(60_000), ";".repeat(60_000)), "250", "60,000 groups, one within another"),
        (format!("To: {}", "\"<@,;:\\".repeat(30_000)), "250", "nonsense"),
    ];
    let mut taken = 0;
    for (header, code, why) in rows {
        for from in [SCANNER, BILLING] {
            let content = format!("From: {from}\r\nSubject: bomb\r\n{header}\r\n\r\nText\r\n");
            let start = Instant::now();
            let reply = house.client().await.hand_in(from, &[RECIPIENT], content).await;
            assert!(reply.starts_with(code), "{why}: {reply}");
            taken += u64::from(code == "250");
            let mail = house.arrived(taken).await;
            assert!(start.elapsed() < Duration::from_secs(10), "{why}: {:?}", start.elapsed());
            assert!(mail.iter().all(|mail| mail.recipients == [RECIPIENT]), "{why}");
        }
    }
    house.send(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, "ordinary")).await;
    house.arrived(taken + 1).await;
}
