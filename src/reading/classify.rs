//! What a server's refusal means: its words, as the providers are known to choose them.

use std::time::Duration;

use super::back::BackTrouble;
use crate::mail::{Failure, Reason};

/// How long a mailbox is left alone whose login was refused for a reason that asking again does not mend.
const BREATH: Duration = Duration::from_secs(30);

/// Words of a refusal, in lower case, and what they mean. The first that is found counts.
const MEANINGS: [(&str, Reason); 17] = [
    // Exchange Online, after a login that succeeded: IMAP is off, `user=` is wrong, or the service is in trouble.
    ("authenticated but not connected", Reason::MailboxUnavailable),
    ("throttled", Reason::Throttled),
    ("too many simultaneous connections", Reason::Throttled),
    ("too many connections", Reason::Throttled),
    ("[limit]", Reason::Throttled),
    // Gmail, with the switch of its settings page off.
    ("not enabled for imap", Reason::ReadingDisabled),
    ("not enabled for pop", Reason::ReadingDisabled),
    ("imap access is disabled", Reason::ReadingDisabled),
    ("pop access is disabled", Reason::ReadingDisabled),
    ("access disabled", Reason::ReadingDisabled),
    ("[unavailable]", Reason::ProviderTrouble),
    ("[serverbug]", Reason::ProviderTrouble),
    ("[inuse]", Reason::ProviderTrouble),
    ("[in-use]", Reason::ProviderTrouble),
    ("[sys/", Reason::ProviderTrouble),
    ("[noperm]", Reason::PermissionMissing),
    ("[authorizationfailed]", Reason::PermissionMissing),
];

/// What follows from a server's words.
pub(super) fn of_trouble(trouble: &BackTrouble) -> Failure {
    let words = match &trouble.challenge {
        Some(challenge) => format!("{} ({challenge})", trouble.words),
        None => trouble.words.clone(),
    };
    let lower = words.to_lowercase();
    let known = MEANINGS.iter().find(|(phrase, _)| lower.contains(phrase)).map(|(_, reason)| *reason);
    let reason = match known {
        Some(reason) => reason,
        None if trouble.to_login => Reason::AuthenticationRejected,
        None => Reason::ProviderTrouble,
    };
    let lasts = matches!(reason, Reason::MailboxUnavailable | Reason::ReadingDisabled | Reason::PermissionMissing);
    let wait = suggested_backoff(&lower).or(lasts.then_some(BREATH));
    Failure::new(reason, words).retry_after(wait)
}

/// The same refusal for a token that had just been issued: nothing changes by asking at once.
pub(super) fn for_good(failure: Failure) -> Failure {
    let wait = failure.retry_after.or(Some(BREATH));
    failure.retry_after(wait)
}

/// `Suggested Backoff Time: 92415 milliseconds`, as Exchange Online says it.
fn suggested_backoff(lower: &str) -> Option<Duration> {
    const LONGEST: u64 = 60 * 60 * 1000;
    let (_, behind) = lower.split_once("suggested backoff time:")?;
    let digits: String = behind.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().map(|millis: u64| Duration::from_millis(millis.min(LONGEST)))
}

/// The next step, for people; `account` is the account's name.
#[expect(clippy::wildcard_enum_match_arm, reason = "whatever else may come, coming again later is the advice")]
pub fn hint(reason: Reason, account: &str, protocol: &str) -> String {
    match reason {
        Reason::AuthenticationRejected => format!(
            "check that `{account}` was signed in as somebody who may open this mailbox, and that {} is on for it",
            protocol.to_uppercase()
        ),
        Reason::MailboxUnavailable => format!(
            "check that the mailbox exists and that {} is on for it; try again in a minute",
            protocol.to_uppercase()
        ),
        Reason::Throttled => "wait, and let fewer programs read this mailbox at once".to_owned(),
        Reason::PermissionMissing => format!("give whoever signed `{account}` in full access to this mailbox"),
        Reason::SignInNeeded => format!("run `oxpost login {account}`"),
        Reason::ConfigurationRejected => format!("mend the app's settings of `{account}`, then reload"),
        Reason::Unreachable | Reason::TlsRefused | Reason::ReadingDisabled => reason.hint(account),
        _ => "try again later".to_owned(),
    }
}

/// Takes secrets out of a server's words: those that are known, and whatever is long and has no blank.
pub(super) fn clean(words: &str, secrets: &[&str]) -> String {
    const LONGEST_WORD: usize = 80;
    let mut words = words.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        words = words.replace(secret, "<secret>");
    }
    let short = |word: &str| if word.len() > LONGEST_WORD { "<...>".to_owned() } else { word.to_owned() };
    words.split(' ').map(short).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart_by_their_words() {
        let table: [(&str, bool, Reason, Option<u64>, &str); 13] = [
            ("AUTHENTICATE failed.", true, Reason::AuthenticationRejected, None, "Microsoft"),
            (
                "[AUTHENTICATIONFAILED] Invalid credentials (Failure)",
                true,
                Reason::AuthenticationRejected,
                None,
                "Gmail",
            ),
            ("[AUTH] Authentication failed.", true, Reason::AuthenticationRejected, None, "Dovecot, POP3"),
            ("User is authenticated but not connected.", true, Reason::MailboxUnavailable, Some(30), "Microsoft"),
            (
                "Request is throttled. Suggested Backoff Time: 92415 milliseconds",
                true,
                Reason::Throttled,
                Some(92),
                "Microsoft",
            ),
            (
                "Request is throttled. Suggested Backoff Time: 99999999999",
                true,
                Reason::Throttled,
                Some(3600),
                "bounded",
            ),
            ("[ALERT] Too many simultaneous connections. (Failure)", true, Reason::Throttled, None, "Gmail"),
            (
                "[ALERT] Your account is not enabled for IMAP use.",
                true,
                Reason::ReadingDisabled,
                Some(30),
                "Gmail with IMAP off",
            ),
            (
                "[SYS/PERM] Your account is not enabled for POP access.",
                true,
                Reason::ReadingDisabled,
                Some(30),
                "POP off",
            ),
            ("[UNAVAILABLE] Temporary authentication failure.", true, Reason::ProviderTrouble, None, "Dovecot"),
            ("[SYS/TEMP] Temporary authentication failure.", true, Reason::ProviderTrouble, None, "Dovecot, POP3"),
            ("[IN-USE] locked", true, Reason::ProviderTrouble, None, "another program has the mailbox"),
            ("going down", false, Reason::ProviderTrouble, None, "BYE before any login"),
        ];
        for (words, to_login, reason, wait, why) in table {
            let trouble = BackTrouble { words: words.to_owned(), to_login, challenge: None };
            let failure = of_trouble(&trouble);
            assert_eq!((failure.reason, failure.retry_after.map(|wait| wait.as_secs())), (reason, wait), "{why}");
        }
    }

    #[test]
    fn no_secret_is_told() {
        let token = "abc.def.ghi";
        let response = "A".repeat(100);
        let words = format!("bad token {token} in {response} or {}", "B".repeat(90));
        assert_eq!(clean(&words, &[token, &response, ""]), "bad token <secret> in <secret> or <...>");
    }
}
