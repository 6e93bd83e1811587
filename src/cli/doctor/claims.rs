//! A look into an access token of Microsoft. Tokens are meant for the resource and may change their form at any time, so
//! what is read here is a hint for people and decides nothing. Nothing of the token itself is shown.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::secret::Secret;

/// Claims that say whose token it is and what for (Microsoft Learn, "Access token claims reference").
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Claims {
    /// The resource.
    pub(super) aud: String,
    /// Client id (v1.0 tokens).
    pub(super) appid: Option<String>,
    /// Client id (v2.0 tokens).
    pub(super) azp: Option<String>,
    /// Object id of who it speaks for. For an app: that of the Enterprise application.
    pub(super) oid: Option<String>,
    /// The directory.
    pub(super) tid: Option<String>,
    /// Delegated permissions, with blanks between them.
    pub(super) scp: String,
    /// Application permissions.
    pub(super) roles: Vec<String>,
    /// Who signed in.
    pub(super) upn: Option<String>,
}

impl Claims {
    /// Reads a token, if it is one that can be read.
    pub(super) fn of(token: &Secret) -> Option<Self> {
        let mut parts = token.expose().split('.');
        let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
        let octets = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
        serde_json::from_slice(&octets).ok()
    }

    /// Client id.
    pub(super) fn client_id(&self) -> Option<&str> {
        self.appid.as_deref().or(self.azp.as_deref())
    }

    /// Scopes or roles.
    pub(super) fn permissions(&self) -> Vec<&str> {
        self.scp.split_whitespace().chain(self.roles.iter().map(String::as_str)).collect()
    }

    /// Whether one of these is granted.
    pub(super) fn grants(&self, any_of: &[&str]) -> bool {
        self.permissions().iter().any(|held| any_of.iter().any(|wanted| wanted.eq_ignore_ascii_case(held)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> Secret {
        Secret::new(format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims)))
    }

    #[test]
    fn scopes_and_roles_are_read_and_what_is_no_such_token_says_nothing() {
        let person = Claims::of(&token(r#"{"scp":"Mail.Send User.Read","upn":"a@b.example","azp":"id"}"#)).unwrap();
        assert_eq!((person.permissions(), person.client_id()), (vec!["Mail.Send", "User.Read"], Some("id")));
        assert!(person.grants(&["mail.send"]) && !person.grants(&["Mail"]));
        let app = Claims::of(&token(r#"{"roles":["SMTP.SendAsApp"],"appid":"1","azp":"2"}"#)).unwrap();
        assert!(app.grants(&["SMTP.SendAsApp"]) && app.client_id() == Some("1"));
        for opaque in ["", "EwBwA8l6BAAU", "a.b", "a.!.c", "a.e30=.c.d.e"] {
            assert!(Claims::of(&Secret::new(opaque)).is_none_or(|claims| claims.permissions().is_empty()), "{opaque}");
        }
    }
}
