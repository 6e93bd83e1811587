//! The first page: where programs send their mail to, how the accounts stand, and what happened in the last day.

use std::net::IpAddr;
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;

use super::accounts::AccountCard;
use super::chart::{Chart, HEIGHT, WIDTH};
use super::guard::Visit;
use super::view::{Frame, Moment, Refusal, Visitor, counted, html};
use super::{Page, answer, certificate};
use crate::account::{Account, Client, MailboxRule};
use crate::front::admin::{Problem, Setup, Waiting};
use crate::front::{ListenerSettings, ListenerTls, Protocol};
use crate::queue::{Hold, Totals};
use crate::reading;

pub(super) fn routes() -> Router<Page> {
    Router::new().route("/", get(home))
}

/// What to type into a program or device.
struct Door {
    /// `SMTP`, `IMAP` or `POP3`.
    protocol: &'static str,
    server: String,
    port: u16,
    encryption: &'static str,
    /// How clients come in, a line each.
    clients: Vec<DoorClient>,
    reachable: bool,
}

struct DoorClient {
    name: String,
    login: Option<String>,
    /// With several mailboxes, the address of the one that is meant stands in place of the login.
    by_address: bool,
    password: &'static str,
    networks: String,
    /// What it sends through, or which mailboxes it reads.
    accounts: String,
}

/// A mailbox whose mail is on its way.
struct Line {
    mailbox: String,
    messages: String,
    /// When the last of it will have gone, if anybody can say.
    drained: Option<Moment>,
}

impl From<Waiting> for Line {
    fn from(waiting: Waiting) -> Self {
        let Waiting { mailbox, messages, drained, .. } = waiting;
        Self { mailbox, messages: counted(messages, "message"), drained: drained.map(Moment::from) }
    }
}

#[derive(Template)]
#[template(path = "admin/overview.html")]
struct OverviewPage {
    frame: Frame,
    /// For sending.
    senders: Vec<Door>,
    /// For reading.
    readers: Vec<Door>,
    cards: Vec<AccountCard>,
    holds: Vec<(Moment, Hold)>,
    totals: Totals,
    waiting: Vec<Line>,
    chart: Chart,
    width: u64,
    height: u64,
    has_ca: bool,
}

/// The overview; or a provider's answer, for apps that are registered with `http://localhost`.
async fn home(State(page): State<Page>, request: Request) -> Result<Response, Refusal> {
    let Some(visit) = request.extensions().get::<Visit>().cloned() else {
        return Err(Refusal::new(StatusCode::UNAUTHORIZED, "nobody is signed in"));
    };
    if answer::is_answer(request.uri()) {
        return Ok(answer::returned(State(page), axum::Extension(visit), request).await);
    }
    let Visit { site, session: Some(session), live } = visit else {
        return Ok(axum::response::Redirect::to("/login").into_response());
    };
    overview(&page, &Visitor { site, session, live }).await
}

async fn overview(page: &Page, visitor: &Visitor) -> Result<Response, Refusal> {
    let setup = page.setup();
    let queue = &page.control.queue;
    let holds = queue.holds().await.map_err(Problem::from)?;
    Ok(html(&OverviewPage {
        frame: page.frame(visitor, "overview"),
        senders: all_doors(&setup, false),
        readers: all_doors(&setup, true),
        cards: AccountCard::all(&page.control, &setup),
        holds: holds.into_iter().map(|hold| (hold.since.into(), hold)).collect(),
        waiting: Waiting::all(&page.control).await?.into_iter().map(Line::from).collect(),
        totals: queue.totals().await.map_err(Problem::from)?,
        chart: Chart::of(&page.control.journal.day()),
        width: WIDTH,
        height: HEIGHT,
        has_ca: certificate::is_ours(&setup),
    }))
}

/// Those for reading, or those for sending.
fn all_doors(setup: &Setup, reading: bool) -> Vec<Door> {
    let wanted = setup.submission.listeners.iter().filter(|listener| listener.protocol.reading().is_some() == reading);
    wanted.flat_map(|listener| doors(setup, listener)).collect()
}

/// One for each port; two addresses of one port are one door to people.
fn doors(setup: &Setup, listener: &ListenerSettings) -> Vec<Door> {
    let mut doors: Vec<Door> = Vec::new();
    for address in &listener.listen {
        let ip = address.ip().to_canonical();
        let server = match ip {
            _ if ip.is_unspecified() => setup.submission.hostname.clone(),
            _ if ip.is_loopback() => "localhost".to_owned(),
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        if doors.iter().any(|door| door.server == server && door.port == address.port()) {
            continue;
        }
        let admitted = setup.clients.iter().filter(|client| listener.admits(&client.name));
        doors.push(Door {
            protocol: match listener.protocol {
                Protocol::Smtp => "SMTP",
                Protocol::Imap => "IMAP",
                Protocol::Pop3 => "POP3",
            },
            server,
            port: address.port(),
            encryption: match listener.tls {
                ListenerTls::None => "none",
                ListenerTls::StartTls => "STARTTLS (some programs say TLS)",
                ListenerTls::Implicit => "SSL/TLS from the start",
                ListenerTls::Auto => "STARTTLS, SSL/TLS or none, as the program likes",
            },
            clients: admitted
                .filter_map(|client| match listener.protocol.reading() {
                    None => Some(door_client(client)),
                    Some(protocol) => reader(setup, client, protocol),
                })
                .collect(),
            reachable: !ip.is_loopback(),
        });
    }
    doors
}

fn door_client(client: &Client) -> DoorClient {
    let networks: Vec<String> = client.networks.iter().map(ToString::to_string).collect();
    let senders: Vec<&str> = client.accounts.iter().map(|account| account.name.as_str()).collect();
    let login = client.login.as_ref().map(|(login, _)| login.clone());
    let password = match (&login, client.any_login, networks.is_empty()) {
        (Some(_), ..) => "the one of its client in the configuration",
        (None, true, _) => "anything",
        (None, false, _) => "none",
    };
    DoorClient {
        name: client.name.clone(),
        login: login.or_else(|| client.any_login.then(|| "anything".to_owned())),
        by_address: false,
        password,
        networks: networks.join(", "),
        accounts: senders.join(", "),
    }
}

/// How a client that may read comes in; `None`: none of its accounts is read by this protocol, or it has no login.
fn reader(setup: &Setup, client: &Client, protocol: reading::Protocol) -> Option<DoorClient> {
    let is_read =
        |account: &&Arc<Account>| setup.reading.get(&account.name).is_some_and(|to| to.get(protocol).is_some());
    let accounts: Vec<_> = client.accounts.iter().filter(is_read).collect();
    let (login, password) = match &client.login {
        _ if accounts.is_empty() => return None,
        Some((login, _)) => (login.clone(), "the one of its client in the configuration"),
        None if client.own_token => ("the mailbox's address".to_owned(), "none: an access token of its own, by OAuth2"),
        None => return None,
    };
    let mut mailboxes: Vec<String> = Vec::new();
    for account in &accounts {
        mailboxes.push(match (&account.mailbox, &client.mailbox) {
            (MailboxRule::One(mailbox), _) | (MailboxRule::Domain(_), Some(mailbox)) => mailbox.to_string(),
            (MailboxRule::Domain(domain), None) => format!("any mailbox of {domain}"),
        });
        mailboxes.extend(account.shared.iter().map(ToString::to_string));
    }
    let networks: Vec<String> = client.networks.iter().map(ToString::to_string).collect();
    Some(DoorClient {
        name: client.name.clone(),
        login: Some(login),
        by_address: mailboxes.len() > 1,
        password,
        networks: networks.join(", "),
        accounts: mailboxes.join(", "),
    })
}
