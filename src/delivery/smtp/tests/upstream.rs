//! A server on loopback that follows a script, a connection at a time, and can misbehave.
//!
//! Lines of a script: `C: text` reads a line that begins with the text; `S: text` sends a line; `T: text` sends a line
//! octet by octet; `B: a|b` sends `a` and `b` as lines in one write; `TLS` starts TLS; `CONTENT` reads up to the final dot; `CHUNK`
//! reads `BDAT n LAST` and the chunk; `TAKE n` reads n octets; `SEND n` sends n
//! octets without a line end; `LINGER n` waits n milliseconds; `HANG` neither says nor reads anything more; `RESET`
//! breaks the connection; `CLOSE` closes it. At the end of its script a connection is kept until the client closes it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// What happened so far.
#[derive(Default)]
struct Log {
    connections: usize,
    running: usize,
    contents: Vec<Vec<u8>>,
    lines: Vec<String>,
    faults: Vec<String>,
    /// For each TLS handshake whether it took up an earlier session.
    resumed: Vec<bool>,
}

pub(super) struct ScriptedServer {
    pub(super) address: SocketAddr,
    log: Arc<Mutex<Log>>,
}

impl ScriptedServer {
    /// Serves one script to each connection, in order.
    pub(super) async fn start(tls: ServerConfig, scripts: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Log::default()));
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        tokio::spawn(accept(listener, acceptor, scripts, Arc::clone(&log)));
        Self { address, log }
    }

    pub(super) fn connections(&self) -> usize {
        self.log.lock().unwrap().connections
    }

    /// The contents that arrived, as sent.
    pub(super) fn contents(&self) -> Vec<Vec<u8>> {
        self.log.lock().unwrap().contents.clone()
    }

    /// Every command line that arrived.
    pub(super) fn lines(&self) -> Vec<String> {
        self.log.lock().unwrap().lines.clone()
    }

    pub(super) fn resumed(&self) -> Vec<bool> {
        self.log.lock().unwrap().resumed.clone()
    }

    /// Where a client departed from its script.
    pub(super) fn faults(&self) -> Vec<String> {
        self.log.lock().unwrap().faults.clone()
    }

    /// Returns when no connection is left.
    pub(super) async fn all_closed(&self) {
        let closed = async {
            while self.log.lock().unwrap().running > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), closed).await.expect("a connection stayed open");
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, scripts: Vec<String>, log: Arc<Mutex<Log>>) {
    let mut scripts = scripts.into_iter();
    while let Ok((stream, _)) = listener.accept().await {
        let script = scripts.next();
        {
            let mut log = log.lock().unwrap();
            log.connections += 1;
            match script {
                Some(_) => log.running += 1,
                None => log.faults.push("a connection that no script expects".to_owned()),
            }
        }
        if let Some(script) = script {
            tokio::spawn(serve(stream, acceptor.clone(), script, Arc::clone(&log)));
        }
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, script: String, log: Arc<Mutex<Log>>) {
    stream.set_nodelay(true).unwrap();
    if script.contains("RESET") {
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
    if let Err(fault) = follow(Box::new(stream), acceptor, &script, &log).await {
        log.lock().unwrap().faults.push(fault);
    }
    log.lock().unwrap().running -= 1;
}

async fn follow(stream: Box<dyn Io>, acceptor: TlsAcceptor, script: &str, log: &Mutex<Log>) -> Result<(), String> {
    let mut io = BufReader::new(stream);
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (verb, text) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            // A client that does not like the certificate goes; that is what some tests are about.
            "TLS" => match acceptor.accept(io.into_inner()).await {
                Ok(stream) => {
                    let resumed = stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
                    log.lock().unwrap().resumed.push(resumed);
                    io = BufReader::new(Box::new(stream));
                }
                Err(_) => return Ok(()),
            },
            "RESET" | "CLOSE" => return Ok(()),
            _ => act(&mut io, verb, text, log).await.map_err(|fault| format!("{line}: {fault}"))?,
        }
    }
    let mut rest = String::new();
    // The client may end TLS without a word, which is an error here and no concern of the test.
    let _ = io.read_to_string(&mut rest).await;
    log.lock().unwrap().lines.extend(rest.lines().map(str::to_owned));
    Ok(())
}

async fn act(io: &mut BufReader<Box<dyn Io>>, verb: &str, text: &str, log: &Mutex<Log>) -> Result<(), String> {
    let words = |error: std::io::Error| error.to_string();
    match verb {
        "C:" => {
            let mut line = String::new();
            io.read_line(&mut line).await.map_err(words)?;
            log.lock().unwrap().lines.push(line.trim_end().to_owned());
            if !line.starts_with(text) {
                return Err(format!("the client said {line:?}"));
            }
        }
        "B:" => io.write_all(text.replace('|', "\r\n").as_bytes()).await.map_err(words)?,
        "S:" => io.write_all(format!("{text}\r\n").as_bytes()).await.map_err(words)?,
        "T:" => {
            for octet in format!("{text}\r\n").bytes() {
                io.write_all(&[octet]).await.map_err(words)?;
                io.flush().await.map_err(words)?;
            }
        }
        "SEND" => {
            // The client may close before it has read everything.
            let _ = io.write_all(&vec![b'2'; text.parse().unwrap()]).await;
        }
        "TAKE" => {
            let mut octets = vec![0; text.parse().unwrap()];
            io.read_exact(&mut octets).await.map_err(words)?;
        }
        "CONTENT" => {
            let content = read_content(io).await.map_err(words)?;
            log.lock().unwrap().contents.push(content);
        }
        "CHUNK" => {
            let mut line = String::new();
            io.read_line(&mut line).await.map_err(words)?;
            let octets = line.strip_prefix("BDAT ").and_then(|rest| rest.strip_suffix(" LAST\r\n"));
            let octets = octets.and_then(|octets| octets.parse().ok()).ok_or(format!("the client said {line:?}"))?;
            let mut content = vec![0; octets];
            io.read_exact(&mut content).await.map_err(words)?;
            log.lock().unwrap().contents.push(content);
        }
        "LINGER" => tokio::time::sleep(Duration::from_millis(text.parse().unwrap())).await,
        "HANG" => std::future::pending().await,
        _ => panic!("no such line in a script: {verb}"),
    }
    io.flush().await.map_err(words)
}

async fn read_content(io: &mut BufReader<Box<dyn Io>>) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    while !content.ends_with(b"\r\n.\r\n") && content != b".\r\n" {
        if io.read_until(b'\n', &mut content).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(content)
}
