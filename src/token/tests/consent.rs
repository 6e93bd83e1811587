//! Consent one resource at a time, another name than the mailbox, an administrator's consent, forgetting.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::support::{Bench, Reply, google, imported, key};
use crate::token::{Grant, Purpose, TokenError};

fn scopes(url: &url::Url) -> String {
    url.query_pairs().find(|(name, _)| name == "scope").unwrap().1.into_owned()
}

fn begin(bench: &Bench) -> crate::token::SignIn {
    bench.manager.begin_sign_in("scanner", "http://localhost:4321/".parse().unwrap()).unwrap()
}

const EXTRA: &str = "offline_access openid profile";

#[tokio::test]
async fn where_all_at_once_is_refused_the_sign_in_goes_on_with_one_resource_at_a_time() {
    let bench = Bench::new(Grant::AuthorizationCode).await;
    let together = begin(&bench);
    let refused = format!("/?error=invalid_scope&error_description=AADSTS70011%3A+several&state={}", together.state);
    let finished = bench.manager.finish_or_go_on(&refused).await.unwrap();
    assert_eq!(finished.signed_in, None);
    let graph = finished.next.unwrap();
    assert_eq!(scopes(&graph.url), format!("https://graph.microsoft.com/Mail.Send {EXTRA}"));
    assert_eq!(graph.redirect_uri, together.redirect_uri);
    let finished = bench.manager.finish_or_go_on(&format!("/?code=c&state={}", graph.state)).await.unwrap();
    assert!(finished.signed_in.unwrap().notes[0].contains("once more"));
    let smtp = finished.next.unwrap();
    assert_eq!(scopes(&smtp.url), format!("https://outlook.office.com/SMTP.Send {EXTRA}"));
    let finished = bench.manager.finish_or_go_on(&format!("/?code=c&state={}", smtp.state)).await.unwrap();
    assert!(finished.signed_in.is_some() && finished.next.is_none());
    let seen = bench.endpoint.seen();
    assert_eq!(seen[1]["scope"], scopes(&smtp.url), "each code is redeemed for what it was asked for");
    bench.manager.access_token("scanner", Purpose::Graph).await.unwrap();
    assert_eq!(bench.endpoint.seen()[2]["refresh_token"], "s3cret-refresh-2", "the newest grant serves both");
    assert!(scopes(&begin(&bench).url).contains("SMTP.Send"), "the next sign-in asks for everything again");
}

#[tokio::test]
async fn a_refusal_at_the_token_endpoint_counts_alike_and_a_plain_caller_is_told_to_sign_in_again() {
    let bench = Bench::new(Grant::AuthorizationCode).await;
    bench.endpoint.reply(Reply::error(400, "invalid_scope"));
    let refused = bench.manager.finish_from_url(&format!("/?code=c&state={}", begin(&bench).state)).await.unwrap_err();
    assert!(matches!(&refused, TokenError::SignInNeeded { hint, .. } if hint.contains("one resource")), "{refused:?}");
    assert!(!scopes(&begin(&bench).url).contains("SMTP.Send"));
    // What one resource alone cannot mend is an error.
    let declined = format!("/?error=access_denied&state={}", begin(&bench).state);
    assert!(bench.manager.finish_or_go_on(&declined).await.is_err());
    let alone = format!("/?error=invalid_scope&state={}", begin(&bench).state);
    assert!(bench.manager.finish_or_go_on(&alone).await.is_err(), "there is nothing smaller to ask for");
}

async fn signed_in_as(bench: &Bench, name: &str) -> Option<String> {
    let claims = URL_SAFE_NO_PAD.encode(json!({ "preferred_username": name }).to_string());
    bench.endpoint.reply(Reply::Tokens(json!({ "id_token": format!("e30.{claims}.x") })));
    bench.manager.finish_sign_in(&begin(bench).state, "code").await.unwrap().question
}

#[tokio::test]
async fn another_name_is_a_question_and_no_token_leaves_before_its_answer() {
    let bench = Bench::new(Grant::AuthorizationCode).await;
    let question = signed_in_as(&bench, "admin@contoso.example").await.unwrap();
    assert!(question.contains("`admin@contoso.example`") && question.contains("`scanner@contoso.example`"));
    let asked = bench.endpoint.seen().len();
    let held = bench.manager.access_token("scanner", Purpose::Graph).await.unwrap_err();
    assert!(matches!(&held, TokenError::SignInNeeded { hint, .. } if hint.contains("--confirm")), "{held:?}");
    let status = &bench.manager.status()[0];
    assert_eq!((status.error.as_ref(), status.question, status.is_app), (Some(&held), true, false));
    let reopened = bench.reopened(&bench.settings, key(1)).await;
    assert_eq!(reopened.access_token("scanner", Purpose::Graph).await.unwrap_err(), held, "a restart is no answer");
    assert_eq!(bench.endpoint.seen().len(), asked, "nothing was asked for meanwhile");

    bench.manager.confirm("scanner").await.unwrap();
    assert!(!bench.manager.status()[0].question);
    bench.manager.access_token("scanner", Purpose::Graph).await.unwrap();
    assert!(bench.manager.confirm("scanner").await.is_err(), "there is no question any more");
    let reopened = bench.reopened(&bench.settings, key(1)).await;
    reopened.access_token("scanner", Purpose::Graph).await.unwrap();
    assert!(signed_in_as(&bench, "admin@contoso.example").await.is_some(), "each sign-in is asked about");
    assert_eq!(signed_in_as(&bench, "SCANNER@contoso.example").await, None);
}

#[tokio::test]
async fn the_name_that_the_settings_expect_is_no_question() {
    let bench = Bench::new(Grant::AuthorizationCode).await;
    signed_in_as(&bench, "admin@contoso.example").await.unwrap();
    let mut settings = bench.settings.clone();
    settings.accounts[0].sign_in_as = Some("Admin@contoso.example".into());
    bench.manager.reload(settings);
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    assert_eq!(signed_in_as(&bench, "admin@contoso.example").await, None);
    let url = begin(&bench).url;
    assert!(url.query_pairs().any(|(name, value)| name == "login_hint" && value == "Admin@contoso.example"));
}

#[tokio::test]
async fn the_page_for_an_administrators_consent_names_what_is_asked_for() {
    let back = "https://gateway.example/back".parse().unwrap();
    let page = |bench: &Bench| bench.manager.admin_consent_url("scanner", &back, "st");
    let microsoft = |authorize: &str| {
        let url = authorize.parse().unwrap();
        move |provider: &mut crate::token::Provider| provider.authorize_url = Some(url)
    };
    let common = "https://login.microsoftonline.com/common/oauth2/v2.0/authorize?x=1";
    let bench = Bench::with(Grant::AuthorizationCode, microsoft(common)).await;
    let url = page(&bench).unwrap();
    let start = "https://login.microsoftonline.com/organizations/v2.0/adminconsent?client_id=client-id&redirect_uri=https%3A%2F%2Fgateway.example%2Fback&state=st&scope=";
    assert!(url.as_str().starts_with(start), "{url}");
    assert!(scopes(&url).contains("Mail.Send") && scopes(&url).contains("SMTP.Send"));
    let own = "https://login.microsoftonline.com/contoso.example/oauth2/v2.0/authorize";
    let bench = Bench::with(Grant::ClientCredentials, microsoft(own)).await;
    let url = page(&bench).unwrap();
    let start = "https://login.microsoftonline.com/contoso.example/adminconsent?client_id=";
    assert!(url.as_str().starts_with(start) && !url.as_str().contains("scope"), "{url}");
    let token_url = bench.endpoint.url().to_owned();
    let bench = Bench::with(Grant::AuthorizationCode, |provider| *provider = google(&token_url)).await;
    assert!(matches!(page(&bench).unwrap_err(), TokenError::Configuration { .. }), "Microsoft alone has it");
}

#[tokio::test]
async fn what_is_forgotten_is_gone_from_disk_and_memory() {
    let bench = Bench::new(Grant::AuthorizationCode).await.signed_in().await;
    bench.manager.forget("scanner").await.unwrap();
    assert_eq!(bench.on_disk(), None);
    let refused = bench.manager.access_token("scanner", Purpose::Graph).await.unwrap_err();
    assert!(refused.to_string().contains("never signed in"), "{refused}");
    let bench = bench.signed_in().await;
    bench.manager.access_token("scanner", Purpose::Graph).await.unwrap();
    // What stands in the configuration would be there again after the next start.
    let bench = Bench::new(imported()).await;
    let refused = bench.manager.forget("scanner").await.unwrap_err();
    assert!(
        matches!(&refused, TokenError::Configuration { hint, .. } if hint.contains("refresh_token")),
        "{refused:?}"
    );
    assert_eq!(bench.manager.forget("nobody").await.unwrap_err(), TokenError::UnknownAccount("nobody".into()));
}

#[tokio::test]
async fn an_imported_refresh_token_is_a_persons_and_the_machines_are_not() {
    let table = [
        (imported(), false),
        (Grant::RefreshToken(None), false),
        (Grant::AuthorizationCode, false),
        (Grant::DeviceCode, false),
        (Grant::ClientCredentials, true),
        (Grant::ManagedIdentity, true),
    ];
    for (grant, is_app) in table {
        let word = grant.word();
        assert_eq!(Bench::new(grant).await.manager.status()[0].is_app, is_app, "{word}");
    }
}

#[tokio::test]
async fn a_sign_in_that_began_before_the_account_was_forgotten_comes_too_late() {
    let bench = Bench::new(Grant::AuthorizationCode).await;
    let mut settings = bench.settings.clone();
    settings.providers[0].device_url = Some(bench.endpoint.at("/devicecode"));
    bench.manager.reload(settings);
    let begun = begin(&bench);
    bench.manager.begin_device_sign_in("scanner").await.unwrap();
    bench.manager.forget("scanner").await.unwrap();
    let refused = bench.manager.finish_sign_in(&begun.state, "code").await.unwrap_err();
    assert!(refused.to_string().contains("not known here"), "{refused}");
    assert_eq!(bench.manager.device_sign_in("scanner"), None);
    assert_eq!((bench.endpoint.seen().len(), bench.on_disk()), (1, None), "nothing was redeemed");
}

#[tokio::test]
async fn a_code_that_is_being_redeemed_while_the_account_is_forgotten_brings_nothing_back() {
    let bench = Bench::new(Grant::AuthorizationCode).await;
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    bench.endpoint.reply(Reply::Gated(std::sync::Arc::clone(&gate), Box::new(Reply::Tokens(json!({})))));
    let (manager, state) = (bench.manager.clone(), begin(&bench).state);
    let finishing = tokio::spawn(async move { manager.finish_sign_in(&state, "code").await });
    bench.endpoint.asked(1).await;
    bench.manager.forget("scanner").await.unwrap();
    gate.add_permits(1);
    let refused = finishing.await.unwrap().unwrap_err();
    assert!(refused.to_string().contains("forgotten"), "{refused}");
    assert_eq!(bench.on_disk(), None);
    bench.signed_in().await;
}

#[tokio::test]
async fn what_was_refused_together_is_asked_for_together_again_after_it_is_forgotten() {
    let bench = Bench::new(Grant::AuthorizationCode).await;
    let refused = format!("/?error=invalid_scope&state={}", begin(&bench).state);
    bench.manager.finish_or_go_on(&refused).await.unwrap();
    assert!(!scopes(&begin(&bench).url).contains("SMTP.Send"));
    bench.manager.forget("scanner").await.unwrap();
    assert!(scopes(&begin(&bench).url).contains("SMTP.Send"));
}
