//! Requests to Graph, with a token and a name for Microsoft's logs.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use url::Url;

use super::classify;
use crate::delivery::Tokens;
use crate::http::{Http, Request, Response};
use crate::mail::{Failure, Reason};
use crate::token::Purpose;

/// What one account asks Graph with.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    pub(super) http: &'a Http,
    pub(super) tokens: &'a dyn Tokens,
    pub(super) account: &'a str,
    /// For each request, from its start to the end of its answer.
    pub(super) timeout: Duration,
}

impl Caller<'_> {
    /// Sends what `request` makes, and once more with a fresh token if the first is refused.
    ///
    /// # Errors
    /// No token, or no answer. Any other status than a second 401 is an answer.
    pub(super) async fn call(&self, request: impl Fn() -> Request + Send + Sync) -> Result<Response, Failure> {
        let mut refused_before = false;
        loop {
            let token = self.tokens.access_token(self.account, Purpose::Graph).await?;
            // A name for Microsoft's logs, new for each call.
            let call = header_value(&uuid::Uuid::new_v4().to_string())?;
            let request = request()
                .timeout(self.timeout)
                .header(HeaderName::from_static("client-request-id"), call)
                .bearer(&token.secret)
                .map_err(|error| classify::classify_transport(&error))?;
            let response = self.http.send(request).await.map_err(|error| classify::classify_transport(&error))?;
            if response.status != 401 {
                return Ok(response);
            }
            self.tokens.invalidate(self.account, Purpose::Graph, &token).await;
            if refused_before {
                return Ok(response);
            }
            refused_before = true;
        }
    }

    /// The same without a token, for addresses that carry their right in themselves.
    pub(super) async fn call_without_token(&self, request: Request) -> Result<Response, Failure> {
        let sending = self.http.send(request.timeout(self.timeout));
        sending.await.map_err(|error| classify::classify_transport(&error))
    }
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

fn header_value(text: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::from_str(text).map_err(|error| Failure::new(Reason::Unexpected, error.to_string()))
}
