//! Secrets at rest, and what must never say one.

use std::collections::HashMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Form, State};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::Request;
use oxpost::front::admin::{Control, Peer};
use oxpost::mail::{Event, Reason};
use oxpost::practice::{
    APP_CLIENT_ID, APP_CLIENT_SECRET, Fault, PUBLIC_CLIENT_ID, RecipientFault, Rotation, Rule, TokenFault,
};
use oxpost::queue::{Filter, Summary};
use oxpost::secret::Secret;
use oxpost::telemetry;
use oxpost::token::Purpose;
use tower::ServiceExt;
use tracing_subscriber::fmt::MakeWriter;

use crate::client::Client;
use crate::house::{ALICE, BILLING, BOB, House, LOGIN, PASSWORD, Plan, RECIPIENT, SCANNER, account, letter};

/// The secret of an API key.
const API_KEY: &str = "a-key-for-a-program-alone";

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files(&entry.path()));
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_owner_can_read_what_is_secret() {
    let listeners = vec!["tls = \"starttls\"".to_owned()];
    let house = House::start(Plan { listeners, ..Plan::default() }).await;
    for name in ["data", "data/spool"] {
        assert_eq!(mode(&house.path(name)), 0o700, "{name}");
    }
    for name in ["data/key", "data/control.sock", "data/certs/ecdsa.key", "data/certs/rsa.key"] {
        assert_eq!(mode(&house.path(name)), 0o600, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_others_can_read_is_not_used() {
    let mut house = House::new().await;
    house.stop().await;
    std::fs::set_permissions(house.path("data/key"), PermissionsExt::from_mode(0o640)).unwrap();
    let error = house.open().await.unwrap_err().to_string();
    assert!(error.contains("data/key") && error.contains("chmod 600"), "{error}");
    std::fs::set_permissions(house.path("data/key"), PermissionsExt::from_mode(0o600)).unwrap();
    house.open().await.unwrap();
    house.send(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, "as before")).await;
    house.only_one().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_data_folder_without_its_key_gives_no_token_and_keeps_the_mail() {
    let mut house = House::new().await;
    house.stop().await;
    std::fs::remove_file(house.path("data/key")).unwrap();
    house.open().await.unwrap();
    house.send(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, "kept")).await;
    let held = |event: &Event| if let Event::Held { failure, .. } = event { Some(failure.clone()) } else { None };
    let failure = house.events.first("the mail is held", held).await;
    assert_eq!(failure.reason, Reason::SignInNeeded);
    assert!(failure.to_string().contains("key"), "{failure}");
    house.sign_in("scanner").await;
    house.only_one().await;
}

/// Everything that is logged in this process, by whichever test.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Write for Logged {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Logged {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Gets a refresh token as any OAuth client would.
async fn refresh_token(house: &House, mailbox: &str) -> String {
    const REDIRECT: &str = "http://localhost:8027/";
    const VERIFIER: &str = "a-verifier-of-forty-three-characters-at-least-0123";
    let scope = "https://outlook.office.com/SMTP.Send offline_access";
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
    let mut url = house.tenant.authorize_url();
    url.query_pairs_mut().extend_pairs([
        ("client_id", PUBLIC_CLIENT_ID),
        ("response_type", "code"),
        ("redirect_uri", REDIRECT),
        ("scope", scope),
        ("state", "x"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("login_hint", mailbox),
        ("practice_auto", "1"),
    ]);
    let browser = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
    let answer = browser.get(url).send().await.unwrap();
    let location: url::Url = answer.headers()["location"].to_str().unwrap().parse().unwrap();
    let code = location.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", PUBLIC_CLIENT_ID),
        ("code", &code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
        ("scope", scope),
    ];
    let answer = browser.post(house.tenant.token_url()).form(&form).send().await.unwrap();
    let answer: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    answer["refresh_token"].as_str().unwrap().to_owned()
}

/// An account with an imported refresh token and one with a client secret, beside those that people signed in.
fn plan(house: &House, refresh_token: &str, recorder: &str) -> Plan {
    std::fs::write(house.path("bob.token"), refresh_token).unwrap();
    std::fs::write(house.path("app.secret"), APP_CLIENT_SECRET).unwrap();
    let tenant = &house.tenant;
    let app = format!(
        "[provider.app]\nkind = \"microsoft\"\ntenant = \"practice.example\"\nclient_id = \"{APP_CLIENT_ID}\"\n\
         client_secret = {{ file = \"app.secret\" }}\ntoken_url = \"{}\"\ngraph_url = \"{}\"\n\
         graph_resource = \"https://graph.microsoft.com\"\n\n",
        tenant.token_url(),
        tenant.graph_base(),
    );
    let recorded = format!(
        "[provider.recorded]\nkind = \"microsoft\"\ntenant = \"practice.example\"\nclient_id = \"{PUBLIC_CLIENT_ID}\"\n\
         authorize_url = \"{}\"\ntoken_url = \"{recorder}\"\ngraph_url = \"{}\"\n\
         graph_resource = \"https://graph.microsoft.com\"\n\n",
        tenant.authorize_url(),
        tenant.graph_base(),
    );
    let hash = oxpost::account::password::hash(&Secret::new(API_KEY)).unwrap();
    let key = format!("[[api_key]]\nname = \"reader\"\nsecret = \"{hash}\"\nscopes = [\"read\"]\n\n");
    let alice = account(ALICE, r#"["graph"]"#).replace("\"practice\"", "\"app\"") + "grant = \"client-credentials\"\n";
    let bob = account(BOB, r#"["smtp"]"#) + "grant = \"refresh-token\"\nrefresh_token = { file = \"bob.token\" }\n";
    let accounts = Plan::default().accounts;
    let scanner = accounts.split("[account.billing]").next().unwrap().to_owned();
    let people = scanner + &account(BILLING, r#"["graph"]"#).replace("\"practice\"", "\"recorded\"");
    let listeners = vec!["tls = \"none\"\nallow_clear_auth = true".to_owned()];
    Plan { tables: app + &recorded + &key, accounts: people + &alice + &bob, listeners, ..Plan::default() }
}

/// A secret as it may appear: plain, in a form, and in base64 wherever it begins.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![
        secret.as_bytes().to_vec(),
        url::form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>().into_bytes(),
    ];
    for engine in [STANDARD, base64::engine::general_purpose::URL_SAFE] {
        for before in 0..3 {
            let encoded = engine.encode([vec![0; before], secret.as_bytes().to_vec()].concat());
            // The ends depend on what stands beside it.
            let first = if before == 0 { 0 } else { 4 };
            forms.push(encoded.as_bytes()[first..encoded.len() - 4].to_vec());
        }
    }
    forms
}

fn assert_silent(what: &str, text: &[u8], secrets: &[(&str, String)]) {
    for (name, secret) in secrets {
        for form in forms(secret) {
            let at = memchr::memmem::find(text, &form);
            assert!(at.is_none(), "{what} tells {name} at octet {at:?}: {}", String::from_utf8_lossy(&form));
        }
    }
}

#[test]
fn the_search_finds_a_secret_however_it_is_written() {
    let secret = "s3cret/with+signs=and a blank";
    let found = |text: &[u8]| forms(secret).iter().any(|form| memchr::memmem::find(text, form).is_some());
    let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    assert!(found(format!("a line with {secret} in it").as_bytes()), "plain");
    assert!(found(format!("?x={encoded}&y").as_bytes()), "in a form");
    for before in ["", "x", "xy", "xyz", "user=a@b.example\u{1}auth=Bearer "] {
        for after in ["", "a", "ab", "\u{1}\u{1}"] {
            let whole = format!("{before}{secret}{after}");
            assert!(found(STANDARD.encode(&whole).as_bytes()), "base64 of {whole:?}");
            assert!(found(URL_SAFE_NO_PAD.encode(&whole).as_bytes()), "base64url of {whole:?}");
        }
    }
    assert!(!found(b"nothing of the kind, only s3cret/with"));
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("spool")).unwrap();
    std::fs::write(folder.path().join("spool/one"), STANDARD.encode(format!("ab{secret}"))).unwrap();
    let planted = files(folder.path()).into_iter().any(|file| found(&std::fs::read(file).unwrap()));
    assert!(planted, "in a file in a folder");
}

/// The page as an administrator's browser sees it.
struct Browser {
    page: Router,
    /// The one-time key that it came in with.
    key: String,
    /// The session's cookie, with its name.
    cookie: String,
}

impl Browser {
    async fn enter(control: &Control) -> Self {
        control.links.lead_to("http://localhost:8025/".parse().unwrap());
        let link = control.links.make().unwrap();
        let (form, page) = (link.query().unwrap().to_owned(), oxpost::front::admin::page(control.clone()));
        let key = form.split_once('=').unwrap().1.to_owned();
        let request = request("POST", "/enter").header("content-type", "application/x-www-form-urlencoded");
        let entered = page.clone().oneshot(request.body(Body::from(form)).unwrap()).await.unwrap();
        let cookie = entered.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        Self { page, key, cookie }
    }

    async fn shown(&self, place: &str) -> String {
        self.ask(request("GET", place).header("cookie", &self.cookie)).await
    }

    /// As a program with a key asks.
    async fn told(&self, place: &str, key: &str) -> String {
        self.ask(request("GET", place).header("authorization", format!("Bearer {key}"))).await
    }

    async fn ask(&self, request: http::request::Builder) -> String {
        let answer = self.page.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        let octets = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        String::from_utf8(octets.to_vec()).unwrap()
    }
}

fn request(method: &str, place: &str) -> http::request::Builder {
    let peer = ConnectInfo(Peer(([127, 0, 0, 1], 1).into()));
    let request = Request::builder().method(method).uri(place).header("host", "localhost:8025").extension(peer);
    request.header("origin", "http://localhost:8025")
}

type Fields = HashMap<String, String>;

/// A token endpoint that hands everything on to the tenant's, and keeps what it was sent.
#[derive(Clone)]
struct Recorder {
    tenant: url::Url,
    sent: Arc<Mutex<Vec<Fields>>>,
}

impl Recorder {
    /// Gives its address as well.
    async fn start(tenant: url::Url) -> (Self, String) {
        let recorder = Self { tenant, sent: Arc::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let router = Router::new().fallback(hand_on).with_state(recorder.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (recorder, url)
    }

    /// All that a field was.
    fn values(&self, field: &str) -> Vec<String> {
        self.sent.lock().unwrap().iter().filter_map(|form| form.get(field).cloned()).collect()
    }
}

async fn hand_on(State(recorder): State<Recorder>, Form(form): Form<Fields>) -> (http::StatusCode, String) {
    recorder.sent.lock().unwrap().push(form.clone());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.post(recorder.tenant).form(&form).send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

/// Signs an account in by code and then in a browser; gives what went over the wire.
async fn signed_in_twice(house: &House, recorder: &Recorder) -> Vec<(&'static str, String)> {
    house.tenant.switches().set(|knobs| knobs.device_interval = Duration::from_secs(1));
    let mut names = house.control().tokens.subscribe();
    let begun = house.post("/api/v1/accounts/billing/device-sign-in", "").await;
    assert!(house.tenant.type_code(begun["user_code"].as_str().unwrap(), Some(BILLING)));
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(names.recv().await.unwrap(), "billing");
    house.sign_in("billing").await;
    let fields = [("device_code", "a device code"), ("code", "an authorization code"), ("code_verifier", "a verifier")];
    let mut secrets = Vec::new();
    for (field, name) in fields {
        let values = recorder.values(field);
        assert!(!values.is_empty(), "no {field}");
        secrets.extend(values.into_iter().map(|value| (name, value)));
    }
    secrets
}

async fn assert_pages_are_silent(browser: &Browser, messages: &[Summary], secrets: &[(&'static str, String)]) {
    let places = ["/", "/accounts", "/accounts/scanner", "/accounts/bob", "/messages?state=all", "/people", "/events"];
    let messages: Vec<_> = messages.iter().map(|message| format!("/messages/{}", message.id)).collect();
    for place in places.into_iter().chain(messages.iter().map(String::as_str)) {
        assert_silent(place, browser.shown(place).await.as_bytes(), secrets);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_ever_told() {
    let logged = Logged::default();
    let subscriber = tracing_subscriber::fmt().with_env_filter(telemetry::filter("trace")).with_writer(logged.clone());
    subscriber.init();
    let mut house = House::new().await;
    house.tenant.switches().set(|knobs| knobs.rotation = Rotation::Off);
    let refresh_token = refresh_token(&house, BOB).await;
    let (recorder, recorder_url) = Recorder::start(house.tenant.token_url()).await;
    let plan = plan(&house, &refresh_token, &recorder_url);
    house.write(&plan);
    house.restart().await;
    let passed = signed_in_twice(&house, &recorder).await;
    let browser = Browser::enter(&house.control()).await;

    let mut client = Client::connect_from("127.0.0.9", house.listener(0)).await.greeted().await;
    assert!(client.log_in(LOGIN, "Wr0ng-but-close").await.starts_with("535"));
    assert!(client.log_in(LOGIN, PASSWORD).await.starts_with("235"));
    house.tenant.switches().inject(Rule::once(Fault::Recipient("gone@x.example".into(), RecipientFault::Permanent)));
    for (from, to) in [(SCANNER, RECIPIENT), (BOB, "gone@x.example"), (ALICE, RECIPIENT)] {
        house.send(from, &[to], letter(from, to, "ordinary")).await;
    }
    let reports = house.arrived(3).await;
    let access = |name: &'static str, purpose| {
        let tokens = house.control().tokens;
        async move { tokens.access_token(name, purpose).await.unwrap().secret.expose().to_owned() }
    };
    let mut secrets = vec![
        ("the local password", PASSWORD.to_owned()),
        ("a wrong password", "Wr0ng-but-close".to_owned()),
        ("the client secret", APP_CLIENT_SECRET.to_owned()),
        ("a refresh token", refresh_token),
        ("an access token for SMTP", access("bob", Purpose::Smtp).await),
        ("an access token of a person", access("scanner", Purpose::Smtp).await),
        ("an access token for Graph", access("alice", Purpose::Graph).await),
        ("a one-time key", browser.key.clone()),
        ("a session's cookie", browser.cookie.split_once('=').unwrap().1.to_owned()),
        ("the secret of an API key", API_KEY.to_owned()),
        ("the sealing key", std::fs::read_to_string(house.path("data/key")).unwrap().trim().to_owned()),
    ];
    secrets.extend(passed);
    assert!(secrets.iter().all(|(_, secret)| secret.len() > 8), "nothing that would be found by chance");
    // Trouble talks more than success.
    house.clock.advance(Duration::from_secs(7_200));
    for fault in [TokenFault::Garbage, TokenFault::InvalidGrant] {
        house.tenant.switches().inject(Rule::once(Fault::Token(fault)).only_for(BOB));
        house.send(BOB, &[RECIPIENT], letter(BOB, RECIPIENT, "trouble")).await;
    }
    let needed =
        |event: &Event| matches!(event, Event::SignInNeeded { .. } | Event::TokenDeferred { .. }).then_some(());
    house.events.first("the token endpoint is in trouble", needed).await;

    for mail in &reports {
        assert_silent("a message", &mail.raw, &secrets);
    }
    let control = house.control();
    assert_silent("an event", format!("{:?}", house.events.all()).as_bytes(), &secrets);
    assert_silent("the configuration", format!("{:?}", house.config()).as_bytes(), &secrets);
    assert_silent("the state of accounts", format!("{:?}", control.tokens.status()).as_bytes(), &secrets);
    let all = house.list(Filter { all: true, ..Filter::default() }).await;
    assert_silent("the list", serde_json::to_string(&all).unwrap().as_bytes(), &secrets);
    let mut places =
        vec!["/api/v1/accounts".to_owned(), "/api/v1/messages?all=true".to_owned(), "/api/v1/holds".to_owned()];
    places.extend(all.iter().map(|message| format!("/api/v1/messages/{}", message.id)));
    for place in places {
        let (status, answer) = house.get(&place).await;
        assert!(status.is_success(), "{place}: {status}");
        assert_silent(&place, answer.as_bytes(), &secrets);
    }
    assert_pages_are_silent(&browser, &all, &secrets).await;
    let told = browser.told("/api/v1/accounts", &format!("reader.{API_KEY}")).await;
    assert_silent("the answer to a program", told.as_bytes(), &secrets);
    let (_, answer) = house.get("/api/v1/accounts/scanner/token?for=smtp").await;
    assert!(answer.contains("access_token"), "{answer}");
    let kept: Vec<_> = secrets.iter().filter(|(name, _)| !name.contains("of a person")).cloned().collect();
    assert_silent("the answer with a token", answer.as_bytes(), &kept);
    for file in files(&house.path("data")).into_iter().filter(|file| !file.ends_with("data/key")) {
        assert_silent(&file.display().to_string(), &std::fs::read(&file).unwrap(), &secrets);
    }
    house.stop().await;
    let logged = logged.0.lock().unwrap().clone();
    assert!(memchr::memmem::find(&logged, b"oxpost").is_some(), "something was logged");
    assert_silent("the log", &logged, &secrets);
}
