//! Moves octets between a stream and the [`Upstream`] value, each step within its time.

use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, timeout, timeout_at};

use super::classify;
use crate::delivery::ContentError;
use crate::mail::{Failure, Reason};
use crate::net::connect::ConnectError;
use crate::sasl;
use crate::smtp::upstream::{Stage, Step, Trouble, Upstream};

/// Octets read at once. Answers are short.
const READ: usize = 2 * 1024;
/// How long an answer is waited for that may have come before the connection broke.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long a server may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For one step: connecting, TLS, one answer, or taking the next octets of a message.
    pub step: Duration,
    /// For the answer to the end of the message.
    pub last: Duration,
    /// How long an idle session is kept.
    pub idle: Duration,
}

/// Why a connection came to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    /// It was never made.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The token cannot be put into a login.
    #[error("the token cannot be sent: {0}")]
    Token(#[from] sasl::SaslError),
    /// The server said no, or something that cannot be.
    #[error(transparent)]
    Trouble(#[from] Trouble),
    /// The server closed it.
    #[error("the server closed the connection before {0} had come")]
    Closed(&'static str),
    /// It broke.
    #[error("the connection broke before {0} had come: {1}")]
    Broken(&'static str, std::io::Error),
    /// The server was silent for too long.
    #[error("{0} did not come within {limit} s", limit = .1.as_secs_f32())]
    Silent(&'static str, Duration),
    /// The server stopped taking octets.
    #[error("the server took nothing for {limit} s", limit = .0.as_secs_f32())]
    Stalled(Duration),
    /// The message could not be read.
    #[error(transparent)]
    Content(#[from] ContentError),
}

impl Lost {
    /// Whether the server closed the connection, or said that it does.
    pub(super) fn is_a_closed_door(&self) -> bool {
        match self {
            Self::Closed(_) | Self::Broken(..) => true,
            Self::Trouble(Trouble::Refused { stage: Stage::Reset, .. }) => true,
            Self::Connect(_)
            | Self::Token(_)
            | Self::Trouble(_)
            | Self::Silent(..)
            | Self::Stalled(_)
            | Self::Content(_) => false,
        }
    }
}

impl From<Lost> for Failure {
    fn from(lost: Lost) -> Self {
        let words = lost.to_string();
        match lost {
            Lost::Connect(error) => error.into(),
            Lost::Trouble(trouble) => classify::of_trouble(&trouble),
            Lost::Closed(_) | Lost::Broken(..) => Self::new(Reason::ProviderTrouble, words),
            Lost::Silent(..) | Lost::Stalled(_) => Self::new(Reason::TimedOut, words),
            Lost::Token(_) => Self::new(Reason::TokenUnavailable, words),
            Lost::Content(error) => error.into(),
        }
    }
}

/// A stream and the value that speaks over it.
pub(super) struct Wire<S> {
    pub(super) client: Upstream,
    stream: S,
    buffer: Box<[u8]>,
    timeouts: Timeouts,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S, client: Upstream, timeouts: Timeouts) -> Self {
        Self { client, stream, buffer: vec![0; READ].into_boxed_slice(), timeouts }
    }

    /// The stream and the value, to go on over TLS.
    pub(super) fn into_parts(self) -> (S, Upstream) {
        (self.stream, self.client)
    }

    /// Talks until the value names something that is not reading and writing. The time runs anew with each answer, so
    /// that a server may take long over many recipients, but not by sending its answer octet by octet.
    pub(super) async fn next(&mut self) -> Result<Step, Lost> {
        let mut owed = usize::MAX;
        let mut since = Instant::now();
        loop {
            let step = self.client.step()?;
            if step != Step::Read {
                return Ok(step);
            }
            if !self.client.output().is_empty() {
                self.send_output().await?;
                owed = usize::MAX;
            }
            if self.client.owed() < owed {
                owed = self.client.owed();
                since = Instant::now();
            }
            self.read(since).await?;
        }
    }

    /// Writes one part of a message. The server has to take something in each step's time, however little.
    pub(super) async fn write(&mut self, mut octets: &[u8]) -> Result<(), Lost> {
        let limit = self.timeouts.step;
        while !octets.is_empty() {
            match timeout(limit, self.stream.write(octets)).await {
                Ok(Ok(0)) => return Err(Lost::Closed(self.awaited())),
                Ok(Ok(taken)) => octets = &octets[taken..],
                Ok(Err(error)) => return Err(Lost::Broken(self.awaited(), error)),
                Err(_) => return Err(Lost::Stalled(limit)),
            }
        }
        match timeout(limit, self.stream.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Lost::Broken(self.awaited(), error)),
            Err(_) => Err(Lost::Stalled(limit)),
        }
    }

    /// What the server said before it stopped taking octets, if it is a complete answer: servers refuse in the middle
    /// of a message and close.
    pub(super) async fn last_words(&mut self) -> Option<Step> {
        let end = Instant::now() + LAST_WORDS;
        loop {
            match self.client.step() {
                Ok(Step::Read) => {}
                Ok(step) => return Some(step),
                Err(_) => return None,
            }
            match timeout_at(end, self.stream.read(&mut self.buffer)).await {
                Ok(Ok(length)) if length > 0 => self.client.receive(&self.buffer[..length]),
                _ => return None,
            }
        }
    }

    /// Whether an idle connection still is one: the server has neither closed it nor said anything.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut buffer = ReadBuf::new(&mut self.buffer);
        let mut context = Context::from_waker(Waker::noop());
        Pin::new(&mut self.stream).poll_read(&mut context, &mut buffer).is_pending()
    }

    /// Says QUIT and closes. Nobody waits for the answer; a server that hangs is left alone after a step's time.
    pub(super) async fn close(mut self) {
        self.client.quit();
        let limit = self.timeouts.step;
        let goodbye = async {
            if self.send_output().await.is_ok() {
                // The other side may be gone already; there is nobody to tell.
                let _ = self.stream.shutdown().await;
            }
        };
        let _ = timeout(limit, goodbye).await;
    }

    async fn send_output(&mut self) -> Result<(), Lost> {
        let limit = self.timeouts.step;
        let Self { client, stream, .. } = self;
        let sending = async {
            stream.write_all(client.output()).await?;
            stream.flush().await
        };
        let sent = timeout(limit, sending).await;
        self.client.written();
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Lost::Broken(self.awaited(), error)),
            Err(_) => Err(Lost::Stalled(limit)),
        }
    }

    async fn read(&mut self, since: Instant) -> Result<(), Lost> {
        let limit = if self.client.awaits_verdict() { self.timeouts.last } else { self.timeouts.step };
        match timeout_at(since + limit, self.stream.read(&mut self.buffer)).await {
            Ok(Ok(0)) => Err(Lost::Closed(self.awaited())),
            Ok(Ok(length)) => {
                self.client.receive(&self.buffer[..length]);
                Ok(())
            }
            Ok(Err(error)) => Err(Lost::Broken(self.awaited(), error)),
            Err(_) => Err(Lost::Silent(self.awaited(), limit)),
        }
    }

    fn awaited(&self) -> &'static str {
        self.client.stage().map_or("anything", Stage::name)
    }
}
