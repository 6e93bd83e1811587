//! What opens doors: access tokens, and the grants they are minted from.
mod settings;
pub use settings::{AccountSettings, ClientAuthentication, Grant, Provider, ProviderKind, Purpose, Settings};
