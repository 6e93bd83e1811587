use mail_parser::{MessageParser, MimeHeaders, PartType};
use proptest::prelude::*;

use super::*;
use crate::mail::Reason;

fn render_one(failed: &[(Recipient, Failure)], original_header: &[u8]) -> String {
    let (from, to) = ("scanner@own.example".parse().unwrap(), "boss@own.example".parse().unwrap());
    let report = Report {
        about: "0190a5c0d3d47e2c8f00a1b2c3d4e5f6".parse().unwrap(),
        from: &from,
        to: &to,
        reporting_mta: "gateway.own.example",
        arrival: Timestamp::from_millis(1_795_219_200_000),
        now: Timestamp::from_millis(1_795_219_260_000),
        failed,
        account: "scanner",
        original_header,
        message_id: "<1@own.example>".to_owned(),
    };
    String::from_utf8(render(&report)).unwrap()
}

fn failed(to: &str, reason: Reason, diagnostic: &str) -> (Recipient, Failure) {
    (to.parse::<Address>().unwrap().into(), Failure::new(reason, diagnostic))
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
    This is the mail gateway oxpost at gateway.own.example.

    The message you sent at Sat, 21 Nov 2026 00:00:00 +0000 could not be delivered to:

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

    Original-Recipient: rfc822; bob@x.example
    Final-Recipient: rfc822; bob@x.example
    Action: failed
    Status: 5.1.10
    Diagnostic-Code: smtp; 550 5.1.10 No such user
    Last-Attempt-Date: Sat, 21 Nov 2026 00:01:00 +0000

    Original-Recipient: rfc822; carl@x.example
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
        (Reason::Expired, "", "5.4.7", "none of its own"),
        (Reason::Rejected, "554 no", "5.0.0", "a reply without one"),
        (Reason::Rejected, "2.0.0 taken", "5.0.0", "not a failure"),
    ];
    for (reason, words, expected, why) in table {
        assert_eq!(status(&Failure::new(reason, words)).to_string(), expected, "{why}");
    }
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
        broken.1.diagnostic = words;
        let message = render_one(&[broken], format!("Subject: {subject}\r\n\r\n").as_bytes());
        prop_assert!(message.is_ascii());
        prop_assert!(message.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n'])));
        let [_, status, original] = parts(&message);
        prop_assert_eq!(status.split("\r\n\r\n").filter(|block| !block.trim().is_empty()).count(), 2);
        let recipient = HeaderBlock::parse(status.split_once("\r\n\r\n").unwrap().1.as_bytes()).fields().len();
        prop_assert_eq!(recipient, 6);
        prop_assert!(original.starts_with("Subject: "));
    }
}
