//! A smarthost: a password or no login, and never before TLS runs.

use super::*;
use crate::mail::Reason;

const TLS: &str = "S: 220 up ready\nC: EHLO gw.example\nS: 250-up\nS: 250-AUTH PLAIN LOGIN\nS: 250 STARTTLS\n\
                   C: STARTTLS\nS: 220 go\nTLS\nC: EHLO gw.example\nS: 250-up\nS: 250-PIPELINING\nS: 250-8BITMIME\n";

fn relay(login: SmtpLogin) -> Setup {
    // A smarthost needs no token: one that is asked for fails the attempt.
    let tokens = NumberedTokens { failure: Some(Failure::new(Reason::SignInNeeded, "")), ..NumberedTokens::default() };
    Setup { login, tokens, ..Setup::default() }
}

fn password(text: &str) -> SmtpLogin {
    SmtpLogin::Password { login: "relay".to_owned(), password: Secret::new(text) }
}

#[tokio::test]
async fn a_smarthost_is_logged_in_to_as_it_offers() {
    let rows = [
        (password("s3cret"), "S: 250 AUTH LOGIN PLAIN\nC: AUTH PLAIN AHJlbGF5AHMzY3JldA==\nS: 235 ok\n", "PLAIN first"),
        (
            password("s3cret"),
            "S: 250 AUTH LOGIN\nC: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: cmVsYXk=\nS: 334 UGFzc3dvcmQ6\nC: czNjcmV0\nS: 235 ok\n",
            "LOGIN where it is alone",
        ),
        (SmtpLogin::Nobody, "S: 250 AUTH LOGIN PLAIN\n", "no login, whatever is offered"),
        (SmtpLogin::Nobody, "S: 250 HELP\n", "no login, and none offered"),
    ];
    for (login, dialogue, why) in rows {
        let bench = Bench::with(relay(login), [format!("{TLS}{dialogue}{MAIL}{MAIL}")]).await;
        for _ in 0..2 {
            let attempt = bench.send(&["b@x.example"]).await;
            assert!(matches!(attempt.outcomes[..], [Outcome::Relayed(_)]), "{why}: {attempt:?}");
            assert_eq!(attempt.backend, Some(BackendKind::Smarthost), "{why}");
        }
        assert_eq!(
            (bench.server.connections(), bench.server.faults()),
            (1, vec![]),
            "{why}: the session is used again"
        );
    }
}

#[tokio::test]
async fn a_login_that_is_refused_or_not_offered_is_the_ways_trouble() {
    let rows = [
        ("S: 250 AUTH PLAIN\nC: AUTH PLAIN \nS: 535 5.7.8 no\n", Reason::AuthenticationRejected, "wrong password"),
        ("S: 250 AUTH PLAIN\nC: AUTH PLAIN \nS: 454 4.7.0 later\n", Reason::ProviderTrouble, "not now"),
        ("S: 250 AUTH XOAUTH2\n", Reason::Unexpected, "only tokens are taken"),
        ("S: 250 HELP\n", Reason::Unexpected, "no login at all"),
    ];
    for (dialogue, reason, why) in rows {
        let bench = Bench::with(relay(password("s3cret")), [format!("{TLS}{dialogue}")]).await;
        let attempt = bench.send(&["b@x.example"]).await;
        let failure = attempt.outcomes[0].failure().unwrap();
        assert_eq!(failure.reason, reason, "{why}: {failure}");
        assert!(!failure.diagnostic.contains("s3cret"), "{why}: {failure}");
        assert_eq!((bench.server.connections(), bench.tokens.refused()), (1, vec![]), "{why}: no second try");
    }
}

#[tokio::test]
async fn no_password_leaves_without_tls() {
    let script = "S: 220 up\nC: EHLO gw.example\nS: 250-up\nS: 250 AUTH PLAIN LOGIN\n";
    let bench = Bench::with(relay(password("s3cret")), [script]).await;
    let attempt = bench.send(&["b@x.example"]).await;
    assert_eq!(attempt.outcomes[0].failure().unwrap().reason, Reason::TlsRefused);
    assert!(bench.server.lines().iter().all(|line| !line.starts_with("AUTH")), "{:?}", bench.server.lines());
}

#[tokio::test]
async fn without_tls_mail_goes_where_the_configuration_says_so_and_nothing_secret_does() {
    let clear = |login| Setup { tls: SmtpTls::Never, ..relay(login) };
    let script = format!("S: 220 up\nC: EHLO gw.example\nS: 250-up\nS: 250-PIPELINING\nS: 250 8BITMIME\n{MAIL}");
    let bench = Bench::with(clear(SmtpLogin::Nobody), [script]).await;
    let attempt = bench.send(&["b@x.example"]).await;
    assert!(matches!(attempt.outcomes[..], [Outcome::Relayed(_)]), "{attempt:?}");
    assert_eq!(bench.server.faults(), Vec::<String>::new());
    for setup in [clear(password("s3cret")), Setup { tls: SmtpTls::Never, ..Setup::default() }] {
        let bench = Bench::with(setup, Vec::<String>::new()).await;
        let attempt = bench.send(&["b@x.example"]).await;
        assert_eq!(attempt.outcomes[0].failure().unwrap().reason, Reason::TlsRefused);
        assert_eq!(bench.server.lines(), Vec::<String>::new(), "not even a greeting is waited for");
    }
}
