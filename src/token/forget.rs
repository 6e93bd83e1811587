//! Forgetting a grant.

use super::TokenManager;
use super::consent::Consent;
use super::error::TokenError;
use super::registration::Registration;
use super::settings::Grant;
use super::tables;

impl TokenManager {
    /// Forgets an account's grant, on disk and in memory, and every sign-in that is under way. At the provider it stays
    /// until it ends there.
    ///
    /// # Errors
    /// The account is unknown or has nothing to forget, its refresh token stands in the configuration, or the disk
    /// does not let us.
    pub async fn forget(&self, account: &str) -> Result<(), TokenError> {
        let entry = self.entry(account)?;
        if let Some(registration) = entry.state().registration() {
            forgettable(&registration)?;
        }
        let flight = entry.flight().await;
        tables::remove(&self.inner.store, account).await.map_err(|error| {
            let why = format!("the grant of `{account}` cannot be removed from the disk: {error}");
            TokenError::TryLater { why, retry_after: None }
        })?;
        entry.state().forget(self.inner.clock.now());
        drop(flight);
        // What has begun would bring the grant back.
        self.sign_ins().forget(account);
        self.drop_device_sign_in(account);
        *entry.consent() = Consent::default();
        self.inner.changed.notify_one();
        Ok(())
    }
}

/// Refuses to forget what would be there again after the next start, or was never there.
fn forgettable(registration: &Registration) -> Result<(), TokenError> {
    let account = &registration.account;
    let hint = match account.grant {
        Grant::RefreshToken(Some(_)) => "take `refresh_token` out of the account and reload, then forget it".to_owned(),
        Grant::ClientCredentials | Grant::ServiceAccount | Grant::ManagedIdentity => {
            "nobody signs in for it; to stop it, take the account out of the configuration".to_owned()
        }
        Grant::AuthorizationCode | Grant::DeviceCode | Grant::RefreshToken(None) => return Ok(()),
    };
    let why = format!("what `{}` gets its tokens with stands in the configuration", account.name);
    Err(TokenError::Configuration { why, hint })
}
