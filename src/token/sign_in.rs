//! From the provider's sign-in page to a stored grant.

use std::sync::{Arc, MutexGuard, PoisonError};

use url::Url;

use super::TokenManager;
use super::discovery::Endpoints;
use super::endpoint::{Counter, Exchange, Minted};
use super::error::TokenError;
use super::explain::Refusal;
use super::grants::{
    Finished, Pending, Redirected, Request, SignIn, SignIns, SignedIn, allowed_redirect, check_signs_in,
};
use super::manager::lacking;
use super::provider::Resource;
use super::registration::{Era, Registration, Root, StoredGrant};
use super::state::Job;
use crate::clock::Timestamp;
use crate::mail::Event;
use crate::secret::Secret;

/// Refusals of a request for the consent to several resources that may be given for each by itself.
const APART: [&str; 4] = ["invalid_scope", "invalid_resource", "invalid_target", "consent_required"];

impl TokenManager {
    /// Begins a sign-in. `redirect_uri` is where the caller listens on this machine; a `redirect_uri` of the
    /// configuration takes its place. Where the endpoints must be found first, see [`TokenManager::discover`].
    ///
    /// # Errors
    /// The account is unknown, needs no sign-in, `redirect_uri` leads elsewhere, or the endpoints are not known yet.
    pub fn begin_sign_in(&self, account: &str, redirect_uri: Url) -> Result<SignIn, TokenError> {
        let registration = self.registration(account)?;
        let redirect_uri = allowed_redirect(&registration, redirect_uri)?;
        self.begin_sign_in_at(account, redirect_uri)
    }

    /// The same for a caller who vouches for `redirect_uri`: it comes from the configuration, not from a request.
    ///
    /// # Errors
    /// As [`TokenManager::begin_sign_in`], but for where `redirect_uri` leads.
    pub fn begin_sign_in_at(&self, account: &str, redirect_uri: Url) -> Result<SignIn, TokenError> {
        let entry = self.entry(account)?;
        let registration = self.registration(account)?;
        check_signs_in(&registration)?;
        let endpoints = self.known_endpoints(&registration)?;
        let resources = entry.consent().asks(&registration);
        let request = Request { registration, era: entry.state().era(), endpoints, resources };
        self.sign_ins().begin(request, redirect_uri, self.inner.clock.now())
    }

    /// Ends a sign-in with what the provider's redirect brought.
    ///
    /// # Errors
    /// The state is unknown, used or too old; the provider does not take the code; a permission was not given.
    pub async fn finish_sign_in(&self, state: &str, code: &str) -> Result<SignedIn, TokenError> {
        let pending = self.sign_ins().take(state, self.inner.clock.now())?;
        whole(self.redeem(pending, Secret::new(code)).await?)
    }

    /// Ends a sign-in with the whole address that the browser was sent to, or with its path or query alone.
    ///
    /// # Errors
    /// As [`TokenManager::finish_sign_in`]; the provider's own error; the answer of another provider.
    pub async fn finish_from_url(&self, redirected: &str) -> Result<SignedIn, TokenError> {
        whole(self.finish_or_go_on(redirected).await?)
    }

    /// The same, for whoever can lead on to another page where the provider wants consent one resource at a time.
    ///
    /// # Errors
    /// As [`TokenManager::finish_from_url`].
    pub async fn finish_or_go_on(&self, redirected: &str) -> Result<Finished, TokenError> {
        let Redirected { state, outcome, issuer } = Redirected::parse(redirected)?;
        let pending = self.sign_ins().take(&state, self.inner.clock.now())?;
        pending.check_issuer(issuer.as_deref())?;
        match outcome {
            Ok(code) => self.redeem(pending, code).await,
            Err(words) => {
                let refusal = words.explain(&pending.request.registration.provider.name);
                self.apart_or(&pending, refusal)
            }
        }
    }

    /// Says that whoever signed in is meant although the mailbox has another name.
    ///
    /// # Errors
    /// The account is unknown, or nobody has signed in under another name.
    pub async fn confirm(&self, account: &str) -> Result<(), TokenError> {
        let entry = self.entry(account)?;
        let flight = entry.flight().await;
        let confirmed = entry.state().confirm();
        let Some((generation, registration, grant)) = confirmed else {
            return Err(TokenError::Configuration {
                why: format!("there is no question about who signed `{account}` in"),
                hint: format!("see how it stands with `oxpost account`, or sign in with `oxpost login {account}`"),
            });
        };
        self.save(&entry, generation, &registration, &grant).await;
        drop(flight);
        self.inner.changed.notify_one();
        Ok(())
    }

    pub(super) fn registration(&self, account: &str) -> Result<Arc<Registration>, TokenError> {
        let unknown = || TokenError::UnknownAccount(account.to_owned());
        self.entry(account)?.state().registration().ok_or_else(unknown)
    }

    pub(super) fn sign_ins(&self) -> MutexGuard<'_, SignIns> {
        self.inner.sign_ins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on one resource at a time if that is what the refusal calls for.
    fn apart_or(&self, pending: &Pending, refusal: Refusal) -> Result<Finished, TokenError> {
        let account = &pending.request.registration.account.name;
        if !calls_for_apart(&refusal, &pending.request.resources) {
            return Err(refusal.error(&pending.request.registration.addressee()));
        }
        self.entry(account)?.consent().part(&pending.request.resources);
        let next = self.begin_sign_in_at(account, pending.redirect_uri.clone())?;
        Ok(Finished { signed_in: None, next: Some(next) })
    }

    /// Redeems a code in a task of its own: a browser that goes away must not take the grant with it.
    async fn redeem(&self, pending: Pending, code: Secret) -> Result<Finished, TokenError> {
        let manager = self.clone();
        let task = tokio::spawn(async move { manager.redeem_now(&pending, &code).await });
        task.await.unwrap_or_else(|_| {
            let why = "the sign-in was interrupted because oxpost is stopping".to_owned();
            Err(TokenError::TryLater { why, retry_after: None })
        })
    }

    async fn redeem_now(&self, pending: &Pending, code: &Secret) -> Result<Finished, TokenError> {
        let Request { registration, era, endpoints, resources } = &pending.request;
        let account = &registration.account.name;
        let entry = self.entry(account)?;
        entry.state().expects(registration, *era)?;
        let resource = first(registration, resources);
        let what = Exchange::Code { code, verifier: &pending.verifier, redirect_uri: &pending.redirect_uri };
        let asked_at = self.inner.clock.now();
        let scopes = resource.request(&registration.provider, &registration.account.grant);
        let minted = match self.counter(registration, endpoints).exchange(&what, scopes).await {
            Ok(minted) => minted,
            Err(refusal) => return self.apart_or(pending, refusal),
        };
        let mut signed_in = self.complete((registration, *era), resource, &minted, asked_at).await?;
        let goes_on = entry.consent().given(resources);
        let next = if goes_on { Some(self.begin_sign_in_at(account, pending.redirect_uri.clone())?) } else { None };
        if next.is_some() {
            signed_in.notes.push(format!(
                "the provider wants consent for each resource by itself: sign in once more for the rest, \
                 `oxpost login {account}`"
            ));
        }
        Ok(Finished { signed_in: Some(signed_in), next })
    }

    pub(super) fn counter<'a>(&'a self, registration: &'a Registration, endpoints: &'a Endpoints) -> Counter<'a> {
        let (http, now) = (&self.inner.http, self.inner.clock.now());
        Counter { http, provider: &registration.provider, endpoints, now }
    }

    /// Takes what a sign-in brought that began in `era`: durable, then announced.
    pub(super) async fn complete(
        &self,
        (registration, era): (&Arc<Registration>, Era),
        resource: Resource,
        minted: &Minted,
        asked_at: Timestamp,
    ) -> Result<SignedIn, TokenError> {
        let account = &registration.account.name;
        let entry = self.entry(account)?;
        let grant = grant(registration, &resource, minted, asked_at)
            .map_err(|refusal| refusal.error(&registration.addressee()))?;

        // No answer to an earlier grant may come in between.
        let flight = entry.flight().await;
        let generation = entry.state().expects(registration, era)?;
        let saved = self.save(&entry, generation, registration, &grant).await;
        let token = self.issue(minted, &resource, asked_at);
        let root = Root::Grant(grant.clone());
        let job = Job { generation, registration: Arc::clone(registration), root, resource, wanted: false };
        entry.state().signed_in(&job, era, grant, saved)?;
        entry.state().issued(&job, token.clone(), minted.lifetime);
        drop(flight);

        self.announce(&entry, &job.resource.to_string(), &token);
        let event = Event::SignedIn { account: account.clone(), name: minted.name.clone() };
        self.inner.observer.observe(&event);
        let question = registration.question(minted.name.as_deref());
        Ok(SignedIn { account: account.clone(), name: minted.name.clone(), question, notes: notes(saved) })
    }
}

/// What the code is redeemed for: the first resource; a provider without resources has one for everything.
pub(super) fn first(registration: &Registration, resources: &[Resource]) -> Resource {
    resources.first().cloned().unwrap_or_else(|| registration.resource(super::Purpose::Smtp))
}

/// Whether consent to these resources may be had for each by itself.
pub(super) fn calls_for_apart(refusal: &Refusal, resources: &[Resource]) -> bool {
    resources.len() > 1 && APART.contains(&refusal.code.as_str())
}

/// For callers that cannot lead on.
fn whole(finished: Finished) -> Result<SignedIn, TokenError> {
    finished.signed_in.ok_or_else(|| TokenError::SignInNeeded {
        why: "the provider does not take the consent to everything at once".into(),
        hint: "sign in again: from now on oxpost asks for one resource at a time".into(),
    })
}

/// The grant that a sign-in brought.
fn grant(
    registration: &Registration,
    resource: &Resource,
    minted: &Minted,
    obtained: Timestamp,
) -> Result<StoredGrant, Refusal> {
    if let Some(refusal) = lacking(registration, resource, minted) {
        return Err(refusal);
    }
    let Some(refresh_token) = minted.refresh.clone() else {
        let why = format!("`{}` gave no refresh token, so the sign-in would soon end", registration.provider.name);
        return Err(Refusal::setup(
            why,
            "let the app ask for `offline_access` (provider's `scopes`), then sign in again",
        ));
    };
    let ends = minted.grant_lifetime.map(|lifetime| obtained.plus(lifetime));
    let (app, name, import) = (registration.app(), minted.name.clone(), registration.import_mark());
    Ok(StoredGrant { refresh_token, app, obtained, used: obtained, name, confirmed: false, ends, import })
}

/// What whoever signed in should look at.
fn notes(saved: bool) -> Vec<String> {
    let unsaved = "the refresh token could not be written yet: do not stop oxpost before the log says it is";
    if saved { Vec::new() } else { vec![unsaved.to_owned()] }
}
