//! The report that a message could not be handed over (RFC 3461 section 6, RFC 3462, RFC 3464).

use mail_builder::headers::content_type::ContentType;
use mail_builder::mime::MimePart;

use super::address_list::{DisplayName, ListWriter};
use super::failure::one_line;
use super::header::HeaderBlock;
use super::{Address, EnhancedStatusCode, Failure, QueueId, Recipient};
use crate::clock::Timestamp;

#[cfg(test)]
mod tests;

/// Octets of the original header that a report carries at most; it goes by whole fields.
const MAX_ORIGINAL: usize = 32 * 1024;

/// A message failed: for whom, why, and who is to be told.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// The queue id of the message that failed.
    pub about: QueueId,
    /// The mailbox that the report comes from.
    pub from: &'a Address,
    /// Who is told.
    pub to: &'a Address,
    /// The name of this gateway's host.
    pub reporting_mta: &'a str,
    /// When the message was accepted.
    pub arrival: Timestamp,
    /// When it failed, which is when the report is made.
    pub now: Timestamp,
    /// The recipients who do not get it, and why; never empty.
    pub failed: &'a [(Recipient, Failure)],
    /// The name of the account, for the next step.
    pub account: &'a str,
    /// The header of the message that failed.
    pub original_header: &'a [u8],
    /// The report's own Message-ID, in angle brackets.
    pub message_id: String,
}

/// Renders the report as a complete message: CRLF line ends, ASCII alone. It carries the header of the message that
/// failed, without its Bcc, and nothing of its body.
pub fn render(report: &Report<'_>) -> Vec<u8> {
    // The queue id is made after the message came in, so nothing in it can hold this text.
    let boundary = format!("=_report_{}_{}", report.about, report.now.as_millis());
    let parts = vec![
        MimePart::new(ContentType::new("text/plain").attribute("charset", "utf-8"), explanation(report)),
        MimePart::new(ContentType::new("message/delivery-status"), delivery_status(report).into_bytes())
            .transfer_encoding("7bit"),
        original(report.original_header),
    ];
    let content_type = ContentType::new("multipart/report")
        .attribute("report-type", "delivery-status")
        .attribute("boundary", boundary);
    let mut rendered = [
        sole_address("From", "Mail Delivery System", report.from),
        sole_address("To", "", report.to),
        folded("Subject", "Your message could not be delivered").into_bytes(),
        folded("Date", &report.now.rfc5322()).into_bytes(),
        folded("Message-ID", &report.message_id).into_bytes(),
        folded("Auto-Submitted", "auto-replied").into_bytes(),
        folded("X-Auto-Response-Suppress", "All").into_bytes(),
        folded("MIME-Version", "1.0").into_bytes(),
    ]
    .concat();
    MimePart::new(content_type, parts).write_part(&mut rendered);
    rendered
}

/// A field that holds one address.
fn sole_address(field: &str, name: &'static str, address: &Address) -> Vec<u8> {
    let mut writer = ListWriter::new(field);
    writer.push(&DisplayName::from_text(name), address);
    writer.finish().unwrap_or_default()
}

/// The part for people.
fn explanation(report: &Report<'_>) -> String {
    let mut text = format!(
        "This is the mail gateway oxpost at {}.\r\n\r\n\
         The message you sent at {} could not be delivered to:\r\n",
        one_line(report.reporting_mta),
        report.arrival.rfc5322(),
    );
    for same in report.failed.chunk_by(|(_, one), (_, next)| one == next) {
        text.push_str("\r\n");
        for (recipient, _) in same {
            text.push_str(&format!("  {}\r\n", recipient.address));
        }
        let Some((_, failure)) = same.first() else { continue };
        text.push_str(&format!("    Why: {}\r\n", failure.reason.summary()));
        let words = one_line(&failure.diagnostic);
        if !words.is_empty() {
            text.push_str(&format!("    The answer was: {words}\r\n"));
        }
        text.push_str(&format!("    Next step: {}\r\n", one_line(&failure.reason.hint(report.account))));
    }
    text.push_str(&format!(
        "\r\nThe gateway keeps the message for its administrator under the queue id\r\n{} (account `{}`).\r\n\
         Its header is below.\r\n",
        report.about,
        one_line(report.account)
    ));
    text
}

/// The part for machines (RFC 3464 section 2).
fn delivery_status(report: &Report<'_>) -> String {
    let mut text = String::new();
    let mut field = |name: &str, value: &str| text.push_str(&folded(name, value));
    field("Reporting-MTA", &format!("dns; {}", report.reporting_mta));
    field("X-Oxpost-Queue-Id", &report.about.to_string());
    field("Arrival-Date", &report.arrival.rfc5322());
    for (recipient, failure) in report.failed {
        let address = typed_address(&recipient.address);
        text.push_str("\r\n");
        let mut field = |name: &str, value: &str| text.push_str(&folded(name, value));
        field("Original-Recipient", &address);
        field("Final-Recipient", &address);
        field("Action", "failed");
        field("Status", &status(failure).to_string());
        field("Diagnostic-Code", &diagnostic(failure));
        field("Last-Attempt-Date", &report.now.rfc5322());
    }
    text
}

/// `rfc822; address`, or RFC 6533 section 3's form in ASCII for letters beyond it.
fn typed_address(address: &Address) -> String {
    let text = address.to_string();
    if text.is_ascii() {
        return format!("rfc822; {text}");
    }
    let escaped = text.chars().map(|c| match c {
        '\\' | '+' | '=' => format!("\\x{{{:02X}}}", u32::from(c)),
        c if c.is_ascii() => c.to_string(),
        c => format!("\\x{{{:X}}}", u32::from(c)),
    });
    format!("utf-8; {}", escaped.collect::<String>())
}

/// The remote's own enhanced status code if its words begin with one, else that of the reason; permanent, because that
/// is what it has become.
fn status(failure: &Failure) -> EnhancedStatusCode {
    let remote = failure.diagnostic.split_whitespace().take(2).find_map(|word| word.parse::<EnhancedStatusCode>().ok());
    remote.filter(|code| code.class() != 2).unwrap_or(failure.reason.status()).permanent()
}

/// The remote's words under the type that fits them (RFC 3464 section 2.3.6).
fn diagnostic(failure: &Failure) -> String {
    let words = one_line(&failure.diagnostic);
    let words = if words.is_empty() { failure.reason.summary().to_owned() } else { words };
    let is_smtp = matches!(words.as_bytes(), [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9', rest @ ..]
        if rest.first().is_none_or(|next| matches!(next, b' ' | b'-')));
    format!("{}; {words}", if is_smtp { "smtp" } else { "x-oxpost" })
}

/// One field in ASCII, folded at blanks; no word of it makes a line longer than RFC 5322 allows.
fn folded(name: &str, value: &str) -> String {
    let ascii: String = value.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect();
    let mut field = format!("{name}:");
    let mut column = field.len();
    for word in ascii.trim().split(' ') {
        for (number, piece) in word.as_bytes().chunks(900).enumerate() {
            if (column + 1 + piece.len() > 78 && column > name.len() + 1) || number > 0 {
                field.push_str("\r\n");
                column = 0;
            }
            field.push(' ');
            field.push_str(&String::from_utf8_lossy(piece));
            column += 1 + piece.len();
        }
        if word.is_empty() {
            // Blanks in a quoted local part count.
            field.push(' ');
            column += 1;
        }
    }
    field + "\r\n"
}

/// The header of the message that failed, without Bcc: a report may go to somebody else than the sender.
fn original(header: &[u8]) -> MimePart<'static> {
    let mut kept = Vec::new();
    for field in HeaderBlock::parse(header).fields() {
        if field.is("Bcc") || field.is("Resent-Bcc") || !field.is_field() {
            continue;
        }
        if kept.len() + field.raw().len() > MAX_ORIGINAL {
            break;
        }
        kept.extend_from_slice(field.raw());
    }
    let short = kept.split(|&octet| octet == b'\n').all(|line| line.len() <= 998);
    let printable = |octet: &u8| matches!(octet, b' '..=b'~' | b'\t' | b'\r' | b'\n');
    if short && kept.iter().all(printable) {
        MimePart::new(ContentType::new("text/rfc822-headers"), kept).transfer_encoding("7bit")
    } else {
        let text = String::from_utf8_lossy(&kept).into_owned();
        MimePart::new(ContentType::new("text/rfc822-headers").attribute("charset", "utf-8"), text)
    }
}
