//! The page's attackers: a row of docs/security.md each.

use http::{Method, StatusCode};

use super::{Desk, at_the_provider, begin, cookie, csrf, tables, way_back};
use crate::house::{House, Plan, RECIPIENT, SCANNER, letter};

/// Every address that changes something.
const FORMS: [&str; 13] = [
    "/logout",
    "/accounts/scanner/sign-in",
    "/accounts/scanner/paste",
    "/accounts/scanner/paste/begin",
    "/accounts/scanner/test",
    "/accounts/scanner/release",
    "/accounts/scanner/device",
    "/accounts/scanner/consent",
    "/accounts/scanner/confirm",
    "/accounts/scanner/forget",
    "/messages/07070707070707070707070707070707/retry",
    "/messages/07070707070707070707070707070707/drop",
    "/messages/07070707070707070707070707070707/release",
];

#[tokio::test]
async fn attack_csrf_a_form_of_another_place_changes_nothing() {
    let desk = Desk::open("").await;
    let browser = desk.browser().await;
    let (csrf, cookie) = (browser.csrf.as_str(), browser.cookie.as_str());
    for path in FORMS {
        let post = || desk.request(Method::POST, path).header("cookie", cookie);
        let origin = desk.origin.clone();
        let table = [
            (post().header("origin", "https://evil.example").form(&[("csrf", csrf)]), "another origin"),
            (post().header("sec-fetch-site", "cross-site").form(&[("csrf", csrf)]), "another site"),
            (post().header("sec-fetch-site", "same-site").form(&[("csrf", csrf)]), "another port of localhost"),
            (post().form(&[("csrf", csrf)]), "a client that does not say where it comes from"),
            (post().header("origin", &origin).form(&[("x", "y")]), "no token"),
            (post().header("origin", &origin).form(&[("csrf", "guess")]), "another token"),
            (post().header("origin", &origin).form(&[("csrf", cookie)]), "the cookie for a token"),
            (
                post().header("origin", &origin).header("content-type", "text/plain").body(format!("csrf={csrf}")),
                "a body that a form cannot have",
            ),
        ];
        for (request, why) in table {
            assert_eq!(request.send().await.unwrap().status(), StatusCode::FORBIDDEN, "{path}: {why}");
        }
    }
    let reload = || desk.request(Method::POST, "/api/v1/reload").header("cookie", cookie);
    assert_eq!(reload().send().await.unwrap().status(), StatusCode::FORBIDDEN, "the API alike");
    let own = reload().header("origin", &desk.origin).header("x-csrf-token", csrf);
    assert_eq!(own.send().await.unwrap().status(), StatusCode::OK, "a script of ours");
}

#[tokio::test]
async fn attack_rebinding_a_name_that_is_not_ours_gets_nothing() {
    let desk = Desk::open("").await;
    let browser = desk.browser().await;
    let port = desk.port;
    let names = ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "mail.gateway.test"];
    for name in names {
        for path in ["/", "/login", "/admin-of-another", "/api/v1/accounts"] {
            let url = format!("http://127.0.0.1:{port}{path}");
            let request = desk.http.get(url).header("host", format!("{name}:{port}"));
            let answer = request.header("cookie", &browser.cookie).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::MISDIRECTED_REQUEST, "{name}{path}");
            assert!(!answer.text().await.unwrap().contains("scanner"), "{name}{path}");
        }
    }
}

#[tokio::test]
async fn attack_open_redirect_every_redirect_stays_here() {
    let desk = Desk::open("").await;
    let browser = desk.browser().await;
    let port = desk.port;
    for path in ["//evil.example/", "//evil.example/%2e%2e", "/\\evil.example", "/login?next=https://evil.example"] {
        // 127.0.0.1 is sent on to localhost, whatever the path is.
        let answer = desk.http.get(format!("http://127.0.0.1:{port}{path}")).send().await.unwrap();
        let location = answer.headers()["location"].to_str().unwrap().to_owned();
        assert!(location.starts_with(&format!("http://localhost:{port}/")), "{path}: {location}");
    }
    let entered =
        desk.form("/enter?next=https://evil.example", &[("key", &desk.key()), ("next", "https://evil.example")]);
    assert_eq!(entered.send().await.unwrap().headers()["location"], "/");
    let done = browser.send("/accounts/scanner/release?next=//evil.example", &[("next", "//evil.example")]).await;
    assert_eq!(done.headers()["location"], "/accounts/scanner");
}

#[tokio::test]
async fn attack_fixation_a_session_begins_under_a_name_of_its_own() {
    let desk = Desk::open("").await;
    let name = format!("oxpost_{}", desk.port);
    let planted = format!("{name}=planted-by-somebody-else-0123456789abcdefghi");
    let entered = desk.form("/enter", &[("key", &desk.key())]).header("cookie", &planted).send().await.unwrap();
    let fresh = cookie(&entered);
    assert!(fresh.starts_with(&format!("{name}=")) && fresh != planted);
    let with = |cookie: String| desk.get("/").header("cookie", cookie).send();
    assert_eq!(with(planted).await.unwrap().headers()["location"], "/login");
    assert_eq!(with(fresh.clone()).await.unwrap().status(), StatusCode::OK);
    // Coming in again ends the session that the browser had.
    let token = csrf(&with(fresh.clone()).await.unwrap().text().await.unwrap());
    let again = desk.form("/enter", &[("key", &desk.key()), ("csrf", &token)]).header("cookie", &fresh);
    assert_ne!(cookie(&again.send().await.unwrap()), fresh);
    assert_eq!(with(fresh).await.unwrap().headers()["location"], "/login");
}

#[tokio::test]
async fn attack_xss_what_others_wrote_stays_text() {
    const ACCOUNT: &str = "[directory]\naccount = \"alice\"";
    let hostile = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(2)>";
    let plan = Plan { tables: tables(ACCOUNT), bob: Some(hostile.to_owned()), ..Plan::default() };
    let house = House::not_signed_in(plan).await;
    let port = house.control().links.page().unwrap().port().unwrap();
    let desk = Desk::of(house, port);
    desk.house.sign_in("bob").await;
    desk.house.sign_in("alice").await;
    let from = format!("From: \"{}\" <{SCANNER}>", hostile.replace('"', "\\\""));
    let content = letter(SCANNER, RECIPIENT, hostile).replacen(&format!("From: {SCANNER}"), &from, 1);
    let id = desk.house.send(SCANNER, &[RECIPIENT], content).await;
    let browser = desk.browser().await;
    let people = browser.text("/people?search=bob").await;
    let (_, person) = people.split_once("<a class=\"line\" href=\"").unwrap();
    let person = person.split('"').next().unwrap().to_owned();
    for path in [
        format!("/messages/{id}"),
        "/people".to_owned(),
        person.clone(),
        "/messages?state=all".to_owned(),
        "/events".to_owned(),
        "/".to_owned(),
        format!("/messages?search={}", url::form_urlencoded::byte_serialize(hostile.as_bytes()).collect::<String>()),
        format!(
            "/messages?state=all&account={}",
            url::form_urlencoded::byte_serialize(hostile.as_bytes()).collect::<String>()
        ),
        format!("/events?account={}", url::form_urlencoded::byte_serialize(hostile.as_bytes()).collect::<String>()),
    ] {
        let page = browser.get(&path).await;
        let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
        let text = page.text().await.unwrap();
        for piece in ["<script>alert", "<img src=x", "onerror=alert(2)>\""] {
            assert!(!text.contains(piece), "{path} has {piece}");
        }
    }
    for path in [format!("/messages/{id}"), "/people".to_owned(), person] {
        let page = browser.text(&path).await;
        let shown = page.contains("&#60;script&#62;alert(1)") || page.contains("&lt;script&gt;alert(1)");
        assert!(shown, "it is shown on {path}: {page}");
    }
    let file = browser.get(&format!("/messages/{id}/content")).await;
    assert_eq!(file.headers()["content-type"], "message/rfc822");
    assert_eq!(file.headers()["x-content-type-options"], "nosniff");
    assert!(file.headers()["content-disposition"].to_str().unwrap().starts_with("attachment"));
    assert!(file.text().await.unwrap().contains("Text of </title>"));
}

#[tokio::test]
async fn attack_traversal_a_path_leads_to_no_file() {
    let desk = Desk::open("").await;
    let browser = desk.browser().await;
    for path in [
        "/../../etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "/admin.css/../../key",
        "/accounts/..%2f..%2fdata%2fkey",
        "/messages/..%2f..%2fkey/content",
        "/certificate/../key",
        "/api/v1/messages/..%2fkey",
        "/%00",
    ] {
        let answer = browser.get(path).await;
        let status = answer.status();
        assert!(matches!(status, StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST), "{path}: {status}");
        assert!(!answer.text().await.unwrap().contains("root:"), "{path}");
    }
}

#[tokio::test]
async fn attack_bodies_too_large_or_malformed_are_refused() {
    let desk = Desk::open("").await;
    let browser = desk.browser().await;
    let origin = desk.origin.clone();
    let post = |path: &str, kind: &str, body: Vec<u8>| {
        let request = desk.request(Method::POST, path).header("cookie", &browser.cookie).header("origin", &origin);
        request.header("x-csrf-token", &browser.csrf).header("content-type", kind).body(body)
    };
    let (form, json) = ("application/x-www-form-urlencoded", "application/json");
    let table = [
        (post("/accounts/scanner/test", form, vec![b'a'; 1 << 20]), StatusCode::PAYLOAD_TOO_LARGE, "a large form"),
        (post("/api/v1/holds/release", json, vec![b'a'; 1 << 20]), StatusCode::PAYLOAD_TOO_LARGE, "large JSON"),
        (post("/accounts/scanner/test", form, b"to=%ff%fe".to_vec()), StatusCode::SEE_OTHER, "no UTF-8: no address"),
        (
            post("/accounts/scanner/test", form, b"other=1".to_vec()),
            StatusCode::UNPROCESSABLE_ENTITY,
            "a field is missing",
        ),
        (post("/api/v1/holds/release", json, b"{\"account\":".to_vec()), StatusCode::BAD_REQUEST, "JSON that was cut"),
        (post("/api/v1/holds/release", json, b"{\"x\":1}".to_vec()), StatusCode::UNPROCESSABLE_ENTITY, "other JSON"),
        (
            post("/api/v1/holds/release", "text/plain", b"{\"account\":\"a\"}".to_vec()),
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "what a form of another site could send",
        ),
    ];
    for (request, expected, why) in table {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), expected, "{why}");
        assert!(answer.headers().contains_key("content-security-policy"), "{why}");
    }
}

#[tokio::test]
async fn attack_login_csrf_an_answer_counts_in_the_browser_that_began() {
    let desk = Desk::open("").await;
    let browser = desk.browser().await;
    let (url, cookie) = begin(&browser, "scanner").await;
    let location = at_the_provider(&desk, url).await;
    let refused = |cookie: String, path: String| {
        let request = desk.get(&path).header("cookie", cookie);
        async move {
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
            assert!(answer.text().await.unwrap().contains("did not begin here"));
        }
    };
    refused(String::new(), way_back(&location)).await;
    refused(browser.cookie.clone(), way_back(&location)).await;
    let (_, other) = begin(&browser, "bob").await;
    refused(other, way_back(&location)).await;
    let state = |account: &str| {
        let status = desk.control().tokens.status();
        status.into_iter().find(|status| status.account == account).unwrap().words()
    };
    assert_eq!(state("scanner"), "must be signed in");
    let right = desk.get(&way_back(&location)).header("cookie", cookie.clone()).send().await.unwrap();
    assert!(right.text().await.unwrap().contains("scanner is signed in"), "the refused ones spoilt nothing");
    refused(cookie, way_back(&location)).await;
    assert_ne!(state("scanner"), "must be signed in");
}

#[tokio::test]
async fn attack_mix_up_the_answer_of_another_provider_is_refused() {
    let desk = Desk::open("").await;
    let browser = desk.browser().await;
    let (url, cookie) = begin(&browser, "scanner").await;
    let mut location = at_the_provider(&desk, url).await;
    location.query_pairs_mut().append_pair("iss", "https://evil.example/");
    let answered = desk.get(&way_back(&location)).header("cookie", &cookie).send().await.unwrap();
    let page = answered.text().await.unwrap();
    assert!(page.contains("is not signed in") && page.contains("another provider"), "{page}");
}

#[tokio::test]
async fn attack_shapes_one_request_gets_one_answer() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let desk = Desk::open("").await;
    let port = desk.port;
    let host = format!("Host: localhost:{port}\r\n");
    let hidden = format!("GET /login HTTP/1.1\r\n{host}\r\n");
    let length = hidden.len();
    let table = [
        (
            format!("POST /login HTTP/1.1\r\n{host}Content-Length: 0\r\nContent-Length: {length}\r\n\r\n{hidden}"),
            "two lengths",
        ),
        (
            format!("POST /login HTTP/1.1\r\n{host}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}"),
            "an odd coding",
        ),
        (format!("POST /login HTTP/1.1\r\n{host}Content-Length: +0\r\n\r\n{hidden}"), "a signed length"),
        (format!("GET /login HTTP/1.1\r\n{host}{host}\r\n"), "two names"),
        (format!("GET /{} HTTP/1.1\r\n{host}\r\n", "a".repeat(1 << 20)), "a huge address"),
        (format!("GET / HTTP/1.1\r\n{host}{}\r\n", "X: y\r\n".repeat(20_000)), "twenty thousand headers"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), "HTTP/2"),
    ];
    for (request, why) in table {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let _cut_short = stream.write_all(request.as_bytes()).await;
        let _ended = stream.shutdown().await;
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.contains("HTTP/1.1 200"), "{why}: {answer}");
    }
}
