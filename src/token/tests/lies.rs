//! A token endpoint that does not keep to the rules: bounded, explained, and harmless.

use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;

use super::support::{Bench, Reply, imported};
use crate::http::{Http, HttpSettings};
use crate::mail::Observer;
use crate::token::{Grant, Purpose, TokenError, TokenManager};

#[tokio::test]
async fn every_lie_is_a_passing_trouble_and_the_next_honest_answer_counts() {
    let bench = Bench::new(imported()).await;
    let raw = |status, body: Vec<u8>| Reply::Raw(status, Vec::new(), body);
    let deep = ["[".repeat(200_000), "]".repeat(200_000)].concat();
    let table = [
        (raw(200, b"<html>Sign in to the hotel's network</html>".to_vec()), "HTML"),
        (raw(200, b"{\"access_token\":\"s3cret-cut".to_vec()), "truncated"),
        (raw(200, Vec::new()), "empty"),
        (raw(200, b"{}".to_vec()), "no token"),
        (raw(200, b"null".to_vec()), "null"),
        (raw(200, format!("{{\"access_token\":{deep}}}").into_bytes()), "deep JSON"),
        (raw(200, vec![b' '; 30 * 1024 * 1024]), "30 MB"),
        (raw(404, b"not here".to_vec()), "not found"),
        (raw(400, b"{\"error\":{\"code\":1}}".to_vec()), "an error of another form"),
        (raw(204, Vec::new()), "no content"),
        (Reply::Tokens(json!({ "access_token": "s3cret\r\nBcc: x" })), "CRLF in the access token"),
        (Reply::Tokens(json!({ "refresh_token": "s3cret\u{1}x" })), "ctrl-A in the refresh token"),
        (Reply::Tokens(json!({ "access_token": "" })), "an empty token"),
    ];
    for (reply, why) in table {
        bench.endpoint.reply(reply);
        let refused = bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap_err();
        assert!(matches!(refused, TokenError::TryLater { .. }), "{why}: {refused:?}");
        assert!(!refused.to_string().contains("s3cret"), "{why}: {refused}");
        bench.clock.advance(Duration::from_secs(60));
    }
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
}

#[tokio::test]
async fn a_redirect_does_not_take_the_secret_elsewhere() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bench = Bench::new(imported()).await;
    let location = format!("http://{}/token", elsewhere.local_addr().unwrap());
    bench.endpoint.reply(Reply::Raw(307, vec![("location", location)], Vec::new()));
    let refused = bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap_err();
    assert!(matches!(&refused, TokenError::TryLater { why, .. } if why.contains("redirect")), "{refused:?}");
    assert!(tokio::time::timeout(Duration::ZERO, elsewhere.accept()).await.is_err(), "somebody was sent there");
}

#[tokio::test]
async fn an_endpoint_that_never_answers_is_given_up() {
    let bench = Bench::new(imported()).await;
    bench.endpoint.reply(Reply::hang());
    let http = Http::new(HttpSettings { timeout: Duration::from_millis(200), ..HttpSettings::default() }).unwrap();
    let observer: std::sync::Arc<dyn Observer> = bench.witness.clone();
    let (store, settings, clock) = (bench.store.clone(), bench.settings.clone(), bench.clock.clone());
    let manager = TokenManager::open(store, super::support::key(1), settings, http, clock, observer).await.unwrap();
    let refused = manager.access_token("scanner", Purpose::Smtp).await.unwrap_err();
    assert!(matches!(&refused, TokenError::TryLater { why, .. } if why.contains("no answer within")), "{refused:?}");
}

#[tokio::test]
async fn a_token_without_the_scope_that_was_asked_for_is_refused_by_its_name() {
    let bench = Bench::new(imported()).await;
    bench.endpoint.reply(Reply::Tokens(json!({ "scope": "User.ReadBasic.All" })));
    let refused = bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap_err();
    let TokenError::Configuration { why, .. } = &refused else { panic!("{refused:?}") };
    assert!(why.contains("`https://outlook.office.com/SMTP.Send`") && why.contains("User.ReadBasic.All"), "{why}");
    // The refresh token that came with it is the valid one from now on.
    assert_eq!(bench.on_disk().as_deref(), Some("s3cret-refresh-1"));
}

#[tokio::test]
async fn an_absurd_lifetime_does_not_make_us_ask_without_end() {
    for expires_in in [json!(-5), json!("-5"), json!(0)] {
        let bench = Bench::new(Grant::ClientCredentials).await;
        bench.endpoint.reply(Reply::Tokens(json!({ "expires_in": expires_in })));
        for _ in 0..5 {
            bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
        }
        assert_eq!(bench.endpoint.seen().len(), 1, "{expires_in}");
    }
}

#[tokio::test]
async fn a_lifetime_given_as_text_is_understood() {
    let bench = Bench::new(Grant::ClientCredentials).await;
    bench.endpoint.reply(Reply::Tokens(json!({ "expires_in": "3599", "token_type": "bearer" })));
    let token = bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    assert_eq!(token.expires, bench.clock.now().plus(Duration::from_secs(3599)));
}
