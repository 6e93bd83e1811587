//! The page between ours and a provider's. A page that leads on: a redirect would have to obey `form-action`, and so
//! would every redirect between the provider's own servers.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::header::{REFERRER_POLICY, SET_COOKIE};
use http::{HeaderValue, StatusCode};
use url::Url;

use super::Page;
use super::answer::Expected;
use super::site::Site;
use super::view::html;

/// What is said on the way.
#[derive(Template)]
#[template(path = "admin/onward.html")]
pub(super) struct OnwardPage<'a> {
    /// Who is at the other end.
    pub(super) to: &'a str,
    pub(super) text: String,
    pub(super) url: &'a str,
    /// Where it goes back to, if nobody brings the browser back: then it does not go on by itself either, so that
    /// people read that first.
    pub(super) stays: Option<String>,
}

/// Sends the browser to the provider and waits for what it brings back; `text` says what to do there.
pub(super) fn lead_on(
    page: &Page,
    site: &Site,
    expected: &Expected<'_>,
    to: &str,
    text: String,
    url: &Url,
) -> Response {
    let Some(cookie) = page.inner.returns.await_answer(site, expected) else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let shown = OnwardPage { to, text, url: url.as_str(), stays: None };
    // The page may be the answer to an earlier consent: nobody learns from a `Referer` what the provider sent.
    let headers = [(SET_COOKIE, cookie), (REFERRER_POLICY, HeaderValue::from_static("no-referrer"))];
    (headers, html(&shown)).into_response()
}
