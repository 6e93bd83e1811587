//! What an account's next sign-in asks consent for, and the page where an administrator consents for everybody.

use url::Url;

use super::TokenManager;
use super::error::TokenError;
use super::provider::{self, Resource};
use super::registration::Registration;
use super::settings::ProviderKind;

/// Whether consent is asked for all resources at once.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Consent {
    #[default]
    AllAtOnce,
    /// The provider refused that. These resources still wait for theirs.
    OneByOne(Vec<Resource>),
}

impl Consent {
    /// What the next sign-in asks for.
    pub(super) fn asks(&self, registration: &Registration) -> Vec<Resource> {
        let all = registration.resources();
        match self {
            Self::AllAtOnce => all,
            // Settings may have changed meanwhile.
            Self::OneByOne(open) => match open.iter().find(|resource| all.contains(resource)) {
                Some(resource) => vec![resource.clone()],
                None => all,
            },
        }
    }

    /// From now on one at a time.
    pub(super) fn part(&mut self, resources: &[Resource]) {
        *self = Self::OneByOne(resources.to_vec());
    }

    /// Consent to these was given; whether others are still to come.
    pub(super) fn given(&mut self, resources: &[Resource]) -> bool {
        let Self::OneByOne(open) = self else { return false };
        open.retain(|resource| !resources.contains(resource));
        let goes_on = !open.is_empty();
        if !goes_on {
            *self = Self::AllAtOnce;
        }
        goes_on
    }
}

impl TokenManager {
    /// The page where an administrator of the directory consents to the account's permissions for everybody
    /// ("Admin consent on the Microsoft identity platform"). `redirect_uri` must be registered with the app; it gets
    /// `admin_consent`, `tenant` and `state`, or `error` and `state`.
    ///
    /// # Errors
    /// The account is unknown, or its provider has no such page: only Microsoft has.
    pub fn admin_consent_url(&self, account: &str, redirect_uri: &Url, state: &str) -> Result<Url, TokenError> {
        let registration = self.registration(account)?;
        let kind = if registration.account.grant.is_app() { "adminconsent" } else { "v2.0/adminconsent" };
        let page = page(&registration, kind).ok_or_else(|| TokenError::Configuration {
            why: format!("the provider `{}` has no page for an administrator's consent", registration.provider.name),
            hint: "only Microsoft has one; elsewhere permissions are given in the provider's own console".into(),
        })?;
        let mut url = page;
        let mut query = url.query_pairs_mut();
        query.append_pair("client_id", &registration.provider.client_id);
        query.append_pair("redirect_uri", redirect_uri.as_str()).append_pair("state", state);
        if !registration.account.grant.is_app() {
            let scopes = provider::authorization_scopes(&registration.provider, &registration.resources());
            query.append_pair("scope", &scopes.join(" "));
        }
        drop(query);
        Ok(url)
    }
}

impl Registration {
    /// The page where an administrator consents to everything the app is registered for: what a text can name.
    pub(super) fn consent_page(&self) -> Option<String> {
        let mut url = page(self, "adminconsent")?;
        url.query_pairs_mut().append_pair("client_id", &self.provider.client_id);
        Some(url.into())
    }
}

/// An app's own permissions are those of its registration, which the page without `scope` consents to.
fn page(registration: &Registration, kind: &str) -> Option<Url> {
    let provider = &registration.provider;
    let authorize = provider.authorize_url.as_ref().filter(|_| provider.kind == ProviderKind::Microsoft)?;
    let base = authorize.path().strip_suffix("/oauth2/v2.0/authorize")?;
    // `common` is not taken there.
    let base = base.strip_suffix("/common").map_or_else(|| base.to_owned(), |rest| format!("{rest}/organizations"));
    let mut url = authorize.clone();
    url.set_query(None);
    url.set_path(&format!("{base}/{kind}"));
    Some(url)
}
