//! Exchange Web Services: `CreateItem` with the message's MIME. EWS mails to whom the header names. For Exchange on the
//! premises, and for directories that have it switched on until Exchange Online ends it in April 2027.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use tokio::sync::mpsc;

use crate::delivery::by_header::{self, ByHeader, Letter, Source};
use crate::delivery::web::transport;
use crate::delivery::{Backend, BoxFuture, ContentError, Delivery, EwsWay, Token, Tokens};
use crate::http::{Http, Request, Response};
use crate::mail::{Attempt, BackendKind, Failure, Reason, Receipt};
use crate::token::Purpose;

mod answer;
mod login;
mod request;

pub use self::login::try_mailbox;

/// Octets of the message that are encoded at once: a multiple of three, so that base64 goes on without padding.
const PIECE: u64 = 48 * 1024;
/// Pieces that wait for the connection.
const AHEAD: usize = 4;

/// The way out through Exchange Web Services.
pub struct EwsBackend {
    way: EwsWay,
    http: Http,
    tokens: Arc<dyn Tokens>,
    timeout: Duration,
}

impl EwsBackend {
    /// A backend that gives each request `timeout` from its start to the end of its answer.
    pub fn new(way: EwsWay, http: Http, tokens: Arc<dyn Tokens>, timeout: Duration) -> Self {
        Self { way, http, tokens, timeout }
    }

    /// Sends, and once more with a fresh token if the first is refused.
    async fn hand_over(&self, letter: Letter<'_>) -> Result<Receipt, Failure> {
        letter.check_size(self.way.max_octets, "Exchange")?;
        let account = letter.delivery.account;
        let mut refused_before = false;
        loop {
            let token = self.tokens.access_token(account, Purpose::Ews).await?;
            let response = self.post(&letter, &token).await?;
            if response.status == 401 {
                self.tokens.invalidate(account, Purpose::Ews, &token).await;
            }
            if response.status != 401 || refused_before {
                return answer::read(&response);
            }
            refused_before = true;
        }
    }

    /// The message is read and encoded while it is sent: it is never in memory as a whole.
    async fn post(&self, letter: &Letter<'_>, token: &Token) -> Result<Response, Failure> {
        let mailbox = letter.delivery.mailbox.to_string();
        let around = request::around(&self.way, &mailbox);
        let encoded = letter.octets().div_ceil(3).saturating_mul(4);
        let length = (around.before.len() + around.behind.len()) as u64 + encoded;
        let (pieces, octets) = mpsc::channel(AHEAD);
        let (name, value) = anchor(&mailbox)?;
        let request = Request::post_streamed(self.way.url.clone(), "text/xml; charset=utf-8", length, octets)
            .timeout(self.timeout)
            .header(name, value)
            .bearer(&token.secret)
            .map_err(|error| transport(&error))?;
        let (answer, fed) = tokio::join!(self.http.send(request), feed(letter, around, pieces));
        // What could not be read is the reason why the request broke off.
        fed?;
        answer.map_err(|error| transport(&error))
    }
}

/// The header that leads a request to the server of its mailbox.
fn anchor(mailbox: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    let value = HeaderValue::from_str(mailbox)
        .map_err(|_| Failure::new(Reason::CannotCarry, "EWS cannot name a mailbox beyond ASCII"))?;
    Ok((HeaderName::from_static("x-anchormailbox"), value))
}

/// Hands the request over piece by piece, until it is whole or nobody takes it any longer.
async fn feed(letter: &Letter<'_>, around: request::Around, pieces: mpsc::Sender<Bytes>) -> Result<(), ContentError> {
    let mut source = Source::open(letter, 0).await?;
    let mut next = Some(Bytes::from(around.before));
    while let Some(piece) = next {
        if pieces.send(piece).await.is_err() {
            return Ok(());
        }
        let octets = source.take(PIECE).await?;
        next = (!octets.is_empty()).then(|| Bytes::from(STANDARD.encode(octets)));
    }
    // Whoever does not take it has hung up, and says why.
    pieces.send(Bytes::from(around.behind)).await.ok();
    Ok(())
}

impl ByHeader for EwsBackend {
    fn max_recipients(&self) -> usize {
        self.way.max_recipients
    }

    fn send<'a>(&'a self, letter: Letter<'a>, _: &'a mut Vec<String>) -> BoxFuture<'a, Result<Receipt, Failure>> {
        Box::pin(self.hand_over(letter))
    }
}

impl Backend for EwsBackend {
    fn kind(&self) -> BackendKind {
        BackendKind::Ews
    }

    fn deliver<'a>(&'a self, delivery: Delivery<'a>) -> BoxFuture<'a, Attempt> {
        Box::pin(by_header::attempt(self, delivery))
    }
}
