//! The server's side of a SASL login as a value: what to ask next, and who the client says it is. IMAP and POP3 carry
//! the same exchange in different words.

use super::{Plain, SaslError, check_name, decode, decode_login_part, decode_plain};
use crate::secret::Secret;

/// A mechanism that a client may log in by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// Login and password one after the other; never standardised, and what old programs know.
    Login,
    /// A token, as Google and Microsoft wrap it (<https://developers.google.com/workspace/gmail/imap/xoauth2-protocol>).
    XOAuth2,
    /// A token, as RFC 7628 wraps it.
    OAuthBearer,
}

impl Mechanism {
    /// The mechanism of that name, whatever its case.
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::Plain, Self::Login, Self::XOAuth2, Self::OAuthBearer];
        all.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }

    /// Its registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::XOAuth2 => "XOAUTH2",
            Self::OAuthBearer => "OAUTHBEARER",
        }
    }

    /// Whether the client brings a token of its own instead of a password.
    pub const fn brings_a_token(self) -> bool {
        matches!(self, Self::XOAuth2 | Self::OAuthBearer)
    }

    /// What ends the exchange after an error challenge: an empty line, or RFC 7628's single 0x01 in base64.
    pub const fn end_of_error(self) -> &'static str {
        match self {
            Self::OAuthBearer => "AQ==",
            Self::Plain | Self::Login | Self::XOAuth2 => "",
        }
    }
}

/// Who a client says it is.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// A local login.
    Password {
        /// Whom it wants to act as; `None`: as the login itself. Never checked here.
        authorization_id: Option<String>,
        /// The login.
        login: String,
        /// The password.
        password: Secret,
    },
    /// A token that the client got from the provider by itself.
    Token {
        /// The mailbox that it opens.
        mailbox: String,
        /// The access token.
        token: Secret,
    },
}

/// Why a login is refused, as IMAP (RFC 5530) and POP3 (RFC 3206) tell it apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denial {
    /// Wrong login or password: asking again with the same makes no sense.
    Credentials,
    /// Trouble that is not the client's: the same login may work later.
    Unavailable,
}

/// An exchange that waits for the client's next response.
#[derive(Debug)]
pub struct Exchange(Waiting);

#[derive(Debug)]
enum Waiting {
    Plain,
    Login,
    Password { login: String },
    Token(Mechanism),
}

/// What a response leads to.
#[derive(Debug)]
pub enum Turn {
    /// Another challenge.
    Again(Exchange),
    /// All was said.
    Done(Credentials),
}

impl Exchange {
    /// An exchange from its beginning.
    pub const fn begin(mechanism: Mechanism) -> Self {
        Self(match mechanism {
            Mechanism::Plain => Waiting::Plain,
            Mechanism::Login => Waiting::Login,
            Mechanism::XOAuth2 | Mechanism::OAuthBearer => Waiting::Token(mechanism),
        })
    }

    /// The challenge to send, in base64. Programs of old compare those of LOGIN with `Username:` and `Password:`.
    pub const fn challenge(&self) -> &'static str {
        match self.0 {
            Waiting::Plain | Waiting::Token(_) => "",
            Waiting::Login => "VXNlcm5hbWU6",
            Waiting::Password { .. } => "UGFzc3dvcmQ6",
        }
    }

    /// Takes a response in base64.
    ///
    /// # Errors
    /// It is not base64, too long, or not of the mechanism's form.
    pub fn respond(self, response: &str) -> Result<Turn, SaslError> {
        match self.0 {
            Waiting::Plain => plain(response).map(Turn::Done),
            Waiting::Login => {
                let login = decode_login_part(response)?;
                check_name(login.expose())?;
                Ok(Turn::Again(Self(Waiting::Password { login: login.expose().to_owned() })))
            }
            Waiting::Password { login } => {
                let password = decode_login_part(response)?;
                Ok(Turn::Done(Credentials::Password { authorization_id: None, login, password }))
            }
            Waiting::Token(mechanism) => own_token(mechanism, response).map(Turn::Done),
        }
    }
}

fn plain(response: &str) -> Result<Credentials, SaslError> {
    let Plain { authorization_id, login, password } = decode_plain(response)?;
    let authorization_id = Some(authorization_id).filter(|id| !id.is_empty());
    Ok(Credentials::Password { authorization_id, login, password })
}

/// Mailbox and token out of the message that a client would have sent to the provider itself.
fn own_token(mechanism: Mechanism, response: &str) -> Result<Credentials, SaslError> {
    let message = decode(response)?;
    let mut fields = message.expose().split('\x01');
    let first = fields.next().unwrap_or_default();
    let mailbox = match mechanism {
        Mechanism::OAuthBearer => {
            let name = first.strip_prefix("n,a=").and_then(|rest| rest.strip_suffix(','));
            name.ok_or(SaslError::Form)?.replace("=2C", ",").replace("=3D", "=")
        }
        Mechanism::XOAuth2 | Mechanism::Plain | Mechanism::Login => {
            first.strip_prefix("user=").ok_or(SaslError::Form)?.to_owned()
        }
    };
    let token = fields.find_map(|field| field.strip_prefix("auth=Bearer ")).ok_or(SaslError::Form)?;
    let token = Secret::new(token);
    check_name(&mailbox)?;
    // What could not be sent on is refused now.
    super::xoauth2(&mailbox, &token)?;
    Ok(Credentials::Token { mailbox, token })
}

#[cfg(test)]
mod tests {
    use base64::Engine;

    use super::super::BASE64;
    use super::*;

    fn base64(text: &str) -> String {
        BASE64.encode(text)
    }

    fn said(turn: Result<Turn, SaslError>) -> Result<String, SaslError> {
        turn.map(|turn| match turn {
            Turn::Again(exchange) => format!("again {}", exchange.challenge()),
            Turn::Done(Credentials::Password { authorization_id, login, password }) => {
                format!("{} {login} {}", authorization_id.unwrap_or_default(), password.expose())
            }
            Turn::Done(Credentials::Token { mailbox, token }) => format!("token {mailbox} {}", token.expose()),
        })
    }

    #[test]
    fn each_mechanism_says_who_the_client_is() {
        let table = [
            (Mechanism::Plain, "\0joe\0pw", Ok(" joe pw"), "no authorization identity"),
            (Mechanism::Plain, "ann\0joe\0pw", Ok("ann joe pw"), "another's is told"),
            (Mechanism::Login, "joe", Ok("again UGFzc3dvcmQ6"), "the password is asked for"),
            (Mechanism::Login, "jo\te", Err(SaslError::Character), "a tab in the login"),
            (Mechanism::XOAuth2, "user=a@b.example\x01auth=Bearer tok\x01\x01", Ok("token a@b.example tok"), "Google"),
            (Mechanism::XOAuth2, "user=a@b.example\x01auth=Basic tok\x01\x01", Err(SaslError::Form), "no bearer"),
            (Mechanism::XOAuth2, "user=\x01auth=Bearer tok\x01\x01", Err(SaslError::Form), "no mailbox"),
            (Mechanism::XOAuth2, "\0joe\0pw", Err(SaslError::Form), "another mechanism's message"),
            (
                Mechanism::OAuthBearer,
                "n,a=a=2Cb@c.example,\x01host=x\x01port=993\x01auth=Bearer tok\x01\x01",
                Ok("token a,b@c.example tok"),
                "RFC 7628 with host and port",
            ),
            (Mechanism::OAuthBearer, "n,,\x01auth=Bearer tok\x01\x01", Err(SaslError::Form), "no mailbox"),
        ];
        for (mechanism, message, expected, why) in table {
            let turn = said(Exchange::begin(mechanism).respond(&base64(message)));
            assert_eq!(turn, expected.map(str::to_owned), "{why}");
        }
    }

    #[test]
    fn what_we_send_can_be_read_back() {
        let token = Secret::new("abc.def");
        for mechanism in [Mechanism::XOAuth2, Mechanism::OAuthBearer] {
            let message = match mechanism {
                Mechanism::OAuthBearer => super::super::oauthbearer("a=b,c@d.example", ("imap.d.example", 993), &token),
                Mechanism::XOAuth2 | Mechanism::Plain | Mechanism::Login => {
                    super::super::xoauth2("a=b,c@d.example", &token)
                }
            };
            let turn = said(Exchange::begin(mechanism).respond(message.unwrap().expose()));
            assert_eq!(turn, Ok("token a=b,c@d.example abc.def".to_owned()), "{}", mechanism.name());
        }
    }
}
