//! Graph, for messages that one request cannot hold.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail_parser::{MessageParser, MimeHeaders};
use oxpost::mail::{Outcome, Reason};
use oxpost::practice::{Fault, GraphFault, Rule, WebStep};

use crate::bench::{Bench, ONE_REQUEST, SCANNER, reasons, words};

const ALICE: &str = "alice@practice.example";
const HIDDEN: &str = "audit@elsewhere.example";

/// Octets that are no text and never the same twice in a row.
fn octets(count: usize) -> Vec<u8> {
    (0..count as u64).map(|n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56).to_le_bytes()[0]).collect()
}

fn part(header: &str, content: &[u8]) -> Vec<u8> {
    let mut part = format!("{header}\r\nContent-Transfer-Encoding: base64\r\n\r\n").into_bytes();
    for line in STANDARD.encode(content).as_bytes().chunks(76) {
        part.extend_from_slice(line);
        part.extend_from_slice(b"\r\n");
    }
    part
}

fn multipart(kind: &str, boundary: &str, parts: &[Vec<u8>]) -> Vec<u8> {
    let mut whole = format!("Content-Type: multipart/{kind}; boundary={boundary}\r\n\r\n").into_bytes();
    for part in parts {
        whole.extend(format!("--{boundary}\r\n").into_bytes());
        whole.extend_from_slice(part);
        whole.extend_from_slice(b"\r\n");
    }
    whole.extend(format!("--{boundary}--\r\n").into_bytes());
    whole
}

const HEADER: &str = "From: Scanner <scanner@practice.example>\r\nTo: alice@practice.example\r\n\
    Message-ID: <1@scanner.practice.example>\r\nSubject: scan\r\nMIME-Version: 1.0\r\n";

fn message(entity: &[u8]) -> Vec<u8> {
    [HEADER.as_bytes(), entity].concat()
}

/// Text, an inline image and files of these sizes.
fn scan(image: usize, files: &[usize]) -> Vec<u8> {
    let html =
        b"Content-Type: text/html; charset=utf-8\r\n\r\n<p>Gr\xc3\xbc\xc3\x9fe <img src=\"cid:logo@x\">".to_vec();
    let image = part(
        "Content-Type: image/png; name=logo.png\r\nContent-ID: <logo@x>\r\nContent-Disposition: inline",
        &octets(image),
    );
    let mut parts = vec![multipart("related", "in", &[html, image])];
    for (number, &size) in files.iter().enumerate() {
        let header =
            format!("Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=\"scan {number}.pdf\"");
        parts.push(part(&header, &octets(size)));
    }
    message(&multipart("mixed", "out", &parts))
}

const MIB: usize = 1 << 20;

#[tokio::test]
async fn large_files_travel_apart_and_arrive_whole() {
    let bench = Bench::new().await;
    let (image, files) = (5 * MIB / 2, [5 * MIB + 1, 3 * MIB - 1_000, 10, 3 * MIB]);
    let mail = scan(image, &files);
    let attempt = bench.deliver(&bench.graph(), &mail, &[ALICE, HIDDEN]).await;
    assert_eq!(reasons(&attempt), [None, None], "{attempt:?}");
    assert!(attempt.notes.iter().any(|note| note.contains("as a draft with 4 of its files")), "{:?}", attempt.notes);
    let arrived = bench.tenant.arrived(1).await.remove(0);
    assert_eq!(arrived.recipients, [HIDDEN, ALICE].map(str::to_owned).into_iter().rev().collect::<Vec<_>>());
    assert!(arrived.seen_by(ALICE).unwrap().leaks.is_empty());
    let parsed = MessageParser::default().parse(&arrived.raw[..]).unwrap();
    assert_eq!(parsed.message_id(), Some("1@scanner.practice.example"));
    assert_eq!(parsed.body_html(0).unwrap().trim_end(), "<p>Grüße <img src=\"cid:logo@x\">");
    let attached: Vec<_> = parsed.attachments().collect();
    let inline: Vec<_> = attached.iter().filter(|part| part.content_id() == Some("logo@x")).collect();
    assert_eq!(inline.len(), 1);
    assert_eq!(inline[0].contents(), octets(image));
    for (number, size) in files.into_iter().enumerate() {
        let name = format!("scan {number}.pdf");
        let file = attached.iter().find(|part| part.attachment_name() == Some(&name)).unwrap();
        assert!(file.contents() == octets(size), "{name} is not what it was");
    }
    assert_eq!((bench.tenant.findings(), bench.tenant.draft_count()), (vec![], 0));
}

#[tokio::test]
async fn what_fits_into_one_request_goes_as_it_is_and_one_octet_more_as_a_draft() {
    let bench = Bench::new().await;
    let pdf = |octets: u64| {
        let header = format!("{HEADER}Content-Type: application/pdf; name=a.pdf\r\n\r\n");
        let mut mail = header.into_bytes();
        mail.resize(usize::try_from(octets).unwrap(), b'x');
        mail
    };
    let graph = bench.graph();
    bench.tenant.switches().inject(Rule::always(Fault::GraphAt(WebStep::Create, GraphFault::AccessDenied)));
    assert_eq!(reasons(&bench.deliver(&graph, &pdf(ONE_REQUEST), &[ALICE]).await), [None]);
    let refused = bench.deliver(&graph, &pdf(ONE_REQUEST + 1), &[ALICE]).await;
    assert_eq!(reasons(&refused), [Some(Reason::PermissionMissing)]);
    assert!(words(&refused).contains("Mail.ReadWrite"), "{}", words(&refused));
    bench.tenant.switches().clear_faults();
    let mail = pdf(ONE_REQUEST + 1);
    assert_eq!(reasons(&bench.deliver(&graph, &mail, &[ALICE]).await), [None]);
    let arrived = bench.tenant.arrived(2).await;
    assert!(arrived[0].raw.len() as u64 == ONE_REQUEST);
    let parsed = MessageParser::default().parse(&arrived[1].raw[..]).unwrap();
    let file = parsed.attachments().next().unwrap();
    assert_eq!((file.attachment_name(), parsed.subject()), (Some("a.pdf"), Some("scan")));
    assert!(mail.ends_with(file.contents()) && file.contents().len() > 3_000_000);
}

#[tokio::test]
async fn files_go_in_one_request_below_three_mebibytes_and_in_ranges_from_there_on() {
    // One of them is refused by the tenant: which one was used shows in what fails.
    for (size, step) in [(3 * MIB - 1_000, WebStep::Attach), (3 * MIB, WebStep::OpenUpload)] {
        let bench = Bench::new().await;
        bench.tenant.switches().inject(Rule::once(Fault::GraphAt(step, GraphFault::Unavailable)));
        let attempt = bench.deliver(&bench.graph(), &scan(10, &[size]), &[ALICE]).await;
        assert_eq!(reasons(&attempt), [Some(Reason::ProviderTrouble)], "{size}");
        assert_eq!((bench.tenant.draft_count(), bench.notebook.is_empty()), (0, true), "the draft is removed");
        assert_eq!(reasons(&bench.deliver(&bench.graph(), &scan(10, &[size]), &[ALICE]).await), [None]);
    }
}

#[tokio::test]
async fn an_upload_that_breaks_goes_on_where_it_was() {
    for fault in [GraphFault::Reset, GraphFault::TakenThenReset, GraphFault::Throttled(0), GraphFault::Unavailable] {
        let bench = Bench::new().await;
        bench.tenant.switches().inject(Rule::times(Fault::GraphAt(WebStep::Upload, fault), 2));
        let mail = scan(10, &[9 * MIB]);
        assert_eq!(reasons(&bench.deliver(&bench.graph(), &mail, &[ALICE]).await), [None], "{fault:?}");
        let arrived = bench.tenant.arrived(1).await.remove(0);
        let parsed = MessageParser::default().parse(&arrived.raw[..]).unwrap();
        assert!(parsed.attachments().any(|part| part.contents() == octets(9 * MIB)), "{fault:?}");
        assert_eq!((bench.tenant.draft_count(), bench.tenant.switches().pending_faults()), (0, vec![]));
    }
}

#[tokio::test]
async fn a_step_that_fails_leaves_no_draft_behind() {
    use WebStep::{Attach, Create, Delete, OpenUpload, Send, Upload};
    let rows = [
        (Create, GraphFault::Throttled(7), Reason::Throttled),
        (Create, GraphFault::TakenThenReset, Reason::TimedOut),
        (Create, GraphFault::Html, Reason::Unexpected),
        (Attach, GraphFault::AccessDenied, Reason::PermissionMissing),
        (Attach, GraphFault::TakenThenTimeout, Reason::TimedOut),
        (OpenUpload, GraphFault::Empty, Reason::Unexpected),
        (Upload, GraphFault::TooLarge, Reason::MessageTooLarge),
        (Send, GraphFault::Unavailable, Reason::ProviderTrouble),
        (Send, GraphFault::Empty, Reason::Unexpected),
    ];
    for (step, fault, reason) in rows {
        let bench = Bench::new().await;
        bench.tenant.switches().inject(Rule::once(Fault::GraphAt(step, fault)));
        let mail = scan(10, &[2 * MIB, 2 * MIB, 4 * MIB]);
        let attempt = bench.deliver(&bench.graph(), &mail, &[ALICE]).await;
        assert_eq!(reasons(&attempt), [Some(reason)], "{step:?} {fault:?}: {}", words(&attempt));
        assert_eq!(bench.tenant.draft_count(), 0, "{step:?} {fault:?}");
        assert_eq!(bench.tenant.mail_count(), 0, "{step:?} {fault:?}");
    }
    // Where the removal fails too, the next attempt does it.
    let bench = Bench::new().await;
    for step in [Send, Delete] {
        bench.tenant.switches().inject(Rule::once(Fault::GraphAt(step, GraphFault::Unavailable)));
    }
    bench.deliver(&bench.graph(), &scan(10, &[4 * MIB]), &[ALICE]).await;
    assert_eq!((bench.tenant.draft_count(), bench.notebook.is_empty()), (1, false));
    assert_eq!(reasons(&bench.deliver(&bench.graph(), &scan(10, &[4 * MIB]), &[ALICE]).await), [None]);
    assert_eq!((bench.tenant.draft_count(), bench.tenant.mail_count()), (0, 1));
}

#[tokio::test]
async fn a_lost_answer_is_looked_up_before_anything_is_sent_again() {
    for (fault, taken) in [(GraphFault::TakenThenReset, 1), (GraphFault::TakenThenTimeout, 1), (GraphFault::Hang, 0)] {
        let mut bench = Bench::new().await;
        bench.timeout = Duration::from_secs(10); // a healthy upload has it too
        bench.tenant.switches().inject(Rule::once(Fault::GraphAt(WebStep::Send, fault)));
        let mail = scan(10, &[4 * MIB]);
        let attempt = bench.deliver(&bench.graph(), &mail, &[ALICE]).await;
        assert!(matches!(attempt.outcomes[..], [Outcome::Unknown(_)]), "{fault:?}: {attempt:?}");
        assert_eq!(bench.tenant.mail_count(), taken);
        let again = bench.deliver(&bench.graph(), &mail, &[ALICE]).await;
        assert_eq!(reasons(&again), [None], "{fault:?}");
        assert_eq!(words(&again).contains("Sent Items"), taken == 1, "{fault:?}: {}", words(&again));
        assert_eq!((bench.tenant.mail_count(), bench.tenant.draft_count()), (1, 0), "{fault:?}");
    }
}

#[tokio::test]
async fn a_message_that_is_given_up_leaves_no_draft_and_takes_none_back_that_was_sent() {
    for (fault, taken) in [(GraphFault::Hang, 0), (GraphFault::TakenThenReset, 1)] {
        let mut bench = Bench::new().await;
        bench.timeout = Duration::from_secs(10); // a healthy upload has it too
        bench.tenant.switches().inject(Rule::once(Fault::GraphAt(WebStep::Send, fault)));
        let mail = scan(10, &[4 * MIB]);
        bench.deliver(&bench.graph(), &mail, &[ALICE]).await;
        assert_eq!((bench.tenant.draft_count(), bench.tenant.mail_count()), (1 - taken, taken as u64), "{fault:?}");
        let sent = bench.tenant.sent_count(SCANNER);
        bench.abandon(&bench.graph(), &mail, &[HIDDEN]).await;
        assert_eq!(bench.tenant.draft_count(), 1 - taken, "{fault:?}: other recipients have another draft");
        bench.abandon(&bench.graph(), &mail, &[ALICE]).await;
        assert_eq!((bench.tenant.draft_count(), bench.tenant.sent_count(SCANNER)), (0, sent), "{fault:?}");
    }
}

#[tokio::test]
async fn the_copy_for_others_proves_nothing() {
    let bench = Bench::new().await;
    let mail = scan(10, &[4 * MIB]);
    assert_eq!(reasons(&bench.deliver(&bench.graph(), &mail, &[ALICE]).await), [None]);
    // The same message, the rest of its recipients: their draft is another.
    assert_eq!(reasons(&bench.deliver(&bench.graph(), &mail, &[HIDDEN]).await), [None]);
    assert_eq!(bench.tenant.arrived(2).await[1].recipients, [HIDDEN]);
}

#[tokio::test]
async fn a_small_message_whose_answer_was_lost_is_found_by_its_message_id() {
    let small = message(b"\r\nText\r\n");
    let bench = Bench::new().await;
    let fault = Fault::GraphAt(WebStep::SendMail, GraphFault::TakenThenTimeout);
    bench.tenant.switches().inject(Rule::once(fault.clone()));
    let before = oxpost::clock::Clock::system().now();
    let attempt = bench.deliver(&bench.graph(), &small, &[ALICE]).await;
    assert!(matches!(attempt.outcomes[..], [Outcome::Unknown(_)]));
    *bench.notebook.maybe_taken.lock().unwrap() = Some(before);
    assert!(words(&bench.deliver(&bench.graph(), &small, &[ALICE]).await).contains("by its Message-ID"));
    assert_eq!(bench.tenant.mail_count(), 1);
    // A copy that is older than the attempt is of another message with the same id.
    *bench.notebook.maybe_taken.lock().unwrap() = Some(before.plus(Duration::from_secs(600)));
    assert!(words(&bench.deliver(&bench.graph(), &small, &[ALICE]).await).starts_with("HTTP 202"));
    // Without the permission nothing is looked up.
    let mut plain = Bench::new().await;
    plain.drafts = None;
    plain.permissions.insert(oxpost::token::Purpose::Graph, vec!["Mail.Send"]);
    *plain.notebook.maybe_taken.lock().unwrap() = Some(before);
    assert!(words(&plain.deliver(&plain.graph(), &small, &[ALICE]).await).starts_with("HTTP 202"));
    assert_eq!(plain.tenant.findings(), []);
}

#[tokio::test]
async fn what_cannot_be_taken_apart_is_not_and_says_why() {
    let bench = Bench::new().await;
    let long = "x".repeat(4 * MIB);
    let signed = [
        b"Content-Type: text/plain\r\n\r\n".to_vec(),
        part("Content-Type: application/pkcs7-signature", &octets(3 * MIB)),
    ];
    let rows = [
        (message(&multipart("signed", "s", &signed)), "signed or encrypted (`multipart/signed`)"),
        (message(format!("Content-Type: application/pkcs7-mime\r\n\r\n{long}").as_bytes()), "application/pkcs7-mime"),
        (message(format!("\r\n{long}").as_bytes()), "its text and header alone have 4194"),
    ];
    for (mail, why) in rows {
        let attempt = bench.deliver(&bench.graph(), &mail, &[ALICE]).await;
        assert_eq!(reasons(&attempt), [Some(Reason::MessageTooLarge)]);
        assert!(words(&attempt).contains(why), "{}", words(&attempt));
    }
    assert_eq!((bench.tenant.mail_count(), bench.tenant.draft_count(), bench.tenant.findings()), (0, 0, vec![]));
}
