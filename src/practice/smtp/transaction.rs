//! MAIL, RCPT, DATA, BDAT: one message.

use std::io;

use super::super::directory::same;
use super::super::faults::{DotFault, Fault, RecipientFault};
use super::super::letter::Addresses;
use super::super::post_office::{Incoming, Place, Via};
use super::super::switches::MessageRate;
use super::command::Mail;
use super::content::{self, DataReader};
use super::session::{Flow, Session};

/// Recipients in one transaction, as Exchange Online has it.
const MAX_RECIPIENTS: usize = 1_000;
/// Messages of one mailbox within a minute (Microsoft Learn, "Improvements in SMTP submission").
const MESSAGES_PER_MINUTE: usize = 30;

const NOT_AUTHENTICATED: &str = "530 5.7.57 Client not authenticated to send mail. [localhost]";
const BAD_SEQUENCE: &str = "503 5.5.1 Bad sequence of commands";
const TOO_LARGE: &str = "552 5.3.4 Message size exceeds fixed maximum message size";

/// A transaction under way.
pub(super) struct Transaction {
    reverse_path: String,
    recipients: Vec<String>,
    smtputf8: bool,
    /// What BDAT brought so far; `None` before the first chunk.
    chunks: Option<Chunks>,
}

/// The chunks of a message.
#[derive(Default)]
struct Chunks {
    content: Vec<u8>,
    too_large: bool,
}

impl Session {
    pub(super) fn mail(&mut self, mail: Mail) -> io::Result<Flow> {
        let Some(login) = &self.login else {
            return self.object(NOT_AUTHENTICATED, "MAIL without AUTH");
        };
        if self.transaction.is_some() {
            return self.object("503 5.5.2 Sender already specified", "MAIL inside a transaction");
        }
        let mailbox = &login.mailbox;
        let fault =
            self.shared.switches.take(Some(&mailbox.address), |fault| (*fault == Fault::MailFrom).then_some(()));
        let reply = "550 5.7.60 SMTP; Client does not have permissions to send as this sender";
        if fault.is_some() {
            return self.reply(reply);
        }
        if !mail.reverse_path.is_empty() && !mailbox.may_send_as(&mail.reverse_path) {
            let why = format!("MAIL FROM `{}`, which `{}` may not send as", mail.reverse_path, mailbox.address);
            return self.object(reply, &why);
        }
        if mail.size.is_some_and(|size| size > self.shared.switches.knobs().smtp_max_octets) {
            return self.object(TOO_LARGE, "MAIL with a SIZE over the limit");
        }
        let Mail { reverse_path, smtputf8, .. } = mail;
        self.transaction = Some(Transaction { reverse_path, recipients: Vec::new(), smtputf8, chunks: None });
        self.reply("250 2.1.0 Sender OK")
    }

    pub(super) fn rcpt(&mut self, address: String) -> io::Result<Flow> {
        let who = self.login.as_ref().map(|login| login.mailbox.address.as_str());
        let Some(transaction) = self.transaction.as_mut().filter(|transaction| transaction.chunks.is_none()) else {
            return self.object("503 5.5.2 Need mail command", "RCPT outside a transaction");
        };
        if !address.is_ascii() && !transaction.smtputf8 {
            return self.object("553 5.6.7 SMTPUTF8 was not announced", "RCPT in UTF-8 without SMTPUTF8");
        }
        let fault = self.shared.switches.take(who, |fault| {
            let Fault::Recipient(meant, fault) = fault else { return None };
            same(meant, &address).then_some(*fault)
        });
        match fault {
            Some(RecipientFault::Temporary) => self.reply("450 4.2.1 The recipient's mailbox is busy, try again later"),
            Some(RecipientFault::Permanent) => self.reply("550 5.1.1 The recipient's address does not exist"),
            None if transaction.recipients.len() == MAX_RECIPIENTS => {
                self.object("452 4.5.3 Too many recipients", "more than 1,000 recipients in a transaction")
            }
            None => {
                transaction.recipients.push(address);
                self.reply("250 2.1.5 Recipient OK")
            }
        }
    }

    pub(super) async fn data(&mut self) -> io::Result<Flow> {
        let ready = |transaction: &Transaction| !transaction.recipients.is_empty() && transaction.chunks.is_none();
        if !self.transaction.as_ref().is_some_and(ready) {
            return self.object("503 5.5.1 Need rcpt command", "DATA without an accepted recipient");
        }
        if self.connection.read_ahead() > 0 {
            // DATA must be the last of a pipelined group (RFC 2920 section 3.1).
            self.shared.note(Place::Smtp, "octets of the message were sent before the 354");
        }
        self.connection.say("354 Start mail input; end with <CRLF>.<CRLF>");
        let mut reader = DataReader::new(self.shared.switches.knobs().smtp_max_octets);
        loop {
            let octets = self.connection.some().await?;
            if let Some(end) = reader.push(&octets) {
                self.connection.put_back(&octets[end..]);
                return self.end_of_message(reader.finish()).await;
            }
        }
    }

    /// RFC 3030 section 2. The octets of a chunk follow its command in any case, so they are read in any case.
    pub(super) async fn bdat(&mut self, octets: usize, last: bool) -> io::Result<Flow> {
        let limit = self.shared.switches.knobs().smtp_max_octets;
        let mut chunks = match &mut self.transaction {
            Some(transaction) if !transaction.recipients.is_empty() => transaction.chunks.take().unwrap_or_default(),
            Some(_) | None => {
                self.read_chunk(octets, &mut Chunks::default(), 0).await?;
                return self.object(BAD_SEQUENCE, "BDAT without an accepted recipient");
            }
        };
        self.read_chunk(octets, &mut chunks, limit).await?;
        if last {
            return self.end_of_message((!chunks.too_large).then_some(chunks.content)).await;
        }
        if let Some(transaction) = &mut self.transaction {
            transaction.chunks = Some(chunks);
        }
        self.reply(&format!("250 2.6.0 CHUNK received OK, {octets} octets"))
    }

    async fn read_chunk(&mut self, octets: usize, chunks: &mut Chunks, limit: usize) -> io::Result<()> {
        let mut left = octets;
        while left > 0 {
            let some = self.connection.some().await?;
            let (chunk, rest) = some.split_at(left.min(some.len()));
            left -= chunk.len();
            if chunks.content.len() + chunk.len() > limit {
                chunks.too_large = true;
            } else {
                chunks.content.extend_from_slice(chunk);
            }
            self.connection.put_back(rest);
        }
        Ok(())
    }

    /// Judges a complete message and takes it, if nothing is in the way.
    async fn end_of_message(&mut self, content: Option<Vec<u8>>) -> io::Result<Flow> {
        let (Some(transaction), Some(login)) = (self.transaction.take(), &self.login) else {
            return self.reply(BAD_SEQUENCE);
        };
        let Some(content) = content else {
            return self.object(TOO_LARGE, "a message over the limit");
        };
        if let Err((reply, why)) = self.judge_content(&content) {
            return self.object(reply, &why);
        }
        let fault = self.shared.switches.take(Some(&login.mailbox.address), Fault::of_end_of_data);
        match fault {
            Some(DotFault::Closing) => {
                self.connection.say("421 4.3.2 Service not active");
                return Ok(Flow::Close);
            }
            Some(DotFault::Temporary) => {
                return self.reply("451 4.7.0 Temporary server error. Please try again later.");
            }
            Some(DotFault::Permanent) => return self.reply("550 5.7.1 The message was refused by policy"),
            Some(DotFault::Says(reply)) => return self.reply(reply),
            Some(DotFault::Lost) => return Ok(Flow::Cut),
            Some(DotFault::TakenThenLost | DotFault::Late(_)) | None => {}
        }
        let incoming = Incoming {
            via: Via::Smtp,
            signed_in: login.signed_in.clone(),
            mailbox: login.mailbox.address.clone(),
            reverse_path: Some(transaction.reverse_path),
            recipients: transaction.recipients,
            raw: content,
            object: None,
        };
        let number = self.shared.take(incoming);
        match fault {
            Some(DotFault::TakenThenLost) => return Ok(Flow::Cut),
            Some(DotFault::Late(delay)) => self.shared.pause(delay).await,
            Some(
                DotFault::Closing | DotFault::Temporary | DotFault::Permanent | DotFault::Says(_) | DotFault::Lost,
            )
            | None => {}
        }
        self.reply(&format!("250 2.0.0 OK <practice-{number}@localhost> [Hostname=localhost]"))
    }

    /// What Exchange finds wrong with a message: the reply, and why.
    fn judge_content(&self, content: &[u8]) -> Result<(), (&'static str, String)> {
        let Some(login) = &self.login else { return Ok(()) };
        if let Some(defect) = content::inspect(content) {
            return Err(("550 5.6.11 Invalid characters", defect.to_string()));
        }
        let addresses = Addresses::read(content);
        if addresses.from_fields != 1 || addresses.from.is_empty() {
            let reply = "550 5.7.512 message must be RFC 5322 section 3.6.2 compliant";
            return Err((reply, "the message has no From field with an address, or several".into()));
        }
        let senders = addresses.from.iter().chain(&addresses.sender);
        if let Some(other) = senders.into_iter().find(|from| !login.mailbox.may_send_as(from)) {
            let reply = "554 5.2.252 SendAsDenied; not allowed to send as the address in From; \
                         STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied";
            return Err((reply, format!("From `{other}`, which `{}` may not send as", login.mailbox.address)));
        }
        let rate = self.shared.switches.knobs().message_rate;
        let over = self.shared.sent_within_a_minute(&login.mailbox.address) > MESSAGES_PER_MINUTE;
        match rate {
            MessageRate::Refused if over => Err((
                "451 4.7.500 Server busy. Please try again later.",
                "more than 30 messages within a minute".into(),
            )),
            MessageRate::Delayed if over => {
                self.shared.note(Place::Smtp, "more than 30 messages within a minute: Exchange delays the rest");
                Ok(())
            }
            MessageRate::Off | MessageRate::Refused | MessageRate::Delayed => Ok(()),
        }
    }
}
