//! One client's connection up to its login: reads octets, feeds the dialogue, carries out what it wants done.

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
use super::dialogue::{Front, goodbye};
use super::joined::Joined;
use crate::front::entrance::NoTls;
use crate::net::Stream;
use crate::reading::keep_alive;
use crate::sasl::Credentials;
use crate::sasl::reading::{Action, Options};

/// Octets read at once.
const READ: usize = 4 * 1024;
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

impl From<NoTls> for End {
    fn from(error: NoTls) -> Self {
        match error {
            NoTls::TimedOut => Self::TimedOut,
            NoTls::Failed(why) => Self::Tls(why),
        }
    }
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

/// What to do after an action was carried out.
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
        let stream = door.entrance.greet_with(tcp, peer).await?;
        let options = Options {
            starttls: door.entrance.offers_starttls(),
            clear_logins: door.settings.allow_clear_auth,
            own_tokens: desk.takes_own_tokens(),
            max_errors: MAX_ERRORS,
        };
        let front = Front::new(door.protocol, options, stream.is_tls());
        let now = Instant::now();
        let (deadline, end) = (now + door.settings.command_timeout, now + door.settings.command_timeout * PATIENCE);
        Self { stream, front, desk, stopping, deadline, end }.run().await
    }

    async fn run(mut self) -> Result<Option<Joined>, End> {
        let mut buffer = [0; READ];
        let mut first = true;
        loop {
            while let Some(action) = self.front.next_action() {
                match self.carry_out(action).await? {
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
            if first {
                self.desk.door.entrance.refuse_late_tls(&self.stream, self.desk.peer, &buffer[..count])?;
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

    async fn carry_out(&mut self, action: Action) -> Result<Next, End> {
        let next = match action {
            Action::Reply(octets) => {
                self.write(&octets).await?;
                Next::Read
            }
            Action::Close => Next::Close,
            Action::StartTls => {
                self.start_tls().await?;
                Next::Read
            }
            Action::LogIn(credentials) => self.try_login(credentials).await,
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
        self.desk.door.entrance.start_tls(&mut self.stream, self.desk.peer).await?;
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
        self.write(&goodbye(self.desk.door.protocol, words)).await?;
        let _closed = timeout(WRITE, self.stream.shutdown()).await;
        Ok(())
    }
}
