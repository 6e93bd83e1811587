//! Reads commands and obeys those that are there before a login.

use super::{Action, MAX_COMMANDS, Next, Question, Session, State};
use crate::octets::Line;
use crate::sasl::{Credentials, Exchange, Mechanism, SaslError, Turn, check_name};
use crate::secret::Secret;

/// Commands that are there after the login alone (RFC 1939).
const LATER: [&str; 10] = ["STAT", "LIST", "RETR", "DELE", "NOOP", "RSET", "TOP", "UIDL", "LAST", "LANG"];

const WRONG: &str = "[AUTH] Wrong login or password";

impl Session {
    pub(super) fn command_step(&mut self, user: Option<String>) -> Next {
        let line = match self.input.line() {
            None => {
                self.state = State::Command { user };
                return Next::Starved;
            }
            Some(Line::TooLong) => return self.refuse("Line too long"),
            Some(Line::Whole(line)) => line,
        };
        self.commands += 1;
        if self.commands > MAX_COMMANDS {
            return self.hang_up("Too many commands without a login");
        }
        let Ok(line) = String::from_utf8(line) else { return self.refuse("A command is ASCII or UTF-8") };
        if line.chars().any(char::is_control) {
            return self.refuse("Control character in a command");
        }
        let (word, argument) = line.split_once(' ').map_or((line.as_str(), None), |(word, rest)| (word, Some(rest)));
        self.obey(&word.to_ascii_uppercase(), argument, user)
    }

    fn obey(&mut self, word: &str, argument: Option<&str>, user: Option<String>) -> Next {
        match (word, argument) {
            ("CAPA", None) => self.capabilities(user),
            ("QUIT", None) => {
                self.say("+OK Goodbye");
                self.input.clear();
                self.state = State::Closing;
                Next::Again
            }
            ("STLS", None) => self.start_tls(),
            ("USER" | "PASS" | "AUTH", Some(_)) if !self.takes_logins() => self.needs_tls(),
            ("USER", Some(name)) => self.user(name.trim_end_matches(' ')),
            ("PASS", Some(password)) => self.pass(user, password),
            ("AUTH", None) => self.list_mechanisms(),
            ("AUTH", Some(argument)) => self.auth(argument),
            ("USER" | "PASS", None) => self.refuse("An argument is missing"),
            ("APOP", _) => self.refuse("APOP is not served: the password would have to be kept in clear"),
            ("CAPA" | "QUIT" | "STLS", Some(_)) => self.refuse("This command takes no argument"),
            (word, _) if LATER.contains(&word) => self.refuse("Log in first"),
            _ => self.refuse("Unknown command"),
        }
    }

    /// TOP and UIDL are there after the login: every provider has them, and clients ask before it alone.
    fn capabilities(&mut self, user: Option<String>) -> Next {
        self.say("+OK That is what there is before a login");
        self.say("TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE");
        if self.options.starttls && !self.tls {
            self.say("STLS");
        }
        if self.takes_logins() {
            let names: Vec<_> = self.mechanisms().into_iter().map(Mechanism::name).collect();
            self.say("USER");
            self.say(&format!("SASL {}", names.join(" ")));
        }
        self.say("IMPLEMENTATION oxpost");
        self.reply(".", user)
    }

    fn start_tls(&mut self) -> Next {
        if self.tls {
            return self.refuse("TLS is there already");
        }
        if !self.options.starttls {
            return self.refuse("STLS is not offered");
        }
        // What came in clear behind the command could have been put there by anybody on the way.
        self.input.clear();
        self.say("+OK Begin TLS now");
        self.state = State::StartingTls;
        Next::Again
    }

    fn needs_tls(&mut self) -> Next {
        self.refuse(if self.options.starttls {
            "Use STLS before a login"
        } else {
            "No logins are taken here without TLS"
        })
    }

    fn user(&mut self, name: &str) -> Next {
        if name.is_empty() {
            return self.refuse("An argument is missing");
        }
        if check_name(name).is_err() {
            return self.refuse("The name is too long");
        }
        self.reply("+OK And the password", Some(name.to_owned()))
    }

    /// A password may have blanks, even at its ends.
    fn pass(&mut self, user: Option<String>, password: &str) -> Next {
        let Some(login) = user else { return self.refuse("USER comes first") };
        let credentials = Credentials::Password { authorization_id: None, login, password: Secret::new(password) };
        self.ask(Question::LogIn, Action::LogIn(credentials))
    }

    /// AUTH without an argument asks for the mechanisms; RFC 5034 does not have it, and programs of old do.
    fn list_mechanisms(&mut self) -> Next {
        self.say("+OK");
        for mechanism in self.mechanisms() {
            self.say(mechanism.name());
        }
        self.reply(".", None)
    }

    fn auth(&mut self, argument: &str) -> Next {
        let mut words = argument.split_ascii_whitespace();
        let offered = self.mechanisms();
        let mechanism = words.next().and_then(Mechanism::named).filter(|mechanism| offered.contains(mechanism));
        let Some(mechanism) = mechanism else { return self.refuse("This mechanism is not offered") };
        let exchange = Exchange::begin(mechanism);
        match (words.next(), words.next()) {
            (None, _) => self.challenge(exchange),
            (Some("="), None) => self.respond(exchange, ""),
            (Some(response), None) => self.respond(exchange, response),
            (Some(_), Some(_)) => self.refuse("AUTH takes a mechanism and one response"),
        }
    }

    pub(super) fn response_step(&mut self, exchange: Exchange) -> Next {
        let line = match self.input.line() {
            None => {
                self.state = State::Authenticating(exchange);
                return Next::Starved;
            }
            Some(Line::TooLong) => return self.refuse("The response is too long"),
            Some(Line::Whole(line)) => line,
        };
        match std::str::from_utf8(&line) {
            Ok("*") => self.refuse("Cancelled"),
            Ok(response) => self.respond(exchange, response.trim_ascii()),
            Err(_) => self.refuse("The response is not base64"),
        }
    }

    fn challenge(&mut self, exchange: Exchange) -> Next {
        self.say(&format!("+ {}", exchange.challenge()));
        self.state = State::Authenticating(exchange);
        Next::Again
    }

    fn respond(&mut self, exchange: Exchange, response: &str) -> Next {
        match exchange.respond(response) {
            Ok(Turn::Again(exchange)) => self.challenge(exchange),
            Ok(Turn::Done(credentials)) => self.ask(Question::LogIn, Action::LogIn(credentials)),
            Err(SaslError::NotBase64) => self.refuse("The response is not base64"),
            Err(SaslError::TooLong) => self.refuse("The response is too long"),
            Err(SaslError::Form) => self.refuse("The response is not of the mechanism's form"),
            Err(SaslError::Character) => self.refuse(WRONG),
        }
    }
}
