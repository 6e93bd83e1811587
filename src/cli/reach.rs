//! How a command reaches the gateway: over its control socket, or, when none runs, by opening the data folder itself.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{Method, Request, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::Instant;
use tower::ServiceExt;

use super::Report;
use crate::clock::Clock;
use crate::config::Config;
use crate::delivery::Token;
use crate::front::admin::{Problem, ProgramToken, router};
use crate::gateway::{Deliverer, LockError, Parts, SignedIn};
use crate::secret::Secret;
use crate::telemetry::{Journal, Log};
use crate::token::{AccessToken, Purpose, TokenError};

/// The longest answer that is read, in octets.
const MAX_ANSWER: usize = 256 * 1024 * 1024;

/// How long a data folder is waited for that somebody has and nobody answers for: a gateway that starts or stops, or a
/// command that found none.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is asked for meanwhile.
pub(super) const ASK_EVERY: Duration = Duration::from_millis(100);

/// The operations, wherever they are carried out.
pub(super) enum Reach {
    /// By the running gateway.
    Socket(reqwest::Client),
    /// Here: this process owns the data folder as long as the value lives.
    Here(Box<Here>),
}

/// The parts, opened by this process.
pub(super) struct Here {
    router: Router,
    parts: Parts,
    signed_in: SignedIn,
    deliverer: Option<Deliverer>,
}

/// Reads a configuration for a command.
pub(super) fn load(path: &Path) -> Result<Config, Report> {
    Config::load(path, &|name| std::env::var(name).ok()).map_err(|errors| Report::new(errors.to_string()))
}

impl Reach {
    /// Connects to the running gateway, or opens the data folder.
    pub(super) async fn open(config: &Config) -> Result<Self, Report> {
        let (begun, socket) = (Instant::now(), config.control_socket());
        loop {
            match Parts::open(config, Clock::system(), Arc::new(Log)).await {
                Ok(parts) => return Ok(Self::here(config, parts)),
                Err(error) if error.is_lock(LockError::Taken) => {}
                Err(error) => return Err(error.into()),
            }
            if is_open(&socket).await || begun.elapsed() >= PATIENCE {
                let client = reqwest::Client::builder().unix_socket(socket).no_proxy().build();
                let cannot = |error| Report::new(format!("cannot use the control socket: {error}"));
                return client.map(Self::Socket).map_err(cannot);
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    fn here(config: &Config, parts: Parts) -> Self {
        let clock = Clock::system();
        let journal = Journal::new(clock.clone(), Arc::new(Log));
        let control = parts.control(config, clock, journal, None);
        let signed_in = SignedIn::of(&parts);
        Self::Here(Box::new(Here { router: router(control), parts, signed_in, deliverer: None }))
    }

    /// Has this process work on the queue if no gateway does.
    pub(super) fn deliver(&mut self, config: &Config) {
        if let Self::Here(here) = self
            && here.deliverer.is_none()
        {
            here.deliverer = Some(Deliverer::start(&here.parts, config, Clock::system(), Arc::new(Log)));
        }
    }

    /// Whether a gateway is running.
    pub(super) const fn is_running(&self) -> bool {
        matches!(self, Self::Socket(_))
    }

    /// Asks for something.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Report> {
        self.call(Method::GET, path, None::<&()>).await
    }

    /// An access token of an account, for a command that tries it out.
    pub(super) async fn token(&self, account: &str, purpose: Purpose) -> Result<Token, Report> {
        match self {
            Self::Here(here) => {
                let token = here.parts.tokens.access_token(account, purpose).await;
                let AccessToken { secret, expires, generation, .. } = token.map_err(|error| explained(&error))?;
                Ok(Token { secret, expires, generation })
            }
            Self::Socket(_) => {
                let path = format!("/api/v1/accounts/{account}/token?for={}", purpose.word());
                let issued: ProgramToken = self.get(&path).await?;
                let left = Duration::from_secs(issued.token.expires_in);
                let expires = Clock::system().now().plus(left);
                Ok(Token { secret: Secret::new(issued.token.access_token), expires, generation: 0 })
            }
        }
    }

    /// Carries an operation out.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, Report> {
        let octets = match body {
            Some(body) => serde_json::to_vec(body).map_err(|error| Report::new(error.to_string()))?,
            None => Vec::new(),
        };
        let (status, answer) = match self {
            Self::Socket(client) => over_socket(client, method, path, octets).await?,
            Self::Here(here) => in_process(here.router.clone(), method, path, octets).await?,
        };
        if status.is_success() {
            let answer: &[u8] = if answer.is_empty() { b"null" } else { &answer };
            return serde_json::from_slice(answer)
                .map_err(|error| Report::new(format!("the gateway's answer is not understood: {error}")));
        }
        Err(match serde_json::from_slice::<Problem>(&answer) {
            Ok(Problem { detail, hint: Some(hint), .. }) => Report::new(detail).hint(hint),
            Ok(Problem { detail, hint: None, .. }) => Report::new(detail),
            Err(_) => Report::new(format!("the gateway answered {status}: {}", String::from_utf8_lossy(&answer))),
        })
    }

    /// Gives the data folder back.
    pub(super) async fn close(self) {
        if let Self::Here(here) = self {
            if let Some(deliverer) = here.deliverer {
                deliverer.stop().await;
            }
            here.signed_in.release_at_the_end().await;
            here.parts.close().await;
        }
    }
}

/// Whether somebody listens there, or there is another trouble that waiting does not end.
async fn is_open(socket: &Path) -> bool {
    let connected = UnixStream::connect(socket).await;
    !connected.is_err_and(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused))
}

fn explained(error: &TokenError) -> Report {
    let report = Report::new(error.why());
    match error.hint() {
        Some(hint) => report.hint(hint),
        None => report,
    }
}

async fn over_socket(
    client: &reqwest::Client,
    method: Method,
    path: &str,
    octets: Vec<u8>,
) -> Result<(StatusCode, Vec<u8>), Report> {
    let unreachable = |error: reqwest::Error| {
        Report::new(format!(
            "the data folder is in use, but the gateway does not answer on its control socket: {error}"
        ))
        .hint("run the command as the user the gateway runs as")
    };
    let request =
        client.request(method, format!("http://localhost{path}")).header(header::CONTENT_TYPE, "application/json");
    let response = request.body(octets).send().await.map_err(unreachable)?;
    let status = response.status();
    Ok((status, response.bytes().await.map_err(unreachable)?.to_vec()))
}

async fn in_process(
    router: Router,
    method: Method,
    path: &str,
    octets: Vec<u8>,
) -> Result<(StatusCode, Vec<u8>), Report> {
    let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
    let request = request.body(Body::from(octets)).map_err(|error| Report::new(error.to_string()))?;
    let response = router.oneshot(request).await.unwrap_or_else(|never| match never {});
    let status = response.status();
    let octets = to_bytes(response.into_body(), MAX_ANSWER).await.map_err(|error| Report::new(error.to_string()))?;
    Ok((status, octets.to_vec()))
}
