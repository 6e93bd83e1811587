//! Small hand-written clients, able to do everything wrong.

use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;
use url::form_urlencoded::Serializer;

use super::super::{APP_CLIENT_ID, APP_CLIENT_SECRET, PUBLIC_CLIENT_ID, Settings, Tenant};
use crate::clock::{Clock, Timestamp};

pub(super) const SCANNER: &str = "scanner@practice.example";
pub(super) const ALICE: &str = "alice@practice.example";
pub(super) const GRAPH: &str = "https://graph.microsoft.com/Mail.Send";
pub(super) const SMTP: &str = "https://outlook.office.com/SMTP.Send";
pub(super) const REDIRECT: &str = "http://localhost:4711/";
/// 43 letters, the fewest RFC 7636 allows.
pub(super) const VERIFIER: &str = "abcdefghijklmnopqrstuvwxyz-0123456789._~ABC";
pub(super) const MAIL: &str =
    "From: scanner@practice.example\r\nTo: alice@practice.example\r\nSubject: Scan\r\n\r\nText\r\n";

/// A tenant whose clock stands still.
pub(super) async fn tenant() -> (Tenant, Clock) {
    let clock = Clock::manual(Timestamp::from_millis(1_795_219_200_000));
    let settings = Settings { clock: clock.clone(), ..Settings::default() };
    (Tenant::start(settings).await.expect("the tenant starts"), clock)
}

/// An HTTP answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    fn parse(octets: &[u8]) -> Self {
        let text = String::from_utf8_lossy(octets).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// The AADSTS number of a refusal.
    pub(super) fn number(&self) -> u64 {
        self.json()["error_codes"][0].as_u64().unwrap_or(0)
    }

    /// A parameter of the redirect.
    pub(super) fn redirected(&self, name: &str) -> Option<String> {
        let url = Url::parse(self.head.lines().find_map(|line| line.strip_prefix("location: "))?).ok()?;
        url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    }
}

/// One request on a connection of its own; an `Err` is a connection that broke.
pub(super) async fn http(url: &Url, head: &str, body: &[u8]) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(url.socket_addrs(|| None)?[0]).await?;
    let path = url.query().map_or(url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let (method, fields) = head.split_once(' ').unwrap_or((head, ""));
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: practice\r\nConnection: close\r\nContent-Length: {length}\r\n{fields}\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    stream.write_all(body).await?;
    let mut octets = Vec::new();
    stream.read_to_end(&mut octets).await?;
    Ok(Answer::parse(&octets))
}

/// A form, encoded.
pub(super) fn form(pairs: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// POSTs a form to the token endpoint.
pub(super) async fn token(tenant: &Tenant, pairs: &[(&str, &str)]) -> Answer {
    let head = "POST Content-Type: application/x-www-form-urlencoded\r\n";
    http(&tenant.token_url(), head, form(pairs).as_bytes()).await.expect("an answer")
}

/// The parameters of a good authorize request.
pub(super) fn authorize_parameters(scope: &str) -> Vec<(&'static str, String)> {
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, VERIFIER.as_bytes()));
    vec![
        ("client_id", PUBLIC_CLIENT_ID.into()),
        ("response_type", "code".into()),
        ("redirect_uri", REDIRECT.into()),
        ("scope", scope.into()),
        ("state", "state-1".into()),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256".into()),
        ("login_hint", SCANNER.into()),
        ("practice_auto", "1".into()),
    ]
}

/// GETs the authorize page.
pub(super) async fn authorize(tenant: &Tenant, parameters: &[(&str, String)]) -> Answer {
    let mut url = tenant.authorize_url();
    url.query_pairs_mut().extend_pairs(parameters);
    http(&url, "GET ", b"").await.expect("an answer")
}

/// A code for these scopes.
pub(super) async fn code(tenant: &Tenant, scope: &str) -> String {
    let answer = authorize(tenant, &authorize_parameters(scope)).await;
    answer.redirected("code").unwrap_or_else(|| panic!("no code: {answer:?}"))
}

/// Redeems a code, in full and as it should be done.
pub(super) async fn redeem(tenant: &Tenant, code: &str, scope: &str, verifier: &str) -> Answer {
    let pairs = [
        ("grant_type", "authorization_code"),
        ("client_id", PUBLIC_CLIENT_ID),
        ("code", code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", verifier),
        ("scope", scope),
    ];
    token(tenant, &pairs).await
}

/// Refreshes.
pub(super) async fn refresh(tenant: &Tenant, refresh_token: &str, scope: &str) -> Answer {
    let pairs = [
        ("grant_type", "refresh_token"),
        ("client_id", PUBLIC_CLIENT_ID),
        ("refresh_token", refresh_token),
        ("scope", scope),
    ];
    token(tenant, &pairs).await
}

/// The scanner's access token for a scope that needs no second one.
pub(super) async fn access_token(tenant: &Tenant, scope: &str) -> String {
    let code = code(tenant, scope).await;
    text(&redeem(tenant, &code, scope, VERIFIER).await, "access_token")
}

/// An app's access token.
pub(super) async fn app_token(tenant: &Tenant, scope: &str) -> Answer {
    let pairs = [
        ("grant_type", "client_credentials"),
        ("client_id", APP_CLIENT_ID),
        ("client_secret", APP_CLIENT_SECRET),
        ("scope", scope),
    ];
    token(tenant, &pairs).await
}

/// A text field of a JSON answer.
pub(super) fn text(answer: &Answer, field: &str) -> String {
    answer.json()[field].as_str().unwrap_or_else(|| panic!("no {field}: {answer:?}")).to_owned()
}

/// POSTs a body to `sendMail`.
pub(super) async fn post_mail(tenant: &Tenant, who: &str, token: &str, body: &[u8]) -> std::io::Result<Answer> {
    let url = Url::parse(&format!("{}/{who}/sendMail", tenant.graph_base())).expect("a URL");
    http(&url, &format!("POST Authorization: Bearer {token}\r\nContent-Type: text/plain\r\n"), body).await
}

/// POSTs a message to `/me/sendMail`.
pub(super) async fn send_mail(tenant: &Tenant, token: &str, mime: &str) -> Answer {
    post_mail(tenant, "me", token, STANDARD.encode(mime).as_bytes()).await.expect("an answer")
}

trait Both: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Both for T {}

/// An SMTP client that says what it is told.
pub(super) struct Smtp(Box<dyn Both>);

impl Smtp {
    /// Connects; the greeting is not read.
    pub(super) async fn connect(address: SocketAddr) -> Self {
        Self(Box::new(TcpStream::connect(address).await.expect("a connection")))
    }

    /// Connects and goes on to TLS; EHLO is said.
    pub(super) async fn secure(tenant: &Tenant) -> Self {
        let mut clear = Self::connect(tenant.smtp_addr()).await;
        clear.reply().await;
        clear.say("EHLO here").await;
        assert_eq!(clear.say("STARTTLS").await, "220 2.0.0 SMTP server ready");
        let tls = tls(tenant).connect(ServerName::try_from("localhost").unwrap(), clear.0).await;
        let mut smtp = Self(Box::new(tls.expect("a handshake")));
        assert!(smtp.say("EHLO here").await.contains("250-AUTH LOGIN XOAUTH2"));
        smtp
    }

    /// As `secure`, and signed in.
    pub(super) async fn signed_in(tenant: &Tenant, token: &str) -> Self {
        let mut smtp = Self::secure(tenant).await;
        assert_eq!(smtp.say(&xoauth2(SCANNER, token)).await, "235 2.7.0 Authentication successful");
        smtp
    }

    /// Sends octets.
    pub(super) async fn write(&mut self, octets: &[u8]) {
        self.0.write_all(octets).await.expect("written");
    }

    /// Sends a command and reads its reply.
    pub(super) async fn say(&mut self, command: &str) -> String {
        self.write(format!("{command}\r\n").as_bytes()).await;
        self.reply().await
    }

    /// Sends a message by DATA to one recipient and reads the last reply.
    pub(super) async fn send(&mut self, recipient: &str, content: &str) -> String {
        self.say(&format!("MAIL FROM:<{SCANNER}>")).await;
        self.say(&format!("RCPT TO:<{recipient}>")).await;
        self.say("DATA").await;
        self.say(&format!("{content}.")).await
    }

    /// Reads one reply, all of its lines; empty if the connection has ended.
    pub(super) async fn reply(&mut self) -> String {
        let mut text = String::new();
        while let Ok(octet) = self.0.read_u8().await {
            text.push(char::from(octet));
            let last = text.lines().last().unwrap_or_default();
            if text.ends_with("\r\n") && last.as_bytes().get(3) == Some(&b' ') {
                return text.trim_end_matches("\r\n").to_owned();
            }
        }
        text
    }
}

/// A TLS client that trusts the tenant alone.
pub(super) fn tls(tenant: &Tenant) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(tenant.ca_pem().as_bytes()).expect("PEM")).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// An AUTH command with its initial response.
pub(super) fn xoauth2(mailbox: &str, token: &str) -> String {
    let response = STANDARD.encode(format!("user={mailbox}\u{1}auth=Bearer {token}\u{1}\u{1}"));
    format!("AUTH XOAUTH2 {response}")
}
