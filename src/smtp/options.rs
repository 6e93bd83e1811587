//! What a session is told about its listener.

/// When AUTH is offered and taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AuthRule {
    /// Nobody has a login here.
    Never,
    /// Only under TLS.
    #[default]
    OverTlsOnly,
    /// Also in clear, for devices without TLS on a network that is trusted.
    Always,
}

/// How a client's lines end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LineEndings {
    /// CRLF, as RFC 5321 has it. Content may hold other line ends, but they never end it.
    #[default]
    Crlf,
    /// LF alone, even around the final dot.
    Lf,
}

/// The rules of one session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// The name in the greeting and in the answer to EHLO.
    pub hostname: String,
    /// Octets a message may have at most (SIZE, RFC 1870), counted after decoding.
    pub max_octets: u64,
    /// Recipients a message may have at most; RFC 5321 section 4.5.3.1.8 asks for 100, mail programs for 1,000.
    pub max_recipients: usize,
    /// When AUTH is offered and taken.
    pub auth: AuthRule,
    /// MAIL is refused until the client is known by network or login.
    pub auth_required: bool,
    /// STARTTLS is offered.
    pub starttls: bool,
    /// SMTPUTF8 (RFC 6531) is offered: every way out can carry it.
    pub smtputf8: bool,
    /// DSN (RFC 3461) is offered: every way out keeps what it asks for.
    pub dsn: bool,
    /// Errors a client may make without sending a message; the next one ends the session.
    pub max_errors: u32,
    /// Content with a lone CR or LF is refused instead of repaired.
    pub strict_line_ends: bool,
    /// How the client ends its lines, as far as the configuration says.
    pub line_endings: LineEndings,
}

impl Options {
    /// The defaults, under the given name: 50 MB, 1,000 recipients, AUTH over TLS only, STARTTLS offered, 20 errors.
    pub fn new(hostname: impl Into<String>) -> Self {
        Self {
            hostname: hostname.into(),
            max_octets: 50_000_000,
            max_recipients: 1000,
            auth: AuthRule::default(),
            auth_required: false,
            starttls: true,
            smtputf8: false,
            dsn: false,
            max_errors: 20,
            strict_line_ends: false,
            line_endings: LineEndings::default(),
        }
    }
}
