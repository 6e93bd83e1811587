//! A session with a provider: connected, over TLS, logged in; it carries one message after another.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::message::Message;
use super::wire::{Lost, Timeouts, Wire};
use crate::delivery::{SmtpLogin, SmtpTls, SmtpWay, Token};
use crate::mail::Address;
use crate::net::connect::{ConnectError, Connector};
use crate::sasl;
use crate::secret::Secret;
use crate::smtp::upstream::{Answers, CannotCarry, Ending, Mail, Mechanism, Proof, Response, Stage, Step, Upstream};

/// Messages that one session carries before it makes room for a new one, whose six round trips cost as much as some of
/// them. A server that wants fewer says 421 to MAIL, and the message goes through a new session at once.
const MESSAGES: u32 = 1_000;
/// A session that was idle for longer may be one that the server has given up.
const FRESH: Duration = Duration::from_secs(2);

/// A logged-in session.
pub(super) struct Session {
    wire: Wire<Either<TcpStream, TlsStream<TcpStream>>>,
    /// Which issue of the token it was opened with.
    pub(super) generation: u64,
    messages: u32,
    /// When it was put aside last.
    pub(super) idle_since: Instant,
}

/// Where sessions lead and how long each step may take.
pub(super) struct Target {
    pub(super) way: SmtpWay,
    pub(super) connector: Connector,
    pub(super) timeouts: Timeouts,
}

/// How far a transaction had come when its connection was lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    /// Not even MAIL was answered.
    Nothing,
    /// The end of the message had not left: the server has no message.
    BeforeDot,
    /// The final dot, or the last octet of the chunk, had left: the server may have the message.
    AfterDot,
}

/// Why a transaction gave no complete set of answers.
pub(super) enum Broken {
    /// The server cannot take this message. The session is as good as before.
    Limits(CannotCarry),
    /// The connection is lost.
    Lost {
        lost: Lost,
        progress: Progress,
        /// For each recipient its refusal, if it had come.
        recipients: Vec<Option<Response>>,
    },
}

impl Session {
    /// Connects, starts TLS unless the way has none, and logs in; with the token where the way asks for one.
    pub(super) async fn open(target: &Target, mailbox: &Address, token: Option<&Token>) -> Result<Self, Lost> {
        let Target { way, connector, timeouts } = target;
        let login = Login::of(way, mailbox, token)?;
        let proof = login.proof();
        let stream = connector.tcp(&way.host, way.port, timeouts.step).await?;
        let (stream, client) = match way.tls {
            SmtpTls::Never if proof == Proof::Nothing => {
                (Either::Left(stream), Upstream::new(&way.helo, true).with_proof(proof))
            }
            SmtpTls::Never => return Err(ConnectError::Tls("nothing secret is sent without TLS".to_owned()).into()),
            SmtpTls::Implicit => (
                Either::Right(connector.tls(&way.host, stream, timeouts.step).await?),
                Upstream::new(&way.helo, true).with_proof(proof),
            ),
            SmtpTls::StartTls => {
                let mut wire = Wire::new(stream, Upstream::new(&way.helo, false).with_proof(proof), *timeouts);
                until(&mut wire, &Step::StartTls).await?;
                let (stream, mut client) = wire.into_parts();
                let stream = connector.tls(&way.host, stream, timeouts.step).await?;
                client.tls_started();
                (Either::Right(stream), client)
            }
        };
        let mut wire = Wire::new(stream, client, *timeouts);
        if proof != Proof::Nothing {
            until(&mut wire, &Step::Authenticate).await?;
            let responses = login.responses(wire.client.mechanism(), way)?;
            wire.client.authenticate(responses);
        }
        until(&mut wire, &Step::Ready).await?;
        Ok(Self {
            wire,
            generation: token.map_or(0, |token| token.generation),
            messages: 0,
            idle_since: Instant::now(),
        })
    }

    /// One transaction.
    pub(super) async fn transact(&mut self, mail: &Mail<'_>, message: &Message<'_>) -> Result<Answers, Broken> {
        self.wire.client.begin(mail).map_err(Broken::Limits)?;
        self.messages += 1;
        let mut progress = Progress::Nothing;
        match self.run(message, &mut progress).await {
            Ok(answers) => Ok(answers),
            Err(lost) => {
                if progress == Progress::Nothing && self.wire.client.mail_was_answered() {
                    progress = Progress::BeforeDot;
                }
                Err(Broken::Lost { lost, progress, recipients: self.wire.client.abandon() })
            }
        }
    }

    async fn run(&mut self, message: &Message<'_>, progress: &mut Progress) -> Result<Answers, Lost> {
        loop {
            match self.wire.next().await? {
                Step::Finished(answers) => return Ok(answers),
                Step::SendContent => {
                    *progress = Progress::BeforeDot;
                    if let Err(lost) = message.send(&mut self.wire).await {
                        return self.refused_midway(lost).await;
                    }
                    *progress = Progress::AfterDot;
                }
                Step::SendChunk => {
                    if let Err(lost) = message.send_chunk(&mut self.wire).await {
                        return self.refused_midway(lost).await;
                    }
                    *progress = Progress::AfterDot;
                }
                // None of these follows on the login.
                Step::Read | Step::StartTls | Step::Authenticate | Step::Ready => {}
            }
        }
    }

    /// The message could not be sent to its end. If that is because the server refused it midway, its answer counts;
    /// a positive one does not, for the server cannot have the whole message.
    async fn refused_midway(&mut self, lost: Lost) -> Result<Answers, Lost> {
        if matches!(lost, Lost::Content(_)) {
            return Err(lost);
        }
        let step = self.wire.last_words().await;
        // The message is half sent, so nothing else may be said on this connection.
        self.wire.client.abandon();
        match step {
            Some(Step::Finished(answers)) if matches!(answers.ending, Ending::Refused(Stage::Content, _)) => {
                Ok(answers)
            }
            _ => Err(lost),
        }
    }

    /// Whether it may carry another message.
    pub(super) fn is_reusable(&self) -> bool {
        self.messages < MESSAGES && self.wire.client.is_reusable()
    }

    /// Whether the server has left it alone while it was idle.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.wire.is_quiet()
    }

    /// Whether it was opened or used just now.
    pub(super) fn is_fresh(&self) -> bool {
        self.idle_since.elapsed() < FRESH
    }

    /// Whether the server offers 8BITMIME.
    pub(super) fn takes_eight_bit(&self) -> bool {
        self.wire.client.extensions().eight_bit
    }

    /// Whether the server knows DSN (RFC 3461), so that it was told what the sender wants to hear.
    pub(super) fn knows_wishes(&self) -> bool {
        self.wire.client.extensions().dsn
    }

    /// Says goodbye; nobody waits for it.
    pub(super) fn close(self) {
        tokio::spawn(self.wire.close());
    }
}

/// Who logs in, and with what.
enum Login<'a> {
    Token { name: String, xoauth2: Secret, token: &'a Secret },
    Password(&'a str, &'a Secret),
    Nobody,
}

impl<'a> Login<'a> {
    fn of(way: &'a SmtpWay, mailbox: &Address, token: Option<&'a Token>) -> Result<Self, Lost> {
        Ok(match (&way.login, token) {
            (SmtpLogin::Password { login, password }, _) => Self::Password(login, password),
            (SmtpLogin::Token, Some(Token { secret, .. })) => {
                let name = mailbox.to_string();
                Self::Token { xoauth2: sasl::xoauth2(&name, secret)?, name, token: secret }
            }
            (SmtpLogin::Nobody | SmtpLogin::Token, _) => Self::Nobody,
        })
    }

    const fn proof(&self) -> Proof {
        match self {
            Self::Token { .. } => Proof::Token,
            Self::Password(..) => Proof::Password,
            Self::Nobody => Proof::Nothing,
        }
    }

    /// What is said, one after the other.
    fn responses(self, mechanism: Mechanism, way: &SmtpWay) -> Result<Vec<Secret>, Lost> {
        Ok(match (self, mechanism) {
            (Self::Password(login, password), Mechanism::Login) => {
                vec![sasl::login_part(&Secret::new(login)), sasl::login_part(password)]
            }
            (Self::Password(login, password), _) => vec![sasl::plain(login, password)?],
            (Self::Token { name, token, .. }, Mechanism::OauthBearer) => {
                vec![sasl::oauthbearer(&name, (&way.host, way.port), token)?]
            }
            (Self::Token { xoauth2, .. }, _) => vec![xoauth2],
            (Self::Nobody, _) => Vec::new(),
        })
    }
}

async fn until<S>(wire: &mut Wire<S>, wanted: &Step) -> Result<(), Lost>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    while wire.next().await? != *wanted {}
    Ok(())
}
