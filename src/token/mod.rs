//! What opens doors: access tokens, and the grants they are minted from.
//!
//! A caller asks [`TokenManager::access_token`]. What the account's tokens are at a moment is a value (`state`); the
//! manager asks the token endpoint (`endpoint`) when that value says so, one request per account at a time, and stores
//! a rotated refresh token (`tables`, sealed by `seal`) before the access token leaves the house. A refusal is
//! explained (`explain`) and remembered, so that many callers do not repeat a question that was just answered.

mod access;
mod answer;
mod assertion;
mod causes;
mod consent;
mod device;
mod discovery;
mod endpoint;
mod error;
mod explain;
mod forget;
mod grants;
mod identity;
mod manager;
mod mint;
mod program;
mod proof;
mod provider;
mod registration;
mod renewal;
mod rotation;
mod seal;
mod settings;
mod sign_in;
mod standing;
mod state;
mod status;
mod tables;
#[cfg(test)]
mod tests;
mod warnings;

pub use access::AccessToken;
pub use assertion::{AssertionKey, AssertionKeyError, ServiceAccount};
pub use device::{DeviceProgress, DeviceSignIn};
pub use error::{TokenError, TokenStoreError};
pub use grants::{Finished, SignIn, SignedIn};
pub use manager::TokenManager;
pub use program::ProgramToken;
pub use rotation::{KeyRotated, KeyRotationError};
pub use seal::{SealingKey, SealingKeyError};
pub use settings::{
    AccountSettings, ClientAuthentication, Grant, ManagedIdentity, Provider, ProviderKind, Purpose, Settings,
};
pub use status::AccountStatus;
pub use tables::MIGRATIONS;
pub use warnings::Warning;
