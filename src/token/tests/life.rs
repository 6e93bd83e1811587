//! The life of a token: many callers, warnings ahead of time, another sealing key, tokens for programs.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::Semaphore;

use super::support::{Bench, Reply, google, imported, key};
use crate::mail::Event;
use crate::token::{Grant, Provider, Purpose, SealingKey, TokenError};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test]
async fn a_hundred_callers_with_an_expired_token_make_exactly_one_refresh() {
    let bench = Bench::new(imported()).await;
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    bench.clock.advance(Duration::from_secs(3600));
    let gate = Arc::new(Semaphore::new(0));
    bench.endpoint.reply(Reply::Gated(Arc::clone(&gate), Box::new(Reply::Tokens(json!({})))));
    let call = || {
        let manager = bench.manager.clone();
        tokio::spawn(async move { manager.access_token("scanner", Purpose::Smtp).await })
    };
    let callers: Vec<_> = (0..100).map(|_| call()).collect();
    bench.endpoint.asked(2).await;
    gate.add_permits(1);
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap().secret.expose(), "s3cret-access-2");
    }
    assert_eq!(bench.endpoint.seen().len(), 2);
}

#[tokio::test]
async fn a_network_that_fails_for_weeks_discards_no_grant_and_warns_in_time() {
    let bench = Bench::new(imported()).await;
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    for _ in 0..15 {
        bench.clock.advance(DAY);
        bench.endpoint.reply(Reply::Raw(503, Vec::new(), Vec::new()));
        let refused = bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap_err();
        assert!(matches!(refused, TokenError::TryLater { .. }), "{refused:?}");
    }
    let status = &bench.manager.status()[0];
    let warning = &status.warnings[0];
    assert!(warning.what.contains("for 15 days") && warning.hint.contains("oxpost login scanner"), "{warning:?}");
    assert_eq!(warning.due, Some(bench.clock.now().plus(DAY * 75)), "Microsoft: 90 days");
    bench.clock.advance(DAY);
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    assert_eq!(bench.manager.status()[0].warnings, []);
}

#[tokio::test]
async fn the_end_of_a_secret_and_of_a_sign_in_is_told_a_month_ahead_and_once_a_week() {
    let start = Bench::new(imported()).await.clock.now();
    let bench = Bench::with(imported(), |provider| provider.secret_expires = Some(start.plus(DAY * 40))).await;
    let stopped = || async {
        let stop = tokio_util::sync::CancellationToken::new();
        stop.cancel();
        bench.manager.clone().renew_in_background(stop).await;
    };
    let told =
        || bench.witness.count(|event| matches!(event, Event::AccountWarning { what, .. } if what.contains("secret")));
    let table = [(0, 0, "too early"), (11, 1, "29 days ahead"), (1, 1, "told already"), (7, 2, "a week later")];
    for (days, times, why) in table {
        bench.clock.advance(DAY * days);
        stopped().await;
        assert_eq!(told(), times, "{why}");
    }
    let warning = bench.manager.status()[0].warnings[0].clone();
    assert!(warning.what.contains("ends on") && warning.due == Some(start.plus(DAY * 40)), "{warning:?}");
    bench.clock.advance(DAY * 30);
    assert!(bench.manager.status()[0].warnings[0].what.contains("ended on"));
}

#[tokio::test]
async fn googles_test_mode_is_warned_of_from_the_first_day() {
    let token_url = Bench::new(imported()).await.endpoint.url().to_owned();
    let test_mode = |provider: &mut Provider| {
        let own = provider.token_url.clone();
        *provider = Provider { test_mode: true, token_url: own, ..google(&token_url) };
    };
    let bench = Bench::with(Grant::AuthorizationCode, test_mode).await.signed_in().await;
    let warning = bench.manager.status()[0].warnings[0].clone();
    assert_eq!(warning.due, Some(bench.clock.now().plus(DAY * 7)));
    assert!(warning.hint.contains("publish the app"), "{warning:?}");
    // What the provider says itself counts more, and is kept over a restart.
    bench.endpoint.reply(Reply::Tokens(json!({ "refresh_token_expires_in": 86_400 })));
    let begun = bench.manager.begin_sign_in("scanner", "http://localhost:1/".parse().unwrap()).unwrap();
    bench.manager.finish_sign_in(&begun.state, "code").await.unwrap();
    let reopened = bench.reopened(&bench.settings, key(1)).await;
    assert_eq!(reopened.status()[0].warnings[0].due, Some(bench.clock.now().plus(DAY)));
}

#[tokio::test]
async fn a_new_key_seals_what_is_there_and_what_comes() {
    let bench = Bench::new(Grant::AuthorizationCode).await;
    let path = bench.folder().join("key");
    let file = SealingKey::load_or_create(&path).unwrap();
    let manager = bench.reopened(&bench.settings, file.clone()).await;
    let begun = manager.begin_sign_in("scanner", "http://localhost:1/".parse().unwrap()).unwrap();
    manager.finish_sign_in(&begun.state, "code").await.unwrap();
    let rotated = manager.rotate_key().await.unwrap();
    assert_eq!((rotated.sealed, rotated.closed), (1, 0));
    let old = bench.reopened(&bench.settings, file).await;
    let refused = old.access_token("scanner", Purpose::Graph).await.unwrap_err();
    assert!(refused.to_string().contains("another key"), "{refused}");
    let new = bench.reopened(&bench.settings, SealingKey::load_or_create(&path).unwrap()).await;
    new.access_token("scanner", Purpose::Smtp).await.unwrap();
    manager.access_token("scanner", Purpose::Smtp).await.unwrap();

    // A crash after the new key was written, and before anything was sealed with it: the next start brings it to its end.
    let both = SealingKey::load_or_create(&path).unwrap().with_a_new_one().unwrap();
    assert!(both.has_older());
    let started = bench.reopened(&bench.settings, SealingKey::load_or_create(&path).unwrap()).await;
    started.access_token("scanner", Purpose::Smtp).await.unwrap();
    let alone = SealingKey::load_or_create(&path).unwrap();
    assert!(!alone.has_older());
    bench.reopened(&bench.settings, alone).await.access_token("scanner", Purpose::Smtp).await.unwrap();
    // One that we do not keep is not ours to exchange.
    let refused = bench.manager.rotate_key().await.unwrap_err().to_string();
    assert!(refused.contains("`$OXPOST_KEY`"), "{refused}");
}

#[tokio::test]
async fn a_program_gets_a_token_with_its_scope_and_what_is_left_of_it() {
    let bench = Bench::new(imported()).await;
    let first = bench.manager.token_for_program("scanner", Purpose::Imap).await.unwrap();
    assert_eq!((first.left, first.token.scope.contains("IMAP.AccessAsUser.All")), (Duration::from_secs(3600), true));
    bench.clock.advance(Duration::from_secs(100));
    let second = bench.manager.token_for_program("scanner", Purpose::Imap).await.unwrap();
    assert_eq!((second.left.as_secs(), bench.endpoint.seen().len()), (3500, 1), "from memory");
    let refused = bench.manager.token_for_program("scanner", Purpose::Gmail).await.unwrap_err();
    assert!(matches!(&refused, TokenError::Configuration { hint, .. } if hint.contains("`graph`")), "{refused:?}");
}

#[tokio::test]
async fn a_restart_is_no_idleness_where_refresh_tokens_do_not_rotate() {
    let bench = Bench::new(Grant::AuthorizationCode).await.signed_in().await;
    for _ in 0..40 {
        bench.clock.advance(DAY);
        bench.endpoint.reply(Reply::Tokens(json!({ "refresh_token": null })));
        bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    }
    assert_eq!(bench.on_disk().as_deref(), Some("s3cret-refresh-1"), "the first is the only one");
    let reopened = bench.reopened(&bench.settings, key(1)).await;
    assert_eq!(reopened.status()[0].warnings, [], "it was used today");
    bench.clock.advance(DAY * 20);
    let reopened = bench.reopened(&bench.settings, key(1)).await;
    assert!(reopened.status()[0].warnings[0].what.contains("for 20 days"), "days when oxpost did not run count");
}

#[tokio::test]
async fn what_only_a_program_asked_for_does_not_make_the_account_a_broken_one() {
    let refused = "AADSTS65001: The user or administrator has not consented to use the application";
    let table = [("consent_required", refused), ("invalid_grant", refused), ("invalid_grant", "something new")];
    for (error, description) in table {
        let bench = Bench::new(imported()).await;
        let body = json!({ "error": error, "error_description": description }).to_string();
        bench.endpoint.reply(Reply::Raw(400, Vec::new(), body.into_bytes()));
        let refused = bench.manager.token_for_program("scanner", Purpose::Ews).await.unwrap_err();
        let step = "let `tokens_for` of account `scanner` name `ews`";
        assert!(refused.hint().is_some_and(|hint| hint.contains(step)), "{refused:?}");
        assert_eq!(bench.manager.status()[0].error, None, "{error}: {description}");
        assert_eq!(bench.witness.count(|event| matches!(event, Event::SignInNeeded { .. })), 0, "{error}");
        bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    }
}

#[tokio::test]
async fn what_an_account_is_set_up_to_give_programs_counts_as_its_own() {
    let bench = Bench::new(imported()).await;
    let mut settings = bench.settings.clone();
    settings.accounts[0].purposes.push(Purpose::Ews);
    bench.manager.reload(settings);
    bench.endpoint.reply(Reply::error(400, "consent_required"));
    let refused = bench.manager.token_for_program("scanner", Purpose::Ews).await.unwrap_err();
    assert!(!refused.hint().unwrap().contains("tokens_for"), "{refused:?}");
    assert_eq!(bench.manager.status()[0].error.as_ref(), Some(&refused));
    assert_eq!(bench.witness.count(|event| matches!(event, Event::SignInNeeded { .. })), 1);
}

#[tokio::test]
async fn no_grant_is_sealed_while_keys_are_exchanged_and_the_exchange_waits_for_those_on_their_way_to_the_disk() {
    let bench = Bench::new(Grant::AuthorizationCode).await;
    let path = bench.folder().join("key");
    let first = SealingKey::load_or_create(&path).unwrap();
    let manager = bench.reopened(&bench.settings, first).await;
    let begun = manager.begin_sign_in("scanner", "http://localhost:1/".parse().unwrap()).unwrap();

    let exchanging = manager.inner.sealing.write().await;
    let signing = manager.clone();
    let signing = tokio::spawn(async move { signing.finish_sign_in(&begun.state, "code").await });
    bench.endpoint.asked(1).await;
    // The answer is taken in up to the point where it is written: then its account is in flight, and stays so.
    while manager.entries()[0].try_flight().is_some() && !signing.is_finished() {
        tokio::task::yield_now().await;
    }
    // Whatever it had handed to the disk would be there before this.
    bench.store.write(|_| Ok(())).await.unwrap();
    assert_eq!(bench.on_disk(), None);
    drop(exchanging);
    signing.await.unwrap().unwrap();

    let text = std::fs::read_to_string(&path).unwrap();
    let writing = manager.inner.sealing.read().await;
    let rotating = manager.clone();
    let rotating = tokio::spawn(async move { rotating.rotate_key().await });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "a grant is being written");
    drop(writing);
    assert_eq!(rotating.await.unwrap().unwrap().sealed, 1);
}

#[tokio::test]
async fn what_others_found_out_stands_with_the_account_and_is_told_once() {
    use crate::token::Warning;
    let bench = Bench::new(imported()).await;
    let of = |what: &str, hint: &str| Some(Warning { what: what.to_owned(), hint: hint.to_owned(), due: None });
    let standing = || bench.manager.status().iter().map(|status| status.warnings.len()).sum::<usize>();
    let told = || bench.witness.count(|event| matches!(event, Event::AccountWarning { .. }));
    for (found, stands, in_all, why) in [
        (of("HTTP 403 (request 1)", "grant it"), 1, 1, "it is news"),
        (of("HTTP 403 (request 2)", "grant it"), 1, 1, "the same again"),
        (of("HTTP 404", "mend it"), 1, 2, "something else"),
        (None, 0, 2, "it is over"),
        (of("HTTP 404", "mend it"), 1, 3, "and begins anew"),
    ] {
        bench.manager.found_out("scanner", "inbox", found);
        assert_eq!((standing(), told()), (stands, in_all), "{why}");
    }
    bench.manager.found_out("nobody", "inbox", of("x", "y"));
    assert_eq!(told(), 3, "an account that is not there has no standing");
}
