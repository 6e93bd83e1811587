//! MAIL and RCPT.

use super::state::{Identity, Message, Question, State, Transaction};
use super::{Session, Step};
use crate::mail::ReversePath;
use crate::mail::dsn::{MessageWishes, RecipientWishes};
use crate::smtp::{Action, AuthRule, MailRequest, RcptRequest, RcptTarget, Reply, replies};

impl Session {
    pub(super) fn mail(&mut self, request: MailRequest, message: Message) -> Step {
        if let Err(reply) = self.may_send(&message) {
            return self.refuse(&reply, message);
        }
        let asks_for_reports = request.wishes != MessageWishes::default();
        if request.smtputf8 && !self.options.smtputf8 || asks_for_reports && !self.options.dsn {
            return self.refuse(&replies::UNKNOWN_PARAMETER, message);
        }
        if let ReversePath::Mailbox(address) = &request.reverse_path
            && !(address.is_ascii() || request.smtputf8)
        {
            return self.refuse(&replies::NEEDS_SMTPUTF8, message);
        }
        if request.size.is_some_and(|size| size > self.options.max_octets) {
            return self.reply(&replies::TOO_LARGE, message);
        }
        self.ask(Question::Mail { smtputf8: request.smtputf8 }, Action::Mail(request))
    }

    fn may_send(&self, message: &Message) -> Result<(), Reply> {
        match message {
            _ if self.hello.is_none() => Err(replies::HELLO_FIRST),
            Message::Chunked(_) => Err(replies::CHUNKS_OPEN),
            Message::Open(_) => Err(replies::NESTED_MAIL),
            Message::None if self.options.auth_required && self.identity == Identity::Stranger => {
                let needs_tls = self.options.auth == AuthRule::OverTlsOnly && !self.tls;
                Err(if needs_tls { replies::TLS_AND_AUTH_REQUIRED } else { replies::AUTH_REQUIRED })
            }
            Message::None => Ok(()),
        }
    }

    /// The answer to [`Action::Mail`].
    pub fn mail_answered(&mut self, answer: Result<(), Reply>) {
        let State::Asked(Question::Mail { smtputf8 }) = self.state else { return };
        match answer {
            Ok(()) => {
                let transaction = Transaction { smtputf8, ..Transaction::default() };
                self.reply(&replies::SENDER_OK, Message::Open(transaction))
            }
            Err(reply) => self.reply(&reply, Message::None),
        };
    }

    pub(super) fn rcpt(&mut self, request: RcptRequest, message: Message) -> Step {
        let mut transaction = match message {
            Message::Open(transaction) => transaction,
            Message::None => return self.refuse(&self.no_transaction(), message),
            Message::Chunked(_) => return self.refuse(&replies::CHUNKS_OPEN, message),
        };
        if let RcptTarget::Address(address) = &request.target
            && !(address.is_ascii() || transaction.smtputf8)
        {
            transaction.refused = true;
            return self.refuse(&replies::NEEDS_SMTPUTF8, Message::Open(transaction));
        }
        if request.wishes != RecipientWishes::default() && !self.options.dsn {
            transaction.refused = true;
            return self.refuse(&replies::UNKNOWN_PARAMETER, Message::Open(transaction));
        }
        if transaction.accepted >= self.options.max_recipients {
            // No error of the client: RFC 5321 section 4.5.3.1.10 has it send to the others later.
            return self.reply(&replies::TOO_MANY_RECIPIENTS, Message::Open(transaction));
        }
        self.ask(Question::Rcpt(transaction), Action::Rcpt(request))
    }

    /// The answer to [`Action::Rcpt`].
    pub fn recipient_answered(&mut self, answer: Result<(), Reply>) {
        let State::Asked(Question::Rcpt(transaction)) = &mut self.state else { return };
        let mut transaction = std::mem::take(transaction);
        match answer {
            Ok(()) => {
                transaction.accepted += 1;
                self.reply(&replies::RECIPIENT_OK, Message::Open(transaction))
            }
            Err(reply) => {
                transaction.refused = true;
                self.reply(&reply, Message::Open(transaction))
            }
        };
    }

    /// Why a command that needs MAIL before it is refused.
    pub(super) fn no_transaction(&self) -> Reply {
        if self.hello.is_none() { replies::HELLO_FIRST } else { replies::MAIL_FIRST }
    }
}
