//! A connection through a proxy: HTTP CONNECT (RFC 9110 section 9.3.6) and SOCKS5 (RFC 1928, 1929). The proxy looks the
//! server's name up. Not an octet of the server's is read: a mail server speaks first, and its greeting may come in one
//! piece with the proxy's answer.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use httparse::{EMPTY_HEADER, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_socks::tcp::Socks5Stream;

use crate::proxy::{Proxy, ProxyKind};

/// The longest answer to CONNECT that is read, in octets.
const MAX_ANSWER: usize = 16 * 1024;
/// The most header fields in it.
const MAX_FIELDS: usize = 100;

/// What is wrong with the way through a proxy. The text goes on after the proxy's name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProxyTrouble {
    /// Its name has no address.
    #[error("could not be looked up: {0}; check `proxy` in `[network]`")]
    Name(String),
    /// It takes no connection.
    #[error("could not be connected to: {0}; check that it runs, and `proxy` in `[network]`")]
    Unreachable(String),
    /// It did not answer, or the server behind it did not.
    #[error(
        "made no connection to `{target}` within {} s; it, or that server, does not answer",
        limit.as_secs_f32()
    )]
    Silent {
        /// The server behind it.
        target: String,
        /// How long it was given.
        limit: Duration,
    },
    /// It wants a login, and there is none.
    #[error("asks for a login ({0}); write `proxy_login` and `proxy_password` into `[network]`")]
    LoginMissing(String),
    /// It does not accept the login.
    #[error("does not accept the login ({0}); check `proxy_login` and `proxy_password` in `[network]`")]
    LoginRefused(String),
    /// It does not let us connect there.
    #[error("lets nobody connect to `{target}` ({words}); ask its administrator to allow it")]
    Forbidden {
        /// The server.
        target: String,
        /// In the proxy's words.
        words: String,
    },
    /// It could not connect there itself: trouble of the server, or of the network between.
    #[error("cannot connect to `{target}` itself ({words})")]
    Beyond {
        /// The server.
        target: String,
        /// In the proxy's words.
        words: String,
    },
    /// It answered something else.
    #[error("did not make a connection to `{target}`: {words}; check that it is a proxy of the kind that `proxy` says")]
    Odd {
        /// The server.
        target: String,
        /// What it said.
        words: String,
    },
}

/// Has a proxy that was connected to connect to `host`. The caller watches the time.
pub(super) async fn open(
    proxy: &Proxy,
    stream: TcpStream,
    (host, port): (&str, u16),
) -> Result<TcpStream, ProxyTrouble> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match proxy.kind {
        ProxyKind::Http => connect(proxy, stream, &authority(host, port)).await,
        ProxyKind::Socks5 => socks(proxy, stream, (host, port)).await,
    }
}

/// `host:port`, with brackets around an IPv6 address.
pub(super) fn authority(host: &str, port: u16) -> String {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

async fn connect(proxy: &Proxy, mut stream: TcpStream, target: &str) -> Result<TcpStream, ProxyTrouble> {
    let odd = |words: String| ProxyTrouble::Odd { target: target.to_owned(), words };
    let login = proxy.login.as_ref().map_or_else(String::new, |login| {
        let pair = BASE64.encode(format!("{}:{}", login.name, login.password.expose()));
        format!("Proxy-Authorization: Basic {pair}\r\n")
    });
    let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{login}\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| odd(format!("the connection broke: {error}")))?;
    let mut answer = Vec::new();
    // Octet by octet: what comes behind the empty line is the server's.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() == MAX_ANSWER {
            return Err(odd("its answer is too long".to_owned()));
        }
        match stream.read_u8().await {
            Ok(octet) => answer.push(octet),
            Err(_) if answer.is_empty() => return Err(odd("it closed the connection without a word".to_owned())),
            Err(error) => return Err(odd(format!("its answer broke off: {error}"))),
        }
        // What is not HTTP need not have an empty line.
        if answer.len() == 5 && answer != b"HTTP/" {
            return Err(odd("its answer is not HTTP".to_owned()));
        }
    }
    let mut fields = [EMPTY_HEADER; MAX_FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let Ok(Status::Complete(_)) = head.parse(&answer) else { return Err(odd("its answer is not HTTP".to_owned())) };
    let code = head.code.unwrap_or(0);
    let words = [code.to_string(), printable(head.reason.unwrap_or_default())].join(" ").trim_end().to_owned();
    let target = target.to_owned();
    match code {
        200..300 => Ok(stream),
        407 if proxy.login.is_some() => Err(ProxyTrouble::LoginRefused(words)),
        407 => Err(ProxyTrouble::LoginMissing(words)),
        403 | 405 => Err(ProxyTrouble::Forbidden { target, words }),
        500..600 => Err(ProxyTrouble::Beyond { target, words }),
        _ => Err(ProxyTrouble::Odd { target, words }),
    }
}

fn printable(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(100).collect()
}

async fn socks(proxy: &Proxy, stream: TcpStream, (host, port): (&str, u16)) -> Result<TcpStream, ProxyTrouble> {
    let opened = match &proxy.login {
        Some(login) => {
            let password = login.password.expose();
            Socks5Stream::connect_with_password_and_socket(stream, (host, port), &login.name, password).await
        }
        None => Socks5Stream::connect_with_socket(stream, (host, port)).await,
    };
    opened.map(Socks5Stream::into_inner).map_err(|error| of_socks(error, proxy, authority(host, port)))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the library's list is long; its own words serve for the rest")]
fn of_socks(error: tokio_socks::Error, proxy: &Proxy, target: String) -> ProxyTrouble {
    use tokio_socks::Error;
    let words = error.to_string();
    match error {
        Error::NoAcceptableAuthMethods if proxy.login.is_none() => ProxyTrouble::LoginMissing(words),
        Error::NoAcceptableAuthMethods | Error::PasswordAuthFailure(_) => ProxyTrouble::LoginRefused(words),
        Error::ConnectionNotAllowedByRuleset => ProxyTrouble::Forbidden { target, words },
        Error::GeneralSocksServerFailure
        | Error::NetworkUnreachable
        | Error::HostUnreachable
        | Error::ConnectionRefused
        | Error::TtlExpired => ProxyTrouble::Beyond { target, words },
        Error::Io(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            ProxyTrouble::Odd { target, words: "it closed the connection".to_owned() }
        }
        _ => ProxyTrouble::Odd { target, words },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::net::TcpListener;

    use super::*;
    use crate::mail::{Failure, Reason};
    use crate::net::connect::{ConnectError, Connector};
    use crate::proxy::ProxyLogin;
    use crate::secret::Secret;

    type Script = Vec<(usize, Vec<u8>)>;
    type Heard = Arc<tokio::sync::Mutex<Vec<u8>>>;

    /// A proxy that reads as many octets as each pair names and answers with the rest of it. It hangs up on who asks for
    /// nothing more only after an answer that ends in the middle of a line.
    async fn proxy(kind: ProxyKind, login: bool, script: Script) -> (Proxy, Heard) {
        let hangs_up = script.last().is_some_and(|(_, answer)| answer == b"HTTP/1.1 2");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Heard::default();
        let kept = Arc::clone(&heard);
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            for (octets, answer) in script {
                let mut request = vec![0; octets];
                stream.read_exact(&mut request).await.unwrap();
                kept.lock().await.extend(request);
                stream.write_all(&answer).await.unwrap();
            }
            if !hangs_up {
                // Whoever reads on hears nothing until it gives up.
                while matches!(stream.read(&mut [0; 64]).await, Ok(1..)) {}
            }
        });
        let login = login.then(|| Arc::new(ProxyLogin { name: "us".to_owned(), password: Secret::new("pw") }));
        let host = "127.0.0.1".to_owned();
        (Proxy { kind, host, port, login, past: Vec::new(), for_loopback: false }, heard)
    }

    async fn go(proxy: Proxy, to: (&str, u16), limit: Duration) -> Result<TcpStream, ConnectError> {
        Connector::new(None).unwrap().with_proxy(Some(Arc::new(proxy))).tcp(to.0, to.1, limit).await
    }

    const PATIENT: Duration = Duration::from_secs(60);
    const CONNECT: &str = "CONNECT mail.test:587 HTTP/1.1\r\nHost: mail.test:587\r\n";

    #[tokio::test]
    async fn a_greeting_in_one_piece_with_the_proxys_answer_is_the_servers() {
        let bare = format!("{CONNECT}\r\n");
        let with_login = format!("{CONNECT}Proxy-Authorization: Basic dXM6cHc=\r\n\r\n");
        for (login, request) in [(false, bare), (true, with_login)] {
            let answer = b"HTTP/1.0 200 Connection established\r\nVia: x\r\n\r\n220 mail.test\r\n".to_vec();
            let (proxy, heard) = proxy(ProxyKind::Http, login, vec![(request.len(), answer)]).await;
            let mut stream = go(proxy, ("mail.test", 587), PATIENT).await.unwrap();
            let mut greeting = [0; 15];
            stream.read_exact(&mut greeting).await.unwrap();
            assert_eq!(&greeting, b"220 mail.test\r\n");
            assert_eq!(String::from_utf8_lossy(&heard.lock().await), request);
        }
        let request = b"\x05\x01\x00\x03\x09mail.test\x02\x4b";
        let answer = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x02\x4b220 mail.test\r\n".to_vec();
        let (proxy, heard) =
            proxy(ProxyKind::Socks5, false, vec![(3, b"\x05\x00".to_vec()), (request.len(), answer)]).await;
        let mut stream = go(proxy, ("mail.test", 587), PATIENT).await.unwrap();
        let mut greeting = [0; 15];
        stream.read_exact(&mut greeting).await.unwrap();
        assert_eq!(&greeting, b"220 mail.test\r\n");
        assert_eq!(heard.lock().await[3..], request[..], "the name goes to the proxy as it is");
    }

    #[tokio::test]
    async fn each_refusal_of_an_http_proxy_says_whose_trouble_it_is() {
        let long = format!("HTTP/1.1 200 {}", "x".repeat(MAX_ANSWER));
        let table: [(&str, bool, &str, &str); 10] = [
            ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", false, "asks for a login (407 Proxy", "no login"),
            ("HTTP/1.1 407 No\r\n\r\n", true, "does not accept the login (407 No)", "a wrong login"),
            ("HTTP/1.1 403 Filtered\r\n\r\n", false, "lets nobody connect to `mail.test:587` (403 Filtered)", "a rule"),
            ("HTTP/1.1 405 \r\n\r\n", false, "lets nobody connect to `mail.test:587` (405)", "no CONNECT there"),
            ("HTTP/1.1 502 Bad Gateway\r\n\r\n", false, "cannot connect to `mail.test:587` itself (502", "beyond it"),
            ("HTTP/1.1 503 x\x1b[31m\r\n\r\n", false, "its answer is not HTTP", "a control character"),
            ("HTTP/1.1 301 Moved\r\n\r\n", false, "did not make a connection to `mail.test:587`: 301", "a web server"),
            ("220 mail.test ESMTP\r\n", false, "its answer is not HTTP", "a mail server"),
            ("HTTP/1.1 2", false, "its answer broke off", "half an answer"),
            (&long, false, "its answer is too long", "an endless one"),
        ];
        for (answer, login, words, why) in table {
            let proof = if login { "Proxy-Authorization: Basic dXM6cHc=\r\n" } else { "" };
            let request = format!("{CONNECT}{proof}\r\n");
            let (proxy, _) = proxy(ProxyKind::Http, login, vec![(request.len(), answer.as_bytes().to_vec())]).await;
            let name = proxy.name();
            let error = go(proxy, ("mail.test", 587), PATIENT).await.unwrap_err();
            let said = error.to_string();
            assert!(said.starts_with(&format!("the proxy `{name}` ")) && !said.contains("pw"), "{why}: {said}");
            assert!(said.contains(words), "{why}: {said}");
            assert_eq!(Failure::from(error).reason, Reason::Unreachable, "{why}: it passes");
        }
    }

    #[tokio::test]
    async fn each_refusal_of_a_socks_proxy_says_whose_trouble_it_is() {
        let beyond = "cannot connect to `mail.test:587` itself";
        let table = [
            (1, beyond, "a general failure"),
            (2, "lets nobody connect to `mail.test:587`", "a rule"),
            (3, beyond, "no network"),
            (4, beyond, "no way to the host"),
            (5, beyond, "refused there"),
            (6, beyond, "too far"),
            (7, "did not make a connection to `mail.test:587`: Command not supported", "no CONNECT"),
            (8, "did not make a connection to `mail.test:587`: Address type not supported", "no names"),
            (99, "did not make a connection to `mail.test:587`", "no code there is"),
        ];
        for (code, words, why) in table {
            let answer = vec![5, code, 0, 1, 0, 0, 0, 0, 0, 0];
            let (proxy, _) = proxy(ProxyKind::Socks5, false, vec![(3, b"\x05\x00".to_vec()), (16, answer)]).await;
            let said = go(proxy, ("mail.test", 587), PATIENT).await.unwrap_err().to_string();
            assert!(said.contains(words), "{why}: {said}");
        }
        let logins: [(bool, Script, &str, &str); 3] = [
            (false, vec![(3, vec![5, 0xff])], "asks for a login", "none given"),
            (true, vec![(4, vec![5, 2]), (7, vec![1, 1])], "does not accept the login", "a wrong one"),
            (false, vec![(3, b"HTTP/1.1 400".to_vec())], "did not make a connection", "an HTTP proxy"),
        ];
        for (login, script, words, why) in logins {
            let (proxy, _) = proxy(ProxyKind::Socks5, login, script).await;
            let said = go(proxy, ("mail.test", 587), PATIENT).await.unwrap_err().to_string();
            assert!(said.contains(words) && !said.contains("pw"), "{why}: {said}");
        }
    }

    #[tokio::test]
    async fn a_proxy_that_is_down_unknown_or_silent_is_told_apart() {
        let (gone, _) = proxy(ProxyKind::Http, false, Vec::new()).await;
        // A port that is taken, and where nobody listens.
        let held = tokio::net::TcpSocket::new_v4().unwrap();
        held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = held.local_addr().unwrap().port();
        let down = go(Proxy { port, ..gone.clone() }, ("mail.test", 587), PATIENT).await.unwrap_err();
        assert!(
            down.to_string().contains("could not be connected to") && down.to_string().contains("refused"),
            "{down}"
        );
        let unknown = Proxy { host: "no such name".to_owned(), ..gone };
        let unknown = go(unknown, ("mail.test", 587), PATIENT).await.unwrap_err();
        assert!(unknown.to_string().contains("could not be looked up"), "{unknown}");
        for kind in [ProxyKind::Http, ProxyKind::Socks5] {
            let (hole, _) = proxy(kind, false, vec![(3, Vec::new())]).await;
            let silent = go(hole, ("mail.test", 587), Duration::from_millis(200)).await.unwrap_err();
            assert!(silent.to_string().contains("made no connection to `mail.test:587` within 0.2 s"), "{silent}");
            assert_eq!(Failure::from(silent).reason, Reason::TimedOut);
        }
    }

    #[test]
    fn an_ipv6_address_has_its_brackets_once() {
        for host in ["2001:db8::1", "[2001:db8::1]"] {
            assert_eq!(authority(host, 25), "[2001:db8::1]:25");
        }
    }
}
