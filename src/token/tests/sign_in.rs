//! Sign-ins: what goes to the provider's page, and what may come back.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use url::Url;

use super::support::{Bench, Reply, google, imported};
use crate::mail::Event;
use crate::token::{Grant, Purpose, SignIn, TokenError};

fn begin(bench: &Bench) -> SignIn {
    bench.manager.begin_sign_in("scanner", "http://localhost:4321/".parse().unwrap()).unwrap()
}

fn query(url: &Url) -> HashMap<String, String> {
    url.query_pairs().into_owned().collect()
}

fn id_token(name: &str) -> String {
    format!("e30.{}.x", URL_SAFE_NO_PAD.encode(json!({ "preferred_username": name }).to_string()))
}

#[tokio::test]
async fn the_sign_in_page_is_asked_for_everything_at_once_with_pkce() {
    let bench = Bench::new(Grant::AuthorizationCode).await;
    let (first, second) = (begin(&bench), begin(&bench));
    let asked = query(&first.url);
    assert!(first.url.as_str().starts_with("https://login.example/authorize?keep=1&"), "{}", first.url);
    for (name, value) in [
        ("client_id", "client-id"),
        ("response_type", "code"),
        ("redirect_uri", "http://localhost:4321/"),
        ("code_challenge_method", "S256"),
        ("login_hint", "scanner@contoso.example"),
        (
            "scope",
            "https://graph.microsoft.com/Mail.Send https://outlook.office.com/SMTP.Send offline_access openid profile",
        ),
        ("state", &first.state),
    ] {
        assert_eq!(asked[name], value, "{name}");
    }
    assert!(!asked.contains_key("client_secret") && !asked.contains_key("prompt"));
    let other = query(&second.url);
    assert_ne!(asked["code_challenge"], other["code_challenge"]);
    assert_ne!(asked["state"], other["state"]);

    let token_url = bench.endpoint.url().to_owned();
    let bench = Bench::with(Grant::AuthorizationCode, |provider| *provider = google(&token_url)).await;
    let asked = query(&begin(&bench).url);
    assert_eq!((&*asked["access_type"], &*asked["prompt"]), ("offline", "consent"));
    assert_eq!(asked["scope"], "https://mail.google.com/ openid email");
}

#[tokio::test]
async fn a_code_becomes_a_durable_grant() {
    let bench = Bench::new(Grant::AuthorizationCode).await;
    let begun = begin(&bench);
    bench.endpoint.reply(Reply::Tokens(json!({ "id_token": id_token("Scanner@contoso.example") })));
    let redirected = format!("  http://localhost:4321/?code=a%26b%0D%0Ac%2Bd&state={}#x ", begun.state);
    let signed_in = bench.manager.finish_from_url(&redirected).await.unwrap();
    assert_eq!((signed_in.account.as_str(), signed_in.name.as_deref()), ("scanner", Some("Scanner@contoso.example")));
    assert_eq!(signed_in.question, None);
    assert_eq!(bench.on_disk().as_deref(), Some("s3cret-refresh-1"));

    let form = &bench.endpoint.seen()[0];
    assert_eq!((&*form["grant_type"], &*form["code"]), ("authorization_code", "a&b\r\nc+d"));
    assert_eq!(form["redirect_uri"], "http://localhost:4321/");
    assert_eq!(form["scope"], "https://graph.microsoft.com/Mail.Send offline_access openid profile");
    let challenge = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, form["code_verifier"].as_bytes());
    assert_eq!(query(&begun.url)["code_challenge"], URL_SAFE_NO_PAD.encode(challenge));

    bench.manager.access_token("scanner", Purpose::Graph).await.unwrap();
    assert_eq!(bench.endpoint.seen().len(), 1, "the sign-in brought that token");
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    assert_eq!(bench.endpoint.seen()[1]["refresh_token"], "s3cret-refresh-1");
    assert_eq!(bench.witness.count(|event| matches!(event, Event::SignedIn { .. })), 1);
}

#[tokio::test]
async fn a_wrong_used_late_or_foreign_state_never_reaches_the_token_endpoint() {
    let bench = Bench::new(Grant::AuthorizationCode).await;
    let used = begin(&bench).state;
    bench.manager.finish_sign_in(&used, "code").await.unwrap();
    let foreign = begin(&Bench::new(Grant::AuthorizationCode).await).state;
    let declined = begin(&bench).state;
    bench.manager.finish_from_url(&format!("/?error=access_denied&state={declined}")).await.unwrap_err();
    let mixed_up = begin(&bench).state;
    let late = begin(&bench).state;
    let table = [
        (format!("?code=c&state={used}"), "used"),
        (format!("?code=c&state={foreign}"), "of another program"),
        (format!("?code=c&state={declined}"), "used for an error"),
        ("?code=c&state=".into(), "empty"),
        ("?code=c".into(), "missing"),
        ("c".into(), "the code alone"),
        (format!("?code=c&state={late}&state={late}"), "twice"),
        (format!("?state={late}"), "no code"),
        (format!("?code=c&state={mixed_up}&iss=https://evil.example/"), "of another provider"),
        (format!("?code=c&state={mixed_up}&iss=https://login.example/"), "used for another provider's answer"),
    ];
    for (redirected, why) in table {
        let refused = bench.manager.finish_from_url(&redirected).await.unwrap_err();
        assert!(matches!(refused, TokenError::SignInNeeded { .. }), "{why}: {refused:?}");
    }
    bench.clock.advance(Duration::from_secs(120));
    bench.manager.finish_sign_in(&late, "code").await.unwrap_err();
    assert_eq!(bench.endpoint.seen().len(), 1);
}

#[tokio::test]
async fn an_error_on_the_redirect_is_explained_and_ends_the_sign_in() {
    let bench = Bench::new(Grant::AuthorizationCode).await;
    let state = begin(&bench).state;
    let redirected = format!("/?error=access_denied&error_description=AADSTS65004%3A+declined%0D%0A&state={state}");
    let refused = bench.manager.finish_from_url(&redirected).await.unwrap_err();
    assert!(matches!(&refused, TokenError::SignInNeeded { why, .. } if why.contains("AADSTS65004")), "{refused:?}");
    assert!(!refused.to_string().contains('\n'));
}

#[tokio::test]
async fn a_redirect_leads_to_this_machine_or_where_the_configuration_says() {
    let bench = Bench::new(Grant::AuthorizationCode).await;
    let refused = |uri: &str| bench.manager.begin_sign_in("scanner", uri.parse().unwrap()).is_err();
    assert!(refused("http://evil.example/") && refused("http://localhost.evil.example/"));
    assert!(!refused("http://127.0.0.1:1/") && !refused("http://[::1]:1/"));
    let configured = "https://gateway.example/callback";
    let change = |provider: &mut crate::token::Provider| provider.redirect_uri = Some(configured.parse().unwrap());
    let bench = Bench::with(Grant::AuthorizationCode, change).await;
    let begun = bench.manager.begin_sign_in("scanner", "http://evil.example/".parse().unwrap()).unwrap();
    assert_eq!(query(&begun.url)["redirect_uri"], configured);
}

#[tokio::test]
async fn a_failed_sign_in_leaves_the_grant_that_works_alone() {
    let bench = Bench::new(Grant::AuthorizationCode).await.signed_in().await;
    let table = [
        (Reply::error(400, "invalid_grant"), "refused"),
        (Reply::Tokens(json!({ "refresh_token": null })), "no refresh token"),
        (Reply::Tokens(json!({ "scope": "openid" })), "a box was not ticked"),
        (Reply::Raw(500, Vec::new(), Vec::new()), "trouble"),
    ];
    for (reply, why) in table {
        bench.endpoint.reply(reply);
        let state = begin(&bench).state;
        assert!(bench.manager.finish_sign_in(&state, "code").await.is_err(), "{why}");
        assert_eq!(bench.on_disk().as_deref(), Some("s3cret-refresh-1"), "{why}");
        bench.manager.access_token("scanner", Purpose::Graph).await.unwrap();
    }
}

#[tokio::test]
async fn a_sign_in_mends_a_lost_grant() {
    let bench = Bench::new(imported()).await;
    bench.endpoint.reply(Reply::error(400, "invalid_grant"));
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap_err();
    let bench = bench.signed_in().await;
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    assert_eq!(bench.endpoint.seen()[2]["refresh_token"], "s3cret-refresh-2");
    // The imported token is the older one now, after a restart too.
    let reopened = bench.reopened(&bench.settings, super::support::key(1)).await;
    reopened.access_token("scanner", Purpose::Smtp).await.unwrap();
    assert_eq!(bench.endpoint.seen()[3]["refresh_token"], "s3cret-refresh-3");
}

#[tokio::test]
async fn a_sign_in_under_settings_that_changed_meanwhile_is_refused() {
    let bench = Bench::new(Grant::AuthorizationCode).await;
    let state = begin(&bench).state;
    let mut changed = bench.settings.clone();
    changed.providers[0].client_id = "another-app".into();
    bench.manager.reload(changed);
    let refused = bench.manager.finish_sign_in(&state, "code").await.unwrap_err();
    assert!(matches!(refused, TokenError::SignInNeeded { .. }), "{refused:?}");
    assert_eq!(bench.endpoint.seen().len(), 0);
}

#[tokio::test]
async fn client_credentials_and_unknown_accounts_cannot_be_signed_in() {
    let bench = Bench::new(Grant::ClientCredentials).await;
    let begin = |account| bench.manager.begin_sign_in(account, "http://localhost/".parse().unwrap()).unwrap_err();
    assert!(matches!(begin("scanner"), TokenError::Configuration { .. }));
    assert_eq!(begin("nobody"), TokenError::UnknownAccount("nobody".into()));
}
