//! What an account's tokens are at a moment: a value without I/O. Time comes in as an argument.
//!
//! Each account has a generation. It rises when somebody signs the account in and when settings change that decide
//! what the token endpoint would answer. An answer that was asked for under an older generation is dropped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::access::{AccessToken, Issued, Obstacle};
use super::causes::Kind;
use super::endpoint::Minted;
use super::error::TokenError;
use super::explain::Refusal;
use super::provider::Resource;
use super::registration::{Era, Generation, Registration, Root, StoredGrant};
use super::settings::Purpose;
use super::standing::unanswered;
use crate::clock::Timestamp;

/// A refresh token that lies idle is used at least this often: that keeps it alive and shows in time that it is not.
const IDLE_RENEWAL: Duration = Duration::from_secs(24 * 60 * 60);

/// Where an account stands.
#[derive(Debug)]
pub(super) enum TokenState {
    /// Nothing to mint tokens from, or nothing that works.
    NeedsSignIn { error: TokenError, since: Timestamp },
    /// Tokens can be minted, as far as anybody knows.
    Active {
        root: Root,
        renewed: Timestamp,
        access: BTreeMap<Resource, Issued>,
        obstacles: BTreeMap<Resource, Obstacle>,
    },
}

/// An account's tokens.
#[derive(Debug)]
pub(super) struct AccountState {
    registration: Option<Arc<Registration>>,
    generation: Generation,
    era: Era,
    state: TokenState,
    /// A stored grant that is not in use: declared dead, or of no use with the present settings. Other settings may
    /// bring it back.
    spare: Option<StoredGrant>,
    /// The refresh token in memory is newer than the one on disk.
    unsaved: bool,
}

/// What to ask the token endpoint, and under which generation.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) generation: Generation,
    pub(super) registration: Arc<Registration>,
    pub(super) root: Root,
    pub(super) resource: Resource,
    /// Somebody waits for the token; else it is renewed in the background.
    pub(super) wanted: bool,
}

/// What there is for a caller.
#[derive(Debug)]
pub(super) enum Lookup {
    Ready(AccessToken),
    Refused(TokenError),
    Renew(Box<Job>),
}

impl Lookup {
    /// What the caller gets at once; `None`: it must be asked for.
    pub(super) fn found(self) -> Option<Result<AccessToken, TokenError>> {
        match self {
            Self::Ready(token) => Some(Ok(token)),
            Self::Refused(error) => Some(Err(error)),
            Self::Renew(_) => None,
        }
    }
}

/// A change that people should hear of.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum News {
    Deferred(TokenError),
    NeedsAction(TokenError),
    /// The same as before, or nobody waits for it any longer.
    None,
}

impl AccountState {
    /// The state at the start, or of an account that has just been configured. `stored` is what the database has.
    pub(super) fn new(
        registration: Option<Arc<Registration>>,
        generation: Generation,
        stored: Option<Result<StoredGrant, String>>,
        now: Timestamp,
    ) -> Self {
        let (state, spare) = begin(registration.as_deref(), stored, now);
        Self { registration, generation, era: Era::default(), state, spare, unsaved: false }
    }

    pub(super) fn registration(&self) -> Option<Arc<Registration>> {
        self.registration.clone()
    }

    pub(super) const fn tokens(&self) -> &TokenState {
        &self.state
    }

    /// A usable token, why there is none, or what must be asked.
    pub(super) fn lookup(&mut self, account: &str, purpose: Purpose, now: Timestamp) -> Lookup {
        let Some(registration) = &self.registration else {
            return Lookup::Refused(TokenError::UnknownAccount(account.to_owned()));
        };
        let resource = registration.resource(purpose);
        match &mut self.state {
            TokenState::NeedsSignIn { error, .. } => Lookup::Refused(error.clone()),
            TokenState::Active { root, access, obstacles, .. } => {
                if let Some(error) = unanswered(registration, root) {
                    return Lookup::Refused(error);
                }
                if let Some(issued) = access.get_mut(&resource).filter(|issued| !issued.spent(now)) {
                    issued.used = true;
                    return Lookup::Ready(issued.token.clone());
                }
                if let Some(error) =
                    obstacles.get(&resource).and_then(|obstacle| obstacle.error(&registration.addressee(), now))
                {
                    return Lookup::Refused(error);
                }
                Lookup::Renew(Box::new(Job {
                    generation: self.generation,
                    registration: Arc::clone(registration),
                    root: root.clone(),
                    resource,
                    wanted: true,
                }))
            }
        }
    }

    /// Takes the refresh token of an answer. Gives the grant to be saved, or `None` if nothing in it is new enough.
    ///
    /// Settings may have changed meanwhile: then the answer's access token comes too late, but the refresh token that
    /// was sent may be void by now, so its successor is kept wherever the sent one is held.
    pub(super) fn rotated(&mut self, job: &Job, minted: &Minted, now: Timestamp) -> Option<(Generation, StoredGrant)> {
        let Root::Grant(sent) = &job.root else { return None };
        let held = match &mut self.state {
            TokenState::Active { root: Root::Grant(grant), renewed, .. } if grant.is(sent) => {
                *renewed = now;
                grant
            }
            TokenState::Active { .. } | TokenState::NeedsSignIn { .. } => {
                self.spare.as_mut().filter(|grant| grant.is(sent))?
            }
        };
        held.ends = minted.grant_lifetime.map(|lifetime| now.plus(lifetime)).or(held.ends);
        if let Some(token) = minted.refresh.as_ref().filter(|token| !token.same_as(held.refresh_token.expose())) {
            (held.refresh_token, held.obtained) = (token.clone(), now);
            held.import = job.registration.import_mark();
        } else if now.since(held.used) < IDLE_RENEWAL {
            return None;
        }
        held.used = now;
        let rotated = held.clone();
        self.unsaved = true;
        Some((self.generation, rotated))
    }

    /// Somebody says that whoever signed in is meant. Gives the grant to be saved; `None` if there is no question.
    pub(super) fn confirm(&mut self) -> Option<(Generation, Arc<Registration>, StoredGrant)> {
        let registration = self.registration.clone()?;
        let TokenState::Active { root: Root::Grant(grant), .. } = &mut self.state else { return None };
        if grant.confirmed || registration.question(grant.name.as_deref()).is_none() {
            return None;
        }
        grant.confirmed = true;
        self.unsaved = true;
        Some((self.generation, registration, grant.clone()))
    }

    /// The grant is gone from the disk and is now forgotten here, too: answers that are under way come too late.
    pub(super) fn forget(&mut self, now: Timestamp) {
        self.generation = Generation(self.generation.0 + 1);
        self.era = Era(self.era.0 + 1);
        self.spare = None;
        self.unsaved = false;
        (self.state, _) = begin(self.registration.as_deref(), None, now);
    }

    /// The refresh token of that generation is on disk, or is not.
    pub(super) fn saved(&mut self, generation: Generation, grant: &StoredGrant) {
        let newest = self.kept().is_some_and(|held| held.refresh_token.same_as(grant.refresh_token.expose()));
        if self.generation == generation && newest {
            self.unsaved = false;
        }
    }

    /// What is to be written as soon as the disk lets us.
    pub(super) fn unsaved(&self) -> Option<(Generation, Arc<Registration>, StoredGrant)> {
        let grant = self.kept().filter(|_| self.unsaved)?;
        Some((self.generation, self.registration.clone()?, grant.clone()))
    }

    /// Whether a program is refused what the account itself is not set up for, while nothing else is known to be wrong.
    pub(super) fn refuses_a_program(&self, purpose: Purpose) -> bool {
        let Some(registration) = &self.registration else { return false };
        let resource = registration.resource(purpose);
        let TokenState::Active { root, obstacles, .. } = &self.state else { return false };
        let is_obstacle = obstacles.get(&resource).is_some_and(|obstacle| obstacle.refusal.kind != Kind::Later);
        is_obstacle && !registration.is_for(&resource) && unanswered(registration, root).is_none()
    }

    /// Takes an access token; `false` if the answer is too late.
    pub(super) fn issued(&mut self, job: &Job, token: AccessToken, lifetime: Duration) -> bool {
        let Some(TokenState::Active { access, obstacles, .. }) = self.current(job) else { return false };
        obstacles.remove(&job.resource);
        access.insert(job.resource.clone(), Issued { token, lifetime, used: job.wanted });
        true
    }

    /// Takes a refusal, unless it is too late. The error is what callers get from now on.
    pub(super) fn refused(&mut self, job: &Job, refusal: Refusal, now: Timestamp) -> News {
        let addressee = job.registration.addressee();
        let Some(TokenState::Active { root, obstacles, .. }) = self.current(job) else { return News::None };
        let grant = match root {
            Root::Grant(grant) => Some(grant.clone()),
            Root::App => None,
        };
        let refusal = if grant.is_some() { refusal } else { refusal.of_the_app() };
        let error = refusal.error(&addressee);
        // What only a program asked for says nothing about the account: its own ways find out what concerns them.
        let own = job.registration.is_for(&job.resource);
        if own && refusal.kind == Kind::GrantLost {
            self.spare = grant;
            self.state = TokenState::NeedsSignIn { error: error.clone(), since: now };
            return News::NeedsAction(error);
        }
        let before = obstacles.remove(&job.resource);
        let obstacle = Obstacle::new(refusal, before, now);
        let news = match (obstacle.refusal.kind, obstacle.repeated()) {
            (Kind::Later, _) => News::Deferred(error),
            _ if !own => News::None,
            (Kind::Person | Kind::GrantLost | Kind::Setup, false) => News::NeedsAction(error),
            (Kind::Person | Kind::GrantLost | Kind::Setup, true) => News::None,
        };
        obstacles.insert(job.resource.clone(), obstacle);
        news
    }

    /// What a sign-in that begins now must say at its end.
    pub(super) const fn era(&self) -> Era {
        self.era
    }

    /// The generation that a sign-in under these settings will begin. `era` is that of its beginning.
    pub(super) fn expects(&self, begun: &Registration, era: Era) -> Result<Generation, TokenError> {
        let account = &begun.account.name;
        if self.era != era {
            return Err(TokenError::SignInNeeded {
                why: format!("`{account}` was forgotten during its sign-in"),
                hint: format!("start the sign-in again: `oxpost login {account}`"),
            });
        }
        if self.registration.as_ref().is_some_and(|now| now.asks_like(begun)) {
            return Ok(Generation(self.generation.0 + 1));
        }
        Err(TokenError::SignInNeeded {
            why: format!("the settings of `{account}` changed during its sign-in"),
            hint: format!("start the sign-in again: `oxpost login {account}`"),
        })
    }

    /// Somebody signed the account in: everything earlier is void. `saved` tells whether the grant is on disk.
    pub(super) fn signed_in(&mut self, job: &Job, era: Era, grant: StoredGrant, saved: bool) -> Result<(), TokenError> {
        self.generation = self.expects(&job.registration, era)?;
        self.unsaved = !saved;
        self.spare = None;
        let renewed = grant.obtained;
        self.state = active(Root::Grant(grant), renewed);
        Ok(())
    }

    /// Takes new settings; `None`: the account is not configured any more. Tokens stay where the change cannot
    /// concern them.
    pub(super) fn reconfigure(&mut self, registration: Option<Arc<Registration>>, now: Timestamp) {
        let unchanged = match (&self.registration, &registration) {
            (Some(old), Some(new)) => old.asks_like(new),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !unchanged {
            self.generation = Generation(self.generation.0 + 1);
            let grant = self.kept().cloned();
            (self.state, self.spare) = begin(registration.as_deref(), grant.map(Ok), now);
        }
        self.registration = registration;
    }

    /// The provider did not accept a token: it is not handed out again.
    pub(super) fn invalidate(&mut self, purpose: Purpose, issue: u64) {
        let Some(resource) = self.registration.as_ref().map(|registration| registration.resource(purpose)) else {
            return;
        };
        if let TokenState::Active { access, .. } = &mut self.state
            && access.get(&resource).is_some_and(|issued| issued.token.generation == issue)
        {
            access.remove(&resource);
        }
    }

    /// When and for what a token is to be asked for although nobody waits for it. `None`: not by itself.
    pub(super) fn next_renewal(&self) -> Option<(Timestamp, Job)> {
        let registration = self.registration.as_ref()?;
        let TokenState::Active { root, renewed, access, obstacles } = &self.state else { return None };
        if unanswered(registration, root).is_some() {
            return None;
        }
        let used = access.iter().filter(|(_, issued)| issued.used);
        let mut due: Vec<_> = used.map(|(resource, issued)| (issued.renewal(), resource.clone())).collect();
        if matches!(root, Root::Grant(_)) {
            let purpose = registration.account.purposes.first()?;
            due.push((renewed.plus(IDLE_RENEWAL), registration.resource(*purpose)));
        }
        let held_up = |(due, resource): (Timestamp, Resource)| match obstacles.get(&resource) {
            // What people must mend is not asked for again unasked.
            Some(obstacle) if obstacle.refusal.kind != Kind::Later => None,
            Some(obstacle) => Some((due.max(obstacle.since.plus(obstacle.wait?)), resource)),
            None => Some((due, resource)),
        };
        let (due, resource) = due.into_iter().filter_map(held_up).min_by_key(|(due, _)| *due)?;
        let registration = Arc::clone(registration);
        Some((due, Job { generation: self.generation, registration, root: root.clone(), resource, wanted: false }))
    }

    fn grant(&self) -> Option<&StoredGrant> {
        match &self.state {
            TokenState::Active { root: Root::Grant(grant), .. } => Some(grant),
            TokenState::Active { root: Root::App, .. } | TokenState::NeedsSignIn { .. } => None,
        }
    }

    /// The grant in use, or the one that is kept for other settings.
    fn kept(&self) -> Option<&StoredGrant> {
        self.grant().or(self.spare.as_ref())
    }

    /// The state that an answer to `job` may change; `None` if it is too late.
    fn current(&mut self, job: &Job) -> Option<&mut TokenState> {
        (self.generation == job.generation).then_some(&mut self.state)
    }
}

/// What the settings and the database allow, and the stored grant that they do not use.
fn begin(
    registration: Option<&Registration>,
    stored: Option<Result<StoredGrant, String>>,
    now: Timestamp,
) -> (TokenState, Option<StoredGrant>) {
    let (stored, unusable) = match stored {
        Some(Ok(grant)) => (Some(grant), None),
        Some(Err(why)) => (None, Some(why)),
        None => (None, None),
    };
    let Some(registration) = registration else {
        return (needs_sign_in("", "the account is not configured".into(), now), stored);
    };
    let account = registration.account.name.as_str();
    if registration.account.grant.is_app() {
        return (active(Root::App, now), stored);
    }
    if let Some(why) = unusable {
        let hint = format!("put the key back and restart, or run `oxpost login {account}`; the mail waits");
        let error = TokenError::SignInNeeded { why, hint };
        return (TokenState::NeedsSignIn { error, since: now }, None);
    }
    let import = registration.import();
    let seen = |grant: &StoredGrant| import.as_ref().is_none_or(|(_, mark)| grant.import.as_ref() == Some(mark));
    match (stored, &import) {
        (Some(grant), _) if grant.app == registration.app() && seen(&grant) => {
            let renewed = grant.used;
            (active(Root::Grant(grant), renewed), None)
        }
        (stored, Some((token, mark))) => {
            let imported = StoredGrant {
                refresh_token: (*token).clone(),
                app: registration.app(),
                obtained: now,
                // It is put to use, and so into the store, as soon as possible.
                used: Timestamp::from_millis(0),
                name: None,
                confirmed: true,
                ends: None,
                import: Some(mark.clone()),
            };
            let renewed = imported.used;
            (active(Root::Grant(imported), renewed), stored)
        }
        (Some(grant), None) => {
            let why = format!(
                "`{account}` was signed in with the app `{}` at `{}`, which the settings do not name any more",
                grant.app.client_id, grant.app.token_server
            );
            (needs_sign_in(account, why, now), Some(grant))
        }
        (None, None) => (needs_sign_in(account, format!("`{account}` was never signed in"), now), None),
    }
}

fn needs_sign_in(account: &str, why: String, now: Timestamp) -> TokenState {
    let hint = format!("run `oxpost login {account}`");
    TokenState::NeedsSignIn { error: TokenError::SignInNeeded { why, hint }, since: now }
}

fn active(root: Root, renewed: Timestamp) -> TokenState {
    TokenState::Active { root, renewed, access: BTreeMap::new(), obstacles: BTreeMap::new() }
}
