//! How the answer of a sign-in comes back: by the browser, or pasted.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use url::{Host, Url};

use super::super::report::Report;

/// Where the answer is waited for, as long as the sign-in lasts.
pub(super) struct WayBack {
    /// What the provider is told.
    pub(super) redirect_uri: Url,
    /// Answers that the browser brought; `None`: nobody listens.
    urls: Option<mpsc::Receiver<String>>,
    lines: Lines<BufReader<Stdin>>,
}

impl WayBack {
    /// Listens where the redirect URI leads, if that is on this machine and the answer is not to be pasted.
    pub(super) async fn open(configured: Option<&Url>, paste: bool) -> Result<Self, Report> {
        let lines = BufReader::new(tokio::io::stdin()).lines();
        let own: Url = match configured {
            Some(url) => url.clone(),
            None => "http://localhost/".parse().map_err(|error| Report::new(format!("{error}")))?,
        };
        if !is_loopback(&own) || (paste && own.port().is_some()) {
            return Ok(Self { redirect_uri: own, urls: None, lines });
        }
        let (port, listeners) = loopback(own.port().unwrap_or(0)).await?;
        let mut redirect_uri = own;
        let _only_without_a_host = redirect_uri.set_port(Some(port));
        let urls = (!paste).then(|| serve(listeners, &redirect_uri));
        Ok(Self { redirect_uri, urls, lines })
    }

    /// Whether the browser can bring the answer.
    pub(super) const fn listens(&self) -> bool {
        self.urls.is_some()
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

fn is_loopback(url: &Url) -> bool {
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    is_here && url.scheme() == "http"
}

fn serve(listeners: Vec<TcpListener>, redirect_uri: &Url) -> mpsc::Receiver<String> {
    let (sender, urls) = mpsc::channel(1);
    for listener in listeners {
        let returned = Returned { sender: sender.clone(), redirect_uri: redirect_uri.clone() };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer).with_state(returned)).await });
    }
    urls
}

/// Listens on the loopback addresses alone; browsers differ in which of them `localhost` is.
async fn loopback(port: u16) -> Result<(u16, Vec<TcpListener>), Report> {
    let first = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.and_then(|l| Ok((l.local_addr()?.port(), l)));
    let (port, first) = first.map_err(|error| {
        Report::new(format!("cannot wait for the browser on 127.0.0.1:{port}: {error}"))
            .hint("end the program that has the port, or give the provider another `redirect_uri`")
    })?;
    let mut listeners = vec![first];
    listeners.extend(TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).await);
    Ok((port, listeners))
}

#[derive(Clone)]
struct Returned {
    sender: mpsc::Sender<String>,
    redirect_uri: Url,
}

/// The page at the end of the sign-in. Only a request for the redirect URI's path that carries an answer counts:
/// browsers also ask for icons.
async fn answer(State(returned): State<Returned>, uri: Uri) -> Response {
    let query = uri.query().unwrap_or_default();
    let keys: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).map(|(key, _)| key.into_owned()).collect();
    let is_answer =
        uri.path() == returned.redirect_uri.path() && keys.iter().any(|key| key == "code" || key == "error");
    if !is_answer {
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
