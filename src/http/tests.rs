//! The client against small servers on loopback, which read and write octets as told.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::proxy::{ProxyKind, ProxyLogin};

const SECRET: &str = "s3cret-value";

fn client(timeout: Duration) -> Http {
    Http::new(HttpSettings { timeout, ..HttpSettings::default() }).unwrap()
}

fn patient() -> Http {
    client(Duration::from_secs(20))
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn post(address: SocketAddr, body: Vec<u8>) -> Request {
    Request::post(format!("http://{address}/token?key={SECRET}").parse().unwrap(), "text/plain", body)
}

/// Reads a request's header, then as many octets of its body as it announces.
async fn read_request(stream: &mut TcpStream) -> io::Result<String> {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let announced = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= announced.map_or(0, |length| length.parse().unwrap()) {
                return Ok(text);
            }
        }
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        request.extend_from_slice(&chunk[..read]);
    }
}

/// Answers one request with `answer`, closes, and hands the request out.
async fn server(answer: Vec<u8>) -> (SocketAddr, oneshot::Receiver<String>) {
    let (listener, address) = listener().await;
    let (seen, request) = oneshot::channel();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let text = read_request(&mut stream).await.unwrap();
        // The client may hang up on a long answer.
        let _ = stream.write_all(&answer).await;
        let _ = stream.shutdown().await;
        let _ = seen.send(text);
    });
    (address, request)
}

#[tokio::test]
async fn a_form_goes_out_and_the_answer_comes_back() {
    let answer = b"HTTP/1.1 429 Slow\r\nRetry-After: 17\r\nContent-Length: 4\r\n\r\nwait".to_vec();
    let (address, request) = server(answer).await;
    let url = format!("http://{address}/token").parse().unwrap();
    let fields = [("code", "a&b=c\r\nHost: evil"), ("client_id", "id")];
    let token = Secret::new(SECRET);
    let response = patient().send(Request::post_form(url, &fields).bearer(&token).unwrap()).await.unwrap();
    assert_eq!((response.status, response.whole_body().unwrap()), (429, b"wait".as_slice()));
    assert_eq!(response.retry_after, Some(Duration::from_secs(17)));
    let request = request.await.unwrap();
    assert!(request.starts_with("POST /token HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("content-length: 45\r\n") && request.contains(&format!("Bearer {SECRET}")), "{request}");
    assert!(request.ends_with("\r\n\r\ncode=a%26b%3Dc%0D%0AHost%3A+evil&client_id=id"), "{request}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let (elsewhere, elsewhere_address) = listener().await;
    let answer = format!("HTTP/1.1 307 Go\r\nLocation: http://{elsewhere_address}/\r\nContent-Length: 0\r\n\r\n");
    let (address, _) = server(answer.into_bytes()).await;
    let response = patient().send(post(address, SECRET.into())).await.unwrap();
    assert_eq!(response.status, 307);
    assert!(tokio::time::timeout(Duration::ZERO, elsewhere.accept()).await.is_err(), "somebody was sent there");
}

#[tokio::test]
async fn an_endless_body_is_cut_and_the_status_stays_known() {
    let answer = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 30 * 1024 * 1024]].concat();
    let (address, _) = server(answer).await;
    let response = patient().send(post(address, Vec::new())).await.unwrap();
    assert_eq!(response.status, 200);
    assert!(response.body.len() <= MAX_BODY);
    assert_eq!(response.whole_body(), Err(HttpError::TooLarge(address.to_string())));
}

#[tokio::test]
async fn a_truncated_body_is_told_and_the_status_stays_known() {
    let (address, _) = server(b"HTTP/1.1 202 OK\r\nContent-Length: 10\r\n\r\nhalf".to_vec()).await;
    let response = patient().send(post(address, Vec::new())).await.unwrap();
    assert_eq!((response.status, response.body.as_slice()), (202, b"half".as_slice()));
    assert!(matches!(response.whole_body(), Err(HttpError::AnswerLost(_))));
}

#[tokio::test]
async fn a_closed_port_is_unreachable() {
    let (listener, address) = listener().await;
    drop(listener);
    let error = patient().send(post(address, Vec::new())).await.unwrap_err();
    assert_eq!(error, HttpError::Unreachable(format!("`{address}`: connection refused")));
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_unreachable() {
    let request = Request::get("http://no-such-name.invalid/".parse().unwrap());
    let error = patient().send(request).await.unwrap_err();
    assert!(matches!(&error, HttpError::Unreachable(words) if words.contains("no-such-name.invalid")), "{error:?}");
}

#[tokio::test]
async fn a_connection_lost_after_the_request_loses_the_answer() {
    let (address, _) = server(Vec::new()).await;
    let error = patient().send(post(address, SECRET.into())).await.unwrap_err();
    assert!(matches!(error, HttpError::AnswerLost(_)), "{error:?}");
}

#[tokio::test]
async fn a_connection_lost_in_the_middle_of_the_request_had_no_effect() {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut first = [0; 1000];
        stream.read_exact(&mut first).await.unwrap();
    });
    let error = patient().send(post(address, vec![b'x'; 64 * 1024 * 1024])).await.unwrap_err();
    assert!(matches!(error, HttpError::Unreachable(_)), "{error:?}");
}

#[tokio::test]
async fn time_up_before_the_whole_request_was_sent_had_no_effect_and_after_it_lost_the_answer() {
    let (listener, address) = listener().await;
    let silent = tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            open.push(listener.accept().await.unwrap());
        }
    });
    let hasty = client(Duration::from_millis(300));
    let error = hasty.send(post(address, vec![b'x'; 64 * 1024 * 1024])).await.unwrap_err();
    assert!(matches!(error, HttpError::TimedOut(_)), "{error:?}");
    let error = hasty.send(post(address, SECRET.into())).await.unwrap_err();
    assert_eq!(error, HttpError::AnswerLost(format!("`{address}`: no answer within 0.3 s")));
    silent.abort();
}

/// A certificate for `name` by a new authority (its PEM comes first), valid in these years.
fn certificate(name: &str, years: (i32, i32)) -> (String, Arc<rustls::ServerConfig>) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = authority.self_signed(&authority_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
    leaf.not_before = rcgen::date_time_ymd(years.0, 1, 1);
    leaf.not_after = rcgen::date_time_ymd(years.1, 1, 1);
    let leaf = leaf.signed_by(&key, &Issuer::new(authority, authority_key)).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    (pem, Arc::new(config))
}

async fn tls_server(config: Arc<rustls::ServerConfig>) -> SocketAddr {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        if let Ok(mut stream) = TlsAcceptor::from(config).accept(stream).await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 204 Fine\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    });
    address
}

#[tokio::test]
async fn each_fault_of_a_certificate_is_refused_in_its_own_words() {
    let now = (2020, 2090);
    let table = [
        ("127.0.0.1", now, true, Ok(204), "all is well"),
        ("127.0.0.1", now, false, Err("does not trust"), "unknown authority"),
        ("other.example", now, true, Err("another name"), "wrong name"),
        ("127.0.0.1", (2001, 2002), true, Err("has expired"), "expired"),
        ("127.0.0.1", (2080, 2090), true, Err("not valid yet"), "not yet valid"),
    ];
    for (name, years, trusted, expected, why) in table {
        let (pem, config) = certificate(name, years);
        let address = tls_server(config).await;
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, pem).unwrap();
        let settings = HttpSettings { ca_file: trusted.then_some(ca_file), ..HttpSettings::default() };
        let request = Request::get(format!("https://{address}/?{SECRET}").parse().unwrap());
        match (Http::new(settings).unwrap().send(request).await, expected) {
            (Ok(response), Ok(status)) => assert_eq!(response.status, status, "{why}"),
            (Err(HttpError::Tls(words)), Err(part)) => {
                assert!(words.contains(part) && !words.contains(SECRET), "{why}: {words}");
            }
            (other, _) => panic!("{why}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_server_without_tls_is_told_apart_from_a_bad_certificate() {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 mail.example ESMTP\r\n").await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
    });
    let request = Request::get(format!("https://{address}/").parse().unwrap());
    let error = patient().send(request).await.unwrap_err();
    assert!(matches!(&error, HttpError::Tls(words) if words.contains("TLS cannot be agreed on")), "{error:?}");
}

#[test]
fn an_unusable_ca_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (content, why) in [(None, "missing"), (Some("no PEM here"), "empty")] {
        let path = folder.path().join(why);
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let error = Http::new(HttpSettings { ca_file: Some(path.clone()), ..HttpSettings::default() }).unwrap_err();
        assert!(error.to_string().contains(&*path.to_string_lossy()), "{why}: {error}");
    }
}

/// A server that closes nothing by itself.
async fn answer_on_and_on(mut stream: TcpStream) {
    while read_request(&mut stream).await.is_ok() {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    }
}

#[tokio::test]
async fn requests_that_go_alone_leave_no_idle_connection_to_each_other() {
    let (listener, address) = listener().await;
    let (opened, mut connections) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            opened.send(()).unwrap();
            tokio::spawn(answer_on_and_on(stream));
        }
    });
    let http = patient();
    for _ in 0..3 {
        http.send(post(address, Vec::new()).alone()).await.unwrap();
    }
    for _ in 0..3 {
        http.send(post(address, Vec::new())).await.unwrap();
    }
    assert_eq!(std::iter::from_fn(|| connections.try_recv().ok()).count(), 4, "three alone, and one for the rest");
}

#[tokio::test]
async fn no_error_and_no_debug_shows_url_header_or_body() {
    let (listener, address) = listener().await;
    drop(listener);
    let request = post(address, SECRET.into()).bearer(&Secret::new(SECRET)).unwrap();
    let mut shown = format!("{request:?}");
    let error = patient().send(request).await.unwrap_err();
    shown += &format!("{error} {error:?}");
    let bad = Request::get("https://x.example".parse().unwrap()).bearer(&Secret::new(format!("{SECRET}\r\n")));
    shown += &format!("{:?}", bad.unwrap_err());
    let (address, _) = server(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\ns3cret-value".to_vec()).await;
    shown += &format!("{:?}", patient().send(post(address, SECRET.into())).await.unwrap());
    assert!(!shown.contains(SECRET), "{shown}");
}

fn behind(kind: ProxyKind, address: SocketAddr, login: bool) -> Http {
    let login = login.then(|| Arc::new(ProxyLogin { name: "us".to_owned(), password: Secret::new(SECRET) }));
    let (host, port) = (address.ip().to_string(), address.port());
    let proxy = Some(Arc::new(Proxy { kind, host, port, login, past: Vec::new(), for_loopback: false }));
    Http::new(HttpSettings { timeout: Duration::from_secs(20), proxy, ..HttpSettings::default() }).unwrap()
}

#[tokio::test]
async fn a_proxy_that_opens_no_way_is_named_with_what_to_do() {
    let table = [
        ("HTTP/1.1 407 No\r\n\r\n", false, "asks for a login; write", "no login"),
        ("HTTP/1.1 407 No\r\n\r\n", true, "does not accept the login; check", "a wrong login"),
        ("HTTP/1.1 403 No\r\n\r\n", false, "does not connect to that server", "a rule"),
        ("", false, "does not connect to that server", "not a word"),
    ];
    for (answer, login, words, why) in table {
        let (address, request) = server(answer.as_bytes().to_vec()).await;
        let url: Url = format!("https://graph.example/{SECRET}").parse().unwrap();
        let error = behind(ProxyKind::Http, address, login).send(Request::get(url)).await.unwrap_err();
        let said = error.to_string();
        let start = format!("`graph.example`: the proxy `http://{address}` {words}");
        assert!(matches!(error, HttpError::Unreachable(_)) && said.starts_with(&start), "{why}: {said}");
        assert!(!said.contains(SECRET), "{why}: {said}");
        let request = request.await.unwrap();
        assert!(request.starts_with("CONNECT graph.example:443 HTTP/1.1\r\n"), "{why}: {request}");
        assert_eq!(request.contains("Basic dXM6czNjcmV0LXZhbHVl"), login, "{why}: {request}");
    }
}

#[tokio::test]
async fn a_proxy_that_is_down_is_not_the_providers_trouble() {
    for kind in [ProxyKind::Http, ProxyKind::Socks5] {
        // A port that is taken, and where nobody listens.
        let held = tokio::net::TcpSocket::new_v4().unwrap();
        held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = held.local_addr().unwrap();
        let http = behind(kind, address, false);
        let error = http.send(Request::get("https://graph.example/".parse().unwrap())).await.unwrap_err();
        assert!(error.to_string().contains("could not be connected to"), "{kind:?}: {error}");
        // What is on this machine goes past it.
        let (here, _) = server(b"HTTP/1.1 204 No\r\n\r\n".to_vec()).await;
        assert_eq!(http.send(post(here, Vec::new())).await.unwrap().status, 204, "{kind:?}");
    }
}
