//! What owns the data folder: lock, store, queue, tokens. Opened by the gateway, or by a command when none runs.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
use crate::directory::Directory;
use crate::http::{Http, HttpSettings, HttpSetupError};
use crate::mail::Observer;
use crate::net::connect::{Connector, SetupError};
use crate::queue::{self, Queue, QueueError};
use crate::store::{Store, StoreError};
use crate::token::{self, SealingKeyError, TokenManager, TokenStoreError};

/// The parts.
pub struct Parts {
    /// Outgoing HTTP.
    pub http: Http,
    /// The queue.
    pub queue: Queue,
    /// Makes connections to providers.
    pub connector: Connector,
    /// The tokens.
    pub tokens: TokenManager,
    /// People of the tenant.
    pub directory: Directory,
    store: Store,
    _lock: File,
}

/// Why the data folder is not ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockError {
    /// Another process has it.
    Taken,
}

/// Why the parts cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process owns the data folder.
    #[error("the data folder `{0}` is in use by another oxpost")]
    Taken(PathBuf),
    /// The folder cannot be made or used.
    #[error("the data folder `{path}` cannot be used: {cause}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The tokens.
    #[error(transparent)]
    Tokens(#[from] TokenStoreError),
    /// The key that seals tokens.
    #[error(transparent)]
    Key(#[from] SealingKeyError),
    /// Outgoing HTTP.
    #[error(transparent)]
    Http(#[from] HttpSetupError),
    /// TLS towards providers.
    #[error("cannot set up TLS towards providers: {0}")]
    Connector(#[from] SetupError),
}

impl OpenError {
    /// Whether it is this trouble with the lock.
    pub const fn is_lock(&self, error: LockError) -> bool {
        matches!((self, error), (Self::Taken(_), LockError::Taken))
    }
}

impl Parts {
    /// Takes the lock and opens everything. Recovery of what a crash left happens here.
    pub async fn open(config: &Config, clock: Clock, observer: Arc<dyn Observer>) -> Result<Self, OpenError> {
        let lock = lock(&config.data)?;
        let migrations: Vec<_> = queue::MIGRATIONS.iter().chain(token::MIGRATIONS).copied().collect();
        let store = Store::open(&config.data.join("oxpost.db"), &migrations)?;
        let (ca_file, proxy) = (config.ca_file.clone(), config.network.proxy.clone());
        let connector = Connector::new(ca_file.as_deref())?.with_proxy(proxy.clone());
        let http = Http::new(HttpSettings { ca_file, proxy, ..HttpSettings::default() })?;
        let queue = Queue::open(store.clone(), config.queue.clone(), clock.clone(), Arc::clone(&observer)).await?;
        let key = config.sealing_key()?;
        let tokens =
            TokenManager::open(store.clone(), key, config.token.clone(), http.clone(), clock, observer).await?;
        let directory = Directory::new(http.clone(), Arc::new(tokens.clone()), config.directory.clone());
        Ok(Self { http, queue, connector, tokens, directory, store, _lock: lock })
    }

    /// Writes what is open and gives the data folder back.
    pub async fn close(self) {
        let Self { store, .. } = self;
        let _joined = tokio::task::spawn_blocking(move || store.close()).await;
    }
}

/// One process owns the data folder: a lock that the system releases with the process, however it ends.
fn lock(data: &Path) -> Result<File, OpenError> {
    let folder = |cause| OpenError::Folder { path: data.to_owned(), cause };
    make_private(data).map_err(folder)?;
    let path = data.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(folder)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Taken(data.to_owned())),
        Err(TryLockError::Error(cause)) => Err(folder(cause)),
    }
}

/// The folder, readable by its owner alone if it is made here. Then its name is on the disk before anything is in it.
fn make_private(data: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let fresh: Vec<_> = data.ancestors().take_while(|folder| !folder.exists()).collect();
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data)?;
    for parent in fresh.iter().rev().filter_map(|folder| folder.parent()) {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}
