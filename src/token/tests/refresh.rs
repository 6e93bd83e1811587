//! From a refresh token, or the app itself, to access tokens.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Semaphore;

use super::support::{Bench, CLIENT_SECRET, IMPORTED, Reply, imported};
use crate::mail::Event;
use crate::token::{Grant, Purpose, TokenError};

#[tokio::test]
async fn two_resources_get_two_tokens_from_one_refresh_token() {
    let bench = Bench::new(imported()).await;
    let graph = bench.manager.access_token("scanner", Purpose::Graph).await.unwrap();
    let smtp = bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    assert_eq!((graph.secret.expose(), smtp.secret.expose()), ("s3cret-access-1", "s3cret-access-2"));
    let again = bench.manager.access_token("scanner", Purpose::Graph).await.unwrap();
    assert_eq!(again.generation, graph.generation, "from memory");
    let seen = bench.endpoint.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0]["scope"], "https://graph.microsoft.com/Mail.Send offline_access openid profile");
    assert_eq!(seen[1]["scope"], "https://outlook.office.com/SMTP.Send offline_access openid profile");
    assert_eq!((&*seen[0]["refresh_token"], &*seen[1]["refresh_token"]), (IMPORTED, "s3cret-refresh-1"));
    assert_eq!((&*seen[0]["client_id"], &*seen[0]["client_secret"]), ("client-id", CLIENT_SECRET));
}

#[tokio::test]
async fn client_credentials_ask_for_everything_the_app_was_given() {
    let bench = Bench::new(Grant::ClientCredentials).await;
    bench.manager.access_token("scanner", Purpose::Graph).await.unwrap();
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    let seen = bench.endpoint.seen();
    assert_eq!(seen[0]["scope"], "https://graph.microsoft.com/.default");
    assert_eq!(seen[1]["scope"], "https://outlook.office365.com/.default");
    assert_eq!((&*seen[0]["grant_type"], &*seen[0]["client_secret"]), ("client_credentials", CLIENT_SECRET));
    assert_eq!(bench.on_disk(), None);
}

#[tokio::test]
async fn fifty_callers_at_once_make_one_request() {
    let bench = Bench::new(imported()).await;
    let gate = Arc::new(Semaphore::new(0));
    bench.endpoint.reply(Reply::Gated(gate.clone(), Box::new(Reply::Tokens(json!({})))));
    let call = || {
        let manager = bench.manager.clone();
        tokio::spawn(async move { manager.access_token("scanner", Purpose::Smtp).await })
    };
    let callers: Vec<_> = (0..50).map(|_| call()).collect();
    bench.endpoint.asked(1).await;
    gate.add_permits(1);
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap().secret.expose(), "s3cret-access-1");
    }
    assert_eq!(bench.endpoint.seen().len(), 1);
    assert_eq!(bench.witness.count(|event| matches!(event, Event::TokenRenewed { .. })), 1);
}

#[tokio::test]
async fn fifty_callers_share_one_refusal_and_the_endpoint_is_left_alone_as_long_as_it_asked() {
    let bench = Bench::new(imported()).await;
    let wait = vec![("retry-after", "17".to_owned())];
    bench.endpoint.reply(Reply::Raw(429, wait, b"slow down".to_vec()));
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let manager = bench.manager.clone();
            tokio::spawn(async move { manager.access_token("scanner", Purpose::Smtp).await })
        })
        .collect();
    for caller in callers {
        let Err(TokenError::TryLater { why, retry_after }) = caller.await.unwrap() else { panic!("no refusal") };
        assert!(why.contains("429") && why.contains("`contoso`"), "{why}");
        assert_eq!(retry_after, Some(Duration::from_secs(17)));
    }
    bench.clock.advance(Duration::from_secs(16));
    let refused = bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap_err();
    assert!(matches!(refused, TokenError::TryLater { retry_after: Some(wait), .. } if wait.as_secs() == 1));
    assert_eq!(bench.endpoint.seen().len(), 1);
    bench.clock.advance(Duration::from_secs(1));
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    assert_eq!(bench.endpoint.seen().len(), 2);
}

#[tokio::test]
async fn trouble_backs_off_in_steps_and_a_wait_of_days_is_cut_to_an_hour() {
    let bench = Bench::new(imported()).await;
    for (step, seconds) in [5, 15, 60, 60].into_iter().enumerate() {
        bench.endpoint.reply(Reply::Raw(500, Vec::new(), b"<html>".to_vec()));
        let refused = bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap_err();
        let TokenError::TryLater { retry_after, .. } = refused else { panic!("step {step}: {refused:?}") };
        assert_eq!(retry_after, Some(Duration::from_secs(seconds)), "step {step}");
        bench.clock.advance(Duration::from_secs(seconds));
    }
    bench.endpoint.reply(Reply::Raw(503, vec![("retry-after", "999999".into())], Vec::new()));
    let refused = bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap_err();
    assert!(matches!(refused, TokenError::TryLater { retry_after: Some(wait), .. } if wait.as_secs() == 3600));
}

#[tokio::test]
async fn a_revoked_grant_asks_for_a_sign_in_once_and_the_endpoint_no_more() {
    let bench = Bench::new(imported()).await;
    bench.endpoint.reply(Reply::error(400, "invalid_grant"));
    for purpose in [Purpose::Smtp, Purpose::Graph, Purpose::Smtp] {
        let refused = bench.manager.access_token("scanner", purpose).await.unwrap_err();
        assert!(matches!(&refused, TokenError::SignInNeeded { hint, .. } if hint.contains("oxpost login scanner")));
        bench.clock.advance(Duration::from_secs(100_000));
    }
    assert_eq!(bench.endpoint.seen().len(), 1);
    assert_eq!(bench.witness.count(|event| matches!(event, Event::SignInNeeded { .. })), 1);
    assert_eq!(bench.manager.status()[0].words(), "must be signed in");
}

#[tokio::test]
async fn a_resource_that_needs_a_person_leaves_the_other_resource_working() {
    let bench = Bench::new(imported()).await;
    let body = r#"{"error":"invalid_grant","suberror":"consent_required","error_codes":[65001]}"#;
    bench.endpoint.reply(Reply::Raw(400, Vec::new(), body.into()));
    let refused = bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap_err();
    assert!(matches!(refused, TokenError::SignInNeeded { .. }), "{refused:?}");
    bench.manager.access_token("scanner", Purpose::Graph).await.unwrap();
    assert_eq!(bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap_err(), refused);
    assert_eq!(bench.endpoint.seen().len(), 2);
}

#[tokio::test]
async fn a_wrong_secret_is_a_matter_of_configuration_and_is_asked_again_after_a_minute() {
    let bench = Bench::new(Grant::ClientCredentials).await;
    let body = r#"{"error":"invalid_client","error_codes":[7000215],"error_description":"AADSTS7000215: Invalid"}"#;
    bench.endpoint.reply(Reply::Raw(401, Vec::new(), body.into()));
    for _ in 0..3 {
        let refused = bench.manager.access_token("scanner", Purpose::Graph).await.unwrap_err();
        assert!(matches!(&refused, TokenError::Configuration { hint, .. } if hint.contains("client_secret")));
    }
    assert_eq!((bench.endpoint.seen().len(), bench.manager.status()[0].words()), (1, "is set up wrongly"));
    bench.clock.advance(Duration::from_secs(60));
    bench.manager.access_token("scanner", Purpose::Graph).await.unwrap();
}

#[tokio::test]
async fn an_app_is_never_asked_to_sign_in() {
    let bench = Bench::new(Grant::ClientCredentials).await;
    bench.endpoint.reply(Reply::error(400, "invalid_grant"));
    let refused = bench.manager.access_token("scanner", Purpose::Graph).await.unwrap_err();
    assert!(matches!(&refused, TokenError::Configuration { hint, .. } if !hint.contains("login")), "{refused:?}");
}

#[tokio::test]
async fn a_token_that_the_provider_did_not_accept_is_not_handed_out_again() {
    let bench = Bench::new(imported()).await;
    let first = bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    bench.manager.invalidate("scanner", Purpose::Smtp, first.generation).await;
    let second = bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    assert_ne!(first.generation, second.generation);
    // A second worker that had the first token, too, does not throw the second away.
    bench.manager.invalidate("scanner", Purpose::Smtp, first.generation).await;
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    assert_eq!(bench.endpoint.seen().len(), 2);
}

#[tokio::test]
async fn a_token_is_used_until_shortly_before_its_end() {
    let bench = Bench::new(imported()).await;
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    bench.clock.advance(Duration::from_secs(3600 - 61));
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    assert_eq!(bench.endpoint.seen().len(), 1);
    bench.clock.advance(Duration::from_secs(1));
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    assert_eq!(bench.endpoint.seen().len(), 2);
}

#[tokio::test]
async fn a_missing_refresh_token_keeps_the_old_one() {
    let bench = Bench::new(imported()).await;
    bench.endpoint.reply(Reply::Tokens(json!({ "refresh_token": null })));
    bench.manager.access_token("scanner", Purpose::Graph).await.unwrap();
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    assert_eq!(bench.endpoint.seen()[1]["refresh_token"], IMPORTED);
}

#[tokio::test]
async fn a_caller_who_goes_away_does_not_take_the_rotated_token_with_it() {
    let bench = Bench::new(imported()).await;
    let gate = Arc::new(Semaphore::new(0));
    bench.endpoint.reply(Reply::Gated(gate.clone(), Box::new(Reply::Tokens(json!({})))));
    let manager = bench.manager.clone();
    let caller = tokio::spawn(async move { manager.access_token("scanner", Purpose::Smtp).await });
    bench.endpoint.asked(1).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    gate.add_permits(1);
    let token = bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    assert_eq!((token.secret.expose(), bench.endpoint.seen().len()), ("s3cret-access-1", 1));
    assert_eq!(bench.on_disk().as_deref(), Some("s3cret-refresh-1"));
}

#[tokio::test]
async fn an_answer_for_settings_that_changed_meanwhile_is_dropped() {
    let bench = Bench::new(imported()).await;
    let gate = Arc::new(Semaphore::new(0));
    bench.endpoint.reply(Reply::Gated(gate.clone(), Box::new(Reply::Tokens(json!({})))));
    let manager = bench.manager.clone();
    let caller = tokio::spawn(async move { manager.access_token("scanner", Purpose::Smtp).await });
    bench.endpoint.asked(1).await;
    let mut changed = bench.settings.clone();
    changed.providers[0].client_id = "another-app".into();
    bench.manager.reload(changed);
    gate.add_permits(1);
    assert_eq!(caller.await.unwrap().unwrap().secret.expose(), "s3cret-access-2");
    let seen = bench.endpoint.seen();
    assert_eq!((&*seen[1]["client_id"], &*seen[1]["refresh_token"]), ("another-app", IMPORTED));
}

#[tokio::test]
async fn a_reload_that_does_not_concern_an_account_leaves_its_tokens_alone() {
    let bench = Bench::new(imported()).await;
    let token = bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    let mut changed = bench.settings.clone();
    changed.accounts[0].login_hint = None;
    bench.manager.reload(changed);
    assert_eq!(bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap().generation, token.generation);
    bench.manager.reload(crate::token::Settings::default());
    let gone = bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap_err();
    assert_eq!((gone, bench.manager.status().len()), (TokenError::UnknownAccount("scanner".into()), 0));
    bench.manager.reload(bench.settings.clone());
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    assert_eq!(bench.endpoint.seen()[1]["refresh_token"], "s3cret-refresh-1", "the grant outlived its settings");
}

/// Node closes idle connections after 5 seconds: one that is used at that moment leaves the refresh token's fate open.
#[tokio::test]
async fn every_renewal_has_a_connection_of_its_own() {
    let bench = Bench::new(imported()).await;
    bench.manager.access_token("scanner", Purpose::Graph).await.unwrap();
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    assert!(bench.endpoint.seen().iter().all(|fields| fields["@connection"] == "close"));
}
