//! Apps that are registered with a port of their own, such as `http://127.0.0.1:50993/authorize/`: while an answer is
//! awaited there, that port is listened on, and the browser is sent on to the page, which judges the answer.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY};
use http::{HeaderValue, StatusCode};
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::net::listen_on_loopback;

/// The ports that are listened on now.
#[derive(Default)]
pub(super) struct Detours {
    open: Mutex<HashMap<u16, Open>>,
}

struct Open {
    end: CancellationToken,
    task: JoinHandle<()>,
}

impl Detours {
    /// Listens at `redirect_uri` for as long as `patience` and sends whoever comes to `callback`, the query with them.
    /// One that is open at that port ends: whoever begins anew looks at the newest page.
    ///
    /// # Errors
    /// The port cannot be had.
    pub(super) async fn open(&self, redirect_uri: &Url, callback: &str, patience: Duration) -> io::Result<()> {
        let port = redirect_uri.port_or_known_default().unwrap_or(80);
        let mut open = self.open.lock().await;
        if let Some(before) = open.remove(&port) {
            before.end.cancel();
            let _ended = before.task.await;
        }
        open.retain(|_, open| !open.task.is_finished());
        let (_, listeners) = listen_on_loopback(port).await?;
        let onward = Router::new().route(redirect_uri.path(), get(send_on)).with_state(callback.to_owned());
        let mut servers = JoinSet::new();
        for listener in listeners {
            let onward = onward.clone();
            servers.spawn(async move { axum::serve(listener, onward).await });
        }
        let end = CancellationToken::new();
        let ended = end.clone();
        let task = tokio::spawn(async move {
            let _first = timeout(patience, ended.run_until_cancelled(servers.join_next())).await;
            // The port is free again once they are gone.
            servers.shutdown().await;
        });
        open.insert(port, Open { end, task });
        Ok(())
    }
}

async fn send_on(State(callback): State<String>, RawQuery(query): RawQuery) -> Response {
    let Some(query) = query else { return StatusCode::NOT_FOUND.into_response() };
    let Ok(place) = HeaderValue::from_str(&format!("{callback}?{query}")) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let never = [
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (StatusCode::FOUND, [(LOCATION, place)], never).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLBACK: &str = "http://localhost:8025/callback";

    /// A `redirect_uri` with a port that is free, the first from `first` on: below those that the system gives to
    /// outgoing connections.
    async fn free(first: u16) -> Url {
        let mut port = first;
        while listen_on_loopback(port).await.is_err() {
            port += 1;
        }
        format!("http://127.0.0.1:{port}/authorize/").parse().unwrap()
    }

    async fn ask(url: &Url, rest: &str) -> Option<(u16, Option<String>)> {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        let answer = client.get(url.join(rest).unwrap()).send().await.ok()?;
        let place = answer.headers().get(LOCATION).map(|place| place.to_str().unwrap().to_owned());
        Some((answer.status().as_u16(), place))
    }

    #[tokio::test]
    async fn who_comes_with_an_answer_is_sent_on_to_the_page() {
        let (detours, url) = (Detours::default(), free(9_000).await);
        detours.open(&url, CALLBACK, Duration::from_secs(60)).await.unwrap();
        let table = [
            ("?code=a%2Fb&state=s", 302, Some("http://localhost:8025/callback?code=a%2Fb&state=s"), "the answer"),
            (
                "?error=access_denied&state=s",
                302,
                Some("http://localhost:8025/callback?error=access_denied&state=s"),
                "a refusal",
            ),
            ("", 404, None, "somebody who brings nothing"),
            ("/favicon.ico", 404, None, "a browser's own wish"),
        ];
        for (rest, status, place, why) in table {
            assert_eq!(ask(&url, rest).await, Some((status, place.map(str::to_owned))), "{why}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_newest_sign_in_has_the_port_and_it_is_given_back() {
        let (detours, url) = (Detours::default(), free(10_000).await);
        for _ in 0..20 {
            detours.open(&url, "http://old.test/callback", Duration::from_secs(60)).await.unwrap();
        }
        detours.open(&url, CALLBACK, Duration::from_secs(60)).await.unwrap();
        assert_eq!(ask(&url, "?code=1").await.unwrap().1.unwrap(), format!("{CALLBACK}?code=1"));
        detours.open(&url, CALLBACK, Duration::ZERO).await.unwrap();
        let task = detours.open.lock().await.remove(&url.port().unwrap()).unwrap();
        task.task.await.unwrap();
        assert_eq!(ask(&url, "?code=1").await, None, "nobody listens any more");
    }

    #[tokio::test]
    async fn a_port_that_another_program_has_is_an_error() {
        let (port, _held) = listen_on_loopback(0).await.unwrap();
        let url: Url = format!("http://127.0.0.1:{port}/").parse().unwrap();
        let error = Detours::default().open(&url, CALLBACK, Duration::from_secs(60)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
