//! The backend against a small Graph on loopback that answers as told and keeps what it was sent.

use std::collections::VecDeque;
use std::sync::Mutex;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode, Uri};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::*;
use crate::clock::Timestamp;
use crate::delivery::{AsObject, Asked, Chunks, Content, ContentError, ObjectForGraph, Token};
use crate::http::HttpSettings;
use crate::mail::{Outcome, QueueId, ReversePath, SenderPolicy};
use crate::secret::Secret;
use crate::token::Purpose;

const HEADER: &str = "From: scanner@own.example\r\nTo: a@x.example\r\nSubject: s\r\n\r\n";

/// A request as the server saw it.
struct Seen {
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Seen {
    fn message(&self) -> String {
        String::from_utf8(STANDARD.decode(&self.body).unwrap()).unwrap()
    }
}

type Answer = (StatusCode, [(&'static str, &'static str); 1], &'static str);

const TAKEN: Answer = (StatusCode::ACCEPTED, [("request-id", "r-1")], "");

fn answer(status: u16, body: &'static str) -> Answer {
    (StatusCode::from_u16(status).unwrap(), [("request-id", "r-1")], body)
}

/// A Graph that gives its answers one after the other, then takes everything.
#[derive(Default)]
struct Graph {
    answers: Mutex<VecDeque<Answer>>,
    seen: Mutex<Vec<Seen>>,
}

impl Graph {
    /// Starts it; the URL is the base for a backend.
    async fn start(answers: impl IntoIterator<Item = Answer>) -> (Arc<Self>, Url) {
        let graph = Arc::new(Self { answers: Mutex::new(answers.into_iter().collect()), ..Self::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/v1.0", listener.local_addr().unwrap()).parse().unwrap();
        let router = Router::new().fallback(Self::take).with_state(Arc::clone(&graph));
        let router = router.layer(axum::extract::DefaultBodyLimit::disable());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (graph, base)
    }

    async fn take(State(graph): State<Arc<Self>>, uri: Uri, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
        graph.seen.lock().unwrap().push(Seen { path: uri.path().to_owned(), headers, body: body.to_vec() });
        graph.answers.lock().unwrap().pop_front().unwrap_or(TAKEN)
    }
}

/// Gives tokens `token-1`, `token-2`, ...: the next one after each invalidation, or a failure.
struct Wallet {
    generation: Mutex<u64>,
    failure: Option<Failure>,
}

impl Tokens for Wallet {
    fn access_token<'a>(&'a self, account: &'a str, purpose: Purpose) -> BoxFuture<'a, Result<Token, Failure>> {
        assert_eq!((account, purpose), ("scanner", Purpose::Graph));
        let generation = *self.generation.lock().unwrap();
        let secret = Secret::new(format!("token-{generation}"));
        let token = Token { secret, expires: Timestamp::from_millis(0), generation };
        Box::pin(async move { self.failure.clone().map_or(Ok(token), Err) })
    }

    fn invalidate<'a>(&'a self, _: &'a str, _: Purpose, token: &'a Token) -> BoxFuture<'a, ()> {
        let mut generation = self.generation.lock().unwrap();
        assert_eq!(*generation, token.generation);
        *generation += 1;
        Box::pin(async {})
    }
}

/// A message in pieces of seven octets, so that no piece ends where base64 or the header does.
struct Stored(Vec<u8>, Option<Object>);

impl Content for Stored {
    fn open(&self) -> BoxFuture<'_, Result<Box<dyn Chunks>, ContentError>> {
        let pieces: VecDeque<_> = self.0.chunks(7).map(|piece| Ok(piece.to_vec())).collect();
        Box::pin(async move { Ok(Box::new(Pieces(pieces)) as Box<dyn Chunks>) })
    }

    fn object(&self) -> Option<&dyn AsObject> {
        self.1.as_ref().map(|object| object as &dyn AsObject)
    }
}

struct Pieces(VecDeque<Result<Vec<u8>, ContentError>>);

impl Chunks for Pieces {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Vec<u8>>, ContentError>> {
        Box::pin(async { self.0.pop_front().transpose() })
    }
}

/// The request that an object makes: its size, and its pieces.
struct Object(u64, Vec<Result<Vec<u8>, ContentError>>);

impl AsObject for Object {
    fn for_graph<'a>(&'a self, _: Asked<'a>) -> BoxFuture<'a, Result<ObjectForGraph, ContentError>> {
        let chunks = Box::new(Pieces(self.1.iter().cloned().collect()));
        Box::pin(async move { Ok(ObjectForGraph::Request { size: self.0, chunks, notes: vec!["told".to_owned()] }) })
    }
}

/// What is delivered, and how.
struct Case {
    way: GraphWay,
    wallet: Wallet,
    timeout: Duration,
    recipients: Vec<String>,
    message: Vec<u8>,
    size: u64,
    object: Option<Object>,
}

impl Case {
    fn new(base: Url, recipients: &[&str], message: &str) -> Self {
        Self {
            way: GraphWay { base, by_name: false, drafts: None, max_octets: 3 * 1024 * 1024, max_recipients: 500 },
            wallet: Wallet { generation: Mutex::new(1), failure: None },
            timeout: Duration::from_secs(20),
            recipients: recipients.iter().map(|&to| to.to_owned()).collect(),
            message: message.as_bytes().to_vec(),
            size: message.len() as u64,
            object: None,
        }
    }

    async fn deliver(self) -> Attempt {
        let mailbox: Address = "scanner@own.example".parse().unwrap();
        let recipients = self.recipients.iter().map(|to| to.parse::<Address>().unwrap().into()).collect();
        let envelope = Envelope::new(ReversePath::Mailbox(mailbox.clone()), recipients).unwrap();
        let http = Http::new(HttpSettings::default()).unwrap();
        let head = self.message[..self.message.len().min(crate::mail::header::MAX_HEADER)].to_vec();
        let content = Stored(self.message, self.object);
        let backend = GraphBackend::new(self.way, http, Arc::new(self.wallet), self.timeout);
        assert_eq!(backend.kind(), BackendKind::Graph);
        let delivery = Delivery {
            id: QueueId::fresh(),
            account: "scanner",
            mailbox: &mailbox,
            envelope: &envelope,
            sender: SenderPolicy::Rewrite,
            head: &head,
            content: &content,
            size: self.size,
            notebook: &crate::delivery::notebook::NoNotes,
        };
        backend.deliver(delivery).await
    }
}

fn reasons(attempt: &Attempt) -> Vec<Option<Reason>> {
    attempt.outcomes.iter().map(|outcome| outcome.failure().map(|failure| failure.reason)).collect()
}

#[tokio::test]
async fn a_message_goes_out_as_base64_of_all_its_octets() {
    let (graph, base) = Graph::start([]).await;
    let message = format!("{HEADER}body é\r\n.\r\n");
    let attempt = Case::new(base, &["a@x.example"], &message).deliver().await;
    assert_eq!(attempt.backend, Some(BackendKind::Graph));
    let receipt = Receipt { diagnostic: "HTTP 202 (request-id r-1)".to_owned(), knows_wishes: false };
    assert_eq!(attempt.outcomes, [Outcome::Relayed(receipt)]);
    assert_eq!(attempt.notes, Vec::<String>::new());
    let seen = graph.seen.lock().unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].path, "/v1.0/me/sendMail");
    assert_eq!(seen[0].message(), message);
    assert_eq!(seen[0].headers["authorization"], "Bearer token-1");
    assert_eq!(seen[0].headers["content-type"], "text/plain");
    assert!(uuid::Uuid::try_parse(seen[0].headers["client-request-id"].to_str().unwrap()).is_ok());
}

#[tokio::test]
async fn an_app_names_the_mailbox_in_the_path_as_one_segment() {
    let (graph, base) = Graph::start([]).await;
    let mut case = Case::new(base, &["a@x.example"], HEADER);
    case.way.by_name = true;
    let url = root(&case.way.base, true, &"sales/eu?x#%@own.example".parse().unwrap()).unwrap();
    assert_eq!(url.path(), "/v1.0/users/sales%2Feu%3Fx%23%25@own.example");
    case.deliver().await;
    assert_eq!(graph.seen.lock().unwrap()[0].path, "/v1.0/users/scanner@own.example/sendMail");
}

#[tokio::test]
async fn the_header_is_made_to_agree_with_the_envelope() {
    let (graph, base) = Graph::start([]).await;
    let message = format!("To: list@x.example\r\n{}body", "From: app@own.example\r\n\r\n");
    let attempt = Case::new(base, &["a@x.example"], &message).deliver().await;
    let sent = graph.seen.lock().unwrap()[0].message();
    assert!(sent.starts_with("Bcc: a@x.example\r\nX-Oxpost-Original-To: list@x.example\r\n"), "{sent}");
    assert!(sent.ends_with("\r\n\r\nbody"));
    assert!(attempt.notes.iter().any(|note| note.starts_with("To rewritten")), "{:?}", attempt.notes);
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_and_then_the_mail_is_held() {
    let refused = answer(401, r#"{"error":{"code":"InvalidAuthenticationToken","message":"expired"}}"#);
    let (graph, base) = Graph::start([refused]).await;
    let attempt = Case::new(base, &["a@x.example"], HEADER).deliver().await;
    assert_eq!(reasons(&attempt), [None]);
    {
        let seen = graph.seen.lock().unwrap();
        let tokens: Vec<_> = seen.iter().map(|request| request.headers["authorization"].to_str().unwrap()).collect();
        assert_eq!(tokens, ["Bearer token-1", "Bearer token-2"]);
        assert_ne!(seen[0].headers["client-request-id"], seen[1].headers["client-request-id"]);
        assert_eq!(seen[0].body, seen[1].body);
    }
    let (graph, base) = Graph::start([refused, refused, TAKEN]).await;
    let attempt = Case::new(base, &["a@x.example"], HEADER).deliver().await;
    assert!(matches!(&attempt.outcomes[..], [Outcome::Held(f)] if f.reason == Reason::AuthenticationRejected));
    assert_eq!(graph.seen.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    let (graph, base) = Graph::start([]).await;
    let mut case = Case::new(base, &["a@x.example", "b@x.example"], HEADER);
    case.wallet.failure = Some(Failure::new(Reason::SignInNeeded, "invalid_grant"));
    let attempt = case.deliver().await;
    assert_eq!(reasons(&attempt), [Some(Reason::SignInNeeded); 2]);
    assert!(graph.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn all_recipients_of_a_message_share_its_outcome() {
    let denied = answer(403, r#"{"error":{"code":"ErrorSendAsDenied","message":"no right"}}"#);
    let (_, base) = Graph::start([denied]).await;
    let attempt = Case::new(base, &["a@x.example", "b@x.example"], HEADER).deliver().await;
    let [Outcome::Failed(first), Outcome::Failed(second)] = &attempt.outcomes[..] else { panic!("{attempt:?}") };
    assert_eq!(first, second);
    assert_eq!(first.diagnostic, "HTTP 403 ErrorSendAsDenied: no right (request-id r-1)");
}

#[tokio::test]
async fn an_answer_that_only_looks_like_success_is_none() {
    for (status, body) in [(200, ""), (200, "<html>welcome</html>"), (201, "{}"), (204, ""), (302, "")] {
        let (_, base) = Graph::start([answer(status, body)]).await;
        let attempt = Case::new(base, &["a@x.example"], HEADER).deliver().await;
        assert!(matches!(&attempt.outcomes[..], [Outcome::Deferred(_)]), "{status} {body}: {attempt:?}");
    }
}

#[tokio::test]
async fn the_size_is_checked_before_anything_is_sent() {
    let (graph, base) = Graph::start([]).await;
    let fits = format!("{HEADER}{}", "x".repeat(3 * 1024 * 1024 - HEADER.len()));
    let attempt = Case::new(base.clone(), &["a@x.example"], &fits).deliver().await;
    assert_eq!(reasons(&attempt), [None]);
    assert_eq!(graph.seen.lock().unwrap()[0].body.len() as u64, MAX_REQUEST);
    let mut case = Case::new(base.clone(), &["a@x.example"], &format!("{fits}x"));
    case.way.max_octets = u64::MAX;
    assert_eq!(reasons(&case.deliver().await), [Some(Reason::MessageTooLarge)], "one octet more");
    let mut case = Case::new(base, &["a@x.example"], HEADER);
    case.way.max_octets = 10;
    assert_eq!(reasons(&case.deliver().await), [Some(Reason::MessageTooLarge)], "a configured limit");
    assert_eq!(graph.seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn damaged_content_is_not_sent() {
    let (graph, base) = Graph::start([]).await;
    for size in [HEADER.len() as u64 - 1, HEADER.len() as u64 + 1] {
        let mut case = Case::new(base.clone(), &["a@x.example"], HEADER);
        case.size = size;
        assert_eq!(reasons(&case.deliver().await), [Some(Reason::BodyDamaged)]);
    }
    assert!(graph.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_object_is_streamed_and_once_more_where_its_token_is_refused() {
    let refused = answer(401, r#"{"error":{"code":"InvalidAuthenticationToken","message":"expired"}}"#);
    let object = || Some(Object(100_002, vec![Ok(b"{".to_vec()), Ok(vec![b' '; 100_000]), Ok(b"}".to_vec())]));
    let (graph, base) = Graph::start([refused]).await;
    let mut case = Case::new(base, &["a@x.example"], HEADER);
    case.object = object();
    let attempt = case.deliver().await;
    assert_eq!((reasons(&attempt), &attempt.notes[..]), (vec![None], &["told".to_owned()][..]));
    {
        let seen = graph.seen.lock().unwrap();
        let tokens: Vec<_> = seen.iter().map(|request| request.headers["authorization"].to_str().unwrap()).collect();
        assert_eq!(tokens, ["Bearer token-1", "Bearer token-2"]);
        assert_eq!(seen[0].headers["content-type"], "application/json");
        assert!(seen.iter().all(|request| request.body == [b"{", &[b' '; 100_000][..], b"}"].concat()));
    }
    let (graph, base) = Graph::start([refused, refused, TAKEN]).await;
    let mut case = Case::new(base, &["a@x.example"], HEADER);
    case.object = object();
    assert_eq!(reasons(&case.deliver().await), [Some(Reason::AuthenticationRejected)]);
    assert_eq!(graph.seen.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn an_object_that_cannot_be_read_to_its_end_is_not_sent() {
    let damaged = Err(ContentError::Damaged("rotten".to_owned()));
    let rows = [
        (vec![Ok(vec![b' '; 5_000]), damaged.clone()], Reason::BodyDamaged, "in its middle"),
        (vec![damaged], Reason::BodyDamaged, "at once"),
    ];
    for (pieces, reason, why) in rows {
        let (graph, base) = Graph::start([]).await;
        let mut case = Case::new(base, &["a@x.example"], HEADER);
        case.object = Some(Object(10_000, pieces));
        assert_eq!(reasons(&case.deliver().await), [Some(reason)], "{why}");
        assert!(graph.seen.lock().unwrap().is_empty(), "{why}");
    }
}

#[tokio::test]
async fn an_object_that_is_too_large_for_a_request_leaves_as_mime() {
    let (graph, base) = Graph::start([]).await;
    let mut case = Case::new(base, &["a@x.example"], HEADER);
    case.object = Some(Object(MAX_REQUEST + 1, Vec::new()));
    let attempt = case.deliver().await;
    assert_eq!(reasons(&attempt), [None]);
    assert_eq!(attempt.notes, ["sent as MIME: the object has 4194305 octets, Graph takes 4194304"]);
    assert_eq!(graph.seen.lock().unwrap()[0].headers["content-type"], "text/plain");
}

#[tokio::test]
async fn too_many_recipients_make_several_messages() {
    let (graph, base) = Graph::start([]).await;
    let to = ["a@x.example", "b@x.example", "c@x.example"];
    let mut case = Case::new(base, &to, "From: scanner@own.example\r\nTo: a@x.example, c@x.example\r\n\r\n");
    case.way.max_recipients = 2;
    let attempt = case.deliver().await;
    assert_eq!(reasons(&attempt), [None; 3]);
    let seen = graph.seen.lock().unwrap();
    assert!(seen[0].message().starts_with("Bcc: b@x.example\r\nFrom: scanner@own.example\r\nTo: a@x.example\r\n"));
    assert!(seen[1].message().starts_with("From: scanner@own.example\r\nTo: c@x.example\r\n"));
    assert!(attempt.notes[0].starts_with("split into 2 messages"));
}

#[tokio::test]
async fn trouble_with_one_part_spares_the_others_only_where_it_is_about_its_recipients() {
    let refused = answer(400, r#"{"error":{"code":"ErrorInvalidRecipients","message":"m"}}"#);
    let cases = [
        (refused, [Some(Reason::RecipientRefused), None, None], 3),
        (answer(429, ""), [Some(Reason::Throttled); 3], 1),
        (answer(504, ""), [Some(Reason::AnswerLost), Some(Reason::TimedOut), Some(Reason::TimedOut)], 1),
    ];
    for (first, expected, requests) in cases {
        let (graph, base) = Graph::start([first]).await;
        let mut case = Case::new(base, &["a@x.example", "b@x.example", "c@x.example"], HEADER);
        case.way.max_recipients = 1;
        assert_eq!(reasons(&case.deliver().await), expected);
        assert_eq!(graph.seen.lock().unwrap().len(), requests);
    }
}

#[tokio::test]
async fn an_answer_that_never_comes_is_unknown_and_a_closed_port_is_not() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base: Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let message = format!("{HEADER}{}", "x".repeat(1000));
    let answered = tokio::spawn(Case::new(base.clone(), &["a@x.example"], &message).deliver());
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") || request.len() < 1300 {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await.unwrap();
        request.extend_from_slice(&chunk[..read]);
    }
    drop((stream, listener));
    let attempt = answered.await.unwrap();
    assert!(matches!(&attempt.outcomes[..], [Outcome::Unknown(f)] if f.reason == Reason::AnswerLost), "{attempt:?}");
    let attempt = Case::new(base, &["a@x.example"], &message).deliver().await;
    assert_eq!(reasons(&attempt), [Some(Reason::Unreachable)]);
}

#[tokio::test]
async fn time_that_runs_out_after_the_body_leaves_the_outcome_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base: Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let mut case = Case::new(base, &["a@x.example"], HEADER);
    case.timeout = Duration::from_millis(300);
    // The connection is taken by the system and the request lies in its buffer; nobody answers.
    let attempt = case.deliver().await;
    assert_eq!(reasons(&attempt), [Some(Reason::AnswerLost)]);
    drop(listener);
}
