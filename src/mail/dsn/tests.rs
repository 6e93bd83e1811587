use mail_parser::{MessageParser, MimeHeaders, PartType};
use proptest::prelude::*;

use super::*;
use crate::mail::Reason;

fn render_one(told: &[(Recipient, Told)], original_header: &[u8]) -> String {
    render_with(told, Original::Header(original_header))
}

fn render_with(told: &[(Recipient, Told)], original: Original<'_>) -> String {
    let (from, to) = ("scanner@own.example".parse().unwrap(), "boss@own.example".parse().unwrap());
    let report = Report {
        about: "0190a5c0d3d47e2c8f00a1b2c3d4e5f6".parse().unwrap(),
        from: &from,
        to: &to,
        reporting_mta: "gateway.own.example",
        arrival: Timestamp::from_millis(1_795_219_200_000),
        now: Timestamp::from_millis(1_795_219_260_000),
        envelope_id: None,
        told,
        account: "scanner",
        original,
        message_id: "<1@own.example>".to_owned(),
    };
    String::from_utf8(render(&report)).unwrap()
}

fn failed(to: &str, reason: Reason, diagnostic: &str) -> (Recipient, Told) {
    (to.parse::<Address>().unwrap().into(), Told::Failed(Failure::new(reason, diagnostic)))
}

/// The three parts as another reader decodes them.
fn parts(message: &str) -> [String; 3] {
    let parsed = MessageParser::new().parse(message.as_bytes()).unwrap();
    let root = parsed.content_type().unwrap();
    assert_eq!((root.ctype(), root.subtype()), ("multipart", Some("report")));
    assert_eq!(root.attribute("report-type"), Some("delivery-status"));
    let [_, leaves @ ..] = &parsed.parts[..] else { panic!("no parts") };
    let types: Vec<String> = leaves
        .iter()
        .map(|part| part.content_type().unwrap())
        .map(|kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap()))
        .collect();
    assert_eq!(types, ["text/plain", "message/delivery-status", "text/rfc822-headers"]);
    let texts: Vec<String> = leaves
        .iter()
        .map(|part| {
            if let PartType::Binary(octets) = &part.body {
                String::from_utf8(octets.to_vec()).unwrap()
            } else {
                part.text_contents().unwrap().to_owned()
            }
        })
        .collect();
    texts.try_into().unwrap()
}

#[test]
fn a_report_says_who_why_and_what_to_do() {
    let message = render_one(
        &[
            failed("bob@x.example", Reason::RecipientRefused, "550 5.1.10 No such user"),
            failed("carl@x.example", Reason::Expired, "HTTP 503 ErrorServerBusy: come back later"),
        ],
        b"Received: here\r\nSubject: Invoice\r\nBcc: secret@x.example\r\n\r\n",
    );
    let (header, _) = message.split_once("\r\n\r\n").unwrap();
    insta::assert_snapshot!(header.replace("\r\n", "\n"), @r#"
    From: "Mail Delivery System" <scanner@own.example>
    To: boss@own.example
    Subject: Your message could not be delivered
    Date: Sat, 21 Nov 2026 00:01:00 +0000
    Message-ID: <1@own.example>
    Auto-Submitted: auto-replied
    X-Auto-Response-Suppress: All
    MIME-Version: 1.0
    Content-Type: multipart/report; report-type="delivery-status";
     boundary="=_report_0190a5c0d3d47e2c8f00a1b2c3d4e5f6_1795219260000"
    "#);
    let [explanation, status, original] = parts(&message);
    insta::assert_snapshot!(explanation.replace("\r\n", "\n"), @r"
    This is the mail gateway oxpost at gateway.own.example. It has news of the message you sent at
    Sat, 21 Nov 2026 00:00:00 +0000.

    It could not be delivered to:

      bob@x.example
        Why: the recipient was refused
        The answer was: 550 5.1.10 No such user
        Next step: check the recipient's address

      carl@x.example
        Why: it could not be handed over before its time was up
        The answer was: HTTP 503 ErrorServerBusy: come back later
        Next step: mend the cause, then send it again with `oxpost queue retry` (scanner)

    The gateway keeps the message for its administrator under the queue id
    0190a5c0d3d47e2c8f00a1b2c3d4e5f6 (account `scanner`).
    Its header is below.
    ");
    insta::assert_snapshot!(status.replace("\r\n", "\n"), @r"
    Reporting-MTA: dns; gateway.own.example
    X-Oxpost-Queue-Id: 0190a5c0d3d47e2c8f00a1b2c3d4e5f6
    Arrival-Date: Sat, 21 Nov 2026 00:00:00 +0000

    Final-Recipient: rfc822; bob@x.example
    Action: failed
    Status: 5.1.10
    Diagnostic-Code: smtp; 550 5.1.10 No such user
    Last-Attempt-Date: Sat, 21 Nov 2026 00:01:00 +0000

    Final-Recipient: rfc822; carl@x.example
    Action: failed
    Status: 5.4.7
    Diagnostic-Code: x-oxpost; HTTP 503 ErrorServerBusy: come back later
    Last-Attempt-Date: Sat, 21 Nov 2026 00:01:00 +0000
    ");
    assert_eq!(original.trim_end(), "Received: here\r\nSubject: Invoice");
}

#[test]
fn a_status_that_was_temporary_becomes_permanent() {
    let table = [
        (Reason::Expired, "451 4.7.500 busy", "5.7.500", "the remote's own code"),
        (Reason::Throttled, "451 4.7.500 busy", "5.7.500", "told as failed, whatever it was"),
        (Reason::Expired, "", "5.4.7", "none of its own"),
        (Reason::Rejected, "554 no", "5.0.0", "a reply without one"),
        (Reason::Rejected, "2.0.0 taken", "5.0.0", "not a failure"),
    ];
    for (reason, words, expected, why) in table {
        assert_eq!(status(&Told::Failed(Failure::new(reason, words))).to_string(), expected, "{why}");
    }
}

#[test]
fn a_delay_and_a_handing_over_are_told_as_what_they_are() {
    let until = Timestamp::from_millis(1_795_305_600_000);
    let mut named: Recipient = "bob@x.example".parse::<Address>().unwrap().into();
    named.wishes.original = OriginalRecipient::parse("rfc822;robert+2Bx@y.example");
    let busy = Failure::new(Reason::Throttled, "432 4.3.2 busy");
    let late = render_one(&[(named.clone(), Told::Delayed(busy, until))], b"Subject: s\r\n\r\n");
    assert!(late.contains("Subject: Your message is late\r\n"));
    let [text, status, _] = parts(&late);
    assert!(text.contains("You need not send it again") && text.contains("Tried until: Sun, 22 Nov 2026"), "{text}");
    for field in [
        "Original-Recipient: rfc822; robert+x@y.example\r\n",
        "Final-Recipient: rfc822; bob@x.example\r\n",
        "Action: delayed\r\n",
        "Status: 4.3.2\r\n",
        "Will-Retry-Until: Sun, 22 Nov 2026 00:00:00 +0000\r\n",
    ] {
        assert!(status.contains(field), "no {field:?} in {status}");
    }
    let handed = render_one(&[(named, Told::Relayed("HTTP 202".to_owned()))], b"");
    assert!(handed.contains("Subject: Your message was handed over\r\n"));
    let [_, status, _] = parts(&handed);
    assert!(status.contains("Action: relayed\r\nStatus: 2.0.0\r\nDiagnostic-Code: x-oxpost; HTTP 202\r\n"), "{status}");
}

#[test]
fn a_whole_message_comes_back_without_its_bcc_unless_its_lines_are_too_long() {
    let told = [failed("bob@x.example", Reason::Rejected, "554 no")];
    let whole = "Subject: s\r\nBcc: secret@x.example\r\n\r\nline\r\n.\r\ngr\u{fc}\r\n";
    let message = render_with(&told, Original::Whole(whole.as_bytes()));
    assert!(message.contains("Content-Type: message/rfc822\r\n"), "{message}");
    assert!(message.contains("\r\n\r\nSubject: s\r\n\r\nline\r\n.\r\ngr\u{fc}\r\n"), "{message}");
    assert!(!message.contains("secret"));
    let long = format!("Subject: s\r\n\r\n{}\r\n", "x".repeat(2_000));
    let [.., original] = parts(&render_with(&told, Original::Whole(long.as_bytes())));
    assert_eq!(original.trim_end(), "Subject: s");
}

#[test]
fn a_digest_is_plain_text_in_ascii_with_a_line_for_each_message() {
    let (from, to) = ("scanner@own.example".parse().unwrap(), "boss@own.example".parse().unwrap());
    let id: QueueId = "0190a5c0d3d47e2c8f00a1b2c3d4e5f6".parse().unwrap();
    let lines = [(id, "to a@x.example: 550 no\r\nBcc: x".to_owned()), (id, "to \u{e4}@x.example".to_owned())];
    let digest = render_digest(&DigestMail {
        from: &from,
        to: &to,
        reporting_mta: "gateway.own.example",
        now: Timestamp::from_millis(1_795_219_260_000),
        lines: &lines,
        message_id: "<1@own.example>",
    });
    let text = String::from_utf8(digest).unwrap();
    assert!(text.is_ascii() && text.contains("Subject: 2 more of your messages could not be delivered\r\n"), "{text}");
    assert!(text.contains(&format!("{id}: to a@x.example: 550 no Bcc: x\r\n")), "{text}");
}

#[test]
fn recipients_with_the_same_failure_are_listed_together() {
    let many: Vec<_> =
        (0..3).map(|n| failed(&format!("r{n}@x.example"), Reason::SenderRefused, "ErrorSendAsDenied")).collect();
    let [explanation, ..] = parts(&render_one(&many, b""));
    assert_eq!(explanation.matches("Why:").count(), 1);
    assert!(explanation.contains("  r0@x.example\r\n  r1@x.example\r\n  r2@x.example\r\n    Why:"));
}

#[test]
fn letters_beyond_ascii_leave_in_ascii() {
    let message = render_one(
        &[failed("jörg+x@x.example", Reason::Rejected, "554 Größe überschritten")],
        "Subject: Größe\r\n\r\n".as_bytes(),
    );
    assert!(message.is_ascii());
    let [explanation, status, original] = parts(&message);
    assert!(explanation.contains("jörg+x@x.example") && explanation.contains("Größe überschritten"));
    assert!(status.contains("Final-Recipient: utf-8; j\\x{F6}rg\\x{2B}x@x.example\r\n"), "{status}");
    assert_eq!(original.trim_end(), "Subject: Größe");
}

#[test]
fn a_huge_original_header_is_cut_between_fields() {
    let header = format!("Subject: s\r\nX-Huge: {}\r\nX-Behind: b\r\n\r\n", "x".repeat(200_000));
    let [.., original] = parts(&render_one(&[failed("a@x.example", Reason::Rejected, "")], header.as_bytes()));
    assert_eq!(original.trim_end(), "Subject: s");
}

proptest! {
    #[test]
    fn no_words_of_a_remote_or_a_client_change_the_shape_of_a_report(
        words in ".{0,200}(\r\n[A-Z]{1,5}: x|\n\n--=_report_|\r\n\r\n|\u{2028})?.{0,1200}",
        subject in "([ -~]{0,60}|--=_report_[ -~]{0,40}|[\u{80}-\u{2ff}]{0,20})",
    ) {
        let mut broken = failed("a@x.example", Reason::Rejected, "");
        broken.1 = Told::Failed(Failure { diagnostic: words, ..Failure::new(Reason::Rejected, "") });
        let message = render_one(&[broken], format!("Subject: {subject}\r\n\r\n").as_bytes());
        prop_assert!(message.is_ascii());
        prop_assert!(message.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n'])));
        let [_, status, original] = parts(&message);
        prop_assert_eq!(status.split("\r\n\r\n").filter(|block| !block.trim().is_empty()).count(), 2);
        let recipient = HeaderBlock::parse(status.split_once("\r\n\r\n").unwrap().1.as_bytes()).fields().len();
        prop_assert_eq!(recipient, 5);
        prop_assert!(original.starts_with("Subject: "));
    }
}
