//! Messages that leave together with their commands (RFC 3030, RFC 2920).

use super::*;

/// A whole transaction in one round trip: no reply before everything was read.
const CHUNK: &str = "C: MAIL FROM:<a@x.example>\nC: RCPT TO:<b@x.example>\nCHUNK\nS: 250 ok\nS: 250 ok\n\
                     S: 250 2.0.0 queued as 7\n";

fn hello() -> String {
    HELLO.replace("S: 250-PIPELINING\n", "S: 250-PIPELINING\nS: 250-CHUNKING\n")
}

#[tokio::test]
async fn a_message_costs_one_round_trip_and_arrives_as_it_was_sent() {
    let large = format!("{MESSAGE}{}", "x\r\n".repeat(100_000));
    let table = [
        (MESSAGE.to_owned(), "small"),
        (format!("{MESSAGE}.\r\n..\r\n.\r\n"), "dots are not stuffed"),
        (format!("{MESSAGE}no end"), "a last line without an end stays so"),
        (large, "in several writes"),
    ];
    for (message, why) in table {
        let bench = Bench::start([format!("{}{LOGIN}{CHUNK}{CHUNK}", hello())]).await;
        for piece in [16_384, 1_000_000] {
            let stored = Stored(message.as_bytes().chunks(piece).map(|piece| Some(piece.to_vec())).collect());
            assert_eq!(shown(&bench.send_stored(&stored, &["b@x.example"]).await), ["relayed"], "{why}");
        }
        bench.assert_followed();
        assert!(bench.server.contents().iter().all(|content| content == message.as_bytes()), "{why}");
        assert_eq!(bench.server.contents().len(), 2);
    }
}

#[tokio::test]
async fn a_server_that_keeps_its_answers_until_the_end_has_the_time_of_the_end() {
    let (step, last) = (Duration::from_millis(500), Duration::from_secs(20));
    let timeouts = Timeouts { step, last, idle: Duration::from_secs(20) };
    let slow = "C: MAIL\nC: RCPT\nCHUNK\nLINGER 1500\nB: 250 ok|250 ok|250 2.0.0 queued as 7|\n";
    let bench = Bench::with(Setup { timeouts, ..Setup::default() }, [format!("{}{LOGIN}{slow}", hello())]).await;
    let attempt = bench.send(&["b@x.example"]).await;
    assert_eq!(shown(&attempt), ["relayed"], "{}", diagnostic(&attempt));
}

#[tokio::test]
async fn a_large_message_waits_for_the_servers_leave() {
    let message = format!("{MESSAGE}{}", "x".repeat(78).repeat(15_000));
    let bench = Bench::start([format!("{}{LOGIN}{MAIL}", hello())]).await;
    let stored = Stored(message.as_bytes().chunks(50_000).map(|piece| Some(piece.to_vec())).collect());
    assert_eq!(shown(&bench.send_stored(&stored, &["b@x.example"]).await), ["relayed"]);
    bench.assert_followed();
}

#[tokio::test]
async fn a_session_that_may_be_stale_is_asked_first() {
    let bench = Bench::start([format!("{}{LOGIN}{CHUNK}{MAIL}", hello())]).await;
    assert_eq!(shown(&bench.send(&["b@x.example"]).await), ["relayed"]);
    bench.backend.pool.age(Duration::from_secs(3));
    assert_eq!(shown(&bench.send(&["b@x.example"]).await), ["relayed"]);
    bench.assert_followed();
}

#[tokio::test]
async fn without_pipelining_nothing_leaves_early() {
    let hello = HELLO.replace("PIPELINING", "CHUNKING");
    let mail = "C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nCONTENT\nS: 250 queued\n";
    let bench = Bench::start([format!("{hello}{LOGIN}{mail}")]).await;
    assert_eq!(shown(&bench.send(&["b@x.example"]).await), ["relayed"]);
    bench.assert_followed();
}

#[tokio::test]
async fn each_recipient_has_an_outcome_of_its_own() {
    let three = "C: MAIL\nC: RCPT\nC: RCPT\nC: RCPT\nCHUNK\n";
    let table: [(&str, [&str; 3], &str); 6] = [
        (
            "250 ok|250 ok|550 5.1.1 no|450 4.2.1 later|250 queued",
            ["relayed", "failed RecipientRefused", "deferred RecipientDeferred"],
            "taken for one",
        ),
        (
            "250 ok|550 5.1.1 no|550 5.1.1 no|450 4.2.1 later|503 5.5.1 no recipients",
            ["failed RecipientRefused", "failed RecipientRefused", "deferred RecipientDeferred"],
            "taken for none: what the chunk got says nothing",
        ),
        (
            "250 ok|550 5.1.1 no|550 5.1.1 no|450 4.2.1 later|250 ok",
            ["failed RecipientRefused", "failed RecipientRefused", "deferred RecipientDeferred"],
            "a chunk that is taken for nobody is not relayed",
        ),
        (
            "432 4.3.2 slow down|503 no|503 no|503 no|503 no",
            ["deferred Throttled", "deferred Throttled", "deferred Throttled"],
            "MAIL is refused: the rest follows from it",
        ),
        (
            "250 ok|250 ok|250 ok|550 5.1.1 no|554 5.6.0 spam",
            ["failed ContentRefused", "failed ContentRefused", "failed RecipientRefused"],
            "the chunk is refused",
        ),
        (
            "250 ok|250 ok|250 ok|250 ok|421 4.3.2 closing",
            ["deferred ProviderTrouble", "deferred ProviderTrouble", "deferred ProviderTrouble"],
            "421 at the end",
        ),
    ];
    for (replies, expected, why) in table {
        let bench = Bench::start([format!("{}{LOGIN}{three}B: {replies}|\n", hello())]).await;
        let attempt = bench.send(&["b@x.example", "c@x.example", "d@x.example"]).await;
        assert_eq!(shown(&attempt), expected, "{why}: {}", diagnostic(&attempt));
    }
}

#[tokio::test]
async fn a_refused_chunk_is_followed_by_rset() {
    let refused = "C: MAIL\nC: RCPT\nCHUNK\nB: 250 ok|250 ok|554 5.6.0 spam|\n";
    let next = "C: RSET\nC: MAIL\nC: RCPT\nCHUNK\nB: 250 ok|250 ok|250 ok|250 queued|\n";
    let bench = Bench::start([format!("{}{LOGIN}{refused}{next}", hello())]).await;
    assert_eq!(shown(&bench.send(&["b@x.example"]).await), ["failed ContentRefused"]);
    assert_eq!(shown(&bench.send(&["b@x.example"]).await), ["relayed"]);
    bench.assert_followed();
}

#[tokio::test]
async fn a_connection_lost_behind_the_chunk_leaves_the_message_unknown() {
    let table = [
        ("CLOSE", "unknown AnswerLost", "nothing was answered, and the server may have the message"),
        ("S: 250 ok\nCLOSE", "unknown AnswerLost", "MAIL was answered"),
        ("S: 250 ok\nS: 550 5.1.1 no\nCLOSE", "failed RecipientRefused", "nobody was left to receive it"),
    ];
    for (end, expected, why) in table {
        let bench = Bench::start([format!("{}{LOGIN}C: MAIL\nC: RCPT\nCHUNK\n{end}", hello())]).await;
        let attempt = bench.send(&["b@x.example"]).await;
        assert_eq!(shown(&attempt), [expected], "{why}: {}", diagnostic(&attempt));
    }
}

#[tokio::test]
async fn a_message_with_another_length_than_declared_is_not_sent_to_its_end() {
    for (shown_size, why) in [(MESSAGE.len() as u64 + 1, "shorter"), (MESSAGE.len() as u64 - 1, "longer")] {
        let bench = Bench::start([format!("{}{LOGIN}C: MAIL\nC: RCPT\nC: BDAT\nCLOSE", hello())]).await;
        let envelope =
            Envelope::new(ReversePath::Mailbox(address("a@x.example")), recipients(&["b@x.example"])).unwrap();
        let delivery = Delivery {
            id: QueueId::fresh(),
            account: "scanner",
            mailbox: &address("a@x.example"),
            envelope: &envelope,
            sender: SenderPolicy::Rewrite,
            head: &MESSAGE.as_bytes()[..40],
            content: &Stored(vec![Some(MESSAGE.into())]),
            size: shown_size,
            notebook: &crate::delivery::notebook::NoNotes,
        };
        let attempt = bench.backend.deliver(delivery).await;
        assert_eq!(shown(&attempt), ["failed BodyDamaged"], "{why}");
        assert!(bench.server.contents().is_empty(), "{why}");
    }
}
