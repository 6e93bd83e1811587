//! The administrator's page: rendered here, without a script from elsewhere, usable without any. The API is served on
//! the same port, for the page's session and for programs with a key.

mod accounts;
mod answer;
mod assets;
mod certificate;
mod chart;
mod detour;
mod entry;
mod events;
mod forwarded;
mod guard;
mod keys;
mod listener;
mod messages;
mod onward;
mod overview;
mod people;
mod reading;
mod sessions;
mod sign_in;
mod site;
#[cfg(test)]
pub(super) mod tests;
mod view;
mod watch;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{Method, StatusCode, header};

use self::answer::Returns;
use self::detour::Detours;
use self::keys::Keys;
pub use self::listener::{Peer, serve};
pub use self::sessions::Links;
use self::sessions::Sessions;
use super::{Control, Setup, api};

/// Octets of a request's body: forms and small JSON.
const MAX_BODY: usize = 64 * 1024;

/// What all requests share.
#[derive(Clone)]
struct Page {
    control: Control,
    inner: Arc<Inner>,
}

struct Inner {
    sessions: Sessions,
    returns: Returns,
    detours: Detours,
    keys: Keys,
}

impl Page {
    fn setup(&self) -> Arc<Setup> {
        self.control.setup.load_full()
    }
}

/// The page and the API as they are served on the page's port; every request comes with the [`Peer`] it is from.
pub fn page(control: Control) -> Router {
    let clock = control.clock.clone();
    let inner = Inner {
        sessions: Sessions::new(clock.clone()),
        returns: Returns::new(clock.clone()),
        detours: Detours::default(),
        keys: Keys::new(clock),
    };
    let page = Page { control: control.clone(), inner: Arc::new(inner) };
    let pages = Router::new()
        .merge(entry::routes())
        .merge(overview::routes())
        .merge(accounts::routes())
        .merge(sign_in::routes())
        .merge(messages::routes())
        .merge(events::routes())
        .merge(people::routes())
        .merge(reading::routes())
        .route("/logout", post(entry::leave))
        .route("/certificate", get(certificate::download))
        .route(answer::CALLBACK, get(answer::returned))
        .fallback(view::no_such_page)
        .with_state(page.clone());
    pages
        .merge(api::routes(control))
        .layer(from_fn_with_state(page.clone(), guard::guard))
        .merge(assets::routes())
        .merge(watch::routes(page))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn(limit))
        .layer(from_fn(guard::harden))
}

/// Refuses large bodies, but for mail: that is taken piece by piece, and has limits of its own.
async fn limit(request: Request, next: Next) -> Response {
    if request.method() == Method::POST && request.uri().path() == api::MAIL {
        return next.run(request).await;
    }
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: usize| length > MAX_BODY) {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    }
    next.run(request).await
}
