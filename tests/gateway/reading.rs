//! Reading through the whole gateway: the practice tenant behind it, or a server that does as a test tells it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oxpost::account::password;
use oxpost::mail::{Event, Reason};
use oxpost::secret::Secret;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::client::Client;
use crate::house::{ALICE, House, LOGIN, PASSWORD, Plan, SCANNER, account, letter, network_client};

pub(crate) const IMAP: usize = 0;
pub(crate) const POP3: usize = 1;
const SMTP: usize = 2;

/// Two accounts that are read, one with a shared mailbox; a client that logs in, and one with tokens of its own.
pub(crate) fn plan() -> Plan {
    let hash = password::hash(&Secret::new(PASSWORD)).unwrap();
    let read = |mailbox: &str, more: &str| {
        account(mailbox, r#"["smtp"]"#).trim_end().to_owned() + &format!("\nread = [\"imap\", \"pop3\"]\n{more}\n")
    };
    let door = |protocol: &str| format!("protocol = \"{protocol}\"\ntls = \"starttls\"\nallow_clear_auth = true");
    Plan {
        accounts: read(SCANNER, "shared = [\"billing@practice.example\"]") + &read(ALICE, ""),
        listeners: vec![door("imap"), door("pop3"), "tls = \"none\"".to_owned()],
        clients: format!(
            "[[client]]\nname = \"apps\"\nlogin = \"{LOGIN}\"\npassword = \"{hash}\"\naccounts = [\"scanner\", \"alice\"]\n"
        ) + &network_client("rewrite")
            .replace(r#"["scanner", "billing", "alice", "bob"]"#, r#"["scanner", "alice"]"#),
        ..Plan::default()
    }
}

/// A server that answers each line with the next of its lines. `@` is the tag of the line it answers.
pub(crate) struct Scripted {
    port: u16,
    ca: String,
    sessions: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    pub(crate) async fn start(greeting: &'static str, answers: &'static [&'static str]) -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = config.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key).unwrap();
        let tls = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let sessions: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&sessions);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                if let Ok(stream) = tls.accept(tcp).await {
                    let heard = dialogue(stream, greeting, answers).await;
                    kept.lock().unwrap().push(heard);
                }
            }
        });
        Self { port, ca: ca_pem, sessions }
    }

    pub(crate) async fn house(&self) -> House {
        House::start(Plan { reading_server: Some((self.port, self.ca.clone())), ..plan() }).await
    }

    fn count(&self) -> usize {
        self.sessions.lock().unwrap().len()
    }
}

/// One session of a scripted server, and what it heard.
async fn dialogue(
    mut stream: TlsStream<TcpStream>,
    greeting: &'static str,
    answers: &'static [&'static str],
) -> String {
    let (mut heard, mut answers) = (String::new(), VecDeque::from(answers.to_vec()));
    stream.write_all(greeting.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut buffer = [0; 8192];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
        heard.push_str(&text);
        let Some(answer) = answers.pop_front() else { continue };
        let tag = text.split(' ').next().unwrap_or_default();
        stream.write_all(answer.replace('@', tag).replace("%ECHO%", &text).as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
    }
    heard
}

pub(crate) async fn imap(house: &House) -> Client {
    let mut client = Client::connect(house.listener(IMAP)).await;
    assert!(client.line().await.unwrap().starts_with("* OK [CAPABILITY IMAP4rev1"));
    client
}

pub(crate) async fn log_in(house: &House, login: &str) -> (Client, String) {
    let mut client = imap(house).await;
    client.send(format!("a LOGIN {login} {PASSWORD}\r\n")).await;
    let answer = client.line().await.unwrap();
    (client, answer)
}

/// Lines up to the one with the tag.
pub(crate) async fn answer(client: &mut Client, tag: &str) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let line = client.line().await.expect("the server says something");
        let last = line.starts_with(tag);
        lines.push(line);
        if last {
            return lines;
        }
    }
}

#[tokio::test]
async fn mail_is_read_with_a_password_and_nothing_is_lost_at_the_hand_over() {
    let house = House::start(plan()).await;
    let mut smtp = Client::connect(house.listener(SMTP)).await.greeted().await;
    assert!(smtp.hand_in(SCANNER, &[ALICE], letter(SCANNER, ALICE, "to be read")).await.starts_with("250"));
    house.arrived(1).await;
    let mut client = imap(&house).await;
    client.send(format!("a LOGIN {ALICE} {PASSWORD}\r\nb SELECT INBOX\r\nc FETCH 1 BODY.PEEK[]\r\nd LOG")).await;
    let selected = answer(&mut client, "b ").await;
    assert_eq!(selected[0], "a OK Logged in");
    assert!(selected.contains(&"* 1 EXISTS".to_owned()), "{selected:?}");
    let fetched = answer(&mut client, "c ").await;
    assert!(fetched.contains(&"Subject: to be read".to_owned()), "{fetched:?}");
    client.send("OUT\r\n").await;
    assert!(answer(&mut client, "d ").await.last().unwrap().starts_with("d OK"));
    assert!(client.is_closed().await);

    let mut client = Client::connect(house.listener(POP3)).await;
    client.send(format!("USER {ALICE}\r\nPASS {PASSWORD}\r\nSTAT\r\nRETR 1\r\nQUIT\r\n")).await;
    let lines = {
        let mut lines = Vec::new();
        while let Some(line) = client.line().await {
            lines.push(line);
        }
        lines
    };
    assert!(lines[3].starts_with("+OK 1 ") && lines.contains(&"Subject: to be read".to_owned()), "{lines:?}");
    let closed = |event: &Event| {
        matches!(event, Event::SessionClosed { protocol: "pop3", down, .. } if *down > 100).then_some(())
    };
    house.events.first("the POP3 session ends", closed).await;
    assert_eq!(house.tenant.findings(), []);
}

#[tokio::test]
async fn the_login_may_be_a_mailbox_and_a_shared_one_is_opened_by_its_name() {
    let house = House::start(plan()).await;
    let opened = |mailbox: &'static str| {
        move |event: &Event| {
            matches!(event, Event::SessionOpened { mailbox: other, .. } if other == mailbox).then_some(())
        }
    };
    for (login, mailbox) in [(LOGIN, SCANNER), (ALICE, ALICE)] {
        let (_client, answer) = log_in(&house, login).await;
        assert_eq!(answer, "a OK Logged in", "{login}");
        house.events.first(mailbox, opened(mailbox)).await;
    }
    // The practice tenant lets nobody but its owner into that mailbox; what counts is whom was asked for.
    let (_client, answer) = log_in(&house, "billing@practice.example").await;
    assert!(answer.starts_with("a NO [UNAVAILABLE] the provider does not accept the token"), "{answer}");
    for login in ["bob@practice.example", "nobody"] {
        let (_client, answer) = log_in(&house, login).await;
        assert_eq!(answer, "a NO [AUTHENTICATIONFAILED] Wrong login or password", "{login}");
    }
}

#[tokio::test]
async fn a_lost_sign_in_is_told_with_its_remedy_and_the_id_of_the_log() {
    let house = House::start(plan()).await;
    house.tenant.revoke(SCANNER);
    let (mut client, answer) = log_in(&house, LOGIN).await;
    assert!(answer.starts_with("a NO [UNAVAILABLE] "), "{answer}");
    assert!(answer.contains("oxpost login scanner"), "{answer}");
    let refused = |event: &Event| {
        let Event::SessionRefused { session, failure, .. } = event else { return None };
        Some((session.clone(), failure.reason))
    };
    let (id, reason) = house.events.first("the refusal", refused).await;
    assert!(answer.ends_with(&format!("[session {id}]")), "{answer}");
    assert_eq!(reason, Reason::SignInNeeded);
    client.send("b NOOP\r\n").await;
    assert_eq!(client.line().await.as_deref(), Some("b OK Nothing done"), "the connection stays");
    let (_client, answer) = log_in(&house, ALICE).await;
    assert_eq!(answer, "a OK Logged in", "others are not taken along");
}

pub(crate) const GREETING: &str = "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] ready\r\n";

#[tokio::test]
async fn a_pause_that_the_provider_asks_for_is_kept_on_behalf_of_the_client() {
    let throttled = "@ BAD Request is throttled. Suggested Backoff Time: 60000 milliseconds\r\n";
    let server = Scripted::start(GREETING, Box::leak(Box::new([throttled]))).await;
    let house = server.house().await;
    for (wait, asked) in [(0, 1), (30, 1), (29, 1), (1, 2)] {
        house.clock.advance(Duration::from_secs(wait));
        let (_client, answer) = log_in(&house, LOGIN).await;
        assert!(answer.starts_with("a NO [UNAVAILABLE] the provider asked to slow down"), "{answer}");
        let seen = async {
            while server.count() < asked {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(crate::client::PATIENCE, seen).await.expect("the session at the server ends");
        assert_eq!(server.count(), asked, "after {wait} s more");
    }
}

#[tokio::test]
async fn what_a_server_says_before_its_yes_is_not_passed_on_and_what_comes_behind_it_is() {
    let yes = "* 99 EXISTS\r\n* OK [ALERT] pay here\r\n@ OK [CAPABILITY IMAP4rev1 IDLE STARTTLS] in\r\n* 5 EXISTS\r\n";
    let server = Scripted::start(GREETING, Box::leak(Box::new([yes, "* 6 EXISTS\r\n@ OK\r\n"]))).await;
    let house = server.house().await;
    let (mut client, answer) = log_in(&house, LOGIN).await;
    assert_eq!(answer, "a OK [CAPABILITY IMAP4rev1 IDLE] Logged in");
    assert_eq!(client.line().await.as_deref(), Some("* 5 EXISTS"));
    client.send("b IDLE\r\n").await;
    assert_eq!(client.line().await.as_deref(), Some("* 6 EXISTS"));
    assert_eq!(client.line().await.as_deref(), Some("b OK"));
}

#[tokio::test]
async fn refusals_of_a_server_are_explained_without_its_secrets() {
    let table: [(&'static [&'static str], &str, &str); 5] = [
        (
            &["@ BAD User is authenticated but not connected.\r\n"],
            "the mailbox cannot be used this way",
            "IMAP is on for it",
        ),
        (
            &["@ NO [ALERT] Your account is not enabled for IMAP use.\r\n"],
            "IMAP or POP3 is switched off",
            "switch it on",
        ),
        (&["* PREAUTH hi\r\n"], "the provider has trouble of its own", "PREAUTH"),
        (&["a OK in\r\n"], "the provider has trouble of its own", "does not fit"),
        (&["@ NO bad token %ECHO%\r\n"], "the provider does not accept the token", "signed in as somebody"),
    ];
    for (answers, why, hint) in table {
        let server = Scripted::start(GREETING, answers).await;
        let house = server.house().await;
        let (_client, answer) = log_in(&house, LOGIN).await;
        assert!(answer.starts_with(&format!("a NO [UNAVAILABLE] {why}")) && answer.contains(hint), "{answer}");
        assert!(answer.split(' ').all(|word| word.len() < 80), "no token is told: {answer}");
    }
}

#[tokio::test]
async fn guessing_is_slowed_for_one_name_and_address_and_nobody_else() {
    let house = House::start(plan()).await;
    let mut client = imap(&house).await;
    for number in 0..20 {
        client.send(format!("g{number} LOGIN {LOGIN} guess{number}\r\n")).await;
        let answer = client.line().await.unwrap();
        assert!(answer.ends_with("NO [AUTHENTICATIONFAILED] Wrong login or password"), "{answer}");
    }
    let (_client, answer) = log_in(&house, LOGIN).await;
    assert!(answer.starts_with("a NO [UNAVAILABLE] Too many logins"), "{answer}");
    let mut elsewhere = Client::connect_from("127.0.0.2", house.listener(IMAP)).await;
    elsewhere.line().await.unwrap();
    elsewhere.send(format!("a LOGIN {LOGIN} {PASSWORD}\r\n")).await;
    assert_eq!(elsewhere.line().await.as_deref(), Some("a OK Logged in"));
}

#[tokio::test]
async fn a_gateway_that_stops_says_goodbye_before_a_login_and_nothing_after_it() {
    let mut house = House::start(plan()).await;
    let mut waiting = imap(&house).await;
    let (mut reading, answer) = log_in(&house, LOGIN).await;
    assert_eq!(answer, "a OK Logged in");
    house.stop().await;
    assert_eq!(waiting.line().await.as_deref(), Some("* BYE Shutting down, try again later"));
    assert_eq!(reading.line().await, None, "an octet of ours could land inside a literal");
    let drained =
        |event: &Event| matches!(event, Event::SessionClosed { why, .. } if why == "the gateway stops").then_some(());
    house.events.first("the session is ended", drained).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_behind_a_proxy_is_known_by_its_own_address() {
    let listeners = plan().listeners.into_iter().map(|keys| keys + "\nproxy_from = [\"127.0.0.5\"]").collect();
    let house = House::start(Plan { listeners, ..plan() }).await;
    for door in [IMAP, POP3] {
        let mut without = Client::connect_from("127.0.0.5", house.listener(door)).await;
        without.send("a NOOP\r\n").await;
        assert_eq!(without.line().await, None, "a proxy says for whom it comes");
    }
    let mut client = Client::connect_from("127.0.0.5", house.listener(IMAP)).await;
    client.send("PROXY TCP4 203.0.113.9 127.0.0.1 54321 143\r\n").await;
    assert!(client.line().await.unwrap().starts_with("* OK"));
    client.send(format!("a LOGIN {LOGIN} {PASSWORD}\r\n")).await;
    let peer =
        |event: &Event| if let Event::SessionOpened { peer, .. } = event { Some(peer.to_string()) } else { None };
    assert_eq!(house.events.first("the program reads", peer).await, "203.0.113.9");
}
