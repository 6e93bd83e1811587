//! Practice tenant and gateway in this process, in a folder of their own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use http::Request;
use oxpost::account::password;
use oxpost::clock::Clock;
use oxpost::config::Config;
use oxpost::front::admin::{Control, router};
use oxpost::gateway::{Gateway, LockError, StartError};
use oxpost::mail::{Event, Observer, QueueId};
use oxpost::practice::{self, Arrived, Tenant};
use oxpost::queue::{Detail, Filter, Summary};
use oxpost::secret::Secret;
use tokio::sync::watch;
use tokio::time::timeout;
use tower::ServiceExt;

use crate::client::{Client, HOSTNAME, PATIENCE};

/// Goes out by SMTP.
pub(crate) const SCANNER: &str = "scanner@practice.example";
/// Goes out by Graph.
pub(crate) const BILLING: &str = "billing@practice.example";
/// Goes out by Graph, else by SMTP.
pub(crate) const ALICE: &str = "alice@practice.example";
/// Goes out by SMTP.
pub(crate) const BOB: &str = "bob@practice.example";
/// All accounts of [`Plan::default`].
pub(crate) const ACCOUNTS: [&str; 4] = ["scanner", "billing", "alice", "bob"];
/// The login of the client `app`.
pub(crate) const LOGIN: &str = "app";
/// Its password.
pub(crate) const PASSWORD: &str = "tr0ub4dor";
/// A recipient somewhere else.
pub(crate) const RECIPIENT: &str = "carol@elsewhere.example";

/// What the configuration says, but for endpoints.
#[derive(Clone)]
pub(crate) struct Plan {
    /// Lines and tables before the listeners, `[queue]` for instance.
    pub(crate) tables: String,
    pub(crate) accounts: String,
    /// The keys of each listener beside `listen`.
    pub(crate) listeners: Vec<String>,
    pub(crate) clients: String,
    /// Addresses that the mailbox `SCANNER` has the right to send as, beside those it has anyhow.
    pub(crate) send_as: Vec<String>,
    /// The name that [`BOB`] has in the directory, if another one.
    pub(crate) bob: Option<String>,
    /// Application permissions of the practice tenant's app, beside those it has anyhow.
    pub(crate) app_roles: Vec<String>,
    /// A server for reading in place of the practice tenant's: its port, and the certificate to trust (PEM).
    pub(crate) reading_server: Option<(u16, String)>,
    /// Further certificates to trust (PEM).
    pub(crate) trusted: String,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            tables: String::new(),
            accounts: [account(SCANNER, r#"["smtp"]"#), account(BILLING, r#"["graph"]"#)].concat()
                + &account(ALICE, r#"["graph", "smtp"]"#)
                + &account(BOB, r#"["smtp"]"#),
            listeners: vec!["tls = \"none\"".to_owned()],
            clients: network_client("rewrite") + &login_client(),
            send_as: Vec::new(),
            bob: None,
            app_roles: Vec::new(),
            reading_server: None,
            trusted: String::new(),
        }
    }
}

/// The client that is known by coming from 127.0.0.1.
pub(crate) fn network_client(sender: &str) -> String {
    format!(
        "[[client]]\nname = \"printers\"\nnetworks = [\"127.0.0.1/32\"]\naccounts = {ACCOUNTS:?}\nsender = \"{sender}\"\n"
    )
}

/// The client that logs in, from anywhere.
pub(crate) fn login_client() -> String {
    let hash = password::hash(&Secret::new(PASSWORD)).unwrap();
    format!("[[client]]\nname = \"apps\"\nlogin = \"{LOGIN}\"\npassword = \"{hash}\"\naccounts = [\"scanner\"]\n")
}

/// An account named after its mailbox's local part.
pub(crate) fn account(mailbox: &str, send: &str) -> String {
    let name = mailbox.split('@').next().unwrap();
    format!("[account.{name}]\nprovider = \"practice\"\nmailbox = \"{mailbox}\"\nsend = {send}\n\n")
}

/// Everything that happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Events(Arc<watch::Sender<Vec<Event>>>);

impl Observer for Events {
    fn observe(&self, event: &Event) {
        self.0.send_modify(|events| events.push(event.clone()));
    }
}

impl Events {
    /// Everything so far.
    pub(crate) fn all(&self) -> Vec<Event> {
        self.0.borrow().clone()
    }

    /// Waits for an event that `pick` takes, and returns what it makes of the first one.
    pub(crate) async fn first<T>(&self, what: &str, pick: impl Fn(&Event) -> Option<T>) -> T {
        let mut events = self.0.subscribe();
        let found = events.wait_for(|events| events.iter().any(|event| pick(event).is_some()));
        let Ok(found) = timeout(PATIENCE, found).await else {
            panic!("waited in vain: {what}; what happened: {:#?}", self.all());
        };
        found.unwrap().iter().find_map(pick).unwrap()
    }

    /// Waits until everything so far is as `enough` wants it.
    pub(crate) async fn until(&self, what: &str, enough: impl Fn(&[Event]) -> bool) {
        let mut events = self.0.subscribe();
        let waited = timeout(PATIENCE, events.wait_for(|events| enough(events))).await;
        assert!(waited.is_ok(), "waited in vain: {what}; what happened: {:#?}", self.all());
    }

    /// How many events `pick` takes.
    pub(crate) fn count(&self, pick: impl Fn(&Event) -> bool) -> usize {
        self.0.borrow().iter().filter(|event| pick(event)).count()
    }
}

/// A running gateway with its provider.
pub(crate) struct House {
    pub(crate) tenant: Tenant,
    pub(crate) clock: Clock,
    pub(crate) events: Events,
    gateway: Option<Gateway>,
    folder: tempfile::TempDir,
}

impl House {
    /// As [`Plan::default`] has it, every account signed in.
    pub(crate) async fn new() -> Self {
        Self::start(Plan::default()).await
    }

    /// Every account of the plan signed in.
    pub(crate) async fn start(plan: Plan) -> Self {
        let house = Self::not_signed_in(plan.clone()).await;
        for name in ACCOUNTS.iter().filter(|name| plan.accounts.contains(&format!("[account.{name}]"))) {
            house.sign_in(name).await;
        }
        house
    }

    /// Nobody signed in yet. The clock of gateway and tenant stands still until a test moves it.
    pub(crate) async fn not_signed_in(plan: Plan) -> Self {
        let clock = Clock::manual(Clock::system().now());
        let mut settings = practice::Settings { clock: clock.clone(), ..practice::Settings::default() };
        settings.directory.users[0].send_as.extend(plan.send_as.clone());
        let app = settings.directory.apps.iter_mut().find(|app| app.client_id == practice::APP_CLIENT_ID);
        app.unwrap().roles.extend(plan.app_roles.clone());
        let bob = settings.directory.users.iter_mut().find(|user| user.address == BOB);
        if let (Some(bob), Some(name)) = (bob, &plan.bob) {
            bob.name.clone_from(name);
        }
        let tenant = Tenant::start(settings).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let other_ca = plan.reading_server.as_ref().map_or("", |(_, ca)| ca);
        let trusted = tenant.ca_pem().to_owned() + other_ca + &plan.trusted;
        std::fs::write(folder.path().join("practice-ca.pem"), trusted).unwrap();
        let mut house = Self { tenant, clock, events: Events::default(), gateway: None, folder };
        house.write(&plan);
        house.open().await.unwrap();
        house
    }

    /// Writes the configuration; it counts from the next restart or reload on.
    pub(crate) fn write(&self, plan: &Plan) {
        let Plan { tables, accounts, listeners, clients, .. } = plan;
        let listeners: String =
            listeners.iter().map(|keys| format!("[[listener]]\nlisten = \"127.0.0.1:0\"\n{keys}\n\n")).collect();
        let text = format!(
            "data = \"data\"\nhostname = \"{HOSTNAME}\"\nca_file = \"practice-ca.pem\"\n\n{tables}\n{}\n{accounts}\n\
             {listeners}\n{clients}",
            self.provider(plan.reading_server.as_ref().map(|(port, _)| *port)),
        );
        std::fs::write(self.config_file(), text).unwrap();
    }

    fn provider(&self, reading: Option<u16>) -> String {
        let tenant = &self.tenant;
        format!(
            "[provider.practice]\nkind = \"microsoft\"\ntenant = \"practice.example\"\nclient_id = \"{}\"\n\
             authorize_url = \"{}\"\ntoken_url = \"{}\"\ngraph_url = \"{}\"\ngraph_resource = \"https://graph.microsoft.com\"\n\
             smtp_host = \"localhost\"\nsmtp_port = {}\nimap_host = \"localhost\"\nimap_port = {}\n\
             pop3_host = \"localhost\"\npop3_port = {}\n",
            practice::PUBLIC_CLIENT_ID,
            tenant.authorize_url(),
            tenant.token_url(),
            tenant.graph_base(),
            tenant.smtp_addr().port(),
            reading.unwrap_or(tenant.imap_addr().port()),
            reading.unwrap_or(tenant.pop3_addr().port()),
        )
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config_file(&self) -> PathBuf {
        self.path("oxpost.toml")
    }

    /// The configuration as the gateway reads it.
    pub(crate) fn config(&self) -> Config {
        Config::load(&self.config_file(), &|_| None).unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// Starts a gateway that was stopped.
    pub(crate) async fn open(&mut self) -> Result<(), StartError> {
        let begun = Instant::now();
        loop {
            match self.try_open().await {
                // A program that another test starts has the lock, too, until it becomes itself.
                Err(StartError::Open(error)) if error.is_lock(LockError::Taken) && begun.elapsed() < PATIENCE => {
                    tokio::task::yield_now().await;
                }
                opened => return opened,
            }
        }
    }

    /// The same, once.
    pub(crate) async fn try_open(&mut self) -> Result<(), StartError> {
        let observer = Arc::new(self.events.clone());
        self.gateway = Some(Gateway::start(self.config(), self.clock.clone(), observer).await?);
        Ok(())
    }

    /// Stops the gateway; the tenant runs on.
    pub(crate) async fn stop(&mut self) {
        let gateway = self.gateway.take().expect("it runs");
        timeout(PATIENCE, gateway.stop()).await.expect("it stops");
    }

    /// Stops and starts.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.open().await.unwrap();
    }

    /// Gives the gateway away, to be stopped while the test goes on.
    pub(crate) fn take_gateway(&mut self) -> Gateway {
        self.gateway.take().expect("it runs")
    }

    pub(crate) fn control(&self) -> Control {
        self.gateway.as_ref().expect("it runs").control()
    }

    /// The address of the listener at `index`.
    pub(crate) fn listener(&self, index: usize) -> SocketAddr {
        self.gateway.as_ref().expect("it runs").addresses()[index]
    }

    /// The self-made CA of the gateway's listeners.
    pub(crate) fn ca(&self) -> PathBuf {
        self.path("data/certs/ca.pem")
    }

    /// A client from 127.0.0.1 that has said EHLO.
    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.listener(0)).await.greeted().await
    }

    /// Hands a message in at the first listener; it must be taken.
    pub(crate) async fn send(&self, from: &str, to: &[&str], content: impl AsRef<[u8]>) -> QueueId {
        let reply = self.client().await.hand_in(from, to, content).await;
        queue_id(&reply)
    }

    /// Waits until `count` messages have arrived at the provider, in all.
    pub(crate) async fn arrived(&self, count: u64) -> Vec<Arc<Arrived>> {
        match timeout(PATIENCE, self.tenant.arrived(count)).await {
            Ok(mail) => mail,
            Err(_) => panic!(
                "{} of {count} messages arrived; findings: {:?}; what happened: {:#?}",
                self.tenant.mail_count(),
                self.tenant.findings(),
                self.events.all()
            ),
        }
    }

    /// Waits for a condition that nothing announces.
    pub(crate) async fn until(&self, condition: impl Fn() -> bool) {
        let polled = async {
            while !condition() {
                tokio::task::yield_now().await;
            }
        };
        if timeout(PATIENCE, polled).await.is_err() {
            panic!("waited in vain; what happened: {:#?}", self.events.all());
        }
    }

    /// The only message that arrived so far.
    pub(crate) async fn only_one(&self) -> Arc<Arrived> {
        let mut mail = self.arrived(1).await;
        assert_eq!(mail.len(), 1);
        mail.remove(0)
    }

    /// Moves the clock and has the mailbox send another message, by which its lane looks at what is due now. Who moves
    /// the clock again and again waits for that message, too: the token that it got would be dead when it is used.
    pub(crate) async fn later(&self, by: Duration, mailbox: &str) -> QueueId {
        self.clock.advance(by);
        self.send(mailbox, &[RECIPIENT], letter(mailbox, RECIPIENT, "a little later")).await
    }

    pub(crate) async fn show(&self, id: QueueId) -> Detail {
        self.control().queue.show(id).await.unwrap().expect("it is in the queue")
    }

    pub(crate) async fn list(&self, filter: Filter) -> Vec<Summary> {
        self.control().queue.list(filter).await.unwrap()
    }

    /// Waits until the provider's acceptance of a message is written down.
    pub(crate) async fn relayed(&self, id: QueueId) {
        let is = |event: &Event| matches!(event, Event::Relayed { id: other, .. } if *other == id).then_some(());
        self.events.first("the message is relayed", is).await;
    }

    /// Signs an account in as a browser would, through the operations that the command line uses.
    pub(crate) async fn sign_in(&self, account: &str) {
        let request = r#"{"redirect_uri": "http://localhost:8027/"}"#;
        let begun = self.post(&format!("/api/v1/accounts/{account}/sign-in"), request).await;
        let mut url: url::Url = begun["url"].as_str().unwrap().parse().unwrap();
        url.query_pairs_mut().append_pair("practice_auto", "1");
        let browser =
            reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        let answer = browser.get(url).send().await.unwrap();
        let location = answer.headers()["location"].to_str().unwrap().to_owned();
        self.post("/api/v1/sign-in", &serde_json::json!({ "url": location }).to_string()).await;
    }

    /// One call of the control socket's API, which must succeed.
    pub(crate) async fn post(&self, path: &str, body: &str) -> serde_json::Value {
        let (status, answer) = self.call("POST", path, body).await;
        assert!(status.is_success(), "{path}: {status}: {answer}");
        serde_json::from_str(&answer).unwrap()
    }

    /// A question to the API, and the whole answer.
    pub(crate) async fn get(&self, path: &str) -> (http::StatusCode, String) {
        self.call("GET", path, "").await
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: &str) -> (http::StatusCode, String) {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let answer = router(self.control()).oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

/// The id in a 250.
pub(crate) fn queue_id(reply: &str) -> QueueId {
    let id = reply.strip_prefix("250 2.0.0 queued as ").unwrap_or_else(|| panic!("not taken: {reply}"));
    id.parse().unwrap()
}

/// A small complete message.
pub(crate) fn letter(from: &str, to: &str, subject: &str) -> String {
    format!(
        "From: {from}\r\nTo: {to}\r\nSubject: {subject}\r\nDate: Sat, 21 Nov 2026 00:00:00 +0000\r\n\
         Message-ID: <1@client.example>\r\n\r\nText of {subject}\r\n"
    )
}
