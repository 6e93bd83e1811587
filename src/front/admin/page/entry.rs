//! Coming in and leaving: by password, or by a one-time link.

use askama::Template;
use axum::extract::{ConnectInfo, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Extension, Form, Router};
use http::header::SET_COOKIE;
use http::{HeaderValue, StatusCode};
use serde::Deserialize;

use super::guard::Visit;
use super::keys::Checked;
use super::view::{Refusal, Visitor, html};
use super::{Page, Peer};
use crate::secret::Secret;

pub(super) fn routes() -> Router<Page> {
    Router::new().route("/login", get(login).post(log_in)).route("/enter", get(enter).post(let_in))
}

#[derive(Template)]
#[template(path = "admin/login.html")]
struct LoginPage {
    has_password: bool,
    wrong: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "admin/enter.html")]
struct EnterPage {
    key: String,
}

async fn login(State(page): State<Page>, Extension(visit): Extension<Visit>) -> Response {
    if visit.session.is_some() {
        return Redirect::to("/").into_response();
    }
    html(&LoginPage { has_password: page.setup().page.password.is_some(), wrong: None })
}

#[derive(Deserialize)]
struct LogIn {
    password: Secret,
}

async fn log_in(
    State(page): State<Page>,
    Extension(visit): Extension<Visit>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    Form(form): Form<LogIn>,
) -> Response {
    let setup = page.setup();
    let has_password = setup.page.password.is_some();
    let refused = |status, why| (status, html(&LoginPage { has_password, wrong: Some(why) })).into_response();
    match page.inner.keys.password(&setup, peer.ip(), form.password).await {
        Checked::Right(_) => begin(&page, &visit),
        Checked::Wrong => {
            tracing::warn!(peer = %peer.ip(), "wrong password for the page");
            refused(StatusCode::UNAUTHORIZED, "That is not the password.")
        }
        Checked::Busy => {
            tracing::warn!(peer = %peer.ip(), "too many wrong passwords for the page");
            refused(
                StatusCode::TOO_MANY_REQUESTS,
                "Too many wrong passwords came from there. Wait a minute, or come in with a link of `oxpost page`.",
            )
        }
    }
}

#[derive(Deserialize)]
struct Enter {
    #[serde(default)]
    key: String,
}

/// Looking at a link does not use it up: programs that show previews look at links.
async fn enter(Query(enter): Query<Enter>) -> Response {
    html(&EnterPage { key: enter.key })
}

async fn let_in(State(page): State<Page>, Extension(visit): Extension<Visit>, Form(form): Form<Enter>) -> Response {
    if page.control.links.redeem(&form.key) {
        return begin(&page, &visit);
    }
    tracing::warn!("a link to the page that is not good, or not any more, was used");
    Refusal::new(StatusCode::FORBIDDEN, "this link was used already, or it is too old")
        .hint("run `oxpost page` on the machine of the gateway for a new one")
        .into_response()
}

/// A session begins under a name of its own; one that the browser brought along ends.
fn begin(page: &Page, visit: &Visit) -> Response {
    if let Some(old) = &visit.session {
        page.inner.sessions.end(&old.filed);
    }
    let cookie = page
        .inner
        .sessions
        .begin(page.setup().page.password.as_ref())
        .and_then(|name| visit.site.cookie(&visit.site.session_cookie(), name.expose(), "SameSite=Strict; Path=/"));
    let Some(cookie) = cookie else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
    ([(SET_COOKIE, cookie)], Redirect::to("/")).into_response()
}

/// Ends the session.
pub(super) async fn leave(State(page): State<Page>, visitor: Visitor) -> Response {
    page.inner.sessions.end(&visitor.session.filed);
    let gone = visitor.site.cookie(&visitor.site.session_cookie(), "", "SameSite=Strict; Path=/; Max-Age=0");
    let gone = gone.unwrap_or(HeaderValue::from_static(""));
    ([(SET_COOKIE, gone)], Redirect::to("/login")).into_response()
}
