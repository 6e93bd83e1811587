//! One client's connection up to its login: reads octets, feeds the dialogue, carries out what it wishes.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::Door;
use super::desk::{Desk, Inside};
use super::dialogue::{Front, FrontOptions, Wish, goodbye};
use super::enter::keep_alive;
use super::joined::Joined;
use crate::front::settings::ListenerTls;
use crate::net::hello::{self, begins_tls};
use crate::net::{ServerTls, Stream};
use crate::sasl::Credentials;

/// Octets read at once.
const READ: usize = 4 * 1024;
/// How long a client may take for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// How long a client may take to accept an answer.
const WRITE: Duration = Duration::from_secs(60);
/// Errors a client may make without logging in.
const MAX_ERRORS: u32 = 20;
/// How long a client may take until it is logged in, in command time-outs: one that drips commands is not kept.
const PATIENCE: u32 = 3;

/// How a connection ended before a login.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("the client was silent too long")]
    TimedOut,
    #[error("TLS failed: {0}")]
    Tls(String),
}

/// One connection and what belongs to it.
pub(super) struct Connection {
    stream: Stream,
    front: Front,
    desk: Desk,
    stopping: CancellationToken,
    /// When the present step must be over.
    deadline: Instant,
    /// When the client must be logged in.
    end: Instant,
}

/// What to do after a wish was carried out.
enum Next {
    Read,
    Close,
    Join(Box<Inside>),
}

impl Connection {
    /// Serves a client until it is logged in; `None` if it never was.
    pub(super) async fn serve(
        door: Arc<Door>,
        tcp: TcpStream,
        peer: IpAddr,
        stopping: CancellationToken,
    ) -> Option<Joined> {
        match Self::log_in(door, tcp, peer, stopping).await {
            Ok(joined) => joined,
            Err(end @ End::Broken(_)) => {
                tracing::debug!(%end, "session ended");
                None
            }
            Err(end @ (End::TimedOut | End::Tls(_))) => {
                tracing::info!(%end, "session ended");
                None
            }
        }
    }

    async fn log_in(
        door: Arc<Door>,
        tcp: TcpStream,
        peer: IpAddr,
        stopping: CancellationToken,
    ) -> Result<Option<Joined>, End> {
        // Answers are short and the other side waits for them: neither Nagle's algorithm nor a delayed
        // acknowledgement may hold them back.
        let _nodelay = tcp.set_nodelay(true);
        keep_alive(&tcp);
        let desk = Desk::open(&door, peer);
        let stream = door.greet_with(tcp, peer).await?;
        let options = FrontOptions {
            starttls: door.offers_starttls(),
            clear_logins: door.settings.allow_clear_auth,
            own_tokens: desk.takes_own_tokens(),
            max_errors: MAX_ERRORS,
        };
        let front = Front::new(door.settings.protocol, options, stream.is_tls());
        let now = Instant::now();
        let (deadline, end) = (now + door.settings.command_timeout, now + door.settings.command_timeout * PATIENCE);
        Self { stream, front, desk, stopping, deadline, end }.run().await
    }

    async fn run(mut self) -> Result<Option<Joined>, End> {
        let mut buffer = [0; READ];
        let mut first = true;
        loop {
            while let Some(wish) = self.front.next_wish() {
                match self.carry_out(wish).await? {
                    Next::Read => {}
                    Next::Close => {
                        let _closed = timeout(WRITE, self.stream.shutdown()).await;
                        return Ok(None);
                    }
                    Next::Join(inside) => {
                        let Self { stream, front, desk, stopping, .. } = self;
                        return Ok(Joined::new(stream, front, desk, *inside, stopping));
                    }
                }
            }
            let count = match self.read(&mut buffer).await? {
                Some(0) => return Ok(None),
                Some(count) => count,
                None => {
                    self.say_goodbye("Shutting down, try again later").await?;
                    return Ok(None);
                }
            };
            if first && self.desk.door.notes_late_tls(&self.stream, self.desk.peer, &buffer[..count]) {
                let words = "the first TLS client of an address that came in clear so far; the next try succeeds";
                return Err(End::Tls(words.to_owned()));
            }
            first = false;
            self.front.receive(&buffer[..count]);
        }
    }

    /// The octets that came; `None` when the program stops and the client is between two commands.
    async fn read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, End> {
        let idle = self.front.is_idle();
        tokio::select! {
            read = timeout_at(self.deadline.min(self.end), self.stream.read(buffer)) => match read {
                Ok(count) => Ok(Some(count?)),
                Err(_) => {
                    self.say_goodbye("Timed out").await?;
                    Err(End::TimedOut)
                }
            },
            () = self.stopping.cancelled(), if idle => Ok(None),
        }
    }

    async fn carry_out(&mut self, wish: Wish) -> Result<Next, End> {
        let next = match wish {
            Wish::Reply(octets) => {
                self.write(&octets).await?;
                Next::Read
            }
            Wish::Close => Next::Close,
            Wish::StartTls => {
                self.start_tls().await?;
                Next::Read
            }
            Wish::LogIn(credentials) => self.try_login(credentials).await,
        };
        self.deadline = Instant::now() + self.desk.door.settings.command_timeout;
        Ok(next)
    }

    async fn try_login(&mut self, credentials: Credentials) -> Next {
        match self.desk.log_in(credentials).await {
            Ok(inside) => Next::Join(Box::new(inside)),
            Err(refusal) => {
                self.front.denied(refusal.denial, &refusal.words);
                Next::Read
            }
        }
    }

    async fn start_tls(&mut self) -> Result<(), End> {
        let Some(tls) = self.desk.door.tls.clone() else { return Err(End::Tls("no certificate".to_owned())) };
        let Stream::Clear(tcp) = std::mem::replace(&mut self.stream, Stream::Closed) else {
            return Err(End::Tls("STARTTLS within TLS".to_owned()));
        };
        self.stream = handshake(&tls, tcp, self.desk.peer).await?;
        self.front.tls_started();
        Ok(())
    }

    async fn write(&mut self, octets: &[u8]) -> Result<(), End> {
        let stream = &mut self.stream;
        let write = async {
            stream.write_all(octets).await?;
            stream.flush().await
        };
        timeout(WRITE, write).await.map_err(|_| End::TimedOut)?.map_err(End::Broken)
    }

    async fn say_goodbye(&mut self, words: &str) -> Result<(), End> {
        self.write(&goodbye(self.desk.door.settings.protocol, words)).await?;
        let _closed = timeout(WRITE, self.stream.shutdown()).await;
        Ok(())
    }
}

impl Door {
    fn offers_starttls(&self) -> bool {
        self.tls.is_some() && matches!(self.settings.tls, ListenerTls::StartTls | ListenerTls::Auto)
    }

    /// Whether the client began TLS although it was greeted in clear, because its address never did before.
    fn notes_late_tls(&self, stream: &Stream, peer: IpAddr, first: &[u8]) -> bool {
        let late = self.settings.tls == ListenerTls::Auto && !stream.is_tls() && begins_tls(first);
        if late {
            self.sniffer.speaks_tls(peer);
        }
        late
    }

    /// The stream to greet a client on: under TLS if the listener or the client begins so.
    async fn greet_with(&self, tcp: TcpStream, peer: IpAddr) -> Result<Stream, End> {
        let tls_now = match self.settings.tls {
            ListenerTls::None | ListenerTls::StartTls => false,
            ListenerTls::Implicit => true,
            ListenerTls::Auto => self.sniffer.is_tls(&tcp, peer, self.settings.auto_wait).await,
        };
        match &self.tls {
            Some(tls) if tls_now => handshake(tls, tcp, peer).await,
            _ => Ok(Stream::Clear(tcp)),
        }
    }
}

/// A TLS handshake as the server; one that fails is logged with what to do about it.
async fn handshake(tls: &ServerTls, tcp: TcpStream, peer: IpAddr) -> Result<Stream, End> {
    let version = timeout(HANDSHAKE, hello::peek_version(&tcp)).await.ok().flatten();
    match timeout(HANDSHAKE, tls.acceptor().accept(tcp)).await {
        Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream))),
        Ok(Err(error)) => {
            let offered = version.map_or_else(|| "no TLS hello".to_owned(), |v| v.to_string());
            let hint = crate::net::tls::remedy(&error, version.is_some_and(hello::HelloVersion::is_too_old));
            tracing::warn!(%peer, offered, %error, hint, "TLS hello cannot be served");
            Err(End::Tls(error.to_string()))
        }
        Err(_) => Err(End::TimedOut),
    }
}
