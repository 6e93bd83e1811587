use std::sync::Mutex;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::*;
use crate::clock::Timestamp;
use crate::delivery::{Chunks, Content, ContentError, SmtpLogin, SmtpTls, Token};
use crate::mail::{Address, Envelope, Outcome, QueueId, Recipient, ReversePath, SenderPolicy};
use crate::secret::Secret;

mod chunks;
mod faults;
mod logins;
mod sending;
mod sessions;
mod tls;
mod upstream;

use upstream::ScriptedServer;

/// Up to the second EHLO, everything in order.
const HELLO: &str = "S: 220 up ready\nC: EHLO gw.example\nS: 250-up\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nTLS\n\
                     C: EHLO gw.example\nS: 250-up\nS: 250-PIPELINING\nS: 250-SIZE 20000000\nS: 250-8BITMIME\n\
                     S: 250 AUTH LOGIN XOAUTH2\n";
const LOGIN: &str = "C: AUTH XOAUTH2 \nS: 235 2.7.0 ok\n";
/// The commands of a transaction with one recipient, then 354.
const DATA: &str = "C: MAIL FROM:<a@x.example>\nC: RCPT TO:<b@x.example>\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\n";
/// A whole transaction with one recipient.
const MAIL: &str = "C: MAIL FROM:<a@x.example>\nC: RCPT TO:<b@x.example>\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 354 go\n\
                    CONTENT\nS: 250 2.0.0 queued as 7\n";
const MESSAGE: &str = "From: <a@x.example>\r\nTo: <b@x.example>\r\nSubject: hello\r\n\r\nbody\r\n";

/// A CA and what it signs, as a server uses it and as a client trusts it.
struct Certificates {
    ca: Issuer<'static, KeyPair>,
    ca_pem: String,
}

impl Certificates {
    fn new() -> Self {
        Self::of("Test CA")
    }

    fn of(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let ca_pem = params.self_signed(&key).unwrap().pem();
        Self { ca: Issuer::new(params, key), ca_pem }
    }

    /// Server settings with a certificate for `name`, changed by `change`.
    fn server(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> ServerConfig {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.ca).unwrap();
        server_config(certificate.der().clone(), &key)
    }

    fn connector(&self) -> Connector {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &self.ca_pem).unwrap();
        Connector::new(Some(file.path())).unwrap()
    }
}

fn server_config(certificate: rustls::pki_types::CertificateDer<'static>, key: &KeyPair) -> ServerConfig {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap()
}

/// Hands out numbered tokens; a refused one makes room for the next.
#[derive(Default)]
struct NumberedTokens {
    refused: Mutex<Vec<u64>>,
    /// Instead of a token.
    failure: Option<Failure>,
    /// Octets of each token.
    length: usize,
}

impl NumberedTokens {
    fn refused(&self) -> Vec<u64> {
        self.refused.lock().unwrap().clone()
    }
}

impl Tokens for NumberedTokens {
    fn access_token<'a>(&'a self, _: &'a str, purpose: Purpose) -> BoxFuture<'a, Result<Token, Failure>> {
        assert_eq!(purpose, Purpose::Smtp);
        let generation = self.refused.lock().unwrap().len() as u64;
        let secret = Secret::new(format!("token{generation}{}", "x".repeat(self.length)));
        let token = Token { secret, expires: Timestamp::from_millis(i64::MAX), generation };
        let result = self.failure.clone().map_or(Ok(token), Err);
        Box::pin(async { result })
    }

    fn invalidate<'a>(&'a self, _: &'a str, _: Purpose, token: &'a Token) -> BoxFuture<'a, ()> {
        self.refused.lock().unwrap().push(token.generation);
        Box::pin(async {})
    }
}

/// A message in memory, given out in pieces; `None` at the end of `pieces` is a piece that cannot be read.
struct Stored(Vec<Option<Vec<u8>>>);

struct Reading(std::vec::IntoIter<Option<Vec<u8>>>);

impl Content for Stored {
    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Chunks>, ContentError>> {
        let reading: Box<dyn Chunks> = Box::new(Reading(self.0.clone().into_iter()));
        Box::pin(async { Ok(reading) })
    }
}

impl Chunks for Reading {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<u8>>, ContentError>> {
        let next = self.0.next();
        let unreadable = || ContentError::Unreadable("input/output error".to_owned());
        Box::pin(async move { next.map(|piece| piece.ok_or_else(unreadable)).transpose() })
    }
}

/// A backend, and the server it speaks to.
struct Bench {
    server: ScriptedServer,
    backend: SmtpBackend,
    tokens: Arc<NumberedTokens>,
}

/// How a bench differs from the usual.
struct Setup {
    tokens: NumberedTokens,
    max_recipients: usize,
    timeouts: Timeouts,
    tls: SmtpTls,
    login: SmtpLogin,
    /// The server's certificate, if not a good one.
    certificate: Option<ServerConfig>,
}

impl Default for Setup {
    fn default() -> Self {
        let step = Duration::from_secs(10);
        Self {
            tokens: NumberedTokens::default(),
            max_recipients: 100,
            timeouts: Timeouts { step, last: step, idle: Duration::from_secs(20) },
            tls: SmtpTls::StartTls,
            login: SmtpLogin::Token,
            certificate: None,
        }
    }
}

impl Bench {
    async fn start<T: Into<String>>(scripts: impl IntoIterator<Item = T>) -> Self {
        Self::with(Setup::default(), scripts).await
    }

    async fn with<T: Into<String>>(setup: Setup, scripts: impl IntoIterator<Item = T>) -> Self {
        let certificates = Certificates::new();
        let config = setup.certificate.unwrap_or_else(|| certificates.server("127.0.0.1", |_| {}));
        let server = ScriptedServer::start(config, scripts.into_iter().map(Into::into).collect()).await;
        let way = SmtpWay {
            host: "127.0.0.1".to_owned(),
            port: server.address.port(),
            tls: setup.tls,
            max_octets: 20_000_000,
            max_recipients: setup.max_recipients,
            dsn: true,
            helo: "gw.example".to_owned(),
            login: setup.login,
        };
        let tokens = Arc::new(setup.tokens);
        let backend = SmtpBackend::new(way, certificates.connector(), Arc::clone(&tokens) as _, setup.timeouts);
        Self { server, backend, tokens }
    }

    /// Hands [`MESSAGE`] over to these recipients.
    async fn send(&self, to: &[&str]) -> Attempt {
        self.send_stored(&Stored(vec![Some(MESSAGE.into())]), to).await
    }

    async fn send_stored(&self, content: &Stored, to: &[&str]) -> Attempt {
        let envelope = Envelope::new(ReversePath::Mailbox(address("a@x.example")), recipients(to)).unwrap();
        self.send_as(content, &envelope).await
    }

    async fn send_as(&self, content: &Stored, envelope: &Envelope) -> Attempt {
        let whole: Vec<u8> = content.0.iter().flatten().flatten().copied().collect();
        let unread = content.0.iter().filter(|piece| piece.is_none()).count() as u64;
        self.backend
            .deliver(Delivery {
                id: QueueId::fresh(),
                account: "scanner",
                mailbox: &address("a@x.example"),
                envelope,
                sender: SenderPolicy::Keep,
                head: &whole[..whole.len().min(64 * 1024)],
                content,
                size: whole.len() as u64 + unread,
                notebook: &crate::delivery::notebook::NoNotes,
            })
            .await
    }

    /// Everything went as the scripts say.
    fn assert_followed(&self) {
        assert_eq!(self.server.faults(), Vec::<String>::new());
    }
}

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn recipients(to: &[&str]) -> Vec<Recipient> {
    to.iter().map(|text| Recipient::from(address(text))).collect()
}

/// Each outcome in a few words.
fn shown(attempt: &Attempt) -> Vec<String> {
    let words = |kind: &str, failure: &Failure| format!("{kind} {:?}", failure.reason);
    let outcomes = attempt.outcomes.iter().map(|outcome| match outcome {
        Outcome::Relayed(_) => "relayed".to_owned(),
        Outcome::Deferred(failure) => words("deferred", failure),
        Outcome::Held(failure) => words("held", failure),
        Outcome::Failed(failure) => words("failed", failure),
        Outcome::Unknown(failure) => words("unknown", failure),
    });
    outcomes.collect()
}

/// What went wrong for the first recipient, for people.
fn diagnostic(attempt: &Attempt) -> &str {
    attempt.outcomes[0].failure().map_or("", |failure| &failure.diagnostic)
}
