//! What an answer means: its response code says it, whatever the HTTP status (Microsoft Learn, "ResponseCode"). Whatever is
//! not listed is temporary.

use std::time::Duration;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::delivery::web::quoted;
use crate::http::Response;
use crate::mail::failure::one_line;
use crate::mail::{Failure, Reason, Receipt};

/// What matters of an answer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Answer {
    class: Option<String>,
    code: Option<String>,
    text: Option<String>,
    back_off: Option<Duration>,
}

/// The receipt, or why the message was not taken.
pub(super) fn read(response: &Response) -> Result<Receipt, Failure> {
    let answer = Answer::parse(&response.body);
    let code = answer.code.as_deref();
    if response.status == 200 && answer.class.as_deref() == Some("Success") && code == Some("NoError") {
        return Ok(Receipt { diagnostic: "HTTP 200 NoError".to_owned(), knows_wishes: false });
    }
    let reason = reason(response.status, code);
    let words = match (code, &answer.text) {
        (Some(code), Some(text)) => format!("HTTP {} {code}: {text}", response.status),
        (Some(word), None) => format!("HTTP {}: {word}", response.status),
        (None, Some(text)) => format!("HTTP {}: {text}", response.status),
        (None, None) => format!("HTTP {}: {}", response.status, quoted(response)),
    };
    Err(Failure::new(reason, words).retry_after(response.retry_after.max(answer.back_off)))
}

fn reason(status: u16, code: Option<&str>) -> Reason {
    if let Some((_, reason)) = code.and_then(|code| CODES.iter().find(|(name, _)| *name == code)) {
        return *reason;
    }
    match status {
        401 => Reason::AuthenticationRejected,
        // What a directory answers that has EWS switched off.
        403 => Reason::MailboxUnavailable,
        408 => Reason::TimedOut,
        413 => Reason::MessageTooLarge,
        429 => Reason::Throttled,
        // The server in front gave up waiting for the one behind, which may have taken the message.
        504 => Reason::AnswerLost,
        500..=599 => Reason::ProviderTrouble,
        _ => Reason::Unexpected,
    }
}

/// Response codes and what they mean.
const CODES: [(&str, Reason); 29] = [
    ("ErrorServerBusy", Reason::Throttled),
    ("ErrorExceededConnectionCount", Reason::Throttled),
    ("ErrorTooManyObjectsOpened", Reason::Throttled),
    ("ErrorInternalServerTransientError", Reason::ProviderTrouble),
    ("ErrorInternalServerError", Reason::ProviderTrouble),
    ("ErrorMailboxMoveInProgress", Reason::ProviderTrouble),
    ("ErrorMailboxFailover", Reason::ProviderTrouble),
    ("ErrorMailboxStoreUnavailable", Reason::ProviderTrouble),
    ("ErrorConnectionFailed", Reason::ProviderTrouble),
    ("ErrorTimeoutExpired", Reason::ProviderTrouble),
    ("ErrorInsufficientResources", Reason::ProviderTrouble),
    ("ErrorSubmissionQuotaExceeded", Reason::DailyLimit),
    ("ErrorQuotaExceeded", Reason::MailboxFull),
    ("ErrorMessageSizeExceeded", Reason::MessageTooLarge),
    ("ErrorSendAsDenied", Reason::SenderRefused),
    ("ErrorMimeContentInvalid", Reason::ContentRefused),
    ("ErrorMimeContentInvalidBase64String", Reason::ContentRefused),
    ("ErrorContentConversionFailed", Reason::ContentRefused),
    ("ErrorInvalidRecipients", Reason::RecipientRefused),
    ("ErrorAccessDenied", Reason::PermissionMissing),
    ("ErrorImpersonateUserDenied", Reason::PermissionMissing),
    ("ErrorImpersonationDenied", Reason::PermissionMissing),
    ("ErrorImpersonationFailed", Reason::PermissionMissing),
    ("ErrorNonExistentMailbox", Reason::MailboxUnavailable),
    ("ErrorAccountDisabled", Reason::MailboxUnavailable),
    ("ErrorInvalidLicense", Reason::MailboxUnavailable),
    ("ErrorInvalidAuthorizationContext", Reason::AuthenticationRejected),
    // These two are about our request and not about the message: no mail is lost for it.
    ("ErrorSchemaValidation", Reason::Unexpected),
    ("ErrorMessageDispositionRequired", Reason::Unexpected),
];

impl Answer {
    /// Reads an answer or a fault. What is no XML holds nothing.
    fn parse(body: &[u8]) -> Self {
        let mut found = Self::default();
        let text = String::from_utf8_lossy(body);
        let mut reader = Reader::from_str(&text);
        // Which element the next text belongs to.
        let mut place = String::new();
        loop {
            match reader.read_event() {
                Ok(Event::Start(element)) => {
                    place = found.enter(&element);
                }
                Ok(Event::Text(text)) => found.text_of(&place, &one_line(&text)),
                Ok(Event::End(_)) => place.clear(),
                Ok(Event::Eof) => return found,
                Ok(_) => {}
                Err(_) => return Self::default(),
            }
        }
    }

    /// Notes what the element itself says, and returns its name; for a named value that name.
    fn enter(&mut self, element: &BytesStart<'_>) -> String {
        let name = element.local_name().as_ref().to_owned();
        let attribute = |wanted: &str| {
            let value = element.try_get_attribute(wanted).ok().flatten()?;
            Some(value.value.into_owned())
        };
        match name.as_str() {
            "CreateItemResponseMessage" | "GetFolderResponseMessage" => {
                self.class = self.class.take().or_else(|| attribute("ResponseClass"));
                name
            }
            "Value" => attribute("Name").unwrap_or(name),
            _ => name,
        }
    }

    fn text_of(&mut self, place: &str, text: &str) {
        let slot = match place {
            "ResponseCode" => &mut self.code,
            "MessageText" | "Message" | "faultstring" => &mut self.text,
            "BackOffMilliseconds" => {
                self.back_off = text.parse().ok().map(Duration::from_millis);
                return;
            }
            _ => return,
        };
        if slot.is_none() && !text.is_empty() {
            *slot = Some(text.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn response(status: u16, body: &str) -> Response {
        Response { status, headers: HeaderMap::new(), body: body.as_bytes().to_vec(), cut: None, retry_after: None }
    }

    fn message(class: &str, code: &str, rest: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"x\"><s:Body><m:CreateItemResponse><m:ResponseMessages>\
             <m:CreateItemResponseMessage ResponseClass=\"{class}\">{rest}<m:ResponseCode>{code}</m:ResponseCode>\
             </m:CreateItemResponseMessage></m:ResponseMessages></m:CreateItemResponse></s:Body></s:Envelope>"
        )
    }

    #[test]
    fn only_a_response_of_success_without_error_is_one() {
        assert!(read(&response(200, &message("Success", "NoError", ""))).is_ok());
        assert!(read(&response(200, &message("Success", "NoError", "<!-- ErrorX -->"))).is_ok());
        let rows = [
            (200, message("Error", "NoError", "")),
            (200, message("Warning", "NoError", "")),
            (200, message("Success", "ErrorServerBusy", "")),
            (202, message("Success", "NoError", "")),
            (200, "<html>ResponseClass=\"Success\" NoError</html>".to_owned()),
            (200, String::new()),
            (200, "<a><b></a>".to_owned()),
        ];
        for (status, body) in rows {
            assert!(read(&response(status, &body)).is_err(), "{status} {body}");
        }
    }

    #[test]
    fn each_code_has_its_reason_whatever_the_status() {
        use Reason::{
            AnswerLost, AuthenticationRejected, ContentRefused, DailyLimit, MailboxFull, MailboxUnavailable,
            MessageTooLarge, PermissionMissing, ProviderTrouble, RecipientRefused, SenderRefused, Throttled,
            Unexpected,
        };
        let codes = [
            (Throttled, "ErrorServerBusy ErrorExceededConnectionCount ErrorTooManyObjectsOpened"),
            (ProviderTrouble, "ErrorInternalServerTransientError ErrorInternalServerError ErrorMailboxMoveInProgress"),
            (ProviderTrouble, "ErrorMailboxFailover ErrorMailboxStoreUnavailable ErrorConnectionFailed"),
            (ProviderTrouble, "ErrorTimeoutExpired ErrorInsufficientResources"),
            (DailyLimit, "ErrorSubmissionQuotaExceeded"),
            (MailboxFull, "ErrorQuotaExceeded"),
            (MessageTooLarge, "ErrorMessageSizeExceeded"),
            (SenderRefused, "ErrorSendAsDenied"),
            (ContentRefused, "ErrorMimeContentInvalid ErrorMimeContentInvalidBase64String"),
            (ContentRefused, "ErrorContentConversionFailed"),
            (RecipientRefused, "ErrorInvalidRecipients"),
            (PermissionMissing, "ErrorAccessDenied ErrorImpersonateUserDenied ErrorImpersonationDenied"),
            (PermissionMissing, "ErrorImpersonationFailed"),
            (MailboxUnavailable, "ErrorNonExistentMailbox ErrorAccountDisabled ErrorInvalidLicense"),
            (AuthenticationRejected, "ErrorInvalidAuthorizationContext"),
            (Unexpected, "ErrorSchemaValidation ErrorMessageDispositionRequired"),
        ];
        let all = codes.iter().flat_map(|(reason, codes)| codes.split(' ').map(move |code| (code, *reason)));
        assert_eq!(all.clone().count(), CODES.len(), "no code without a row");
        for (code, expected) in all {
            for status in [200, 500] {
                let failure = read(&response(status, &message("Error", code, "<m:MessageText>Words</m:MessageText>")))
                    .unwrap_err();
                assert_eq!(failure.reason, expected, "{code}");
                assert_eq!(failure.diagnostic, format!("HTTP {status} {code}: Words"));
            }
        }
        let statuses = [
            (401, AuthenticationRejected),
            (403, MailboxUnavailable),
            (413, MessageTooLarge),
            (429, Throttled),
            (500, ProviderTrouble),
            (504, AnswerLost),
            (404, Unexpected),
            (200, Unexpected),
        ];
        for (status, expected) in statuses {
            assert_eq!(read(&response(status, "")).unwrap_err().reason, expected, "{status}");
        }
        let unknown = read(&response(200, &message("Error", "ErrorSomethingNew", ""))).unwrap_err();
        assert_eq!((unknown.reason, unknown.diagnostic.as_str()), (Unexpected, "HTTP 200: ErrorSomethingNew"));
    }

    #[test]
    fn a_fault_says_how_long_to_stay_away() {
        let fault = "<s:Envelope xmlns:s=\"x\"><s:Body><s:Fault><faultcode>a:ErrorServerBusy</faultcode>\
            <faultstring>The server cannot service this request right now.</faultstring><detail>\
            <e:ResponseCode xmlns:e=\"y\">ErrorServerBusy</e:ResponseCode><e:Message>later</e:Message>\
            <t:MessageXml><t:Value Name=\"BackOffMilliseconds\">25000</t:Value></t:MessageXml></detail></s:Fault></s:Body></s:Envelope>";
        let failure = read(&response(500, fault)).unwrap_err();
        assert_eq!((failure.reason, failure.retry_after), (Reason::Throttled, Some(Duration::from_secs(25))));
        assert!(failure.diagnostic.contains("cannot service this request"));
    }
}
