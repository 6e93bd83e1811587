//! SASL: what a client's login looks like (PLAIN, LOGIN), and what ours looks like to a provider (XOAUTH2).

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::secret::Secret;

/// Octets of base64 in one SASL message (RFC 4954 section 4).
pub const MAX_RESPONSE: usize = 12_288;
/// Octets of a login or an authorization identity (RFC 4616 asks for 255 at least).
const MAX_NAME: usize = 255;
/// Characters of a challenge that are shown to people.
const MAX_CHALLENGE: usize = 500;

/// Padding is optional: some devices leave it away.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a client says with PLAIN (RFC 4616).
#[derive(Clone, Debug)]
pub struct Plain {
    /// Whom it wants to act as; empty: as the login itself.
    pub authorization_id: String,
    /// The login; never empty.
    pub login: String,
    /// The password; never empty.
    pub password: Secret,
}

/// Why a SASL message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SaslError {
    /// More than [`MAX_RESPONSE`] octets, or a name of more than 255.
    #[error("longer than SASL allows")]
    TooLong,
    /// Not base64.
    #[error("not base64")]
    NotBase64,
    /// Decoded, but not of the form the mechanism has.
    #[error("not of the form the mechanism has")]
    Form,
    /// A character that has a meaning in SASL or in SMTP, or text that is not UTF-8.
    #[error("a character that is not allowed in a login, password or token")]
    Character,
}

/// Reads the message of PLAIN: authorization identity, NUL, login, NUL, password.
pub fn decode_plain(base64: &str) -> Result<Plain, SaslError> {
    let message = decode(base64)?;
    let text = message.expose();
    let mut parts = text.split('\0');
    let (Some(authorization_id), Some(login), Some(password)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(SaslError::Form);
    };
    if parts.next().is_some() {
        return Err(SaslError::Character);
    }
    if login.is_empty() || password.is_empty() {
        return Err(SaslError::Form);
    }
    check_name(authorization_id)?;
    check_name(login)?;
    check_password(password)?;
    Ok(Plain {
        authorization_id: authorization_id.to_owned(),
        login: login.to_owned(),
        password: Secret::new(password),
    })
}

/// Reads one of the two messages of LOGIN, the login or the password.
pub fn decode_login_part(base64: &str) -> Result<Secret, SaslError> {
    let part = decode(base64)?;
    if part.expose().is_empty() {
        return Err(SaslError::Form);
    }
    check_password(part.expose())?;
    Ok(part)
}

/// Checks a text that is to be used as a login: no control characters, at most 255 octets.
pub fn check_name(name: &str) -> Result<(), SaslError> {
    if name.len() > MAX_NAME {
        Err(SaslError::TooLong)
    } else if name.chars().any(char::is_control) {
        Err(SaslError::Character)
    } else {
        Ok(())
    }
}

/// The message of XOAUTH2, in base64: `user=<mailbox>^Aauth=Bearer <token>^A^A`
/// (<https://developers.google.com/workspace/gmail/imap/xoauth2-protocol>; Microsoft's is the same). A control
/// character in either part would add a field of its own, so it is refused.
pub fn xoauth2(mailbox: &str, token: &Secret) -> Result<Secret, SaslError> {
    let printable = |c: char| ('!'..='~').contains(&c);
    if mailbox.chars().any(char::is_control) || !token.expose().chars().all(printable) {
        return Err(SaslError::Character);
    }
    if mailbox.is_empty() || token.expose().is_empty() {
        return Err(SaslError::Form);
    }
    let message = Secret::new(format!("user={mailbox}\x01auth=Bearer {}\x01\x01", token.expose()));
    Ok(Secret::new(BASE64.encode(message.expose())))
}

/// What a provider says in the challenge after a token it refuses, for people: decoded if it is base64, on one line,
/// printable, at most 500 characters.
pub fn challenge_text(base64: &str) -> String {
    let trimmed = base64.trim();
    let decoded = BASE64.decode(trimmed).ok().filter(|_| !trimmed.is_empty());
    let text = decoded.map_or_else(|| trimmed.to_owned(), |octets| String::from_utf8_lossy(&octets).into_owned());
    let printable: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_CHALLENGE).collect();
    printable.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn decode(base64: &str) -> Result<Secret, SaslError> {
    if base64.len() > MAX_RESPONSE {
        return Err(SaslError::TooLong);
    }
    let octets = BASE64.decode(base64).map_err(|_| SaslError::NotBase64)?;
    String::from_utf8(octets).map(Secret::new).map_err(|_| SaslError::Character)
}

fn check_password(password: &str) -> Result<(), SaslError> {
    let forbidden = |c: char| matches!(c, '\0' | '\x01' | '\r' | '\n');
    if password.contains(forbidden) { Err(SaslError::Character) } else { Ok(()) }
}
