//! The page as browsers, programs with a key and attackers meet it. `attacks.rs` has the rows of docs/security.md.

mod attacks;
mod bounces;
mod reading;
mod serving;
mod signing_in;
mod watch;

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
    /// Where the page really is.
    port: u16,
    /// Where the browser believes to be: scheme, name and port.
    origin: String,
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
        Self::with(tables(more)).await
    }

    async fn with(tables: String) -> Self {
        let house = House::not_signed_in(Plan { tables, ..Plan::default() }).await;
        let port = house.control().links.page().unwrap().port().unwrap();
        Self::of(house, port)
    }

    /// Before a gateway whose page is on `port`.
    fn of(house: House, port: u16) -> Self {
        let place = house.control().links.page().unwrap();
        let http = Client::builder().redirect(Policy::none()).no_proxy().build().unwrap();
        let origin = place.origin().ascii_serialization();
        Self { house, place, http, port, origin }
    }

    async fn with_password() -> Self {
        let hash = password::hash(&Secret::new(PASSWORD)).unwrap();
        Self::open(&format!("password = \"{hash}\"")).await
    }

    /// A request as a browser makes it.
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        // By the address, so that no name need be looked up; `Host` says what the browser believes.
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let (_, host) = self.origin.split_once("://").unwrap();
        self.http.request(method, url).header("host", host)
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    /// A form that was sent from this page.
    fn form(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let form = self.request(Method::POST, path).header("origin", &self.origin);
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

/// Begins a sign-in on the page; returns the provider's address and the cookie for the way back.
async fn begin(browser: &Browser<'_>, account: &str) -> (Url, String) {
    let onward = browser.send(&format!("/accounts/{account}/sign-in"), &[]).await;
    assert_eq!(onward.status(), StatusCode::OK, "not a redirect: `form-action` would hold for all of them");
    let cookie = cookie(&onward);
    (provider_link(&onward.text().await.unwrap()), cookie)
}

/// Where a page leads on to.
fn provider_link(page: &str) -> Url {
    let (_, rest) = page.split_once("class=\"button primary\" href=\"").unwrap();
    rest.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&").parse().unwrap()
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
    assert!(location.as_str().starts_with(&format!("{}/?", desk.origin)), "{location}");
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
async fn a_key_opens_what_it_was_given_and_nothing_else() {
    let desk = Desk::open("").await;
    let with = |method: Method, path: &str, key: &str| {
        desk.request(method, path).header("authorization", format!("Bearer {key}"))
    };
    let key = format!("reader.{KEY}");
    let table = [
        (with(Method::GET, "/api/v1/accounts", &key), StatusCode::OK, "what it was given"),
        (with(Method::GET, "/api/v1/overview", &key), StatusCode::OK, "what it was given"),
        (
            with(Method::GET, "/api/v1/accounts/scanner/device-sign-in", &key),
            StatusCode::FORBIDDEN,
            "whoever sees the code can sign in somebody else",
        ),
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
async fn the_first_page_says_when_what_waits_will_have_gone() {
    let desk = Desk::with(format!("[limits]\nmessages_per_minute = 1\n\n{}", tables(""))).await;
    desk.house.sign_in("scanner").await;
    let browser = desk.browser().await;
    assert!(!browser.text("/").await.contains("expected to have gone"));
    for subject in ["one", "two", "three"] {
        desk.house.send(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, subject)).await;
    }
    let gone = |event: &oxpost::mail::Event| matches!(event, oxpost::mail::Event::Relayed { .. }).then_some(());
    desk.house.events.first("the minute's one has gone", gone).await;
    let page = browser.text("/").await;
    let by = desk.house.clock.now().plus(Duration::from_secs(2 * 61)).to_string();
    let said = format!("2 messages, expected to have gone by <time datetime=\"{by}\">");
    assert!(page.contains(SCANNER) && page.contains(&said), "{said} in {page}");
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
    let enter = enter.header("origin", &desk.origin).form(&[("key", desk.key())]);
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
    let port = house.control().links.page().unwrap().port().unwrap();
    let desk = Desk::of(house, port);
    let browser = desk.browser().await;
    assert!(browser.text("/").await.contains("Download the CA certificate"));
    let pem = browser.text("/certificate").await;
    assert_eq!(pem, std::fs::read_to_string(desk.house.ca()).unwrap());
    assert_eq!(desk.get("/certificate").send().await.unwrap().headers()["location"], "/login");
}

#[tokio::test]
async fn the_owner_of_the_control_socket_gets_a_link() {
    let desk = Desk::open("").await;
    let answer = desk.house.post("/api/v1/page-link", "").await;
    let link: Url = answer["url"].as_str().unwrap().parse().unwrap();
    assert_eq!(link.origin().ascii_serialization(), desk.origin);
    let key = link.query_pairs().next().unwrap().1.into_owned();
    assert_eq!(desk.form("/enter", &[("key", &key)]).send().await.unwrap().status(), StatusCode::SEE_OTHER);
}

/// A gateway whose page is browsed under a public name.
async fn public_desk() -> Desk {
    let port = crate::port::free_port();
    let tables = format!("[admin]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"https://mail.contoso.com\"\n");
    Desk::of(House::not_signed_in(Plan { tables, ..Plan::default() }).await, port)
}

#[tokio::test]
async fn under_its_public_name_the_page_is_what_the_browser_comes_back_to() {
    let desk = public_desk().await;
    assert_eq!(desk.place.as_str(), "https://mail.contoso.com/");
    let entered = desk.form("/enter", &[("key", &desk.key())]).send().await.unwrap();
    let set = entered.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(set.starts_with("__Host-oxpost_443=") && set.contains("; Secure"), "{set}");
    let onward = desk.browser().await.send("/accounts/scanner/sign-in", &[]).await;
    let set = onward.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(set.contains("SameSite=Lax; Path=/callback; Max-Age=120; Secure"), "{set}");
    let page = onward.text().await.unwrap();
    assert!(page.contains("redirect_uri=https%3A%2F%2Fmail.contoso.com%2Fcallback"), "{page}");
}
