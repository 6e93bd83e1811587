//! One mail transaction (RFC 5321 section 3.3), pipelined or command by command.

use std::fmt::Write;

use super::{Expected, Mail, Response, Stage, Step, Trouble, Upstream};

/// RCPT commands that are on their way at once. A server may stop reading while nobody reads its answers.
const WINDOW: usize = 100;
/// Octets of the largest message that leaves before the server has taken its envelope. A larger one would be sent in
/// vain too often, and one round trip is little of its time.
const LARGEST_CHUNK: u64 = 1024 * 1024;

/// What the server said to one transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answers {
    /// For each recipient, in the order given, its refusal; `None` if it was accepted, or not asked for.
    pub recipients: Vec<Option<Response>>,
    /// What became of the message for those who were not refused.
    pub ending: Ending,
}

/// How a transaction ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ending {
    /// The server took the message for every accepted recipient.
    Taken(Response),
    /// The server refused at this stage, for everybody.
    Refused(Stage, Response),
    /// Each recipient was refused by itself.
    NoRecipients,
}

/// Why a message cannot go to this server at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CannotCarry {
    /// It is larger than SIZE allows.
    #[error("the message has {size} octets and the server takes {limit}")]
    TooLarge {
        /// Its octets.
        size: u64,
        /// What SIZE said.
        limit: u64,
    },
    /// It needs SMTPUTF8 and the server does not offer it.
    #[error("the message needs SMTPUTF8, which the server does not offer")]
    NoSmtpUtf8,
}

/// An answer that belongs to a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    Mail,
    /// RCPT of the recipient with this index.
    Rcpt(usize),
    Data,
    /// The final dot of the message.
    Content,
    /// The message as one chunk, sent together with the commands before it.
    Chunk,
    /// The lone dot of a message that nobody receives.
    EmptyContent,
}

impl Part {
    pub(super) const fn stage(self) -> Stage {
        match self {
            Self::Mail => Stage::Mail,
            Self::Rcpt(_) => Stage::Rcpt,
            Self::Data => Stage::Data,
            Self::Content | Self::Chunk | Self::EmptyContent => Stage::Content,
        }
    }
}

/// A transaction that has begun.
#[derive(Debug)]
pub(super) struct Transaction {
    /// The RCPT commands, a line each.
    commands: String,
    /// Where in `commands` the first begins that has not left.
    unsent: usize,
    /// How many have left.
    asked: usize,
    accepted: usize,
    recipients: Vec<Option<Response>>,
    mail: MailAnswer,
}

#[derive(Debug)]
enum MailAnswer {
    Awaited,
    Accepted,
    Refused(Response),
}

impl Upstream {
    /// Begins a transaction. Only after [`Step::Ready`] or [`Step::Finished`], and if [`Upstream::is_reusable`].
    pub fn begin(&mut self, mail: &Mail<'_>) -> Result<(), CannotCarry> {
        match self.extensions.max_octets {
            Some(limit) if mail.size > limit => return Err(CannotCarry::TooLarge { size: mail.size, limit }),
            _ => {}
        }
        if mail.smtputf8 && !self.extensions.smtputf8 {
            return Err(CannotCarry::NoSmtpUtf8);
        }
        if self.needs_reset {
            self.send_line(&["RSET"]);
            self.expected.push_back(Expected::Reset);
        }
        let command = self.mail_command(mail);
        self.send_line(&[&command]);
        self.expected.push_back(Expected::Transaction(Part::Mail));
        let mut commands = String::with_capacity(mail.recipients.len() * 48);
        for recipient in mail.recipients {
            // Writing to a `String` cannot fail.
            let wishes = if self.extensions.dsn { recipient.wishes.parameters() } else { String::new() };
            let _ = write!(commands, "RCPT TO:<{}>{wishes}\r\n", recipient.address);
        }
        let mut transaction = Transaction {
            commands,
            unsent: 0,
            asked: 0,
            accepted: 0,
            recipients: vec![None; mail.recipients.len()],
            mail: MailAnswer::Awaited,
        };
        if self.extensions.pipelining {
            self.ask(&mut transaction, self.chunk(mail));
        }
        self.transaction = Some(transaction);
        Ok(())
    }

    /// The octets of the one chunk that the message leaves in, if it may.
    fn chunk(&self, mail: &Mail<'_>) -> Option<u64> {
        let small = mail.size <= LARGEST_CHUNK && mail.recipients.len() <= WINDOW;
        (self.extensions.chunking && mail.in_one_go && small).then_some(mail.size)
    }

    /// Whether the server has answered MAIL of the transaction that runs.
    pub fn mail_was_answered(&self) -> bool {
        self.transaction.as_ref().is_none_or(|transaction| !matches!(transaction.mail, MailAnswer::Awaited))
    }

    /// Gives the transaction up, as when the connection was lost. For each recipient its refusal, if it had come.
    pub fn abandon(&mut self) -> Vec<Option<Response>> {
        self.spoiled = true;
        self.transaction.take().map(|transaction| transaction.recipients).unwrap_or_default()
    }

    fn mail_command(&self, mail: &Mail<'_>) -> String {
        let mut command = format!("MAIL FROM:{}", mail.reverse_path);
        if self.extensions.size {
            let _ = write!(command, " SIZE={}", mail.size);
        }
        if mail.eight_bit && self.extensions.eight_bit {
            command.push_str(" BODY=8BITMIME");
        }
        if mail.smtputf8 {
            command.push_str(" SMTPUTF8");
        }
        if self.extensions.dsn {
            command.push_str(&mail.wishes.parameters());
        }
        command
    }

    /// Sends the next RCPT commands: a window full of them, and DATA or the chunk behind the last, or one if the server
    /// does not take several at once.
    fn ask(&mut self, transaction: &mut Transaction, chunk: Option<u64>) {
        let window = if self.extensions.pipelining { WINDOW } else { 1 };
        for _ in 0..window {
            let rest = &transaction.commands[transaction.unsent..];
            let Some(end) = rest.find('\n') else { break };
            self.output.extend_from_slice(&rest.as_bytes()[..=end]);
            transaction.unsent += end + 1;
            self.expected.push_back(Expected::Transaction(Part::Rcpt(transaction.asked)));
            transaction.asked += 1;
        }
        if self.extensions.pipelining && transaction.all_asked() {
            match chunk {
                Some(octets) => self.send_chunk(octets),
                None => self.send_data(),
            }
        }
    }

    fn send_chunk(&mut self, octets: u64) {
        self.send_line(&["BDAT ", &octets.to_string(), " LAST"]);
        self.expected.push_back(Expected::Transaction(Part::Chunk));
        self.due = Some(Step::SendChunk);
    }

    fn send_data(&mut self) {
        self.send_line(&["DATA"]);
        self.expected.push_back(Expected::Transaction(Part::Data));
    }

    pub(super) fn transaction_answered(&mut self, part: Part, response: Response) -> Result<(), Trouble> {
        let Some(mut transaction) = self.transaction.take() else {
            return Err(Trouble::Unsolicited(response.to_string()));
        };
        let taken = response.is_positive();
        match self.advance(&mut transaction, part, response) {
            Ok(Some(ending)) => {
                // A refused chunk leaves the server in the middle of the transaction (RFC 3030 section 2).
                self.needs_reset = !(part == Part::Content || part == Part::Chunk && taken);
                if matches!(ending, Ending::Refused(Stage::Mail, _)) {
                    // "503 no MAIL yet" says nothing about a recipient.
                    transaction.recipients.fill(None);
                }
                self.due = Some(Step::Finished(Answers { recipients: transaction.recipients, ending }));
                Ok(())
            }
            Ok(None) => {
                self.transaction = Some(transaction);
                Ok(())
            }
            Err(trouble) => {
                self.transaction = Some(transaction);
                Err(trouble)
            }
        }
    }

    /// Takes one answer in; the ending, if it was the last.
    fn advance(
        &mut self,
        transaction: &mut Transaction,
        part: Part,
        response: Response,
    ) -> Result<Option<Ending>, Trouble> {
        // The server closes after 421 (RFC 5321 section 3.8): the answers that are still owed will not come.
        if response.code == 421 {
            self.spoiled = true;
            self.expected.clear();
            return Ok(Some(Ending::Refused(part.stage(), response)));
        }
        if response.class() == 3 && part != Part::Data {
            return Err(Trouble::OutOfPlace { stage: part.stage(), response });
        }
        match part {
            Part::Mail if response.is_positive() => transaction.mail = MailAnswer::Accepted,
            Part::Mail => transaction.mail = MailAnswer::Refused(response),
            Part::Rcpt(_) if response.is_positive() => transaction.accepted += 1,
            Part::Rcpt(index) => transaction.refuse(index, response),
            Part::Data => return self.data_answered(transaction, response),
            Part::Content if response.is_positive() => return Ok(Some(Ending::Taken(response))),
            Part::Content => return Ok(Some(Ending::Refused(Stage::Content, response))),
            Part::Chunk => return Ok(Some(transaction.ending_of_chunk(response))),
            Part::EmptyContent => return Ok(Some(transaction.ending_without_content())),
        }
        if self.expected.is_empty() { self.go_on(transaction) } else { Ok(None) }
    }

    /// Everything that was asked is answered: the next commands, or the end.
    fn go_on(&mut self, transaction: &mut Transaction) -> Result<Option<Ending>, Trouble> {
        if self.reader.has_more() {
            return Err(Trouble::Unsolicited("more replies than commands".to_owned()));
        }
        let refused = matches!(transaction.mail, MailAnswer::Refused(_));
        if !refused && !transaction.all_asked() {
            self.ask(transaction, None);
        } else if !refused && transaction.accepted > 0 {
            self.send_data();
        } else {
            return Ok(Some(transaction.ending_without_content()));
        }
        Ok(None)
    }

    fn data_answered(&mut self, transaction: &mut Transaction, response: Response) -> Result<Option<Ending>, Trouble> {
        let wanted = transaction.accepted > 0 && matches!(transaction.mail, MailAnswer::Accepted);
        match response.code {
            354 if self.reader.has_more() => {
                Err(Trouble::Unsolicited("a reply before the message was sent".to_owned()))
            }
            354 if wanted => {
                self.expected.push_back(Expected::Transaction(Part::Content));
                self.due = Some(Step::SendContent);
                Ok(None)
            }
            // The server wants the content though it took no recipient (RFC 2920 section 3.1): a lone dot ends it.
            354 => {
                self.send_line(&["."]);
                self.expected.push_back(Expected::Transaction(Part::EmptyContent));
                Ok(None)
            }
            _ if response.class() < 4 => Err(Trouble::OutOfPlace { stage: Stage::Data, response }),
            _ if wanted => Ok(Some(Ending::Refused(Stage::Data, response))),
            _ => Ok(Some(transaction.ending_without_content())),
        }
    }
}

impl Transaction {
    fn all_asked(&self) -> bool {
        self.unsent == self.commands.len()
    }

    fn refuse(&mut self, index: usize, response: Response) {
        if let Some(recipient) = self.recipients.get_mut(index) {
            *recipient = Some(response);
        }
    }

    /// How it ended when the content left with the commands: what the server says of it counts only if it wanted it.
    fn ending_of_chunk(&self, response: Response) -> Ending {
        match &self.mail {
            MailAnswer::Accepted if self.accepted > 0 && response.is_positive() => Ending::Taken(response),
            MailAnswer::Accepted if self.accepted > 0 => Ending::Refused(Stage::Content, response),
            MailAnswer::Accepted | MailAnswer::Awaited | MailAnswer::Refused(_) => self.ending_without_content(),
        }
    }

    /// How it ended when no content was wanted.
    fn ending_without_content(&self) -> Ending {
        match &self.mail {
            MailAnswer::Refused(response) => Ending::Refused(Stage::Mail, response.clone()),
            MailAnswer::Awaited | MailAnswer::Accepted => Ending::NoRecipients,
        }
    }
}
