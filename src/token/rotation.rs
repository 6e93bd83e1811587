//! Exchanging the key that refresh tokens are sealed with. At each moment the key file opens every row: first the new
//! key stands before the old one, then the rows are sealed anew in one transaction, then the old key goes. A crash in
//! between is made good by the next start.

use std::sync::PoisonError;

use super::TokenManager;
use super::seal::{SealingKey, SealingKeyError};
use super::tables;
use crate::store::{Store, StoreError};

/// What an exchange of keys did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct KeyRotated {
    /// Grants that are sealed with the new key.
    pub sealed: usize,
    /// Grants that no key at hand opens; they stay as they are.
    pub closed: usize,
}

/// Why keys cannot be exchanged. The old key stays in use.
#[derive(Debug, thiserror::Error)]
pub enum KeyRotationError {
    /// The new key cannot be made or written, or the old one cannot be taken out.
    #[error(transparent)]
    Key(#[from] SealingKeyError),
    /// The rows cannot be written.
    #[error("the refresh tokens cannot be sealed with the new key: {0}; the next start tries again")]
    Store(#[from] StoreError),
}

impl TokenManager {
    /// Makes a new key, seals every grant with it, and forgets the old one.
    ///
    /// # Errors
    /// See [`KeyRotationError`].
    pub async fn rotate_key(&self) -> Result<KeyRotated, KeyRotationError> {
        // Nobody else may write a grant meanwhile: it could be sealed with the key that goes.
        let _nobody_seals = self.inner.sealing.write().await;
        let old = self.key();
        let both = if old.has_older() { old } else { old.with_a_new_one()? };
        self.use_key(both.clone());
        let (alone, done) = finish(&self.inner.store, both).await?;
        self.use_key(alone);
        Ok(done)
    }

    pub(super) fn key(&self) -> SealingKey {
        self.inner.key.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn use_key(&self, key: SealingKey) {
        *self.inner.key.write().unwrap_or_else(PoisonError::into_inner) = key;
    }
}

/// Brings an exchange to its end: seals every row with the first key, and takes the older ones out where the file is
/// ours.
pub(super) async fn finish(store: &Store, both: SealingKey) -> Result<(SealingKey, KeyRotated), KeyRotationError> {
    let (sealed, closed) = tables::reseal(store, &both).await?;
    let alone = both.without_older()?;
    Ok((alone, KeyRotated { sealed, closed }))
}
