//! How a command reaches the gateway: over its control socket, or, when none runs, by opening the data folder itself.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{Method, Request, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower::ServiceExt;

use super::Report;
use crate::clock::Clock;
use crate::config::Config;
use crate::front::admin::{Control, Problem, router};
use crate::front::reading::ReadingSessions;
use crate::gateway::{LockError, Parts};
use crate::telemetry::Log;

/// The longest answer that is read, in octets.
const MAX_ANSWER: usize = 256 * 1024 * 1024;

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
}

/// Reads a configuration for a command.
pub(super) fn load(path: &Path) -> Result<Config, Report> {
    Config::load(path, &|name| std::env::var(name).ok()).map_err(|errors| Report::new(errors.to_string()))
}

impl Reach {
    /// Connects to the running gateway, or opens the data folder.
    pub(super) async fn open(config: &Config) -> Result<Self, Report> {
        match Parts::open(config, Clock::system(), Arc::new(Log)).await {
            Ok(parts) => {
                let control = Control {
                    queue: parts.queue.clone(),
                    tokens: parts.tokens.clone(),
                    reading: ReadingSessions::default(),
                    reload: None,
                };
                Ok(Self::Here(Box::new(Here { router: router(control), parts })))
            }
            Err(error) if error.is_lock(LockError::Taken) => {
                let client = reqwest::Client::builder().unix_socket(config.control_socket()).no_proxy().build();
                client.map(Self::Socket).map_err(|error| Report::new(format!("cannot use the control socket: {error}")))
            }
            Err(error) => Err(error.into()),
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
            here.parts.close().await;
        }
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
