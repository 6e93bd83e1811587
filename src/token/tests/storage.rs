//! Refresh tokens on disk: before use, after a restart, under another key, with a disk that fails.

use serde_json::json;

use super::support::{Bench, IMPORTED, Reply, imported, key, on_disk};
use crate::mail::Event;
use crate::secret::Secret;
use crate::token::{Grant, Purpose, TokenError};

#[tokio::test]
async fn a_rotated_refresh_token_is_durable_before_use() {
    let bench = Bench::new(imported()).await;
    let database = bench.database.clone();
    // The token is announced, and handed out, after it was stored.
    *bench.witness.at_each.lock().unwrap() = Some(Box::new(move |event| {
        if matches!(event, Event::TokenRenewed { .. }) {
            assert_eq!(on_disk(&database).as_deref(), Some("s3cret-refresh-1"));
        }
    }));
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    assert_eq!(bench.witness.events.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn after_a_restart_the_stored_token_wins_over_the_imported_one_that_it_came_from() {
    let bench = Bench::new(imported()).await;
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    let reopened = bench.reopened(&bench.settings, key(1)).await;
    reopened.access_token("scanner", Purpose::Smtp).await.unwrap();
    assert_eq!(bench.endpoint.seen()[1]["refresh_token"], "s3cret-refresh-1");
    // A token that was put into the configuration later is the newer one.
    let mut changed = bench.settings.clone();
    changed.accounts[0].grant = Grant::RefreshToken(Some(Secret::new("s3cret-newer-import")));
    let reopened = bench.reopened(&changed, key(1)).await;
    reopened.access_token("scanner", Purpose::Smtp).await.unwrap();
    assert_eq!(bench.endpoint.seen()[2]["refresh_token"], "s3cret-newer-import");
}

#[tokio::test]
async fn a_crash_between_answer_and_save_leaves_the_old_token_to_try() {
    let bench = Bench::new(Grant::AuthorizationCode).await.signed_in().await;
    block_writes(&bench, true).await;
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    let reopened = bench.reopened(&bench.settings, key(1)).await;
    reopened.access_token("scanner", Purpose::Smtp).await.unwrap();
    assert_eq!(bench.endpoint.seen()[2]["refresh_token"], "s3cret-refresh-1");
}

/// Makes the table refuse writes, or take them again.
async fn block_writes(bench: &Bench, block: bool) {
    let refuse = "CREATE TRIGGER refuse BEFORE UPDATE ON token BEGIN SELECT RAISE(ABORT, 'no'); END;
                  CREATE TRIGGER refuse_new BEFORE INSERT ON token BEGIN SELECT RAISE(ABORT, 'no'); END;";
    let sql = if block { refuse } else { "DROP TRIGGER refuse; DROP TRIGGER refuse_new;" };
    bench.store.write(move |connection| connection.execute_batch(sql)).await.unwrap();
}

#[tokio::test]
async fn a_token_that_cannot_be_written_is_used_from_memory_and_written_as_soon_as_possible() {
    let bench = Bench::new(Grant::AuthorizationCode).await.signed_in().await;
    block_writes(&bench, true).await;
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    assert_eq!(bench.on_disk().as_deref(), Some("s3cret-refresh-1"));
    assert!(bench.manager.status()[0].unsaved);
    assert_eq!(bench.witness.count(|event| matches!(event, Event::TokenUnsaved { .. })), 1);
    block_writes(&bench, false).await;
    let stop = tokio_util::sync::CancellationToken::new();
    stop.cancel();
    bench.manager.clone().renew_in_background(stop).await;
    assert_eq!(bench.on_disk().as_deref(), Some("s3cret-refresh-2"));
    assert!(!bench.manager.status()[0].unsaved);
}

#[tokio::test]
async fn a_sign_in_that_cannot_be_written_works_and_says_so() {
    let bench = Bench::new(Grant::AuthorizationCode).await;
    block_writes(&bench, true).await;
    let begun = bench.manager.begin_sign_in("scanner", "http://localhost:1/".parse().unwrap()).unwrap();
    let signed_in = bench.manager.finish_sign_in(&begun.state, "code").await.unwrap();
    assert!(signed_in.notes.iter().any(|note| note.contains("do not stop oxpost")), "{signed_in:?}");
    bench.manager.access_token("scanner", Purpose::Graph).await.unwrap();
}

#[tokio::test]
async fn another_key_holds_the_account_says_why_and_throws_nothing_away() {
    let bench = Bench::new(Grant::AuthorizationCode).await.signed_in().await;
    let other = bench.reopened(&bench.settings, key(2)).await;
    let refused = other.access_token("scanner", Purpose::Smtp).await.unwrap_err();
    let TokenError::SignInNeeded { why, hint } = &refused else { panic!("{refused:?}") };
    assert!(why.contains("another key") && hint.contains("put the key back"), "{refused}");
    assert_eq!(bench.endpoint.seen().len(), 1);
    let right = bench.reopened(&bench.settings, key(1)).await;
    right.access_token("scanner", Purpose::Smtp).await.unwrap();
}

#[tokio::test]
async fn a_stored_token_is_not_sent_to_another_app_or_server() {
    let bench = Bench::new(Grant::AuthorizationCode).await.signed_in().await;
    let elsewhere = Bench::new(Grant::AuthorizationCode).await;
    for change in ["client_id", "token_url"] {
        let mut changed = bench.settings.clone();
        match change {
            "client_id" => changed.providers[0].client_id = "another-app".into(),
            _ => changed.providers[0].token_url = Some(elsewhere.endpoint.url().parse().unwrap()),
        }
        let reopened = bench.reopened(&changed, key(1)).await;
        let refused = reopened.access_token("scanner", Purpose::Smtp).await.unwrap_err();
        assert!(matches!(&refused, TokenError::SignInNeeded { why, .. } if why.contains("client-id")), "{refused:?}");
    }
    assert_eq!((bench.endpoint.seen().len(), elsewhere.endpoint.seen().len()), (1, 0));
}

#[tokio::test]
async fn nothing_readable_of_a_token_is_in_the_data_folder() {
    let bench = Bench::new(imported()).await;
    bench.endpoint.reply(Reply::Tokens(json!({})));
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    for file in std::fs::read_dir(bench.folder()).unwrap() {
        let content = std::fs::read(file.unwrap().path()).unwrap();
        for secret in [IMPORTED, "s3cret"] {
            assert!(!content.windows(secret.len()).any(|part| part == secret.as_bytes()));
        }
    }
}
