//! What follows DATA and BDAT.

use super::state::{ChunkedContent, DataContent, Intake, Opening, State};
use super::{Session, Step};
use crate::smtp::data::{DataDecoder, LineEnds};
use crate::smtp::{Action, Reply, replies};

impl Session {
    /// The answer to [`Action::StartBody`].
    pub fn data_answered(&mut self, answer: Result<(), Reply>) {
        let State::AskedRoom(opening) = self.state else { return };
        let intake = Intake::Open { octets: 0 };
        match (answer, opening) {
            (Ok(()), Opening::Data) => {
                let decoder = DataDecoder::new(self.options.line_endings);
                self.state = State::Data(DataContent { decoder, intake });
                self.reply(replies::SEND_CONTENT);
            }
            (Ok(()), Opening::Chunk(chunk)) => {
                let content = ChunkedContent { line_ends: LineEnds::new(), intake };
                self.state = State::Chunk { content, chunk, left: chunk.octets };
            }
            (Err(reply), Opening::Data) => {
                self.state = State::Idle;
                self.reply(reply);
            }
            (Err(reply), Opening::Chunk(chunk)) => {
                self.state = State::SkippingChunk { left: chunk.octets, reply, then: Box::new(State::Idle) };
            }
        }
    }

    /// The content cannot be stored, or is too large, or has been in a loop: the rest of it is read and dropped, and
    /// its end is answered with `reply`. Without effect where no content is open.
    pub fn body_refused(&mut self, reply: Reply) {
        match &mut self.state {
            State::Data(DataContent { intake, .. })
            | State::Chunk { content: ChunkedContent { intake, .. }, .. }
            | State::BetweenChunks(ChunkedContent { intake, .. })
            | State::ContentEnded(intake) => *intake = Intake::Refused(reply),
            _ => {}
        }
    }

    /// The answer to [`Action::EndOfBody`]: `250 2.0.0 queued as ...`, or the refusal.
    pub fn accepted(&mut self, reply: Reply) {
        if let State::AskedAcceptance = self.state {
            if reply.is_positive() {
                self.errors = 0;
            }
            self.state = State::Idle;
            self.reply(reply);
        }
    }

    /// Decodes what there is of the content.
    pub(super) fn content_step(&mut self) -> Step {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Data(content) => self.data_step(content),
            State::Chunk { content, chunk, left: 0 } => {
                if chunk.last {
                    self.last_chunk_ended(content)
                } else {
                    self.chunk_ended(content, chunk.octets)
                }
            }
            State::Chunk { content, chunk, left } => {
                self.state = State::Chunk { content, chunk, left };
                self.chunk_step()
            }
            State::SkippingChunk { left: 0, reply, then } => {
                self.state = *then;
                self.refuse(reply);
                Step::Again
            }
            State::SkippingChunk { left, reply, then } => {
                let length = self.available(left);
                self.input.consume(length);
                self.state = State::SkippingChunk { left: left - length as u64, reply, then };
                if length == 0 { Step::Starved } else { Step::Again }
            }
            other => {
                self.state = other;
                Step::Stopped
            }
        }
    }

    fn data_step(&mut self, mut content: DataContent) -> Step {
        if self.input.is_empty() {
            self.state = State::Data(content);
            return Step::Starved;
        }
        let octets = self.input.rest();
        let mut piece = Vec::new();
        let end = content.decoder.push(octets, &mut piece);
        let used = end.unwrap_or(octets.len());
        self.input.consume(used);
        let action = content.intake.take(piece, content.decoder.findings(), &self.options);
        self.state = match end {
            Some(_) => State::ContentEnded(content.intake),
            None => State::Data(content),
        };
        action.map_or(Step::Again, Step::Do)
    }

    fn chunk_step(&mut self) -> Step {
        let State::Chunk { content, left, .. } = &mut self.state else { return Step::Again };
        let octets = self.input.rest();
        let length = usize::try_from(*left).map_or(octets.len(), |left| left.min(octets.len()));
        if length == 0 {
            return Step::Starved;
        }
        let mut piece = Vec::new();
        content.line_ends.push(&octets[..length], &mut piece);
        *left -= length as u64;
        let action = content.intake.take(piece, content.line_ends.findings(), &self.options);
        self.input.consume(length);
        action.map_or(Step::Again, Step::Do)
    }

    /// How many of `left` octets are there.
    fn available(&self, left: u64) -> usize {
        let there = self.input.rest().len();
        usize::try_from(left).map_or(there, |left| left.min(there))
    }

    fn chunk_ended(&mut self, content: ChunkedContent, octets: u64) -> Step {
        match content.intake {
            Intake::Open { .. } => {
                self.reply(replies::DONE.saying(&format!("{octets} octets received")));
                self.state = State::BetweenChunks(content);
            }
            Intake::Refused(reply) => self.reply(reply),
        }
        Step::Again
    }

    fn last_chunk_ended(&mut self, mut content: ChunkedContent) -> Step {
        let mut piece = Vec::new();
        content.line_ends.finish(&mut piece);
        let action = content.intake.take(piece, content.line_ends.findings(), &self.options);
        self.state = State::ContentEnded(content.intake);
        action.map_or(Step::Again, Step::Do)
    }

    pub(super) fn end_content(&mut self) -> Step {
        match std::mem::replace(&mut self.state, State::AskedAcceptance) {
            State::ContentEnded(Intake::Refused(reply)) => {
                self.state = State::Idle;
                self.reply(reply);
                Step::Again
            }
            _ => Step::Do(Action::EndOfBody),
        }
    }
}
