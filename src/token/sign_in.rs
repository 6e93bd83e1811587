//! From the provider's sign-in page to a stored grant.

use std::sync::{Arc, MutexGuard, PoisonError};

use url::Url;

use super::TokenManager;
use super::endpoint::{self, Exchange, Minted};
use super::error::TokenError;
use super::explain::Refusal;
use super::grants::{Pending, Redirected, SignIn, SignIns, SignedIn};
use super::manager::lacking;
use super::provider::Resource;
use super::registration::{Registration, Root, StoredGrant};
use super::settings::{AccountSettings, Purpose};
use super::state::Job;
use crate::clock::Timestamp;
use crate::mail::Event;
use crate::secret::Secret;

impl TokenManager {
    /// Begins a sign-in. `redirect_uri` is where the caller listens on this machine; a `redirect_uri` of the
    /// configuration takes its place.
    ///
    /// # Errors
    /// The account is unknown, needs no sign-in, or `redirect_uri` leads elsewhere.
    pub fn begin_sign_in(&self, account: &str, redirect_uri: Url) -> Result<SignIn, TokenError> {
        let unknown = || TokenError::UnknownAccount(account.to_owned());
        let registration = self.entry(account)?.state().registration().ok_or_else(unknown)?;
        self.sign_ins().begin(registration, redirect_uri, self.inner.clock.now())
    }

    /// Ends a sign-in with what the provider's redirect brought.
    ///
    /// # Errors
    /// The state is unknown, used or too old; the provider does not take the code; a permission was not given.
    pub async fn finish_sign_in(&self, state: &str, code: &str) -> Result<SignedIn, TokenError> {
        let pending = self.sign_ins().take(state, self.inner.clock.now())?;
        self.redeem(pending, Secret::new(code)).await
    }

    /// Ends a sign-in with the whole address that the browser was sent to, or with its path or query alone.
    ///
    /// # Errors
    /// As [`TokenManager::finish_sign_in`]; the provider's own error; the answer of another provider.
    pub async fn finish_from_url(&self, redirected: &str) -> Result<SignedIn, TokenError> {
        let Redirected { state, outcome, issuer } = Redirected::parse(redirected)?;
        let pending = self.sign_ins().take(&state, self.inner.clock.now())?;
        pending.check_issuer(issuer.as_deref())?;
        let Registration { account, provider } = &*pending.registration;
        let code = outcome.map_err(|words| words.explain(&provider.name).error(&account.name))?;
        self.redeem(pending, code).await
    }

    fn sign_ins(&self) -> MutexGuard<'_, SignIns> {
        self.inner.sign_ins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Redeems a code in a task of its own: a browser that goes away must not take the grant with it.
    async fn redeem(&self, pending: Pending, code: Secret) -> Result<SignedIn, TokenError> {
        let manager = self.clone();
        let task = tokio::spawn(async move { manager.redeem_now(&pending, &code).await });
        task.await.unwrap_or_else(|_| {
            let why = "the sign-in was interrupted because oxpost is stopping".to_owned();
            Err(TokenError::TryLater { why, retry_after: None })
        })
    }

    async fn redeem_now(&self, pending: &Pending, code: &Secret) -> Result<SignedIn, TokenError> {
        let Registration { account, provider } = &*pending.registration;
        let entry = self.entry(&account.name)?;
        entry.state().expects(&pending.registration)?;
        let resource = pending.registration.resource(account.purposes.first().copied().unwrap_or(Purpose::Smtp));
        let what = Exchange::Code { code, verifier: &pending.verifier, redirect_uri: &pending.redirect_uri };
        let asked_at = self.inner.clock.now();
        let minted =
            endpoint::exchange(&self.inner.http, provider, &what, resource.request(provider, &account.grant)).await;
        let minted = minted.map_err(|refusal| refusal.error(&account.name))?;
        let grant = grant(pending, &resource, &minted, asked_at).map_err(|refusal| refusal.error(&account.name))?;

        // No answer to an earlier grant may come in between.
        let flight = entry.flight().await;
        let generation = entry.state().expects(&pending.registration)?;
        let saved = self.save(&entry, generation, &pending.registration, &grant).await;
        let token = self.issue(&minted, asked_at);
        let registration = Arc::clone(&pending.registration);
        let job = Job { generation, registration, root: Root::Grant(grant.clone()), resource, wanted: false };
        entry.state().signed_in(&job, grant, saved)?;
        entry.state().issued(&job, token.clone(), minted.lifetime);
        drop(flight);

        self.announce(&entry, &job.resource.to_string(), &token);
        let event = Event::SignedIn { account: account.name.clone(), name: minted.name.clone() };
        self.inner.observer.observe(&event);
        // Nobody need be listening.
        let _ = self.inner.signed_in.send(account.name.clone());
        let notes = notes(account, minted.name.as_deref(), saved);
        Ok(SignedIn { account: account.name.clone(), name: minted.name, notes })
    }
}

/// The grant that a sign-in brought.
fn grant(pending: &Pending, resource: &Resource, minted: &Minted, obtained: Timestamp) -> Result<StoredGrant, Refusal> {
    let registration = &pending.registration;
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
    let (app, name) = (registration.app(), minted.name.clone());
    Ok(StoredGrant { refresh_token, app, obtained, name, import: registration.import_mark() })
}

/// What whoever signed in should look at.
fn notes(account: &AccountSettings, name: Option<&str>, saved: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if let (Some(name), Some(mailbox)) = (name, &account.login_hint)
        && !name.eq_ignore_ascii_case(mailbox)
    {
        notes.push(format!(
            "`{name}` signed in, but the mailbox of `{}` is `{mailbox}`: that works only if `{name}` may send as it",
            account.name
        ));
    }
    if !saved {
        notes.push(
            "the refresh token could not be written yet: do not stop oxpost before the log says it is".to_owned(),
        );
    }
    notes
}
