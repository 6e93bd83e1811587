//! What monitoring reads: `/metrics` (OpenMetrics), `/healthz` (does the program answer) and `/readyz` (does it take mail).
//! The configuration says from where without a key.

use std::net::IpAddr;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CONTENT_TYPE, FORWARDED, VIA};
use http::{HeaderMap, StatusCode};

use super::guard::{bearer, foreign_name, too_many, wrong_key};
use super::keys::Checked;
use super::site::{Kind, Site};
use super::{Page, Peer};
use crate::front::admin::{Caller, Control, Problem, Scope, Setup};
use crate::queue::{QueueError, Totals};
use crate::telemetry::{AccountFigures, OPEN_METRICS, Standing};
use crate::token::TokenError;

pub(super) fn routes(page: Page) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .layer(from_fn_with_state(page.clone(), admit))
        .with_state(page)
}

/// Lets those pass that the configuration names, and keys that may read.
async fn admit(
    State(page): State<Page>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let setup = page.setup();
    let Some(site) = Site::of(request.headers(), &setup) else { return foreign_name(true) };
    let Some(key) = bearer(request.headers()) else {
        let direct = !came_through_a_proxy(&site, request.headers());
        return if direct && is_watcher(&setup, peer.ip()) {
            next.run(request).await
        } else {
            refused().into_response()
        };
    };
    match page.inner.keys.key(&setup, peer.ip(), key).await {
        Checked::Right(caller) if caller.may(Scope::Read) => next.run(request).await,
        Checked::Right(Caller::Owner | Caller::Session | Caller::Key { .. }) => may_not().into_response(),
        Checked::Wrong => wrong_key().into_response(),
        Checked::Busy => too_many().into_response(),
    }
}

fn is_watcher(setup: &Setup, peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    setup.page.watch_from.iter().any(|network| network.contains(&peer))
}

/// Behind a proxy on this machine everybody seems to come from loopback.
fn came_through_a_proxy(site: &Site, headers: &HeaderMap) -> bool {
    site.kind == Kind::Public
        || headers.contains_key(FORWARDED)
        || headers.contains_key(VIA)
        || headers.contains_key("x-forwarded-for")
}

fn refused() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "this is not for everybody", None)
        .hint("add the network to `watch_from` in `[admin]`, or send an API key that has the scope `read`")
}

fn may_not() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "this needs the scope `read`", None)
        .hint("give the key that scope in the configuration, or use another key")
}

/// Whether mail is taken now. What is in the way is said in a line.
async fn ready(State(page): State<Page>) -> Response {
    match obstacle(&page.control) {
        None => "ready\n".into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

/// Why no mail is taken now.
fn obstacle(control: &Control) -> Option<String> {
    if control.stopping.is_cancelled() {
        return Some("oxpost is stopping: open messages come to their end, new connections are not taken".to_owned());
    }
    control.queue.check_room().err().map(|error| error.to_string())
}

async fn metrics(State(page): State<Page>) -> Result<Response, Problem> {
    let standing = standing(&page.control).await?;
    let text = page.control.journal.metrics().render(&standing);
    let text = text.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error, None))?;
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}

/// How queue and accounts stand now.
async fn standing(control: &Control) -> Result<Standing, QueueError> {
    let Totals { waiting, held, sending, failed } = control.queue.totals().await?;
    let now = control.clock.now();
    let oldest = control.queue.oldest().await?.map(|at| now.since(at)).unwrap_or_default();
    let accounts = control.tokens.status().into_iter().map(|status| AccountFigures {
        needs_somebody: match &status.error {
            None | Some(TokenError::TryLater { .. }) => false,
            Some(_) => true,
        },
        warnings: status.warnings.len(),
        account: status.account,
    });
    Ok(Standing {
        version: env!("CARGO_PKG_VERSION"),
        accepting: obstacle(control).is_none(),
        messages: vec![("waiting", waiting), ("held", held), ("sending", sending), ("failed", failed)],
        oldest,
        holds: control.queue.holds().await?.len(),
        accounts: accounts.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::setup;
    use super::*;

    #[test]
    fn what_came_through_a_proxy_is_known_by_its_name_or_its_headers() {
        let mut setup = setup();
        setup.page.public_url = Some("https://mail.contoso.com".parse().unwrap());
        let table = [
            ("localhost:8025", None, false, "Prometheus on this machine"),
            ("127.0.0.1:8025", None, false, "by its address"),
            ("mail.contoso.com", None, true, "the public name is a proxy's"),
            ("localhost:8025", Some("forwarded"), true, "a proxy that tells for whom"),
            ("localhost:8025", Some("x-forwarded-for"), true, "as most do"),
            ("localhost:8025", Some("via"), true, "or at least that it is one"),
        ];
        for (host, header, proxied, why) in table {
            let mut headers = HeaderMap::new();
            headers.insert("host", host.parse().unwrap());
            if let Some(header) = header {
                headers.insert(header, "x".parse().unwrap());
            }
            let site = Site::of(&headers, &setup).unwrap();
            assert_eq!(came_through_a_proxy(&site, &headers), proxied, "{why}");
        }
    }
}
