//! What became of a delivery: one closed list of reasons, and from each reason everything that follows from it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::EnhancedStatusCode;

/// Why something did not go. Closed on purpose: a new reason stops compilation until status code, disposition and
/// hint have an answer for it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    // -- waits and tries again --
    /// The provider could not be reached: name, route, connection.
    Unreachable,
    /// The provider's TLS could not be verified or agreed on.
    TlsRefused,
    /// The provider did not answer in time.
    TimedOut,
    /// The provider asked to slow down (429, 432, 421).
    Throttled,
    /// The provider has trouble of its own (4yz, 5xx).
    ProviderTrouble,
    /// The recipient's side said "later".
    RecipientDeferred,
    /// No access token could be had for now.
    TokenUnavailable,
    /// The answer was lost after the last octet: the message may have been taken.
    AnswerLost,
    /// Something oxpost does not know: temporary until proven otherwise.
    Unexpected,
    // -- trouble of the account: mail is held --
    /// The grant is lost; somebody must sign in.
    SignInNeeded,
    /// The provider rejects the client id, secret, certificate or scopes.
    ConfigurationRejected,
    /// The provider does not take the token for this mailbox (535).
    AuthenticationRejected,
    /// The account lacks a permission (403).
    PermissionMissing,
    /// SMTP AUTH is switched off for the tenant or the mailbox (5.7.139).
    SmtpAuthDisabled,
    /// IMAP or POP3 is switched off for the mailbox.
    ReadingDisabled,
    /// The mailbox cannot be used through this API, or does not exist.
    MailboxUnavailable,
    /// The sending mailbox is full.
    MailboxFull,
    /// The mailbox used up the day's recipients.
    DailyLimit,
    /// The provider blocks the sender or the tenant.
    SenderBlocked,
    /// Several ways are configured wrongly, or none can be used now.
    NoWayOut,
    /// Somebody put the mailbox on hold.
    HeldByHand,
    // -- for good --
    /// The mailbox may not send as this sender.
    SenderRefused,
    /// The recipient does not exist or is refused.
    RecipientRefused,
    /// Larger than any way out can carry.
    MessageTooLarge,
    /// The provider refuses the content.
    ContentRefused,
    /// The provider refused for good, in words of its own.
    Rejected,
    /// No way out can carry what the message needs (SMTPUTF8, an envelope).
    CannotCarry,
    /// The spooled content is missing or damaged.
    BodyDamaged,
    /// Retried until its time was up.
    Expired,
    /// Held until its time was up.
    HoldExpired,
}

/// What a reason means for the recipient's mail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disposition {
    /// Try again on the schedule.
    Defer,
    /// Keep it without using attempts: the account is in trouble.
    Hold,
    /// No wait mends it.
    Fail,
}

impl Reason {
    /// The enhanced status code of it, where nobody gave a better one: see [`Failure::status`].
    pub const fn status(self) -> EnhancedStatusCode {
        let (class, subject, detail) = match self {
            Self::Unreachable => (4, 4, 1),
            Self::TlsRefused => (4, 7, 5),
            Self::TimedOut | Self::AnswerLost => (4, 4, 2),
            Self::Throttled => (4, 4, 5),
            Self::ProviderTrouble | Self::Unexpected => (4, 3, 0),
            Self::RecipientDeferred => (4, 2, 0),
            Self::TokenUnavailable | Self::SignInNeeded | Self::AuthenticationRejected => (4, 7, 0),
            Self::ConfigurationRejected | Self::NoWayOut => (4, 3, 5),
            Self::HeldByHand => (4, 3, 2),
            Self::PermissionMissing | Self::SmtpAuthDisabled | Self::ReadingDisabled | Self::SenderBlocked => (4, 7, 1),
            Self::MailboxUnavailable => (4, 2, 1),
            Self::MailboxFull => (4, 2, 2),
            Self::DailyLimit => (4, 5, 3),
            Self::SenderRefused => (5, 7, 1),
            Self::RecipientRefused => (5, 1, 1),
            Self::MessageTooLarge => (5, 3, 4),
            Self::ContentRefused => (5, 6, 0),
            Self::Rejected => (5, 0, 0),
            Self::CannotCarry => (5, 6, 7),
            Self::BodyDamaged => (5, 3, 0),
            Self::Expired | Self::HoldExpired => (5, 4, 7),
        };
        EnhancedStatusCode::new(class, subject, detail)
    }

    /// What follows for the mail. Agrees with [`Reason::status`]: class 5 fails, class 4 waits.
    pub const fn disposition(self) -> Disposition {
        match self {
            Self::Unreachable
            | Self::TlsRefused
            | Self::TimedOut
            | Self::Throttled
            | Self::ProviderTrouble
            | Self::RecipientDeferred
            | Self::TokenUnavailable
            | Self::AnswerLost
            | Self::Unexpected => Disposition::Defer,
            Self::SignInNeeded
            | Self::ConfigurationRejected
            | Self::AuthenticationRejected
            | Self::PermissionMissing
            | Self::SmtpAuthDisabled
            | Self::ReadingDisabled
            | Self::MailboxUnavailable
            | Self::MailboxFull
            | Self::DailyLimit
            | Self::SenderBlocked
            | Self::NoWayOut
            | Self::HeldByHand => Disposition::Hold,
            Self::SenderRefused
            | Self::RecipientRefused
            | Self::MessageTooLarge
            | Self::ContentRefused
            | Self::Rejected
            | Self::CannotCarry
            | Self::BodyDamaged
            | Self::Expired
            | Self::HoldExpired => Disposition::Fail,
        }
    }

    /// What happened, for people; follows "…: " and precedes the remote's words.
    pub const fn summary(self) -> &'static str {
        match self {
            Self::Unreachable => "the provider could not be reached",
            Self::TlsRefused => "the provider's TLS certificate or version was not accepted",
            Self::TimedOut => "the provider did not answer in time",
            Self::Throttled => "the provider asked to slow down",
            Self::ProviderTrouble => "the provider has trouble of its own",
            Self::RecipientDeferred => "the recipient's side asked to try later",
            Self::TokenUnavailable => "no access token could be had for now",
            Self::AnswerLost => "the provider's answer was lost, so the message may arrive twice",
            Self::Unexpected => "the provider gave an answer that oxpost does not know",
            Self::SignInNeeded => "the account must be signed in again",
            Self::ConfigurationRejected => "the provider rejects the configured app",
            Self::AuthenticationRejected => "the provider does not accept the token for this mailbox",
            Self::PermissionMissing => "the account lacks a permission",
            Self::SmtpAuthDisabled => "SMTP AUTH is switched off for this tenant or mailbox",
            Self::ReadingDisabled => "IMAP or POP3 is switched off for this mailbox",
            Self::MailboxUnavailable => "the mailbox cannot be used this way",
            Self::MailboxFull => "the sending mailbox is full",
            Self::DailyLimit => "the mailbox has used up its daily recipients",
            Self::SenderBlocked => "the provider blocks this sender or tenant",
            Self::NoWayOut => "no configured way out can be used",
            Self::HeldByHand => "somebody put the mailbox on hold",
            Self::SenderRefused => "the mailbox may not send as this sender",
            Self::RecipientRefused => "the recipient was refused",
            Self::MessageTooLarge => "the message is larger than any way out can carry",
            Self::ContentRefused => "the provider refuses the content",
            Self::Rejected => "the provider refused the message for good",
            Self::CannotCarry => "no way out can carry what the message needs",
            Self::BodyDamaged => "the stored content is missing or damaged",
            Self::Expired => "it could not be handed over before its time was up",
            Self::HoldExpired => "it was held until its time was up",
        }
    }

    /// The next step, for people; `account` is the account's name.
    pub fn hint(self, account: &str) -> String {
        match self {
            Self::Unreachable => "check this machine's network, DNS and firewall; oxpost tries again by itself".to_owned(),
            Self::TlsRefused => "check this machine's clock and its CA certificates, and whether a proxy breaks TLS open (its CA goes into `ca_file`)".to_owned(),
            Self::TimedOut | Self::ProviderTrouble | Self::RecipientDeferred | Self::TokenUnavailable | Self::Throttled => {
                "nothing to do: oxpost tries again by itself".to_owned()
            }
            Self::AnswerLost => "nothing to do: oxpost tries again by itself after a while".to_owned(),
            Self::Unexpected => "nothing to do for now; if it stays, report the provider's words".to_owned(),
            Self::SignInNeeded => format!("run `oxpost login {account}`; the mail goes by itself afterwards"),
            Self::ConfigurationRejected => format!("mend the app's settings (client id, secret, tenant) and reload; the mail goes by itself afterwards. If they were mended at the provider, oxpost probes, or run `oxpost queue release {account}`"),
            Self::AuthenticationRejected => format!("check that the account was signed in as its mailbox and that the mailbox may use SMTP AUTH (for a smarthost: `login` and `password` in `[smarthost]`, then reload); then run `oxpost queue release {account}`"),
            Self::PermissionMissing => format!("grant the app the permission that the provider names, then run `oxpost queue release {account}`"),
            Self::SmtpAuthDisabled => format!("switch SMTP AUTH on for the mailbox (Set-CASMailbox -SmtpClientAuthenticationDisabled $false), or add \"graph\" to the account's `send`; then run `oxpost queue release {account}`"),
            Self::ReadingDisabled => "switch it on at the provider (Microsoft: Set-CASMailbox -ImapEnabled $true -PopEnabled $true; Google: Gmail's settings, Forwarding and POP/IMAP)".to_owned(),
            Self::MailboxUnavailable => format!("check the mailbox's name, licence and that it is in the cloud; then run `oxpost queue release {account}`"),
            Self::MailboxFull => "make room in the sending mailbox (Sent Items fills it); oxpost probes by itself".to_owned(),
            Self::DailyLimit => "wait until tomorrow, or spread the mail over more mailboxes; oxpost probes by itself".to_owned(),
            Self::SenderBlocked => "the tenant's administrator must unblock the sender at the provider; oxpost probes by itself".to_owned(),
            Self::HeldByHand => format!("when its mail may go, run `oxpost queue release {account}`"),
            Self::NoWayOut => format!("check the account's `send` with `oxpost check`; then run `oxpost queue release {account}`"),
            Self::SenderRefused => "let the mailbox send as that address at the provider, or set `sender = \"rewrite\"` for the client".to_owned(),
            Self::RecipientRefused => "check the recipient's address".to_owned(),
            Self::MessageTooLarge => "send less at once, or add \"smtp\" to the account's `send`".to_owned(),
            Self::ContentRefused | Self::Rejected => "read the provider's words above".to_owned(),
            Self::CannotCarry => "add \"smtp\" to the account's `send`, or use plain ASCII addresses".to_owned(),
            Self::BodyDamaged => "check the disk under `data`; the message cannot be sent from here".to_owned(),
            Self::Expired | Self::HoldExpired => format!("mend the cause, then send it again with `oxpost queue retry` ({account})"),
        }
    }
}

/// One thing that went wrong: why, in whose words, and when it is worth another try.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// Why, from the closed list.
    pub reason: Reason,
    /// The remote's own words and code, or what happened here. Never a secret.
    pub diagnostic: String,
    /// How long the remote asked us to wait, at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure without a word on when to try again. Line ends in the remote's words become spaces.
    pub fn new(reason: Reason, diagnostic: impl Into<String>) -> Self {
        Self { reason, diagnostic: one_line(&diagnostic.into()), retry_after: None }
    }

    /// The same, not to be tried before `wait` is over.
    #[must_use]
    pub fn retry_after(self, wait: Option<Duration>) -> Self {
        Self { retry_after: wait, ..self }
    }

    /// The remote's own enhanced status code if its words begin with one, else that of the reason, whose class it always
    /// has: what follows for the mail is decided here.
    pub fn status(&self) -> EnhancedStatusCode {
        let usual = self.reason.status();
        let remote: Option<EnhancedStatusCode> =
            self.diagnostic.split_whitespace().take(2).find_map(|word| word.parse().ok());
        remote.filter(|code| code.class() != 2).map_or(usual, |code| code.in_class(usual.class()))
    }
}

/// The reason's summary, then the remote's words.
impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.diagnostic.is_empty() {
            f.write_str(self.reason.summary())
        } else {
            write!(f, "{}: {}", self.reason.summary(), self.diagnostic)
        }
    }
}

/// The remote's words on one line, without control characters, at most 1,000 characters.
pub fn one_line(text: &str) -> String {
    let folded: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut words = String::with_capacity(folded.len().min(1000));
    for word in folded.split_whitespace() {
        if words.chars().count() + word.chars().count() > 1000 {
            words.push_str(" ...");
            break;
        }
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
    }
    words
}

/// Proof that the provider took a message, in its own words.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Receipt {
    /// The final reply, or the HTTP status with its request id.
    pub diagnostic: String,
    /// Whether the provider was told what the sender wants to hear (RFC 3461), and took that over.
    #[serde(default)]
    pub knows_wishes: bool,
}

/// What became of one recipient in one attempt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The provider took it.
    Relayed(Receipt),
    /// Later, on the schedule.
    Deferred(Failure),
    /// The account is in trouble: wait without using attempts.
    Held(Failure),
    /// For good.
    Failed(Failure),
    /// The answer was lost after the last octet: it may have been taken (promise 1).
    Unknown(Failure),
}

impl Outcome {
    /// The failure, unless it was relayed.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Relayed(_) => None,
            Self::Deferred(failure) | Self::Held(failure) | Self::Failed(failure) | Self::Unknown(failure) => {
                Some(failure)
            }
        }
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Self {
        match (failure.reason, failure.reason.disposition()) {
            (Reason::AnswerLost, _) => Self::Unknown(failure),
            (_, Disposition::Defer) => Self::Deferred(failure),
            (_, Disposition::Hold) => Self::Held(failure),
            (_, Disposition::Fail) => Self::Failed(failure),
        }
    }
}

/// A way out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BackendKind {
    /// Microsoft Graph `sendMail`.
    Graph,
    /// SMTP submission with XOAUTH2.
    Smtp,
    /// The Gmail API.
    Gmail,
    /// Exchange Web Services.
    Ews,
    /// An ordinary mail server, with a password or none.
    Smarthost,
}

impl BackendKind {
    /// Each of them once.
    pub const ALL: [Self; 5] = [Self::Graph, Self::Smtp, Self::Gmail, Self::Ews, Self::Smarthost];

    /// The word in configuration, log and history.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Graph => "graph",
            Self::Smtp => "smtp",
            Self::Gmail => "gmail",
            Self::Ews => "ews",
            Self::Smarthost => "smarthost",
        }
    }
}

/// The word is no way out.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is no way out")]
pub struct NoBackend(String);

impl std::str::FromStr for BackendKind {
    type Err = NoBackend;

    fn from_str(name: &str) -> Result<Self, NoBackend> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| NoBackend(name.to_owned()))
    }
}

impl std::fmt::Display for BackendKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What a backend returns, and the only thing it returns: an outcome for each recipient of the lease, in its order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// The way that was taken; `None` if it came to none.
    pub backend: Option<BackendKind>,
    /// One for each recipient, in the envelope's order.
    pub outcomes: Vec<Outcome>,
    /// What history should say besides (headers rewritten, sent under another reverse path); empty if nothing.
    pub notes: Vec<String>,
}

impl Attempt {
    /// The same outcome for each of `recipients` recipients.
    pub fn uniform(backend: Option<BackendKind>, recipients: usize, outcome: Outcome) -> Self {
        Self { backend, outcomes: vec![outcome; recipients], notes: Vec::new() }
    }

    /// Whether no way out was asked, because each of them waits for its time. That is no attempt in anybody's eyes.
    pub fn only_waits(&self) -> bool {
        let waits = |outcome: &Outcome| {
            matches!(outcome, Outcome::Deferred(Failure { reason: Reason::Throttled, retry_after: Some(_), .. }))
        };
        self.backend.is_none() && !self.outcomes.is_empty() && self.outcomes.iter().all(waits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Reason; 30] = [
        Reason::ReadingDisabled,
        Reason::Unreachable,
        Reason::TlsRefused,
        Reason::TimedOut,
        Reason::Throttled,
        Reason::ProviderTrouble,
        Reason::RecipientDeferred,
        Reason::TokenUnavailable,
        Reason::AnswerLost,
        Reason::Unexpected,
        Reason::SignInNeeded,
        Reason::ConfigurationRejected,
        Reason::AuthenticationRejected,
        Reason::PermissionMissing,
        Reason::SmtpAuthDisabled,
        Reason::MailboxUnavailable,
        Reason::MailboxFull,
        Reason::DailyLimit,
        Reason::SenderBlocked,
        Reason::NoWayOut,
        Reason::HeldByHand,
        Reason::SenderRefused,
        Reason::RecipientRefused,
        Reason::MessageTooLarge,
        Reason::ContentRefused,
        Reason::Rejected,
        Reason::CannotCarry,
        Reason::BodyDamaged,
        Reason::Expired,
        Reason::HoldExpired,
    ];

    #[test]
    fn every_way_out_is_known_by_its_name() {
        for kind in BackendKind::ALL {
            // A new one makes this incomplete, and ALL with it.
            match kind {
                BackendKind::Graph
                | BackendKind::Smtp
                | BackendKind::Gmail
                | BackendKind::Ews
                | BackendKind::Smarthost => assert_eq!(kind.name().parse(), Ok(kind)),
            }
        }
        assert!("pigeon".parse::<BackendKind>().is_err());
    }

    #[test]
    fn the_status_class_agrees_with_the_disposition() {
        for reason in ALL {
            let fails = reason.disposition() == Disposition::Fail;
            assert_eq!(reason.status().class() == 5, fails, "{reason:?}");
            assert!(!reason.summary().is_empty() && !reason.hint("a").is_empty());
        }
    }

    #[test]
    fn the_remotes_own_status_is_told_in_the_class_that_the_mail_has_here() {
        let table = [
            (Reason::RecipientRefused, "550 5.7.1 not here", "5.7.1", "the remote's own code"),
            (
                Reason::Expired,
                "the provider asked to slow down: 451 4.7.500 busy",
                "5.4.7",
                "time is up: the last words are not why",
            ),
            (Reason::AuthenticationRejected, "535 5.7.8 no", "4.7.8", "the mail waits"),
            (Reason::RecipientRefused, "", "5.1.1", "no words"),
            (Reason::Rejected, "554 no", "5.0.0", "a reply without a code"),
            (Reason::Rejected, "2.0.0 taken", "5.0.0", "not a failure"),
            (Reason::ProviderTrouble, "HTTP 503 5.9.9 in its words", "4.3.0", "not at the beginning"),
        ];
        for (reason, words, expected, why) in table {
            assert_eq!(Failure::new(reason, words).status().to_string(), expected, "{why}");
        }
    }

    #[test]
    fn a_lost_answer_is_unknown_and_the_rest_follows_the_reason() {
        assert!(matches!(Outcome::from(Failure::new(Reason::AnswerLost, "")), Outcome::Unknown(_)));
        assert!(matches!(Outcome::from(Failure::new(Reason::Throttled, "")), Outcome::Deferred(_)));
        assert!(matches!(Outcome::from(Failure::new(Reason::SignInNeeded, "")), Outcome::Held(_)));
        assert!(matches!(Outcome::from(Failure::new(Reason::Rejected, "")), Outcome::Failed(_)));
    }

    #[test]
    fn the_remotes_words_stay_on_one_bounded_line() {
        assert_eq!(Failure::new(Reason::Rejected, "550 no\r\n250 yes\x1b[0m").diagnostic, "550 no 250 yes [0m");
        assert!(one_line(&"word ".repeat(5000)).len() < 1100);
    }

    #[test]
    fn only_what_came_to_no_way_out_and_has_a_time_is_mere_waiting() {
        let failure = |reason, wait| Outcome::from(Failure::new(reason, "").retry_after(wait));
        let second = Some(Duration::from_secs(1));
        let table = [
            (None, vec![failure(Reason::Throttled, second); 2], true, "each way waits for its time"),
            (Some(BackendKind::Graph), vec![failure(Reason::Throttled, second)], false, "the provider said so"),
            (None, vec![failure(Reason::Throttled, None)], false, "no time"),
            (None, vec![failure(Reason::NoWayOut, second)], false, "another reason"),
            (None, vec![], false, "nobody was to be asked"),
        ];
        for (backend, outcomes, expected, why) in table {
            assert_eq!(Attempt { backend, outcomes, notes: vec![] }.only_waits(), expected, "{why}");
        }
    }
}
