//! Signing in and what follows, through the operations that the page and the command line use.

use std::time::Duration;

use oxpost::mail::Event;
use oxpost::practice::{Fault, Rule, TokenFault};
use serde_json::{Value, json};

use crate::house::{ALICE, BOB, House, Plan, RECIPIENT, SCANNER, letter};

/// Opens a page as a browser does, as `who`; gives the address that the browser is sent back to.
async fn browse(url: &str, who: &str) -> String {
    let mut url: url::Url = url.parse().unwrap();
    let others: Vec<_> = url
        .query_pairs()
        .filter(|(name, _)| name != "login_hint")
        .map(|p| (p.0.into_owned(), p.1.into_owned()))
        .collect();
    url.query_pairs_mut().clear().extend_pairs(others).extend_pairs([("login_hint", who), ("practice_auto", "1")]);
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
    let answer = browser.get(url).send().await.unwrap();
    answer.headers()["location"].to_str().unwrap().to_owned()
}

async fn begin(house: &House, account: &str) -> String {
    let request = json!({ "redirect_uri": "http://localhost:8027/" }).to_string();
    let begun = house.post(&format!("/api/v1/accounts/{account}/sign-in"), &request).await;
    begun["url"].as_str().unwrap().to_owned()
}

async fn finish(house: &House, redirected: String) -> Value {
    house.post("/api/v1/sign-in", &json!({ "url": redirected }).to_string()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_typed_elsewhere_signs_in_and_held_mail_goes_by_itself() {
    let house = House::not_signed_in(Plan::default()).await;
    house.send(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, "held")).await;
    house.events.first("the mail is held", |event| matches!(event, Event::Held { .. }).then_some(())).await;
    house.tenant.switches().set(|knobs| knobs.device_interval = Duration::from_secs(1));
    let path = "/api/v1/accounts/scanner/device-sign-in";
    let begun = house.post(path, "").await;
    assert!(begun["verification_uri"].as_str().unwrap().ends_with("/devicelogin"), "{begun}");
    assert!(house.get(path).await.1.contains("\"state\":\"waiting\""));
    assert!(house.tenant.type_code(begun["user_code"].as_str().unwrap(), Some(SCANNER)));
    house.clock.advance(Duration::from_secs(1));
    house.only_one().await;
    assert!(house.get(path).await.1.contains("\"state\":\"signed-in\""));
    assert_eq!(house.tenant.findings(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_combined_consent_is_refused_the_sign_in_leads_from_page_to_page() {
    let house = House::not_signed_in(Plan::default()).await;
    house.tenant.switches().set(|knobs| knobs.combined_consent = false);
    let first = finish(&house, browse(&begin(&house, "alice").await, ALICE).await).await;
    assert_eq!((&first["account"], &first["name"]), (&json!("alice"), &Value::Null), "{first}");
    let second = finish(&house, browse(first["next"].as_str().unwrap(), ALICE).await).await;
    assert_eq!(second["name"], ALICE, "{second}");
    let third = finish(&house, browse(second["next"].as_str().unwrap(), ALICE).await).await;
    assert_eq!((&third["next"], &third["question"]), (&Value::Null, &Value::Null), "{third}");
    for purpose in ["graph", "smtp"] {
        let (status, answer) = house.get(&format!("/api/v1/accounts/alice/token?for={purpose}")).await;
        assert!(status.is_success(), "{purpose}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_waits_while_it_is_asked_who_signed_in() {
    let house = House::not_signed_in(Plan::default()).await;
    let finished = finish(&house, browse(&begin(&house, "scanner").await, BOB).await).await;
    assert!(finished["question"].as_str().unwrap().contains(BOB), "{finished}");
    house.send(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, "held")).await;
    let held = |event: &Event| if let Event::Held { failure, .. } = event { Some(failure.to_string()) } else { None };
    let why = house.events.first("the mail is held", held).await;
    assert!(why.contains(BOB) && why.contains("--confirm"), "{why}");
    assert_eq!(house.tenant.mail_count(), 0);
    // The right person signs in instead.
    let finished = finish(&house, browse(&begin(&house, "scanner").await, SCANNER).await).await;
    assert_eq!(finished["question"], Value::Null);
    house.only_one().await;
    // Or it is said that the name is meant.
    finish(&house, browse(&begin(&house, "scanner").await, ALICE).await).await;
    house.post("/api/v1/accounts/scanner/confirm", "").await;
    let (status, _) = house.get("/api/v1/accounts/scanner/token?for=smtp").await;
    assert!(status.is_success());
    let (status, answer) = house.call("POST", "/api/v1/accounts/scanner/confirm", "").await;
    assert_eq!(status, 409, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_gets_a_token_and_never_what_it_came_from() {
    let house = House::new().await;
    let (status, answer) = house.get("/api/v1/accounts/alice/token?for=graph").await;
    assert!(status.is_success(), "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["token"]["token_type"], "Bearer");
    assert!(answer["token"]["scope"].as_str().unwrap().contains("Mail.Send"));
    assert!(answer["token"]["expires_in"].as_u64().unwrap() <= 3_599);
    assert!(answer["token"].get("refresh_token").is_none());
    let ends = house.clock.now().plus(Duration::from_secs(answer["token"]["expires_in"].as_u64().unwrap())).to_string();
    assert_eq!(answer["tokenExpiration"], ends);
    for (path, status) in [
        ("/api/v1/accounts/scanner/token?for=gmail", 409),
        ("/api/v1/accounts/scanner/token?for=everything", 400),
        ("/api/v1/accounts/scanner/token", 400),
        ("/api/v1/accounts/nobody/token?for=smtp", 404),
    ] {
        assert_eq!(house.get(path).await.0, status, "{path}");
    }
}

/// A place that takes notices; gives its address and what was posted there.
pub(crate) async fn webhook() -> (String, tokio::sync::mpsc::Receiver<Value>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/notices", listener.local_addr().unwrap());
    let (sender, posted) = tokio::sync::mpsc::channel(8);
    let take = move |axum::Json(notice): axum::Json<Value>| async move { drop(sender.send(notice).await) };
    let router = axum::Router::new().route("/notices", axum::routing::post(take));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, posted)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_is_told_of_an_account_that_needs_somebody() {
    let (url, mut posted) = webhook().await;
    let tables = format!("notify = \"alice\"\nnotify_to = \"admin@practice.example\"\nnotify_webhook = \"{url}\"\n");
    let house = House::start(Plan { tables, ..Plan::default() }).await;
    house.clock.advance(Duration::from_secs(7_200));
    house.tenant.switches().inject(Rule::once(Fault::Token(TokenFault::InvalidGrant)).only_for(SCANNER));
    house.send(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, "held")).await;
    let notice = house.only_one().await;
    let text = String::from_utf8_lossy(&notice.raw).replace("=\r\n", "");
    for part in [
        "account scanner needs you",
        "admin@practice.example",
        "AADSTS700082",
        "oxpost login scanner",
        "auto-generated",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    assert_eq!(notice.recipients, ["admin@practice.example"]);
    let notice = posted.recv().await.unwrap();
    assert_eq!((&notice["account"], &notice["kind"]), (&json!("scanner"), &json!("sign-in-needed")), "{notice}");
    assert!(notice["hint"].as_str().unwrap().contains("oxpost login scanner"), "{notice}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_microsoft_refuses_is_explained_where_the_mail_is_held() {
    let table = [
        (90094, "/adminconsent?client_id=", "an administrator must consent"),
        (53003, "sign-in log", "Conditional Access"),
        (50173, "oxpost login scanner", "a password was changed"),
        (7_000_218, "Allow public client flows", "the wrong platform"),
        (50034, "oxpost login scanner", "nobody of that name here"),
    ];
    for (number, step, why) in table {
        let house = House::new().await;
        house.clock.advance(Duration::from_secs(7_200));
        house.tenant.switches().inject(Rule::always(Fault::Token(TokenFault::Aadsts(number))).only_for(SCANNER));
        house.send(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, "held")).await;
        let held =
            |event: &Event| if let Event::Held { failure, .. } = event { Some(failure.to_string()) } else { None };
        let said = house.events.first("the mail is held", held).await;
        assert!(said.contains(&format!("AADSTS{number}")) && said.contains(step), "{why}: {said}");
        assert_eq!(house.tenant.mail_count(), 0, "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sealing_key_is_exchanged_while_the_gateway_runs() {
    let mut house = House::new().await;
    let before = std::fs::read_to_string(house.path("data/key")).unwrap();
    let rotated = house.post("/api/v1/key/rotate", "").await;
    assert_eq!((rotated["sealed"].as_u64().unwrap() > 0, rotated["closed"].as_u64()), (true, Some(0)), "{rotated}");
    let after = std::fs::read_to_string(house.path("data/key")).unwrap();
    assert!(before != after && after.split_whitespace().count() == 1);
    house.restart().await;
    house.send(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, "as before")).await;
    house.only_one().await;
}
