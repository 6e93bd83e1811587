//! AUTHENTICATE: challenges and responses.

use super::{Action, Next, Question, Session, State};
use crate::octets::Line;
use crate::sasl::{Exchange, SaslError, Turn};

impl Session {
    pub(super) fn response_step(&mut self, tag: String, exchange: Exchange) -> Next {
        let line = match self.input.line() {
            None => {
                self.state = State::Authenticating { tag, exchange };
                return Next::Starved;
            }
            Some(Line::TooLong) => return self.refuse(&format!("{tag} BAD The response is too long")),
            Some(Line::Whole(line)) => line,
        };
        match std::str::from_utf8(&line) {
            Ok("*") => self.refuse(&format!("{tag} BAD Cancelled")),
            Ok(response) => self.respond(tag, exchange, response.trim_ascii()),
            Err(_) => self.refuse(&format!("{tag} BAD The response is not base64")),
        }
    }

    pub(super) fn challenge(&mut self, tag: String, exchange: Exchange) -> Next {
        self.say(&format!("+ {}", exchange.challenge()));
        self.state = State::Authenticating { tag, exchange };
        Next::Again
    }

    pub(super) fn respond(&mut self, tag: String, exchange: Exchange, response: &str) -> Next {
        match exchange.respond(response) {
            Ok(Turn::Again(exchange)) => self.challenge(tag, exchange),
            Ok(Turn::Done(credentials)) => self.ask(Question::LogIn { tag }, Action::LogIn(credentials)),
            Err(SaslError::NotBase64) => self.refuse(&format!("{tag} BAD The response is not base64")),
            Err(SaslError::TooLong) => self.refuse(&format!("{tag} BAD The response is too long")),
            Err(SaslError::Form) => self.refuse(&format!("{tag} BAD The response is not of the mechanism's form")),
            Err(SaslError::Character) => {
                self.refuse(&format!("{tag} NO [AUTHENTICATIONFAILED] Wrong login or password"))
            }
        }
    }
}
