//! Practice tenant and gateway, wired to each other by a configuration as an administrator would write it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::Policy;
use url::Url;

use crate::account::password;
use crate::cli::Report;
use crate::clock::Clock;
use crate::config::Config;
use crate::gateway::Gateway;
use crate::practice::{self, Tenant};
use crate::secret::Secret;
use crate::telemetry::Log;

/// A client that logs in instead of being known by its network.
pub(super) const LOGIN: &str = "try";
/// Its password.
pub(super) const PASSWORD: &str = "oxpost";
/// The port readers are told, if it is free.
const PORT: u16 = 2525;
/// The practice tenant's port, if it is free.
const TENANT_PORT: u16 = 8026;
/// The administrator's page's port, if it is free.
const PAGE_PORT: u16 = 8025;
/// The port of IMAP, if it is free.
const IMAP_PORT: u16 = 1143;
/// The port of POP3, if it is free.
const POP3_PORT: u16 = 1110;
/// Any redirect URI on loopback does: nobody listens, the redirect is read from the answer.
const REDIRECT_URI: &str = "http://localhost:8027/";

/// A mailbox of the practice tenant and the account that sends as it.
pub(super) struct Mailbox {
    pub(super) account: &'static str,
    pub(super) address: &'static str,
    pub(super) way: &'static str,
}

/// One for each way out.
pub(super) const MAILBOXES: [&Mailbox; 2] = [
    &Mailbox { account: "scanner", address: "scanner@practice.example", way: "smtp" },
    &Mailbox { account: "billing", address: "billing@practice.example", way: "graph" },
];

/// Who reads what arrived: an account without a way out.
pub(super) const READER: &str = "alice";
/// Her mailbox, and the login by which a mail program opens it.
pub(super) const READER_ADDRESS: &str = "alice@practice.example";

/// Everything that runs, and the folder it runs in.
pub(super) struct House {
    tenant: Tenant,
    gateway: Gateway,
    smtp: SocketAddr,
    imap: SocketAddr,
    pop3: SocketAddr,
    folder: PathBuf,
}

impl House {
    /// Starts tenant and gateway. `anywhere`: on free ports, so that many can run side by side.
    pub(super) async fn start(anywhere: bool) -> Result<Self, Report> {
        let port = |wanted| if anywhere { Ok(0) } else { free_port(wanted) };
        let http = SocketAddr::from((Ipv4Addr::LOCALHOST, port(TENANT_PORT)?));
        let tenant = Tenant::start(practice::Settings { http, ..practice::Settings::default() }).await;
        let tenant = tenant.map_err(|error| Report::new(error.to_string()))?;
        // Nobody is to wait for the provider's real limit of three sessions while trying things out.
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, if anywhere { free_port(0)? } else { free_port(PORT)? }));
        let wanted = |port| {
            let port = free_port(if anywhere { 0 } else { port })?;
            Ok::<_, Report>(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        };
        let page_port = port(PAGE_PORT)?;
        let listen = Listen { smtp: listen, imap: wanted(IMAP_PORT)?, pop3: wanted(POP3_PORT)?, page_port };
        let folder = make_folder()?;
        let started = start_gateway(&tenant, &folder, listen).await;
        match started {
            Ok(gateway) => {
                let Listen { smtp, imap, pop3, page_port: _ } = listen;
                Ok(Self { tenant, gateway, smtp, imap, pop3, folder })
            }
            Err(report) => {
                remove(&folder);
                Err(report)
            }
        }
    }

    pub(super) fn page(&self) -> Url {
        self.tenant.page_url()
    }

    /// A link into the administrator's page.
    pub(super) fn admin_page(&self) -> Option<Url> {
        self.gateway.control().links.make()
    }

    pub(super) const fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    pub(super) const fn smtp(&self) -> SocketAddr {
        self.smtp
    }

    pub(super) const fn imap(&self) -> SocketAddr {
        self.imap
    }

    pub(super) const fn pop3(&self) -> SocketAddr {
        self.pop3
    }

    pub(super) fn config_file(&self) -> PathBuf {
        self.folder.join("oxpost.toml")
    }

    /// Signs an account in the way a browser would, the click on "sign in" included.
    pub(super) async fn sign_in(&self, account: &str) -> Result<(), Report> {
        let failed = |what: String| Report::new(format!("signing in account `{account}`: {what}"));
        let tokens = self.gateway.control().tokens;
        let redirect_uri = REDIRECT_URI.parse().map_err(|error| failed(format!("{error}")))?;
        let mut url = tokens.begin_sign_in(account, redirect_uri).map_err(|error| failed(error.to_string()))?.url;
        url.query_pairs_mut().append_pair("practice_auto", "1");
        let browser = reqwest::Client::builder().redirect(Policy::none()).no_proxy().build();
        let browser = browser.map_err(|error| failed(error.to_string()))?;
        let answer = browser.get(url).send().await.map_err(|error| failed(error.to_string()))?;
        let location = answer.headers().get("location").and_then(|value| value.to_str().ok());
        let Some(location) = location else {
            return Err(failed(format!("the practice tenant answered {}", answer.status())));
        };
        tokens.finish_from_url(location).await.map_err(|error| failed(error.to_string()))?;
        Ok(())
    }

    /// Ends everything and removes the folder.
    pub(super) async fn stop(self) {
        self.gateway.stop().await;
        self.tenant.stop().await;
        remove(&self.folder);
    }
}

/// Where the gateway listens.
#[derive(Clone, Copy)]
struct Listen {
    smtp: SocketAddr,
    imap: SocketAddr,
    pop3: SocketAddr,
    page_port: u16,
}

async fn start_gateway(tenant: &Tenant, folder: &Path, listen: Listen) -> Result<Gateway, Report> {
    let text = configuration(tenant, listen)?;
    let file = folder.join("oxpost.toml");
    let written =
        std::fs::write(folder.join("practice-ca.pem"), tenant.ca_pem()).and_then(|()| std::fs::write(&file, text));
    written.map_err(|error| Report::new(format!("cannot write to `{}`: {error}", folder.display())))?;
    let config = Config::load(&file, &|_| None).map_err(|errors| Report::new(errors.to_string()))?;
    Ok(Gateway::start(config, Clock::system(), Arc::new(Log)).await?)
}

/// The configuration, as one would write it for a real tenant but for the endpoints.
fn configuration(tenant: &Tenant, listen: Listen) -> Result<String, Report> {
    let hash = password::hash(&Secret::new(PASSWORD)).map_err(|error| Report::new(error.to_string()))?;
    let smtp = tenant.smtp_addr();
    let accounts: String = MAILBOXES
        .iter()
        .map(|Mailbox { account, address, way }| {
            format!("\n[account.{account}]\nprovider = \"practice\"\nmailbox = \"{address}\"\nsend = [\"{way}\"]\n")
        })
        .collect();
    Ok(format!(
        r#"# Written by `oxpost try`; gone when it ends.
data = "data"
hostname = "localhost"
ca_file = "practice-ca.pem"

[admin]
listen = "localhost:{page_port}"

[directory]
account = "billing"

[provider.practice]
kind = "microsoft"
tenant = "practice.example"
client_id = "{client_id}"
authorize_url = "{authorize}"
token_url = "{token}"
graph_url = "{graph}"
graph_resource = "https://graph.microsoft.com"
smtp_host = "localhost"
smtp_port = {smtp_port}
imap_host = "localhost"
imap_port = {imap_port}
pop3_host = "localhost"
pop3_port = {pop3_port}
{accounts}
[account.{READER}]
provider = "practice"
mailbox = "{READER_ADDRESS}"
send = []
read = ["imap", "pop3"]

[[listener]]
listen = "{smtp_listen}"
tls = "auto"

[[listener]]
protocol = "imap"
listen = "{imap_listen}"
tls = "auto"
allow_clear_auth = true

[[listener]]
protocol = "pop3"
listen = "{pop3_listen}"
tls = "auto"
allow_clear_auth = true

[[client]]
name = "this-machine"
networks = ["127.0.0.0/8"]
accounts = ["scanner", "billing"]

[[client]]
name = "with-login"
login = "{LOGIN}"
password = "{hash}"
accounts = ["scanner", "billing", "{READER}"]
"#,
        client_id = practice::PUBLIC_CLIENT_ID,
        authorize = tenant.authorize_url(),
        token = tenant.token_url(),
        graph = tenant.graph_base(),
        smtp_port = smtp.port(),
        imap_port = tenant.imap_addr().port(),
        pop3_port = tenant.pop3_addr().port(),
        page_port = listen.page_port,
        smtp_listen = listen.smtp,
        imap_listen = listen.imap,
        pop3_listen = listen.pop3,
    ))
}

/// The wanted port if it is free, else any.
fn free_port(wanted: u16) -> Result<u16, Report> {
    let bind = |port| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|socket| socket.local_addr());
    let address =
        bind(wanted).or_else(|_| bind(0)).map_err(|error| Report::new(format!("no free port on loopback: {error}")))?;
    Ok(address.port())
}

/// A folder of our own that nobody else can read.
fn make_folder() -> Result<PathBuf, Report> {
    use std::os::unix::fs::DirBuilderExt;
    let folder = std::env::temp_dir().join(format!("oxpost-try-{}", uuid::Uuid::new_v4().simple()));
    let made = std::fs::DirBuilder::new().mode(0o700).create(&folder);
    made.map_err(|error| Report::new(format!("cannot make the folder `{}`: {error}", folder.display())))?;
    Ok(folder)
}

fn remove(folder: &Path) {
    // A file may still be closing on another thread; once more after a moment is enough.
    if std::fs::remove_dir_all(folder).is_err() {
        std::thread::sleep(Duration::from_millis(100));
        if let Err(error) = std::fs::remove_dir_all(folder) {
            tracing::error!(%error, folder = %folder.display(), "the folder could not be removed");
        }
    }
}
