//! What an answer of the Gmail API means ("Resolve errors", and the limits page of Google Workspace); whatever is not
//! listed is temporary.

use serde_json::Value;

use crate::delivery::web::quoted;
use crate::http::Response;
use crate::mail::failure::one_line;
use crate::mail::{Failure, Reason, Receipt};

/// The receipt, if the answer says that the message was sent: 200 with the message's id.
pub(super) fn receipt(response: &Response) -> Option<Receipt> {
    if response.status != 200 {
        return None;
    }
    let answer: Value = serde_json::from_slice(response.whole_body().ok()?).ok()?;
    let id = answer.get("id")?.as_str()?;
    Some(Receipt { diagnostic: one_line(&format!("HTTP 200 (message id {id})")), knows_wishes: false })
}

/// Why the message was not taken.
pub(super) fn classify(response: &Response) -> Failure {
    let error = serde_json::from_slice::<Value>(&response.body)
        .ok()
        .and_then(|mut answer| answer.get_mut("error").map(Value::take));
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let message = text(error.as_ref().and_then(|error| error.get("message")));
    let listed = error.as_ref().and_then(|error| error.get("errors")?.as_array()?.first()?.get("reason"));
    let code = text(listed).or_else(|| text(error.as_ref().and_then(|error| error.get("status"))));
    let reason = reason(response.status, code.as_deref(), message.as_deref());
    let words = match (&code, &message) {
        (Some(code), Some(message)) => format!("HTTP {} {code}: {message}", response.status),
        (Some(word), None) | (None, Some(word)) => format!("HTTP {}: {word}", response.status),
        (None, None) => format!("HTTP {}: {}", response.status, quoted(response)),
    };
    Failure::new(reason, words).retry_after(response.retry_after)
}

fn reason(status: u16, code: Option<&str>, message: Option<&str>) -> Reason {
    let known = code.and_then(|code| CODES.iter().find(|(name, _)| name.eq_ignore_ascii_case(code)));
    match (status, known) {
        (429, _) => Reason::Throttled,
        (413, _) => Reason::MessageTooLarge,
        // The server in front gave up waiting for the one behind, which may have taken the message.
        (504, _) => Reason::AnswerLost,
        (500..=599, _) => Reason::ProviderTrouble,
        // One code for everything that is wrong with a request; what it is stands in the text alone.
        (400, Some((_, Reason::Rejected))) => {
            let about_recipients =
                ["recipient address required", "invalid to header", "invalid cc header", "invalid bcc header"];
            let message = message.unwrap_or_default().to_ascii_lowercase();
            let refused = about_recipients.iter().any(|words| message.contains(words));
            if refused { Reason::RecipientRefused } else { Reason::Unexpected }
        }
        (400..=499, Some((_, reason))) => *reason,
        (401, None) => Reason::AuthenticationRejected,
        (408, None) => Reason::TimedOut,
        _ => Reason::Unexpected,
    }
}

/// Words of `errors[0].reason`, and of `status` where there is none.
const CODES: [(&str, Reason); 18] = [
    ("authError", Reason::AuthenticationRejected),
    ("UNAUTHENTICATED", Reason::AuthenticationRejected),
    ("insufficientPermissions", Reason::PermissionMissing),
    ("forbidden", Reason::PermissionMissing),
    ("domainPolicy", Reason::PermissionMissing),
    ("delegationDenied", Reason::PermissionMissing),
    ("PERMISSION_DENIED", Reason::PermissionMissing),
    ("accessNotConfigured", Reason::ConfigurationRejected),
    ("rateLimitExceeded", Reason::Throttled),
    ("userRateLimitExceeded", Reason::Throttled),
    ("quotaExceeded", Reason::Throttled),
    ("RESOURCE_EXHAUSTED", Reason::Throttled),
    ("dailyLimitExceeded", Reason::DailyLimit),
    ("failedPrecondition", Reason::MailboxUnavailable),
    ("FAILED_PRECONDITION", Reason::MailboxUnavailable),
    ("uploadTooLarge", Reason::MessageTooLarge),
    ("invalidArgument", Reason::Rejected),
    ("INVALID_ARGUMENT", Reason::Rejected),
];

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn response(status: u16, body: &str) -> Response {
        Response { status, headers: HeaderMap::new(), body: body.as_bytes().to_vec(), cut: None, retry_after: None }
    }

    fn error(reason: &str, message: &str) -> String {
        format!(
            r#"{{"error":{{"code":4,"message":"{message}","errors":[{{"reason":"{reason}","domain":"global"}}],"status":"S"}}}}"#
        )
    }

    #[test]
    fn each_answer_has_its_reason() {
        let table = [
            (401, error("authError", "Invalid Credentials"), Reason::AuthenticationRejected, "the token"),
            (401, String::new(), Reason::AuthenticationRejected, "no body"),
            (403, error("insufficientPermissions", "scopes"), Reason::PermissionMissing, "the scope"),
            (403, error("domainPolicy", "m"), Reason::PermissionMissing, "an administrator's rule"),
            (403, error("accessNotConfigured", "m"), Reason::ConfigurationRejected, "the API is off in the project"),
            (403, error("rateLimitExceeded", "m"), Reason::Throttled, "the project's rate"),
            (403, error("userRateLimitExceeded", "m"), Reason::Throttled, "the mailbox's rate"),
            (403, error("dailyLimitExceeded", "m"), Reason::DailyLimit, "the day's quota"),
            (403, error("somethingNew", "m"), Reason::Unexpected, "an unknown code is temporary"),
            (429, error("rateLimitExceeded", "User-rate limit exceeded."), Reason::Throttled, "the mailbox's rate"),
            (400, error("failedPrecondition", "Mail service not enabled"), Reason::MailboxUnavailable, "no Gmail"),
            (400, error("invalidArgument", "Recipient address required"), Reason::RecipientRefused, "nobody named"),
            (400, error("invalidArgument", "Invalid To header"), Reason::RecipientRefused, "a recipient"),
            (400, error("invalidArgument", "Something else"), Reason::Unexpected, "not known for good"),
            (413, error("uploadTooLarge", "m"), Reason::MessageTooLarge, "too large"),
            (413, "<html>".into(), Reason::MessageTooLarge, "a server in front"),
            (500, error("backendError", "m"), Reason::ProviderTrouble, "trouble"),
            (503, error("invalidArgument", "m"), Reason::ProviderTrouble, "no verdict comes with 503"),
            (504, String::new(), Reason::AnswerLost, "may have been taken"),
            (200, "<html>".into(), Reason::Unexpected, "a captive portal"),
            (200, r#"{"labelIds":[]}"#.into(), Reason::Unexpected, "no id"),
            (202, r#"{"id":"1"}"#.into(), Reason::Unexpected, "not 200"),
        ];
        for (status, body, expected, why) in table {
            let response = response(status, &body);
            assert_eq!(receipt(&response), None, "{why}");
            assert_eq!(classify(&response).reason, expected, "{status} {why}");
        }
        let taken = receipt(&response(200, r#"{"id":"18c","threadId":"1"}"#)).unwrap();
        assert_eq!(taken.diagnostic, "HTTP 200 (message id 18c)");
        let words = classify(&response(403, &error("forbidden", "No\\r\\nright"))).diagnostic;
        assert_eq!(words, "HTTP 403 forbidden: No right");
    }
}
