//! How the answer of a sign-in comes back: by the browser, or pasted.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use url::Url;

use super::super::report::Report;
use crate::http::is_loopback;
use crate::net::listen_on_loopback;

/// Where the answer is waited for, as long as the sign-in lasts.
pub(super) struct WayBack {
    /// What the provider is told.
    pub(super) redirect_uri: Url,
    /// Answers that the browser brought; `None`: nobody listens.
    urls: Option<mpsc::Receiver<String>>,
    /// The `state` of the page that is open; `None` before the first.
    state: watch::Sender<Option<String>>,
    lines: Lines<BufReader<Stdin>>,
}

impl WayBack {
    /// Listens where the redirect URI leads, if that is on this machine and the answer is not to be pasted.
    pub(super) async fn open(configured: Option<&Url>, paste: bool) -> Result<Self, Report> {
        let lines = BufReader::new(tokio::io::stdin()).lines();
        let (state, waited_for) = watch::channel(None);
        let own: Url = match configured {
            Some(url) => url.clone(),
            None => "http://localhost/".parse().map_err(|error| Report::new(format!("{error}")))?,
        };
        if !(own.scheme() == "http" && is_loopback(&own)) || (paste && own.port().is_some()) {
            return Ok(Self { redirect_uri: own, urls: None, state, lines });
        }
        let wanted = own.port().unwrap_or(0);
        let (port, listeners) = listen_on_loopback(wanted).await.map_err(|error| {
            Report::new(format!("cannot wait for the browser on 127.0.0.1:{wanted}: {error}"))
                .hint("end the program that has the port, or give the provider another `redirect_uri`")
        })?;
        let mut redirect_uri = own;
        let _only_without_a_host = redirect_uri.set_port(Some(port));
        let urls = (!paste).then(|| serve(listeners, &redirect_uri, &waited_for));
        Ok(Self { redirect_uri, urls, state, lines })
    }

    /// Whether the browser can bring the answer.
    pub(super) const fn listens(&self) -> bool {
        self.urls.is_some()
    }

    /// From now on the answer to this page is waited for.
    pub(super) fn expect(&self, page: &Url) {
        let state = page.query_pairs().find(|(name, _)| name == "state").map(|(_, state)| state.into_owned());
        self.state.send_replace(state);
    }

    /// Whichever comes first: the browser's request, or a pasted line.
    pub(super) async fn url(&mut self) -> Result<String, Report> {
        let Some(urls) = &mut self.urls else { return pasted(&mut self.lines, false).await };
        tokio::select! {
            url = urls.recv() => url.ok_or_else(|| Report::new("the listener for the browser failed")),
            line = pasted(&mut self.lines, true) => line,
        }
    }

    /// A yes or no; no if nobody is there.
    pub(super) async fn agrees(&mut self) -> bool {
        let line = self.lines.next_line().await.ok().flatten().unwrap_or_default();
        matches!(line.trim().to_lowercase().as_str(), "y" | "yes")
    }
}

/// A line from standard input. At its end: wait on for the browser, if one is waited for.
async fn pasted(lines: &mut Lines<BufReader<Stdin>>, waits_for_browser: bool) -> Result<String, Report> {
    loop {
        match lines.next_line().await {
            Ok(Some(line)) if line.trim().is_empty() => {}
            Ok(Some(line)) => return Ok(line.trim().to_owned()),
            _ if waits_for_browser => std::future::pending().await,
            _ => return Err(Report::new("no address was pasted").hint("run the command in a terminal")),
        }
    }
}

fn serve(
    listeners: Vec<TcpListener>,
    redirect_uri: &Url,
    state: &watch::Receiver<Option<String>>,
) -> mpsc::Receiver<String> {
    let (sender, urls) = mpsc::channel(1);
    for listener in listeners {
        let returned = Returned { sender: sender.clone(), redirect_uri: redirect_uri.clone(), state: state.clone() };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer).with_state(returned)).await });
    }
    urls
}

#[derive(Clone)]
struct Returned {
    sender: mpsc::Sender<String>,
    redirect_uri: Url,
    state: watch::Receiver<Option<String>>,
}

/// The page at the end of the sign-in. Only a request for the redirect URI's path that carries an answer to the page
/// that is open counts: browsers also ask for icons, and other pages may send them here with an answer of their own,
/// which must not end the wait.
async fn answer(State(returned): State<Returned>, uri: Uri) -> Response {
    let query = uri.query().unwrap_or_default();
    let fields: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
    let is_answer =
        uri.path() == returned.redirect_uri.path() && fields.iter().any(|(key, _)| key == "code" || key == "error");
    let states: Vec<_> = fields.iter().filter(|(key, _)| key == "state").map(|(_, state)| &**state).collect();
    let is_ours = returned.state.borrow().as_deref().is_some_and(|state| states == [state]);
    if !(is_answer && is_ours) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let mut url = returned.redirect_uri.clone();
    url.set_query(Some(query));
    let _second_answer = returned.sender.try_send(url.into());
    let page = Html(
        "<!doctype html><title>oxpost</title><p>The answer has reached oxpost. You may close this window; the result is in the terminal.</p>",
    );
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
        (header::CONNECTION, "close"),
    ];
    (headers, page).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_counts_if_it_is_to_the_page_that_is_open() {
        let (sender, mut urls) = mpsc::channel(8);
        let (waits_for, state) = watch::channel(None);
        let returned = Returned { sender, redirect_uri: "http://localhost:1/back".parse().unwrap(), state };
        let ask = |uri: &'static str| answer(State(returned.clone()), Uri::from_static(uri));
        assert_eq!(ask("/back?code=c&state=one").await.status(), StatusCode::NOT_FOUND, "no page is open yet");
        waits_for.send_replace(Some("one".to_owned()));
        let table = [
            ("/back?code=c&state=one", true, "the answer"),
            ("/back?error=access_denied&state=one", true, "a refusal is one, too"),
            ("/back?code=c&state=two", false, "to another page"),
            ("/back?code=c", false, "to no page"),
            ("/back?code=c&state=", false, "an empty state"),
            ("/back?code=c&state=two&state=one", false, "twice"),
            ("/back?state=one", false, "without an answer"),
            ("/favicon.ico?code=c&state=one", false, "to another place"),
        ];
        for (uri, counts, why) in table {
            assert_eq!(ask(uri).await.status().is_success(), counts, "{why}");
            let brought = urls.try_recv().ok();
            assert_eq!(brought.as_deref(), counts.then_some(&*format!("http://localhost:1{uri}")), "{why}");
        }
        waits_for.send_replace(Some("two".to_owned()));
        assert!(!ask("/back?code=c&state=one").await.status().is_success(), "the page before is over");
    }
}
