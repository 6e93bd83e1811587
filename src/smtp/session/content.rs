//! DATA and BDAT, and what follows them.

use super::state::{ChunkedContent, Content, DataContent, Intake, Message, Opening, Question, State};
use super::{Session, Step};
use crate::smtp::command::Chunk;
use crate::smtp::{Action, Reply, replies};

impl Session {
    pub(super) fn data(&mut self, message: Message) -> Step {
        if !self.input.is_empty() {
            return self.too_early();
        }
        match self.may_open_content(&message) {
            Ok(()) => self.ask(Question::Room(Opening::Data), Action::StartBody),
            Err(reply) => self.refuse_content(&reply, message),
        }
    }

    /// Only a wrong sequence of commands is an error of the client; that nobody is left to receive the message, or
    /// that there is no room for it, is not.
    fn refuse_content(&mut self, reply: &Reply, message: Message) -> Step {
        if reply.code() == 503 { self.refuse(reply, message) } else { self.reply(reply, message) }
    }

    /// DATA is the last command of a group (RFC 2920 section 3.1). If it were refused, what follows would be read as
    /// commands although the client meant it as content; so the session ends, whether it is refused or not.
    fn too_early(&mut self) -> Step {
        self.hang_up(&replies::TOO_EARLY)
    }

    /// One chunk (RFC 3030). It is read to its end even if it is refused: the client sends it in any case.
    pub(super) fn bdat(&mut self, chunk: Chunk, message: Message) -> Step {
        let left = chunk.octets;
        let content = match (self.may_open_content(&message), message) {
            (Ok(()), _) => return self.ask(Question::Room(Opening::Chunk(chunk)), Action::StartBody),
            (Err(_), Message::Chunked(content)) => Content::Chunk { content, chunk, left },
            (Err(reply), then @ (Message::Open(_) | Message::None)) => Content::Skipped { left, reply, then },
        };
        self.state = State::Content(content);
        Step::Again
    }

    fn may_open_content(&self, message: &Message) -> Result<(), Reply> {
        match message {
            Message::Open(transaction) if transaction.accepted > 0 => Ok(()),
            Message::Open(transaction) if transaction.refused => Err(replies::NO_VALID_RECIPIENTS),
            Message::Open(_) => Err(replies::RCPT_FIRST),
            Message::Chunked(_) => Err(replies::CHUNKS_OPEN),
            Message::None => Err(self.no_transaction()),
        }
    }

    /// The answer to [`Action::StartBody`].
    pub fn data_answered(&mut self, answer: Result<(), Reply>) {
        let State::Asked(Question::Room(opening)) = self.state else { return };
        match (answer, opening) {
            (_, Opening::Data) if !self.input.is_empty() => {
                self.too_early();
            }
            (Ok(()), Opening::Data) => {
                replies::SEND_CONTENT.write_to(&mut self.output);
                self.state = State::Content(Content::Data(DataContent::new(self.options.line_endings)));
            }
            (Err(reply), Opening::Data) => {
                self.reply(&reply, Message::None);
            }
            (Ok(()), Opening::Chunk(chunk)) => {
                let content = ChunkedContent::new();
                self.state = State::Content(Content::Chunk { content, chunk, left: chunk.octets });
            }
            (Err(reply), Opening::Chunk(chunk)) => {
                self.state = State::Content(Content::Skipped { left: chunk.octets, reply, then: Message::None });
            }
        }
    }

    /// The content cannot be stored, or is too large, or has been in a loop: the rest of it is read and dropped, and
    /// its end is answered with `reply`. Without effect where no content is open.
    pub fn body_refused(&mut self, reply: Reply) {
        if let State::Content(Content::Data(DataContent { intake, .. }) | Content::Ended(intake))
        | State::Content(Content::Chunk { content: ChunkedContent { intake, .. }, .. })
        | State::Command(Message::Chunked(ChunkedContent { intake, .. })) = &mut self.state
        {
            *intake = Intake::Refused(reply);
        }
    }

    /// The answer to [`Action::EndOfBody`]: `250 2.0.0 queued as ...`, or the refusal.
    pub fn accepted(&mut self, reply: Reply) {
        if let State::Asked(Question::Acceptance) = self.state {
            if reply.is_positive() {
                self.errors = 0;
            }
            self.reply(&reply, Message::None);
        }
    }

    pub(super) fn content_step(&mut self, content: Content) -> Step {
        match content {
            Content::Data(content) => self.data_step(content),
            Content::Chunk { content, chunk, left: 0 } => self.chunk_ended(content, chunk),
            Content::Chunk { content, chunk, left } => self.chunk_step(content, chunk, left),
            Content::Skipped { left: 0, reply, then } => self.refuse_content(&reply, then),
            Content::Skipped { left, reply, then } => {
                let length = self.available(left);
                self.input.consume(length);
                self.state = State::Content(Content::Skipped { left: left - length as u64, reply, then });
                if length == 0 { Step::Starved } else { Step::Again }
            }
            Content::Ended(Intake::Open { .. }) => self.ask(Question::Acceptance, Action::EndOfBody),
            Content::Ended(Intake::Refused(reply)) => self.reply(&reply, Message::None),
        }
    }

    fn data_step(&mut self, mut content: DataContent) -> Step {
        let octets = self.input.rest();
        if octets.is_empty() {
            self.state = State::Content(Content::Data(content));
            return Step::Starved;
        }
        let mut piece = Vec::new();
        let end = content.decoder.push(octets, &mut piece);
        let used = end.unwrap_or(octets.len());
        self.input.consume(used);
        let action = content.intake.take(piece, content.decoder.findings(), &self.options);
        self.state = State::Content(match end {
            Some(_) => Content::Ended(content.intake),
            None => Content::Data(content),
        });
        action.map_or(Step::Again, Step::Do)
    }

    fn chunk_step(&mut self, mut content: ChunkedContent, chunk: Chunk, left: u64) -> Step {
        let length = self.available(left);
        if length == 0 {
            self.state = State::Content(Content::Chunk { content, chunk, left });
            return Step::Starved;
        }
        let mut piece = Vec::new();
        content.line_ends.push(&self.input.rest()[..length], &mut piece);
        self.input.consume(length);
        let action = content.intake.take(piece, content.line_ends.findings(), &self.options);
        self.state = State::Content(Content::Chunk { content, chunk, left: left - length as u64 });
        action.map_or(Step::Again, Step::Do)
    }

    fn chunk_ended(&mut self, mut content: ChunkedContent, chunk: Chunk) -> Step {
        if chunk.last {
            let mut piece = Vec::new();
            content.line_ends.finish(&mut piece);
            let action = content.intake.take(piece, content.line_ends.findings(), &self.options);
            self.state = State::Content(Content::Ended(content.intake));
            return action.map_or(Step::Again, Step::Do);
        }
        match content.intake {
            Intake::Open { .. } => {
                let received = replies::DONE.saying(&format!("{} octets received", chunk.octets));
                self.reply(&received, Message::Chunked(content))
            }
            Intake::Refused(reply) => self.reply(&reply, Message::None),
        }
    }

    /// How many of the next `left` octets are there.
    fn available(&self, left: u64) -> usize {
        let there = self.input.rest().len();
        usize::try_from(left).map_or(there, |left| left.min(there))
    }
}
