use std::collections::BTreeSet;

use mail_parser::{HeaderName, HeaderValue, MessageParser};

use super::*;
use crate::mail::Recipient;

mod properties;

const MAILBOX: &str = "scanner@own.example";

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn envelope(recipients: &[&str]) -> Envelope {
    let recipients = recipients.iter().map(|to| Recipient::from(address(to))).collect();
    Envelope::new(ReversePath::Mailbox(address("app@own.example")), recipients).unwrap()
}

/// The header for a way without envelope, for a client that keeps its sender.
fn headers(head: &str, recipients: &[&str]) -> Outgoing {
    let mailbox = address(MAILBOX);
    for_headers(head.as_bytes(), &envelope(recipients), &Sender { policy: SenderPolicy::Keep, mailbox: &mailbox })
}

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

/// Whom a reader that is not ours would mail to: every address in every To, Cc, Bcc and Resent-To, -Cc, -Bcc.
fn mailed_to(header: &[u8]) -> BTreeSet<String> {
    let message = MessageParser::new().parse_headers(header).unwrap();
    let mut found = BTreeSet::new();
    for field in message.headers() {
        let recipients = [
            HeaderName::To,
            HeaderName::Cc,
            HeaderName::Bcc,
            HeaderName::ResentTo,
            HeaderName::ResentCc,
            HeaderName::ResentBcc,
        ];
        if !recipients.contains(&field.name) {
            continue;
        }
        if let HeaderValue::Address(list) = &field.value {
            found.extend(list.iter().map(|entry| entry.address().unwrap_or("(none)").to_lowercase()));
        }
    }
    found
}

/// The fields that decide who gets it, as they leave.
fn recipient_fields(header: &[u8]) -> Vec<String> {
    let block = HeaderBlock::parse(header);
    let fields = block.fields().iter().filter(|f| f.is("To") || f.is("Cc") || f.is("Bcc"));
    fields.map(|field| text(field.raw()).trim_end().to_owned()).collect()
}

/// Fields, the RCPT set, the recipient fields that leave, and why.
type Row = (&'static str, &'static [&'static str], &'static [&'static str], &'static str);

/// Runs rows for a client that keeps its sender, and asks a reader that is not ours as well.
fn check(table: &[Row]) {
    for (fields, recipients, expected, why) in table {
        let head = format!("From: app@own.example\r\n{fields}Subject: s\r\n\r\nTo: body@x.example\r\n");
        let out = headers(&head, recipients);
        assert_eq!(recipient_fields(&out.header), *expected, "{why}");
        let wanted: BTreeSet<String> = recipients.iter().map(|to| to.to_lowercase()).collect();
        let seen = mailed_to(&out.header).into_iter().map(|to| to.replace("\"=?", "=?").replace("?=\"", "?="));
        assert_eq!(seen.collect::<BTreeSet<_>>(), wanted, "{why}");
        assert_eq!(&head[out.body_offset..], "To: body@x.example\r\n", "{why}");
    }
}

#[test]
fn hidden_and_header_only_recipients_are_told_apart() {
    check(&[
        // What others get wrong: hidden, header-only, a Bcc that is there already, and each two of them.
        ("To: a@x.example\r\n", &["a@x.example"], &["To: a@x.example"], "they agree"),
        ("To: a@x.example\r\n", &["a@x.example", "h@x.example"], &["Bcc: h@x.example", "To: a@x.example"], "hidden"),
        ("To: a@x.example, list@x.example\r\n", &["a@x.example"], &["To: a@x.example"], "header-only"),
        ("To: list@x.example\r\n", &["a@x.example"], &["Bcc: a@x.example"], "an expanded list: both"),
        (
            "To: a@x.example\r\nBcc: b@x.example\r\n",
            &["a@x.example", "b@x.example"],
            &["To: a@x.example", "Bcc: b@x.example"],
            "a Bcc that agrees",
        ),
        (
            "To: a@x.example\r\nBcc: b@x.example\r\n",
            &["a@x.example", "b@x.example", "h@x.example"],
            &["Bcc: b@x.example, h@x.example", "To: a@x.example"],
            "a Bcc, and another is hidden",
        ),
        ("To: a@x.example\r\nBcc: b@x.example\r\n", &["a@x.example"], &["To: a@x.example"], "a Bcc that gets nothing"),
        (
            "To: a@x.example, c@x.example\r\nBcc: b@x.example\r\n",
            &["a@x.example", "h@x.example"],
            &["Bcc: h@x.example", "To: a@x.example"],
            "all at once",
        ),
    ]);
}

#[test]
fn recipients_are_compared_by_address_and_not_by_line() {
    check(&[
        (
            "To: A <a@x.example>, B <b@x.example>\r\n",
            &["a@x.example", "b@x.example"],
            &["To: A <a@x.example>, B <b@x.example>"],
            "two addresses in one line are not hidden ones",
        ),
        (
            "To: a@x.example\r\nCc: b@x.example\r\n",
            &["a@x.example", "h@x.example"],
            &["Bcc: h@x.example", "To: a@x.example"],
            "as many lines as recipients, and yet one is hidden",
        ),
        ("To: User@X.example\r\n", &["user@x.EXAMPLE"], &["To: User@X.example"], "letter case"),
        (
            "Bcc: a@x.example\r\nBcc: b@x.example\r\n",
            &["a@x.example", "b@x.example"],
            &["Bcc: a@x.example, b@x.example"],
            "two Bcc fields",
        ),
        (
            "To: a@x.example\r\nTo: b@x.example\r\n",
            &["a@x.example", "b@x.example"],
            &["To: a@x.example, b@x.example"],
            "two To fields",
        ),
        ("To: a@x.example, a@x.example\r\nCc: A@x.example\r\n", &["a@x.example"], &["To: a@x.example"], "duplicates"),
    ]);
}

#[test]
fn every_form_of_the_field_is_read() {
    check(&[
        ("Subject: x\r\n", &["a@x.example"], &["Bcc: a@x.example"], "no recipient in the header"),
        ("To: undisclosed-recipients:;\r\n", &["a@x.example"], &["Bcc: a@x.example"], "undisclosed recipients"),
        ("To: undisclosed-recipients:;\r\nCc: a@x.example\r\n", &["a@x.example"], &["Cc: a@x.example"], "and a Cc"),
        ("To: Team: a@x.example, b@x.example;\r\n", &["a@x.example"], &["To: a@x.example"], "a group"),
        ("To:\r\n", &["a@x.example"], &["Bcc: a@x.example"], "an empty field"),
        (
            "To: Ann\r\n <a@x.example>,\r\n =?utf-8?Q?B=C3=B6b?= <b@x.example>\r\n",
            &["a@x.example", "b@x.example"],
            &["To: Ann\r\n <a@x.example>,\r\n =?utf-8?Q?B=C3=B6b?= <b@x.example>"],
            "folded, with an encoded word",
        ),
        (
            "To: Ann\r\n <a@x.example>,\r\n =?utf-8?Q?B=C3=B6b?= <b@x.example>\r\n",
            &["b@x.example"],
            &["To: =?utf-8?Q?B=C3=B6b?= <b@x.example>"],
            "an encoded word is taken over",
        ),
        ("TO : a@x.example\r\n", &["a@x.example"], &["To: a@x.example"], "a blank before the colon"),
        ("To: Bob bob@x.example\r\n", &["bob@x.example"], &["To: \"Bob\" <bob@x.example>"], "no brackets"),
        (
            "Resent-To: r@x.example\r\nResent-Bcc: s@x.example\r\nTo: a@x.example\r\n",
            &["a@x.example"],
            &["To: a@x.example"],
            "sent on by hand, to somebody else this time",
        ),
    ]);
}

#[test]
fn where_readers_disagree_what_leaves_is_the_envelope_in_a_form_that_all_read_alike() {
    check(&[
        (
            "To: \"victim@evil.test x\"@own.test\r\n",
            &["\"victim@evil.test x\"@own.test"],
            &["To: <\"victim@evil.test x\"@own.test>"],
            "S12 quotes",
        ),
        ("To: a@own.test(x)evil.test\r\n", &["a@own.test"], &["Bcc: a@own.test"], "S12 a comment inside"),
        ("To: \"v@evil.test\" <a@own.test>\r\n", &["a@own.test"], &["To: \"v@evil.test\" <a@own.test>"], "S12 a name"),
        ("To: v@evil.test <a@own.test>\r\n", &["a@own.test"], &["To: \"v@evil.test\" <a@own.test>"], "S12 unquoted"),
        (
            "To: =?x?q?v=40evil.test?=@own.test\r\n",
            &["=?x?q?v=40evil.test?=@own.test"],
            &["To: <\"=?x?q?v=40evil.test?=\"@own.test>"],
            "S12 an encoded local part",
        ),
        // An encoded word may decode to anything; it is never decoded here.
        ("To: =?utf-8?Q?x=0D=0ABcc:_v@evil.test?= <a@x.example>\r\n", &["a@x.example"], &["To: a@x.example"], "S13"),
    ]);
}

#[test]
fn a_header_that_agrees_leaves_octet_for_octet() {
    let head = "Received: x\r\nSubject: =?bad\r\n\tfolded \r\nfrom:  Ann  <app@own.example> (c)\r\n\
                tO: \"B, b\" <B@x.example> ,\r\n  c@x.example (C)\r\nCC:d@x.example\r\nX-8bit: \u{e9}\r\n\r\nbody";
    let out = headers(head, &["b@x.example", "c@x.example", "d@x.example"]);
    assert_eq!(text(&out.header) + "body", head);
    assert_eq!(out.reverse_path, ReversePath::Mailbox(address(MAILBOX)));
}

#[test]
fn the_clients_own_lines_are_kept_where_they_mean_nothing() {
    let head = "From: a@own.example\r\nTo: List <l@x.example>,\r\n a@x.example\r\nCc: c@x.example\r\n\
                Bcc: secret@x.example\r\nResent-Bcc: secret@y.example\r\nResent-To: r@x.example\r\n\
                X-Oxpost-Original-To: earlier@x.example\r\nTo whom: it concerns\r\n\r\n";
    let out = headers(head, &["a@x.example"]);
    assert_eq!(
        text(&out.header),
        "From: a@own.example\r\nTo: a@x.example\r\n\
         X-Oxpost-Original-To: List <l@x.example>,\r\n a@x.example\r\nX-Oxpost-Original-Cc: c@x.example\r\n\
         X-Oxpost-Original-Resent-To: r@x.example\r\nX-Oxpost-Original-To: earlier@x.example\r\n\
         X-Oxpost-Original-Line: To whom: it concerns\r\n\r\n"
    );
    assert!(!text(&out.header).contains("secret"), "a Bcc is nobody's business");
    assert!(out.notes.iter().any(|note| note.starts_with("To rewritten")), "{:?}", out.notes);
    let long = format!("To: {}\r\n\r\n", "a".repeat(994));
    let kept = headers(&long, &["a@x.example"]).header;
    assert!(text(&kept).lines().all(|line| line.len() <= 998), "the longer name does not make the line too long");
}

#[test]
fn long_recipient_lists_are_folded() {
    let many: Vec<String> = (0..1000).map(|n| format!("recipient-number-{n}@department.x.example")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let out = headers("Subject: s\r\n\r\n", &many);
    assert!(text(&out.header).lines().all(|line| line.len() <= 78 + 1));
    assert_eq!(mailed_to(&out.header).len(), 1000);
}

#[test]
fn bombs_in_a_header_take_bounded_time() {
    let room = crate::mail::header::MAX_HEADER;
    let fill = |piece: &str| piece.repeat(room / piece.len());
    for (head, what) in [
        (format!("To: {}\r\n\r\n", fill("a@x.ex,")), "addresses"),
        (format!("To: {}\r\n\r\n", fill("(")), "parentheses"),
        (format!("{}\r\n", fill("To: a@x.ex\r\n")), "fields"),
        (format!("X: y\r\n{}\r\n", fill(" \r\n")), "folded lines"),
        (format!("X: y\r\n{}\r\n", fill("z\r\n")), "lines that are no fields"),
        (format!("From: {}\r\n\r\n", fill("a b <c@x.ex>,")), "authors"),
    ] {
        let start = std::time::Instant::now();
        crate::mail::header::inspect(head.as_bytes());
        let out = headers(&head, &["a@x.ex", "z@x.example"]);
        assert!(start.elapsed() < std::time::Duration::from_secs(3), "{what}: {:?}", start.elapsed());
        assert!(out.header.len() < 16 * room, "{what}: {} octets", out.header.len());
    }
}

#[test]
fn whom_only_the_header_names_is_told_apart() {
    let named = |head: &str, recipients: &[&str]| header_only_recipients(head.as_bytes(), &envelope(recipients));
    let head = "To: A@x.example, l@x.example\r\nCc: l@x.example, m@x.example\r\nBcc: b@x.example\r\n\r\n";
    assert_eq!(named(head, &["a@x.example"]), [address("l@x.example"), address("m@x.example")]);
    assert_eq!(named(head, &["a@x.example", "l@x.example", "m@x.example", "h@x.example"]), []);
}

#[test]
fn the_sender_follows_its_policy() {
    use SenderPolicy::{Keep, Rewrite, Strict};
    let table = [
        (Keep, "From: Ann <a@x.example>\r\n", "From: Ann <a@x.example>\r\n", "kept"),
        (Keep, "From: scanner@x.example\r\n", "From: scanner@x.example\r\n", "needs no brackets"),
        (Keep, "From: Scanner scanner@x.example\r\n", "From: \"Scanner\" <scanner@x.example>\r\n", "repaired"),
        (Keep, "From: Scanner\r\n", "From: \"Scanner\" <scanner@own.example>\r\n", "no address"),
        (Keep, "From: <>\r\n", "From: scanner@own.example\r\n", "empty brackets"),
        (Keep, "", "From: scanner@own.example\r\n", "no From"),
        (
            Keep,
            "From: a@x.example, b@x.example\r\nSender: b@x.example\r\n",
            "From: a@x.example, b@x.example\r\nSender: b@x.example\r\n",
            "two authors",
        ),
        (Strict, "From: Scanner scanner@x.example\r\n", "From: Scanner scanner@x.example\r\n", "not touched"),
        (
            Rewrite,
            "From: Ann <a@x.example>\r\nSender: s@x.example\r\n",
            "From: \"Ann\" <scanner@own.example>\r\nReply-To: \"Ann\" <a@x.example>\r\n",
            "rewritten, Sender goes",
        ),
        (
            Rewrite,
            "From: a@x.example\r\nReply-To: r@x.example\r\n",
            "From: scanner@own.example\r\nReply-To: r@x.example\r\n",
            "a Reply-To stays",
        ),
        (Rewrite, "From: Scanner <SCANNER@own.example>\r\n", "From: Scanner <SCANNER@own.example>\r\n", "it is so"),
        (
            Rewrite,
            "From: =?utf-8?Q?J=C3=B6rg?= <a@x.example>\r\n",
            "From: =?utf-8?Q?J=C3=B6rg?= <scanner@own.example>\r\nReply-To: =?utf-8?Q?J=C3=B6rg?= <a@x.example>\r\n",
            "an encoded word is taken over",
        ),
        (
            Rewrite,
            "From: Ann <a@x.example>, b@x.example\r\n",
            "From: \"Ann\" <scanner@own.example>\r\nReply-To: \"Ann\" <a@x.example>, b@x.example\r\n",
            "two authors",
        ),
        (
            Rewrite,
            "From: Ann <a@x.example>\r\nFrom: b@x.example\r\n",
            "From: \"Ann\" <scanner@own.example>\r\nReply-To: \"Ann\" <a@x.example>, b@x.example\r\n",
            "two fields",
        ),
        (Rewrite, "From: Scanner\r\n", "From: \"Scanner\" <scanner@own.example>\r\n", "no address"),
        (Rewrite, "From: x\u{e9}@x.example\r\n", "From: scanner@own.example\r\n", "no SMTPUTF8, no such Reply-To"),
        (Rewrite, "", "From: scanner@own.example\r\n", "no From"),
    ];
    for (policy, fields, expected, why) in table {
        let head = format!("{fields}To: r@x.example\r\n\r\n");
        let mailbox = address(MAILBOX);
        let sender = Sender { policy, mailbox: &mailbox };
        let out = for_envelope(head.as_bytes(), &envelope(&["r@x.example"]), &sender);
        assert_eq!(text(&out.header), format!("{expected}To: r@x.example\r\n\r\n"), "{why}");
        let path = if policy == Rewrite { MAILBOX } else { "app@own.example" };
        assert_eq!(out.reverse_path, ReversePath::Mailbox(address(path)), "{why}");
    }
}

#[test]
fn with_an_envelope_only_bcc_goes() {
    let head = "bcc: a@x.example\r\nTo: other@x.example\r\nBcc : b@x.example\r\nResent-To: r@x.example\r\n\
                Resent-Bcc: c@x.example,\r\n d@x.example\r\nFrom: app@own.example\r\n\r\nBcc: in the body";
    let mailbox = address(MAILBOX);
    let sender = Sender { policy: SenderPolicy::Keep, mailbox: &mailbox };
    let out = for_envelope(head.as_bytes(), &envelope(&["z@x.example"]), &sender);
    assert_eq!(text(&out.header), "To: other@x.example\r\nResent-To: r@x.example\r\nFrom: app@own.example\r\n\r\n");
    assert_eq!(&head[out.body_offset..], "Bcc: in the body");
    assert!(out.notes.is_empty());
}

#[test]
fn a_line_that_is_no_field_never_comes_to_stand_at_the_top() {
    let mailbox = address(MAILBOX);
    let sender = Sender { policy: SenderPolicy::Strict, mailbox: &mailbox };
    let table = [
        ("Bcc: a@x.example\r\n`\r\nSubject: s\r\n\r\n", "Subject: s\r\n\r\n", "it stood behind a Bcc"),
        ("Bcc: a@x.example\r\n`\r\n'\r\nSubject: s\r\n\r\n", "Subject: s\r\n\r\n", "two of them"),
        ("Bcc: a@x.example\r\n`", "\r\n", "nothing else is left"),
        ("Subject: s\r\n`\r\n\r\n", "Subject: s\r\n`\r\n\r\n", "lower down it stays"),
    ];
    for (head, expected, why) in table {
        let out = for_envelope(head.as_bytes(), &envelope(&["a@x.example"]), &sender);
        assert_eq!(text(&out.header), expected, "{why}");
        let block = HeaderBlock::parse(&out.header);
        assert!(block.is_terminated() && block.octets() == out.header.len(), "{why}: a reader finds its end");
    }
}

#[test]
fn the_null_reverse_path_stays_where_it_can_and_is_noted_where_it_cannot() {
    let report = Envelope::new(ReversePath::Null, vec![address("a@x.example").into()]).unwrap();
    let mailbox = address(MAILBOX);
    for policy in [SenderPolicy::Keep, SenderPolicy::Rewrite, SenderPolicy::Strict] {
        let sender = Sender { policy, mailbox: &mailbox };
        assert_eq!(for_envelope(b"To: a@x.example\r\n\r\n", &report, &sender).reverse_path, ReversePath::Null);
        let out = for_headers(b"To: a@x.example\r\n\r\n", &report, &sender);
        assert_eq!(out.reverse_path, ReversePath::Mailbox(mailbox.clone()));
        assert!(out.notes.iter().any(|note| note.contains("null reverse path")), "{:?}", out.notes);
    }
}

#[test]
fn a_message_without_header_or_without_body_gets_a_whole_header() {
    let out = headers("just text\r\n", &["a@x.example"]);
    assert_eq!(text(&out.header), "Bcc: a@x.example\r\nFrom: scanner@own.example\r\n\r\n");
    assert_eq!(out.body_offset, 0);
    let out = headers("From: a@own.example\r\nTo: a@x.example", &["a@x.example"]);
    assert_eq!(text(&out.header), "From: a@own.example\r\nTo: a@x.example\r\n\r\n");
    let out = headers(
        "From a@b Fri Jul  8 12:08:34 2011\r\nFrom: a@own.example\r\nTo: a@x.example\r\n\r\nx",
        &["a@x.example"],
    );
    assert_eq!(text(&out.header), "From: a@own.example\r\nTo: a@x.example\r\n\r\n");
}
