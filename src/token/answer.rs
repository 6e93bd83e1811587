//! A token endpoint's answer (RFC 6749 section 5.1), read leniently where providers differ and strictly where a value
//! goes on into other protocols.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth2::basic::BasicTokenType;
use oauth2::{AccessToken, RefreshToken, Scope, TokenResponse};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::endpoint::Minted;
use super::explain::Refusal;
use crate::mail::failure::one_line;
use crate::secret::Secret;

/// Without `expires_in` a token is used for this long.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(5 * 60);
/// A lifetime of zero or less cannot be meant; asking again at once would only be answered alike.
const SHORTEST_LIFETIME: Duration = Duration::from_secs(60);
/// No longer than this, whatever the answer says.
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Octets of a token: Microsoft's have up to about 4,000, with many groups more.
const MAX_TOKEN: usize = 32 * 1024;
/// Characters of the name in an ID token.
const MAX_NAME: usize = 254;

/// The answer as the `oauth2` crate hands it on. Its `Debug` shows no token.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    access_token: AccessToken,
    #[serde(default = "bearer", deserialize_with = "token_type")]
    token_type: BasicTokenType,
    /// Seconds; AD FS and managed identities send them as text.
    #[serde(default, deserialize_with = "seconds")]
    expires_in: Option<i64>,
    refresh_token: Option<RefreshToken>,
    /// Seconds; Google says so where it puts an end to a grant.
    #[serde(default, deserialize_with = "seconds")]
    refresh_token_expires_in: Option<i64>,
    #[serde(default, rename = "scope", deserialize_with = "scopes")]
    scopes: Option<Vec<Scope>>,
    #[serde(default, skip_serializing)]
    id_token: Option<Secret>,
}

impl TokenResponse for Answer {
    type TokenType = BasicTokenType;

    fn access_token(&self) -> &AccessToken {
        &self.access_token
    }

    fn token_type(&self) -> &BasicTokenType {
        &self.token_type
    }

    fn expires_in(&self) -> Option<Duration> {
        self.expires_in.map(|seconds| match u64::try_from(seconds) {
            Ok(seconds @ 1..) => Duration::from_secs(seconds).min(LONGEST_LIFETIME),
            Ok(0) | Err(_) => SHORTEST_LIFETIME,
        })
    }

    fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }

    fn scopes(&self) -> Option<&Vec<Scope>> {
        self.scopes.as_ref()
    }
}

impl Answer {
    /// The answer's content, if its tokens can be tokens.
    pub(super) fn minted(self, provider: &str) -> Result<Minted, Refusal> {
        let lifetime = self.expires_in().unwrap_or(DEFAULT_LIFETIME);
        let grant_lifetime = self.refresh_token_expires_in.and_then(|seconds| u64::try_from(seconds).ok());
        if self.token_type != BasicTokenType::Bearer {
            let kind = one_line(self.token_type.as_ref());
            return Err(Refusal::setup(
                format!("`{provider}` issues tokens of the type `{kind}`, and oxpost can only use `Bearer`"),
                "set the app up to get bearer tokens",
            ));
        }
        let refresh = self.refresh_token.map(RefreshToken::into_secret).filter(|token| !token.is_empty());
        let access = self.access_token.into_secret();
        if !is_token(&access) || refresh.as_ref().is_some_and(|token| !is_token(token)) {
            return Err(Refusal::later(format!(
                "`{provider}`: the token endpoint's answer holds a token with characters that no token may have, or too many"
            )));
        }
        Ok(Minted {
            access: Secret::new(access),
            lifetime,
            refresh: refresh.map(Secret::new),
            grant_lifetime: grant_lifetime.filter(|seconds| *seconds > 0).map(Duration::from_secs),
            scopes: self.scopes.map(|scopes| scopes.iter().map(|scope| scope.to_string()).collect()),
            name: self.id_token.as_ref().and_then(name),
        })
    }
}

/// Visible ASCII (RFC 6749 appendix A.12, without its blank; RFC 6750 section 2.1 is narrower still): nothing that could end a line or a field of another protocol.
fn is_token(text: &str) -> bool {
    (1..=MAX_TOKEN).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_graphic())
}

/// Who signed in, for people. The ID token came from the token endpoint itself over TLS, so its signature is not
/// needed (OpenID Connect Core section 3.1.3.7, point 6).
fn name(id_token: &Secret) -> Option<String> {
    let claims = id_token.expose().split('.').nth(1)?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?).ok()?;
    let text = |claim: &str| claims.get(claim).and_then(Value::as_str).map(one_line).filter(|text| !text.is_empty());
    let name = text("preferred_username").or_else(|| text("email")).or_else(|| text("upn"))?;
    (name.chars().count() <= MAX_NAME).then_some(name)
}

fn bearer() -> BasicTokenType {
    BasicTokenType::Bearer
}

fn token_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BasicTokenType, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(if text.eq_ignore_ascii_case("bearer") { BasicTokenType::Bearer } else { BasicTokenType::Extension(text) })
}

/// A number, whole or not, or a text that holds one; anything else counts as not given.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let number = value.as_f64().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()));
    // A cast from f64 saturates, and an absurd number is bounded by whoever reads it.
    Ok(number.map(|number| number as i64))
}

/// Scopes between blanks, or, against the standard, as a list.
fn scopes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Scope>>, D::Error> {
    let scope = |text: &str| Scope::new(text.to_owned());
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text.split_whitespace().map(scope).collect()),
        Value::Array(list) => Some(list.iter().filter_map(Value::as_str).map(scope).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minted(fields: &str) -> Result<Minted, String> {
        let body = format!(r#"{{"access_token":"at",{fields}}}"#);
        let answer: Answer = serde_json::from_str(&body).map_err(|error| error.to_string())?;
        answer.minted("contoso").map_err(|refusal| refusal.why)
    }

    #[test]
    fn lifetimes_are_read_as_they_come_and_bounded() {
        let table = [
            (r#""expires_in":3599"#, 3599, "a number"),
            (r#""expires_in":"3599""#, 3599, "text (AD FS, managed identity)"),
            (r#""expires_in":3599.5"#, 3599, "not whole"),
            (r#""expires_in":-5"#, 60, "negative"),
            (r#""expires_in":"-5""#, 60, "negative text"),
            (r#""expires_in":0"#, 60, "zero"),
            (r#""expires_in":1e30"#, 86_400, "absurd"),
            (r#""expires_in":"soon""#, 300, "no number"),
            (r#""expires_in":null"#, 300, "null"),
            (r#""x":1"#, 300, "none"),
        ];
        for (fields, seconds, why) in table {
            assert_eq!(minted(fields).unwrap().lifetime, Duration::from_secs(seconds), "{why}");
        }
    }

    #[test]
    fn scopes_types_and_refresh_tokens_are_read_as_they_come() {
        let answer = minted(r#""token_type":"bearer","scope":"a  b","refresh_token":"""#).unwrap();
        assert_eq!((answer.scopes.unwrap().join(","), answer.refresh.is_none()), ("a,b".into(), true));
        assert_eq!(minted(r#""scope":["a","b"]"#).unwrap().scopes.unwrap().len(), 2);
        assert!(minted(r#""token_type":"BEARER""#).is_ok());
        assert!(minted(r#""token_type":"pop""#).unwrap_err().contains("`pop`"));
    }

    #[test]
    fn a_token_that_could_break_out_of_a_header_is_refused() {
        for (token, why) in
            [("", "empty"), ("a\\r\\nHost: b", "a line end"), ("a\\u0001b", "ctrl-A"), ("a b", "a blank")]
        {
            let body = format!(r#"{{"access_token":"{token}"}}"#);
            let answer: Answer = serde_json::from_str(&body).unwrap();
            assert!(answer.minted("contoso").is_err(), "{why}");
        }
        assert!(minted(r#""refresh_token":"a\nb""#).is_err());
        assert!(minted(&format!(r#""refresh_token":"{}""#, "x".repeat(MAX_TOKEN + 1))).is_err());
    }

    #[test]
    fn the_id_token_tells_who_signed_in() {
        let named = |claims: &str| {
            let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
            minted(&format!(r#""id_token":"{token}""#)).unwrap().name
        };
        assert_eq!(named(r#"{"preferred_username":"a@b.example","email":"c@d"}"#).as_deref(), Some("a@b.example"));
        assert_eq!(named(r#"{"email":"c@d.example"}"#).as_deref(), Some("c@d.example"));
        assert_eq!(named(r#"{"email":"c\r\n\u001b[31md"}"#).as_deref(), Some("c [31md"));
        assert_eq!(named("{}"), None);
        assert_eq!(minted(r#""id_token":"garbage""#).unwrap().name, None);
    }

    #[test]
    fn no_debug_output_shows_a_token() {
        let body = r#"{"access_token":"s3cret","refresh_token":"s3cret","id_token":"s3cret"}"#;
        let answer: Answer = serde_json::from_str(body).unwrap();
        let mut shown = format!("{answer:?}");
        shown += &format!("{:?}", answer.minted("contoso").unwrap());
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
