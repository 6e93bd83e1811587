//! Sign-ins under way: authorization code with PKCE (RFC 6749 section 4.1, RFC 7636, RFC 9700 section 2.1).

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth2::basic::BasicClient;
use oauth2::{AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope};
use url::Url;

use super::discovery::Endpoints;
use super::error::TokenError;
use super::explain::ErrorWords;
use super::provider::{self, Resource};
use super::registration::{Era, Registration};
use crate::clock::Timestamp;
use crate::http::is_loopback;
use crate::secret::Secret;

/// Sign-ins that may be under way at once; beyond it the one that ends first makes room.
const MAX_SIGN_INS: usize = 100;

/// A sign-in that waits for somebody at the provider's page.
pub struct SignIn {
    /// The account.
    pub account: String,
    /// The page to open in a browser.
    pub url: Url,
    /// What the redirect must bring back.
    pub state: String,
    /// Where the provider sends the browser afterwards.
    pub redirect_uri: Url,
    /// When it is too late.
    pub expires: Timestamp,
}

impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignIn(until {})", self.expires)
    }
}

/// A sign-in that succeeded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedIn {
    /// The account.
    pub account: String,
    /// Who signed in, as the provider says.
    pub name: Option<String>,
    /// Another name than the mailbox signed in: nothing is sent until somebody says that it is meant
    /// (`TokenManager::confirm`), signs in again, or sets `sign_in_as`.
    pub question: Option<String>,
    /// What to look at: a token that is not on disk yet, consent that is still to be given.
    pub notes: Vec<String>,
}

/// How a sign-in ended, and whether it goes on.
#[derive(Debug)]
pub struct Finished {
    /// What was achieved; `None` if the provider refused to consent to everything at once.
    pub signed_in: Option<SignedIn>,
    /// The next page to open: the provider wants consent for each resource by itself.
    pub next: Option<SignIn>,
}

/// What a sign-in asks for, and of whom.
pub(super) struct Request {
    pub(super) registration: Arc<Registration>,
    pub(super) era: Era,
    pub(super) endpoints: Endpoints,
    /// The resources to consent to; the code is redeemed for the first.
    pub(super) resources: Vec<Resource>,
}

/// A sign-in that was begun.
pub(super) struct Pending {
    pub(super) request: Request,
    pub(super) verifier: Secret,
    pub(super) redirect_uri: Url,
    expires: Timestamp,
}

/// The sign-ins under way, by their `state`.
#[derive(Default)]
pub(super) struct SignIns(HashMap<String, Pending>);

impl SignIns {
    /// `redirect_uri` is allowed: see [`allowed_redirect`].
    pub(super) fn begin(&mut self, request: Request, redirect_uri: Url, now: Timestamp) -> Result<SignIn, TokenError> {
        let (state, verifier) = (random()?, random()?);
        let url = authorization_url(&request, &redirect_uri, state.expose(), &verifier)?;
        let expires = now.plus(request.registration.provider.sign_in_timeout);
        self.make_room(now);
        let account = request.registration.account.name.clone();
        let pending = Pending { request, verifier, redirect_uri: redirect_uri.clone(), expires };
        self.0.insert(state.expose().to_owned(), pending);
        Ok(SignIn { account, url, state: state.expose().to_owned(), redirect_uri, expires })
    }

    /// The sign-in with this `state`, which cannot be used again.
    pub(super) fn take(&mut self, state: &str, now: Timestamp) -> Result<Pending, TokenError> {
        let pending = self.0.remove(state).ok_or_else(|| TokenError::SignInNeeded {
            why: "this sign-in is not known here: it was used already, it took too long, or it began elsewhere".into(),
            hint: "start the sign-in again with `oxpost login`".into(),
        })?;
        if now < pending.expires {
            return Ok(pending);
        }
        let account = &pending.request.registration.account.name;
        Err(TokenError::SignInNeeded {
            why: format!("the sign-in of `{account}` took longer than `sign_in_timeout`"),
            hint: format!("start it again: `oxpost login {account}`"),
        })
    }

    /// Ends those of an account.
    pub(super) fn forget(&mut self, account: &str) {
        self.0.retain(|_, pending| pending.request.registration.account.name != account);
    }

    fn make_room(&mut self, now: Timestamp) {
        self.0.retain(|_, pending| now < pending.expires);
        while self.0.len() >= MAX_SIGN_INS
            && let Some(first) =
                self.0.iter().min_by_key(|(_, pending)| pending.expires).map(|(state, _)| state.clone())
        {
            self.0.remove(&first);
        }
    }
}

/// The redirect URI of the configuration, else the caller's on this machine: never one that a request made up.
pub(super) fn allowed_redirect(registration: &Registration, offered: Url) -> Result<Url, TokenError> {
    match &registration.provider.redirect_uri {
        // A loopback address without a port is registered for any port (RFC 8252 section 7.3).
        Some(configured) if is_listened_on(configured) && configured.port().is_none() && is_listened_on(&offered) => {
            let mut url = configured.clone();
            let _only_without_a_host = url.set_port(offered.port());
            return Ok(url);
        }
        Some(configured) => return Ok(configured.clone()),
        None if is_listened_on(&offered) => return Ok(offered),
        None => {}
    }
    Err(TokenError::Configuration {
        why: format!("a sign-in of `{}` can only be redirected to this machine", registration.account.name),
        hint: "set the provider's `redirect_uri`".into(),
    })
}

/// Where a listener of this machine can be: without TLS.
fn is_listened_on(url: &Url) -> bool {
    url.scheme() == "http" && is_loopback(url)
}

fn authorization_url(request: &Request, redirect_uri: &Url, state: &str, verifier: &Secret) -> Result<Url, TokenError> {
    let Registration { account, provider } = &*request.registration;
    let Some(authorize) = &request.endpoints.authorize else {
        return Err(TokenError::Configuration {
            why: format!("`{}` has no page to sign in at", provider.name),
            hint: "write the provider's `authorize_url`, or use `oxpost login --device`".into(),
        });
    };
    let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(verifier.expose().to_owned()));
    let scopes = provider::authorization_scopes(provider, &request.resources);
    let client =
        BasicClient::new(ClientId::new(provider.client_id.clone())).set_auth_uri(AuthUrl::from_url(authorize.clone()));
    let mut asked = client
        .authorize_url(|| CsrfToken::new(state.to_owned()))
        .set_redirect_uri(Cow::Owned(RedirectUrl::from_url(redirect_uri.clone())))
        .set_pkce_challenge(challenge)
        .add_scopes(scopes.into_iter().map(Scope::new));
    for (name, value) in provider::authorization_extras(provider, account) {
        asked = asked.add_extra_param(name, value);
    }
    Ok(asked.url().0)
}

/// Refuses what needs no sign-in.
pub(super) fn check_signs_in(registration: &Registration) -> Result<(), TokenError> {
    let account = &registration.account;
    if !account.grant.is_app() {
        return Ok(());
    }
    Err(TokenError::Configuration {
        why: format!("`{}` has the grant `{}`, which needs no sign-in", account.name, account.grant.word()),
        hint: "nothing to do; to sign in as a person, set the account's `grant` to \"authorization-code\"".into(),
    })
}

/// 256 random bits as 43 characters (RFC 7636 section 4.1).
fn random() -> Result<Secret, TokenError> {
    let mut octets = [0; 32];
    aws_lc_rs::rand::fill(&mut octets)
        .map_err(|_| TokenError::TryLater { why: "the system gives no random octets".into(), retry_after: None })?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(octets)))
}

/// What the provider's redirect says (RFC 6749 sections 4.1.2 and 4.1.2.1; `iss`: RFC 9207).
#[derive(Debug)]
pub(super) struct Redirected {
    pub(super) state: String,
    pub(super) outcome: Result<Secret, ErrorWords>,
    pub(super) issuer: Option<String>,
}

impl Redirected {
    /// Reads a redirected URL, or what a person copied of it: the path with the query, or the query alone.
    pub(super) fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim().trim_matches(['<', '>', '"', '\'']);
        let query = text.split_once('?').map_or(text, |(_, query)| query);
        let query = query.split_once('#').map_or(query, |(query, _)| query);
        let mut fields = HashMap::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if fields.insert(name.into_owned(), value.into_owned()).is_some() {
                return Err(not_a_redirect("it has the same parameter twice"));
            }
        }
        let mut field = |name: &str| fields.remove(name).filter(|value| !value.is_empty());
        let state = field("state").ok_or_else(|| not_a_redirect("it has no `state`"))?;
        let outcome = match (field("error"), field("code")) {
            (Some(error), _) => {
                let description = field("error_description").unwrap_or_default();
                Err(ErrorWords::new(&error, &description, field("error_subtype").as_deref()))
            }
            (None, Some(code)) => Ok(Secret::new(code)),
            (None, None) => return Err(not_a_redirect("it has neither `code` nor `error`")),
        };
        Ok(Self { state, outcome, issuer: field("iss") })
    }
}

fn not_a_redirect(why: &str) -> TokenError {
    TokenError::SignInNeeded {
        why: format!("this is not the address that the provider sent the browser to: {why}"),
        hint: "copy the whole address from the browser after the sign-in, or start again with `oxpost login`".into(),
    }
}

impl Pending {
    /// Refuses a redirect of another provider (mix-up, RFC 9700 section 4.4): it is the issuer's own name if that is
    /// known, else issuer and sign-in page share a server. One that says that it always names itself must have done so
    /// (RFC 9207 section 2.4).
    pub(super) fn check_issuer(&self, issuer: Option<&str>) -> Result<(), TokenError> {
        let Request { registration, endpoints, .. } = &self.request;
        let Registration { account, provider } = &**registration;
        let Some(issuer) = issuer else {
            if !endpoints.names_itself {
                return Ok(());
            }
            return Err(TokenError::SignInNeeded {
                why: format!(
                    "the answer to the sign-in of `{}` does not say that it is from `{}`, which that provider always \
                     says",
                    account.name, provider.name
                ),
                hint: format!(
                    "start over with `oxpost login {}`, and paste the whole address if you paste it",
                    account.name
                ),
            });
        };
        let same_server = || {
            let sent = Url::parse(issuer).map(|issuer| provider::server(&issuer)).ok();
            sent.is_some() && sent == endpoints.authorize.as_ref().map(provider::server)
        };
        if endpoints.issuer.as_deref().map_or_else(same_server, |known| known == issuer) {
            return Ok(());
        }
        Err(TokenError::SignInNeeded {
            why: format!("the sign-in of `{}` was answered by another provider than `{}`", account.name, provider.name),
            hint: format!("do not use that page again; start over with `oxpost login {}`", account.name),
        })
    }
}
