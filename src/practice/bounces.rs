//! Mail that is taken and then does not arrive: a report comes back to the mailbox that sent it, in the shape that
//! Exchange Online gives it (Microsoft Learn, "What's included in an NDR?"; RFC 3464).

use super::letter;
use crate::clock::Timestamp;

/// `PidTagMessageClass` of such a report.
pub(super) const REPORT_CLASS: &str = "REPORT.IPM.Note.NDR";

/// Whether nobody is there: addresses such as `nobody@elsewhere.example` and `nobody+2@practice.example`.
pub(super) fn is_nobody(address: &str) -> bool {
    let local = address.split('@').next().unwrap_or_default().to_ascii_lowercase();
    local.strip_prefix("nobody").is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', '-', '.']))
}

/// The report about a message that did not reach these recipients. `id` makes its own Message-ID.
pub(super) fn report(original: &[u8], mailbox: &str, recipients: &[&String], (id, at): (&str, Timestamp)) -> Vec<u8> {
    let header = letter::header_text(original);
    let domain = mailbox.rsplit('@').next().unwrap_or_default();
    let date = at.rfc5322();
    let answers =
        letter::message_id(original).map(|id| format!("In-Reply-To: {id}\r\nReferences: {id}\r\n")).unwrap_or_default();
    let subject = letter::show(original).subject;
    let subject: String = subject.chars().filter(|c| (' '..='~').contains(c)).collect();
    let names = recipients.iter().map(|to| to.as_str()).collect::<Vec<_>>().join(", ");
    let groups: String = recipients.iter().map(|to| group(to)).collect();
    format!(
        "From: Microsoft Outlook <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@{domain}>\r\nTo: <{mailbox}>\r\n\
         Date: {date}\r\nContent-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"{id}\"\r\n\
         X-MS-Exchange-Message-Is-Ndr:\r\nContent-Language: en-US\r\nMessage-ID: <{id}@{domain}>\r\n{answers}\
         Subject: Undeliverable: {subject}\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\r\n\
         --{id}\r\nContent-Type: multipart/alternative; differences=Content-Type;\r\n\tboundary=\"{id}-words\"\r\n\r\n\
         --{id}-words\r\nContent-Type: text/plain; charset=\"us-ascii\"\r\n\r\n\
         Your message to {names} couldn't be delivered.\r\n\
         --{id}-words\r\nContent-Type: text/html; charset=\"us-ascii\"\r\n\r\n\
         <p>Your message couldn't be delivered.</p>\r\n--{id}-words--\r\n\r\n\
         --{id}\r\nContent-Type: message/delivery-status\r\n\r\n\
         Reporting-MTA: dns;mail.{domain}\r\nReceived-From-MTA: dns;client.{domain}\r\nArrival-Date: {date}\r\n\r\n{groups}\
         --{id}\r\nContent-Type: message/rfc822\r\n\r\n{header}\r\n\r\n\r\n--{id}--\r\n"
    )
    .into_bytes()
}

fn group(to: &str) -> String {
    format!(
        "Final-Recipient: rfc822;{to}\r\nAction: failed\r\nStatus: 5.1.10\r\nDiagnostic-Code: smtp;550 5.1.10 \
         RESOLVER.ADR.RecipientNotFound; Recipient {to}\r\n not found by SMTP address lookup\r\n\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nobody_is_nobody() {
        for (address, nobody) in [
            ("nobody@x.example", true),
            ("Nobody+2@x.example", true),
            ("nobody.at.all@x.example", true),
            ("nobodyson@x.example", false),
            ("anybody@x.example", false),
        ] {
            assert_eq!(is_nobody(address), nobody, "{address}");
        }
    }

    #[test]
    fn another_reader_finds_the_parts_of_the_report() {
        let original = b"Message-ID: <1@c.example>\r\nSubject: scan\r\n\r\nText\r\n";
        let to = "nobody@x.example".to_owned();
        let text = report(original, "a@practice.example", &[&to], ("77", Timestamp::default()));
        let parsed = mail_parser::MessageParser::default().parse(&text).unwrap();
        assert_eq!(parsed.subject(), Some("Undeliverable: scan"));
        let original = parsed.parts.iter().find_map(|part| part.message()).expect("the message comes back");
        assert_eq!(original.message_id(), Some("1@c.example"));
        let status = parsed.parts.iter().find_map(|part| {
            let mail_parser::PartType::Binary(octets) = &part.body else { return None };
            Some(String::from_utf8_lossy(octets).into_owned())
        });
        assert!(status.unwrap().contains("Final-Recipient: rfc822;nobody@x.example\r\nAction: failed"));
    }
}
