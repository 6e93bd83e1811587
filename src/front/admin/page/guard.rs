//! What every request passes before a page or an operation sees it: the name it asks for, who it is from, and, if it
//! changes something, that it comes from a form of ours.

use std::net::SocketAddr;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::forwarded::asker;
use super::keys::Checked;
use super::sessions::Session;
use super::site::{Kind, Site, cookie};
use super::view::Refusal;
use super::{MAX_BODY, Page, Peer, answer};
use crate::front::admin::{Caller, Problem};

/// Nothing from elsewhere, nothing inline.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// Paths that are there for people who are not signed in.
const OPEN: [&str; 2] = ["/login", "/enter"];

/// A request that passed, as pages see it.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    pub(super) site: Site,
    pub(super) session: Option<Session>,
    /// A page that somebody has open looks again by itself: nobody did anything.
    pub(super) live: bool,
}

/// Lets a request pass, or refuses it.
pub(super) async fn guard(
    State(page): State<Page>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    mut request: Request,
    next: Next,
) -> Response {
    let setup = page.setup();
    let asker = asker(request.headers(), peer.ip(), &setup.page.proxies);
    request.extensions_mut().insert(ConnectInfo(Peer(SocketAddr::new(asker, peer.port()))));
    let is_api = request.uri().path().starts_with("/api/");
    let Some(site) = Site::of(request.headers(), &setup) else { return foreign_name(is_api) };
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if site.kind == Kind::LoopbackAddress && reads && !is_api && !site.https {
        let rest = request.uri().path_and_query().map_or("/", |rest| rest.as_str());
        return Redirect::temporary(&format!("http://localhost:{}{rest}", site.port)).into_response();
    }
    if let Some(key) = bearer(request.headers()).filter(|_| is_api) {
        return match page.inner.keys.key(&setup, asker, key).await {
            Checked::Right(caller) => {
                request.extensions_mut().insert(caller);
                next.run(request).await
            }
            Checked::Wrong => wrong_key().into_response(),
            Checked::Busy => too_many().into_response(),
        };
    }
    let live = reads && request.headers().contains_key("x-live");
    let session = cookie(request.headers(), &site.session_cookie())
        .and_then(|cookie| page.inner.sessions.find(cookie, setup.page.password.as_ref(), !live));
    if !reads {
        request = match from_a_form_of_ours(request, &site, session.as_ref()).await {
            Ok(request) => request,
            Err(refusal) => return refusal.answer(is_api),
        };
    }
    let open = OPEN.contains(&request.uri().path()) || (reads && answer::is_answer(request.uri()));
    if session.is_none() && !is_api && !open {
        return Redirect::to("/login").into_response();
    }
    if session.is_some() {
        request.extensions_mut().insert(Caller::Session);
    }
    request.extensions_mut().insert(Visit { site, session, live });
    next.run(request).await
}

/// A request that changes something must say that it comes from this place, and carry the token of its session. Forms
/// have it as a field, scripts as `X-CSRF-Token`.
async fn from_a_form_of_ours(request: Request, site: &Site, session: Option<&Session>) -> Result<Request, Refusal> {
    let elsewhere = || {
        Refusal::new(StatusCode::FORBIDDEN, "this request does not come from this page")
            .hint("open the page itself and try again there")
    };
    if !site.sent(request.headers()) {
        return Err(elsewhere());
    }
    let Some(session) = session else { return Ok(request) };
    if let Some(token) = request.headers().get("x-csrf-token").and_then(|value| value.to_str().ok()) {
        return if session.csrf.same_as(token) { Ok(request) } else { Err(elsewhere()) };
    }
    let (parts, body) = request.into_parts();
    let is_form = parts.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/x-www-form-urlencoded");
    let body: Bytes = to_bytes(body, MAX_BODY)
        .await
        .map_err(|_| Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "the form is too large"))?;
    let has_token =
        url::form_urlencoded::parse(&body).any(|(name, value)| name == "csrf" && session.csrf.same_as(&value));
    if is_form && has_token { Ok(Request::from_parts(parts, Body::from(body))) } else { Err(elsewhere()) }
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
}

pub(super) fn foreign_name(is_api: bool) -> Response {
    Refusal::new(StatusCode::MISDIRECTED_REQUEST, "this page is not known by the name it was asked for")
        .hint("open it as `http://localhost:PORT`, or set `public_url` in `[admin]`")
        .answer(is_api)
}

pub(super) fn wrong_key() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "there is no such API key", None)
        .hint("send `Authorization: Bearer NAME.SECRET` with a key of the configuration")
}

pub(super) fn too_many() -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many logins are being checked or have failed", None)
        .hint("wait a minute, then try again")
}

/// Headers of every answer. A page that has its own `Referrer-Policy` keeps it: the provider's return tells nothing to
/// anybody; elsewhere `same-origin` tells other sites nothing, and keeps forms saying where they come from.
pub(super) async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let always: [(HeaderName, &'static str); 6] = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_FRAME_OPTIONS, "DENY"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ];
    for (name, value) in always {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(REFERRER_POLICY).or_insert(HeaderValue::from_static("same-origin"));
    response
}
