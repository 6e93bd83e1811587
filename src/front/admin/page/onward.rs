//! The page between ours and a provider's. A page that leads on: a redirect would have to obey `form-action`, and so
//! would every redirect between the provider's own servers.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::header::{REFERRER_POLICY, SET_COOKIE};
use http::{HeaderValue, StatusCode};
use url::Url;

use super::Page;
use super::answer::{CALLBACK, Expected};
use super::site::Site;
use super::view::{Refusal, html};

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
///
/// # Errors
/// The port that the provider sends the browser back to cannot be had.
pub(super) async fn lead_on(
    page: &Page,
    site: &Site,
    expected: &Expected<'_>,
    to: &str,
    text: String,
    url: &Url,
) -> Result<Response, Refusal> {
    if let Some(detour) = expected.detour {
        listen_at(page, site, detour, expected).await?;
    }
    let Some(cookie) = page.inner.returns.await_answer(site, expected) else {
        return Ok(StatusCode::SERVICE_UNAVAILABLE.into_response());
    };
    let shown = OnwardPage { to, text, url: url.as_str(), stays: None };
    // The page may be the answer to an earlier consent: nobody learns from a `Referer` what the provider sent.
    let headers = [(SET_COOKIE, cookie), (REFERRER_POLICY, HeaderValue::from_static("no-referrer"))];
    Ok((headers, html(&shown)).into_response())
}

async fn listen_at(page: &Page, site: &Site, detour: &Url, expected: &Expected<'_>) -> Result<(), Refusal> {
    let (callback, patience) = (format!("{}{CALLBACK}", site.origin), expected.until.since(page.control.clock.now()));
    page.inner.detours.open(detour, &callback, patience).await.map_err(|error| {
        Refusal::new(StatusCode::CONFLICT, format!("cannot wait for the browser at `{detour}`: {error}"))
            .hint("end the program that has the port, or sign in by pasting the address")
    })
}
