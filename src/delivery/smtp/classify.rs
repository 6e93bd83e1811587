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
        Trouble::NoXoauth2
        | Trouble::NoPlain
        | Trouble::Unsolicited(_)
        | Trouble::OutOfPlace { .. }
        | Trouble::Malformed(_) => Failure::new(Reason::Unexpected, trouble.to_string()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::upstream::{Step, Upstream};

    /// The answer that a line gives.
    fn response(line: &str) -> Response {
        let mut client = Upstream::new("gw", true);
        client.receive(b"220 up\r\n");
        assert_eq!(client.step(), Ok(Step::Read));
        client.receive(format!("{line}\r\n").as_bytes());
        match client.step() {
            Err(Trouble::Refused { response, .. }) => response,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn microsofts_replies_to_logins_mean_what_its_documents_say() {
        use Reason as R;
        use Stage as S;
        let table = [
            (
                S::Auth,
                "535 5.7.3 Authentication unsuccessful [SN2PR00CA0018.namprd00.prod.outlook.com]",
                R::AuthenticationRejected,
            ),
            (
                S::Auth,
                "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
                R::SmtpAuthDisabled,
            ),
            (
                S::Auth,
                "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
                R::SmtpAuthDisabled,
            ),
            (
                S::Auth,
                "535 5.7.139 Authentication unsuccessful, user is locked by your organization's security defaults policy.",
                R::SmtpAuthDisabled,
            ),
            (
                S::Auth,
                "535 5.7.139 Authentication unsuccessful, the request did not meet the criteria to be authenticated.",
                R::SmtpAuthDisabled,
            ),
            (
                S::Auth,
                "535 5.7.139 Authentication unsuccessful, the federated STS service was unreachable.",
                R::SmtpAuthDisabled,
            ),
            (S::Auth, "550 5.7.30 Basic authentication is not supported for Client Submission.", R::SmtpAuthDisabled),
            (S::Mail, "530 5.7.57 Client not authenticated to send mail.", R::AuthenticationRejected),
            (
                S::Mail,
                "530 5.7.57 Client not authenticated. Error: 535 5.7.139 Authentication unsuccessful",
                R::SmtpAuthDisabled,
            ),
            (S::Mail, "550 5.7.53 SMTP; Client was rejected. Authenticated users only.", R::AuthenticationRejected),
        ];
        for (stage, line, reason) in table {
            assert_eq!(classify(stage, &response(line)).reason, reason, "{stage:?}: {line}");
        }
    }

    #[test]
    fn microsofts_replies_to_mail_mean_what_its_documents_say() {
        use Reason as R;
        use Stage as S;
        let table = [
            (S::Mail, "550 5.7.60 SMTP; Client does not have permissions to send as this sender", R::SenderRefused),
            (
                S::Content,
                "554 5.2.252 SendAsDenied; a@x not allowed to send as b@x; STOREDRV.Submission",
                R::SenderRefused,
            ),
            (
                S::Content,
                "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied",
                R::SenderRefused,
            ),
            (S::Auth, "432 4.3.2 Concurrent connections limit exceeded.", R::Throttled),
            (S::Content, "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", R::Throttled),
            (S::Content, "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException", R::DailyLimit),
            (S::Content, "550 5.2.2 Submission quota exceeded", R::DailyLimit),
            (
                S::Content,
                "550 5.1.90 Your message can't be sent because you've reached your daily limit",
                R::DailyLimit,
            ),
            (S::Rcpt, "550 5.7.232 tenant external recipient limit", R::DailyLimit),
            (S::Content, "550 5.7.233 tenant external recipient limit", R::DailyLimit),
            (
                S::Content,
                "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException",
                R::MailboxFull,
            ),
            (S::Content, "554 5.2.0 STOREDRV.Submission.Exception:MapiExceptionShutoffQuotaExceeded", R::MailboxFull),
            (S::Mail, "550 5.1.8 Access denied, bad outbound sender", R::SenderBlocked),
            (S::Content, "550 5.7.705 Access denied, tenant has exceeded threshold", R::SenderBlocked),
            (S::Content, "550 5.7.708 Access denied, traffic not accepted from this IP", R::SenderBlocked),
            (S::Rcpt, "550 5.7.501 Access denied, banned sender", R::SenderBlocked),
            (S::Mail, "550 5.7.502 Access denied, banned sender", R::SenderBlocked),
            (S::Content, "550 5.7.503 Access denied, banned sender", R::SenderBlocked),
            (S::Mail, "552 5.3.4 Message size exceeds fixed maximum message size", R::MessageTooLarge),
            (S::Content, "550 5.2.3 RESOLVER.RST.RecipSizeLimit; message too large", R::MessageTooLarge),
            (S::Content, "550 5.6.11 Invalid characters", R::ContentRefused),
            (S::Content, "550 5.7.512 message must be RFC 5322 section 3.6.2 compliant", R::ContentRefused),
            (S::Content, "550 5.1.20 Multiple From addresses without Sender", R::ContentRefused),
            (S::Content, "451 4.7.0 Temporary server error. Please try again later. PRX4", R::ProviderTrouble),
            (S::Mail, "451 4.7.500 Server busy. Please try again later", R::ProviderTrouble),
            (S::Hello, "421 4.3.2 Service not active", R::ProviderTrouble),
            (S::Content, "451 4.4.2 Connection dropped", R::ProviderTrouble),
            (S::Content, "451 4.4.3 Temporary server error. Please try again later ATTR18", R::ProviderTrouble),
            (S::Content, "452 4.3.1 Insufficient system resources", R::ProviderTrouble),
            (S::Content, "451 4.5.127 what", R::ProviderTrouble),
            (S::Content, "550 5.2.0 what", R::Rejected),
        ];
        for (stage, line, reason) in table {
            assert_eq!(classify(stage, &response(line)).reason, reason, "{stage:?}: {line}");
        }
    }

    #[test]
    fn googles_replies_mean_what_its_documents_say() {
        use Reason as R;
        use Stage as S;
        let table = [
            (S::Greeting, "421 4.3.0 Temporary System Problem. Try again later", R::ProviderTrouble),
            (S::Greeting, "421 4.4.5 Server busy, try again later.", R::ProviderTrouble),
            (S::Mail, "421 4.7.0 Temporary System Problem. Try again later.", R::ProviderTrouble),
            (S::Mail, "421 4.7.0 Connection expired, try reconnecting", R::ProviderTrouble),
            (S::Mail, "421 4.7.0 Try again later, closing connection.", R::ProviderTrouble),
            (S::Content, "421 4.7.28 Our system has detected an unusual rate of mail", R::Throttled),
            (S::Content, "421 4.7.28 quota for sending messages with the same Message-ID", R::Throttled),
            (
                S::Rcpt,
                "450 4.2.1 The user you are trying to contact is receiving mail too quickly",
                R::RecipientDeferred,
            ),
            (S::Content, "450 4.2.1 The user is receiving mail too quickly", R::Throttled),
            (S::Rcpt, "450 4.2.1 Peak SMTP relay limit exceeded for customer.", R::Throttled),
            (S::Content, "451 4.4.2 Timeout - closing connection.", R::ProviderTrouble),
            (S::Mail, "451 4.5.0 SMTP protocol violation, visit RFC 2821", R::ProviderTrouble),
            (S::Auth, "454 4.7.0 Too many login attempts, please try again later", R::Throttled),
            (S::Auth, "454 4.7.0 Cannot authenticate due to temporary system problem.", R::ProviderTrouble),
            (S::StartTls, "454 4.5.0 SMTP protocol violation, no commands allowed to pipeline", R::TlsRefused),
            (S::StartTls, "523 5.7.10 SMTP protocol violation, no commands allowed to pipeline", R::TlsRefused),
            (S::Mail, "530 5.5.1 Authentication Required.", R::AuthenticationRejected),
            (S::Mail, "530 5.7.0 Authentication Required.", R::AuthenticationRejected),
            (S::Auth, "534 5.7.9 Please log in with your web browser", R::AuthenticationRejected),
            (S::Auth, "534 5.7.9 Application-specific password required.", R::AuthenticationRejected),
            (S::Auth, "535 5.7.9 Application-specific password required.", R::AuthenticationRejected),
            (S::Auth, "534 5.7.14 Please log in via your web browser", R::AuthenticationRejected),
            (S::Auth, "535 5.7.8 Username and Password not accepted.", R::AuthenticationRejected),
            (S::Content, "550 5.4.5 Daily user sending limit exceeded.", R::DailyLimit),
            (S::Content, "550 5.4.5 Daily sending quota exceeded.", R::DailyLimit),
            (S::Rcpt, "550 5.4.5 Daily SMTP relay limit exceeded for user.", R::DailyLimit),
            (S::Rcpt, "550 5.7.1 Daily SMTP relay limit exceeded for customer.", R::DailyLimit),
            (S::Rcpt, "550 5.7.0 Mail relay denied.", R::AuthenticationRejected),
            (S::Mail, "550 5.7.1 Invalid credentials for relay.", R::AuthenticationRejected),
            (S::Content, "552 5.2.3 Your message exceeded Google's message size limits.", R::MessageTooLarge),
            (S::Mail, "552 5.3.4 Your message exceeded Google's message size limits.", R::MessageTooLarge),
            (
                S::Content,
                "552 5.7.0 This message was blocked because its content presents a potential security issue",
                R::ContentRefused,
            ),
            (S::Mail, "553 5.1.7 The sender address is not a valid RFC 5321 address.", R::SenderRefused),
            (S::Content, "554 5.6.0 Mail message is malformed.", R::ContentRefused),
            (S::Content, "550 5.7.1 Message is not RFC 5322 compliant", R::ContentRefused),
            (S::Auth, "503 5.7.0 No identity changes permitted.", R::Unexpected),
        ];
        for (stage, line, reason) in table {
            assert_eq!(classify(stage, &response(line)).reason, reason, "{stage:?}: {line}");
        }
    }

    #[test]
    fn what_no_table_knows_follows_stage_and_class() {
        use Reason as R;
        use Stage as S;
        let table = [
            (S::Greeting, "554 no", R::ProviderTrouble, "a greeting says nothing about the message"),
            (S::Hello, "500 what", R::ProviderTrouble, "nor does EHLO"),
            (S::StartTls, "502 no", R::TlsRefused, "no TLS, no mail"),
            (S::Auth, "504 no such mechanism", R::Unexpected, "a login never fails a message"),
            (S::Auth, "500 line too long", R::Unexpected, "a login never fails a message"),
            (S::Mail, "555 parameter", R::Rejected, "MAIL"),
            (S::Rcpt, "450 later", R::RecipientDeferred, "the recipient's side, later"),
            (S::Rcpt, "452 4.2.2 full", R::RecipientDeferred, "the recipient's mailbox, not the sender's"),
            (S::Rcpt, "552 5.2.2 full", R::RecipientRefused, "the recipient's mailbox, not the sender's"),
            (S::Rcpt, "552 5.2.3 RecipSizeLimit", R::MessageTooLarge, "the recipient's limit"),
            (S::Rcpt, "550 5.1.1 unknown", R::RecipientRefused, "the recipient"),
            (S::Data, "554 no", R::Rejected, "DATA"),
            (S::Data, "503 sequence", R::Unexpected, "a misunderstanding"),
            (S::Content, "554 spam", R::Rejected, "the content"),
            (S::Content, "451 busy", R::ProviderTrouble, "the content, later"),
        ];
        for (stage, line, reason, why) in table {
            assert_eq!(classify(stage, &response(line)).reason, reason, "{line}: {why}");
        }
    }

    #[test]
    fn too_many_recipients_are_recognised() {
        let table = [
            ("452 4.5.3 Too many recipients", true, "by both"),
            ("452 too many recipients", true, "by its words"),
            ("552 too many recipients", true, "the old code (RFC 5321 section 4.5.3.1.10)"),
            ("452 4.5.3 Domain policy size per transaction exceeded", true, "by its status"),
            ("452 4.2.2 mailbox full", false, "another 452"),
            ("550 too many recipients", false, "a refusal for good"),
        ];
        for (line, expected, why) in table {
            assert_eq!(asks_for_another_transaction(&response(line)), expected, "{line}: {why}");
        }
    }

    #[test]
    fn the_diagnostic_begins_with_the_servers_words() {
        let failure = classify(Stage::Rcpt, &response("550 5.1.1 no such user"));
        assert_eq!(failure.diagnostic, "550 5.1.1 no such user (the reply to RCPT)");
    }
}
