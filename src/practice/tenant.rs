//! A running practice tenant.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use url::Url;

use super::authority::Authority;
use super::directory::PUBLIC_CLIENT_ID;
use super::ledger::{Access, Holder};
use super::post_office::{Arrived, Finding};
use super::reading::Protocol;
use super::scope::Resource;
use super::settings::{PracticeError, Settings};
use super::shared::Shared;
use super::switches::Switches;
use super::wire::{Doorstep, Line};
use super::{ews, gmail, graph, identity, page, reading, smtp};

/// A running practice tenant: identity, Graph, SMTP submission and a page, on loopback. Dropping it stops it;
/// [`Tenant::stop`] also waits until it has stopped.
pub struct Tenant {
    shared: Arc<Shared>,
    origin: Url,
    https_origin: Url,
    smtp: SocketAddr,
    imap: SocketAddr,
    pop3: SocketAddr,
    ca_pem: String,
    tracker: TaskTracker,
}

impl Tenant {
    /// Starts a tenant. It serves from the moment this returns.
    ///
    /// # Errors
    /// An address that is not loopback or is taken; keys that cannot be made.
    pub async fn start(settings: Settings) -> Result<Self, PracticeError> {
        let Settings { http, smtp, imap, pop3, clock, directory } = settings;
        let (http_listener, http) = bind(http).await?;
        let (smtp_listener, smtp) = bind(smtp).await?;
        let (imap_listener, imap) = bind(imap).await?;
        let (pop3_listener, pop3) = bind(pop3).await?;
        let authority = Authority::make(clock.now())?;
        let (origin, https_origin) = (origin("http", http)?, origin("https", http)?);
        let text = origin.as_str().trim_end_matches('/').to_owned();
        let shared = Arc::new(Shared::new(directory, clock, text));
        let tracker = TaskTracker::new();

        let doorstep = Doorstep::open(http_listener, http, Arc::clone(&authority.server), shared.stopping.clone());
        let routes = Router::new()
            .merge(identity::routes())
            .merge(graph::routes())
            .merge(gmail::routes())
            .merge(ews::routes())
            .merge(page::routes());
        let service = routes.with_state(Arc::clone(&shared)).into_make_service_with_connect_info::<Line>();
        let serving = axum::serve(doorstep, service).with_graceful_shutdown(shared.stopping.clone().cancelled_owned());
        tracker.spawn(async move { serving.await.ok() });
        let tls = || Arc::clone(&authority.server);
        tracker.spawn(smtp::serve(smtp_listener, tls(), Arc::clone(&shared), tracker.clone()));
        for (protocol, listener) in [(Protocol::Imap, imap_listener), (Protocol::Pop3, pop3_listener)] {
            tracker.spawn(reading::serve(protocol, listener, tls(), Arc::clone(&shared), tracker.clone()));
        }
        tracker.close();
        Ok(Self { shared, origin, https_origin, smtp, imap, pop3, ca_pem: authority.pem, tracker })
    }

    /// The tenant's root at the identity side, `http://127.0.0.1:PORT/practice.example`: `/oauth2/v2.0/token` and
    /// `/v2.0/.well-known/openid-configuration` are below it.
    pub fn identity_url(&self) -> Url {
        self.at(&self.shared.directory.domain)
    }

    /// The authorization endpoint. With `practice_auto=1` in its query it signs in `login_hint`, or the first
    /// mailbox, without a click.
    pub fn authorize_url(&self) -> Url {
        self.at(&format!("{}/oauth2/v2.0/authorize", self.shared.directory.domain))
    }

    /// The token endpoint.
    pub fn token_url(&self) -> Url {
        self.at(&format!("{}/oauth2/v2.0/token", self.shared.directory.domain))
    }

    /// The device authorization endpoint.
    pub fn device_url(&self) -> Url {
        self.at(&format!("{}/oauth2/v2.0/devicecode", self.shared.directory.domain))
    }

    /// Somebody types a device code: `who` signs in, or nobody, who declines. Gives whether the code waits for that.
    pub fn type_code(&self, user_code: &str, who: Option<&str>) -> bool {
        let now = self.shared.clock.now();
        self.shared.codes().answer(user_code, who, now)
    }

    /// What stands for `https://graph.microsoft.com/v1.0`, without a slash at the end.
    pub fn graph_base(&self) -> Url {
        self.at("v1.0")
    }

    /// What stands for `https://gmail.googleapis.com`.
    pub fn gmail_base(&self) -> Url {
        self.at("")
    }

    /// What stands for `https://outlook.office365.com/EWS/Exchange.asmx`.
    pub fn ews_url(&self) -> Url {
        self.at("EWS/Exchange.asmx")
    }

    /// The page that shows what arrived.
    pub fn page_url(&self) -> Url {
        self.origin.clone()
    }

    /// The HTTP side over TLS: the same port, the same paths, with a certificate of [`Tenant::ca_pem`].
    pub fn https_origin(&self) -> Url {
        self.https_origin.clone()
    }

    /// Where SMTP submission listens: STARTTLS, with a certificate for `localhost` and `127.0.0.1`.
    pub const fn smtp_addr(&self) -> SocketAddr {
        self.smtp
    }

    /// Where IMAP listens: TLS from the first octet.
    pub const fn imap_addr(&self) -> SocketAddr {
        self.imap
    }

    /// Where POP3 listens: TLS from the first octet.
    pub const fn pop3_addr(&self) -> SocketAddr {
        self.pop3
    }

    /// The certificate of the tenant's own authority, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The switches.
    pub fn switches(&self) -> Switches {
        self.shared.switches.clone()
    }

    /// The mail that arrived, oldest first: the newest 1,000.
    pub fn mail(&self) -> Vec<Arc<Arrived>> {
        self.shared.office.mail()
    }

    /// How many messages arrived in all.
    pub fn mail_count(&self) -> u64 {
        self.shared.office.count()
    }

    /// How many drafts lie in all mailboxes together. A good gateway leaves none behind.
    pub fn draft_count(&self) -> usize {
        self.shared.items().drafts()
    }

    /// How many messages lie in the Sent Items of a mailbox.
    pub fn sent_count(&self, address: &str) -> usize {
        self.shared.items().sent_items(address).count()
    }

    /// Waits until `count` messages have arrived in all, and returns what [`Tenant::mail`] does. It waits for ever:
    /// put a time limit around it.
    pub async fn arrived(&self, count: u64) -> Vec<Arc<Arrived>> {
        self.shared.office.reached(count).await;
        self.shared.office.mail()
    }

    /// Puts a message into an inbox, as somebody's mail comes there. Its class is what Exchange calls it, such as
    /// `IPM.Note` for a letter and `REPORT.IPM.Note.NDR` for what it takes for a report.
    pub fn put_into_inbox(&self, mailbox: &str, class: &str, raw: impl Into<Vec<u8>>) {
        let now = self.shared.clock.now();
        self.shared.items().put_into_inbox(mailbox, class, raw.into(), now);
    }

    /// What clients did wrong so far: the first 1,000 findings. A good gateway leaves this empty; faults do not count.
    pub fn findings(&self) -> Vec<Finding> {
        self.shared.office.findings()
    }

    /// Ends the grants and access tokens of an address or client id, as an administrator's "revoke sessions" does.
    pub fn revoke(&self, who: &str) {
        self.shared.ledger().revoke(who);
    }

    /// Lets the access tokens of an address or client id expire now; its refresh tokens stay good.
    pub fn expire_access_tokens(&self, who: &str) {
        let now = self.shared.clock.now();
        self.shared.ledger().expire(who, now);
    }

    /// An access token out of hand, for a mailbox and with these permissions, all of one resource. For tests of one part
    /// alone; whoever signs in gets theirs from the token endpoint.
    pub fn access_token(&self, address: &str, permissions: &[&str]) -> String {
        let of = |resource: &Resource| permissions.iter().any(|wanted| resource.delegated().contains(wanted));
        let audience = [Resource::Exchange, Resource::Google].into_iter().find(of).unwrap_or(Resource::Graph);
        let access = Access {
            client_id: PUBLIC_CLIENT_ID.to_owned(),
            holder: Holder::User(address.to_owned()),
            audience,
            permissions: permissions.iter().map(|&name| name.to_owned()).collect(),
            expires: self.shared.clock.now().plus(self.shared.switches.knobs().token_lifetime),
        };
        let now = self.shared.clock.now();
        self.shared.ledger().new_access(access, now)
    }

    /// Stops the tenant and waits until every session has ended.
    pub async fn stop(self) {
        self.shared.stopping.cancel();
        self.tracker.wait().await;
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.origin.clone();
        url.set_path(path);
        url
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        self.shared.stopping.cancel();
    }
}

fn origin(scheme: &str, address: SocketAddr) -> Result<Url, PracticeError> {
    Url::parse(&format!("{scheme}://{address}/")).map_err(PracticeError::Url)
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), PracticeError> {
    if !address.ip().is_loopback() {
        return Err(PracticeError::NotLoopback(address));
    }
    let refused = |source| PracticeError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let local = listener.local_addr().map_err(refused)?;
    Ok((listener, local))
}
