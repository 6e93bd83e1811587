//! How accounts stand, for people.

use std::sync::Arc;

use super::TokenManager;
use super::error::TokenError;
use super::manager::Entry;
use super::standing::Standing;
use super::warnings::{self, Warning};
use crate::clock::Timestamp;

/// What to show of an account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountStatus {
    /// Its name.
    pub account: String,
    /// The name of its provider.
    pub provider: String,
    /// How it gets tokens, as the configuration calls it.
    pub grant: &'static str,
    /// Nobody signs in for it: the app itself or the machine has its tokens.
    pub is_app: bool,
    /// What is wrong, if anything is.
    pub error: Option<TokenError>,
    /// What is wrong is the open question whether whoever signed in is meant: somebody may confirm it.
    pub question: bool,
    /// Since when.
    pub since: Option<Timestamp>,
    /// When the longest-lived access token ends; `None`: none was needed yet.
    pub expires: Option<Timestamp>,
    /// Who signed in, as the provider says.
    pub name: Option<String>,
    /// The newest refresh token is not on disk: the program should not be stopped.
    pub unsaved: bool,
    /// What will go wrong unless somebody does something.
    pub warnings: Vec<Warning>,
}

impl AccountStatus {
    /// Where the account stands, in words.
    pub fn words(&self) -> &'static str {
        match (&self.error, self.expires) {
            (Some(TokenError::TryLater { .. }), _) => "waits for the provider",
            (Some(TokenError::SignInNeeded { .. }), _) => "must be signed in",
            (Some(TokenError::Configuration { .. } | TokenError::UnknownAccount(_)), _) => "is set up wrongly",
            (None, Some(_)) => "works",
            (None, None) => "is ready",
        }
    }
}

impl TokenManager {
    /// How all configured accounts stand, by name.
    pub fn status(&self) -> Vec<AccountStatus> {
        let now = self.inner.clock.now();
        let status = |entry: Arc<Entry>| {
            let state = entry.state();
            let Standing { error, question, since, expires, name, life } = state.standing(now)?;
            let registration = state.registration()?;
            let found = entry.found().values().cloned().collect::<Vec<_>>();
            Some(AccountStatus {
                account: entry.name.clone(),
                provider: registration.provider.name.clone(),
                grant: registration.account.grant.word(),
                is_app: registration.account.grant.is_app(),
                error,
                question,
                since,
                expires,
                name,
                unsaved: state.unsaved().is_some(),
                warnings: warnings::of(&registration, life, now).into_iter().chain(found).collect(),
            })
        };
        self.entries().into_iter().filter_map(status).collect()
    }
}
