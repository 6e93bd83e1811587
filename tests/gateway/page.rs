//! The page as browsers, programs with a key and attackers meet it. `attacks` is the table that docs/security.md
//! speaks of; each row is a test.

use std::time::Duration;

use http::{Method, StatusCode};
use oxpost::account::password;
use oxpost::front::admin::{Control, Problem};
use oxpost::secret::Secret;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response};
use url::Url;

use crate::house::{House, Plan, RECIPIENT, SCANNER, letter};

const PASSWORD: &str = "an administrator's password";
const KEY: &str = "a-key-of-a-program";

/// A gateway with a page, and its address.
struct Desk {
    house: House,
    place: Url,
    http: Client,
}

/// A browser that is signed in.
struct Browser<'d> {
    desk: &'d Desk,
    cookie: String,
    csrf: String,
}

fn tables(more: &str) -> String {
    let hash = |secret: &str| password::hash(&Secret::new(secret)).unwrap();
    format!(
        "[admin]\nlisten = \"localhost:0\"\n{more}\n[[api_key]]\nname = \"reader\"\nsecret = \"{}\"\nscopes = [\"read\"]\n",
        hash(KEY)
    )
}

impl Desk {
    async fn open(more: &str) -> Self {
        let house = House::not_signed_in(Plan { tables: tables(more), ..Plan::default() }).await;
        let place = house.control().links.page().unwrap();
        let http = Client::builder().redirect(Policy::none()).no_proxy().build().unwrap();
        Self { house, place, http }
    }

    async fn with_password() -> Self {
        let hash = password::hash(&Secret::new(PASSWORD)).unwrap();
        Self::open(&format!("password = \"{hash}\"")).await
    }

    fn origin(&self) -> String {
        self.place.origin().ascii_serialization()
    }

    /// A request as a browser at `localhost` makes it.
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let port = self.place.port().unwrap();
        // By the address, so that no name need be looked up; `Host` says what the browser believes.
        let url = format!("http://127.0.0.1:{port}{path}");
        self.http.request(method, url).header("host", format!("localhost:{port}"))
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    /// A form that was sent from this page.
    fn form(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let form = self.request(Method::POST, path).header("origin", self.origin());
        form.header("sec-fetch-site", "same-origin").form(fields)
    }

    fn key(&self) -> String {
        let link = self.house.control().links.make().unwrap();
        link.query_pairs().next().unwrap().1.into_owned()
    }

    async fn browser(&self) -> Browser<'_> {
        let entered = self.form("/enter", &[("key", &self.key())]).send().await.unwrap();
        assert_eq!(entered.status(), StatusCode::SEE_OTHER);
        let cookie = cookie(&entered);
        let overview = self.get("/").header("cookie", &cookie).send().await.unwrap();
        assert_eq!(overview.status(), StatusCode::OK);
        let csrf = csrf(&overview.text().await.unwrap());
        Browser { desk: self, cookie, csrf }
    }

    fn control(&self) -> Control {
        self.house.control()
    }
}

impl Browser<'_> {
    async fn get(&self, path: &str) -> Response {
        self.desk.get(path).header("cookie", &self.cookie).send().await.unwrap()
    }

    async fn text(&self, path: &str) -> String {
        let page = self.get(path).await;
        assert_eq!(page.status(), StatusCode::OK, "{path}");
        page.text().await.unwrap()
    }

    async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        let fields: Vec<_> = fields.iter().copied().chain([("csrf", self.csrf.as_str())]).collect();
        self.desk.form(path, &fields).header("cookie", &self.cookie).send().await.unwrap()
    }
}

/// The first cookie that was set, as it goes back.
fn cookie(response: &Response) -> String {
    let set = response.headers()["set-cookie"].to_str().unwrap();
    set.split(';').next().unwrap().to_owned()
}

fn csrf(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"csrf\" value=\"").expect("a form has the token");
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_link_lets_one_browser_in_once() {
    let desk = Desk::open("").await;
    assert_eq!(desk.get("/").send().await.unwrap().headers()["location"], "/login");
    let key = desk.key();
    let looked = desk.get(&format!("/enter?key={key}")).send().await.unwrap();
    assert_eq!(looked.status(), StatusCode::OK, "looking does not use it up");
    let entered = desk.form("/enter", &[("key", &key)]).send().await.unwrap();
    let set = entered.headers()["set-cookie"].to_str().unwrap().to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(set.contains(part), "{set}");
    }
    let again = desk.form("/enter", &[("key", &key)]).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::FORBIDDEN);
    let cookie = cookie(&entered);
    let page = desk.get("/").header("cookie", &cookie).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    let left = desk.form("/logout", &[("csrf", &csrf(&page.text().await.unwrap()))]).header("cookie", &cookie);
    left.send().await.unwrap();
    let after = desk.get("/").header("cookie", &cookie).send().await.unwrap();
    assert_eq!(after.headers()["location"], "/login", "the session ended");
}

#[tokio::test]
async fn the_password_lets_in_and_guessing_is_slowed() {
    let desk = Desk::with_password().await;
    let log_in = |password: &'static str| desk.form("/login", &[("password", password)]).send();
    let right = log_in(PASSWORD).await.unwrap();
    assert_eq!((right.status(), &right.headers()["location"]), (StatusCode::SEE_OTHER, &"/".parse().unwrap()));
    let mut slowed = false;
    for _ in 0..25 {
        let wrong = log_in("guess").await.unwrap();
        assert!(!wrong.headers().contains_key("set-cookie"), "a wrong password begins no session");
        slowed |= wrong.status() == StatusCode::TOO_MANY_REQUESTS;
    }
    assert!(slowed, "brute force");
    assert_eq!(log_in(PASSWORD).await.unwrap().status(), StatusCode::TOO_MANY_REQUESTS, "whatever comes next");
    desk.house.clock.advance(Duration::from_secs(60));
    assert_eq!(log_in(PASSWORD).await.unwrap().status(), StatusCode::SEE_OTHER, "a minute later");
}

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
        let origin = desk.origin();
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
    let own = reload().header("origin", desk.origin()).header("x-csrf-token", csrf);
    assert_eq!(own.send().await.unwrap().status(), StatusCode::OK, "a script of ours");
}

#[tokio::test]
async fn attack_rebinding_a_name_that_is_not_ours_gets_nothing() {
    let desk = Desk::open("").await;
    let browser = desk.browser().await;
    let port = desk.place.port().unwrap();
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
    let port = desk.place.port().unwrap();
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
    let name = format!("oxpost_{}", desk.place.port().unwrap());
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
    let desk = Desk::open("").await;
    desk.house.sign_in("bob").await;
    let hostile = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(2)>";
    let from = format!("From: \"{}\" <{SCANNER}>", hostile.replace('"', "\\\""));
    let content = letter(SCANNER, RECIPIENT, hostile).replacen(&format!("From: {SCANNER}"), &from, 1);
    let id = desk.house.send(SCANNER, &[RECIPIENT], content).await;
    let browser = desk.browser().await;
    for path in [
        format!("/messages/{id}"),
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
    let page = browser.text(&format!("/messages/{id}")).await;
    assert!(
        page.contains("&#60;script&#62;alert(1)") || page.contains("&lt;script&gt;alert(1)"),
        "it is shown: {page}"
    );
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
    let origin = desk.origin();
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
        assert_eq!(request.send().await.unwrap().status(), expected, "{why}");
    }
}

/// Begins a sign-in on the page; returns the provider's address and the cookie for the way back.
async fn begin(browser: &Browser<'_>, account: &str) -> (Url, String) {
    let onward = browser.send(&format!("/accounts/{account}/sign-in"), &[]).await;
    assert_eq!(onward.status(), StatusCode::OK, "not a redirect: `form-action` would hold for all of them");
    let cookie = cookie(&onward);
    let page = onward.text().await.unwrap();
    let (_, rest) = page.split_once("class=\"button primary\" href=\"").unwrap();
    let url = rest.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    (url.parse().unwrap(), cookie)
}

/// What the provider sends the browser back with.
async fn at_the_provider(desk: &Desk, mut url: Url) -> Url {
    url.query_pairs_mut().append_pair("practice_auto", "1");
    let answer = desk.http.get(url).send().await.unwrap();
    answer.headers()["location"].to_str().unwrap().parse().unwrap()
}

fn way_back(location: &Url) -> String {
    format!("{}?{}", location.path(), location.query().unwrap())
}

#[tokio::test]
async fn somebody_signs_in_from_the_page() {
    let desk = Desk::open("").await;
    let browser = desk.browser().await;
    let held = desk.house.send(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, "waits for the sign-in")).await;
    let (url, cookie) = begin(&browser, "scanner").await;
    let location = at_the_provider(&desk, url).await;
    assert!(location.as_str().starts_with(&format!("{}/?", desk.origin())), "{location}");
    // Without the session's cookie: SameSite=Strict keeps it back on a navigation from another site.
    let answered = desk.get(&way_back(&location)).header("cookie", &cookie).send().await.unwrap();
    assert_eq!(answered.status(), StatusCode::OK, "a page, not a redirect");
    assert_eq!(answered.headers()["referrer-policy"], "no-referrer");
    assert_eq!(answered.headers()["cache-control"], "no-store");
    let page = answered.text().await.unwrap();
    assert!(page.contains("scanner is signed in") && page.contains("href=\"/accounts/scanner\""), "{page}");
    for (_, secret) in location.query_pairs() {
        assert!(!page.contains(&*secret), "code and state are on no page");
    }
    desk.house.relayed(held).await;
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
async fn a_key_opens_what_it_was_given_and_nothing_else() {
    let desk = Desk::open("").await;
    let with = |method: Method, path: &str, key: &str| {
        desk.request(method, path).header("authorization", format!("Bearer {key}"))
    };
    let key = format!("reader.{KEY}");
    let table = [
        (with(Method::GET, "/api/v1/accounts", &key), StatusCode::OK, "what it was given"),
        (with(Method::GET, "/api/v1/overview", &key), StatusCode::OK, "what it was given"),
        (with(Method::POST, "/api/v1/reload", &key), StatusCode::FORBIDDEN, "it may only read"),
        (with(Method::POST, "/api/v1/page-link", &key), StatusCode::FORBIDDEN, "for the owner alone"),
        (with(Method::GET, "/api/v1/accounts", "reader.wrong"), StatusCode::UNAUTHORIZED, "a wrong secret"),
        (with(Method::GET, "/api/v1/accounts", "other.x"), StatusCode::UNAUTHORIZED, "no such key"),
        (with(Method::GET, "/", &key), StatusCode::SEE_OTHER, "pages are for people"),
        (desk.get("/api/v1/accounts"), StatusCode::UNAUTHORIZED, "nobody"),
        (with(Method::GET, "/api/v1/nothing", &key), StatusCode::NOT_FOUND, "no such operation"),
        (with(Method::PUT, "/api/v1/accounts", &key), StatusCode::METHOD_NOT_ALLOWED, "no such method"),
    ];
    for (request, expected, why) in table {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), expected, "{why}");
        if expected.is_client_error() {
            assert_eq!(answer.headers()["content-type"], "application/problem+json", "{why}");
            let problem: Problem = answer.json().await.unwrap();
            assert_eq!(problem.status, expected.as_u16());
        }
    }
}

#[tokio::test]
async fn every_answer_says_how_it_is_to_be_treated() {
    let desk = Desk::open("").await;
    let browser = desk.browser().await;
    for path in [
        "/",
        "/login",
        "/accounts",
        "/accounts/scanner",
        "/messages",
        "/people",
        "/events",
        "/nothing",
        "/api/v1/accounts",
    ] {
        let answer = browser.get(path).await;
        let headers = answer.headers();
        let policy = headers["content-security-policy"].to_str().unwrap();
        for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        assert_eq!(headers["referrer-policy"], "same-origin", "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["x-frame-options"], "DENY", "{path}");
    }
}

#[tokio::test]
async fn people_work_on_messages() {
    let desk = Desk::open("").await;
    let browser = desk.browser().await;
    let sent = browser.send("/accounts/scanner/test", &[("to", RECIPIENT)]).await;
    let place = sent.headers()["location"].to_str().unwrap().to_owned();
    let held = |event: &oxpost::mail::Event| matches!(event, oxpost::mail::Event::Held { .. }).then_some(());
    desk.house.events.first("it is held", held).await;
    let page = browser.text(&place).await;
    assert!(page.contains("Test message from oxpost") && page.contains("Release its mailbox"), "{page}");
    assert!(browser.text("/messages?state=held").await.contains(RECIPIENT));
    assert!(browser.text("/").await.contains("Mail is held"));
    let dropped = browser.send(&format!("{place}/drop"), &[]).await;
    assert_eq!(dropped.headers()["location"], place.as_str());
    let page = browser.text(&place).await;
    assert!(page.contains("the message is dropped") && page.contains(">dropped<"), "{page}");
    assert!(!browser.text(&place).await.contains("the message is dropped"), "said once");
    let bad = browser.send("/accounts/scanner/test", &[("to", "nobody")]).await;
    let page = browser.text(bad.headers()["location"].to_str().unwrap()).await;
    assert!(page.contains("is no address"), "{page}");
}

#[tokio::test]
async fn an_account_is_signed_in_with_a_code_and_forgotten() {
    let desk = Desk::open("").await;
    let browser = desk.browser().await;
    assert!(browser.text("/accounts/bob/device").await.contains("Get a code"));
    let begun = browser.send("/accounts/bob/device", &[]).await;
    assert_eq!(begun.headers()["location"], "/accounts/bob/device");
    let page = browser.text("/accounts/bob/device").await;
    assert!(page.contains("Type this code"), "{page}");
    desk.house.sign_in("bob").await;
    let forgotten = browser.send("/accounts/bob/forget", &[]).await;
    let page = browser.text(forgotten.headers()["location"].to_str().unwrap()).await;
    assert!(page.contains("the sign-in of bob is forgotten") && page.contains("must be signed in"), "{page}");
}

#[tokio::test]
async fn an_administrator_is_led_to_consent_and_back() {
    let desk = Desk::open("").await;
    let browser = desk.browser().await;
    let onward = browser.send("/accounts/scanner/consent", &[]).await;
    let cookie = cookie(&onward);
    let page = onward.text().await.unwrap();
    let (_, rest) = page.split_once("class=\"button primary\" href=\"").unwrap();
    let url: Url = rest.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&").parse().unwrap();
    assert!(url.path().ends_with("/v2.0/adminconsent"), "{url}");
    let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let table = [
        (format!("/?admin_consent=True&tenant=t&state={state}"), String::new(), "did not begin here"),
        (
            format!("/?admin_consent=True&tenant=t&state={state}"),
            cookie.clone(),
            "An administrator of the tenant agreed",
        ),
        (format!("/?admin_consent=True&tenant=t&state={state}"), cookie, "did not begin here"),
    ];
    for (path, cookie, expected) in table {
        let page = desk.get(&path).header("cookie", cookie).send().await.unwrap().text().await.unwrap();
        assert!(page.contains(expected), "{expected}: {page}");
    }
}

#[tokio::test]
async fn people_are_looked_up_on_the_page() {
    let plain = Desk::open("").await;
    assert!(plain.browser().await.text("/people").await.contains("No account looks people up yet"));
    let desk = Desk::open("[directory]\naccount = \"alice\"").await;
    desk.house.sign_in("alice").await;
    let browser = desk.browser().await;
    let page = browser.text("/people?search=bob").await;
    assert!(page.contains("bob@practice.example") && !page.contains("scanner@practice.example"), "{page}");
    let (_, rest) = page.split_once("<a class=\"line\" href=\"").unwrap();
    let details = browser.text(rest.split('"').next().unwrap()).await;
    assert!(details.contains("User principal name"), "{details}");
    assert!(browser.text("/people/nobody@practice.example").await.contains("Next step"));
}

#[tokio::test]
async fn attack_shapes_one_request_gets_one_answer() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let desk = Desk::open("").await;
    let port = desk.place.port().unwrap();
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
        (format!("GET /login HTTP/1.1\r\n{host}{host}\r\n{hidden}"), "two names"),
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

#[tokio::test]
async fn another_password_ends_every_session() {
    let desk = Desk::with_password().await;
    let browser = desk.browser().await;
    let hash = password::hash(&Secret::new("another password")).unwrap();
    desk.house.write(&Plan { tables: tables(&format!("password = \"{hash}\"")), ..Plan::default() });
    let reloaded = desk.control().reload.unwrap()().await.unwrap();
    assert!(!reloaded.contains("[admin]"), "a password is swapped: {reloaded}");
    assert_eq!(browser.get("/").await.headers()["location"], "/login");
    let old = desk.form("/login", &[("password", PASSWORD)]).send().await.unwrap();
    assert_eq!(old.status(), StatusCode::UNAUTHORIZED);
    let new = desk.form("/login", &[("password", "another password")]).send().await.unwrap();
    assert_eq!(new.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn with_tls_the_cookie_is_for_tls_alone() {
    let desk = Desk::open("tls = true").await;
    assert_eq!(desk.place.scheme(), "https");
    let ca = reqwest::Certificate::from_pem(&std::fs::read(desk.house.ca()).unwrap()).unwrap();
    let port = desk.place.port().unwrap();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let name = crate::client::HOSTNAME;
    let http = Client::builder().redirect(Policy::none()).no_proxy().tls_certs_only([ca]).resolve(name, address);
    let http = http.build().unwrap();
    let enter = http.post(format!("https://{name}:{port}/enter")).header("host", format!("localhost:{port}"));
    let enter = enter.header("origin", desk.origin()).form(&[("key", desk.key())]);
    let set = enter.send().await.unwrap().headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(set.starts_with("__Host-oxpost_") && set.contains("; Secure"), "{set}");
    let plain = desk.get("/login").send().await;
    assert!(plain.is_err(), "in clear there is no page: {plain:?}");
}

#[tokio::test]
async fn a_taken_port_stops_the_start_only_where_it_was_asked_for() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut house = House::not_signed_in(Plan::default()).await;
    house.stop().await;
    house.write(&Plan { tables: format!("[admin]\nlisten = \"127.0.0.1:{port}\"\n"), ..Plan::default() });
    let error = house.open().await.unwrap_err().to_string();
    assert!(error.contains(&port.to_string()), "{error}");
    let mut config = house.config();
    config.page.wanted = false;
    let events = std::sync::Arc::new(house.events.clone());
    let gateway = oxpost::gateway::Gateway::start(config, house.clock.clone(), events).await.unwrap();
    assert_eq!(gateway.control().links.make(), None, "mail flows without a page");
    gateway.stop().await;
    house.write(&Plan { tables: "[admin]\nenabled = false\n".to_owned(), ..Plan::default() });
    house.open().await.unwrap();
    assert_eq!(house.control().links.make(), None);
}

#[tokio::test]
async fn the_certificate_is_there_for_programs_that_check() {
    let house = Plan { tables: tables(""), listeners: vec!["tls = \"auto\"".to_owned()], ..Plan::default() };
    let house = House::not_signed_in(house).await;
    let place = house.control().links.page().unwrap();
    let http = Client::builder().redirect(Policy::none()).no_proxy().build().unwrap();
    let desk = Desk { house, place, http };
    let browser = desk.browser().await;
    assert!(browser.text("/").await.contains("Download the CA certificate"));
    let pem = browser.text("/certificate").await;
    assert_eq!(pem, std::fs::read_to_string(desk.house.ca()).unwrap());
    assert_eq!(desk.get("/certificate").send().await.unwrap().headers()["location"], "/login");
}
