//! What can be made to go wrong, where, and how often.

use std::time::Duration;

/// Something that goes wrong on purpose.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The token endpoint.
    Token(TokenFault),
    /// Graph: the next request about a mailbox, whatever it is for.
    Graph(GraphFault),
    /// Graph, the Gmail API or EWS: the next request of this kind.
    GraphAt(WebStep, GraphFault),
    /// Looking people up in Graph.
    People(PeopleFault),
    /// The SMTP greeting; nobody has signed in yet, so it cannot be limited to a mailbox.
    Greeting(GreetingFault),
    /// AUTH of a token that is good.
    Auth(AuthFault),
    /// `550 5.7.60` to MAIL.
    MailFrom,
    /// RCPT for this address.
    Recipient(String, RecipientFault),
    /// The end of the message: the final dot, or the last BDAT chunk.
    EndOfData(DotFault),
    /// QUIT: no answer, and the connection stays open until the tenant stops.
    Quit,
}

impl Fault {
    /// The fault, if it is one of the token endpoint.
    pub(super) fn of_token(&self) -> Option<TokenFault> {
        if let Self::Token(fault) = self { Some(*fault) } else { None }
    }

    /// The fault, if it is one of a Graph request of this kind.
    pub(super) fn of_graph(&self, asked: WebStep) -> Option<GraphFault> {
        match self {
            Self::Graph(fault) => Some(*fault),
            Self::GraphAt(step, fault) if *step == asked => Some(*fault),
            Self::GraphAt(..)
            | Self::Token(_)
            | Self::People(_)
            | Self::Greeting(_)
            | Self::Auth(_)
            | Self::MailFrom
            | Self::Recipient(..)
            | Self::EndOfData(_)
            | Self::Quit => None,
        }
    }

    /// The fault, if it is one of looking people up.
    pub(super) fn of_people(&self) -> Option<PeopleFault> {
        if let Self::People(fault) = self { Some(*fault) } else { None }
    }

    /// The fault, if it is one of the SMTP greeting.
    pub(super) fn of_greeting(&self) -> Option<GreetingFault> {
        if let Self::Greeting(fault) = self { Some(*fault) } else { None }
    }

    /// The fault, if it is one of AUTH.
    pub(super) fn of_auth(&self) -> Option<AuthFault> {
        if let Self::Auth(fault) = self { Some(*fault) } else { None }
    }

    /// The fault, if it is one of the end of a message.
    pub(super) fn of_end_of_data(&self) -> Option<DotFault> {
        if let Self::EndOfData(fault) = self { Some(*fault) } else { None }
    }
}

/// Faults of the token endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenFault {
    /// 400 `invalid_grant`, AADSTS700082: the grant is dead.
    InvalidGrant,
    /// 401 `invalid_client`, AADSTS7000222: the secret has expired.
    InvalidClient,
    /// 400 `invalid_grant` with this AADSTS number.
    Aadsts(u32),
    /// 429 with `Retry-After` in whole seconds.
    Throttled(u32),
    /// 503 `temporarily_unavailable`.
    Unavailable,
    /// No answer, until the client gives up or the tenant stops.
    Hang,
    /// 200 with something that is not JSON.
    Garbage,
    /// 200 with an HTML page.
    Html,
    /// 302 to a page on this host that would answer 200: a client that follows it gives its secrets away.
    Redirect,
}

/// What a request to a web interface is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WebStep {
    /// `sendMail`.
    SendMail,
    /// A draft made from MIME.
    Create,
    /// A look at one message.
    Read,
    /// Messages looked for.
    Find,
    /// The inbox listed.
    Inbox,
    /// A message read as MIME.
    Value,
    /// An attachment posted whole.
    Attach,
    /// An upload session opened.
    OpenUpload,
    /// A range put, or the state of a session asked for.
    Upload,
    /// A draft sent.
    Send,
    /// A message removed.
    Delete,
    /// The Gmail API: a message sent at once, or an upload opened.
    GmailSend,
    /// The Gmail API: a range of an upload.
    GmailRange,
    /// Exchange Web Services.
    Ews,
}

/// Faults of Graph, the Gmail API and EWS.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GraphFault {
    /// 401 `InvalidAuthenticationToken` for a token that is good.
    Unauthorized,
    /// 403 `ErrorAccessDenied`.
    AccessDenied,
    /// 413 for a message of any size.
    TooLarge,
    /// 429 with `Retry-After` in whole seconds.
    Throttled(u32),
    /// 503.
    Unavailable,
    /// 404 `MailboxNotEnabledForRESTAPI`: no cloud mailbox.
    NoRest,
    /// The connection is reset instead of an answer; nothing is taken.
    Reset,
    /// The mail is taken and the answer is 504.
    TakenThenTimeout,
    /// The mail is taken and the connection is reset instead of an answer.
    TakenThenReset,
    /// 200 with an HTML page; nothing is taken.
    Html,
    /// 200 with an empty body; nothing is taken.
    Empty,
    /// No answer, until the client gives up or the tenant stops; nothing is taken.
    Hang,
}

/// Faults of looking people up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PeopleFault {
    /// 401 `InvalidAuthenticationToken` for a token that is good.
    Unauthorized,
    /// 403 `Authorization_RequestDenied`.
    Denied,
    /// 429 with `Retry-After` in whole seconds.
    Throttled(u32),
    /// 503.
    Unavailable,
    /// 200 with an HTML page.
    Html,
    /// A list goes on at another host, which must not get the token.
    ForeignLink,
    /// A page without anybody on it that is not the last.
    EmptyPage,
}

/// Faults before the first SMTP command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GreetingFault {
    /// `421 4.3.2 Service not active`, then the connection is closed.
    Refused,
    /// Silence.
    Hang,
    /// The connection is closed without a word.
    Close,
}

/// Faults of AUTH.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuthFault {
    /// `535 5.7.3` at once, as Microsoft does.
    Refused,
    /// A 334 with the reason in JSON, and `535` after the client's empty line, as Google does.
    RefusedAfterChallenge,
    /// `535 5.7.139`: SMTP AUTH is switched off for the tenant.
    SwitchedOff,
    /// `454 4.7.0`.
    Temporary,
    /// `432 4.3.2`: too many sessions; the connection is closed.
    TooManySessions,
}

/// Faults of RCPT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecipientFault {
    /// `450 4.2.1`.
    Temporary,
    /// `550 5.1.1`.
    Permanent,
}

/// Faults at the end of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DotFault {
    /// `421 4.3.2`, then the connection is closed; nothing is taken.
    Closing,
    /// `451 4.7.0`; nothing is taken.
    Temporary,
    /// `550 5.7.1`; nothing is taken.
    Permanent,
    /// This reply; nothing is taken.
    Says(&'static str),
    /// The connection ends without a reply; nothing is taken.
    Lost,
    /// The mail is taken and the connection ends without a reply.
    TakenThenLost,
    /// The mail is taken and the 250 comes this much later.
    Late(Duration),
}

/// How often a fault happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Times {
    /// So many times, then no more.
    Exactly(u32),
    /// Until the faults are cleared.
    Always,
}

/// A fault with its limits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// What goes wrong.
    pub fault: Fault,
    /// How often.
    pub times: Times,
    /// Only for this mailbox; at the token endpoint also a client id, for client credentials.
    pub only_for: Option<String>,
}

impl Rule {
    /// The fault happens once.
    pub const fn once(fault: Fault) -> Self {
        Self { fault, times: Times::Exactly(1), only_for: None }
    }

    /// The fault happens `count` times.
    pub const fn times(fault: Fault, count: u32) -> Self {
        Self { fault, times: Times::Exactly(count), only_for: None }
    }

    /// The fault happens until the faults are cleared.
    pub const fn always(fault: Fault) -> Self {
        Self { fault, times: Times::Always, only_for: None }
    }

    /// The same, for one mailbox (or client id) only.
    #[must_use]
    pub fn only_for(mut self, who: impl Into<String>) -> Self {
        self.only_for = Some(who.into());
        self
    }
}
