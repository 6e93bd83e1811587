//! How the app proves itself at the provider's endpoints (RFC 6749 section 2.3, RFC 7523 section 2.2).

use std::path::Path;

use super::discovery::Endpoints;
use super::explain::Refusal;
use super::identity;
use super::settings::{ClientAuthentication, Provider};
use crate::clock::Timestamp;
use crate::http::Http;
use crate::secret::Secret;

/// Says that `client_assertion` is a JSON Web Token.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Octets of an assertion in a file; what is longer is something else.
const MAX_ASSERTION: usize = 32 * 1024;

/// A proof, ready to be sent once.
pub(super) enum Proof {
    Nothing,
    Post(Secret),
    Basic(Secret),
    Assertion(Secret),
}

impl Proof {
    /// Makes the proof for one request.
    pub(super) async fn of(
        http: &Http,
        provider: &Provider,
        endpoints: &Endpoints,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        Ok(match &provider.authentication {
            ClientAuthentication::None => Self::Nothing,
            ClientAuthentication::SecretPost(secret) => Self::Post(secret.clone()),
            ClientAuthentication::SecretBasic(secret) => Self::Basic(secret.clone()),
            ClientAuthentication::Key(key) => {
                let id = uuid::Uuid::new_v4().to_string();
                let assertion = key.assertion(&provider.client_id, endpoints.token.as_str(), &id, now);
                Self::Assertion(assertion.ok_or_else(|| {
                    let why = format!("`{}`: the client assertion cannot be signed", provider.name);
                    Refusal::setup(why, "check the key in the provider's `certificate`")
                })?)
            }
            ClientAuthentication::TokenFile(path) => Self::Assertion(from_file(&provider.name, path).await?),
            ClientAuthentication::ManagedIdentity(resource) => {
                let minted = identity::token(http, &provider.name, &provider.managed_identity, resource).await?;
                Self::Assertion(minted.access)
            }
        })
    }

    /// The fields of a form that it consists of.
    pub(super) fn fields(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::Nothing | Self::Basic(_) => Vec::new(),
            Self::Post(secret) => vec![("client_secret", secret.expose())],
            Self::Assertion(assertion) => {
                vec![("client_assertion_type", JWT_BEARER), ("client_assertion", assertion.expose())]
            }
        }
    }

    /// What must not come back in words for people.
    pub(super) const fn secret(&self) -> Option<&Secret> {
        match self {
            Self::Nothing => None,
            Self::Post(secret) | Self::Basic(secret) | Self::Assertion(secret) => Some(secret),
        }
    }
}

/// Somebody else keeps the file fresh, so it is read for each request.
async fn from_file(provider: &str, path: &Path) -> Result<Secret, Refusal> {
    let remedy = "check the provider's `federated_token_file`, and that whoever writes it is running";
    let text = tokio::fs::read_to_string(path).await.map(Secret::new).map_err(|error| {
        let why = format!("`{provider}`: the federated token `{}` cannot be read: {error}", path.display());
        Refusal::setup(why, remedy)
    })?;
    let token = text.expose().trim();
    if token.split('.').count() != 3 || token.len() > MAX_ASSERTION || !token.bytes().all(|o| o.is_ascii_graphic()) {
        let why = format!("`{provider}`: `{}` holds no JSON Web Token", path.display());
        return Err(Refusal::setup(why, remedy));
    }
    Ok(Secret::new(token))
}
