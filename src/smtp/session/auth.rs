//! AUTH PLAIN and AUTH LOGIN (RFC 4954).

use super::state::{Exchange, Identity, Message, Question, State};
use super::{Session, Step};
use crate::sasl::{self, SaslError};
use crate::smtp::input::Line;
use crate::smtp::{Action, AuthResult, AuthRule, Credentials, Mechanism, Reply, replies};

impl Session {
    /// The AUTH command.
    pub(super) fn auth(&mut self, mechanism: &str, initial_response: Option<&str>, message: Message) -> Step {
        if let Err(reply) = self.may_authenticate(&message) {
            return self.refuse(&reply, message);
        }
        let exchange = match mechanism.to_ascii_uppercase().as_str() {
            "PLAIN" => Exchange::Plain,
            "LOGIN" => Exchange::Login,
            _ => return self.refuse(&replies::UNKNOWN_MECHANISM, message),
        };
        match initial_response {
            // "=" is an initial response of no octets.
            Some("=") => self.respond(exchange, ""),
            Some(response) => self.respond(exchange, response),
            None => self.challenge(exchange),
        }
    }

    /// The answer to [`Action::Authenticate`].
    pub fn authenticated(&mut self, result: AuthResult) {
        let State::Asked(Question::Credentials) = self.state else { return };
        match result {
            AuthResult::Accepted => {
                self.identity = Identity::Login;
                self.reply(&replies::AUTHENTICATED, Message::None);
            }
            AuthResult::Refused(reply) => {
                self.refuse(&reply, Message::None);
            }
        }
    }

    /// A line of the client while AUTH waits for one.
    pub(super) fn auth_step(&mut self, exchange: Exchange) -> Step {
        let line = match self.input.line() {
            None => {
                self.state = State::Authenticating(exchange);
                return Step::Starved;
            }
            Some(Line::Whole(line)) if line.len() <= sasl::MAX_RESPONSE => line,
            Some(Line::Whole(_) | Line::TooLong) => return self.refuse(&replies::AUTH_LINE_TOO_LONG, Message::None),
        };
        match std::str::from_utf8(&line) {
            Ok("*") => self.refuse(&replies::AUTH_CANCELLED, Message::None),
            Ok(response) => self.respond(exchange, response.trim_ascii()),
            Err(_) => self.refuse(&replies::AUTH_SYNTAX, Message::None),
        }
    }

    fn may_authenticate(&self, message: &Message) -> Result<(), Reply> {
        match self.options.auth {
            AuthRule::Never => return Err(replies::NO_AUTH),
            AuthRule::OverTlsOnly if !self.tls => return Err(replies::AUTH_NEEDS_TLS),
            AuthRule::OverTlsOnly | AuthRule::Always => {}
        }
        match message {
            _ if self.hello.is_none() => Err(replies::HELLO_FIRST),
            _ if self.identity == Identity::Login => Err(replies::AUTH_ALREADY),
            Message::Open(_) | Message::Chunked(_) => Err(replies::AUTH_IN_MAIL),
            Message::None => Ok(()),
        }
    }

    fn challenge(&mut self, exchange: Exchange) -> Step {
        let challenge = match exchange {
            Exchange::Plain => replies::CHALLENGE_EMPTY,
            Exchange::Login => replies::CHALLENGE_LOGIN,
            Exchange::Password { .. } => replies::CHALLENGE_PASSWORD,
        };
        challenge.write_to(&mut self.output);
        self.state = State::Authenticating(exchange);
        Step::Again
    }

    /// Goes on with what the client said.
    fn respond(&mut self, exchange: Exchange, response: &str) -> Step {
        let said = match exchange {
            Exchange::Plain => plain(response),
            Exchange::Login => match login(response) {
                Ok(login) => return self.challenge(Exchange::Password { login }),
                Err(error) => Err(error),
            },
            Exchange::Password { login } => password(login, response),
        };
        match said {
            Ok(credentials) => self.ask(Question::Credentials, Action::Authenticate(credentials)),
            Err(error) => self.refuse(&reply_to(error), Message::None),
        }
    }
}

fn plain(response: &str) -> Result<Credentials, SaslError> {
    let plain = sasl::decode_plain(response)?;
    Ok(Credentials {
        mechanism: Mechanism::Plain,
        authorization_id: Some(plain.authorization_id).filter(|id| !id.is_empty()),
        login: plain.login,
        password: plain.password,
    })
}

fn login(response: &str) -> Result<String, SaslError> {
    let login = sasl::decode_login_part(response)?;
    sasl::check_name(login.expose())?;
    Ok(login.expose().to_owned())
}

fn password(login: String, response: &str) -> Result<Credentials, SaslError> {
    let password = sasl::decode_login_part(response)?;
    Ok(Credentials { mechanism: Mechanism::Login, authorization_id: None, login, password })
}

fn reply_to(error: SaslError) -> Reply {
    match error {
        SaslError::TooLong => replies::AUTH_LINE_TOO_LONG,
        SaslError::NotBase64 | SaslError::Form => replies::AUTH_SYNTAX,
        SaslError::Character => replies::AUTH_FAILED,
    }
}
