//! `oxpost login`: signs an account in by authorization code with PKCE (RFC 7636, RFC 8252).

use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use clap::Args;
use http::Method;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use url::{Host, Url};

use super::block_on;
use super::reach::{Reach, load};
use super::report::{Report, say};
use crate::config::Config;
use crate::front::admin::{FinishSignIn, SignInBegun, SignInFinished};
use crate::token::Provider;

#[derive(Args, Debug)]
pub(super) struct LoginArguments {
    /// The account's name in the configuration.
    account: String,
    /// Do not open a browser; only print the address.
    #[arg(long)]
    no_browser: bool,
}

/// Signs an account in.
pub(super) fn run(config: &Path, arguments: &LoginArguments) -> Result<(), Report> {
    let config = load(config)?;
    block_on(async {
        let reach = Reach::open(&config).await?;
        let done = sign_in(&reach, &config, arguments).await;
        reach.close().await;
        done
    })
}

async fn sign_in(reach: &Reach, config: &Config, arguments: &LoginArguments) -> Result<(), Report> {
    let account = &arguments.account;
    let provider = provider_of(config, account).ok_or_else(|| unknown_account(config, account))?;
    let (redirect_uri, listeners) = way_back(provider.redirect_uri.as_ref()).await?;
    let begin = serde_json::json!({ "redirect_uri": redirect_uri });
    let begun: SignInBegun =
        reach.call(Method::POST, &format!("/api/v1/accounts/{account}/sign-in"), Some(&begin)).await?;

    say(format_args!("Sign in as the mailbox of account `{account}` at:\n\n{}\n", begun.url));
    if listeners.is_empty() {
        say("Then paste the address the browser ends at here, and press Enter:");
    } else {
        if !arguments.no_browser {
            open_browser(&begun.url);
        }
        say(
            "Waiting for the browser. If it runs on another machine, paste the address it ends at here, and press Enter:",
        );
    }
    let patience = provider.sign_in_timeout;
    let url = tokio::time::timeout(patience, returned_url(listeners, redirect_uri)).await.map_err(|_| {
        Report::new(format!("nobody signed in within {} s", patience.as_secs()))
            .hint(format!("run `oxpost login {account}` again; `sign_in_timeout` of the provider gives more time"))
    })??;
    let done: SignInFinished = reach.call(Method::POST, "/api/v1/sign-in", Some(&FinishSignIn { url })).await?;
    let name = done.name.map(|name| format!(" as {name}")).unwrap_or_default();
    say(format_args!("account `{}` is signed in{name}", done.account));
    if done.released > 0 {
        say("mail that was held for it goes now");
    }
    Ok(())
}

fn provider_of<'a>(config: &'a Config, account: &str) -> Option<&'a Provider> {
    let account = config.token.accounts.iter().find(|known| known.name == account)?;
    config.token.providers.iter().find(|provider| provider.name == account.provider)
}

fn unknown_account(config: &Config, account: &str) -> Report {
    let known: Vec<_> = config.token.accounts.iter().map(|a| a.name.as_str()).collect();
    Report::new(format!("no account `{account}` that can be signed in"))
        .hint(format!("the configuration has: {}", known.join(", ")))
}

/// The redirect URI and the sockets that wait for it. Without sockets the address is pasted by hand.
async fn way_back(configured: Option<&Url>) -> Result<(Url, Vec<TcpListener>), Report> {
    let Some(url) = configured else {
        let (port, listeners) = loopback(0).await?;
        let url = format!("http://localhost:{port}/").parse().map_err(|error| Report::new(format!("{error}")))?;
        return Ok((url, listeners));
    };
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.port() {
        Some(port) if is_loopback && url.scheme() == "http" => Ok((url.clone(), loopback(port).await?.1)),
        _ => Ok((url.clone(), Vec::new())),
    }
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

/// Whichever comes first: the browser's request, or a pasted line.
async fn returned_url(listeners: Vec<TcpListener>, redirect_uri: Url) -> Result<String, Report> {
    let (sender, mut urls) = mpsc::channel(1);
    let waits_for_browser = !listeners.is_empty();
    for listener in listeners {
        let returned = Returned { sender: sender.clone(), redirect_uri: redirect_uri.clone() };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer).with_state(returned)).await });
    }
    drop(sender);
    tokio::select! {
        url = urls.recv(), if waits_for_browser => url.ok_or_else(|| Report::new("the listener for the browser failed")),
        line = pasted(waits_for_browser) => line,
    }
}

/// A line from standard input. At its end: wait on for the browser, if one is waited for.
async fn pasted(waits_for_browser: bool) -> Result<String, Report> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        match lines.next_line().await {
            Ok(Some(line)) if line.trim().is_empty() => {}
            Ok(Some(line)) => return Ok(line.trim().to_owned()),
            _ if waits_for_browser => std::future::pending().await,
            _ => return Err(Report::new("no address was pasted").hint("run the command in a terminal")),
        }
    }
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

/// Opens the browser if there is a desktop; whether it worked shows by itself.
fn open_browser(url: &Url) {
    let has_desktop = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if has_desktop {
        let command = Command::new("xdg-open")
            .arg(url.as_str())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        if command.is_err() {
            let _closed =
                writeln!(std::io::stderr(), "no browser could be opened (xdg-open); open the address by hand");
        }
    }
}
