//! What arrives at the next hop, and who gets which outcome.

use super::*;
use crate::mail::BodyType;

/// What a server has to read to get a message back: dots unstuffed, the final dot gone.
fn unstuffed(content: &[u8]) -> Vec<u8> {
    let content = content.strip_suffix(b".\r\n").unwrap();
    let lines = content.split_inclusive(|octet| *octet == b'\n');
    lines.flat_map(|line| line.strip_prefix(b".").unwrap_or(line)).copied().collect()
}

#[tokio::test]
async fn the_message_arrives_as_it_was_sent() {
    let dots = ".\r\n..\r\n.a\r\nb.\r\n\r\n.\r\n";
    let long = format!("{dots}{}\r\n", "x".repeat(70)).repeat(3_000);
    let table = [
        (format!("{MESSAGE}{dots}"), 1_000_000, "small, in one piece"),
        (format!("{MESSAGE}{dots}"), 1, "small, octet by octet"),
        (format!("{MESSAGE}{long}"), 1_000_000, "large, in one piece"),
        (format!("{MESSAGE}{long}"), 16_384, "large, in pieces"),
        (format!("{MESSAGE}{long}"), 7, "large, in crumbs"),
    ];
    for (message, piece, why) in table {
        let stored = Stored(message.as_bytes().chunks(piece).map(|piece| Some(piece.to_vec())).collect());
        let bench = Bench::start([format!("{HELLO}{LOGIN}{MAIL}")]).await;
        assert_eq!(shown(&bench.send_stored(&stored, &["b@x.example"]).await), ["relayed"], "{why}");
        bench.assert_followed();
        let arrived = unstuffed(&bench.server.contents()[0]);
        assert!(arrived == message.as_bytes(), "{why}: the message changed on its way");
    }
}

#[tokio::test]
async fn a_last_line_without_an_end_gets_one() {
    let bench = Bench::start([format!("{HELLO}{LOGIN}{MAIL}")]).await;
    let message = format!("{MESSAGE}no end");
    let attempt = bench.send_stored(&Stored(vec![Some(message.clone().into())]), &["b@x.example"]).await;
    assert_eq!(shown(&attempt), ["relayed"]);
    assert_eq!(bench.server.contents()[0], format!("{message}\r\n.\r\n").into_bytes());
}

#[tokio::test]
async fn a_receipt_has_the_servers_words() {
    let bench = Bench::start([format!("{HELLO}{LOGIN}{MAIL}")]).await;
    let attempt = bench.send(&["b@x.example"]).await;
    assert_eq!(attempt.backend, Some(BackendKind::Smtp));
    let Outcome::Relayed(receipt) = &attempt.outcomes[0] else { panic!("{attempt:?}") };
    assert_eq!(receipt.diagnostic, "250 2.0.0 queued as 7");
    assert!(attempt.notes.is_empty());
    let mail = "MAIL FROM:<a@x.example> SIZE=64";
    assert_eq!(bench.server.lines()[4..], [mail, "RCPT TO:<b@x.example>", "DATA"]);
}

#[tokio::test]
async fn the_clients_bcc_is_not_sent() {
    let bench = Bench::start([format!("{HELLO}{LOGIN}{MAIL}")]).await;
    let message = MESSAGE.replace("Subject", "Bcc: <secret@x.example>\r\nSubject");
    let attempt = bench.send_stored(&Stored(vec![Some(message.into())]), &["b@x.example"]).await;
    assert_eq!(shown(&attempt), ["relayed"]);
    assert_eq!(bench.server.contents()[0], format!("{MESSAGE}.\r\n").into_bytes());
}

#[tokio::test]
async fn each_recipient_has_an_outcome_of_its_own() {
    let replies = "S: 250 ok\nS: 250 ok\nS: 550 5.1.1 unknown\nS: 450 4.2.1 later\nS: 354 go\nCONTENT\nS: 250 queued";
    let bench = Bench::start([format!("{HELLO}{LOGIN}C: MAIL\nC: RCPT\nC: RCPT\nC: RCPT\nC: DATA\n{replies}")]).await;
    let attempt = bench.send(&["b@x.example", "c@x.example", "d@x.example"]).await;
    assert_eq!(shown(&attempt), ["relayed", "failed RecipientRefused", "deferred RecipientDeferred"]);
    bench.assert_followed();
}

#[tokio::test]
async fn a_lost_answer_leaves_refused_recipients_refused() {
    let replies = "S: 250 ok\nS: 250 ok\nS: 550 5.1.1 unknown\nS: 354 go\nCONTENT\nCLOSE";
    let bench = Bench::start([format!("{HELLO}{LOGIN}C: MAIL\nC: RCPT\nC: RCPT\nC: DATA\n{replies}")]).await;
    let attempt = bench.send(&["b@x.example", "c@x.example"]).await;
    assert_eq!(shown(&attempt), ["unknown AnswerLost", "failed RecipientRefused"]);
}

#[tokio::test]
async fn a_connection_lost_before_the_dot_leaves_refused_recipients_refused() {
    let replies = "S: 250 ok\nS: 550 5.1.1 unknown\nCLOSE";
    let bench = Bench::start([format!("{HELLO}{LOGIN}C: MAIL\nC: RCPT\nC: RCPT\nC: DATA\n{replies}")]).await;
    let attempt = bench.send(&["b@x.example", "c@x.example"]).await;
    assert_eq!(shown(&attempt), ["failed RecipientRefused", "deferred ProviderTrouble"]);
}

#[tokio::test]
async fn recipients_beyond_the_ways_limit_go_in_another_transaction() {
    let two = "C: MAIL\nC: RCPT TO:<b@\nC: RCPT TO:<c@\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 250 ok\nS: 354 go\nCONTENT\n\
               S: 250 queued\n";
    let one = "C: MAIL\nC: RCPT TO:<d@\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nCONTENT\nS: 250 queued\n";
    let setup = Setup { max_recipients: 2, ..Setup::default() };
    let bench = Bench::with(setup, [format!("{HELLO}{LOGIN}{two}{one}")]).await;
    let attempt = bench.send(&["b@x.example", "c@x.example", "d@x.example"]).await;
    assert_eq!(shown(&attempt), ["relayed", "relayed", "relayed"]);
    bench.assert_followed();
}

#[tokio::test]
async fn too_many_recipients_are_asked_for_again_at_once() {
    let first = "C: MAIL\nC: RCPT TO:<b@\nC: RCPT TO:<c@\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 452 4.5.3 too many\n\
                 S: 354 go\nCONTENT\nS: 250 queued\n";
    let second = "C: MAIL\nC: RCPT TO:<c@\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nCONTENT\nS: 250 queued\n";
    let bench = Bench::start([format!("{HELLO}{LOGIN}{first}{second}")]).await;
    let attempt = bench.send(&["b@x.example", "c@x.example"]).await;
    assert_eq!(shown(&attempt), ["relayed", "relayed"]);
    bench.assert_followed();
}

#[tokio::test]
async fn trouble_that_waits_stops_the_transactions_behind_it() {
    let busy = "C: MAIL\nC: RCPT\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nCONTENT\nS: 432 4.3.2 slow down\n";
    let setup = Setup { max_recipients: 1, ..Setup::default() };
    let bench = Bench::with(setup, [format!("{HELLO}{LOGIN}{busy}")]).await;
    let attempt = bench.send(&["b@x.example", "c@x.example"]).await;
    assert_eq!(shown(&attempt), ["deferred Throttled", "deferred Throttled"]);
    bench.assert_followed();
}

#[tokio::test]
async fn recipients_behind_a_lost_answer_are_not_unknown() {
    let lost = "C: MAIL\nC: RCPT\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\nCONTENT\nCLOSE\n";
    let setup = Setup { max_recipients: 1, ..Setup::default() };
    let bench = Bench::with(setup, [format!("{HELLO}{LOGIN}{lost}")]).await;
    let attempt = bench.send(&["b@x.example", "c@x.example"]).await;
    assert_eq!(shown(&attempt), ["unknown AnswerLost", "deferred TimedOut"]);
}

#[tokio::test]
async fn a_refusal_for_good_does_not_stop_the_transactions_behind_it() {
    let refused = "C: MAIL\nC: RCPT\nC: DATA\nS: 250 ok\nS: 550 5.1.1 no\nS: 503 no\n";
    let taken = "C: RSET\nC: MAIL\nC: RCPT TO:<c@\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 250 ok\nS: 354 go\nCONTENT\n\
                 S: 250 queued\n";
    let setup = Setup { max_recipients: 1, ..Setup::default() };
    let bench = Bench::with(setup, [format!("{HELLO}{LOGIN}{refused}{taken}")]).await;
    let attempt = bench.send(&["b@x.example", "c@x.example"]).await;
    assert_eq!(shown(&attempt), ["failed RecipientRefused", "relayed"]);
    bench.assert_followed();
}

#[tokio::test]
async fn what_the_server_cannot_carry_fails_without_a_transaction() {
    let small = HELLO.replace("SIZE 20000000", "SIZE 10");
    let bench = Bench::start([format!("{small}{LOGIN}")]).await;
    assert_eq!(shown(&bench.send(&["b@x.example"]).await), ["failed MessageTooLarge"]);
    assert_eq!(bench.backend.pool.idle_sessions(), 1, "the session is as good as before");

    let bench = Bench::start([format!("{HELLO}{LOGIN}")]).await;
    assert_eq!(shown(&bench.send(&["ä@x.example"]).await), ["failed CannotCarry"]);
}

#[tokio::test]
async fn the_size_that_a_server_announces_is_the_edge() {
    let sent = MESSAGE.len();
    let announcing = |size: usize| HELLO.replace("SIZE 20000000", &format!("SIZE {size}"));
    for room in [sent, sent + 1] {
        let bench = Bench::start([format!("{}{LOGIN}{MAIL}", announcing(room))]).await;
        assert_eq!(shown(&bench.send(&["b@x.example"]).await), ["relayed"], "{room}");
        assert!(bench.server.lines().iter().any(|line| line.contains(&format!(" SIZE={sent}"))));
    }
    let bench = Bench::start([format!("{}{LOGIN}", announcing(sent - 1))]).await;
    let attempt = bench.send(&["b@x.example"]).await;
    assert_eq!(shown(&attempt), ["failed MessageTooLarge"]);
    let words = &attempt.outcomes[0].failure().unwrap().diagnostic;
    assert!(words.contains(&sent.to_string()) && words.contains(&(sent - 1).to_string()), "{words}");
    assert!(bench.server.lines().iter().all(|line| !line.starts_with("MAIL")), "nothing was begun");
}

#[tokio::test]
async fn octets_above_127_are_declared_or_noted() {
    let message = Stored(vec![Some(format!("{MESSAGE}grüße\r\n").into_bytes())]);
    let bench = Bench::start([format!("{HELLO}{LOGIN}{MAIL}")]).await;
    let attempt = bench.send_stored(&message, &["b@x.example"]).await;
    assert!(attempt.notes.is_empty());
    assert!(bench.server.lines().iter().any(|line| line.ends_with(" BODY=8BITMIME")));

    let without = HELLO.replace("S: 250-8BITMIME\n", "");
    let bench = Bench::start([format!("{without}{LOGIN}{MAIL}")]).await;
    let attempt = bench.send_stored(&message, &["b@x.example"]).await;
    assert_eq!(shown(&attempt), ["relayed"]);
    assert!(attempt.notes[0].contains("8BITMIME"), "{:?}", attempt.notes);

    let bench = Bench::start([format!("{HELLO}{LOGIN}{MAIL}")]).await;
    let mut envelope =
        Envelope::new(ReversePath::Mailbox(address("a@x.example")), recipients(&["b@x.example"])).unwrap();
    envelope.body = BodyType::EightBitMime;
    bench.send_as(&Stored(vec![Some(MESSAGE.into())]), &envelope).await;
    assert!(bench.server.lines().iter().any(|line| line.ends_with(" BODY=8BITMIME")), "declared by the client");
}

#[tokio::test]
async fn a_message_shorter_than_it_was_is_not_sent_to_its_end() {
    let bench = Bench::start([format!("{HELLO}{LOGIN}{DATA}CONTENT")]).await;
    let reverse_path = ReversePath::Mailbox(address("a@x.example"));
    let envelope = Envelope::new(reverse_path, recipients(&["b@x.example"])).unwrap();
    let content = Stored(vec![Some(MESSAGE.into())]);
    let delivery = Delivery {
        id: QueueId::fresh(),
        account: "scanner",
        mailbox: &address("a@x.example"),
        envelope: &envelope,
        sender: SenderPolicy::Rewrite,
        head: MESSAGE.as_bytes(),
        content: &content,
        size: MESSAGE.len() as u64 + 1,
        notebook: &crate::delivery::notebook::NoNotes,
    };
    let attempt = bench.backend.deliver(delivery).await;
    bench.server.all_closed().await;
    assert!(bench.server.contents().is_empty());
    assert_eq!(shown(&attempt), ["failed BodyDamaged"]);
}
