//! A scriptable token endpoint, and a token manager that uses it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use url::Url;

use crate::clock::{Clock, Timestamp};
use crate::http::{Http, HttpSettings};
use crate::mail::{Event, Observer};
use crate::secret::Secret;
use crate::store::Store;
use crate::token::{
    AccountSettings, ClientAuthentication, Grant, MIGRATIONS, ManagedIdentity, Provider, ProviderKind, Purpose,
    SealingKey, Settings, TokenManager,
};

pub(in crate::token) const CLIENT_SECRET: &str = "cl1ent+s3cret/value=";
pub(in crate::token) const IMPORTED: &str = "s3cret-refresh-imported";

/// What the endpoint answers to one request.
pub(super) enum Reply {
    /// Tokens, with these fields changed (`null` takes one away).
    Tokens(Value),
    /// Anything.
    Raw(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Another reply, once the gate gives a permit.
    Gated(Arc<Semaphore>, Box<Reply>),
}

impl Reply {
    pub(super) fn error(status: u16, error: &str) -> Self {
        Self::Raw(status, Vec::new(), json!({ "error": error }).to_string().into_bytes())
    }

    pub(super) fn hang() -> Self {
        Self::Gated(Arc::new(Semaphore::new(0)), Box::new(Self::Tokens(json!({}))))
    }
}

type Fields = HashMap<String, String>;

/// A token endpoint. Without a script it mints tokens and rotates refresh tokens: `s3cret-access-1`,
/// `s3cret-refresh-1` and so on, one number per answer.
#[derive(Clone)]
pub(super) struct Endpoint(Arc<Inner>);

struct Inner {
    url: String,
    script: Mutex<VecDeque<Reply>>,
    seen: watch::Sender<Vec<Fields>>,
}

impl Endpoint {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let inner = Inner { url, script: Mutex::default(), seen: watch::Sender::new(Vec::new()) };
        let endpoint = Self(Arc::new(inner));
        let router = Router::new().fallback(any(answer)).with_state(endpoint.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        endpoint
    }

    pub(super) fn url(&self) -> &str {
        &self.0.url
    }

    /// Another place of the same server.
    pub(super) fn at(&self, path: &str) -> Url {
        self.0.url.replace("/token", path).parse().unwrap()
    }

    /// The next request that has no reply yet gets this one.
    pub(super) fn reply(&self, reply: Reply) {
        self.0.script.lock().unwrap().push_back(reply);
    }

    /// The forms it was sent.
    pub(super) fn seen(&self) -> Vec<Fields> {
        self.0.seen.borrow().clone()
    }

    /// Moves the clock on until it was asked `count` times in all, for those who wait by the clock.
    pub(super) async fn asked_in_time(&self, count: usize, bench: &Bench) {
        while self.0.seen.borrow().len() < count {
            bench.clock.advance(Duration::from_secs(1));
            bench.manager.inner.tick.notify_waiters();
            tokio::task::yield_now().await;
        }
    }

    /// Waits until it was asked `count` times in all.
    pub(super) async fn asked(&self, count: usize) {
        self.0.seen.subscribe().wait_for(|seen| seen.len() >= count).await.unwrap();
    }
}

async fn answer(
    State(endpoint): State<Endpoint>,
    uri: Uri,
    headers: HeaderMap,
    Form(mut fields): Form<Fields>,
) -> Response {
    fields.insert("@path".into(), uri.path().to_owned());
    for name in ["authorization", "metadata", "connection"] {
        if let Some(value) = headers.get(name) {
            fields.insert(format!("@{name}"), value.to_str().unwrap().to_owned());
        }
    }
    let reply = endpoint.0.script.lock().unwrap().pop_front();
    let mut number = 0;
    endpoint.0.seen.send_modify(|seen| {
        seen.push(fields.clone());
        number = seen.len();
    });
    let mut reply = reply.unwrap_or(Reply::Tokens(json!({})));
    loop {
        reply = match reply {
            Reply::Gated(gate, reply) => {
                gate.acquire().await.unwrap().forget();
                *reply
            }
            Reply::Tokens(changes) => return tokens(number, &fields, &changes).to_string().into_response(),
            Reply::Raw(status, headers, body) => {
                let pair = |(name, value): (&'static str, String)| (name.parse().unwrap(), value.parse().unwrap());
                let headers: HeaderMap = headers.into_iter().map(pair).collect();
                return (StatusCode::from_u16(status).unwrap(), headers, body).into_response();
            }
        }
    }
}

fn tokens(number: usize, asked: &Fields, changes: &Value) -> Value {
    let mut answer = json!({
        "access_token": format!("s3cret-access-{number}"),
        "token_type": "Bearer",
        "expires_in": 3600,
        "scope": asked.get("scope"),
    });
    if asked["@path"] == "/devicecode" {
        answer = json!({
            "device_code": format!("s3cret-device-{number}"),
            "user_code": format!("CODE-{number}"),
            "verification_uri": "https://login.example/device",
            "interval": 5,
            "expires_in": 1_000_000_000,
        });
    } else if asked.get("grant_type").is_some_and(|kind| kind != "client_credentials" && !kind.ends_with("jwt-bearer"))
    {
        answer["refresh_token"] = json!(format!("s3cret-refresh-{number}"));
    }
    for (name, value) in changes.as_object().unwrap() {
        answer[name] = value.clone();
    }
    answer
}

type Look = Box<dyn Fn(&Event) + Send>;

/// Takes down every event, and lets a test look at the world when one happens.
#[derive(Default)]
pub(super) struct Witness {
    pub(super) events: Mutex<Vec<Event>>,
    pub(super) at_each: Mutex<Option<Look>>,
}

impl Observer for Witness {
    fn observe(&self, event: &Event) {
        if let Some(look) = &*self.at_each.lock().unwrap() {
            look(event);
        }
        self.events.lock().unwrap().push(event.clone());
    }
}

impl Witness {
    pub(super) fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.events.lock().unwrap().iter().filter(|event| is(event)).count()
    }
}

/// A token manager with everything around it.
pub(super) struct Bench {
    pub(super) endpoint: Endpoint,
    pub(super) clock: Clock,
    pub(super) witness: Arc<Witness>,
    pub(super) settings: Settings,
    pub(super) store: Store,
    pub(super) manager: TokenManager,
    pub(super) database: PathBuf,
    folder: tempfile::TempDir,
}

impl Bench {
    /// One account, `scanner`, at a look-alike of Microsoft.
    pub(super) async fn new(grant: Grant) -> Self {
        Self::with(grant, |_| {}).await
    }

    pub(super) async fn with(grant: Grant, change: impl FnOnce(&mut Provider)) -> Self {
        let endpoint = Endpoint::start().await;
        let mut provider = microsoft(endpoint.url());
        change(&mut provider);
        let account = AccountSettings { provider: provider.name.clone(), ..scanner(grant) };
        let settings = Settings { providers: vec![provider], accounts: vec![account] };
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("oxpost.db");
        let store = Store::open(&database, MIGRATIONS).unwrap();
        let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
        let witness = Arc::<Witness>::default();
        let manager = open(&store, key(1), &settings, &clock, &witness).await;
        Self { endpoint, clock, witness, settings, store, manager, database, folder }
    }

    /// As after a restart with these settings and this key.
    pub(super) async fn reopened(&self, settings: &Settings, key: SealingKey) -> TokenManager {
        open(&self.store, key, settings, &self.clock, &self.witness).await
    }

    /// Signs `scanner` in; the endpoint's answer counts as one.
    pub(super) async fn signed_in(self) -> Self {
        let begun = self.manager.begin_sign_in("scanner", "http://localhost:1/".parse().unwrap()).unwrap();
        self.manager.finish_sign_in(&begun.state, "code").await.unwrap();
        self
    }

    /// The refresh token on disk, read past the manager.
    pub(super) fn on_disk(&self) -> Option<String> {
        on_disk(&self.database)
    }

    pub(super) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

pub(super) fn on_disk(database: &std::path::Path) -> Option<String> {
    let connection = rusqlite::Connection::open(database).unwrap();
    let sealed: Vec<u8> =
        connection.query_row("SELECT sealed FROM token WHERE account = 'scanner'", [], |row| row.get(0)).ok()?;
    let plain = key(1).open("scanner", &sealed).unwrap();
    let content: Value = serde_json::from_slice(&plain).unwrap();
    Some(content["refresh_token"].as_str().unwrap().to_owned())
}

async fn open(
    store: &Store,
    key: SealingKey,
    settings: &Settings,
    clock: &Clock,
    witness: &Arc<Witness>,
) -> TokenManager {
    let http = Http::new(HttpSettings { timeout: Duration::from_secs(20), ..HttpSettings::default() }).unwrap();
    let observer: Arc<dyn Observer> = Arc::<Witness>::clone(witness);
    TokenManager::open(store.clone(), key, settings.clone(), http, clock.clone(), observer).await.unwrap()
}

pub(super) fn key(octet: u8) -> SealingKey {
    SealingKey::from_base64(&Secret::new(STANDARD.encode([octet; 32])), "`$OXPOST_KEY`").unwrap()
}

pub(super) fn imported() -> Grant {
    Grant::RefreshToken(Some(Secret::new(IMPORTED)))
}

/// Microsoft, with its token endpoint at `token_url`.
pub(in crate::token) fn microsoft(token_url: &str) -> Provider {
    Provider {
        name: "contoso".into(),
        kind: ProviderKind::Microsoft,
        issuer: None,
        authorize_url: Some("https://login.example/authorize?keep=1".parse().unwrap()),
        token_url: Some(token_url.parse().unwrap()),
        device_url: None,
        client_id: "client-id".into(),
        authentication: ClientAuthentication::SecretPost(Secret::new(CLIENT_SECRET)),
        secret_expires: None,
        service_account: None,
        managed_identity: ManagedIdentity::default(),
        redirect_uri: None,
        graph_resource: "https://graph.microsoft.com".into(),
        exchange_resource: "https://outlook.office.com".into(),
        exchange_app_resource: "https://outlook.office365.com".into(),
        scopes: None,
        authorize_parameters: BTreeMap::new(),
        token_parameters: BTreeMap::new(),
        sign_in_timeout: Duration::from_secs(120),
        test_mode: false,
    }
}

/// An account of it, with Graph and SMTP as ways out.
pub(in crate::token) fn scanner(grant: Grant) -> AccountSettings {
    AccountSettings {
        name: "scanner".into(),
        provider: "contoso".into(),
        grant,
        purposes: vec![Purpose::Graph, Purpose::Smtp],
        login_hint: Some("scanner@contoso.example".into()),
        sign_in_as: None,
        drafts: false,
    }
}

/// Google, with its token endpoint at `token_url`.
pub(in crate::token) fn google(token_url: &str) -> Provider {
    Provider { name: "google".into(), kind: ProviderKind::Google, ..microsoft(token_url) }
}
