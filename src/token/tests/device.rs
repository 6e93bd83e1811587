//! Sign-ins by device code.

use serde_json::json;

use super::support::{Bench, Reply, google};
use crate::token::{DeviceProgress, Grant, Purpose, TokenError};

/// A bench whose provider gives codes out.
async fn bench() -> Bench {
    let bench = Bench::new(Grant::DeviceCode).await;
    let mut settings = bench.settings.clone();
    settings.providers[0].device_url = Some(bench.endpoint.at("/devicecode"));
    bench.manager.reload(settings);
    bench
}

/// Moves the clock on until the sign-in has come to its end.
async fn ended(bench: &Bench) -> DeviceProgress {
    loop {
        match bench.manager.device_sign_in("scanner").unwrap() {
            DeviceProgress::Waiting(_) => {
                bench.clock.advance(std::time::Duration::from_secs(1));
                bench.manager.inner.tick.notify_waiters();
                tokio::task::yield_now().await;
            }
            end @ (DeviceProgress::SignedIn(_) | DeviceProgress::Failed(_)) => return end,
        }
    }
}

#[tokio::test]
async fn a_code_is_followed_to_its_end_and_subscribers_hear_of_it() {
    let bench = bench().await;
    let mut names = bench.manager.subscribe();
    let begun = bench.manager.begin_device_sign_in("scanner").await.unwrap();
    assert_eq!((begun.user_code.as_str(), begun.verification_uri.as_str()), ("CODE-1", "https://login.example/device"));
    for error in ["authorization_pending", "slow_down", "authorization_pending"] {
        bench.endpoint.reply(Reply::error(400, error));
    }
    bench.endpoint.reply(Reply::Raw(503, Vec::new(), Vec::new()));
    bench.endpoint.asked_in_time(5, &bench).await;
    assert_eq!(bench.manager.device_sign_in("scanner"), Some(DeviceProgress::Waiting(begun)));
    let DeviceProgress::SignedIn(signed_in) = ended(&bench).await else { panic!("no sign-in") };
    assert_eq!((signed_in.account.as_str(), names.recv().await.unwrap().as_str()), ("scanner", "scanner"));
    let seen = bench.endpoint.seen();
    let scope =
        "https://graph.microsoft.com/Mail.Send https://outlook.office.com/SMTP.Send offline_access openid profile";
    assert_eq!((&*seen[0]["@path"], &*seen[0]["scope"], &*seen[0]["client_id"]), ("/devicecode", scope, "client-id"));
    assert_eq!(seen[5]["grant_type"], "urn:ietf:params:oauth:grant-type:device_code");
    assert_eq!((&*seen[5]["device_code"], &*seen[5]["client_id"]), ("s3cret-device-1", "client-id"));
    assert_eq!(bench.on_disk().as_deref(), Some("s3cret-refresh-6"));
    bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap();
    assert_eq!(bench.endpoint.seen()[6]["refresh_token"], "s3cret-refresh-6");
}

#[tokio::test]
async fn where_all_at_once_is_refused_one_code_follows_the_other() {
    let bench = bench().await;
    bench.endpoint.reply(Reply::error(400, "invalid_scope"));
    let first = bench.manager.begin_device_sign_in("scanner").await.unwrap();
    assert_eq!(first.user_code, "CODE-2");
    let DeviceProgress::SignedIn(_) = ended(&bench).await else { panic!("no sign-in") };
    let asked: Vec<_> = bench.endpoint.seen().into_iter().filter(|form| form["@path"] == "/devicecode").collect();
    let scopes: Vec<_> = asked.iter().map(|form| form["scope"].split(' ').next().unwrap().to_owned()).collect();
    let graph = "https://graph.microsoft.com/Mail.Send";
    assert_eq!(scopes, [graph, graph, "https://outlook.office.com/SMTP.Send"]);
    assert!(!asked[1]["scope"].contains("SMTP"), "one resource alone");
}

#[tokio::test]
async fn whoever_declines_or_lets_the_code_pass_ends_it_with_the_next_step() {
    let table = [
        (Some(Reply::error(400, "authorization_declined")), "declined", "accept"),
        (Some(Reply::error(400, "access_denied")), "declined", "accept"),
        (Some(Reply::error(400, "expired_token")), "expired", "oxpost login scanner"),
        (None, "in time", "--device"),
    ];
    for (reply, cause, step) in table {
        let bench = bench().await;
        let is_late = reply.is_none();
        if is_late {
            let body = json!({
                "device_code": "c", "user_code": "u", "verification_uri": "https://l.example/", "expires_in": 3,
            });
            bench.endpoint.reply(Reply::Raw(200, Vec::new(), body.to_string().into_bytes()));
        }
        bench.manager.begin_device_sign_in("scanner").await.unwrap();
        reply.into_iter().for_each(|reply| bench.endpoint.reply(reply));
        let DeviceProgress::Failed(TokenError::SignInNeeded { why, hint }) = ended(&bench).await else {
            panic!("{cause}")
        };
        assert!(why.contains(cause) && hint.contains(step), "{why}; {hint}");
        assert_eq!(bench.endpoint.seen().len(), if is_late { 1 } else { 2 });
    }
}

#[tokio::test]
async fn a_newer_code_takes_the_place_of_the_one_before() {
    let bench = bench().await;
    bench.manager.begin_device_sign_in("scanner").await.unwrap();
    bench.manager.begin_device_sign_in("scanner").await.unwrap();
    let DeviceProgress::SignedIn(_) = ended(&bench).await else { panic!("no sign-in") };
    let seen = bench.endpoint.seen();
    assert_eq!((seen.len(), &*seen[2]["device_code"]), (3, "s3cret-device-2"));
}

#[tokio::test]
async fn who_has_no_codes_says_what_to_do_instead() {
    let token_url = bench().await.endpoint.url().to_owned();
    let google = Bench::with(Grant::AuthorizationCode, |provider| *provider = google(&token_url)).await;
    let no_endpoint = Bench::new(Grant::AuthorizationCode).await;
    let app = Bench::new(Grant::ClientCredentials).await;
    for (bench, hint) in [(google, "--paste"), (no_endpoint, "token_url"), (app, "authorization-code")] {
        let mut settings = bench.settings.clone();
        settings.providers[0].authorize_url = Some("https://login.example/auth".parse().unwrap());
        bench.manager.reload(settings);
        let refused = bench.manager.begin_device_sign_in("scanner").await.unwrap_err();
        let hint = if hint == "token_url" { "device_authorization_url" } else { hint };
        assert!(
            matches!(&refused, TokenError::Configuration { .. }) && refused.to_string().contains(hint),
            "{refused}"
        );
        assert_eq!(bench.manager.device_sign_in("scanner"), None);
    }
}

#[tokio::test]
async fn how_a_sign_in_ended_is_told_until_somebody_has_seen_it() {
    let bench = bench().await;
    bench.manager.begin_device_sign_in("scanner").await.unwrap();
    let end = ended(&bench).await;
    assert_eq!(bench.manager.device_sign_in("scanner"), Some(end));
    bench.manager.drop_device_sign_in("scanner");
    assert_eq!(bench.manager.device_sign_in("scanner"), None);
    let second = bench.manager.begin_device_sign_in("scanner").await.unwrap();
    assert_eq!(bench.manager.device_sign_in("scanner"), Some(DeviceProgress::Waiting(second)), "and once more");
}
