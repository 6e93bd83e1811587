//! What is to be said of an account, from what its tokens are at a moment.

use super::error::TokenError;
use super::registration::{Registration, Root};
use super::state::{AccountState, TokenState};
use crate::clock::Timestamp;

/// What is to be shown of a configured account.
#[derive(Default, Debug)]
pub(super) struct Standing {
    pub(super) error: Option<TokenError>,
    /// The error is the open question about who signed in.
    pub(super) question: bool,
    pub(super) since: Option<Timestamp>,
    pub(super) expires: Option<Timestamp>,
    pub(super) name: Option<String>,
    /// `None` if there is no refresh token.
    pub(super) life: Option<Life>,
}

/// How old a refresh token is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    /// When it was last used with success.
    pub(super) renewed: Timestamp,
    /// When it was issued.
    pub(super) obtained: Timestamp,
    /// When the provider ends it, if it said so.
    pub(super) ends: Option<Timestamp>,
}

/// The open question about who signed in: nothing is sent under a name that may be wrong.
pub(super) fn unanswered(registration: &Registration, root: &Root) -> Option<TokenError> {
    let Root::Grant(grant) = root else { return None };
    let why = registration.question(grant.name.as_deref()).filter(|_| !grant.confirmed)?;
    let account = &registration.account.name;
    let name = grant.name.as_deref().unwrap_or_default();
    let hint = format!(
        "if it is, run `oxpost login {account} --confirm` or write `sign_in_as = \"{name}\"` into the account; if \
         not, run `oxpost login {account}` and sign in as the mailbox"
    );
    Some(TokenError::SignInNeeded { why, hint })
}

impl AccountState {
    /// What to show of the account; `None` if it is not configured.
    pub(super) fn standing(&self, now: Timestamp) -> Option<Standing> {
        let registration = self.registration()?;
        let addressee = registration.addressee();
        Some(match self.tokens() {
            TokenState::NeedsSignIn { error, since } => {
                Standing { error: Some(error.clone()), since: Some(*since), ..Standing::default() }
            }
            TokenState::Active { root, renewed, access, obstacles } => {
                let valid = access.values().filter(|issued| issued.token.expires > now);
                let own = obstacles.iter().filter(|(resource, _)| registration.is_for(resource));
                let standing = own
                    .filter_map(|(_, obstacle)| obstacle.error(&addressee, now).map(|error| (error, obstacle.since)));
                let unanswered = unanswered(&registration, root).map(|error| (error, *renewed));
                let question = unanswered.is_some();
                // As callers hear it: before the answer nothing else counts.
                let (error, since) = unanswered.or(standing.max_by_key(|(_, since)| *since)).unzip();
                let expires = valid.map(|issued| issued.token.expires).max();
                let grant = match root {
                    Root::Grant(grant) => Some(grant),
                    Root::App => None,
                };
                let name = grant.and_then(|grant| grant.name.clone());
                let life = grant.map(|grant| Life { renewed: *renewed, obtained: grant.obtained, ends: grant.ends });
                Standing { error, question, since, expires, name, life }
            }
        })
    }
}
