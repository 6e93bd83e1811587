//! What monitoring reads on the page's port, and who may.

use http::StatusCode;
use reqwest::RequestBuilder;

use super::{Desk, KEY, tables};
use crate::house::{RECIPIENT, SCANNER, letter};

const ALL: [&str; 3] = ["/metrics", "/healthz", "/readyz"];

async fn answer(request: RequestBuilder) -> (StatusCode, String) {
    let answer = request.send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_follow_what_happens() {
    let desk = Desk::open("").await;
    let read = async || {
        let answer = desk.get("/metrics").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let kind = answer.headers()["content-type"].to_str().unwrap();
        assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
        answer.text().await.unwrap()
    };
    let has = |text: &str, line: &str| assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    has(&read().await, "oxpost_accepting 1");
    let held = desk.house.send(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, "before the sign-in")).await;
    let event = |event: &oxpost::mail::Event| matches!(event, oxpost::mail::Event::Held { .. }).then_some(());
    desk.house.events.first("the mailbox is held", event).await;
    let text = read().await;
    has(&text, "oxpost_queue_messages{state=\"held\"} 1");
    has(&text, "oxpost_holds 1");
    has(&text, "oxpost_account_needs_somebody{account=\"scanner\"} 1");
    desk.house.clock.advance(std::time::Duration::from_secs(90));
    has(&read().await, "oxpost_queue_oldest_seconds 90.0");
    desk.house.sign_in("scanner").await;
    desk.house.relayed(held).await;
    let text = read().await;
    has(&text, "oxpost_account_needs_somebody{account=\"scanner\"} 0");
    has(&text, "oxpost_messages_accepted_total{client=\"printers\",account=\"scanner\"} 1");
    has(&text, "oxpost_messages_relayed_total{account=\"scanner\",backend=\"smtp\"} 1");
    has(&text, "oxpost_queue_messages{state=\"held\"} 0");
    has(&text, "oxpost_queue_oldest_seconds 0.0");
    assert!(!text.contains(RECIPIENT) && !text.contains(SCANNER), "no address of anybody");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_those_read_whom_the_configuration_names() {
    let desk = Desk::open("").await;
    for path in ALL {
        assert_eq!(answer(desk.get(path)).await.0, StatusCode::OK, "{path}: from this machine");
        let proxied = desk.get(path).header("x-forwarded-for", "198.51.100.7");
        assert_eq!(answer(proxied).await.0, StatusCode::UNAUTHORIZED, "{path}: a proxy came from this machine");
        let rebound = desk.get(path).header("host", "evil.example");
        assert_eq!(answer(rebound).await.0, StatusCode::MISDIRECTED_REQUEST, "{path}: under another's name");
        let wrong = desk.get(path).bearer_auth("reader.wrong");
        assert_eq!(answer(wrong).await.0, StatusCode::UNAUTHORIZED, "{path}: a wrong key is no key");
    }
    let desk = Desk::open("watch_from = [\"192.0.2.0/24\"]").await;
    for path in ALL {
        let (status, text) = answer(desk.get(path)).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}: not from here");
        assert!(text.contains("watch_from"), "{text}");
        let keyed = desk.get(path).header("via", "proxy").bearer_auth(format!("reader.{KEY}"));
        assert_eq!(answer(keyed).await.0, StatusCode::OK, "{path}: a key that may read");
    }
    let no_reader = tables("").replace("[\"read\"]", "[\"send\"]");
    let desk = Desk::with(no_reader).await;
    let keyed = desk.get("/metrics").bearer_auth(format!("reader.{KEY}"));
    assert_eq!(answer(keyed).await.0, StatusCode::FORBIDDEN, "a key for something else");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_room_lives_and_is_not_ready() {
    let desk = Desk::with(tables("") + "[queue]\nreserve = \"9000000 GB\"\n").await;
    assert_eq!(answer(desk.get("/healthz")).await, (StatusCode::OK, "ok\n".to_owned()));
    let (status, text) = answer(desk.get("/readyz")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("too full"), "{text}");
    assert!(answer(desk.get("/metrics")).await.1.contains("\noxpost_accepting 0\n"));
    let desk = Desk::open("").await;
    assert_eq!(answer(desk.get("/readyz")).await, (StatusCode::OK, "ready\n".to_owned()));
}
