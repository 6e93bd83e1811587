//! Logins, tokens, and sessions that are used again.

use super::*;
use crate::mail::Reason;

const REFUSED: &str = "C: AUTH XOAUTH2 \nS: 535 5.7.3 Authentication unsuccessful\n";

#[tokio::test]
async fn messages_share_a_session() {
    let bench = Bench::start([format!("{HELLO}{LOGIN}{MAIL}{MAIL}{MAIL}")]).await;
    for _ in 0..3 {
        assert_eq!(shown(&bench.send(&["b@x.example"]).await), ["relayed"]);
    }
    assert_eq!((bench.server.connections(), bench.server.contents().len()), (1, 3));
    bench.assert_followed();
}

#[tokio::test]
async fn deliveries_at_once_have_sessions_of_their_own() {
    let script = || format!("{HELLO}{LOGIN}{MAIL}");
    let bench = Bench::start([script(), script()]).await;
    let (one, two) = tokio::join!(bench.send(&["b@x.example"]), bench.send(&["b@x.example"]));
    assert_eq!([shown(&one), shown(&two)], [["relayed"], ["relayed"]]);
    assert_eq!(bench.backend.pool.idle_sessions(), 2);
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let bench = Bench::start([format!("{HELLO}{REFUSED}"), format!("{HELLO}{LOGIN}{MAIL}")]).await;
    assert_eq!(shown(&bench.send(&["b@x.example"]).await), ["relayed"]);
    assert_eq!(bench.tokens.refused(), [0]);
    bench.assert_followed();
}

#[tokio::test]
async fn a_second_refusal_holds() {
    let bench = Bench::start([format!("{HELLO}{REFUSED}"), format!("{HELLO}{REFUSED}")]).await;
    assert_eq!(shown(&bench.send(&["b@x.example"]).await), ["held AuthenticationRejected"]);
    assert_eq!((bench.tokens.refused(), bench.server.connections()), (vec![0], 2));
}

#[tokio::test]
async fn the_error_challenge_is_told() {
    let refused = "C: AUTH XOAUTH2 \nS: 334 eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiQmVhcmVyIn0=\nC: \nS: 535 5.7.8 no\n";
    let bench = Bench::start([format!("{HELLO}{refused}"), format!("{HELLO}{refused}")]).await;
    let attempt = bench.send(&["b@x.example"]).await;
    assert_eq!(shown(&attempt), ["held AuthenticationRejected"]);
    assert!(diagnostic(&attempt).contains(r#"its challenge says: {"status":"401""#), "{}", diagnostic(&attempt));
    bench.assert_followed();
}

#[tokio::test]
async fn a_switch_that_no_token_mends_is_not_tried_twice() {
    let off = "C: AUTH XOAUTH2 \nS: 535 5.7.139 SmtpClientAuthentication is disabled for the Tenant\n";
    let bench = Bench::start([format!("{HELLO}{off}")]).await;
    assert_eq!(shown(&bench.send(&["b@x.example"]).await), ["held SmtpAuthDisabled"]);
    assert_eq!(bench.tokens.refused(), [0_u64; 0]);
}

#[tokio::test]
async fn a_long_token_goes_on_a_line_of_its_own() {
    let login = "C: AUTH XOAUTH2\nS: 334 \nC: dXNlcj1\nS: 235 2.7.0 ok\n";
    let tokens = NumberedTokens { length: 2000, ..NumberedTokens::default() };
    let bench = Bench::with(Setup { tokens, ..Setup::default() }, [format!("{HELLO}{login}{MAIL}")]).await;
    assert_eq!(shown(&bench.send(&["b@x.example"]).await), ["relayed"]);
    assert!(bench.server.lines().contains(&"AUTH XOAUTH2".to_owned()));
    bench.assert_followed();
}

#[tokio::test]
async fn without_a_token_nothing_is_connected() {
    for (reason, expected) in
        [(Reason::SignInNeeded, "held SignInNeeded"), (Reason::TokenUnavailable, "deferred TokenUnavailable")]
    {
        let tokens = NumberedTokens { failure: Some(Failure::new(reason, "")), ..NumberedTokens::default() };
        let bench = Bench::with(Setup { tokens, ..Setup::default() }, [""; 0]).await;
        assert_eq!(shown(&bench.send(&["b@x.example"]).await), [expected]);
        assert_eq!(bench.server.connections(), 0);
    }
}

#[tokio::test]
async fn a_new_token_needs_a_new_session() {
    let bench = Bench::start([format!("{HELLO}{LOGIN}{MAIL}"), format!("{HELLO}{LOGIN}{MAIL}")]).await;
    assert_eq!(shown(&bench.send(&["b@x.example"]).await), ["relayed"]);
    bench.tokens.refused.lock().unwrap().push(0);
    assert_eq!(shown(&bench.send(&["b@x.example"]).await), ["relayed"]);
    assert_eq!((bench.server.connections(), bench.backend.pool.idle_sessions()), (2, 1));
}

#[tokio::test]
async fn a_session_that_the_server_gave_up_is_replaced_unnoticed() {
    let table = [
        ("CLOSE", "closed while idle"),
        ("S: 421 4.4.2 idle for too long\nCLOSE", "said 421 while idle"),
        ("C: MAIL\nCLOSE", "closed on MAIL"),
        ("C: MAIL\nRESET", "reset on MAIL"),
        ("C: MAIL\nS: 421 4.4.2 bye", "421 to MAIL"),
        ("C: MAIL\nC: RCPT\nC: DATA\nS: 530 5.7.57 Client not authenticated\nS: 503 no\nS: 503 no", "forgot the login"),
    ];
    for (end, why) in table {
        let bench = Bench::start([format!("{HELLO}{LOGIN}{MAIL}{end}"), format!("{HELLO}{LOGIN}{MAIL}")]).await;
        assert_eq!(shown(&bench.send(&["b@x.example"]).await), ["relayed"], "{why}");
        assert_eq!(shown(&bench.send(&["b@x.example"]).await), ["relayed"], "{why}");
        assert_eq!((bench.server.connections(), bench.server.contents().len()), (2, 2), "{why}");
    }
}

#[tokio::test]
async fn a_session_lost_after_mail_was_answered_is_not_replaced_unnoticed() {
    let end = "C: MAIL\nC: RCPT\nC: DATA\nS: 250 ok\nCLOSE";
    let bench = Bench::start([format!("{HELLO}{LOGIN}{MAIL}{end}")]).await;
    assert_eq!(shown(&bench.send(&["b@x.example"]).await), ["relayed"]);
    assert_eq!(shown(&bench.send(&["b@x.example"]).await), ["deferred ProviderTrouble"]);
    assert_eq!(bench.server.connections(), 1);
}

#[tokio::test]
async fn a_session_with_answers_left_over_is_not_used_again() {
    let twice = MAIL.replace("S: 250 2.0.0 queued as 7\n", "B: 250 queued|250 queued twice|\n");
    let bench = Bench::start([format!("{HELLO}{LOGIN}{twice}"), format!("{HELLO}{LOGIN}{MAIL}")]).await;
    assert_eq!(shown(&bench.send(&["b@x.example"]).await), ["relayed"]);
    assert_eq!(bench.backend.pool.idle_sessions(), 0);
    assert_eq!(shown(&bench.send(&["b@x.example"]).await), ["relayed"]);
    assert_eq!(bench.server.connections(), 2);
}

#[tokio::test]
async fn a_session_ends_after_a_thousand_messages() {
    let bench = Bench::start([format!("{HELLO}{LOGIN}{}", MAIL.repeat(1_000)), format!("{HELLO}{LOGIN}{MAIL}")]).await;
    for _ in 0..1_001 {
        assert_eq!(shown(&bench.send(&["b@x.example"]).await), ["relayed"]);
    }
    assert_eq!(bench.server.connections(), 2);
    assert!(bench.server.lines().contains(&"QUIT".to_owned()));
}

#[tokio::test]
async fn an_idle_session_is_closed_with_quit() {
    let mut setup = Setup::default();
    setup.timeouts.idle = Duration::from_millis(50);
    let bench = Bench::with(setup, [format!("{HELLO}{LOGIN}{MAIL}")]).await;
    assert_eq!(shown(&bench.send(&["b@x.example"]).await), ["relayed"]);
    bench.server.all_closed().await;
    assert_eq!(bench.backend.pool.idle_sessions(), 0);
    assert_eq!(bench.server.lines().last().map(String::as_str), Some("QUIT"));
}

#[tokio::test]
async fn an_unreachable_server_defers() {
    let mut bench = Bench::start([""; 0]).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    bench.backend.target.way.port = free.port();
    assert_eq!(shown(&bench.send(&["b@x.example"]).await), ["deferred Unreachable"]);
}
