//! SASL: what a client's login looks like (PLAIN, LOGIN), and what ours looks like to a provider (XOAUTH2).

mod exchange;
pub mod reading;

pub use exchange::{Credentials, Denial, Exchange, Mechanism, Turn};

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

/// The message of OAUTHBEARER, in base64 (RFC 7628 section 3.1): a GS2 header with the mailbox, host and port, the token.
pub fn oauthbearer(mailbox: &str, (host, port): (&str, u16), token: &Secret) -> Result<Secret, SaslError> {
    // The same rules as for XOAUTH2 hold.
    xoauth2(mailbox, token)?;
    if host.chars().any(char::is_control) {
        return Err(SaslError::Character);
    }
    // A saslname writes these two in another way (RFC 5801 section 4).
    let name = mailbox.replace('=', "=3D").replace(',', "=2C");
    let token = token.expose();
    let message = Secret::new(format!("n,a={name},\x01host={host}\x01port={port}\x01auth=Bearer {token}\x01\x01"));
    Ok(Secret::new(BASE64.encode(message.expose())))
}

/// The message of PLAIN, in base64 (RFC 4616): no authorization identity, the login, the password.
pub fn plain(login: &str, password: &Secret) -> Result<Secret, SaslError> {
    if login.contains('\0') || password.expose().contains('\0') {
        return Err(SaslError::Character);
    }
    if login.is_empty() || password.expose().is_empty() {
        return Err(SaslError::Form);
    }
    let message = Secret::new(format!("\0{login}\0{}", password.expose()));
    Ok(Secret::new(BASE64.encode(message.expose())))
}

/// One answer of LOGIN, in base64.
pub fn login_part(text: &Secret) -> Secret {
    Secret::new(BASE64.encode(text.expose()))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn base64(message: impl AsRef<[u8]>) -> String {
        BASE64.encode(message)
    }

    #[test]
    fn oauthbearer_names_mailbox_host_and_port() {
        let token = Secret::new("t0ken");
        let message = oauthbearer("a=b,c@x.example", ("smtp.x.example", 587), &token).unwrap();
        let text = String::from_utf8(BASE64.decode(message.expose()).unwrap()).unwrap();
        assert_eq!(text, "n,a=a=3Db=2Cc@x.example,\x01host=smtp.x.example\x01port=587\x01auth=Bearer t0ken\x01\x01");
        assert_eq!(oauthbearer("a\x01b@x", ("h", 1), &token).unwrap_err(), SaslError::Character);
    }

    /// Authorization identity, login, password.
    type Parts = Result<[&'static str; 3], SaslError>;

    #[test]
    fn plain_is_read_or_refused() {
        let name = |count: usize| "n".repeat(count);
        let table: [(Vec<u8>, Parts, &str); 20] = [
            (b"\0scanner\0pw".to_vec(), Ok(["", "scanner", "pw"]), "no authorization identity"),
            (b"scanner\0scanner\0pw".to_vec(), Ok(["scanner", "scanner", "pw"]), "its own"),
            (b"admin\0scanner\0pw".to_vec(), Ok(["admin", "scanner", "pw"]), "that of another is told, not followed"),
            (b"\0a b@c.example\0p w\t:".to_vec(), Ok(["", "a b@c.example", "p w\t:"]), "blanks; a tab in the password"),
            ("\0bj\u{f6}rn\0p\u{e4}ss".into(), Ok(["", "bj\u{f6}rn", "p\u{e4}ss"]), "letters beyond ASCII"),
            (b"".to_vec(), Err(SaslError::Form), "nothing"),
            (b"scanner".to_vec(), Err(SaslError::Form), "one part"),
            (b"scanner\0pw".to_vec(), Err(SaslError::Form), "two parts"),
            (b"\0\0pw".to_vec(), Err(SaslError::Form), "no login"),
            (b"\0scanner\0".to_vec(), Err(SaslError::Form), "no password"),
            (b"\0scanner\0pw\0".to_vec(), Err(SaslError::Character), "a NUL too many"),
            (b"\0u\tadmin\0pw".to_vec(), Err(SaslError::Character), "a tab, which parts fields elsewhere"),
            (
                b"\0u\x01auth=Bearer z\x01\0pw".to_vec(),
                Err(SaslError::Character),
                "ctrl-A, which parts those of XOAUTH2",
            ),
            (b"u\x01\0scanner\0pw".to_vec(), Err(SaslError::Character), "ctrl-A in the authorization identity"),
            (b"\0scanner\0p\x01w".to_vec(), Err(SaslError::Character), "ctrl-A in the password"),
            (b"\0scanner\r\nRSET\0pw".to_vec(), Err(SaslError::Character), "a line end in the login"),
            (b"\0scanner\0pw\r\n".to_vec(), Err(SaslError::Character), "a line end in the password"),
            (b"\0sc\xe4nner\0pw".to_vec(), Err(SaslError::Character), "not UTF-8"),
            (format!("\0{}\0pw", name(256)).into(), Err(SaslError::TooLong), "a long login"),
            (format!("{}\0u\0pw", name(256)).into(), Err(SaslError::TooLong), "a long authorization identity"),
        ];
        for (message, expected, why) in table {
            let plain = decode_plain(&base64(&message));
            let parts = plain.as_ref().map(|p| [p.authorization_id.as_str(), p.login.as_str(), p.password.expose()]);
            assert_eq!(parts.map_err(|error| *error), expected, "{why}");
        }
    }

    #[test]
    fn a_megabyte_is_refused_unread() {
        let megabyte = "A".repeat(1 << 20);
        assert_eq!(decode_plain(&megabyte).err(), Some(SaslError::TooLong));
        assert_eq!(decode_login_part(&megabyte).err(), Some(SaslError::TooLong));
        let longest = base64(format!("\0u\0{}", "p".repeat(9213)));
        assert_eq!(longest.len(), MAX_RESPONSE);
        assert!(decode_plain(&longest).is_ok());
    }

    #[test]
    fn base64_is_taken_with_and_without_padding_and_not_with_anything_else_in_it() {
        for (text, part) in [
            ("c2Nhbm5lcg==", Ok("scanner")),
            ("c2Nhbm5lcg", Ok("scanner")),
            ("", Err(SaslError::Form)),
            ("c2Nhbm5lcg=", Ok("scanner")),
            ("c2Nh bm5lcg==", Err(SaslError::NotBase64)),
            ("c2Nh\nbm5lcg==", Err(SaslError::NotBase64)),
            ("c2Nhbm5lcg===", Err(SaslError::NotBase64)),
            ("c2Nh=bm5lcg", Err(SaslError::NotBase64)),
            ("-_-_", Err(SaslError::NotBase64)),
            ("c", Err(SaslError::NotBase64)),
            ("YQBi", Err(SaslError::Character)),
            ("YQFi", Err(SaslError::Character)),
        ] {
            let decoded = decode_login_part(text);
            assert_eq!(decoded.as_ref().map(Secret::expose).map_err(|error| *error), part, "{text:?}");
        }
    }

    #[test]
    fn xoauth2_is_built_as_microsoft_and_google_document_it() {
        let token = Secret::new("EwBAAl3BAAUFFpUAo7J3Ve0bjLBWZWCclRC3EoAA");
        let message = xoauth2("test@contoso.onmicrosoft.com", &token).unwrap();
        assert_eq!(
            message.expose(),
            "dXNlcj10ZXN0QGNvbnRvc28ub25taWNyb3NvZnQuY29tAWF1dGg9QmVhcmVyIEV3QkFBbDNCQUFVRkZwVUFvN0ozVmUwYmpMQldaV0Nj\
             bFJDM0VvQUEBAQ=="
        );
    }

    #[test]
    fn nothing_adds_a_field_to_xoauth2() {
        for (mailbox, token, error) in [
            ("a@b.example\x01auth=Bearer z", "t", SaslError::Character),
            ("a@b.example\r\nRSET", "t", SaslError::Character),
            ("a@b.example", "t\x01", SaslError::Character),
            ("a@b.example", "t\r\nRSET", SaslError::Character),
            ("a@b.example", "t t", SaslError::Character),
            ("a@b.example", "t\u{e9}", SaslError::Character),
            ("a@b.example", "", SaslError::Form),
            ("", "t", SaslError::Form),
        ] {
            assert_eq!(xoauth2(mailbox, &Secret::new(token)).err(), Some(error), "{mailbox:?} {token:?}");
        }
        assert!(xoauth2("j\u{fc}rgen@b.example", &Secret::new("t")).is_ok());
    }

    #[test]
    fn a_challenge_is_told_on_one_printable_line() {
        let google = "eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIiwic2NvcGUiOiJodHRwczovL21haWwuZ29vZ2xlLmNvbS8ifQ==";
        assert_eq!(challenge_text(google), r#"{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}"#);
        assert_eq!(challenge_text(&base64("one\r\n\ttwo\x1b[31m\0three")), "one two [31m three");
        assert_eq!(challenge_text("not base64, told as it is"), "not base64, told as it is");
        assert_eq!(challenge_text(""), "");
        assert_eq!(challenge_text(&base64("x".repeat(10_000))).len(), MAX_CHALLENGE);
    }
}
