//! One exchange with a token endpoint (RFC 6749 sections 4.1.3, 4.4.2 and 6). The `oauth2` crate writes the request and
//! reads the answer; what comes in between, and everything that is not a token, is judged here.

use std::borrow::Cow;
use std::pin::Pin;
use std::time::Duration;

use ::http::HeaderValue;
use ::http::header::{ACCEPT, CONTENT_TYPE};
use oauth2::basic::{BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse};
use oauth2::{
    AsyncHttpClient, AuthType, AuthorizationCode, ClientId, ClientSecret, EndpointNotSet, EndpointSet, HttpRequest,
    HttpResponse, PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, Scope, StandardRevocableToken,
    TokenUrl,
};
use url::Url;

use super::answer::Answer;
use super::explain::{ErrorWords, Refusal};
use super::settings::{ClientAuthentication, Provider};
use crate::http::{Http, HttpError, Request, Response};
use crate::secret::Secret;

/// What is offered for a token.
pub(super) enum Exchange<'a> {
    /// A code from the redirect, with the proof of RFC 7636.
    Code { code: &'a Secret, verifier: &'a Secret, redirect_uri: &'a Url },
    /// A refresh token.
    Refresh(&'a Secret),
    /// The app itself.
    App,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Minted {
    pub(super) access: Secret,
    pub(super) lifetime: Duration,
    pub(super) refresh: Option<Secret>,
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

/// Asks once. The refusal's words never hold what was sent.
pub(super) async fn exchange(
    http: &Http,
    provider: &Provider,
    what: &Exchange<'_>,
    scopes: Vec<String>,
) -> Result<Minted, Refusal> {
    let client = client(provider);
    let scopes = scopes.into_iter().map(Scope::new);
    let wire = Wire { http, provider };
    let answer = match what {
        Exchange::Code { code, verifier, redirect_uri } => {
            let request = client
                .exchange_code(AuthorizationCode::new(code.expose().to_owned()))
                .set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().to_owned()))
                .set_redirect_uri(Cow::Owned(RedirectUrl::from_url((*redirect_uri).clone())));
            let scopes = joined(scopes);
            let request = if scopes.is_empty() { request } else { request.add_extra_param("scope", scopes) };
            request.request_async(&wire).await
        }
        Exchange::Refresh(token) => {
            let token = RefreshToken::new(token.expose().to_owned());
            client.exchange_refresh_token(&token).add_scopes(scopes).request_async(&wire).await
        }
        Exchange::App => client.exchange_client_credentials().add_scopes(scopes).request_async(&wire).await,
    };
    let minted = answer.map_err(|error| refusal(provider, error)).and_then(|answer| answer.minted(&provider.name));
    minted.map_err(|refusal| Refusal { why: without_secrets(refusal.why, provider, what), ..refusal })
}

fn joined(scopes: impl Iterator<Item = Scope>) -> String {
    scopes.map(|scope| scope.to_string()).collect::<Vec<_>>().join(" ")
}

fn client(provider: &Provider) -> Client {
    let client = oauth2::Client::new(ClientId::new(provider.client_id.clone()))
        .set_token_uri(TokenUrl::from_url(provider.token_url.clone()))
        .set_auth_type(AuthType::RequestBody);
    match &provider.authentication {
        ClientAuthentication::None => client,
        ClientAuthentication::SecretPost(secret) => {
            client.set_client_secret(ClientSecret::new(secret.expose().to_owned()))
        }
    }
}

/// The refusal, as an error type that the `oauth2` crate can carry.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.why)]
struct Refused(Refusal);

/// The way of the `oauth2` crate to the network.
struct Wire<'a> {
    http: &'a Http,
    provider: &'a Provider,
}

impl<'c> AsyncHttpClient<'c> for Wire<'_> {
    type Error = Refused;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Refused>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move { self.send(request.into_body()).await.map_err(Refused) })
    }
}

impl Wire<'_> {
    async fn send(&self, form: Vec<u8>) -> Result<HttpResponse, Refusal> {
        let name = &self.provider.name;
        let request = Request::post(self.provider.token_url.clone(), "application/x-www-form-urlencoded", form)
            .header(ACCEPT, HeaderValue::from_static("application/json"));
        let response = self.http.send(request).await.map_err(|error| unreachable(name, &error))?;
        judge(name, &response)?;
        let mut answer = HttpResponse::new(response.body);
        // Some servers send tokens as text/html; what counts is whether it is JSON.
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(answer)
    }
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
fn without_secrets(text: String, provider: &Provider, what: &Exchange<'_>) -> String {
    let mut secrets = match what {
        Exchange::Code { code, verifier, .. } => vec![*code, *verifier],
        Exchange::Refresh(token) => vec![*token],
        Exchange::App => Vec::new(),
    };
    if let ClientAuthentication::SecretPost(secret) = &provider.authentication {
        secrets.push(secret);
    }
    secrets.iter().map(|secret| secret.expose()).filter(|secret| !secret.is_empty()).fold(text, |text, secret| {
        let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        text.replace(secret, "<secret>").replace(&encoded, "<secret>")
    })
}
