//! The way in at a provider: connect, TLS, log in with a token.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::back::{Back, BackStep, BackTrouble};
use super::{Protocol, ReadingServer, UpstreamTls, classify};
use crate::imap::LoggedIn;
use crate::mail::{Address, Failure, Reason};
use crate::net::Wide;
use crate::net::connect::{ConnectError, Connector};
use crate::sasl::{self, Mechanism, SaslError};
use crate::secret::Secret;
use crate::token::{AccessToken, TokenManager};

/// Octets read at once: answers to a login are short.
const READ: usize = 4 * 1024;

/// A connection to a provider's server.
pub type UpstreamStream = Box<TlsStream<Wide<TcpStream>>>;

/// Where to go in and as whom.
pub struct Way<'a> {
    /// Makes the connection.
    pub connector: &'a Connector,
    /// What is spoken there.
    pub protocol: Protocol,
    /// Where.
    pub server: &'a ReadingServer,
    /// The mailbox to open.
    pub mailbox: &'a Address,
    /// How long each step may take.
    pub step_timeout: Duration,
}

/// Why nobody was let in.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the token cannot be sent: {0}")]
    Token(#[from] SaslError),
    #[error("{0:?}")]
    Trouble(BackTrouble),
    #[error("the server closed the connection before {0} had come")]
    Closed(&'static str),
    #[error("the connection broke before {0} had come: {1}")]
    Broken(&'static str, std::io::Error),
    #[error("{0} did not come within {limit} s", limit = .1.as_secs_f32())]
    Silent(&'static str, Duration),
}

impl From<BackTrouble> for Lost {
    fn from(trouble: BackTrouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<Lost> for Failure {
    fn from(lost: Lost) -> Self {
        let words = lost.to_string();
        match lost {
            Lost::Connect(error) => error.into(),
            Lost::Trouble(trouble) => classify::of_trouble(&trouble),
            // A good token for a mailbox that is not there: Dovecot closes without a word.
            Lost::Closed(_) | Lost::Broken(..) => Self::new(Reason::ProviderTrouble, words),
            Lost::Silent(..) => Self::new(Reason::TimedOut, words),
            Lost::Token(_) => Self::new(Reason::TokenUnavailable, words),
        }
    }
}

impl Way<'_> {
    /// Goes in with a token of the account. One that is refused is renewed once: it may have been revoked since it was
    /// issued.
    ///
    /// # Errors
    /// Why nobody was let in; the words hold no secret.
    pub async fn enter_for(&self, tokens: &TokenManager, account: &str) -> Result<(UpstreamStream, LoggedIn), Failure> {
        let purpose = self.protocol.purpose();
        let AccessToken { secret, generation, .. } = tokens.access_token(account, purpose).await?;
        let failure = match self.enter(&secret).await {
            Err(failure) if failure.reason == Reason::AuthenticationRejected => failure,
            entered => return entered,
        };
        tokens.invalidate(account, purpose, generation).await;
        let renewed = tokens.access_token(account, purpose).await?;
        if renewed.secret.same_as(secret.expose()) {
            return Err(classify::for_good(failure));
        }
        self.enter(&renewed.secret).await.map_err(|failure| {
            if failure.reason == Reason::AuthenticationRejected { classify::for_good(failure) } else { failure }
        })
    }

    /// Goes in with this token.
    ///
    /// # Errors
    /// Why nobody was let in; the words hold no secret.
    pub async fn enter(&self, token: &Secret) -> Result<(UpstreamStream, LoggedIn), Failure> {
        self.go_in(token).await.map_err(|lost| {
            let failure = Failure::from(lost);
            let responses = [Mechanism::XOAuth2, Mechanism::OAuthBearer];
            let responses = responses.map(|mechanism| self.response(mechanism, token));
            let secrets: Vec<&str> = responses.iter().flatten().chain([token]).map(Secret::expose).collect();
            Failure { diagnostic: classify::clean(&failure.diagnostic, &secrets), ..failure }
        })
    }

    async fn go_in(&self, token: &Secret) -> Result<(UpstreamStream, LoggedIn), Lost> {
        let Self { connector, server, step_timeout: limit, .. } = *self;
        let mut tcp = connector.tcp(&server.host, server.port, limit).await?;
        keep_alive(&tcp);
        let nonce = uuid::Uuid::new_v4().simple().to_string();
        let mut back = Back::new(self.protocol, server.tls == UpstreamTls::Implicit, &nonce);
        if server.tls == UpstreamTls::StartTls {
            while self.talk(&mut tcp, &mut back).await? != BackStep::StartTls {}
        }
        let mut stream = Box::new(connector.tls(&server.host, Wide::new(tcp), limit).await?);
        if server.tls == UpstreamTls::StartTls {
            back.tls_started();
        }
        loop {
            match self.talk(&mut stream, &mut back).await? {
                BackStep::Authenticate(mechanism) => back.authenticate(mechanism, &self.response(mechanism, token)?),
                BackStep::LoggedIn => return Ok((stream, back.into_logged_in())),
                BackStep::Read | BackStep::StartTls => {}
            }
        }
    }

    fn response(&self, mechanism: Mechanism, token: &Secret) -> Result<Secret, SaslError> {
        let mailbox = self.mailbox.to_string();
        match mechanism {
            Mechanism::OAuthBearer => sasl::oauthbearer(&mailbox, (&self.server.host, self.server.port), token),
            Mechanism::XOAuth2 | Mechanism::Plain | Mechanism::Login => sasl::xoauth2(&mailbox, token),
        }
    }

    /// Reads and writes until the dialogue wants something else.
    async fn talk<S>(&self, stream: &mut S, back: &mut Back) -> Result<BackStep, Lost>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut buffer = [0; READ];
        loop {
            let step = back.step()?;
            if step != BackStep::Read {
                return Ok(step);
            }
            let awaited = back.awaited();
            let exchange = async {
                if !back.output().is_empty() {
                    stream.write_all(back.output()).await?;
                    stream.flush().await?;
                }
                stream.read(&mut buffer).await
            };
            let read = timeout(self.step_timeout, exchange).await;
            back.written();
            match read {
                Ok(Ok(0)) => return Err(Lost::Closed(awaited)),
                Ok(Ok(count)) => back.receive(&buffer[..count]),
                Ok(Err(error)) => return Err(Lost::Broken(awaited, error)),
                Err(_) => return Err(Lost::Silent(awaited, self.step_timeout)),
            }
        }
    }
}

/// A side that is gone without a word is noticed: sessions idle for hours behind devices that forget connections.
pub fn keep_alive(tcp: &TcpStream) {
    let probes =
        socket2::TcpKeepalive::new().with_time(Duration::from_secs(120)).with_interval(Duration::from_secs(30));
    if let Err(error) = socket2::SockRef::from(tcp).set_tcp_keepalive(&probes) {
        tracing::debug!(%error, "keep-alive cannot be set");
    }
}
