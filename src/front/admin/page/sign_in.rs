//! Signing an account in from the page: by the browser and back, or by pasting the address it ends at.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use http::StatusCode;
use serde::Deserialize;
use url::Url;

use super::Page;
use super::accounts::{known, segment};
use super::answer::Expected;
use super::onward::{OnwardPage, lead_on};
use super::sessions::random;
use super::site::{Kind, Site};
use super::view::{Frame, Moment, Refusal, Visitor, html, spelt};
use crate::front::admin::{Problem, Setup, SignInFinished, api};
use crate::http::is_loopback;
use crate::token::{DeviceProgress, DeviceSignIn, Provider, TokenError};

pub(super) fn routes() -> Router<Page> {
    Router::new()
        .route("/accounts/{account}/sign-in", post(by_browser))
        .route("/accounts/{account}/device", get(device).post(begin_device))
        .route("/accounts/{account}/consent", post(consent))
        .route("/accounts/{account}/confirm", post(confirm))
        .route("/accounts/{account}/forget", post(forget))
        .route("/accounts/{account}/paste", get(paste).post(pasted))
        .route("/accounts/{account}/paste/begin", post(begin_paste))
}

/// How the browser finds back from a provider.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum WayBack {
    /// To this page, at this address.
    Here(Url),
    /// To a port of this machine that is listened on for the sign-in only; from there on to the page.
    Detour(Url),
    /// To the page under its public name: the sign-in has to begin there.
    Public(Url),
    /// To nowhere that we hear of: the address it ends at is pasted.
    Paste(Url),
}

impl WayBack {
    /// What works when the page is browsed at `site`, for a provider with this `redirect_uri`.
    pub(super) fn of(setup: &Setup, configured: Option<&Url>, site: &Site) -> Option<Self> {
        let local: Url = format!("http://localhost:{}/", site.port).parse().ok()?;
        let public = setup.page.public_url.as_ref().and_then(|url| url.join("callback").ok());
        if let Some(configured) = configured {
            let is_ours = |place: &str| {
                configured.origin().ascii_serialization() == place && matches!(configured.path(), "/" | "/callback")
            };
            if is_ours(&site.origin) {
                return Some(Self::Here(configured.clone()));
            }
            // A loopback address without a port is registered for any port (RFC 8252 section 7.3).
            if site.kind == Kind::Localhost && is_ours("http://localhost") && !site.https {
                let mut url = configured.clone();
                let _only_without_a_host = url.set_port(Some(site.port));
                return Some(Self::Here(url));
            }
            let public = setup.page.public_url.as_ref().filter(|url| is_ours(&url.origin().ascii_serialization()));
            let is_here = matches!(site.kind, Kind::Localhost | Kind::LoopbackAddress);
            let has_port = configured.scheme() == "http" && configured.port().is_some() && is_loopback(configured);
            return Some(match public {
                Some(url) => Self::Public(url.clone()),
                None if is_here && has_port => Self::Detour(configured.clone()),
                None => Self::Paste(configured.clone()),
            });
        }
        Some(match (site.kind, public, &setup.page.public_url) {
            // Providers know this machine by `http` alone (RFC 8252 section 7.3), and a port with TLS hears none of it.
            (Kind::Localhost, ..) if !site.https => Self::Here(local),
            (Kind::Public, Some(callback), _) => Self::Here(callback),
            (_, _, Some(url)) => Self::Public(url.clone()),
            _ => Self::Paste(local),
        })
    }

    /// The account's page under the public name, if that is where it has to begin.
    pub(super) fn elsewhere(&self, account: &str) -> Option<String> {
        match self {
            Self::Public(url) => url.join(place(account).trim_start_matches('/')).ok().map(String::from),
            Self::Here(_) | Self::Detour(_) | Self::Paste(_) => None,
        }
    }
}

/// Sends the browser to the provider.
async fn by_browser(
    State(page): State<Page>,
    visitor: Visitor,
    Path(account): Path<String>,
) -> Result<Response, Refusal> {
    let setup = page.setup();
    let (_, provider) = known(&setup, &account)?;
    let (redirect_uri, detour) = match WayBack::of(&setup, provider.redirect_uri.as_ref(), &visitor.site) {
        Some(WayBack::Here(url)) => (url, None),
        Some(WayBack::Detour(url)) => (url.clone(), Some(url)),
        _ => {
            return Err(Refusal::new(
                StatusCode::CONFLICT,
                "the provider cannot send the browser back to this address",
            )
            .hint("open the page as `http://localhost:PORT`, or paste the address"));
        }
    };
    if let Err(error) = page.control.tokens.discover(&account).await {
        return Ok(page.done(&visitor, Err(Problem::from(error)), &place(&account)));
    }
    let begun = match page.control.tokens.begin_sign_in_at(&account, redirect_uri) {
        Ok(begun) => begun,
        Err(error) => return Ok(page.done(&visitor, Err(Problem::from(error)), &place(&account))),
    };
    let expected = Expected::of(&begun, detour.as_ref());
    let text = format!(
        "Sign in there as the mailbox of {account}, within {}. Then you come back here by yourself.",
        spelt(provider.sign_in_timeout)
    );
    lead_on(&page, &visitor.site, &expected, &provider.name, text, &begun.url).await
}

#[derive(Template)]
#[template(path = "admin/paste.html")]
struct PastePage<'a> {
    frame: Frame,
    account: &'a str,
    place: String,
    url: Option<String>,
    /// How long somebody has for it.
    time: String,
    /// Where the browser ends: nobody listens there.
    ends_at: String,
}

async fn paste(State(page): State<Page>, visitor: Visitor, Path(account): Path<String>) -> Result<Response, Refusal> {
    show_paste(&page, &visitor, &account, None)
}

async fn begin_paste(
    State(page): State<Page>,
    visitor: Visitor,
    Path(account): Path<String>,
) -> Result<Response, Refusal> {
    let setup = page.setup();
    let (_, provider) = known(&setup, &account)?;
    if let Err(error) = page.control.tokens.discover(&account).await {
        return Ok(page.done(&visitor, Err(Problem::from(error)), &place(&account)));
    }
    let begun = page.control.tokens.begin_sign_in(&account, pasted_redirect(provider, &visitor.site)?);
    match begun {
        Ok(begun) => show_paste(&page, &visitor, &account, Some(begun.url.to_string())),
        Err(error) => Ok(page.done(&visitor, Err(Problem::from(error)), &place(&account))),
    }
}

fn show_paste(page: &Page, visitor: &Visitor, account: &str, url: Option<String>) -> Result<Response, Refusal> {
    let setup = page.setup();
    let (_, provider) = known(&setup, account)?;
    let ends_at = pasted_redirect(provider, &visitor.site)?.to_string();
    let (frame, time) = (page.frame(visitor, "accounts"), spelt(provider.sign_in_timeout));
    Ok(html(&PastePage { frame, account, place: place(account), url, time, ends_at }))
}

fn pasted_redirect(provider: &Provider, site: &Site) -> Result<Url, Refusal> {
    let local = || format!("http://localhost:{}/", site.port).parse();
    provider.redirect_uri.clone().map_or_else(local, Ok).map_err(|error: url::ParseError| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("no address to come back to: {error}"))
    })
}

#[derive(Deserialize)]
struct Pasted {
    url: String,
}

async fn pasted(
    State(page): State<Page>,
    visitor: Visitor,
    Path(account): Path<String>,
    Form(form): Form<Pasted>,
) -> Response {
    let done = match api::finish(&page.control, &form.url).await {
        Ok(SignInFinished { next: Some(url), .. }) => {
            return show_paste(&page, &visitor, &account, Some(url.to_string())).unwrap_or_else(Refusal::into_response);
        }
        done => done.map(|done| done.question.unwrap_or_else(|| format!("{} is signed in", done.account))),
    };
    let to = if done.is_ok() { place(&account) } else { format!("{}/paste", place(&account)) };
    page.done(&visitor, done, &to)
}

#[derive(Template)]
#[template(path = "admin/device.html")]
struct DevicePage<'a> {
    frame: Frame,
    account: &'a str,
    place: String,
    waiting: Option<(DeviceSignIn, Moment)>,
    failed: Option<(String, Option<String>)>,
    done: Option<String>,
}

async fn device(State(page): State<Page>, visitor: Visitor, Path(account): Path<String>) -> Result<Response, Refusal> {
    known(&page.setup(), &account)?;
    let status = page.control.tokens.status().into_iter().find(|status| status.account == account);
    let is_signed_in =
        status.is_some_and(|status| !matches!(status.error, Some(TokenError::SignInNeeded { .. })) || status.question);
    let (mut waiting, mut failed, mut done) = (None, None, None);
    match page.control.tokens.device_sign_in(&account) {
        Some(DeviceProgress::Waiting(sign_in)) => {
            let until = sign_in.expires.into();
            waiting = Some((sign_in, until));
        }
        Some(DeviceProgress::Failed(error)) => failed = Some((error.why(), error.hint().map(str::to_owned))),
        // What was done once may have ended since.
        Some(DeviceProgress::SignedIn(signed_in)) if is_signed_in => {
            done = Some(signed_in.question.unwrap_or_else(|| format!("{account} is signed in.")));
        }
        Some(DeviceProgress::SignedIn(_)) | None => {}
    }
    let frame = page.frame(&visitor, "accounts");
    Ok(html(&DevicePage { frame, account: &account, place: place(&account), waiting, failed, done }))
}

async fn begin_device(State(page): State<Page>, visitor: Visitor, Path(account): Path<String>) -> Response {
    let to = format!("{}/device", place(&account));
    match page.control.tokens.begin_device_sign_in(&account).await {
        Ok(_) => axum::response::Redirect::to(&to).into_response(),
        Err(error) => page.done(&visitor, Err(Problem::from(error)), &place(&account)),
    }
}

/// Leads to the page where an administrator of the tenant lets the app in for everybody. Where the browser cannot come
/// back from there, it is told so first: the consent counts all the same.
async fn consent(State(page): State<Page>, visitor: Visitor, Path(account): Path<String>) -> Result<Response, Refusal> {
    let setup = page.setup();
    let (_, provider) = known(&setup, &account)?;
    let way = WayBack::of(&setup, provider.redirect_uri.as_ref(), &visitor.site);
    if let Some(url) = way.as_ref().and_then(|way| way.elsewhere(&account)) {
        return Err(Refusal::new(
            StatusCode::CONFLICT,
            "the provider can send the browser back to another address alone",
        )
        .hint(format!("open `{url}` and ask for the consent there")));
    }
    let (redirect_uri, comes_back) = match way {
        Some(WayBack::Here(url)) => (url, true),
        _ => (pasted_redirect(provider, &visitor.site)?, false),
    };
    let Some(state) = random() else {
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the system gives no random octets"));
    };
    let url = match page.control.tokens.admin_consent_url(&account, &redirect_uri, &state) {
        Ok(url) => url,
        Err(error) => return Ok(page.done(&visitor, Err(Problem::from(error)), &place(&account))),
    };
    let who = "Sign in there as an administrator of the tenant, and accept.";
    if !comes_back {
        let text = format!(
            "{who} The browser then ends at {redirect_uri}, which may show an error: the consent counts all the same."
        );
        let stays = Some(place(&account));
        return Ok(html(&OnwardPage { to: &provider.name, text, url: url.as_str(), stays }));
    }
    let expected = Expected::consent(&account, &state, redirect_uri.path(), page.control.clock.now());
    let text = format!("{who} Then you come back here by yourself.");
    lead_on(&page, &visitor.site, &expected, &provider.name, text, &url).await
}

/// Whoever signed in is meant, though the mailbox has another name.
async fn confirm(State(page): State<Page>, visitor: Visitor, Path(account): Path<String>) -> Response {
    let done =
        api::confirm(&page.control, &account).await.map(|_| format!("{account} is signed in; its mail goes now"));
    page.done(&visitor, done, &place(&account))
}

async fn forget(State(page): State<Page>, visitor: Visitor, Path(account): Path<String>) -> Response {
    let done = page.control.tokens.forget(&account).await.map_err(Problem::from);
    page.done(&visitor, done.map(|()| format!("the sign-in of {account} is forgotten")), &place(&account))
}

fn place(account: &str) -> String {
    format!("/accounts/{}", segment(account))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::super::tests::setup;
    use super::*;

    #[test]
    fn the_browser_finds_back_where_it_can() {
        let public = "https://mail.contoso.com";
        let vendor = "https://login.microsoftonline.com/common/oauth2/nativeclient";
        let here = |url: &str| WayBack::Here(url.parse().unwrap());
        let paste = |url: &str| WayBack::Paste(url.parse().unwrap());
        let go = WayBack::Public(format!("{public}/").parse().unwrap());
        let table = [
            ("localhost:8025", None, None, here("http://localhost:8025/"), "the common case"),
            ("192.0.2.7:8025", None, None, paste("http://localhost:8025/"), "browsed from another machine"),
            ("192.0.2.7:8025", Some(public), None, go.clone(), "the public name comes first"),
            ("mail.contoso.com", Some(public), None, here("https://mail.contoso.com/callback"), "under it"),
            ("localhost:8025", None, Some(vendor), paste(vendor), "a vendor's own page"),
            (
                "localhost:8025",
                None,
                Some("http://localhost:8025/callback"),
                here("http://localhost:8025/callback"),
                "written, and ours",
            ),
            (
                "localhost:8025",
                None,
                Some("http://localhost/callback"),
                here("http://localhost:8025/callback"),
                "registered for any port",
            ),
            (
                "localhost:8025",
                Some(public),
                Some("https://mail.contoso.com/callback"),
                go.clone(),
                "registered for the public name alone",
            ),
            (
                "localhost:8025",
                None,
                Some("http://127.0.0.1:50993/authorize/"),
                WayBack::Detour("http://127.0.0.1:50993/authorize/".parse().unwrap()),
                "a port of its own, listened on meanwhile",
            ),
            (
                "127.0.0.1:8025",
                None,
                Some("http://127.0.0.1:50993/authorize/"),
                WayBack::Detour("http://127.0.0.1:50993/authorize/".parse().unwrap()),
                "the same, with the page browsed by its address",
            ),
            (
                "192.0.2.7:8025",
                None,
                Some("http://127.0.0.1:50993/authorize/"),
                paste("http://127.0.0.1:50993/authorize/"),
                "a port of another machine than the browser's",
            ),
        ];
        let with_tls = [
            ("localhost:8025", None, None, paste("http://localhost:8025/"), "a port with TLS hears no `http`"),
            ("localhost:8025", Some(public), None, go.clone(), "the public name can be come back to"),
            (
                "localhost:8025",
                None,
                Some("https://localhost:8025/callback"),
                here("https://localhost:8025/callback"),
                "registered as it is",
            ),
        ];
        let rows = table.into_iter().map(|row| (false, row)).chain(with_tls.into_iter().map(|row| (true, row)));
        for (tls, (host, public, redirect, expected, why)) in rows {
            let mut setup = setup();
            setup.page.tls = tls;
            setup.page.public_url = public.map(|url| url.parse().unwrap());
            let redirect: Option<Url> = redirect.map(|url| url.parse().unwrap());
            let headers = HeaderMap::from_iter([(http::header::HOST, HeaderValue::from_static(host))]);
            let site = Site::of(&headers, &setup).unwrap();
            assert_eq!(WayBack::of(&setup, redirect.as_ref(), &site), Some(expected), "{why}");
        }
    }
}
