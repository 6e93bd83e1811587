//! Reads commands and obeys those that are about the session.

use super::state::{Hello, Identity, Intake, Message, State};
use super::{Session, Step};
use crate::smtp::command::{self, Command, NotACommand};
use crate::smtp::input::Line;
use crate::smtp::{Action, Reply, replies};

impl Session {
    /// Reads one command, if it is there, and obeys it.
    pub(super) fn command_step(&mut self, message: Message) -> Step {
        let line = match self.input.line() {
            None => {
                self.state = State::Command(message);
                return Step::Starved;
            }
            Some(Line::Whole(line)) => line,
            Some(Line::TooLong) => return self.refuse(&replies::LINE_TOO_LONG, message),
        };
        match command::parse(&line) {
            Ok(command) => self.obey(command, message),
            Err(NotACommand::Refused(reply)) => self.refuse(&reply, message),
            Err(NotACommand::Fatal(reply)) => self.hang_up(&reply),
        }
    }

    fn obey(&mut self, command: Command<'_>, message: Message) -> Step {
        match command {
            Command::Ehlo(name) => self.say_hello(Hello::new(name, true), message),
            Command::Helo(name) => self.say_hello(Hello::new(name, false), message),
            Command::StartTls => self.start_tls(message),
            Command::Auth { mechanism, initial_response } => self.auth(mechanism, initial_response, message),
            Command::Mail(request) => self.mail(request, message),
            Command::Rcpt(request) => self.rcpt(request, message),
            Command::Data => self.data(message),
            Command::Bdat(chunk) => self.bdat(chunk, message),
            Command::Rset => self.reset(&replies::DONE, message),
            Command::Noop => self.reply(&replies::DONE, message),
            Command::Vrfy => self.reply(&replies::NOT_VERIFIED, message),
            Command::Help => self.reply(&replies::HELP, message),
            Command::Quit => self.hang_up(&replies::GOODBYE),
        }
    }

    /// EHLO and HELO end an open message (RFC 5321 section 4.1.4); the login stays.
    fn say_hello(&mut self, hello: Hello, message: Message) -> Step {
        let words = if hello.extended { self.extensions() } else { self.options.hostname.clone() };
        self.hello = Some(hello);
        self.reset(&Reply::basic(250, "").saying(&words), message)
    }

    /// The answer to EHLO, one keyword a line.
    fn extensions(&self) -> String {
        let mut words = format!("{}\nPIPELINING\nSIZE {}\n8BITMIME\n", self.options.hostname, self.options.max_octets);
        if self.options.smtputf8 {
            words.push_str("SMTPUTF8\n");
        }
        if self.options.dsn {
            words.push_str("DSN\n");
        }
        words.push_str("CHUNKING\n");
        if self.options.starttls && !self.tls {
            words.push_str("STARTTLS\n");
        }
        if self.offers_auth() {
            words.push_str("AUTH PLAIN LOGIN\n");
        }
        words.push_str("ENHANCEDSTATUSCODES");
        words
    }

    /// Gives up the open message. Content that was stored goes too.
    fn reset(&mut self, reply: &Reply, message: Message) -> Step {
        self.reply(reply, Message::None);
        match message {
            Message::Chunked(content) if matches!(content.intake, Intake::Open { .. }) => Step::Do(Action::DiscardBody),
            Message::Chunked(_) | Message::Open(_) | Message::None => Step::Again,
        }
    }

    fn start_tls(&mut self, message: Message) -> Step {
        let refusal = match message {
            _ if self.tls => replies::TLS_ALREADY,
            _ if !self.options.starttls => replies::NO_TLS,
            _ if self.identity == Identity::Login => replies::TLS_AFTER_AUTH,
            Message::Chunked(_) => replies::CHUNKS_OPEN,
            Message::Open(_) | Message::None => {
                // What came in clear behind the command could have been put there by anybody on the way.
                self.input.clear();
                replies::START_TLS.write_to(&mut self.output);
                self.state = State::StartingTls;
                return Step::Again;
            }
        };
        self.refuse(&refusal, message)
    }
}
