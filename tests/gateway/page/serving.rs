//! The page's port: what a reload changes of it, who asks when a proxy stands before it, and what each key may do.

use http::{Method, StatusCode};
use oxpost::account::password;
use oxpost::secret::Secret;
use serde_json::Value;

use super::{Desk, PASSWORD, tables};
use crate::house::Plan;

#[tokio::test]
async fn a_reload_leaves_the_port_as_it_is_bound_and_leads_links_to_a_new_public_name() {
    let desk = Desk::open("").await;
    let browser = desk.browser().await;
    let reload = |more: &str| {
        desk.house.write(&Plan { tables: tables(more), ..Plan::default() });
        desk.control().reload.unwrap()()
    };
    let said = reload("tls = true").await.unwrap();
    assert!(said.contains("restart oxpost for: `[admin]`'s address"), "{said}");
    assert!(browser.text("/").await.contains("Overview"), "the socket speaks no TLS yet: the session goes on");
    let link = desk.control().links.make().unwrap();
    assert_eq!(link.origin().ascii_serialization(), desk.origin, "the link must lead to what is served");

    reload("public_url = \"https://mail.contoso.com\"").await.unwrap();
    let link = desk.control().links.make().unwrap();
    assert_eq!(link.origin().ascii_serialization(), "https://mail.contoso.com");
    reload("").await.unwrap();
    assert_eq!(desk.control().links.make().unwrap().origin().ascii_serialization(), desk.origin);
}

#[tokio::test]
async fn a_reload_shows_no_listener_that_is_not_open_yet() {
    let desk = Desk::open("").await;
    let browser = desk.browser().await;
    assert!(!browser.text("/").await.contains("STARTTLS"));
    let listeners = vec!["tls = \"auto\"".to_owned()];
    desk.house.write(&Plan { tables: tables(""), listeners, ..Plan::default() });
    desk.control().reload.unwrap()().await.unwrap();
    assert!(!browser.text("/").await.contains("STARTTLS"), "it waits for a restart");
}

#[tokio::test]
async fn attack_lock_out_behind_a_proxy_guessing_shuts_the_guesser_out_alone() {
    let hash = password::hash(&Secret::new(PASSWORD)).unwrap();
    let desk = Desk::open(&format!("proxies = [\"127.0.0.0/8\"]\npassword = \"{hash}\"")).await;
    let log_in = |password: &'static str, seen_from: &'static str| {
        desk.form("/login", &[("password", password)]).header("x-forwarded-for", seen_from).send()
    };
    let mut slowed = false;
    for number in 0..25 {
        // Whatever the guesser writes before it, the proxy adds the address it sees.
        let seen_from = if number % 2 == 0 { "203.0.113.9" } else { "198.51.100.1, 203.0.113.9" };
        slowed |= log_in("guess", seen_from).await.unwrap().status() == StatusCode::TOO_MANY_REQUESTS;
    }
    assert!(slowed, "brute force");
    assert_eq!(log_in(PASSWORD, "203.0.113.9").await.unwrap().status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(log_in(PASSWORD, "198.51.100.1").await.unwrap().status(), StatusCode::SEE_OTHER, "the administrator");
}

#[tokio::test]
async fn attack_lock_out_a_link_lets_in_while_passwords_are_guessed() {
    let desk = Desk::with_password().await;
    let mut said = String::new();
    for _ in 0..25 {
        let request = desk.form("/login", &[("password", "guess")]);
        // Nobody said that there is a proxy: this header is the guesser's own.
        let answer = request.header("x-forwarded-for", "198.51.100.1").send().await.unwrap();
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            said = answer.text().await.unwrap();
        }
    }
    assert!(said.contains("oxpost page"), "the way in that is left: {said}");
    let entered = desk.form("/enter", &[("key", &desk.key())]).send().await.unwrap();
    assert_eq!(entered.status(), StatusCode::SEE_OTHER);
}

/// Method, address and needed scope of every operation. Nothing is of the name in the addresses, so that whoever
/// passes changes nothing.
fn operations(document: &Value) -> Vec<(Method, String, String)> {
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let named = |part| if str::starts_with(part, '{') { "nobody" } else { part };
        let place = format!("/api/v1{}", path.split('/').map(named).collect::<Vec<_>>().join("/"));
        for (method, operation) in methods.as_object().unwrap() {
            let needed = operation["x-scope"].as_str().unwrap().to_owned();
            found.push((method.to_uppercase().parse().unwrap(), place.clone(), needed));
        }
    }
    found
}

#[tokio::test]
async fn every_operation_opens_to_the_scope_that_its_description_names_and_to_no_other() {
    const SCOPES: [&str; 6] = ["read", "manage", "content", "send", "people", "token"];
    let hash = password::hash(&Secret::new("secret")).unwrap();
    let key =
        |scope: &str| format!("[[api_key]]\nname = \"only-{scope}\"\nsecret = \"{hash}\"\nscopes = [\"{scope}\"]\n");
    let desk = Desk::open(&SCOPES.map(key).concat()).await;
    let document: Value = desk.get("/api/v1/openapi.json").send().await.unwrap().json().await.unwrap();
    let browser = desk.browser().await;
    let operations = operations(&document);
    assert!(operations.len() > 20, "{operations:?}");
    for (method, place, needed) in operations {
        for scope in SCOPES {
            let request = desk.request(method.clone(), &place);
            let answer = request.header("authorization", format!("Bearer only-{scope}.secret")).send().await.unwrap();
            let status = answer.status();
            let refused = matches!(status, StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED);
            let opens = needed == "none" || needed == scope;
            assert_eq!(refused, !opens, "{method} {place} needs `{needed}`; a key for `{scope}` gets {status}");
        }
        let session = desk.request(method.clone(), &place).header("cookie", &browser.cookie);
        let session = session.header("origin", &desk.origin).header("x-csrf-token", &browser.csrf);
        let refused = session.send().await.unwrap().status() == StatusCode::FORBIDDEN;
        assert_eq!(refused, matches!(&*needed, "owner" | "token"), "{method} {place} needs `{needed}`: a browser");
    }
}
