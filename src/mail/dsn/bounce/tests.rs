use super::*;

/// As Exchange Online writes them: the words for people twice, the returned message whole, no space behind the type.
const EXCHANGE: &str = "From: Microsoft Outlook\r\n\t<MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@contoso.example>\r\n\
    To: <scanner@contoso.example>\r\nDate: Sat, 21 Nov 2026 00:00:02 +0000\r\n\
    Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"9b55b8a4-a9f2-4e8b\"\r\n\
    X-MS-Exchange-Message-Is-Ndr:\r\nContent-Language: en-US\r\nMessage-ID: <ndr@contoso.example>\r\n\
    In-Reply-To: <1@client.example>\r\nReferences: <1@client.example>\r\nSubject: Undeliverable: the scan\r\n\
    Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\r\n\
    --9b55b8a4-a9f2-4e8b\r\nContent-Type: multipart/alternative; differences=Content-Type;\r\n\tboundary=\"e5b7\"\r\n\r\n\
    --e5b7\r\nContent-Type: text/plain; charset=\"us-ascii\"\r\n\r\nYour message couldn't be delivered.\r\n\
    --e5b7\r\nContent-Type: text/html\r\n\r\n<p>Your message couldn't be delivered.</p>\r\n--e5b7--\r\n\r\n\
    --9b55b8a4-a9f2-4e8b\r\nContent-Type: message/delivery-status\r\n\r\n\
    Reporting-MTA: dns;AM0PR01MB1234.eurprd01.prod.exchangelabs.com\r\nReceived-From-MTA: dns;x\r\n\
    Arrival-Date: Sat, 21 Nov 2026 00:00:01 +0000\r\n\r\n\
    Final-Recipient: rfc822;nobody@contoso.example\r\nAction: failed\r\nStatus: 5.1.10\r\n\
    Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient\r\n nobody@contoso.example not found by SMTP address lookup\r\n\r\n\
    --9b55b8a4-a9f2-4e8b\r\nContent-Type: message/rfc822\r\n\r\n\
    Received: from here\r\nMessage-ID: <1@client.example>\r\nFrom: <scanner@contoso.example>\r\nSubject: the scan\r\n\r\nText\r\n\
    --9b55b8a4-a9f2-4e8b--\r\n";

/// As Postfix writes them: blanks behind the types, fields of its own, the header alone.
const POSTFIX: &str = "From: MAILER-DAEMON@relay.example (Mail Delivery System)\nTo: a@contoso.example\n\
    Content-Type: multipart/report; report-type=delivery-status; boundary=\"4F2A/relay.example\"\n\n\
    This is a MIME-encapsulated message.\n\n--4F2A/relay.example\nContent-Description: Notification\n\
    Content-Type: text/plain; charset=us-ascii\n\nI'm sorry to have to inform you\n\n\
    --4F2A/relay.example\nContent-Description: Delivery report\nContent-Type: message/delivery-status\n\n\
    Reporting-MTA: dns; relay.example\nX-Postfix-Queue-ID: 4F2A\n\n\
    Final-Recipient: rfc822; gone@x.example\nOriginal-Recipient: rfc822;first+2Bname@x.example\nAction: failed\n\
    Status: 5.1.1\nRemote-MTA: dns; mx.x.example\nDiagnostic-Code: smtp; 550 5.1.1 <gone@x.example>: unknown user\n\n\
    Final-Recipient: rfc822; slow@x.example\nAction: delayed\nStatus: 4.4.1\n\
    Diagnostic-Code: X-Postfix; connect to mx.x.example: timed out\n\n\
    Final-Recipient: rfc822; fine@x.example\nAction: relayed\nStatus: 2.1.5\n\n\
    --4F2A/relay.example\nContent-Description: Undelivered Message Headers\nContent-Type: text/rfc822-headers\n\n\
    Message-ID: <2@client.example>\nX-Microsoft-Original-Message-ID: <1@client.example>\nSubject: s\n\n--4F2A/relay.example--\n";

fn address(text: &str) -> Option<Address> {
    Some(text.parse().unwrap())
}

#[test]
fn the_report_of_exchange_is_read() {
    let report = BounceReport::read(EXCHANGE.as_bytes()).expect("a report");
    assert_eq!(report.message_ids, ["<1@client.example>"]);
    let words =
        "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient nobody@contoso.example not found by SMTP address lookup";
    assert_eq!(
        report.recipients,
        [Bounced {
            address: address("nobody@contoso.example"),
            original: None,
            action: BounceAction::Failed,
            status: Some(EnhancedStatusCode::new(5, 1, 10)),
            words: words.to_owned(),
        }]
    );
}

#[test]
fn the_report_of_postfix_is_read_whatever_its_line_ends() {
    for text in [POSTFIX.to_owned(), POSTFIX.replace('\n', "\r\n")] {
        let report = BounceReport::read(text.as_bytes()).expect("a report");
        assert_eq!(report.message_ids, ["<2@client.example>", "<1@client.example>"]);
        let [gone, slow] = &report.recipients[..] else { panic!("{report:?}") };
        assert_eq!((gone.action, slow.action), (BounceAction::Failed, BounceAction::Delayed));
        assert_eq!(gone.address, address("gone@x.example"));
        assert_eq!(gone.original, address("first+2Bname@x.example"));
        assert_eq!(gone.words, "550 5.1.1 <gone@x.example>: unknown user");
        assert_eq!(slow.words, "connect to mx.x.example: timed out");
        assert_eq!(slow.status, Some(EnhancedStatusCode::new(4, 4, 1)));
    }
}

#[test]
fn our_own_report_is_read() {
    use crate::mail::dsn::{Original, Report, Told, render};
    use crate::mail::{Failure, QueueId, Reason};
    let to: Address = "gone@x.example".parse().unwrap();
    let (about, failure) = (QueueId::fresh(), Failure::new(Reason::RecipientRefused, "550 5.1.1 no such user"));
    let told = [(to.clone().into(), Told::Failed(failure))];
    let from: Address = "scanner@contoso.example".parse().unwrap();
    let text = render(&Report {
        from: &from,
        to: &from,
        reporting_mta: "gw.example",
        about,
        account: "scanner",
        arrival: crate::clock::Timestamp::default(),
        now: crate::clock::Timestamp::default(),
        told: &told,
        envelope_id: None,
        message_id: "<report@gw.example>".to_owned(),
        original: Original::Header(b"Message-ID: <1@client.example>\r\nSubject: s\r\n\r\n"),
    });
    let report = BounceReport::read(&text).expect("a report");
    assert_eq!(report.about, Some(about));
    assert_eq!(
        (report.message_ids, report.recipients[0].address.clone()),
        (vec!["<1@client.example>".to_owned()], Some(to))
    );
}

#[test]
fn what_is_no_report_or_no_bad_news_is_passed_over() {
    let with = |from: &str, to: &str| {
        let changed = EXCHANGE.replace(from, to);
        assert_ne!(changed, EXCHANGE, "{from}");
        changed
    };
    let inside = format!("Content-Type: message/rfc822\r\n\r\n{EXCHANGE}");
    let table = [
        (String::new(), "nothing"),
        ("Subject: hello\r\n\r\ntext\r\n".to_owned(), "a letter"),
        (EXCHANGE.replace("multipart/report", "multipart/mixed"), "another multipart"),
        (inside, "a report that somebody passed on is his, not the provider's"),
        (
            format!("Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n{EXCHANGE}\r\n--o--\r\n"),
            "a report inside of something else",
        ),
        (with("message/delivery-status", "message/disposition-notification"), "a receipt of reading"),
        (with("Action: failed", "Action: delivered"), "good news"),
        (with("Action: failed", "Action: exploded"), "an unknown action"),
        (with("Action: failed\r\n", ""), "no action"),
        (with("rfc822;nobody@contoso.example\r\n", "x400;C=de\r\n"), "nobody who has an address"),
        (with("9b55b8a4-a9f2-4e8b\"", "other\""), "a boundary that never comes"),
    ];
    for (text, why) in table {
        assert_eq!(BounceReport::read(text.as_bytes()), None, "{why}");
    }
}

#[test]
fn what_is_missing_or_odd_does_not_hide_the_rest() {
    let table = [
        ("Status: 5.1.10\r\n", "", "no status"),
        ("Status: 5.1.10", "Status: nonsense", "a status that is none"),
        ("Action: failed", "action :  FAILED (permanently)", "letters and comments"),
        (
            "Reporting-MTA: dns;AM0PR01MB1234.eurprd01.prod.exchangelabs.com",
            "not a field at all",
            "a broken first group",
        ),
        ("rfc822;nobody@contoso.example\r\n", "rfc822; <nobody@contoso.example>\r\n", "angle brackets"),
        ("Message-ID: <1@client.example>\r\nFrom", "From", "the id is told by In-Reply-To"),
    ];
    for (from, to, why) in table {
        let changed = EXCHANGE.replace(from, to);
        assert_ne!(changed, EXCHANGE, "{why}");
        let report = BounceReport::read(changed.as_bytes()).expect(why);
        assert_eq!(report.message_ids, ["<1@client.example>"], "{why}");
        assert_eq!(report.recipients[0].address, address("nobody@contoso.example"), "{why}");
    }
    let encoded = EXCHANGE.replace("rfc822;nobody@contoso.example\r\n", "utf-8;b\\x{FC}ro@contoso.example\r\n");
    assert_eq!(BounceReport::read(encoded.as_bytes()).unwrap().recipients[0].address, address("büro@contoso.example"));
}

#[test]
fn a_huge_or_deep_message_is_read_in_bounds() {
    let many: String =
        (0..5_000).map(|n| format!("Final-Recipient: rfc822;u{n}@x.example\r\nAction: failed\r\n\r\n")).collect();
    let group = "Final-Recipient: rfc822;nobody@contoso.example\r\n";
    let report = BounceReport::read(EXCHANGE.replace(group, &(many + group)).as_bytes()).unwrap();
    assert_eq!(report.recipients.len(), MAX_RECIPIENTS);

    let long = EXCHANGE.replace("Text\r\n", &"Text\r\n".repeat(MAX_REPORT));
    let report = BounceReport::read(long.as_bytes()).expect("its beginning says all there is to say");
    assert_eq!(report.message_ids, ["<1@client.example>"]);

    // Each is looked at once: read to the end from each, they would take hours.
    for useless in [" \r\n", "From  Mon \r\n", "From  Mon \r\nx\r\n"] {
        let filler = useless.repeat(MAX_REPORT / useless.len() - 1_000);
        let report = BounceReport::read(EXCHANGE.replace(group, &(filler + group)).as_bytes());
        assert!(report.is_none_or(|report| report.recipients.len() <= 1), "{useless}");
    }

    let ids: String = (0..10_000).map(|n| format!("<{n}@x> ")).collect();
    let report = BounceReport::read(EXCHANGE.replace("<1@client.example>\r\nReferences", &ids).as_bytes());
    assert!(report.is_none_or(|report| report.message_ids.len() <= MAX_IDS));

    let deep = |opening: &str| opening.repeat(MAX_REPORT / opening.len());
    for opening in ["Content-Type: message/rfc822\r\n\r\n", "Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n"]
    {
        assert_eq!(BounceReport::read(deep(opening).as_bytes()), None, "{opening}");
    }
    assert_eq!(
        BounceReport::read(deep("Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\r\n--b\r\n").as_bytes()),
        None
    );
}

#[test]
fn wherever_a_report_is_cut_off_it_is_read_or_passed_over() {
    for end in 0..EXCHANGE.len() {
        let _either = BounceReport::read(&EXCHANGE.as_bytes()[..end]);
    }
}
