//! A proxy of our own, HTTP CONNECT or SOCKS5, that does as a test tells it.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// What it does with whoever comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Manner {
    /// It connects those who know [`LOGIN`] and [`PASSWORD`].
    Serves,
    /// It refuses by this status: of HTTP, or of SOCKS.
    Refuses(u16),
    /// It takes connections and says nothing.
    Silent,
}

pub(crate) const LOGIN: &str = "gate";
/// With all that a URL would have to escape.
pub(crate) const PASSWORD: &str = "p@ss:w/rd%+";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Http,
    Socks5,
}

/// A running proxy.
pub(crate) struct TestProxy {
    pub(crate) port: u16,
    kind: Kind,
    state: Arc<Mutex<State>>,
}

struct State {
    manner: Manner,
    served: Vec<String>,
}

impl TestProxy {
    pub(crate) async fn start(kind: Kind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State { manner: Manner::Serves, served: Vec::new() }));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(session(stream, kind, Arc::clone(&shared)));
            }
        });
        Self { port, kind, state }
    }

    /// The configuration of a gateway that goes through it; the password lies in `password_file`.
    pub(crate) fn table(&self, password_file: &std::path::Path) -> String {
        let scheme = if self.kind == Kind::Http { "http" } else { "socks5h" };
        format!(
            "[network]\nproxy = \"{scheme}://127.0.0.1:{}\"\nproxy_login = \"{LOGIN}\"\n\
             proxy_password = {{ file = {password_file:?} }}\nproxy_loopback = true\n",
            self.port
        )
    }

    /// What it does from now on.
    pub(crate) fn set(&self, manner: Manner) {
        self.state.lock().unwrap().manner = manner;
    }

    /// The servers it has connected to, as `host:port`.
    pub(crate) fn served(&self) -> Vec<String> {
        self.state.lock().unwrap().served.clone()
    }
}

async fn session(mut stream: TcpStream, kind: Kind, state: Arc<Mutex<State>>) {
    let manner = state.lock().unwrap().manner;
    if manner == Manner::Silent {
        // Until the other side gives up.
        while matches!(stream.read(&mut [0; 64]).await, Ok(1..)) {}
        return;
    }
    let target = match kind {
        Kind::Http => http(&mut stream, manner).await,
        Kind::Socks5 => socks(&mut stream, manner).await,
    };
    let Some(target) = target else { return };
    let Ok(mut server) = TcpStream::connect(&target).await else { return };
    state.lock().unwrap().served.push(target);
    let answer: &[u8] = match kind {
        Kind::Http => b"HTTP/1.1 200 Connection established\r\n\r\n",
        Kind::Socks5 => b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00",
    };
    if stream.write_all(answer).await.is_ok() {
        let _ = copy_bidirectional(&mut stream, &mut server).await;
    }
}

/// Reads a CONNECT and says where it leads, unless it is refused.
async fn http(stream: &mut TcpStream, manner: Manner) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let proof = format!("Basic {}", BASE64.encode(format!("{LOGIN}:{PASSWORD}")));
    let said = head.lines().filter_map(|line| line.split_once(": "));
    let knows =
        said.into_iter().any(|(name, value)| name.eq_ignore_ascii_case("proxy-authorization") && value == proof);
    let status = match manner {
        Manner::Refuses(status) => status,
        Manner::Serves | Manner::Silent if knows => {
            return head.strip_prefix("CONNECT ")?.split(' ').next().map(str::to_owned);
        }
        Manner::Serves | Manner::Silent => 407,
    };
    let _ = stream.write_all(format!("HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n").as_bytes()).await;
    None
}

/// The same by SOCKS5.
async fn socks(stream: &mut TcpStream, manner: Manner) -> Option<String> {
    let _version = stream.read_u8().await.ok()?;
    let methods = read(stream).await?;
    if !methods.contains(&2) {
        let _ = stream.write_all(&[5, 0xff]).await;
        return None;
    }
    stream.write_all(&[5, 2]).await.ok()?;
    let _version = stream.read_u8().await.ok()?;
    let knows = (read(stream).await?, read(stream).await?) == (LOGIN.into(), PASSWORD.into());
    stream.write_all(&[1, u8::from(!knows)]).await.ok()?;
    let mut request = [0; 4];
    stream.read_exact(&mut request).await.ok()?;
    let host = match request[3] {
        1 => {
            let mut address = [0; 4];
            stream.read_exact(&mut address).await.ok()?;
            std::net::Ipv4Addr::from(address).to_string()
        }
        _ => String::from_utf8(read(stream).await?).ok()?,
    };
    let port = stream.read_u16().await.ok()?;
    match manner {
        Manner::Refuses(status) => {
            let status = u8::try_from(status).unwrap();
            let _ = stream.write_all(&[5, status, 0, 1, 0, 0, 0, 0, 0, 0]).await;
            None
        }
        Manner::Serves | Manner::Silent => Some(format!("{host}:{port}")),
    }
}

/// Octets behind their number.
async fn read(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let count = stream.read_u8().await.ok()?;
    let mut octets = vec![0; usize::from(count)];
    stream.read_exact(&mut octets).await.ok()?;
    Some(octets)
}
