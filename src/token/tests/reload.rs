//! Settings that change while the token endpoint is being asked.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::Semaphore;

use super::support::{Bench, CLIENT_SECRET, Reply, imported, key};
use crate::secret::Secret;
use crate::token::{ClientAuthentication, Grant, Purpose, Settings};

/// Changes the settings while a refresh is under way, and lets it end; gives the bench with the answer taken in.
async fn reloaded_during_a_refresh(grant: Grant, changed: impl FnOnce(&mut Settings)) -> Bench {
    let mut bench = Bench::new(grant).await;
    if matches!(bench.settings.accounts[0].grant, Grant::AuthorizationCode) {
        bench = bench.signed_in().await;
    }
    let asked = bench.endpoint.seen().len();
    let gate = Arc::new(Semaphore::new(0));
    bench.endpoint.reply(Reply::Gated(Arc::clone(&gate), Box::new(Reply::Tokens(json!({})))));
    let manager = bench.manager.clone();
    let caller = tokio::spawn(async move { manager.access_token("scanner", Purpose::Smtp).await });
    bench.endpoint.asked(asked + 1).await;
    let mut settings = bench.settings.clone();
    changed(&mut settings);
    bench.manager.reload(settings);
    gate.add_permits(1);
    drop(caller.await.unwrap());
    bench
}

#[tokio::test]
async fn a_refresh_token_that_was_rotated_during_a_reload_is_kept() {
    type Change = fn(&mut Settings);
    let table: [(&str, Change); 4] = [
        ("scopes", |settings| settings.providers[0].scopes = Some(vec!["https://outlook.office.com/SMTP.Send".into()])),
        ("parameters", |settings| drop(settings.providers[0].token_parameters.insert("a".into(), "b".into()))),
        ("another secret", |settings| {
            settings.providers[0].authentication = ClientAuthentication::SecretPost(Secret::new("new"));
        }),
        ("the account is taken out", |settings| settings.accounts.clear()),
    ];
    for (why, change) in table {
        for grant in [Grant::AuthorizationCode, imported()] {
            let word = grant.word();
            let bench = reloaded_during_a_refresh(grant, change).await;
            let newest = format!("s3cret-refresh-{}", bench.endpoint.seen().len());
            assert_eq!(bench.on_disk().as_deref(), Some(&*newest), "{why} with {word}");
            bench.manager.reload(bench.settings.clone());
            bench.manager.access_token("scanner", Purpose::Graph).await.unwrap();
            assert_eq!(bench.endpoint.seen().last().unwrap()["refresh_token"], newest, "{why} with {word}");
            let reopened = bench.reopened(&bench.settings, key(1)).await;
            let newest = format!("s3cret-refresh-{}", bench.endpoint.seen().len());
            reopened.access_token("scanner", Purpose::Smtp).await.unwrap();
            assert_eq!(bench.endpoint.seen().last().unwrap()["refresh_token"], newest, "{why} with {word}: restarted");
        }
    }
}

#[tokio::test]
async fn the_access_token_of_the_old_settings_is_not_handed_out() {
    let bench = reloaded_during_a_refresh(Grant::AuthorizationCode, |settings| {
        settings.providers[0].authentication = ClientAuthentication::SecretPost(Secret::new("new"));
    })
    .await;
    let secrets: Vec<_> = bench.endpoint.seen().iter().map(|form| form["client_secret"].clone()).collect();
    assert_eq!(secrets, [CLIENT_SECRET, CLIENT_SECRET, "new"], "it is asked for anew");
}

#[tokio::test]
async fn a_rotated_refresh_token_of_an_app_that_was_taken_out_comes_back_with_it() {
    let bench = reloaded_during_a_refresh(Grant::AuthorizationCode, |settings| {
        settings.providers[0].client_id = "another".into();
    })
    .await;
    assert_eq!(bench.on_disk().as_deref(), Some("s3cret-refresh-2"));
    bench.manager.reload(bench.settings.clone());
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    let seen = bench.endpoint.seen();
    assert_eq!((&*seen[2]["client_id"], &*seen[2]["refresh_token"]), ("client-id", "s3cret-refresh-2"));
}
