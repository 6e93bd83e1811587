//! How the app proves itself, tokens that nobody signs in for, and endpoints that must be found.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::support::{Bench, CLIENT_SECRET, Reply, google, imported};
use crate::secret::Secret;
use crate::token::{
    AssertionKey, ClientAuthentication, Grant, ManagedIdentity, Provider, ProviderKind, Purpose, ServiceAccount,
    TokenError,
};

fn claims(jwt: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

fn rsa_pem() -> String {
    rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().serialize_pem()
}

#[tokio::test]
async fn a_key_signs_a_fresh_assertion_for_each_request_and_no_secret_is_sent() {
    let key = AssertionKey::from_pem(&Secret::new(rsa_pem()), Some("k1".into())).unwrap();
    let bench = Bench::with(imported(), |provider| provider.authentication = ClientAuthentication::Key(key)).await;
    bench.manager.access_token("scanner", Purpose::Graph).await.unwrap();
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    let seen = bench.endpoint.seen();
    for form in &seen {
        assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        assert_eq!((form.contains_key("client_secret"), &*form["client_id"]), (false, "client-id"));
        assert_eq!(claims(&form["client_assertion"])["aud"], bench.endpoint.url());
    }
    let id = |form: &std::collections::HashMap<String, String>| claims(&form["client_assertion"])["jti"].clone();
    assert_ne!(id(&seen[0]), id(&seen[1]));
}

#[tokio::test]
async fn a_secret_in_a_header_is_encoded_and_not_in_the_form_as_well() {
    let basic = |provider: &mut Provider| {
        provider.authentication = ClientAuthentication::SecretBasic(Secret::new(CLIENT_SECRET));
        provider.client_id = "an id:1".into();
        provider.token_parameters = [("audience".to_owned(), "mail".to_owned())].into();
    };
    let bench = Bench::with(Grant::ClientCredentials, basic).await;
    bench.manager.access_token("scanner", Purpose::Graph).await.unwrap();
    let form = &bench.endpoint.seen()[0];
    let sent = STANDARD.decode(form["@authorization"].strip_prefix("Basic ").unwrap()).unwrap();
    assert_eq!(String::from_utf8(sent).unwrap(), "an+id%3A1:cl1ent%2Bs3cret%2Fvalue%3D");
    assert!(!form.contains_key("client_id") && !form.contains_key("client_secret"));
    assert_eq!(form["audience"], "mail");
}

#[tokio::test]
async fn a_federated_token_is_read_anew_for_each_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "one.s3cret.x\n").unwrap();
    let place = path.clone();
    let federated = |provider: &mut Provider| provider.authentication = ClientAuthentication::TokenFile(place);
    let bench = Bench::with(Grant::ClientCredentials, federated).await;
    bench.manager.access_token("scanner", Purpose::Graph).await.unwrap();
    std::fs::write(&path, "two.s3cret.x").unwrap();
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    let seen = bench.endpoint.seen();
    assert_eq!((&*seen[0]["client_assertion"], &*seen[1]["client_assertion"]), ("one.s3cret.x", "two.s3cret.x"));
    for (content, why) in [(Some("no token"), "no JSON Web Token"), (None, "cannot be read")] {
        match content {
            Some(content) => std::fs::write(&path, content).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let purpose = if content.is_some() { Purpose::Imap } else { Purpose::Ews };
        let mut settings = bench.settings.clone();
        settings.providers[0].graph_resource = format!("https://{}", why.len());
        settings.providers[0].exchange_app_resource = format!("https://{}", why.len());
        bench.manager.reload(settings);
        let refused = bench.manager.access_token("scanner", purpose).await.unwrap_err();
        assert!(matches!(&refused, TokenError::Configuration { .. }) && refused.to_string().contains(why), "{refused}");
        assert!(!refused.to_string().contains("no token"), "what is in the file is not shown");
    }
}

/// A bench whose machine has an identity.
async fn machine(grant: Grant, change: impl FnOnce(&mut Provider)) -> Bench {
    let bench = Bench::with(grant, change).await;
    let mut settings = bench.settings.clone();
    settings.providers[0].managed_identity =
        ManagedIdentity { url: bench.endpoint.at("/imds"), client_id: Some("identity-1".into()) };
    bench.manager.reload(settings);
    bench
}

#[tokio::test]
async fn the_machines_identity_gives_tokens_without_an_app() {
    let bench = machine(Grant::ManagedIdentity, |_| {}).await;
    bench.endpoint.reply(Reply::Raw(
        200,
        Vec::new(),
        br#"{"access_token":"s3cret-machine","expires_in":"3599"}"#.to_vec(),
    ));
    let token = bench.manager.access_token("scanner", Purpose::Graph).await.unwrap();
    assert_eq!(token.secret.expose(), "s3cret-machine");
    let asked = &bench.endpoint.seen()[0];
    for (name, value) in [
        ("@path", "/imds"),
        ("@metadata", "true"),
        ("api-version", "2018-02-01"),
        ("resource", "https://graph.microsoft.com"),
        ("client_id", "identity-1"),
    ] {
        assert_eq!(asked[name], value, "{name}");
    }
    for (status, passes) in [(404, true), (410, true), (429, true), (500, true), (400, false), (403, false)] {
        let bench = machine(Grant::ManagedIdentity, |_| {}).await;
        bench.endpoint.reply(Reply::error(status, "invalid_request"));
        let refused = bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap_err();
        assert_eq!(matches!(refused, TokenError::TryLater { .. }), passes, "{status}: {refused}");
    }
}

#[tokio::test]
async fn the_machines_identity_stands_for_the_app() {
    let audience = "api://AzureADTokenExchange";
    let federated =
        |provider: &mut Provider| provider.authentication = ClientAuthentication::ManagedIdentity(audience.into());
    let bench = machine(Grant::ClientCredentials, federated).await;
    bench.manager.access_token("scanner", Purpose::Graph).await.unwrap();
    let seen = bench.endpoint.seen();
    assert_eq!((&*seen[0]["@path"], &*seen[0]["resource"]), ("/imds", audience));
    assert_eq!((&*seen[1]["client_assertion"], &*seen[1]["grant_type"]), ("s3cret-access-1", "client_credentials"));
}

#[tokio::test]
async fn a_service_account_acts_as_the_mailbox() {
    let file = json!({
        "type": "service_account", "client_email": "gateway@project.example", "private_key": rsa_pem(),
    });
    let account = ServiceAccount::from_json(&Secret::new(file.to_string())).unwrap();
    let token_url = Bench::new(imported()).await.endpoint.url().to_owned();
    let bench = Bench::with(Grant::ServiceAccount, |provider| {
        let token_url = provider.token_url.clone();
        *provider = Provider { token_url, service_account: Some(Arc::new(account)), ..google("http://localhost/") };
        provider.authentication = ClientAuthentication::None;
        provider.client_id = String::new();
    })
    .await;
    drop(token_url);
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    let form = &bench.endpoint.seen()[0];
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let claims = claims(&form["assertion"]);
    assert_eq!(
        (&claims["sub"], &claims["iss"]),
        (&json!("scanner@contoso.example"), &json!("gateway@project.example"))
    );
    assert_eq!((&claims["scope"], &claims["aud"]), (&json!("https://mail.google.com/"), &json!(bench.endpoint.url())));
    assert!(!form.contains_key("client_id") && bench.on_disk().is_none());
    assert!(bench.manager.begin_sign_in("scanner", "http://localhost/".parse().unwrap()).is_err());
}

#[tokio::test]
async fn endpoints_are_found_at_the_issuer_once_and_the_given_ones_win() {
    let bench = Bench::new(Grant::AuthorizationCode).await;
    let mut settings = bench.settings.clone();
    let issuer = bench.endpoint.at("");
    let text = issuer.as_str().trim_end_matches('/').to_owned();
    let provider = &mut settings.providers[0];
    (provider.kind, provider.issuer) = (ProviderKind::Custom, Some(issuer));
    (provider.authorize_url, provider.token_url) = (None, None);
    bench.manager.reload(settings.clone());
    let back = "http://localhost:1/".parse().unwrap();
    let early = bench.manager.begin_sign_in("scanner", back).unwrap_err();
    assert!(matches!(early, TokenError::TryLater { .. }), "{early:?}");
    let found = json!({
        "issuer": text, "token_endpoint": bench.endpoint.url(), "authorization_endpoint": "https://login.example/auth",
    });
    bench.endpoint.reply(Reply::Raw(404, Vec::new(), Vec::new()));
    bench.endpoint.reply(Reply::Raw(200, Vec::new(), found.to_string().into_bytes()));
    bench.manager.discover("scanner").await.unwrap();
    bench.manager.discover("scanner").await.unwrap();
    let begun = bench.manager.begin_sign_in("scanner", "http://localhost:1/".parse().unwrap()).unwrap();
    assert!(begun.url.as_str().starts_with("https://login.example/auth?"), "{}", begun.url);
    let wrong = format!("/?code=c&state={}&iss=https://login.example/", begun.state);
    assert!(bench.manager.finish_from_url(&wrong).await.is_err(), "the issuer's own name counts");
    let begun = bench.manager.begin_sign_in("scanner", "http://localhost:1/".parse().unwrap()).unwrap();
    bench.manager.finish_from_url(&format!("/?code=c&state={}&iss={text}", begun.state)).await.unwrap();
    let paths: Vec<_> = bench.endpoint.seen().iter().map(|form| form["@path"].clone()).collect();
    let places = ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/token"];
    assert_eq!(paths, places);
}

#[tokio::test]
async fn an_answer_without_its_issuer_is_refused_where_the_issuer_says_that_it_always_names_itself() {
    let table = [
        (json!(true), None, false, "it says so"),
        (json!(false), None, true, "it says that it does not"),
        (json!(null), None, true, "it says nothing"),
        (json!("true"), None, true, "that is no yes"),
        (json!(true), Some("https://login.example/auth"), true, "the page is another one, written by hand"),
    ];
    for (says, page, is_taken, why) in table {
        let bench = Bench::new(Grant::AuthorizationCode).await;
        let mut settings = bench.settings.clone();
        let issuer = bench.endpoint.at("");
        let found = json!({
            "issuer": issuer.as_str().trim_end_matches('/'), "token_endpoint": bench.endpoint.url(),
            "authorization_endpoint": "https://login.example/auth",
            "authorization_response_iss_parameter_supported": says,
        });
        let provider = &mut settings.providers[0];
        (provider.kind, provider.issuer) = (ProviderKind::Custom, Some(issuer));
        (provider.authorize_url, provider.token_url) = (page.map(|page| page.parse().unwrap()), None);
        bench.manager.reload(settings);
        bench.endpoint.reply(Reply::Raw(200, Vec::new(), found.to_string().into_bytes()));
        bench.manager.discover("scanner").await.unwrap();
        for answer in ["code=c", "error=access_denied"] {
            let begun = bench.manager.begin_sign_in("scanner", "http://localhost:1/".parse().unwrap()).unwrap();
            let ended = bench.manager.finish_from_url(&format!("/?{answer}&state={}", begun.state)).await;
            let is_refused =
                ended.as_ref().is_err_and(|error| error.to_string().contains("does not say that it is from"));
            assert_eq!(!is_refused, is_taken, "{why}, {answer}: {ended:?}");
        }
    }
}

#[tokio::test]
async fn a_loopback_redirect_without_a_port_takes_the_port_that_is_listened_on() {
    let change = |provider: &mut Provider| provider.redirect_uri = Some("http://localhost/back".parse().unwrap());
    let bench = Bench::with(Grant::AuthorizationCode, change).await;
    let begin =
        |uri: &str| bench.manager.begin_sign_in("scanner", uri.parse().unwrap()).unwrap().redirect_uri.to_string();
    assert_eq!(begin("http://127.0.0.1:4711/other"), "http://localhost:4711/back");
    assert_eq!(begin("https://evil.example:4711/"), "http://localhost/back");
}
