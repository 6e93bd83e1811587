//! The XOAUTH2 response, taken apart: not with the gateway's encoder, whose mistakes it would share.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What a client claims.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::practice) struct Claim {
    /// `user=`: the mailbox.
    pub(in crate::practice) mailbox: String,
    /// The access token.
    pub(in crate::practice) token: String,
}

/// What is wrong with a response, for findings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(in crate::practice) enum Malformed {
    #[error("the XOAUTH2 response is not padded standard base64 on one line")]
    Base64,
    #[error("the XOAUTH2 response is not UTF-8")]
    Text,
    #[error("the XOAUTH2 response does not begin with `user=` and an address")]
    User,
    #[error("the XOAUTH2 response does not carry `auth=Bearer ` and a token between two octets of value 1")]
    Auth,
    #[error("the XOAUTH2 response does not end with exactly two octets of value 1")]
    End,
}

/// Decodes `user=` mailbox ^A `auth=Bearer ` token ^A ^A from base64.
pub(in crate::practice) fn decode(response: &str) -> Result<Claim, Malformed> {
    let octets = STANDARD.decode(response).map_err(|_| Malformed::Base64)?;
    let text = String::from_utf8(octets).map_err(|_| Malformed::Text)?;
    let parts: Vec<&str> = text.split('\u{1}').collect();
    let [user, auth, "", ""] = parts[..] else { return Err(Malformed::End) };
    let mailbox = user.strip_prefix("user=").filter(|mailbox| mailbox.contains('@')).ok_or(Malformed::User)?;
    let token = auth.strip_prefix("auth=Bearer ").filter(|token| is_token(token)).ok_or(Malformed::Auth)?;
    Ok(Claim { mailbox: mailbox.to_owned(), token: token.to_owned() })
}

/// RFC 6750 section 2.1, `b68token`.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-._~+/=".contains(&octet))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microsofts_own_example_decodes() {
        let example = concat!(
            "dXNlcj10ZXN0QGNvbnRvc28ub25taWNyb3NvZnQuY29tAWF1dGg9QmVhcmVyIEV3QkFBbDNCQUFVRkZ3VUFvN0ozVm",
            "UwYmpMQldaV0NjbFJDM0VvQUEBAQ==",
        );
        let claim = decode(example).map_err(|error| error.to_string()).unwrap();
        assert_eq!(claim.mailbox, "test@contoso.onmicrosoft.com");
        assert!(claim.token.starts_with("EwBAAl3BAAUF"));
    }

    #[test]
    fn almost_right_is_wrong() {
        let rows = [
            ("user=a@x.example\u{1}auth=Bearer t\u{1}", Malformed::End, "one ^A at the end"),
            ("user=a@x.example\u{1}auth=Bearer t\u{1}\u{1}\n", Malformed::End, "a line feed after the end"),
            ("user=a\u{1}auth=Bearer t\u{1}\u{1}", Malformed::User, "a user name that is no address"),
            ("user=a@x.example\u{1}auth=bearer t\u{1}\u{1}", Malformed::Auth, "bearer in lower case"),
            ("user=a@x.example\u{1}auth=Bearer t t\u{1}\u{1}", Malformed::Auth, "a space in the token"),
            ("user=a@x.example\u{1}host=x\u{1}auth=Bearer t\u{1}\u{1}", Malformed::End, "OAUTHBEARER's fields"),
        ];
        for (text, expected, why) in rows {
            assert_eq!(decode(&STANDARD.encode(text)).err(), Some(expected), "{why}");
        }
        assert_eq!(decode("dXNlcj1h\r\n").err(), Some(Malformed::Base64));
        let unpadded = STANDARD.encode("user=a@x.example\u{1}auth=Bearer t\u{1}\u{1}");
        assert_eq!(decode(unpadded.trim_end_matches('=')).err(), Some(Malformed::Base64), "padding is not optional");
    }
}
