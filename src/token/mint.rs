//! From a grant, or the app itself, to an access token of one resource.

use std::sync::{Arc, PoisonError};

use super::TokenManager;
use super::discovery::{self, Endpoints};
use super::endpoint::{Exchange, Minted};
use super::error::TokenError;
use super::explain::Refusal;
use super::identity;
use super::registration::{Registration, Root};
use super::settings::Grant;
use super::state::Job;

impl TokenManager {
    /// Asks the provider once.
    pub(super) async fn mint(&self, job: &Job) -> Result<Minted, Refusal> {
        let Registration { account, provider } = &*job.registration;
        if matches!(account.grant, Grant::ManagedIdentity) {
            let resource = job.resource.identifier();
            return identity::token(&self.inner.http, &provider.name, &provider.managed_identity, resource).await;
        }
        let endpoints = self.endpoints(&job.registration).await?;
        let counter = self.counter(&job.registration, &endpoints);
        let scopes = job.resource.request(provider, &account.grant);
        match (&job.root, &account.grant) {
            (Root::Grant(grant), _) => counter.exchange(&Exchange::Refresh(&grant.refresh_token), scopes).await,
            (Root::App, Grant::ServiceAccount) => {
                let assertion = self.delegated(job, &endpoints)?;
                counter.exchange(&Exchange::Assertion(&assertion), Vec::new()).await
            }
            (Root::App, _) => counter.exchange(&Exchange::App, scopes).await,
        }
    }

    fn delegated(&self, job: &Job, endpoints: &Endpoints) -> Result<crate::secret::Secret, Refusal> {
        let Registration { account, provider } = &*job.registration;
        let name = &provider.name;
        let (Some(key), Some(mailbox)) = (&provider.service_account, &account.login_hint) else {
            let why = format!("`{name}` has no service account, or `{}` no mailbox to act as", account.name);
            return Err(Refusal::setup(why, "write `service_account` into the provider and one `mailbox`"));
        };
        let scopes = job.resource.request(provider, &account.grant).join(" ");
        let assertion = key.assertion(mailbox, &scopes, endpoints.token.as_str(), self.inner.clock.now());
        assertion.ok_or_else(|| {
            Refusal::setup(format!("`{name}`: the assertion cannot be signed"), "check the `service_account` key")
        })
    }

    /// Finds the provider's endpoints if that takes asking its issuer, so that [`TokenManager::begin_sign_in`] has
    /// them.
    ///
    /// # Errors
    /// The account is unknown, or its issuer does not say.
    pub async fn discover(&self, account: &str) -> Result<(), TokenError> {
        let registration = self.registration(account)?;
        self.endpoints(&registration).await.map(drop).map_err(|refusal| refusal.error(&registration.addressee()))
    }

    /// The endpoints, asked for where need be. What was found stays until the settings are read again.
    pub(super) async fn endpoints(&self, registration: &Registration) -> Result<Endpoints, Refusal> {
        let provider = &registration.provider;
        if let Some(endpoints) = Endpoints::given(provider) {
            return Ok(endpoints);
        }
        let Some(issuer) = &provider.issuer else {
            let why = format!("`{}` has neither a token endpoint nor an issuer", provider.name);
            return Err(Refusal::setup(why, "write the provider's `token_url` or `issuer`"));
        };
        let known = self.found().get(issuer).cloned();
        if let Some(found) = known {
            return Endpoints::of(provider, &found);
        }
        let found = Arc::new(discovery::discover(&self.inner.http, provider, issuer).await?);
        self.found().insert(issuer.clone(), Arc::clone(&found));
        Endpoints::of(provider, &found)
    }

    /// The same without asking anybody.
    pub(super) fn known_endpoints(&self, registration: &Registration) -> Result<Endpoints, TokenError> {
        let provider = &registration.provider;
        if let Some(endpoints) = Endpoints::given(provider) {
            return Ok(endpoints);
        }
        let known = provider.issuer.as_ref().and_then(|issuer| self.found().get(issuer).cloned());
        let unknown = || {
            let why = format!("the endpoints of `{}` are not known yet: its issuer has not answered", provider.name);
            TokenError::TryLater { why, retry_after: None }
        };
        let found = known.ok_or_else(unknown)?;
        Endpoints::of(provider, &found).map_err(|refusal| refusal.error(&registration.addressee()))
    }

    fn found(&self) -> std::sync::MutexGuard<'_, super::manager::FoundIssuers> {
        self.inner.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
