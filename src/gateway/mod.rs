//! The wiring: settings in, running parts out; start, reload, drain.

mod alarm;
mod backup;
mod control;
mod deliverer;
mod page;
mod parts;
mod signed_in;
mod ways;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::backup::{BackupError, backup};
pub use self::deliverer::Deliverer;
pub use self::parts::{LockError, OpenError, Parts};
pub use self::signed_in::SignedIn;
use crate::account::password::{HashError, Passwords};
use crate::clock::Clock;
use crate::config::Config;
use crate::delivery::carrier::Carrier;
use crate::delivery::inbox::Watcher;
use crate::delivery::worker::Worker;
use crate::front::ListenerTls;
use crate::front::admin::{Control, Reload, router};
use crate::front::reading::{self, Pauses, Reading, ReadingSessions};
use crate::front::submission::{Door, Programs, Rules, Submission};
use crate::mail::Observer;
use crate::net::certificate::{CertificateError, Files};
use crate::net::tls::TlsSettings;
use crate::net::{ServerTls, listen};
use crate::telemetry::Journal;

/// How long open sessions get to end when the program stops; clients that wait longer send again.
const DRAIN: Duration = Duration::from_secs(30);

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A listener's address.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        cause: io::Error,
    },
    /// The control socket.
    #[error("cannot open the control socket `{path}`: {cause}")]
    Control {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// Certificates.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Password checking.
    #[error(transparent)]
    Password(#[from] HashError),
}

/// A running gateway.
pub struct Gateway {
    parts: Parts,
    control: Control,
    /// Ends listeners and idle sessions.
    stop_front: CancellationToken,
    /// Ends lanes once the front is quiet.
    stop_delivery: CancellationToken,
    sessions: TaskTracker,
    tasks: TaskTracker,
    worker: tokio::task::JoinHandle<()>,
    addresses: Vec<SocketAddr>,
    control_socket: PathBuf,
}

/// What a reload swaps.
struct Running {
    submission: Arc<Submission>,
    reading: Arc<Reading>,
    carrier: Arc<Carrier>,
    watcher: Arc<Watcher>,
    config: ArcSwap<Config>,
    clock: Clock,
    wiring: ways::Wiring,
    tls: Option<ServerTls>,
    shown: page::Shown,
}

impl Gateway {
    /// Opens the data folder, binds every listener, and only then serves: a gateway that starts, started whole.
    pub async fn start(config: Config, clock: Clock, observer: Arc<dyn Observer>) -> Result<Self, StartError> {
        let started = clock.now();
        let (observer, notices) = alarm::Alarm::around(observer);
        let journal = Journal::new(clock.clone(), observer);
        let observer: Arc<dyn Observer> = Arc::new(journal.clone());
        let parts = Parts::open(&config, clock.clone(), Arc::clone(&observer)).await?;
        let tls = open_tls(&config, &clock)?;
        let control_socket = config.control_socket();
        // Before the listeners: who finds one open may give commands.
        let commands = bind_control(&control_socket)?;
        let doors = bind_all(&config)?;
        let page_sockets = page::bind(&config.page)?;

        let mut control = parts.control(&config, clock.clone(), journal, None);
        let shared = (tls.clone(), page::Shown::new(&control, &page_sockets), control.reading.clone());
        let running = Running::wire(&parts, config, clock, observer, shared)?;
        let running = Arc::new(running);
        control.reload = Some(running.reloader(&parts));
        control.programs = Some(Programs::new(Arc::clone(&running.submission)));
        let (stop_front, stop_delivery) = (control.stopping.clone(), CancellationToken::new());
        let (sessions, tasks) = (TaskTracker::new(), TaskTracker::new());
        let addresses = doors.iter().filter_map(|(_, socket)| socket.local_addr().ok()).collect();
        for (settings, socket) in doors {
            let tls = tls.clone().filter(|_| settings.tls != ListenerTls::None);
            let (stopping, sessions) = (stop_front.clone(), sessions.clone());
            if let Some(protocol) = settings.protocol.reading() {
                let door = reading::Door::new(Arc::clone(&running.reading), protocol, settings, tls);
                tasks.spawn(Arc::new(door).serve(socket, stopping, sessions));
            } else {
                let door = Door::new(Arc::clone(&running.submission), settings, tls);
                tasks.spawn(Arc::new(door).serve(socket, stopping, sessions));
            }
        }
        page::start(page_sockets, &control, tls.as_ref(), &tasks, &stop_delivery);
        tasks.spawn(until(stop_delivery.clone(), control::remember_the_day(control.clone(), started)));
        if let Some(tls) = tls {
            tasks.spawn(until(stop_front.clone(), tls.watch()));
        }
        tasks.spawn(until(stop_delivery.clone(), parts.tokens.clone().renew_in_background(stop_delivery.clone())));
        tasks.spawn(until(stop_delivery.clone(), SignedIn::of(&parts).release()));
        let sending = alarm::run(notices, Arc::clone(&running), parts.queue.clone(), parts.http.clone());
        tasks.spawn(until(stop_delivery.clone(), sending));
        tasks.spawn(until(stop_delivery.clone(), Arc::clone(&running.watcher).run()));
        let router = router(control.clone());
        tasks.spawn(until(stop_delivery.clone(), async move {
            if let Err(error) = axum::serve(commands, router).await {
                tracing::error!(%error, "the control socket failed");
            }
        }));
        let worker = Worker::new(
            parts.queue.clone(),
            Arc::clone(&running.carrier),
            running.clock.clone(),
            stop_delivery.clone(),
        );
        let worker = tokio::spawn(worker.run());
        Ok(Self { parts, control, stop_front, stop_delivery, sessions, tasks, worker, addresses, control_socket })
    }

    /// Where the listeners really listen, in the configuration's order.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The operations administrators may use.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Stops: no new connections, idle sessions get 421, the others end their message; open attempts come to their
    /// end; what is left lies in the queue.
    pub async fn stop(self) {
        self.stop_front.cancel();
        self.sessions.close();
        if tokio::time::timeout(DRAIN, self.sessions.wait()).await.is_err() {
            tracing::warn!(
                open = self.sessions.len(),
                "sessions did not end in time and are cut off; their clients send again"
            );
        }
        self.stop_delivery.cancel();
        if self.worker.await.is_err() {
            tracing::error!("the worker failed; its open attempts count as unknown after the next start");
        }
        self.tasks.close();
        self.tasks.wait().await;
        let _gone = std::fs::remove_file(&self.control_socket);
        self.parts.close().await;
    }
}

impl Running {
    fn wire(
        parts: &Parts,
        config: Config,
        clock: Clock,
        observer: Arc<dyn Observer>,
        (tls, shown, reading): (Option<ServerTls>, page::Shown, ReadingSessions),
    ) -> Result<Self, StartError> {
        let wiring = ways::Wiring::new(parts);
        let hostname = config.submission.hostname.clone();
        let ways = wiring.ways(&config);
        let carrier = Carrier::new(parts.queue.clone(), ways, clock.clone(), Arc::clone(&observer), hostname.clone());
        let (rules, reading_rules) = rules(&config, &clock)?;
        let reading = Reading {
            rules: ArcSwap::from_pointee(reading_rules),
            tokens: parts.tokens.clone(),
            connector: parts.connector.clone(),
            sessions: reading,
            observer: Arc::clone(&observer),
            clock: clock.clone(),
            pauses: Pauses::default(),
        };
        let submission = Submission {
            hostname,
            queue: parts.queue.clone(),
            rules: ArcSwap::from_pointee(rules),
            observer,
            clock: clock.clone(),
        };
        let watcher = Arc::new(Watcher::new(wiring.watch(parts, &clock), &config.delivery));
        let config = ArcSwap::from_pointee(config);
        let (submission, reading) = (Arc::new(submission), Arc::new(reading));
        Ok(Self { submission, reading, carrier: Arc::new(carrier), watcher, config, clock, wiring, tls, shown })
    }

    fn reloader(self: &Arc<Self>, parts: &Parts) -> Reload {
        let (this, queue) = (Arc::clone(self), parts.queue.clone());
        let (tokens, directory) = (parts.tokens.clone(), parts.directory.clone());
        Arc::new(move || {
            let (this, queue) = (Arc::clone(&this), queue.clone());
            let (tokens, directory) = (tokens.clone(), directory.clone());
            Box::pin(async move {
                let old = this.config.load_full();
                let new =
                    Config::load(&old.file, &|name| std::env::var(name).ok()).map_err(|errors| errors.to_string())?;
                let (rules, reading_rules) = rules(&new, &this.clock).map_err(|error| error.to_string())?;
                if let Some(tls) = &this.tls {
                    tls.reload().map_err(|error| error.to_string())?;
                }
                let restart = needs_restart(&old, &new);
                this.submission.rules.store(Arc::new(rules));
                this.reading.replace(reading_rules);
                this.carrier.replace(this.wiring.ways(&new));
                this.watcher.replace(&new.delivery);
                tokens.reload(new.token.clone());
                directory.reload(new.directory.clone());
                this.shown.swap(control::setup(&new));
                this.config.store(Arc::new(new));
                // What a hold waits for may have been mended.
                if let Err(error) = queue.probe_now().await {
                    tracing::warn!(%error, "held mail is not tried now; it is probed later");
                }
                Ok(restart)
            })
        })
    }
}

/// What a reload swapped, and what waits for a restart.
fn needs_restart(old: &Config, new: &Config) -> String {
    let changed = [
        ("listeners, `[tls]` or `hostname`", old.submission != new.submission),
        ("`[admin]`'s address", (&old.page.listen, old.page.tls) != (&new.page.listen, new.page.tls)),
        ("`data`", old.data != new.data),
        ("`[queue]`", old.queue != new.queue),
        ("`ca_file`", old.ca_file != new.ca_file),
        ("`[network]`", old.network != new.network),
        ("`[log]`", old.log != new.log),
    ];
    let waiting: Vec<_> = changed.into_iter().filter(|(_, changed)| *changed).map(|(what, _)| what).collect();
    let swapped = "reloaded: clients, accounts, providers, their ways out and the certificate files are in use";
    if waiting.is_empty() {
        swapped.to_owned()
    } else {
        format!("{swapped}; restart oxpost for: {}", waiting.join(", "))
    }
}

/// What all listeners go by: one checker of passwords for both kinds, so that guessing at one is slowed at the other.
fn rules(config: &Config, clock: &Clock) -> Result<(Rules, reading::Rules), HashError> {
    let passwords = Arc::new(Passwords::new(clock.clone())?);
    let reading = reading::Rules {
        clients: config.clients.clone(),
        servers: config.reading.clone(),
        passwords: Arc::clone(&passwords),
        step_timeout: config.delivery.step_timeout,
    };
    let (clients, ways) = (config.clients.clone(), config.delivery.accounts.clone());
    Ok((Rules { clients, ways, routing: config.routing.clone(), passwords }, reading))
}

fn open_tls(config: &Config, clock: &Clock) -> Result<Option<ServerTls>, CertificateError> {
    let wanted = config.submission.listeners.iter().any(|listener| listener.tls != ListenerTls::None);
    let by_page = config.page.tls && !config.page.listen.is_empty();
    if !wanted && !by_page {
        return Ok(None);
    }
    let files = &config.submission.tls;
    let own = files.certificate.clone().zip(files.key.clone()).map(|(certificate, key)| Files { certificate, key });
    let mut names = vec![config.submission.hostname.clone()];
    names.extend(files.names.iter().cloned());
    ServerTls::open(&TlsSettings { folder: files.folder.clone(), own, names }, clock.now()).map(Some)
}

type Bound = Vec<(crate::front::ListenerSettings, TcpListener)>;

fn bind_all(config: &Config) -> Result<Bound, StartError> {
    let mut bound = Vec::new();
    for settings in &config.submission.listeners {
        for address in &settings.listen {
            let socket = listen(*address).map_err(|cause| StartError::Listen { address: *address, cause })?;
            bound.push((settings.clone(), socket));
        }
    }
    Ok(bound)
}

/// The control socket, for its owner alone. One that is left over from a crash goes: the lock is ours.
fn bind_control(path: &Path) -> Result<UnixListener, StartError> {
    use std::os::unix::fs::PermissionsExt;
    let _left_over = std::fs::remove_file(path);
    let bind = || {
        let socket = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(socket)
    };
    bind().map_err(|cause| StartError::Control { path: path.to_owned(), cause })
}

async fn until(stopping: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        () = stopping.cancelled() => {}
    }
}
