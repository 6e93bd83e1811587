//! The token manager: asks, stores and hands out tokens; one request per account at a time.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::{Notify, OwnedMutexGuard, broadcast};
use url::Url;

use super::access::AccessToken;
use super::consent::Consent;
use super::device::Devices;
use super::discovery::Found;
use super::endpoint::Minted;
use super::error::{TokenError, TokenStoreError};
use super::explain::Refusal;
use super::grants::SignIns;
use super::provider::Resource;
use super::registration::{Generation, Registration, StoredGrant};
use super::rotation;
use super::seal::SealingKey;
use super::settings::{AccountSettings, Purpose, Settings};
use super::state::{AccountState, Job, Lookup, News};
use super::tables::{self, Record};
use super::warnings::{FoundOut, Warned};
use crate::clock::{Clock, Timestamp};
use crate::http::Http;
use crate::mail::failure::one_line;
use crate::mail::{Event, Observer};
use crate::store::Store;

/// How often a caller begins anew because settings or sign-in changed while it waited.
const MAX_ROUNDS: u32 = 3;
/// Names of signed-in accounts that a slow subscriber may have before it.
const SUBSCRIBER_BACKLOG: usize = 64;

/// Hands out access tokens for all accounts. Clones share everything.
#[derive(Clone)]
pub struct TokenManager {
    pub(super) inner: Arc<Inner>,
}

/// What issuers said of themselves.
pub(super) type FoundIssuers = HashMap<Url, Arc<Found>>;

pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) key: RwLock<SealingKey>,
    /// Held for reading from the sealing of a grant until it is written, and for writing while keys are exchanged.
    pub(super) sealing: tokio::sync::RwLock<()>,
    pub(super) http: Http,
    pub(super) clock: Clock,
    pub(super) observer: Arc<dyn Observer>,
    accounts: RwLock<BTreeMap<String, Arc<Entry>>>,
    pub(super) sign_ins: Mutex<SignIns>,
    pub(super) devices: Mutex<Devices>,
    pub(super) found: Mutex<FoundIssuers>,
    /// Lets whoever waits for a device code look at the clock again.
    pub(super) tick: Notify,
    pub(super) signed_in: broadcast::Sender<String>,
    /// Something changed that may move the next renewal.
    pub(super) changed: Notify,
    issues: AtomicU64,
}

/// One account.
pub(super) struct Entry {
    pub(super) name: String,
    /// Held by whoever asks the token endpoint for this account.
    flight: Arc<tokio::sync::Mutex<()>>,
    state: Mutex<AccountState>,
    consent: Mutex<Consent>,
    /// What was warned of, and when.
    warned: Mutex<Warned>,
    /// What others found out about what its tokens may do.
    found: Mutex<FoundOut>,
}

impl Entry {
    fn new(name: &str, state: AccountState) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            flight: Arc::default(),
            state: Mutex::new(state),
            consent: Mutex::default(),
            warned: Mutex::default(),
            found: Mutex::default(),
        })
    }

    pub(super) fn found(&self) -> MutexGuard<'_, FoundOut> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn warned(&self) -> MutexGuard<'_, Warned> {
        self.warned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn consent(&self) -> MutexGuard<'_, Consent> {
        self.consent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, AccountState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody asks for this account.
    pub(super) async fn flight(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.flight).lock_owned().await
    }

    /// The same without waiting.
    pub(super) fn try_flight(&self) -> Option<OwnedMutexGuard<()>> {
        Arc::clone(&self.flight).try_lock_owned().ok()
    }
}

impl TokenManager {
    /// Reads the stored grants. A grant that cannot be opened (another key) concerns its account alone: it waits for
    /// the key or for a sign-in.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn open(
        store: Store,
        key: SealingKey,
        settings: Settings,
        http: Http,
        clock: Clock,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, TokenStoreError> {
        // An exchange of keys that was cut off.
        let key =
            if key.has_older() { rotation::finish(&store, key.clone()).await.map_or(key, |done| done.0) } else { key };
        let mut registrations = registrations(settings);
        let now = clock.now();
        let mut accounts = BTreeMap::new();
        for row in tables::load(&store, &key).await? {
            let state = AccountState::new(registrations.remove(&row.account), row.generation, Some(row.grant), now);
            accounts.insert(row.account.clone(), Entry::new(&row.account, state));
        }
        for (name, registration) in registrations {
            let state = AccountState::new(Some(registration), Generation(0), None, now);
            accounts.insert(name.clone(), Entry::new(&name, state));
        }
        let inner = Inner {
            store,
            key: RwLock::new(key),
            sealing: tokio::sync::RwLock::default(),
            http,
            clock,
            observer,
            accounts: RwLock::new(accounts),
            sign_ins: Mutex::default(),
            devices: Mutex::default(),
            found: Mutex::default(),
            tick: Notify::new(),
            signed_in: broadcast::Sender::new(SUBSCRIBER_BACKLOG),
            changed: Notify::new(),
            issues: AtomicU64::new(0),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// A token that opens the resource of `purpose`, from memory or from the provider. However many ask, the provider
    /// is asked once.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub async fn access_token(&self, account: &str, purpose: Purpose) -> Result<AccessToken, TokenError> {
        let entry = self.entry(account)?;
        for _ in 0..MAX_ROUNDS {
            if let Some(found) = self.look_up(&entry, purpose).found() {
                return found;
            }
            let flight = entry.flight().await;
            // Whoever had the flight before may have brought what is wanted.
            if let Lookup::Renew(job) = self.look_up(&entry, purpose)
                && let Some(token) = self.renew_apart(&entry, *job, flight).await
            {
                return Ok(token);
            }
        }
        self.look_up(&entry, purpose).found().unwrap_or_else(|| {
            let why = format!("the settings of `{account}` changed while its token was asked for");
            Err(TokenError::TryLater { why, retry_after: None })
        })
    }

    /// Takes note that the provider did not accept a token (401, 535): the next call asks for another.
    /// `generation` says which one it was; a newer one stays.
    pub async fn invalidate(&self, account: &str, purpose: Purpose, generation: u64) {
        if let Ok(entry) = self.entry(account) {
            entry.state().invalidate(purpose, generation);
        }
    }

    /// The names of accounts as they are signed in by device code from now on, while nobody waits for the answer.
    pub fn subscribe(&self) -> broadcast::Receiver<String> {
        self.inner.signed_in.subscribe()
    }

    /// Takes new settings. Tokens of accounts that the change does not concern stay.
    pub fn reload(&self, settings: Settings) {
        let mut registrations = registrations(settings);
        let now = self.inner.clock.now();
        let mut accounts = self.inner.accounts.write().unwrap_or_else(PoisonError::into_inner);
        for (name, entry) in accounts.iter() {
            entry.state().reconfigure(registrations.remove(name), now);
        }
        for (name, registration) in registrations {
            let state = AccountState::new(Some(registration), Generation(0), None, now);
            accounts.insert(name.clone(), Entry::new(&name, state));
        }
        drop(accounts);
        self.inner.found.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.inner.changed.notify_one();
    }

    pub(super) fn entries(&self) -> Vec<Arc<Entry>> {
        self.inner.accounts.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(super) fn entry(&self, account: &str) -> Result<Arc<Entry>, TokenError> {
        let accounts = self.inner.accounts.read().unwrap_or_else(PoisonError::into_inner);
        accounts.get(account).cloned().ok_or_else(|| TokenError::UnknownAccount(account.to_owned()))
    }

    fn look_up(&self, entry: &Entry, purpose: Purpose) -> Lookup {
        entry.state().lookup(&entry.name, purpose, self.inner.clock.now())
    }

    /// Renews in a task of its own: a caller who goes away must not take a rotated refresh token with it.
    pub(super) async fn renew_apart(
        &self,
        entry: &Arc<Entry>,
        job: Job,
        flight: OwnedMutexGuard<()>,
    ) -> Option<AccessToken> {
        let (manager, entry) = (self.clone(), Arc::clone(entry));
        let renewal = tokio::spawn(async move {
            let token = manager.renew(&entry, &job).await;
            drop(flight);
            token
        });
        renewal.await.ok().flatten()
    }

    /// Asks the token endpoint and takes in its answer. `None`: refused, or too late.
    async fn renew(&self, entry: &Entry, job: &Job) -> Option<AccessToken> {
        let asked_at = self.inner.clock.now();
        let minted = match self.mint(job).await {
            Ok(minted) => minted,
            Err(refusal) => {
                self.refuse(entry, job, refusal);
                return None;
            }
        };
        // Before anybody gets the access token: the old refresh token may be void from now on.
        let rotated = entry.state().rotated(job, &minted, self.inner.clock.now());
        if let Some((generation, grant)) = rotated {
            self.save(entry, generation, &job.registration, &grant).await;
        }
        if let Some(refusal) = lacking(&job.registration, &job.resource, &minted) {
            self.refuse(entry, job, refusal);
            return None;
        }
        let token = self.issue(&minted, &job.resource, asked_at);
        if !entry.state().issued(job, token.clone(), minted.lifetime) {
            return None;
        }
        self.announce(entry, &job.resource.to_string(), &token);
        Some(token)
    }

    pub(super) fn issue(&self, minted: &Minted, resource: &Resource, asked_at: Timestamp) -> AccessToken {
        let scope = minted.scopes.as_ref().map_or_else(|| resource.to_string(), |scopes| scopes.join(" ")).into();
        let generation = self.inner.issues.fetch_add(1, Ordering::Relaxed);
        AccessToken { secret: minted.access.clone(), expires: asked_at.plus(minted.lifetime), generation, scope }
    }

    pub(super) fn announce(&self, entry: &Entry, resource: &str, token: &AccessToken) {
        let (account, resource) = (entry.name.clone(), resource.to_owned());
        self.inner.observer.observe(&Event::TokenRenewed { account, resource, expires: token.expires });
        self.inner.changed.notify_one();
    }

    fn refuse(&self, entry: &Entry, job: &Job, refusal: Refusal) {
        let news = entry.state().refused(job, refusal, self.inner.clock.now());
        let account = entry.name.clone();
        match news {
            News::NeedsAction(TokenError::SignInNeeded { why, hint } | TokenError::Configuration { why, hint }) => {
                self.inner.observer.observe(&Event::SignInNeeded { account, why, hint })
            }
            News::Deferred(error) | News::NeedsAction(error) => {
                self.inner.observer.observe(&Event::TokenDeferred { account, why: error.to_string() });
            }
            News::None => {}
        }
        self.inner.changed.notify_one();
    }

    /// Writes a grant. If that fails, it is used from memory, and the background tries again.
    pub(super) async fn save(
        &self,
        entry: &Entry,
        generation: Generation,
        registration: &Registration,
        grant: &StoredGrant,
    ) -> bool {
        let Inner { store, observer, sealing, .. } = &*self.inner;
        let _written_before_the_key_goes = sealing.read().await;
        let why = match Record::seal(&self.key(), &entry.name, &registration.provider.name, generation, grant) {
            Some(record) => record.save(store).await.err().map(|error| error.to_string()),
            None => Some("it cannot be sealed".to_owned()),
        };
        match why {
            None => entry.state().saved(generation, grant),
            Some(why) => {
                observer.observe(&Event::TokenUnsaved { account: entry.name.clone(), why });
                return false;
            }
        }
        true
    }
}

/// The accounts with their providers. The configuration sees to it that each provider is there.
fn registrations(settings: Settings) -> BTreeMap<String, Arc<Registration>> {
    let Settings { providers, accounts } = settings;
    let registration = |account: AccountSettings| {
        let provider = providers.iter().find(|provider| provider.name == account.provider)?.clone();
        Some((account.name.clone(), Arc::new(Registration { account, provider })))
    };
    accounts.into_iter().filter_map(registration).collect()
}

/// Microsoft issues a token of another resource when asked wrongly, Google one without the boxes that were not ticked.
pub(super) fn lacking(registration: &Registration, resource: &Resource, minted: &Minted) -> Option<Refusal> {
    let granted = minted.scopes.as_ref()?;
    let missing = resource.missing_from(granted)?;
    let Registration { account, provider } = registration;
    let why = format!(
        "`{}` gave `{}` a token without `{missing}` (it gave: `{}`)",
        provider.name,
        account.name,
        one_line(&granted.join(" "))
    );
    let remedy = "add the permission to the app, then run `oxpost login {account}` and accept everything it asks for";
    Some(Refusal::setup(why, remedy))
}
