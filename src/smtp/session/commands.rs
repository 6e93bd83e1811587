//! What each command does.

use super::state::{Hello, Identity, Intake, Opening, State, Transaction};
use super::{Session, Step};
use crate::mail::ReversePath;
use crate::smtp::command::{self, Chunk, Command, NotACommand};
use crate::smtp::input::Line;
use crate::smtp::{Action, AuthRule, MailRequest, RcptRequest, RcptTarget, Reply, replies};

impl Session {
    /// Reads one command, if it is there, and obeys it.
    pub(super) fn command_step(&mut self) -> Step {
        let line = match self.input.line() {
            None => return Step::Starved,
            Some(Line::Whole(line)) => line,
            Some(Line::TooLong) => {
                self.refuse(replies::LINE_TOO_LONG);
                return Step::Again;
            }
        };
        match command::parse(&line) {
            Ok(command) => return self.obey(command),
            Err(NotACommand::Refused(reply)) => self.refuse(reply),
            Err(NotACommand::Fatal(reply)) => self.hang_up(reply),
        }
        Step::Again
    }

    fn obey(&mut self, command: Command<'_>) -> Step {
        match command {
            Command::Ehlo(name) => return self.say_hello(Hello::new(name, true)),
            Command::Helo(name) => return self.say_hello(Hello::new(name, false)),
            Command::StartTls => self.start_tls(),
            Command::Auth { mechanism, initial_response } => return self.auth(mechanism, initial_response),
            Command::Mail(request) => return self.mail(request),
            Command::Rcpt(request) => return self.rcpt(request),
            Command::Data => return self.data(),
            Command::Bdat(chunk) => return self.bdat(chunk),
            Command::Rset => {
                self.reply(replies::DONE);
                return self.reset();
            }
            Command::Noop => self.reply(replies::DONE),
            Command::Vrfy => self.reply(replies::NOT_VERIFIED),
            Command::Help => self.reply(replies::HELP),
            Command::Quit => self.hang_up(replies::GOODBYE),
        }
        Step::Again
    }

    /// EHLO and HELO end an open message (RFC 5321 section 4.1.4); the login stays.
    fn say_hello(&mut self, hello: Hello) -> Step {
        let words = if hello.extended { self.extensions() } else { self.options.hostname.clone() };
        self.hello = Some(hello);
        self.reply(Reply::basic(250, "").saying(&words));
        self.reset()
    }

    /// The answer to EHLO, one keyword a line.
    fn extensions(&self) -> String {
        let mut words = format!("{}\nPIPELINING\nSIZE {}\n8BITMIME\n", self.options.hostname, self.options.max_octets);
        if self.options.smtputf8 {
            words.push_str("SMTPUTF8\n");
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
    fn reset(&mut self) -> Step {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::BetweenChunks(content) if matches!(content.intake, Intake::Open { .. }) => {
                Step::Do(Action::DiscardBody)
            }
            _ => Step::Again,
        }
    }

    fn start_tls(&mut self) {
        let refusal = match &self.state {
            _ if self.tls => replies::TLS_ALREADY,
            _ if !self.options.starttls => replies::NO_TLS,
            _ if self.identity == Identity::Login => replies::TLS_AFTER_AUTH,
            State::BetweenChunks(_) => replies::CHUNKS_OPEN,
            _ => {
                // What came in clear behind the command could have been put there by anybody on the way.
                self.input.clear();
                self.reply(replies::START_TLS);
                self.state = State::StartingTls;
                return;
            }
        };
        self.refuse(refusal);
    }

    fn mail(&mut self, request: MailRequest) -> Step {
        if let Err(reply) = self.may_send(&request) {
            self.refuse(reply);
            return Step::Again;
        }
        self.ask(State::AskedMail { smtputf8: request.smtputf8 }, Action::Mail(request))
    }

    fn may_send(&self, request: &MailRequest) -> Result<(), Reply> {
        match &self.state {
            _ if self.hello.is_none() => return Err(replies::HELLO_FIRST),
            State::BetweenChunks(_) => return Err(replies::CHUNKS_OPEN),
            State::Transaction(_) => return Err(replies::NESTED_MAIL),
            _ => {}
        }
        if self.options.auth_required && self.identity == Identity::Stranger {
            let needs_tls = self.options.auth == AuthRule::OverTlsOnly && !self.tls;
            return Err(if needs_tls { replies::TLS_AND_AUTH_REQUIRED } else { replies::AUTH_REQUIRED });
        }
        if request.smtputf8 && !self.options.smtputf8 {
            return Err(replies::UNKNOWN_PARAMETER);
        }
        if let ReversePath::Mailbox(address) = &request.reverse_path
            && !address.is_ascii()
            && !request.smtputf8
        {
            return Err(replies::NEEDS_SMTPUTF8);
        }
        if request.size.is_some_and(|size| size > self.options.max_octets) {
            return Err(replies::TOO_LARGE);
        }
        Ok(())
    }

    /// The answer to [`Action::Mail`].
    pub fn mail_answered(&mut self, answer: Result<(), Reply>) {
        let State::AskedMail { smtputf8 } = self.state else { return };
        match answer {
            Ok(()) => {
                self.state = State::Transaction(Transaction { smtputf8, ..Transaction::default() });
                self.reply(replies::SENDER_OK);
            }
            Err(reply) => {
                self.state = State::Idle;
                self.reply(reply);
            }
        }
    }

    fn rcpt(&mut self, request: RcptRequest) -> Step {
        let max_recipients = self.options.max_recipients;
        let refusal = match &mut self.state {
            State::Transaction(transaction) => match &request.target {
                RcptTarget::Address(address) if !address.is_ascii() && !transaction.smtputf8 => {
                    transaction.refused = true;
                    replies::NEEDS_SMTPUTF8
                }
                _ if transaction.accepted >= max_recipients => {
                    // No error of the client: RFC 5321 section 4.5.3.1.10 has it try the others later.
                    self.reply(replies::TOO_MANY_RECIPIENTS);
                    return Step::Again;
                }
                _ => {
                    let transaction = std::mem::take(transaction);
                    return self.ask(State::AskedRcpt(transaction), Action::Rcpt(request));
                }
            },
            State::BetweenChunks(_) => replies::CHUNKS_OPEN,
            _ => self.no_transaction(),
        };
        self.refuse(refusal);
        Step::Again
    }

    /// The answer to [`Action::Rcpt`].
    pub fn recipient_answered(&mut self, answer: Result<(), Reply>) {
        if !matches!(self.state, State::AskedRcpt(_)) {
            return;
        }
        let State::AskedRcpt(mut transaction) = std::mem::replace(&mut self.state, State::Idle) else { return };
        match answer {
            Ok(()) => {
                transaction.accepted += 1;
                self.reply(replies::RECIPIENT_OK);
            }
            Err(reply) => {
                transaction.refused = true;
                self.reply(reply);
            }
        }
        self.state = State::Transaction(transaction);
    }

    fn data(&mut self) -> Step {
        if !self.input.is_empty() {
            // DATA is the last command of a group (RFC 2920 section 3.1). If it were refused, what follows would be
            // read as commands, although the client meant it as content.
            self.hang_up(replies::TOO_EARLY);
            return Step::Again;
        }
        match self.may_open_content() {
            Ok(()) => self.ask(State::AskedRoom(Opening::Data), Action::StartBody),
            Err(reply) => {
                self.refuse(reply);
                Step::Again
            }
        }
    }

    fn bdat(&mut self, chunk: Chunk) -> Step {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::BetweenChunks(content) => {
                self.state = State::Chunk { content, chunk, left: chunk.octets };
                Step::Again
            }
            before => {
                self.state = before;
                match self.may_open_content() {
                    Ok(()) => self.ask(State::AskedRoom(Opening::Chunk(chunk)), Action::StartBody),
                    Err(reply) => {
                        let then = Box::new(std::mem::replace(&mut self.state, State::Idle));
                        self.state = State::SkippingChunk { left: chunk.octets, reply, then };
                        Step::Again
                    }
                }
            }
        }
    }

    fn may_open_content(&self) -> Result<(), Reply> {
        match &self.state {
            State::Transaction(transaction) if transaction.accepted > 0 => Ok(()),
            State::Transaction(transaction) if transaction.refused => Err(replies::NO_VALID_RECIPIENTS),
            State::Transaction(_) => Err(replies::RCPT_FIRST),
            State::BetweenChunks(_) => Err(replies::CHUNKS_OPEN),
            _ => Err(self.no_transaction()),
        }
    }

    fn no_transaction(&self) -> Reply {
        if self.hello.is_none() { replies::HELLO_FIRST } else { replies::MAIL_FIRST }
    }
}
