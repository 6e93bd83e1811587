//! Nothing that can be printed shows a secret.

use serde_json::json;

use super::support::{Bench, CLIENT_SECRET, IMPORTED, Reply, imported};
use crate::mail::Failure;
use crate::token::{Grant, Purpose};

/// Every secret of the fixtures, plain and in a form's encoding.
fn assert_clean(shown: &str) {
    let encoded: String = url::form_urlencoded::byte_serialize(CLIENT_SECRET.as_bytes()).collect();
    for secret in [CLIENT_SECRET, &encoded, IMPORTED, "s3cret", "c0de"] {
        assert!(!shown.contains(secret), "`{secret}` is shown in: {shown}");
    }
}

#[tokio::test]
async fn no_debug_display_error_event_or_status_shows_a_secret() {
    let bench = Bench::new(imported()).await;
    let mut shown = format!("{:?} {:?}", bench.settings, super::support::key(1));
    let echo = json!({
        "error": "invalid_request",
        "error_description": format!("your secret {CLIENT_SECRET} and token {IMPORTED} are wrong"),
    });
    bench.endpoint.reply(Reply::Raw(400, Vec::new(), echo.to_string().into_bytes()));
    let refused = bench.manager.access_token("scanner", Purpose::Smtp).await.unwrap_err();
    assert!(refused.to_string().contains("<secret>"), "{refused}");
    shown += &format!("{refused} {refused:?} {:?}", Failure::from(refused.clone()));
    let token = bench.manager.access_token("scanner", Purpose::Graph).await.unwrap();
    shown += &format!("{token:?} {:?} {:?}", bench.manager.status(), bench.witness.events.lock().unwrap());
    assert_clean(&shown);
}

#[tokio::test]
async fn no_step_of_a_sign_in_shows_a_secret() {
    let bench = Bench::new(Grant::AuthorizationCode).await;
    let begun = bench.manager.begin_sign_in("scanner", "http://localhost:1/".parse().unwrap()).unwrap();
    let mut shown = format!("{begun:?}");
    assert!(!shown.contains(&begun.state));
    let echo = json!({ "error": "invalid_grant", "error_description": "bad c0de and s3cret-code?" });
    bench.endpoint.reply(Reply::Raw(400, Vec::new(), echo.to_string().into_bytes()));
    let refused = bench.manager.finish_sign_in(&begun.state, "c0de and s3cret-code?").await.unwrap_err();
    shown += &format!("{refused} {refused:?}");
    let begun = bench.manager.begin_sign_in("scanner", "http://localhost:1/".parse().unwrap()).unwrap();
    let signed_in = bench.manager.finish_sign_in(&begun.state, "c0de").await.unwrap();
    shown += &format!("{signed_in:?} {:?} {:?}", bench.manager.status(), bench.witness.events.lock().unwrap());
    assert_clean(&shown);
}

#[tokio::test]
async fn no_key_and_no_device_code_is_shown() {
    let pem = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().serialize_pem();
    let inside = pem.lines().nth(3).unwrap().to_owned();
    let file = json!({ "type": "service_account", "client_email": "a@b.example", "private_key": pem });
    let account = crate::token::ServiceAccount::from_json(&crate::secret::Secret::new(file.to_string())).unwrap();
    let key = crate::token::AssertionKey::from_pem(&crate::secret::Secret::new(pem), None).unwrap();
    let bench = Bench::with(Grant::DeviceCode, |provider| {
        provider.authentication = crate::token::ClientAuthentication::Key(key);
        provider.service_account = Some(std::sync::Arc::new(account));
    })
    .await;
    let mut settings = bench.settings.clone();
    settings.providers[0].device_url = Some(bench.endpoint.at("/devicecode"));
    bench.manager.reload(settings);
    let mut shown = format!("{:?}", bench.settings);
    shown += &format!("{:?}", bench.manager.begin_device_sign_in("scanner").await.unwrap());
    // A provider that sends back what it was sent.
    let echo = json!({ "error": "access_denied", "error_description": "no: s3cret-device-1" });
    bench.endpoint.reply(Reply::Raw(400, Vec::new(), echo.to_string().into_bytes()));
    bench.endpoint.asked_in_time(2, &bench).await;
    let sent = bench.endpoint.seen()[1]["client_assertion"].clone();
    while let Some(crate::token::DeviceProgress::Waiting(_)) = bench.manager.device_sign_in("scanner") {
        tokio::task::yield_now().await;
    }
    shown += &format!("{:?} {:?}", bench.manager.device_sign_in("scanner"), bench.manager.status());
    assert!(shown.contains("<secret>") && !shown.contains(&inside) && !shown.contains(&sent), "{shown}");
    assert_clean(&shown);
}
