//! Access tokens for programs that speak to the provider themselves.

use std::time::Duration;

use super::TokenManager;
use super::access::AccessToken;
use super::error::TokenError;
use super::settings::Purpose;

/// An access token with how long it is still good.
#[derive(Debug)]
pub struct ProgramToken {
    /// The token.
    pub token: AccessToken,
    /// What is left of its life.
    pub left: Duration,
}

impl TokenManager {
    /// A token for a program: from memory, or asked for.
    ///
    /// # Errors
    /// As [`TokenManager::access_token`]; the provider has nothing that such a token opens.
    pub async fn token_for_program(&self, account: &str, purpose: Purpose) -> Result<ProgramToken, TokenError> {
        let provider = &self.registration(account)?.provider;
        if !purpose.exists_at(provider.kind) {
            let here = Purpose::ALL.iter().filter(|purpose| purpose.exists_at(provider.kind));
            let here: Vec<String> = here.map(|purpose| format!("`{}`", purpose.word())).collect();
            return Err(TokenError::Configuration {
                why: format!("`{}` has nothing that a token for `{}` opens", provider.name, purpose.word()),
                hint: format!("ask for one of {}", here.join(", ")),
            });
        }
        let token =
            self.access_token(account, purpose).await.map_err(|error| self.set_up_first(account, purpose, error))?;
        let left = token.expires.since(self.inner.clock.now());
        Ok(ProgramToken { token, left })
    }

    /// Consent is asked for at the sign-in to what the account is set up for, and to nothing else.
    fn set_up_first(&self, account: &str, purpose: Purpose, error: TokenError) -> TokenError {
        let (TokenError::SignInNeeded { why, .. }, Ok(entry)) = (&error, self.entry(account)) else { return error };
        if !entry.state().refuses_a_program(purpose) {
            return error;
        }
        let word = purpose.word();
        TokenError::SignInNeeded {
            why: why.clone(),
            hint: format!(
                "let `tokens_for` of account `{account}` name `{word}`, reload, then run `oxpost login {account}` and \
                 accept everything it asks for"
            ),
        }
    }
}
