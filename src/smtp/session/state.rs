//! What a session can be in. Each case owns what exists in it.

use crate::smtp::command::Chunk;
use crate::smtp::data::{DataDecoder, Findings, LineEnds};
use crate::smtp::{Action, LineEndings, Options, Reply, replies};

/// Characters of the client's name that are kept.
const MAX_HELLO: usize = 255;

/// What EHLO or HELO said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// The client's name, as it claims; empty if it gave none. Only characters of host names and address literals,
    /// others are replaced by `?`, so it can stand in a Received line.
    pub name: String,
    /// Whether it was EHLO.
    pub extended: bool,
}

impl Hello {
    pub(super) fn new(name: &str, extended: bool) -> Self {
        let kept = |c: char| if c.is_ascii_alphanumeric() || "-_.:[]".contains(c) { c } else { '?' };
        Self { name: name.chars().take(MAX_HELLO).map(kept).collect(), extended }
    }
}

/// Who the client is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Identity {
    /// Not known.
    Stranger,
    /// Known by its network.
    Network,
    /// Known by its login.
    Login,
}

/// Where a session stands.
pub(super) enum State {
    /// The client may give a command.
    Command(Message),
    /// AUTH waits for a line from the client.
    Authenticating(Exchange),
    /// Content is coming, or has just ended.
    Content(Content),
    /// The driver owes an answer.
    Asked(Question),
    /// 220 was said to STARTTLS. It is written before the handshake begins.
    StartingTls,
    /// The last reply was said. It is written before the connection is closed.
    Closing,
    /// It is over.
    Closed,
}

impl Default for State {
    fn default() -> Self {
        Self::Command(Message::None)
    }
}

/// How far a message is, while commands are read.
pub(super) enum Message {
    /// There is none.
    None,
    /// MAIL was accepted.
    Open(Transaction),
    /// BDAT has begun and waits for its next chunk.
    Chunked(ChunkedContent),
}

/// An open message, before its content.
#[derive(Default)]
pub(super) struct Transaction {
    /// MAIL asked for SMTPUTF8.
    pub(super) smtputf8: bool,
    /// Recipients that were accepted.
    pub(super) accepted: usize,
    /// Whether any recipient was refused.
    pub(super) refused: bool,
}

/// What the driver was asked last, and what its answer is applied to.
pub(super) enum Question {
    Tls,
    Credentials,
    Mail { smtputf8: bool },
    Rcpt(Transaction),
    Room(Opening),
    Acceptance,
}

/// The command that opens the content.
#[derive(Clone, Copy)]
pub(super) enum Opening {
    Data,
    Chunk(Chunk),
}

/// What AUTH waits for.
pub(super) enum Exchange {
    Plain,
    Login,
    Password { login: String },
}

/// Content on its way in. `left` counts the octets of a chunk that have not come yet.
pub(super) enum Content {
    Data(DataContent),
    Chunk {
        content: ChunkedContent,
        chunk: Chunk,
        left: u64,
    },
    /// A refused chunk, read to its end; then come the reply and the message as it was.
    Skipped {
        left: u64,
        reply: Reply,
        then: Message,
    },
    /// All of it is there.
    Ended(Intake),
}

/// The content of DATA.
pub(super) struct DataContent {
    pub(super) decoder: DataDecoder,
    pub(super) intake: Intake,
}

impl DataContent {
    pub(super) fn new(endings: LineEndings) -> Self {
        Self { decoder: DataDecoder::new(endings), intake: Intake::Open { octets: 0 } }
    }
}

/// The content of BDAT, one chunk or several.
pub(super) struct ChunkedContent {
    pub(super) line_ends: LineEnds,
    pub(super) intake: Intake,
}

impl ChunkedContent {
    pub(super) fn new() -> Self {
        Self { line_ends: LineEnds::new(), intake: Intake::Open { octets: 0 } }
    }
}

/// Whether content is still taken.
pub(super) enum Intake {
    /// It is, and so many octets were.
    Open { octets: u64 },
    /// It is read and dropped; this is what its end is answered.
    Refused(Reply),
}

impl Intake {
    /// Decides what becomes of a decoded piece.
    pub(super) fn take(&mut self, piece: Vec<u8>, findings: Findings, options: &Options) -> Option<Action> {
        let Self::Open { octets } = self else { return None };
        *octets += piece.len() as u64;
        if let Some(reply) = objection(*octets, findings, options) {
            *self = Self::Refused(reply);
            return Some(Action::DiscardBody);
        }
        (!piece.is_empty()).then_some(Action::Body(piece))
    }
}

fn objection(octets: u64, findings: Findings, options: &Options) -> Option<Reply> {
    if octets > options.max_octets {
        Some(replies::TOO_LARGE)
    } else if findings.nul {
        Some(replies::NUL_IN_CONTENT)
    } else if options.strict_line_ends && findings.bare_lf {
        Some(replies::BARE_LF)
    } else if options.strict_line_ends && findings.bare_cr {
        Some(replies::BARE_CR)
    } else {
        None
    }
}
