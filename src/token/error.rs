//! Why an account has no token, in three kinds.

use std::time::Duration;

use super::causes::SIGN_IN;
use crate::mail::{Failure, Reason};
use crate::store::StoreError;

/// Why there is no access token. The texts are for people and hold no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The trouble is expected to pass: network, overload, trouble of the provider.
    #[error("{why}")]
    TryLater {
        /// What happened.
        why: String,
        /// How long it makes no sense to ask again.
        retry_after: Option<Duration>,
    },
    /// Somebody must sign the account in.
    #[error("{why}; {hint}")]
    SignInNeeded {
        /// What happened.
        why: String,
        /// The next step.
        hint: String,
    },
    /// The provider rejects the app's settings.
    #[error("{why}; {hint}")]
    Configuration {
        /// What happened.
        why: String,
        /// The next step.
        hint: String,
    },
    /// No account of that name is configured.
    #[error("there is no account `{0}`")]
    UnknownAccount(String),
}

impl TokenError {
    /// What happened, without the next step.
    pub fn why(&self) -> String {
        match self {
            Self::TryLater { why, .. } | Self::SignInNeeded { why, .. } | Self::Configuration { why, .. } => {
                why.clone()
            }
            Self::UnknownAccount(_) => self.to_string(),
        }
    }

    /// Whether the next step is to sign the account in and nothing else: a button for it says everything.
    pub fn is_sign_in_alone(&self, account: &str) -> bool {
        matches!(self, Self::SignInNeeded { hint, .. } if *hint == SIGN_IN.replace("{account}", account))
    }

    /// The next step, where one is known.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::SignInNeeded { hint, .. } | Self::Configuration { hint, .. } => Some(hint),
            Self::TryLater { .. } | Self::UnknownAccount(_) => None,
        }
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        let words = error.to_string();
        match error {
            TokenError::TryLater { retry_after, .. } => {
                Self::new(Reason::TokenUnavailable, words).retry_after(retry_after)
            }
            TokenError::SignInNeeded { .. } => Self::new(Reason::SignInNeeded, words),
            TokenError::Configuration { .. } | TokenError::UnknownAccount(_) => {
                Self::new(Reason::ConfigurationRejected, words)
            }
        }
    }
}

/// Why the token manager does not start.
#[derive(Debug, thiserror::Error)]
pub enum TokenStoreError {
    /// The stored refresh tokens cannot be read.
    #[error("the stored refresh tokens cannot be read: {0}")]
    Store(#[from] StoreError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_becomes_a_failure_that_waits() {
        let (why, hint) = ("why".to_owned(), "do this".to_owned());
        let wait = Some(Duration::from_secs(7));
        let table = [
            (TokenError::TryLater { why: why.clone(), retry_after: wait }, Reason::TokenUnavailable, "why", wait),
            (
                TokenError::SignInNeeded { why: why.clone(), hint: hint.clone() },
                Reason::SignInNeeded,
                "why; do this",
                None,
            ),
            (TokenError::Configuration { why, hint }, Reason::ConfigurationRejected, "why; do this", None),
            (TokenError::UnknownAccount("x".into()), Reason::ConfigurationRejected, "there is no account `x`", None),
        ];
        for (error, reason, words, wait) in table {
            assert_eq!(Failure::from(error), Failure::new(reason, words).retry_after(wait));
        }
    }
}
