//! One client's connection: reads octets, feeds the session, carries out what it wishes.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::desk::Desk;
use super::{Door, replies as ours};
use crate::account::LineEndings;
use crate::net::{Stream, hello, proxy};
use crate::smtp::{Action, Reply, Session, replies};

/// Octets read at once.
const READ: usize = 16 * 1024;
/// How long a client may take for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(30);
/// How long a client may take to accept a reply.
const WRITE: Duration = Duration::from_secs(60);
/// While content is received: the slowest rate that is still served, in octets a second, after a first allowance.
const SLOWEST: u64 = 200;

/// How a connection ended, for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    /// The client was silent, or slower than is served.
    #[error("the client was silent too long")]
    TimedOut,
    /// The client ended its message with bare LF, which is not the end.
    #[error(
        "the client ends lines with LF alone, so its message had no end; set `line_endings = \"lf\"` for its `[[client]]`"
    )]
    LineEndings,
    /// A TLS handshake did not succeed.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// A PROXY header from somebody who is no proxy of ours.
    #[error("a PROXY header came from an address that is not in `proxy_from` of this listener")]
    Stranger,
}

/// One connection and what belongs to it.
pub(super) struct Connection {
    door: Arc<Door>,
    peer: IpAddr,
    stream: Stream,
    session: Session,
    desk: Desk,
    stopping: CancellationToken,
    /// When the present step must be over.
    deadline: Instant,
    /// Octets of content received in the present transaction.
    content_octets: u64,
    content_since: Option<Instant>,
}

/// Whether to go on.
enum Next {
    Read,
    Close,
}

impl Connection {
    /// Serves a client until it leaves.
    pub(super) async fn serve(
        door: Arc<Door>,
        tcp: TcpStream,
        peer: IpAddr,
        stopping: CancellationToken,
    ) -> Result<(), End> {
        let _nodelay = tcp.set_nodelay(true);
        let stream = door.greet_with(tcp, peer).await?;
        let Some((desk, session)) = Desk::open(&door, peer, stream.is_tls()) else {
            return turn_away(stream, peer).await;
        };
        let deadline = Instant::now() + door.settings.command_timeout;
        let (content_octets, content_since) = (0, None);
        let mut this = Self { door, peer, stream, session, desk, stopping, deadline, content_octets, content_since };
        this.run().await
    }

    async fn run(&mut self) -> Result<(), End> {
        let mut buffer = vec![0; READ];
        loop {
            while let Some(action) = self.session.next_action() {
                if let Next::Close = self.carry_out(action).await? {
                    let _closed = timeout(WRITE, self.stream.shutdown()).await;
                    return Ok(());
                }
            }
            let count = match self.read(&mut buffer).await? {
                Some(0) => return Ok(()),
                Some(count) => count,
                None => return self.say_goodbye(&replies::SHUTTING_DOWN).await,
            };
            if self.session.hello().is_none() && proxy::begins_header(&buffer[..count]) {
                return Err(End::Stranger);
            }
            if self.session.hello().is_none()
                && !self.stream.is_tls()
                && self.door.notes_late_tls(self.peer, &buffer[..count])
            {
                return Err(End::Tls(
                    "the first TLS client of an address that came in clear so far; the next try succeeds".to_owned(),
                ));
            }
            self.session.receive(&buffer[..count]);
        }
    }

    /// The octets that came; `None` when the program stops and the client is between two messages.
    async fn read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, End> {
        let idle = self.session.is_idle();
        tokio::select! {
            read = timeout_at(self.deadline, self.stream.read(buffer)) => match read {
                Ok(count) => Ok(Some(count?)),
                Err(_) => {
                    let lone_dot = self.session.saw_lone_dot();
                    self.say_goodbye(&replies::TIMED_OUT).await?;
                    Err(if lone_dot { End::LineEndings } else { End::TimedOut })
                }
            },
            () = self.stopping.cancelled(), if idle => Ok(None),
        }
    }

    async fn carry_out(&mut self, action: Action) -> Result<Next, End> {
        if !matches!(action, Action::Body(_)) {
            self.deadline = Instant::now() + self.door.settings.command_timeout;
        }
        match action {
            Action::Reply(octets) => self.write(&octets).await?,
            Action::Close => return Ok(Next::Close),
            Action::StartTls => self.start_tls().await?,
            Action::Authenticate(credentials) => {
                let result = self.desk.authenticate(credentials).await;
                if let Some(client) = self.desk.client() {
                    self.session.set_line_endings(line_endings(client.line_endings));
                }
                self.session.authenticated(result);
            }
            Action::Mail(request) => {
                let answer = self.desk.mail(&request);
                self.session.mail_answered(answer);
            }
            Action::Rcpt(request) => {
                let answer = self.desk.recipient(request);
                self.session.recipient_answered(answer);
            }
            Action::StartBody => {
                self.content_octets = 0;
                self.content_since = Some(Instant::now());
                let answer = self.desk.start_body();
                self.session.data_answered(answer);
            }
            Action::Body(octets) => self.take_content(&octets).await,
            Action::DiscardBody => self.desk.discard_body(),
            Action::EndOfBody => {
                let reply = self.desk.end_of_body(&self.session).await;
                self.session.accepted(reply);
            }
        }
        Ok(Next::Read)
    }

    async fn take_content(&mut self, octets: &[u8]) {
        self.content_octets += octets.len() as u64;
        let since = self.content_since.unwrap_or_else(Instant::now);
        // A client that drips is given what a slow line needs and no more.
        let allowed = self.door.settings.command_timeout + Duration::from_secs(self.content_octets / SLOWEST);
        self.deadline = (since + allowed).min(Instant::now() + self.door.settings.command_timeout);
        if let Err(reply) = self.desk.body(octets).await {
            self.session.body_refused(reply);
        }
    }

    async fn start_tls(&mut self) -> Result<(), End> {
        let Some(tls) = self.door.tls.clone() else {
            return Err(End::Tls("no certificate".to_owned()));
        };
        let Stream::Clear(tcp) = std::mem::replace(&mut self.stream, Stream::Closed) else {
            return Err(End::Tls("STARTTLS within TLS".to_owned()));
        };
        self.stream = handshake(&tls, tcp, self.peer).await?;
        self.session.tls_started();
        self.desk.forget_login();
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

    async fn say_goodbye(&mut self, reply: &Reply) -> Result<(), End> {
        let mut octets = Vec::new();
        reply.write_to(&mut octets);
        self.write(&octets).await?;
        let _closed = timeout(WRITE, self.stream.shutdown()).await;
        Ok(())
    }
}

pub(super) const fn line_endings(endings: LineEndings) -> crate::smtp::LineEndings {
    match endings {
        LineEndings::Crlf => crate::smtp::LineEndings::Crlf,
        LineEndings::Lf => crate::smtp::LineEndings::Lf,
    }
}

/// Nobody from that address may come in, with or without a login.
async fn turn_away(mut stream: Stream, peer: IpAddr) -> Result<(), End> {
    let mut octets = Vec::new();
    ours::stranger(peer).write_to(&mut octets);
    timeout(WRITE, stream.write_all(&octets)).await.map_err(|_| End::TimedOut)??;
    let _closed = timeout(WRITE, stream.shutdown()).await;
    Ok(())
}

/// A TLS handshake as the server; one that fails is logged with what to do about it.
pub(super) async fn handshake(tls: &crate::net::ServerTls, tcp: TcpStream, peer: IpAddr) -> Result<Stream, End> {
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
