//! `oxpost serve`: the gateway, until it is told to stop.

use std::path::Path;
use std::sync::Arc;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use super::Report;
use super::reach::{ASK_EVERY, PATIENCE, load};
use crate::clock::Clock;
use crate::config::Config;
use crate::gateway::{Gateway, LockError, OpenError, StartError};
use crate::telemetry::{self, Log};
use crate::unix;

/// Threads for the gateway's work; disk and password work has its own.
const MAX_WORKERS: usize = 8;

/// Runs the gateway until SIGTERM or SIGINT; SIGHUP reads the configuration again.
pub(super) fn run(path: &Path) -> Result<(), Report> {
    let config = load(path)?;
    let _logging = telemetry::start(config.log.format.into(), config.log.level.as_str()).map_err(cannot_start)?;
    unix::raise_descriptor_limit();
    let workers = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, MAX_WORKERS);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    let runtime = runtime.map_err(cannot_start)?;
    runtime.block_on(async {
        let mut signals = Signals::new()?;
        tell_of_network(&config);
        let Some(gateway) = start(config, &mut signals.stop).await? else { return Ok(()) };
        for address in gateway.addresses() {
            tracing::info!(%address, "listening for SMTP");
        }
        tracing::info!(version = env!("CARGO_PKG_VERSION"), config = %path.display(), "ready");
        notify_system(&[NotifyState::Ready]);
        while let Some(()) = signals.reload_or_stop().await {
            reload(&gateway).await;
        }
        notify_system(&[NotifyState::Stopping]);
        tracing::info!("stopping: open messages come to their end, the rest stays in the queue");
        tokio::select! {
            () = gateway.stop() => tracing::info!("stopped"),
            () = signals.stop.recv() => tracing::warn!("told to stop twice: stopping at once; nothing that was accepted is lost"),
        }
        Ok(())
    })
}

/// `None`: told to stop before it had the data folder.
async fn start(config: Config, stop: &mut Stop) -> Result<Option<Gateway>, StartError> {
    let begun = Instant::now();
    let mut is_told = false;
    loop {
        match Gateway::start(config.clone(), Clock::system(), Arc::new(Log)).await {
            Err(StartError::Open(error)) if error.is_lock(LockError::Taken) && begun.elapsed() < PATIENCE => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!(why = %error, patience = ?PATIENCE, "waiting for the data folder");
                }
            }
            started => return started.map(Some),
        }
        tokio::select! {
            () = tokio::time::sleep(ASK_EVERY) => {}
            () = stop.recv() => {
                tracing::info!("stopped");
                return Ok(None);
            }
        }
    }
}

/// Says how connections leave, where that is not plain.
fn tell_of_network(config: &Config) {
    if let Some(proxy) = &config.network.proxy {
        tracing::info!(proxy = proxy.name(), "outgoing connections go through a proxy");
    }
    if let Some(variable) = config.network.ignored {
        let hint = "write `proxy = \"environment\"` or `proxy = \"none\"` into `[network]`";
        tracing::warn!(variable, hint, "the environment names a proxy, and nothing goes through it");
    }
}

fn cannot_start(error: std::io::Error) -> Report {
    Report::new(format!("cannot start: {error}"))
}

async fn reload(gateway: &Gateway) {
    let Some(reload) = gateway.control().reload else { return };
    match reload().await {
        Ok(text) => tracing::info!("{text}"),
        Err(error) => tracing::error!(%error, "the configuration was not reloaded; the old one stays in use"),
    }
}

struct Signals {
    stop: Stop,
    reload: Signal,
}

struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Report> {
        let of = |kind| signal(kind).map_err(|error| Report::new(format!("cannot listen to signals: {error}")));
        let stop = Stop { terminate: of(SignalKind::terminate())?, interrupt: of(SignalKind::interrupt())? };
        Ok(Self { stop, reload: of(SignalKind::hangup())? })
    }

    /// `Some` to read the configuration again, `None` to stop.
    async fn reload_or_stop(&mut self) -> Option<()> {
        tokio::select! {
            _ = self.reload.recv() => Some(()),
            () = self.stop.recv() => None,
        }
    }
}

impl Stop {
    async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Tells systemd; without it nothing happens.
fn notify_system(states: &[NotifyState<'_>]) {
    let _no_systemd = sd_notify::notify(states);
}

impl From<StartError> for Report {
    fn from(error: StartError) -> Self {
        let hint = match &error {
            StartError::Listen { cause, .. } if cause.kind() == std::io::ErrorKind::AddrInUse => {
                Some("another program has the port: end it, or choose another port in `[[listener]]`")
            }
            StartError::Listen { cause, .. } if cause.kind() == std::io::ErrorKind::PermissionDenied => Some(
                "ports below 1024 need the right CAP_NET_BIND_SERVICE (the systemd unit gives it), or choose a higher port",
            ),
            StartError::Open(_)
            | StartError::Listen { .. }
            | StartError::Control { .. }
            | StartError::Certificate(_)
            | StartError::Password(_) => None,
        };
        match (hint, error) {
            (Some(hint), error) => Self::new(error.to_string()).hint(hint),
            (None, StartError::Open(error)) => error.into(),
            (None, error) => Self::new(error.to_string()),
        }
    }
}

impl From<OpenError> for Report {
    fn from(error: OpenError) -> Self {
        let hint = match &error {
            OpenError::Taken(_) => {
                "one process owns a data folder: stop the other one, or give this one another `data`"
            }
            OpenError::Folder { .. } => {
                "make the folder writable for the user oxpost runs as, or set `data` to another one"
            }
            OpenError::Store(_)
            | OpenError::Queue(_)
            | OpenError::Tokens(_)
            | OpenError::Key(_)
            | OpenError::Http(_)
            | OpenError::Connector(_) => {
                return Self::new(error.to_string());
            }
        };
        Self::new(error.to_string()).hint(hint)
    }
}
