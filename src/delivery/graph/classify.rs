//! What an answer of Graph's `sendMail` means. The error codes are those that Microsoft documents or that others have
//! met; whatever is not listed is temporary.

use http::HeaderMap;
use serde_json::Value;

use crate::delivery::web::{is_page, quoted};
use crate::http::Response;
use crate::mail::failure::one_line;
use crate::mail::{Failure, Reason, Receipt};

/// How deep error objects may lie in one another.
const MAX_DEPTH: usize = 10;
/// Request bodies from this size on can be meant by an answer of 200 (see [`classify`]).
const LARGE_BODY: usize = 2 * 1024 * 1024;

/// The receipt, if the answer says that the message was taken: 202 and nothing else does.
pub(super) fn receipt(response: &Response) -> Option<Receipt> {
    let request_id = request_id(&response.headers, None);
    (response.status == 202).then(|| Receipt { diagnostic: format!("HTTP 202{request_id}"), knows_wishes: false })
}

/// Why the message was not taken. `sent` is the size of the request's body in octets: Graph has been seen to answer 200
/// instead of 202 to messages that are a little too large, and not to send them.
pub(super) fn classify(response: &Response, sent: usize) -> Failure {
    let error = GraphError::read(&response.body);
    let reason = reason(response, &error, sent);
    let diagnostic = match (error.code(), &error.message) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        (None, Some(message)) => message.clone(),
        (None, None) => quoted(response),
    };
    let separator = if error.code().is_some() || diagnostic.is_empty() { "" } else { ":" };
    let request_id = request_id(&response.headers, error.request_id.as_deref());
    // The ids go last and must not be cut off with a long message.
    let words = one_line(&format!("HTTP {}{separator} {diagnostic}", response.status));
    Failure::new(reason, format!("{words}{request_id}")).retry_after(response.retry_after)
}

fn reason(response: &Response, error: &GraphError, sent: usize) -> Reason {
    let challenge = response.headers.get_all(http::header::WWW_AUTHENTICATE).iter();
    let challenge: Vec<&str> = challenge.filter_map(|value| value.to_str().ok()).collect();
    let asks_for_sign_in =
        challenge.iter().any(|value| value.contains("claims=") || value.contains("insufficient_claims"));
    match response.status {
        401 | 403 if asks_for_sign_in => Reason::SignInNeeded,
        // A busy server says so by its status; its codes are many.
        429 | 509 => Reason::Throttled,
        // The server in front gave up waiting for the one behind, which may have taken the message.
        504 => Reason::AnswerLost,
        507 => Reason::MailboxFull,
        413 => Reason::MessageTooLarge,
        // The one limit that has no code of its own, only a text.
        400 if error.mentions("maximum request length") => Reason::MessageTooLarge,
        400..=499 => error.reason().unwrap_or(match response.status {
            401 => Reason::AuthenticationRejected,
            408 => Reason::TimedOut,
            _ => Reason::Unexpected,
        }),
        // Trouble of the provider is never a verdict on the message.
        500..=599 => match error.reason() {
            Some(reason) if reason.status().class() == 4 => reason,
            _ => Reason::ProviderTrouble,
        },
        200 if sent >= LARGE_BODY && !is_page(response) => Reason::MessageTooLarge,
        _ => Reason::Unexpected,
    }
}

/// Error codes and what they mean (Graph's own, and those of Exchange that shine through).
const CODES: [(&str, Reason); 34] = [
    ("InvalidAuthenticationToken", Reason::AuthenticationRejected),
    ("AuthenticationError", Reason::AuthenticationRejected),
    ("insufficient_claims", Reason::SignInNeeded),
    ("ErrorAccessDenied", Reason::PermissionMissing),
    ("Authorization_RequestDenied", Reason::PermissionMissing),
    ("ErrorImpersonationDenied", Reason::PermissionMissing),
    ("ErrorSendAsDenied", Reason::SenderRefused),
    ("MailboxNotEnabledForRESTAPI", Reason::MailboxUnavailable),
    ("MailboxNotSupportedForRESTAPI", Reason::MailboxUnavailable),
    ("ErrorInvalidUser", Reason::MailboxUnavailable),
    ("ErrorNonExistentMailbox", Reason::MailboxUnavailable),
    ("ErrorAccountDisabled", Reason::MailboxUnavailable),
    ("ErrorInvalidLicense", Reason::MailboxUnavailable),
    ("ResourceNotFound", Reason::MailboxUnavailable),
    ("Request_ResourceNotFound", Reason::MailboxUnavailable),
    ("extensionError", Reason::MailboxUnavailable),
    ("ErrorQuotaExceeded", Reason::MailboxFull),
    ("ErrorSubmissionQuotaExceeded", Reason::DailyLimit),
    ("ErrorInvalidRecipients", Reason::RecipientRefused),
    ("ErrorMessageSizeExceeded", Reason::MessageTooLarge),
    ("RequestEntityTooLarge", Reason::MessageTooLarge),
    ("ErrorMimeContentInvalidBase64String", Reason::ContentRefused),
    ("ErrorMimeContentInvalid", Reason::ContentRefused),
    ("ErrorContentConversionFailed", Reason::ContentRefused),
    ("ApplicationThrottled", Reason::Throttled),
    ("TooManyRequests", Reason::Throttled),
    ("ErrorServerBusy", Reason::Throttled),
    ("ErrorExceededConnectionCount", Reason::Throttled),
    ("ErrorInternalServerError", Reason::ProviderTrouble),
    ("ErrorInternalServerTransientError", Reason::ProviderTrouble),
    ("ErrorMailboxMoveInProgress", Reason::ProviderTrouble),
    ("ErrorMailboxFailover", Reason::ProviderTrouble),
    ("ErrorMailboxStoreUnavailable", Reason::ProviderTrouble),
    ("ErrorConnectionFailed", Reason::ProviderTrouble),
];

fn known(code: &str) -> Option<Reason> {
    CODES.iter().find(|(name, _)| name.eq_ignore_ascii_case(code)).map(|(_, reason)| *reason)
}

/// Graph's error object: `{"error":{"code":..,"message":..,"innerError":{..}}}`.
#[derive(Default)]
struct GraphError {
    /// From the outermost to the innermost.
    codes: Vec<String>,
    message: Option<String>,
    request_id: Option<String>,
}

impl GraphError {
    fn read(body: &[u8]) -> Self {
        let Ok(answer) = serde_json::from_slice::<Value>(body) else { return Self::default() };
        let mut found = Self::default();
        let mut level = answer.get("error");
        for _ in 0..MAX_DEPTH {
            let Some(Value::Object(error)) = level else { break };
            let text = |name: &str| error.get(name).and_then(Value::as_str).map(one_line).filter(|t| !t.is_empty());
            found.codes.extend(text("code"));
            found.message = found.message.or_else(|| text("message"));
            found.request_id = found.request_id.or_else(|| text("request-id"));
            level = error.get("innerError").or_else(|| error.get("innererror"));
        }
        found
    }

    /// The most specific code that is known, else the outermost.
    fn code(&self) -> Option<&str> {
        let code = self.codes.iter().rev().find(|code| known(code).is_some()).or(self.codes.first());
        code.map(String::as_str)
    }

    fn reason(&self) -> Option<Reason> {
        self.codes.iter().rev().find_map(|code| known(code))
    }

    fn mentions(&self, words: &str) -> bool {
        self.message.as_ref().is_some_and(|message| message.to_ascii_lowercase().contains(words))
    }
}

/// ` (request-id ...)`, which Microsoft's support asks for; from the header field, else from the error object.
fn request_id(headers: &HeaderMap, in_error: Option<&str>) -> String {
    let id = headers.get("request-id").and_then(|value| value.to_str().ok()).or(in_error).unwrap_or_default();
    let id: String = id.chars().filter(char::is_ascii_graphic).take(64).collect();
    if id.is_empty() { id } else { format!(" (request-id {id})") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::delivery::web::transport as classify_transport;
    use crate::http::HttpError;

    fn response(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Response {
        let headers: HeaderMap =
            headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let retry_after = crate::http::retry_after(&headers);
        Response { status, headers, body: body.as_bytes().to_vec(), cut: None, retry_after }
    }

    fn error(code: &str) -> String {
        format!(r#"{{"error":{{"code":"{code}","message":"The message."}}}}"#)
    }

    #[test]
    fn each_answer_has_its_reason() {
        const SMALL: usize = 4000;
        let nested = |inner: &str| {
            format!(
                r#"{{"error":{{"code":"BadRequest","message":"m","innererror":{{"code":"X","innerError":{{"code":"{inner}"}}}}}}}}"#
            )
        };
        let table = [
            (401, error("InvalidAuthenticationToken"), Reason::AuthenticationRejected, "the token"),
            (401, String::new(), Reason::AuthenticationRejected, "no body"),
            (403, error("ErrorAccessDenied"), Reason::PermissionMissing, "no consent, or a policy"),
            (403, error("ErrorSendAsDenied"), Reason::SenderRefused, "for good"),
            (403, error("insufficient_claims"), Reason::SignInNeeded, "Conditional Access"),
            (403, error("SomethingNew"), Reason::Unexpected, "an unknown code is temporary"),
            (404, error("MailboxNotEnabledForRESTAPI"), Reason::MailboxUnavailable, "no cloud mailbox"),
            (404, error("ErrorInvalidUser"), Reason::MailboxUnavailable, "wrong mailbox"),
            (404, error("Request_ResourceNotFound"), Reason::MailboxUnavailable, "wrong mailbox"),
            (404, error("ResourceNotFound"), Reason::MailboxUnavailable, "wrong mailbox"),
            (403, error("extensionError"), Reason::MailboxUnavailable, "on the premises, or a policy"),
            (404, "not here".to_owned(), Reason::Unexpected, "some other server"),
            (400, error("ErrorInvalidRecipients"), Reason::RecipientRefused, "a recipient"),
            (400, error("ErrorMimeContentInvalidBase64String"), Reason::ContentRefused, "the content"),
            (400, error("errorinvalidrecipients"), Reason::RecipientRefused, "letter case"),
            (400, nested("ErrorSendAsDenied"), Reason::SenderRefused, "the innermost known code"),
            (400, nested("Unknown"), Reason::Unexpected, "no known code at all"),
            (
                400,
                r#"{"error":{"code":"BadRequest","message":"The maximum request length supported is 4MB."}}"#.into(),
                Reason::MessageTooLarge,
                "a text alone",
            ),
            (413, "<html>413</html>".to_owned(), Reason::MessageTooLarge, "a server in front"),
            (400, error("ErrorMessageSizeExceeded"), Reason::MessageTooLarge, "the mailbox's own limit"),
            (408, String::new(), Reason::TimedOut, "took too long"),
            (418, error("Teapot"), Reason::Unexpected, "an unknown status of class 4"),
            (429, error("ApplicationThrottled"), Reason::Throttled, "throttled"),
            (429, error("ErrorSendAsDenied"), Reason::Throttled, "throttled whatever the code"),
            (500, error("ErrorInternalServerTransientError"), Reason::ProviderTrouble, "trouble"),
            (500, error("ErrorMailboxMoveInProgress"), Reason::ProviderTrouble, "it moves to another server"),
            (400, error("ErrorMailboxMoveInProgress"), Reason::ProviderTrouble, "whatever the status"),
            (500, error("ErrorSendAsDenied"), Reason::ProviderTrouble, "no verdict comes with 500"),
            (500, error("ErrorQuotaExceeded"), Reason::MailboxFull, "a code that waits"),
            (502, "<html>".to_owned(), Reason::ProviderTrouble, "trouble in front"),
            (503, error("ErrorServerBusy"), Reason::Throttled, "busy"),
            (504, String::new(), Reason::AnswerLost, "may have been taken"),
            (507, error("ErrorQuotaExceeded"), Reason::MailboxFull, "full"),
            (509, String::new(), Reason::Throttled, "bandwidth"),
            (599, String::new(), Reason::ProviderTrouble, "an unknown status of class 5"),
            (200, String::new(), Reason::Unexpected, "not 202, and not large"),
            (200, "<!doctype html>".to_owned(), Reason::Unexpected, "a captive portal"),
            (201, "{}".to_owned(), Reason::Unexpected, "not 202"),
            (302, String::new(), Reason::Unexpected, "a redirect"),
            (400, "[".repeat(100_000), Reason::Unexpected, "nonsense"),
        ];
        for (status, body, expected, why) in table {
            let response = response(status, &[], &body);
            assert_eq!(receipt(&response), None, "{status} {why}");
            assert_eq!(classify(&response, SMALL).reason, expected, "{status} {why}");
        }
        assert_eq!(classify(&response(200, &[], ""), 4_000_000).reason, Reason::MessageTooLarge);
        assert_eq!(classify(&response(200, &[], "<html>"), 4_000_000).reason, Reason::Unexpected);
        let claims = response(401, &[("www-authenticate", "Bearer error=\"invalid_token\", claims=\"eyJ\"")], "");
        assert_eq!(classify(&claims, SMALL).reason, Reason::SignInNeeded);
    }

    #[test]
    fn a_diagnostic_has_status_code_words_and_request_id() {
        let body = r#"{"error":{"code":"ErrorAccessDenied","message":"Access is\r\ndenied.","innerError":{"request-id":"in-body"}}}"#;
        let told = |headers: &[(&'static str, &'static str)], body: &str| {
            classify(&response(403, headers, body), 0).diagnostic
        };
        assert_eq!(told(&[], body), "HTTP 403 ErrorAccessDenied: Access is denied. (request-id in-body)");
        assert_eq!(
            told(&[("request-id", "in-header")], body),
            "HTTP 403 ErrorAccessDenied: Access is denied. (request-id in-header)"
        );
        assert_eq!(told(&[], "Forbidden\r\nby proxy"), "HTTP 403: Forbidden by proxy");
        assert_eq!(told(&[], ""), "HTTP 403: an empty answer");
        assert!(told(&[("content-type", "Text/HTML")], "x").contains("proxy in between"));
        let receipt = receipt(&response(202, &[("request-id", "abc")], "")).unwrap();
        assert_eq!(receipt.diagnostic, "HTTP 202 (request-id abc)");
    }

    #[test]
    fn the_wait_that_was_asked_for_is_kept() {
        for status in [429, 503, 504] {
            let failure = classify(&response(status, &[("retry-after", "17")], ""), 0);
            assert_eq!(failure.retry_after, Some(Duration::from_secs(17)));
        }
    }

    #[test]
    fn a_lost_answer_is_told_from_a_request_that_never_left() {
        let table = [
            (HttpError::Unreachable("x".into()), Reason::Unreachable),
            (HttpError::Tls("x".into()), Reason::TlsRefused),
            (HttpError::TimedOut("x".into()), Reason::TimedOut),
            (HttpError::AnswerLost("x".into()), Reason::AnswerLost),
            (HttpError::NotSendable("x".into()), Reason::Unexpected),
        ];
        for (error, expected) in table {
            assert_eq!(classify_transport(&error).reason, expected);
        }
    }
}
