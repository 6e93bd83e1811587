//! What a session can be in. Each case owns what exists in it.

use crate::smtp::command::Chunk;
use crate::smtp::data::{DataDecoder, Findings, LineEnds};
use crate::smtp::{Action, Options, Reply, replies};

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

/// Where a session stands. The cases `Asked...` wait for an answer of the driver.
pub(super) enum State {
    /// No message is open.
    Idle,
    /// MAIL was accepted.
    Transaction(Transaction),
    /// AUTH waits for a line from the client.
    Authenticating(Exchange),
    /// 220 was said to STARTTLS and has to be written before the handshake.
    StartingTls,
    /// The content of DATA is coming.
    Data(DataContent),
    /// A chunk of BDAT is coming.
    Chunk {
        content: ChunkedContent,
        chunk: Chunk,
        left: u64,
    },
    /// BDAT has begun and waits for its next chunk.
    BetweenChunks(ChunkedContent),
    /// A refused chunk is read to its end; then come the reply and the state from before.
    SkippingChunk {
        left: u64,
        reply: Reply,
        then: Box<State>,
    },
    /// The content is complete.
    ContentEnded(Intake),
    /// The last reply has to be written, then the connection is closed.
    Closing,
    /// It is over.
    Closed,

    AskedTls,
    AskedCredentials,
    AskedMail {
        smtputf8: bool,
    },
    AskedRcpt(Transaction),
    AskedRoom(Opening),
    AskedAcceptance,
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

/// How the content is going to come.
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

/// The content of DATA on its way in.
pub(super) struct DataContent {
    pub(super) decoder: DataDecoder,
    pub(super) intake: Intake,
}

impl DataContent {
    pub(super) fn saw_lone_dot(&self) -> bool {
        self.decoder.saw_lone_dot()
    }
}

/// The content of BDAT on its way in.
pub(super) struct ChunkedContent {
    pub(super) line_ends: LineEnds,
    pub(super) intake: Intake,
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
