//! Requests to the web interfaces of providers, with a token and a name for their logs.

use std::future::ready;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use tokio::sync::mpsc;
use url::Url;

use super::{Chunks, ContentError, Tokens};
use crate::http::{Http, HttpError, Request, Response};
use crate::mail::failure::one_line;
use crate::mail::{Failure, Reason};
use crate::token::Purpose;

/// Characters of an answer that a diagnostic quotes.
const MAX_QUOTE: usize = 200;
/// Octets of a request that are handed over at a time.
const PIECE: usize = 32 * 1024;
/// Pieces that wait for the connection.
const AHEAD: usize = 2;

/// What one account asks with.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    pub(super) http: &'a Http,
    pub(super) tokens: &'a dyn Tokens,
    pub(super) account: &'a str,
    /// Which token opens the interface.
    pub(super) purpose: Purpose,
    /// For each request, from its start to the end of its answer.
    pub(super) timeout: Duration,
}

impl Caller<'_> {
    /// Sends what `request` makes, and once more with a fresh token if the first is refused.
    ///
    /// # Errors
    /// No token, or no answer. Any other status than a second 401 is an answer.
    pub(super) async fn call(&self, request: impl Fn() -> Request + Send + Sync) -> Result<Response, Failure> {
        let response = self.once(request(), ready(Ok(()))).await?;
        if response.status != 401 {
            return Ok(response);
        }
        self.once(request(), ready(Ok(()))).await
    }

    /// Posts `size` octets that are read while they are sent, once. If the token is refused, the next call has another.
    ///
    /// # Errors
    /// No token, no answer, or `chunks` cannot be read.
    pub(super) async fn stream(
        &self,
        url: Url,
        content_type: &'static str,
        size: u64,
        chunks: Box<dyn Chunks>,
    ) -> Result<Response, Failure> {
        let (pieces, octets) = mpsc::channel(AHEAD);
        self.once(Request::post_streamed(url, content_type, size, octets), feed(chunks, pieces)).await
    }

    async fn once(
        &self,
        request: Request,
        feeding: impl Future<Output = Result<(), ContentError>> + Send,
    ) -> Result<Response, Failure> {
        let token = self.tokens.access_token(self.account, self.purpose).await?;
        // A name for the provider's logs, new for each call.
        let call = header_value(&uuid::Uuid::new_v4().to_string())?;
        let request = request
            .timeout(self.timeout)
            .header(HeaderName::from_static("client-request-id"), call)
            .bearer(&token.secret)
            .map_err(|error| transport(&error))?;
        let (mut sending, mut feeding) = (pin!(self.http.send(request)), pin!(feeding));
        let answer = tokio::select! {
            // An answer counts even if the whole was not wanted.
            answer = &mut sending => answer,
            fed = &mut feeding => {
                fed?;
                sending.await
            }
        };
        let response = answer.map_err(|error| transport(&error))?;
        if response.status == 401 {
            self.tokens.invalidate(self.account, self.purpose, &token).await;
        }
        Ok(response)
    }

    /// The same without a token, for addresses that carry their right in themselves.
    pub(super) async fn call_without_token(&self, request: Request) -> Result<Response, Failure> {
        let sending = self.http.send(request.timeout(self.timeout));
        sending.await.map_err(|error| transport(&error))
    }
}

/// Hands a request over piece by piece, until it is whole or nobody takes it any longer.
async fn feed(mut chunks: Box<dyn Chunks>, pieces: mpsc::Sender<Bytes>) -> Result<(), ContentError> {
    while let Some(chunk) = chunks.next().await? {
        let mut chunk = Bytes::from(chunk);
        while !chunk.is_empty() {
            // Whoever does not take it has hung up, and says why.
            if pieces.send(chunk.split_to(chunk.len().min(PIECE))).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// `root` with `segments` behind it, each one segment whatever it holds.
pub(super) fn below(root: &Url, segments: &[&str]) -> Result<Url, Failure> {
    let mut url = root.clone();
    url.path_segments_mut()
        .map_err(|()| Failure::new(Reason::NoWayOut, format!("`{root}` is not the base of a web address")))?
        .pop_if_empty()
        .extend(segments);
    Ok(url)
}

/// Why there is no answer.
pub(super) fn transport(error: &HttpError) -> Failure {
    let reason = match error {
        HttpError::Unreachable(_) => Reason::Unreachable,
        HttpError::Tls(_) => Reason::TlsRefused,
        HttpError::TimedOut(_) => Reason::TimedOut,
        HttpError::AnswerLost(_) => Reason::AnswerLost,
        HttpError::TooLarge(_) | HttpError::NotSendable(_) => Reason::Unexpected,
    };
    Failure::new(reason, error.to_string())
}

/// The start of an answer that has no error in the provider's form: its text, or that it is a page for a browser.
pub(super) fn quoted(response: &Response) -> String {
    if is_page(response) {
        return "a page for a browser instead of an answer of the provider; is there a proxy in between?".to_owned();
    }
    let text = String::from_utf8_lossy(&response.body);
    let text = one_line(&text.chars().take(MAX_QUOTE).collect::<String>());
    if text.is_empty() { "an empty answer".to_owned() } else { text }
}

/// Whether the answer is a page for a browser.
pub(super) fn is_page(response: &Response) -> bool {
    let kind = response.headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/html"))
        || response.body.trim_ascii_start().starts_with(b"<!")
        || response.body.trim_ascii_start().to_ascii_lowercase().starts_with(b"<html")
}

fn header_value(text: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::from_str(text).map_err(|error| Failure::new(Reason::Unexpected, error.to_string()))
}
