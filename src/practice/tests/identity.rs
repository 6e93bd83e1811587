//! The identity side: what it hands out, and what it must not let pass.

use std::time::Duration;

use super::super::{APP_CLIENT_ID, Fault, PUBLIC_CLIENT_ID, Rotation, Rule, TokenFault};
use super::client::{
    GRAPH, REDIRECT, SCANNER, SMTP, VERIFIER, access_token, app_token, authorize, authorize_parameters, code, form,
    http, redeem, refresh, tenant, text, token,
};

#[tokio::test]
async fn discovery_names_the_endpoints() {
    let (tenant, _) = tenant().await;
    let mut url = tenant.identity_url();
    url.set_path(&format!("{}/v2.0/.well-known/openid-configuration", url.path()));
    let found = http(&url, "GET ", b"").await.unwrap();
    assert_eq!(text(&found, "token_endpoint"), tenant.token_url().as_str());
    assert_eq!(text(&found, "authorization_endpoint"), tenant.authorize_url().as_str());
}

#[tokio::test]
async fn a_sign_in_gives_tokens_for_either_resource_and_says_who_signed_in() {
    let (tenant, _) = tenant().await;
    let code = code(&tenant, &format!("openid offline_access {GRAPH} {SMTP}")).await;
    let answer = redeem(&tenant, &code, &format!("openid {SMTP}"), VERIFIER).await;
    assert_eq!((answer.status, answer.json()["expires_in"].as_u64()), (200, Some(3_599)), "{answer:?}");
    assert_eq!(text(&answer, "scope"), format!("{SMTP} openid"));
    assert_eq!(text(&answer, "access_token").len(), 1_500);
    assert_eq!(text(&answer, "id_token").split('.').count(), 3);
    let refreshed = refresh(&tenant, &text(&answer, "refresh_token"), &format!("offline_access {GRAPH}")).await;
    assert_eq!(text(&refreshed, "scope"), GRAPH);
    assert_ne!(text(&refreshed, "refresh_token"), text(&answer, "refresh_token"));
    assert_eq!(tenant.findings(), []);
}

#[tokio::test]
async fn wrong_authorize_requests_are_caught() {
    let (tenant, _) = tenant().await;
    let rows = [
        ("client_id", "00000000-0000-4000-8000-000000000000", "AADSTS700016", "an unknown app"),
        ("redirect_uri", "http://localhost:4711/other", "AADSTS50011", "another path"),
        ("redirect_uri", "http://evil.example/", "AADSTS50011", "another host"),
        ("redirect_uri", "http://localhost@evil.example/", "AADSTS50011", "a host hidden behind a name"),
        ("response_type", "token", "AADSTS700054", "the implicit flow"),
        ("state", "", "AADSTS900144", "no state"),
        ("code_challenge", "", "AADSTS900144", "no PKCE"),
        ("code_challenge_method", "plain", "AADSTS501491", "PKCE in the clear"),
        ("code_challenge", "too-short", "AADSTS501491", "a challenge that is no digest"),
        ("scope", "https://example.com/Mail.Send", "AADSTS500011", "a resource of somebody else"),
        ("login_hint", "nobody@practice.example", "AADSTS50034", "nobody of that name"),
    ];
    for (name, value, expected, why) in rows {
        let mut parameters = authorize_parameters(GRAPH);
        parameters.iter_mut().filter(|(known, _)| *known == name).for_each(|(_, old)| *old = value.to_owned());
        let answer = authorize(&tenant, &parameters).await;
        let said = answer.redirected("error_description").unwrap_or_else(|| answer.body.clone());
        assert!(said.contains(expected), "{why}: {answer:?}");
        assert_eq!(answer.redirected("code"), None, "{why}");
        assert!(tenant.findings().last().is_some_and(|finding| finding.what.contains(expected)), "{why}");
    }
}

#[tokio::test]
async fn a_person_signs_in_by_pressing_a_button() {
    let (tenant, _) = tenant().await;
    let parameters = authorize_parameters(GRAPH);
    let shown: Vec<_> = parameters.iter().filter(|(name, _)| *name != "practice_auto").cloned().collect();
    let page = authorize(&tenant, &shown).await;
    assert!(page.status == 200 && page.body.contains("value=\"alice@practice.example\""), "{page:?}");
    assert!(page.head.contains("form-action 'self' http://localhost:4711"), "{}", page.head);
    let mut pairs: Vec<(&str, &str)> = shown.iter().map(|(name, value)| (*name, value.as_str())).collect();
    pairs.push(("practice_sign_in", "alice@practice.example"));
    let answer = http(&tenant.authorize_url(), "POST ", form(&pairs).as_bytes()).await.unwrap();
    assert_eq!((answer.status, answer.redirected("state").as_deref()), (302, Some("state-1")), "{answer:?}");
}

#[tokio::test]
async fn a_code_is_good_once_with_its_verifier_and_for_ten_minutes() {
    let (tenant, clock) = tenant().await;
    let one = code(&tenant, GRAPH).await;
    assert_eq!(redeem(&tenant, &one, GRAPH, VERIFIER).await.status, 200);
    assert_eq!(redeem(&tenant, &one, GRAPH, VERIFIER).await.number(), 54005, "redeemed before");
    let two = code(&tenant, GRAPH).await;
    assert_eq!(redeem(&tenant, &two, GRAPH, &VERIFIER.replace('a', "b")).await.number(), 501_481, "another verifier");
    let three = code(&tenant, GRAPH).await;
    let without = [
        ("grant_type", "authorization_code"),
        ("client_id", PUBLIC_CLIENT_ID),
        ("code", &three),
        ("redirect_uri", REDIRECT),
    ];
    assert_eq!(token(&tenant, &without).await.number(), 900_144, "no verifier");
    clock.advance(Duration::from_secs(600));
    assert_eq!(redeem(&tenant, &three, GRAPH, VERIFIER).await.number(), 70008, "too late");
}

#[tokio::test]
async fn wrong_token_requests_are_caught() {
    let (tenant, _) = tenant().await;
    let good = code(&tenant, &format!("offline_access {GRAPH} {SMTP}")).await;
    let both = format!("{GRAPH} {SMTP}");
    let two = redeem(&tenant, &good, &both, VERIFIER).await;
    assert_eq!((two.status, two.number(), text(&two, "error").as_str()), (400, 70011, "invalid_scope"));
    let first = redeem(&tenant, &good, GRAPH, VERIFIER).await;
    let token_of = text(&first, "refresh_token");
    assert_eq!(refresh(&tenant, &token_of, &both).await.number(), 70011, "two resources on refresh");
    assert_eq!(refresh(&tenant, &token_of, "Mail.Read").await.number(), 65001, "never consented to");
    assert_eq!(refresh(&tenant, "made-up", GRAPH).await.number(), 9_002_313, "an unknown refresh token");
    let base = [("grant_type", "refresh_token"), ("refresh_token", token_of.as_str())];
    let with = |more: &[(&'static str, &'static str)]| [&base[..], more].concat();
    let rows = [
        (with(&[("client_id", PUBLIC_CLIENT_ID), ("client_secret", "x")]), 700_025, "a public client with a secret"),
        (with(&[("client_id", APP_CLIENT_ID)]), 7_000_218, "a confidential client without one"),
        (with(&[("client_id", APP_CLIENT_ID), ("client_secret", "x")]), 7_000_215, "a wrong secret"),
        (with(&[("client_id", PUBLIC_CLIENT_ID), ("client_id", "x")]), 9_000_411, "a parameter twice"),
        (vec![("grant_type", "password"), ("client_id", PUBLIC_CLIENT_ID)], 70003, "a password"),
        (vec![("client_id", PUBLIC_CLIENT_ID)], 900_144, "no grant type"),
    ];
    for (pairs, number, why) in rows {
        assert_eq!(token(&tenant, &pairs).await.number(), number, "{why}");
    }
    let json = http(&tenant.token_url(), "POST Content-Type: application/json\r\n", b"{}").await.unwrap();
    assert_eq!(json.number(), 900_144, "JSON in place of a form");
}

#[tokio::test]
async fn client_credentials_want_one_default_scope_and_a_real_tenant() {
    let (tenant, _) = tenant().await;
    let good = app_token(&tenant, "https://outlook.office365.com/.default").await;
    assert_eq!(good.status, 200, "{good:?}");
    assert!(good.json()["refresh_token"].is_null() && good.json()["scope"].is_null());
    assert_eq!(app_token(&tenant, GRAPH).await.number(), 1_002_012, "a named permission");
    let both = "https://graph.microsoft.com/.default https://outlook.office365.com/.default";
    assert_eq!(app_token(&tenant, both).await.number(), 70011, "two resources");
    let mut url = tenant.token_url();
    url.set_path("common/oauth2/v2.0/token");
    let secret = super::super::APP_CLIENT_SECRET;
    let pairs = [("grant_type", "client_credentials"), ("client_id", APP_CLIENT_ID), ("client_secret", secret)];
    let head = "POST Content-Type: application/x-www-form-urlencoded\r\n";
    let common = http(&url, head, form(&pairs).as_bytes()).await.unwrap();
    assert_eq!(common.number(), 9_001_023, "/common");
}

#[tokio::test]
async fn strict_rotation_ends_the_grant_when_an_old_token_comes_back() {
    let (tenant, _) = tenant().await;
    let scope = format!("offline_access {GRAPH}");
    let code = code(&tenant, &scope).await;
    let first = text(&redeem(&tenant, &code, &scope, VERIFIER).await, "refresh_token");
    let second = text(&refresh(&tenant, &first, &scope).await, "refresh_token");
    assert_eq!(refresh(&tenant, &first, &scope).await.status, 200, "Microsoft lets the old one live");
    tenant.switches().set(|knobs| knobs.rotation = Rotation::Strict);
    assert_eq!(refresh(&tenant, &first, &scope).await.number(), 70000, "a used one under strict rotation");
    assert_eq!(refresh(&tenant, &second, &scope).await.number(), 70000, "the grant is over");
    tenant.switches().set(|knobs| knobs.rotation = Rotation::Off);
    let code = super::client::code(&tenant, &scope).await;
    let only = text(&redeem(&tenant, &code, &scope, VERIFIER).await, "refresh_token");
    assert!(refresh(&tenant, &only, &scope).await.json()["refresh_token"].is_null(), "no rotation, no new token");
}

#[tokio::test]
async fn a_revoked_account_has_to_sign_in_again() {
    let (tenant, _) = tenant().await;
    let scope = format!("offline_access {GRAPH}");
    let code = code(&tenant, &scope).await;
    let answer = redeem(&tenant, &code, &scope, VERIFIER).await;
    tenant.revoke(SCANNER);
    assert_eq!(refresh(&tenant, &text(&answer, "refresh_token"), &scope).await.number(), 50173);
    let sent = super::client::send_mail(&tenant, &text(&answer, "access_token"), super::client::MAIL).await;
    assert_eq!(sent.status, 401);
    access_token(&tenant, GRAPH).await;
}

#[tokio::test]
async fn the_token_endpoint_fails_on_demand_for_whom_it_is_told() {
    let (tenant, _) = tenant().await;
    let rule = |fault| Rule::once(Fault::Token(fault)).only_for(APP_CLIENT_ID);
    let graph = "https://graph.microsoft.com/.default";
    let rows = [
        (TokenFault::InvalidGrant, 400, 700_082),
        (TokenFault::InvalidClient, 401, 7_000_222),
        (TokenFault::Throttled(7), 429, 90055),
        (TokenFault::Unavailable, 503, 90033),
        (TokenFault::Garbage, 200, 0),
        (TokenFault::Html, 200, 0),
        (TokenFault::Redirect, 302, 0),
    ];
    for (fault, status, number) in rows {
        tenant.switches().inject(rule(fault));
        access_token(&tenant, GRAPH).await;
        let answer = app_token(&tenant, graph).await;
        assert_eq!((answer.status, answer.number()), (status, number), "{fault:?}");
        let waits = answer.head.contains("retry-after: 7");
        assert_eq!(waits, fault == TokenFault::Throttled(7), "{fault:?}");
    }
    assert_eq!(app_token(&tenant, graph).await.status, 200);
    assert_eq!(tenant.findings(), [], "faults are not the client's");
}
