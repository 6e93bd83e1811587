//! A backend, the practice tenant and what stands between them, in one process.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oxpost::clock::{Clock, Timestamp};
use oxpost::delivery::ews::EwsBackend;
use oxpost::delivery::gmail::GmailBackend;
use oxpost::delivery::graph::GraphBackend;
use oxpost::delivery::smtp::{SmtpBackend, Timeouts};
use oxpost::delivery::{
    Backend, BoxFuture, Chunks, Content, ContentError, Delivery, EwsWay, GmailWay, GraphWay, Notebook, SmtpLogin,
    SmtpTls, SmtpWay, Token, Tokens,
};
use oxpost::http::{Http, HttpSettings};
use oxpost::mail::{
    Address, Attempt, BackendKind, Envelope, Failure, Outcome, QueueId, Reason, ReversePath, SenderPolicy,
};
use oxpost::net::connect::Connector;
use oxpost::practice::{Settings, Tenant};
use oxpost::secret::Secret;
use oxpost::token::Purpose;

/// All backends.
pub(crate) const ALL: [BackendKind; 4] = [BackendKind::Graph, BackendKind::Smtp, BackendKind::Gmail, BackendKind::Ews];
/// The mailbox that sends.
pub(crate) const SCANNER: &str = "scanner@practice.example";
/// What Graph takes in one request, before base64.
pub(crate) const ONE_REQUEST: u64 = 3 << 20;

/// Practice tenant and tokens.
pub(crate) struct Bench {
    pub(crate) tenant: Tenant,
    /// Each account has one token for each purpose.
    pub(crate) permissions: BTreeMap<Purpose, Vec<&'static str>>,
    pub(crate) http: Http,
    pub(crate) notebook: Memo,
    pub(crate) timeout: Duration,
    pub(crate) drafts: Option<u64>,
    pub(crate) sender: SenderPolicy,
    pub(crate) save_copy: bool,
    pub(crate) max_recipients: usize,
    folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(Settings { clock: Clock::system(), ..Settings::default() }).await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let tenant = Tenant::start(settings).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let ca: PathBuf = folder.path().join("ca.pem");
        std::fs::write(&ca, tenant.ca_pem()).unwrap();
        let http = Http::new(HttpSettings { ca_file: Some(ca), ..HttpSettings::default() }).unwrap();
        let permissions = BTreeMap::from([
            (Purpose::Graph, vec!["Mail.Send", "Mail.ReadWrite"]),
            (Purpose::Smtp, vec!["SMTP.Send"]),
            (Purpose::Ews, vec!["EWS.AccessAsUser.All"]),
            (Purpose::Gmail, vec!["gmail.send"]),
        ]);
        Self {
            tenant,
            permissions,
            http,
            notebook: Memo::default(),
            timeout: Duration::from_secs(60),
            drafts: Some(150 << 20),
            sender: SenderPolicy::Keep,
            save_copy: true,
            max_recipients: 100,
            folder,
        }
    }

    pub(crate) fn graph(&self) -> GraphBackend {
        let base = self.tenant.graph_base();
        let way = GraphWay {
            base,
            by_name: false,
            max_octets: ONE_REQUEST,
            drafts: self.drafts,
            max_recipients: self.max_recipients,
        };
        GraphBackend::new(way, self.http.clone(), self.tokens(), self.timeout)
    }

    pub(crate) fn gmail(&self) -> GmailBackend {
        let way =
            GmailWay { base: self.tenant.gmail_base(), max_octets: 36_700_160, max_recipients: self.max_recipients };
        GmailBackend::new(way, self.http.clone(), self.tokens(), self.timeout)
    }

    pub(crate) fn ews(&self) -> EwsBackend {
        let (url, max_recipients, save_copy) = (self.tenant.ews_url(), self.max_recipients, self.save_copy);
        let way = EwsWay { url, impersonate: false, save_copy, max_octets: 35 << 20, max_recipients };
        EwsBackend::new(way, self.http.clone(), self.tokens(), self.timeout)
    }

    pub(crate) fn smtp(&self) -> SmtpBackend {
        let (host, helo) = ("localhost".to_owned(), "gw.practice.example".to_owned());
        let (port, max_octets, max_recipients) = (self.tenant.smtp_addr().port(), 150 << 20, self.max_recipients);
        let (tls, login) = (SmtpTls::StartTls, SmtpLogin::Token);
        let way = SmtpWay { host, port, tls, max_octets, max_recipients, helo, dsn: false, login };
        let connector = Connector::new(Some(&self.folder.path().join("ca.pem"))).unwrap();
        let timeouts = Timeouts { step: self.timeout, last: self.timeout, idle: self.timeout };
        SmtpBackend::new(way, connector, self.tokens(), timeouts)
    }

    /// Every backend there is.
    pub(crate) fn backend(&self, kind: BackendKind) -> Box<dyn Backend> {
        match kind {
            BackendKind::Graph => Box::new(self.graph()),
            BackendKind::Smtp => Box::new(self.smtp()),
            BackendKind::Gmail => Box::new(self.gmail()),
            BackendKind::Ews => Box::new(self.ews()),
            BackendKind::Smarthost => unreachable!("the practice tenant takes tokens alone"),
        }
    }

    pub(crate) fn tokens(&self) -> Arc<dyn Tokens> {
        let token = |(&purpose, permissions): (&Purpose, &Vec<&'static str>)| {
            (purpose, self.tenant.access_token(SCANNER, permissions))
        };
        Arc::new(Purse(self.permissions.iter().map(token).collect()))
    }

    /// Hands a message over.
    pub(crate) async fn deliver(&self, backend: &dyn Backend, message: &[u8], recipients: &[&str]) -> Attempt {
        self.deliver_from(backend, message, (Some(SCANNER), recipients)).await
    }

    /// Hands a message over; `None` is the null reverse path.
    pub(crate) async fn deliver_from(
        &self,
        backend: &dyn Backend,
        message: &[u8],
        whom: (Option<&str>, &[&str]),
    ) -> Attempt {
        self.with_delivery(backend, message, whom, false).await.unwrap()
    }

    /// Gives a message up.
    pub(crate) async fn abandon(&self, backend: &dyn Backend, message: &[u8], recipients: &[&str]) {
        self.with_delivery(backend, message, (Some(SCANNER), recipients), true).await;
    }

    async fn with_delivery(
        &self,
        backend: &dyn Backend,
        message: &[u8],
        (from, recipients): (Option<&str>, &[&str]),
        given_up: bool,
    ) -> Option<Attempt> {
        let mailbox: Address = SCANNER.parse().unwrap();
        let from = from.map_or(ReversePath::Null, |from| ReversePath::Mailbox(from.parse().unwrap()));
        let recipients = recipients.iter().map(|to| to.parse::<Address>().unwrap().into()).collect();
        let envelope = Envelope::new(from, recipients).unwrap();
        let content = Stored(Arc::from(message));
        let head = &message[..message.len().min(300_000)];
        let delivery = Delivery {
            id: QueueId::from_slice(&[7; 16]).unwrap(),
            account: "scanner",
            mailbox: &mailbox,
            envelope: &envelope,
            sender: self.sender,
            head,
            content: &content,
            size: message.len() as u64,
            notebook: &self.notebook,
        };
        if given_up {
            backend.abandon(delivery).await;
            return None;
        }
        Some(backend.deliver(delivery).await)
    }
}

/// The reasons of an attempt, `None` for who was relayed.
pub(crate) fn reasons(attempt: &Attempt) -> Vec<Option<Reason>> {
    attempt.outcomes.iter().map(|outcome| outcome.failure().map(|failure| failure.reason)).collect()
}

/// The words of the first recipient's outcome.
pub(crate) fn words(attempt: &Attempt) -> String {
    if let Outcome::Relayed(receipt) = &attempt.outcomes[0] {
        return receipt.diagnostic.clone();
    }
    attempt.outcomes[0].failure().unwrap().diagnostic.clone()
}

/// One token for each purpose, for ever.
struct Purse(HashMap<Purpose, String>);

impl Tokens for Purse {
    fn access_token<'a>(&'a self, _: &'a str, purpose: Purpose) -> BoxFuture<'a, Result<Token, Failure>> {
        let secret = Secret::new(self.0[&purpose].clone());
        let token = Token { secret, expires: Timestamp::from_millis(i64::MAX), generation: 1 };
        Box::pin(async { Ok(token) })
    }

    fn invalidate<'a>(&'a self, _: &'a str, _: Purpose, _: &'a Token) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}

/// A message in pieces of 64 kB and an odd octet.
struct Stored(Arc<[u8]>);

impl Content for Stored {
    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Chunks>, ContentError>> {
        let pieces: VecDeque<Vec<u8>> = self.0.chunks(65_537).map(<[u8]>::to_vec).collect();
        Box::pin(async move { Ok(Box::new(Pieces(pieces)) as Box<dyn Chunks>) })
    }
}

struct Pieces(VecDeque<Vec<u8>>);

impl Chunks for Pieces {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<u8>>, ContentError>> {
        Box::pin(async { Ok(self.0.pop_front()) })
    }
}

/// A notebook that lasts as long as the test.
#[derive(Default)]
pub(crate) struct Memo {
    notes: Mutex<HashMap<String, String>>,
    /// What [`Notebook::maybe_taken`] says.
    pub(crate) maybe_taken: Mutex<Option<Timestamp>>,
}

impl Memo {
    pub(crate) fn is_empty(&self) -> bool {
        self.notes.lock().unwrap().is_empty()
    }
}

impl Notebook for Memo {
    fn read<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, Failure>> {
        let note = self.notes.lock().unwrap().get(key).cloned();
        Box::pin(async { Ok(note) })
    }

    fn write<'a>(&'a self, key: &'a str, note: Option<String>) -> BoxFuture<'a, Result<(), Failure>> {
        let mut notes = self.notes.lock().unwrap();
        match note {
            Some(note) => notes.insert(key.to_owned(), note),
            None => notes.remove(key),
        };
        Box::pin(async { Ok(()) })
    }

    fn maybe_taken(&self) -> BoxFuture<'_, Result<Option<Timestamp>, Failure>> {
        let at = *self.maybe_taken.lock().unwrap();
        Box::pin(async move { Ok(at) })
    }
}
