//! Outgoing HTTP: one client for token endpoints and mail APIs, with everything bounded. Redirects are not followed
//! (a secret goes where the configuration says and nowhere else), answers are cut at [`MAX_BODY`], and an error says
//! whether the request can have taken effect.

mod body;
mod error;
mod place;
mod retry_after;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::http::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method};
use bytes::Bytes;
use tokio::sync::mpsc;
use url::Url;

use crate::proxy::Proxy;
use crate::secret::Secret;
use body::{Handed, Payload, WatchedBody};
pub use error::{HttpError, HttpSetupError};
pub use place::{is_loopback, may_have_secrets};
pub use retry_after::{MAX_RETRY_AFTER, retry_after};

/// Octets of an answer's body that are kept; the rest is not read.
pub const MAX_BODY: usize = 1024 * 1024;

/// Idle connections are closed early, so that a request seldom meets one that the server is just closing.
const IDLE_CONNECTION: Duration = Duration::from_secs(30);

/// Settings of the HTTP client.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// How long a request may take from its start to the last octet of its answer. Default 30 s.
    pub timeout: Duration,
    /// How long name resolution, connection and TLS handshake may take together. Default 10 s.
    pub connect_timeout: Duration,
    /// A PEM file with certificate authorities to trust beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// The proxy, if there is one. What the environment says of proxies does not count.
    pub proxy: Option<Arc<Proxy>>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30), connect_timeout: Duration::from_secs(10), ca_file: None, proxy: None }
    }
}

/// The HTTP client: a pool of connections, cheap to clone.
#[derive(Clone, Debug)]
pub struct Http {
    client: reqwest::Client,
    /// Without a proxy and without TLS, for what is on this machine's own link.
    direct: reqwest::Client,
    proxy: Option<Arc<Proxy>>,
    timeout: Duration,
}

impl Http {
    /// A client that verifies servers against the system's certificate authorities and those of `ca_file`.
    ///
    /// # Errors
    /// `ca_file` cannot be read or holds no certificate; the system's authorities cannot be loaded; the proxy has no URL.
    pub fn new(settings: HttpSettings) -> Result<Self, HttpSetupError> {
        let mut builder = bounded(&settings);
        if let Some(path) = &settings.ca_file {
            builder = builder.tls_certs_merge(read_authorities(path)?);
        }
        if let Some(proxy) = &settings.proxy {
            builder = builder.proxy(through(proxy)?);
        }
        let failed = |error: reqwest::Error| HttpSetupError::Client(error::chain(&error));
        let direct = bounded(&settings).tls_certs_only([]).build().map_err(failed)?;
        Ok(Self { client: builder.build().map_err(failed)?, direct, proxy: settings.proxy, timeout: settings.timeout })
    }

    /// Sends one request, once, and reads its answer. Any status is an answer, a redirect too.
    ///
    /// # Errors
    /// See [`HttpError`]: [`HttpError::AnswerLost`] alone may have had an effect.
    pub async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let server = request.server();
        let timeout = request.timeout.unwrap_or(self.timeout);
        let proxy = self.proxy.as_ref().filter(|_| !request.direct);
        let proxy = proxy.filter(|proxy| request.url.host_str().is_some_and(|host| proxy.serves(host)));
        let (body, handed) = WatchedBody::new(request.body);
        let client = if request.direct { &self.direct } else { &self.client };
        let sending = client
            .request(request.method, request.url)
            .headers(request.headers)
            .timeout(timeout)
            .body(reqwest::Body::wrap(body))
            .send();
        let answer = sending
            .await
            .map_err(|error| HttpError::of_request(&server, proxy.map(Arc::as_ref), (&error, &handed, timeout)))?;
        Ok(Response::read(&server, answer, request.answer_limit).await)
    }
}

fn bounded(settings: &HttpSettings) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("oxpost/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .connect_timeout(settings.connect_timeout)
        .timeout(settings.timeout)
        .pool_idle_timeout(IDLE_CONNECTION)
}

/// The proxy as the library knows it; which hosts it serves is decided here.
fn through(proxy: &Arc<Proxy>) -> Result<reqwest::Proxy, HttpSetupError> {
    let url = proxy.url().map_err(|error| HttpSetupError::Proxy(proxy.name(), error.to_string()))?;
    let proxy = Arc::clone(proxy);
    Ok(reqwest::Proxy::custom(move |to| proxy.serves(to.host_str()?).then(|| url.clone())))
}

fn read_authorities(path: &PathBuf) -> Result<Vec<reqwest::Certificate>, HttpSetupError> {
    let unusable = |why: String| HttpSetupError::CaFile { path: path.clone(), why };
    let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    let authorities = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| unusable(error::chain(&error)))?;
    if authorities.is_empty() {
        return Err(unusable("it holds no certificate in PEM form".to_owned()));
    }
    Ok(authorities)
}

/// A request to be sent. Its `Debug` shows method and server alone: path, header and body may hold secrets.
pub struct Request {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Payload,
    timeout: Option<Duration>,
    answer_limit: usize,
    direct: bool,
}

impl Request {
    /// A GET.
    pub fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: Payload::Whole(Bytes::new()),
            timeout: None,
            answer_limit: MAX_BODY,
            direct: false,
        }
    }

    /// A POST of `body`.
    pub fn post(url: Url, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        Self { method: Method::POST, headers, body: Payload::Whole(body.into()), ..Self::get(url) }
    }

    /// A POST of `length` octets that come through `octets` while it is sent; if fewer come, the request breaks off.
    pub fn post_streamed(url: Url, content_type: &'static str, length: u64, octets: mpsc::Receiver<Bytes>) -> Self {
        Self { body: Payload::Stream(octets, length), ..Self::post(url, content_type, Bytes::new()) }
    }

    /// A PUT of `body`.
    pub fn put(url: Url, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { method: Method::PUT, ..Self::post(url, content_type, body) }
    }

    /// A DELETE.
    pub fn delete(url: Url) -> Self {
        Self { method: Method::DELETE, ..Self::get(url) }
    }

    /// A POST of form fields (`application/x-www-form-urlencoded`): each value stays one value whatever it holds.
    pub fn post_form(url: Url, fields: &[(&str, &str)]) -> Self {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        Self::post(url, "application/x-www-form-urlencoded", form)
    }

    /// The same, and its connection is not used again (RFC 9112 section 9.6). A server may close an idle one at the very
    /// moment it is used, and then nobody knows whether the request had its effect: this does not happen to requests
    /// whose server gets no others. In HTTP/2, which says goodbye, it changes nothing.
    #[must_use]
    pub fn alone(self) -> Self {
        self.header(CONNECTION, HeaderValue::from_static("close"))
    }

    /// The same with one more header field.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The same with `Authorization: Bearer` (RFC 6750 section 2.1).
    ///
    /// # Errors
    /// [`HttpError::NotSendable`] if the token holds a character that no header field may hold.
    pub fn bearer(self, token: &Secret) -> Result<Self, HttpError> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
            .map_err(|_| HttpError::NotSendable("the access token holds characters that no header may hold".into()))?;
        value.set_sensitive(true);
        Ok(self.header(AUTHORIZATION, value))
    }

    /// The same past any proxy, without TLS: for services on this machine's own link, such as instance metadata.
    #[must_use]
    pub fn direct(self) -> Self {
        Self { direct: true, ..self }
    }

    /// The same with its own limit of time instead of [`HttpSettings::timeout`].
    #[must_use]
    pub fn timeout(self, limit: Duration) -> Self {
        Self { timeout: Some(limit), ..self }
    }

    /// The same with up to `octets` of its answer kept instead of [`MAX_BODY`].
    #[must_use]
    pub fn answer_limit(self, octets: usize) -> Self {
        Self { answer_limit: octets, ..self }
    }

    /// `host` or `host:port`: all that messages may show of the URL.
    fn server(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {})", self.method, self.server())
    }
}

/// An answer. Its status is sure even if the body was not read to its end. `Debug` does not show the body.
pub struct Response {
    /// Status code, redirects included.
    pub status: u16,
    /// Header fields.
    pub headers: HeaderMap,
    /// The body, or its beginning if `cut` says so.
    pub body: Vec<u8>,
    /// Why the body is not whole.
    pub cut: Option<HttpError>,
    /// `Retry-After`, at most [`MAX_RETRY_AFTER`].
    pub retry_after: Option<Duration>,
}

impl Response {
    /// The whole body.
    ///
    /// # Errors
    /// Why it is not whole: [`HttpError::TooLarge`], or [`HttpError::AnswerLost`] in its middle.
    pub fn whole_body(&self) -> Result<&[u8], HttpError> {
        self.cut.clone().map_or(Ok(&self.body), Err)
    }

    async fn read(server: &str, mut answer: reqwest::Response, limit: usize) -> Self {
        let status = answer.status().as_u16();
        let headers = std::mem::take(answer.headers_mut());
        let retry_after = retry_after(&headers);
        let mut body = Vec::new();
        let cut = loop {
            match answer.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > limit => {
                    break Some(HttpError::TooLarge(server.to_owned()));
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break None,
                Err(error) => break Some(HttpError::of_body(server, &error)),
            }
        };
        Self { status, headers, body, cut, retry_after }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Response({}, {} octets)", self.status, self.body.len())
    }
}
