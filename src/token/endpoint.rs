//! One exchange with a token endpoint (RFC 6749 sections 4.1.3, 4.4.2 and 6, RFC 7523, RFC 8628). The `oauth2` crate writes the request and
//! reads the answer; what comes in between, and everything that is not a token, is judged here.

use std::borrow::Cow;
use std::pin::Pin;
use std::time::Duration;

use ::http::HeaderValue;
use ::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oauth2::basic::{BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse};
use oauth2::{
    AsyncHttpClient, AuthType, AuthorizationCode, ClientId, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse,
    PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope, StandardRevocableToken, TokenUrl,
};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize, parse};

use super::answer::Answer;
use super::discovery::Endpoints;
use super::explain::{ErrorWords, Refusal};
use super::proof::Proof;
use super::settings::Provider;
use crate::clock::Timestamp;
use crate::http::{Http, HttpError, Request, Response};
use crate::secret::Secret;

const FORM: &str = "application/x-www-form-urlencoded";

/// What is offered for a token.
pub(super) enum Exchange<'a> {
    /// A code from the redirect, with the proof of RFC 7636.
    Code { code: &'a Secret, verifier: &'a Secret, redirect_uri: &'a Url },
    /// A refresh token.
    Refresh(&'a Secret),
    /// The app itself.
    App,
    /// A device code that somebody may have agreed to by now (RFC 8628 section 3.4).
    Device(&'a Secret),
    /// A signed assertion that stands for somebody (RFC 7523 section 2.1).
    Assertion(&'a Secret),
}

/// What came back.
#[derive(Debug)]
pub(super) struct Minted {
    pub(super) access: Secret,
    pub(super) lifetime: Duration,
    pub(super) refresh: Option<Secret>,
    /// How long the grant lasts, where the provider puts an end to it (Google: `refresh_token_expires_in`).
    pub(super) grant_lifetime: Option<Duration>,
    /// The granted scopes, if the answer names them.
    pub(super) scopes: Option<Vec<String>>,
    /// Who signed in, from the ID token.
    pub(super) name: Option<String>,
}

type Client = oauth2::Client<
    BasicErrorResponse,
    Answer,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// The provider as it is asked at one moment.
pub(super) struct Counter<'a> {
    pub(super) http: &'a Http,
    pub(super) provider: &'a Provider,
    pub(super) endpoints: &'a Endpoints,
    pub(super) now: Timestamp,
}

impl Counter<'_> {
    /// Asks the token endpoint once. The refusal's words never hold what was sent.
    pub(super) async fn exchange(&self, what: &Exchange<'_>, scopes: Vec<String>) -> Result<Minted, Refusal> {
        let name = &self.provider.name;
        let proof = Proof::of(self.http, self.provider, self.endpoints, self.now).await?;
        let wire = Wire { counter: self, proof: &proof };
        let answer = wire.ask(what, scopes).await;
        let minted = answer.map_err(|error| refusal(self.provider, error)).and_then(|answer| answer.minted(name));
        minted.map_err(|refusal| without_secrets(refusal, &proof, what))
    }

    /// Posts a form to another endpoint of the provider; gives the body of its answer.
    pub(super) async fn post(&self, url: &Url, fields: &[(&str, &str)]) -> Result<Vec<u8>, Refusal> {
        let proof = Proof::of(self.http, self.provider, self.endpoints, self.now).await?;
        let form = Serializer::new(String::new())
            .append_pair("client_id", &self.provider.client_id)
            .extend_pairs(fields)
            .finish();
        let wire = Wire { counter: self, proof: &proof };
        wire.send(url, form.as_bytes()).await.map_err(|refusal| without_secrets(refusal, &proof, &Exchange::App))
    }
}

fn client(provider: &Provider, endpoints: &Endpoints) -> Client {
    oauth2::Client::new(ClientId::new(provider.client_id.clone()))
        .set_token_uri(TokenUrl::from_url(endpoints.token.clone()))
        .set_auth_type(AuthType::RequestBody)
}

/// The refusal, as an error type that the `oauth2` crate can carry.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.why)]
struct Refused(Refusal);

/// The way of the `oauth2` crate to the network.
struct Wire<'a> {
    counter: &'a Counter<'a>,
    proof: &'a Proof,
}

impl<'c> AsyncHttpClient<'c> for Wire<'_> {
    type Error = Refused;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Refused>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let body = self.send(&self.counter.endpoints.token, request.body()).await.map_err(Refused)?;
            let mut answer = HttpResponse::new(body);
            // Some servers send tokens as text/html; what counts is whether it is JSON.
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            Ok(answer)
        })
    }
}

type Answered = Result<Answer, RequestTokenError<Refused, BasicErrorResponse>>;

impl Wire<'_> {
    async fn ask(&self, what: &Exchange<'_>, scopes: Vec<String>) -> Answered {
        let client = client(self.counter.provider, self.counter.endpoints);
        let joined = scopes.join(" ");
        let scopes = scopes.into_iter().map(Scope::new);
        match what {
            Exchange::Code { code, verifier, redirect_uri } => {
                let request = client
                    .exchange_code(AuthorizationCode::new(code.expose().to_owned()))
                    .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().to_owned()))
                    .set_redirect_uri(Cow::Owned(RedirectUrl::from_url((*redirect_uri).clone())));
                let request = if joined.is_empty() { request } else { request.add_extra_param("scope", joined) };
                request.request_async(self).await
            }
            Exchange::Refresh(token) => {
                let token = RefreshToken::new(token.expose().to_owned());
                client.exchange_refresh_token(&token).add_scopes(scopes).request_async(self).await
            }
            Exchange::App => client.exchange_client_credentials().add_scopes(scopes).request_async(self).await,
            // The crate has these two only together with a waiting of its own, or not at all.
            Exchange::Device(code) => {
                let id = ("client_id", self.counter.provider.client_id.as_str());
                let kind = ("grant_type", "urn:ietf:params:oauth:grant-type:device_code");
                let scope = ("scope", joined.as_str());
                let fields = [kind, id, ("device_code", code.expose()), scope];
                self.own_form(if joined.is_empty() { &fields[..3] } else { &fields }).await
            }
            Exchange::Assertion(assertion) => {
                let kind = ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
                self.own_form(&[kind, ("assertion", assertion.expose())]).await
            }
        }
    }

    async fn own_form(&self, fields: &[(&str, &str)]) -> Answered {
        let form = Serializer::new(String::new()).extend_pairs(fields).finish();
        let body = self.send(&self.counter.endpoints.token, form.as_bytes()).await;
        let body = body.map_err(|refusal| RequestTokenError::Request(Refused(refusal)))?;
        // The parser's error may hold a token: it is not kept.
        serde_json::from_slice(&body).map_err(|_| RequestTokenError::Other("no answer of RFC 6749".to_owned()))
    }

    /// Sends a form with the proof and the configured parameters.
    async fn send(&self, url: &Url, form: &[u8]) -> Result<Vec<u8>, Refusal> {
        let Counter { http, provider, .. } = self.counter;
        let form = self.completed(form);
        // A refresh token that is used up by a request without an answer ends the sign-in.
        let request = Request::post(url.clone(), FORM, form).alone();
        let mut request = request.header(ACCEPT, HeaderValue::from_static("application/json"));
        if let Proof::Basic(secret) = self.proof {
            request = request.header(AUTHORIZATION, basic(provider, secret)?);
        }
        let response = http.send(request).await.map_err(|error| unreachable(&provider.name, &error))?;
        judge(&provider.name, &response)?;
        Ok(response.body)
    }

    fn completed(&self, form: &[u8]) -> String {
        let provider = self.counter.provider;
        let is_basic = matches!(self.proof, Proof::Basic(_));
        let more = provider.token_parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        // A client that authenticates by header must not do so in the body, too (RFC 6749 section 2.3).
        let fields = parse(form).filter(|(name, _)| !is_basic || name != "client_id");
        let fields = fields.filter(|(name, _)| !provider.token_parameters.contains_key(name.as_ref()));
        Serializer::new(String::new())
            .extend_pairs(fields)
            .extend_pairs(self.proof.fields())
            .extend_pairs(more)
            .finish()
    }
}

/// Both halves are form-encoded before they are joined (RFC 6749 section 2.3.1).
fn basic(provider: &Provider, secret: &Secret) -> Result<HeaderValue, Refusal> {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = Secret::new(format!("{}:{}", encoded(&provider.client_id), encoded(secret.expose())));
    let text = Secret::new(format!("Basic {}", STANDARD.encode(pair.expose())));
    let mut value = HeaderValue::from_str(text.expose()).map_err(|_| {
        Refusal::setup(format!("`{}`: the client secret cannot be sent", provider.name), "check `client_secret`")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn unreachable(name: &str, error: &HttpError) -> Refusal {
    match error {
        HttpError::NotSendable(_) => Refusal::setup(
            format!("`{name}`: the token endpoint cannot be asked: {error}"),
            "check the provider's `token_url`, `client_id` and `client_secret`",
        ),
        HttpError::Unreachable(_)
        | HttpError::Tls(_)
        | HttpError::TimedOut(_)
        | HttpError::AnswerLost(_)
        | HttpError::TooLarge(_) => Refusal::later(format!("`{name}`: the token endpoint cannot be reached: {error}")),
    }
}

/// Passes an answer that may hold a token.
fn judge(name: &str, response: &Response) -> Result<(), Refusal> {
    let status = response.status;
    let body = response
        .whole_body()
        .map_err(|error| Refusal::later(format!("`{name}`: the token endpoint's answer cannot be read: {error}")))?;
    let words = ErrorWords::parse(body);
    if matches!(status, 408 | 429 | 500..) {
        let words = words.map(|words| format!(": {}", words.explain(name).why)).unwrap_or_default();
        let why = format!("`{name}`: the token endpoint answers {status}{words}");
        return Err(Refusal::later(why).after(response.retry_after));
    }
    match words {
        Some(words) => Err(words.explain(name).after(response.retry_after)),
        None if status == 200 => Ok(()),
        None if (300..400).contains(&status) => Err(Refusal::later(format!(
            "`{name}`: the token endpoint answers with a redirect ({status}), which is not followed; \
             if that stays, check the provider's endpoints and whether a proxy is in the way"
        ))),
        None => Err(Refusal::later(format!(
            "`{name}`: the token endpoint answers {status} without saying why; \
             if that stays, check the provider's endpoints and whether a proxy is in the way"
        ))),
    }
}

/// The crate's own errors. Two of them hold the answer's body, which may hold a token: they are not printed.
fn refusal(provider: &Provider, error: RequestTokenError<Refused, BasicErrorResponse>) -> Refusal {
    match error {
        RequestTokenError::Request(Refused(refusal)) => refusal,
        RequestTokenError::ServerResponse(_) | RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
            Refusal::later(format!("`{}`: the token endpoint's answer is not one that RFC 6749 knows", provider.name))
        }
    }
}

/// A server may send back what it was sent, and its words are shown to people.
fn without_secrets(refusal: Refusal, proof: &Proof, what: &Exchange<'_>) -> Refusal {
    let mut secrets = match what {
        Exchange::Code { code, verifier, .. } => vec![*code, *verifier],
        Exchange::Refresh(secret) | Exchange::Device(secret) | Exchange::Assertion(secret) => vec![*secret],
        Exchange::App => Vec::new(),
    };
    secrets.extend(proof.secret());
    let texts = secrets.iter().map(|secret| secret.expose()).filter(|secret| !secret.is_empty());
    let why = texts.fold(refusal.why, |text, secret| {
        let encoded: String = byte_serialize(secret.as_bytes()).collect();
        text.replace(secret, "<secret>").replace(&encoded, "<secret>")
    });
    Refusal { why, ..refusal }
}
