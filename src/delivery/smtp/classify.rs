//! From a server's answer to a reason: the tables of Microsoft's and Google's replies, and RFC 5321 for the rest.
//! What is not known is temporary; only what a provider is known to mean for good fails a message.

use crate::mail::{EnhancedStatusCode, Failure, Reason};
use crate::smtp::upstream::{CannotCarry, Response, Stage, Trouble};

/// Where a rule holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum At {
    Any,
    Auth,
    Rcpt,
    /// Anywhere but at RCPT, where the same words are about the recipient's mailbox.
    NotRcpt,
}

impl At {
    fn holds(self, stage: Stage) -> bool {
        match self {
            Self::Any => true,
            Self::Auth => stage == Stage::Auth,
            Self::Rcpt => stage == Stage::Rcpt,
            Self::NotRcpt => stage != Stage::Rcpt,
        }
    }
}

/// What an answer is recognised by.
#[derive(Clone, Copy, Debug)]
enum Sign {
    /// The code alone.
    Code(u16),
    /// The enhanced status code, in an answer of its own class.
    Status(EnhancedStatusCode),
    /// Code and enhanced status code.
    Both(u16, EnhancedStatusCode),
    /// Words in a refusal, in any letter case. Providers put the true cause behind a general code.
    Words(&'static str),
    /// Code and words.
    CodeAndWords(u16, &'static str),
}

impl Sign {
    fn is_on(self, response: &Response) -> bool {
        let says = |words: &str| response.text.to_ascii_lowercase().contains(words);
        match self {
            Self::Code(code) => response.code == code,
            Self::Status(status) => response.status == Some(status),
            Self::Both(code, status) => response.code == code && response.status == Some(status),
            Self::Words(words) => says(words),
            Self::CodeAndWords(code, words) => response.code == code && says(words),
        }
    }
}

const fn status(class: u8, subject: u16, detail: u16) -> Sign {
    Sign::Status(EnhancedStatusCode::new(class, subject, detail))
}

const fn both(code: u16, class: u8, subject: u16, detail: u16) -> Sign {
    Sign::Both(code, EnhancedStatusCode::new(class, subject, detail))
}

/// The first that fits counts, so the special stands before the general. Words are in lower case.
const RULES: &[(At, Sign, Reason)] = &[
    // The login. 5.7.139 also appears inside the text of 530 5.7.57.
    (At::Any, Sign::Words("5.7.139"), Reason::SmtpAuthDisabled),
    (At::Any, both(550, 5, 7, 30), Reason::SmtpAuthDisabled),
    (At::Auth, Sign::CodeAndWords(454, "too many login attempts"), Reason::Throttled),
    (At::Any, Sign::Code(530), Reason::AuthenticationRejected),
    (At::Any, Sign::Code(534), Reason::AuthenticationRejected),
    (At::Any, Sign::Code(535), Reason::AuthenticationRejected),
    (At::Any, status(5, 7, 53), Reason::AuthenticationRejected),
    (At::Any, status(5, 7, 57), Reason::AuthenticationRejected),
    (At::Any, Sign::CodeAndWords(550, "relay denied"), Reason::AuthenticationRejected),
    (At::Any, Sign::CodeAndWords(550, "invalid credentials for relay"), Reason::AuthenticationRejected),
    // Slow down.
    (At::Any, Sign::Code(432), Reason::Throttled),
    (At::Any, status(4, 7, 28), Reason::Throttled),
    (At::Any, Sign::Words("peak smtp relay limit"), Reason::Throttled),
    (At::NotRcpt, both(450, 4, 2, 1), Reason::Throttled),
    // The day's recipients: 5yz, and yet over tomorrow.
    (At::Any, Sign::Words("submissionquotaexceeded"), Reason::DailyLimit),
    (At::Any, Sign::Words("submission quota exceeded"), Reason::DailyLimit),
    (At::Any, Sign::Words("daily smtp relay limit"), Reason::DailyLimit),
    (At::Any, Sign::Words("daily user sending"), Reason::DailyLimit),
    (At::Any, both(550, 5, 4, 5), Reason::DailyLimit),
    (At::Any, status(5, 1, 90), Reason::DailyLimit),
    (At::Any, status(5, 7, 232), Reason::DailyLimit),
    (At::Any, status(5, 7, 233), Reason::DailyLimit),
    // The sender is blocked.
    (At::Any, both(550, 5, 1, 8), Reason::SenderBlocked),
    (At::Any, status(5, 7, 501), Reason::SenderBlocked),
    (At::Any, status(5, 7, 502), Reason::SenderBlocked),
    (At::Any, status(5, 7, 503), Reason::SenderBlocked),
    (At::Any, status(5, 7, 705), Reason::SenderBlocked),
    (At::Any, status(5, 7, 708), Reason::SenderBlocked),
    // This mailbox as that sender.
    (At::Any, status(5, 7, 60), Reason::SenderRefused),
    (At::Any, Sign::Words("sendasdenied"), Reason::SenderRefused),
    (At::NotRcpt, status(5, 2, 252), Reason::SenderRefused),
    (At::NotRcpt, status(5, 1, 7), Reason::SenderRefused),
    // The sending mailbox is full: Sent Items fill it.
    (At::NotRcpt, status(5, 2, 2), Reason::MailboxFull),
    (At::NotRcpt, Sign::Words("quotaexceeded"), Reason::MailboxFull),
    // The message itself.
    (At::NotRcpt, status(5, 3, 4), Reason::MessageTooLarge),
    (At::NotRcpt, status(5, 2, 3), Reason::MessageTooLarge),
    (At::Rcpt, both(552, 5, 3, 4), Reason::MessageTooLarge),
    (At::Rcpt, both(552, 5, 2, 3), Reason::MessageTooLarge),
    (At::NotRcpt, both(552, 5, 7, 0), Reason::ContentRefused),
    (At::NotRcpt, Sign::Code(552), Reason::MessageTooLarge),
    (At::NotRcpt, status(5, 6, 0), Reason::ContentRefused),
    (At::NotRcpt, status(5, 6, 11), Reason::ContentRefused),
    (At::NotRcpt, status(5, 7, 512), Reason::ContentRefused),
    (At::NotRcpt, status(5, 1, 20), Reason::ContentRefused),
    (At::NotRcpt, Sign::CodeAndWords(550, "not rfc 5322 compliant"), Reason::ContentRefused),
    // Commands out of order: a misunderstanding between two programs says nothing about the message.
    (At::Any, Sign::Code(503), Reason::Unexpected),
];

/// What an answer to `stage` means. The diagnostic is the answer itself and what it answers.
pub(super) fn classify(stage: Stage, response: &Response) -> Failure {
    let refusal = response.class() >= 4;
    let rule = RULES.iter().find(|(at, sign, _)| refusal && at.holds(stage) && sign.is_on(response));
    let reason = rule.map_or_else(|| by_class(stage, response.class()), |(_, _, reason)| *reason);
    Failure::new(reason, format!("{response} ({})", stage.name()))
}

/// What the first digit means where no rule knows more.
fn by_class(stage: Stage, class: u16) -> Reason {
    match (stage, class) {
        (Stage::StartTls, 4 | 5) => Reason::TlsRefused,
        (Stage::Rcpt, 4) => Reason::RecipientDeferred,
        (Stage::Rcpt, 5) => Reason::RecipientRefused,
        (Stage::Mail | Stage::Data | Stage::Content, 5) => Reason::Rejected,
        (Stage::Greeting | Stage::Hello, 5) | (_, 4) => Reason::ProviderTrouble,
        _ => Reason::Unexpected,
    }
}

/// Whether the answer to RCPT says that this transaction has enough recipients and another may have the rest: 452,
/// or 552 from old servers (RFC 5321 section 4.5.3.1.10).
pub(super) fn asks_for_another_transaction(response: &Response) -> bool {
    let named = [EnhancedStatusCode::new(4, 5, 3), EnhancedStatusCode::new(5, 5, 3)];
    let says = response.text.to_ascii_lowercase().contains("too many recipients");
    matches!(response.code, 452 | 552) && (says || response.status.is_some_and(|status| named.contains(&status)))
}

/// Whether the answer to AUTH may mean that the token is no longer good, so that a fresh one is worth a try. Not if it
/// names a switch that no token mends.
pub(super) fn may_be_a_stale_token(trouble: &Trouble) -> bool {
    let Trouble::Refused { stage: Stage::Auth, response, .. } = trouble else { return false };
    response.code == 535 && classify(Stage::Auth, response).reason == Reason::AuthenticationRejected
}

/// What it means that a connection is of no use.
pub(super) fn of_trouble(trouble: &Trouble) -> Failure {
    match trouble {
        Trouble::Refused { stage, response, challenge } => {
            let failure = classify(*stage, response);
            match challenge {
                Some(challenge) => {
                    Failure::new(failure.reason, format!("{}; its challenge says: {challenge}", failure.diagnostic))
                }
                None => failure,
            }
        }
        Trouble::NoStartTls | Trouble::InjectedBeforeTls => Failure::new(Reason::TlsRefused, trouble.to_string()),
        Trouble::NoXoauth2 | Trouble::Unsolicited(_) | Trouble::OutOfPlace { .. } | Trouble::Malformed(_) => {
            Failure::new(Reason::Unexpected, trouble.to_string())
        }
    }
}

/// What it means that this server cannot take the message.
pub(super) fn of_limits(limits: CannotCarry) -> Failure {
    let reason = match limits {
        CannotCarry::TooLarge { .. } => Reason::MessageTooLarge,
        CannotCarry::NoSmtpUtf8 => Reason::CannotCarry,
    };
    Failure::new(reason, limits.to_string())
}
