//! A server that refuses, lies, stalls or goes away, at every stage.

use super::*;

/// One delivery to one recipient against one connection's script, and what came of it.
async fn outcome(script: &str, step: Duration) -> (String, String) {
    let mut setup = Setup::default();
    setup.timeouts.step = step;
    setup.timeouts.last = step;
    let bench = Bench::with(setup, [script]).await;
    let attempt = bench.send(&["b@x.example"]).await;
    (shown(&attempt).remove(0), diagnostic(&attempt).to_owned())
}

async fn check(table: &[(&str, String, &str, &str)]) {
    for (name, script, expected, words) in table {
        let (outcome, diagnostic) = outcome(script, Duration::from_secs(10)).await;
        assert_eq!(&outcome, expected, "{name}: {diagnostic}");
        assert!(diagnostic.contains(words), "{name}: {diagnostic}");
    }
}

const CLEAR: &str = "S: 220 up\nC: EHLO gw.example\n";

#[tokio::test]
async fn before_the_login_everything_is_temporary() {
    check(&[
        ("greet-421", "S: 421 4.3.2 busy".into(), "deferred ProviderTrouble", "421 4.3.2 busy"),
        ("greet-554", "S: 554 5.7.1 go away".into(), "deferred ProviderTrouble", "554 5.7.1 go away"),
        ("greet-garbage", "S: 00 what\nHANG".into(), "deferred Unexpected", "not an SMTP reply"),
        ("greet-close", "CLOSE".into(), "deferred ProviderTrouble", "closed the connection before the greeting"),
        ("ehlo-500", format!("{CLEAR}S: 500 5.5.1 what"), "deferred ProviderTrouble", "the reply to EHLO"),
        ("ehlo-endless", format!("{CLEAR}{}HANG", "S: 250-more\n".repeat(200)), "deferred Unexpected", "lines"),
        ("no STARTTLS", format!("{CLEAR}S: 250 AUTH XOAUTH2"), "deferred TlsRefused", "does not offer STARTTLS"),
        (
            "starttls-454",
            format!("{CLEAR}S: 250-up\nS: 250 STARTTLS\nC: STARTTLS\nS: 454 4.7.0 not now"),
            "deferred TlsRefused",
            "454 4.7.0 not now",
        ),
        (
            "starttls-longline",
            format!("{CLEAR}S: 250-up\nS: 250 STARTTLS\nC: STARTTLS\nSEND 300000"),
            "deferred Unexpected",
            "a reply line of more than",
        ),
        (
            "no XOAUTH2",
            HELLO.replace("S: 250 AUTH LOGIN XOAUTH2", "S: 250 AUTH LOGIN"),
            "deferred Unexpected",
            "offers neither AUTH XOAUTH2 nor OAUTHBEARER",
        ),
    ])
    .await;
}

#[tokio::test]
async fn octets_slipped_in_before_tls_end_the_connection() {
    // In one segment with the 220, so that they are there before TLS is.
    let injected = format!("{CLEAR}S: 250-up\nS: 250 STARTTLS\nC: STARTTLS\nB: 220 go|250 AUTH XOAUTH2|\nHANG");
    check(&[("injected", injected, "deferred TlsRefused", "between its reply to STARTTLS and TLS")]).await;
}

#[tokio::test]
async fn a_refused_login_holds_and_a_busy_one_defers() {
    let auth = "C: AUTH XOAUTH2 \n";
    check(&[
        ("454", format!("{HELLO}{auth}S: 454 4.7.0 Temporary"), "deferred ProviderTrouble", "454 4.7.0"),
        ("logins", format!("{HELLO}{auth}S: 454 4.7.0 Too many login attempts"), "deferred Throttled", "Too many"),
        ("432", format!("{HELLO}{auth}S: 432 4.3.2 Concurrent connections"), "deferred Throttled", "432"),
        ("421", format!("{HELLO}{auth}S: 421 4.4.5 Server busy"), "deferred ProviderTrouble", "421"),
        ("close", format!("{HELLO}{auth}CLOSE"), "deferred ProviderTrouble", "before the reply to AUTH"),
        (
            "disabled",
            format!("{HELLO}{auth}S: 535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled"),
            "held SmtpAuthDisabled",
            "SmtpClientAuthentication",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_transaction_is_refused_for_as_long_as_the_server_says() {
    let start = format!("{HELLO}{LOGIN}C: MAIL\nC: RCPT\nC: DATA\n");
    let row =
        |replies: &str| format!("{start}{}", replies.lines().map(|line| format!("S: {line}\n")).collect::<String>());
    check(&[
        (
            "mail-451",
            row("451 4.3.0 later\n503 no\n503 no"),
            "deferred ProviderTrouble",
            "451 4.3.0 later (the reply to MAIL)",
        ),
        ("mail-550", row("550 5.7.60 SendAs\n503 no\n503 no"), "failed SenderRefused", "550 5.7.60"),
        ("mail-530", row("530 5.7.57 Client not authenticated\n503 no\n503 no"), "held AuthenticationRejected", "530"),
        ("rcpt-450", row("250 ok\n450 4.2.1 later\n554 none"), "deferred RecipientDeferred", "450 4.2.1"),
        ("rcpt-550", row("250 ok\n550 5.1.1 unknown\n503 none"), "failed RecipientRefused", "550 5.1.1"),
        ("rcpt-452", row("250 ok\n452 4.5.3 too many\n503 none"), "deferred RecipientDeferred", "452 4.5.3"),
        ("data-421", row("250 ok\n250 ok\n421 4.3.2 bye"), "deferred ProviderTrouble", "421"),
        ("data-554", row("250 ok\n250 ok\n554 5.3.0 no"), "failed Rejected", "the reply to DATA"),
        ("mail-inject", row("250 ok\n250 injected\n550 5.1.1 no\n354 go"), "failed Rejected", "550 5.1.1"),
        ("close", format!("{start}CLOSE"), "deferred ProviderTrouble", "before the reply to MAIL"),
        ("data-close", row("250 ok\n250 ok\n354 go") + "RESET", "deferred ProviderTrouble", ""),
    ])
    .await;
}

#[tokio::test]
async fn the_answer_to_the_final_dot_decides() {
    let sent = format!("{HELLO}{LOGIN}{DATA}CONTENT\n");
    check(&[
        ("dot-421", format!("{sent}S: 421 4.3.2 bye"), "deferred ProviderTrouble", "421"),
        ("dot-432", format!("{sent}S: 432 4.3.2 STOREDRV.ClientSubmit"), "deferred Throttled", "432"),
        ("dot-451", format!("{sent}S: 451 4.7.0 later"), "deferred ProviderTrouble", "451"),
        ("dot-452", format!("{sent}S: 452 4.3.1 full"), "deferred ProviderTrouble", "452"),
        ("dot-550", format!("{sent}S: 550 5.7.1 no"), "failed Rejected", "550 5.7.1 no"),
        ("dot-554", format!("{sent}S: 554 5.2.252 SendAsDenied; a"), "failed SenderRefused", "SendAsDenied"),
        ("full", format!("{sent}S: 554 5.2.2 mailbox full; QuotaExceeded"), "held MailboxFull", "5.2.2"),
        ("dot-lost", format!("{sent}CLOSE"), "unknown AnswerLost", "before the reply to the end of the message"),
        ("dot-takenrst", format!("{sent}RESET"), "unknown AnswerLost", "the reply to the end of the message"),
        ("dot-garbage", format!("{sent}S: hello\nHANG"), "unknown AnswerLost", "not an SMTP reply"),
        ("dot-354", format!("{sent}S: 354 again\nHANG"), "unknown AnswerLost", "354 again"),
        ("dot-split", format!("{sent}T: 250 2.0.0 queued"), "relayed", ""),
        ("quit-hang", format!("{sent}S: 250 2.0.0 queued\nHANG"), "relayed", ""),
    ])
    .await;
}

#[tokio::test]
async fn answers_may_come_octet_by_octet() {
    let script = format!("{HELLO}{LOGIN}{MAIL}").replace("S: ", "T: ").replacen("T: 220 go", "S: 220 go", 1);
    check(&[("split", script, "relayed", "")]).await;
}

#[tokio::test]
async fn silence_is_bounded_at_every_stage() {
    let stages = [
        ("greeting", "HANG".to_owned(), "deferred TimedOut", "the greeting did not come"),
        ("EHLO", format!("{CLEAR}HANG"), "deferred TimedOut", "the reply to EHLO did not come"),
        ("AUTH", format!("{HELLO}C: AUTH\nHANG"), "deferred TimedOut", "the reply to AUTH did not come"),
        ("MAIL", format!("{HELLO}{LOGIN}HANG"), "deferred TimedOut", "the reply to MAIL did not come"),
        (
            "the dot",
            format!("{HELLO}{LOGIN}{DATA}CONTENT\nHANG"),
            "unknown AnswerLost",
            "the reply to the end of the message did not come",
        ),
    ];
    let mut tasks = tokio::task::JoinSet::new();
    for (stage, script, expected, words) in stages {
        tasks.spawn(async move {
            let (outcome, diagnostic) = outcome(&script, Duration::from_millis(1_500)).await;
            assert_eq!(outcome, expected, "{stage}: {diagnostic}");
            assert!(diagnostic.contains(words), "{stage}: {diagnostic}");
        });
    }
    tasks.join_all().await;
}

#[tokio::test]
async fn an_answer_that_never_ends_does_not_buy_time() {
    // A continued reply whose lines trickle in would reset a time-out that counts from the last octet.
    let drip = "S: 250-more\nLINGER 100\n".repeat(90);
    let begun = tokio::time::Instant::now();
    let (outcome, _) = outcome(&format!("{CLEAR}{drip}"), Duration::from_millis(500)).await;
    assert_eq!(outcome, "deferred TimedOut");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

/// A message that no socket buffer takes whole.
fn large() -> Stored {
    let line = [b"x".repeat(76).as_slice(), b"\r\n"].concat();
    let body = line.repeat(100_000);
    Stored([MESSAGE.as_bytes(), &body].concat().chunks(100_000).map(|piece| Some(piece.to_vec())).collect())
}

#[tokio::test]
async fn a_message_that_breaks_off_midway_is_deferred() {
    let begun = format!("{HELLO}{LOGIN}{DATA}TAKE 1500\n");
    let table = [
        ("body-rst", format!("{begun}RESET"), "deferred ProviderTrouble", "broke"),
        ("body-stall", format!("{begun}HANG"), "deferred TimedOut", "the server took nothing"),
        ("refused midway", format!("{begun}S: 552 5.3.4 too large\nHANG"), "failed MessageTooLarge", "552 5.3.4"),
        ("busy midway", format!("{begun}S: 451 4.3.0 no room\nHANG"), "deferred ProviderTrouble", "451 4.3.0"),
        ("taken too early", format!("{begun}S: 250 fine\nHANG"), "deferred TimedOut", "the server took nothing"),
    ];
    let mut tasks = tokio::task::JoinSet::new();
    for (name, script, expected, words) in table {
        tasks.spawn(async move {
            let mut setup = Setup::default();
            setup.timeouts.step = Duration::from_millis(1_500);
            let bench = Bench::with(setup, [script]).await;
            let attempt = bench.send_stored(&large(), &["b@x.example"]).await;
            assert_eq!(shown(&attempt), [expected], "{name}: {}", diagnostic(&attempt));
            assert!(diagnostic(&attempt).contains(words), "{name}: {}", diagnostic(&attempt));
            assert_eq!(bench.backend.pool.idle_sessions(), 0, "{name}");
        });
    }
    tasks.join_all().await;
}

#[tokio::test]
async fn an_answer_later_than_a_step_is_waited_for_after_the_dot() {
    let mut setup = Setup::default();
    setup.timeouts.step = Duration::from_millis(1_000);
    let late = MAIL.replace("CONTENT\n", "CONTENT\nLINGER 1500\n");
    let bench = Bench::with(setup, [format!("{HELLO}{LOGIN}{late}")]).await;
    assert_eq!(shown(&bench.send(&["b@x.example"]).await), ["relayed"]);
    assert_eq!(bench.server.contents().len(), 1);
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_never_ended_by_a_dot() {
    let table = [
        (vec![Some(MESSAGE.into()), None], "deferred Unexpected", "it cannot be read"),
        (vec![Some(MESSAGE.into()), Some(Vec::new()), None], "deferred Unexpected", "after some pieces"),
    ];
    for (pieces, expected, why) in table {
        let bench = Bench::start([format!("{HELLO}{LOGIN}{DATA}CONTENT")]).await;
        let attempt = bench.send_stored(&Stored(pieces), &["b@x.example"]).await;
        assert_eq!(shown(&attempt), [expected], "{why}");
        bench.server.all_closed().await;
        assert!(bench.server.contents().is_empty(), "{why}");
    }
}
