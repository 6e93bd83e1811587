//! Reports to senders (RFC 3461, RFC 3462, RFC 3464): a message failed, is late, or was handed over.

use mail_builder::headers::content_type::ContentType;
use mail_builder::mime::MimePart;

use super::address_list::{DisplayName, ListWriter};
use super::failure::one_line;
use super::header::{HeaderBlock, header_of};
use super::{Address, EnhancedStatusCode, Failure, QueueId, Recipient};
use crate::clock::Timestamp;

mod bounce;
mod digest;
mod request;
#[cfg(test)]
mod tests;

pub use bounce::{BounceAction, BounceReport, Bounced, MAX_REPORT};
pub use digest::{DigestMail, render_digest};
pub use request::{Back, MessageWishes, Notify, OriginalRecipient, RecipientWishes};

/// Octets of the original header that a report carries at most; it goes by whole fields.
const MAX_ORIGINAL: usize = 32 * 1024;
/// Names the message by its queue id; by it our own reports are known again in a watched mailbox.
const ABOUT: &str = "X-Oxpost-Queue-Id";

/// What became of a message: for whom, why, and who is to be told.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// The queue id of the message.
    pub about: QueueId,
    /// The mailbox that the report comes from.
    pub from: &'a Address,
    /// Who is told.
    pub to: &'a Address,
    /// The name of this gateway's host.
    pub reporting_mta: &'a str,
    /// When the message was accepted.
    pub arrival: Timestamp,
    /// When the report is made.
    pub now: Timestamp,
    /// The sender's own name for the message (ENVID).
    pub envelope_id: Option<&'a str>,
    /// The recipients that it is about; never empty.
    pub told: &'a [(Recipient, Told)],
    /// The name of the account, for the next step.
    pub account: &'a str,
    /// What of the message comes back.
    pub original: Original<'a>,
    /// The report's own Message-ID, in angle brackets.
    pub message_id: String,
}

/// What a report says of one recipient (RFC 3464 section 2.3.3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// The message does not arrive.
    Failed(Failure),
    /// It is late, and given up at this moment at the earliest.
    Delayed(Failure, Timestamp),
    /// The provider took it, in its words, and will not tell the sender of anything but failure.
    Relayed(String),
}

/// What comes back with a report (RFC 3461 section 4.3).
#[derive(Clone, Copy, Debug)]
pub enum Original<'a> {
    /// The header of the message.
    Header(&'a [u8]),
    /// All of it.
    Whole(&'a [u8]),
}

impl Told {
    const fn action(&self) -> &'static str {
        match self {
            Self::Failed(_) => "failed",
            Self::Delayed(..) => "delayed",
            Self::Relayed(_) => "relayed",
        }
    }

    const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) | Self::Delayed(failure, _) => Some(failure),
            Self::Relayed(_) => None,
        }
    }
}

/// Renders the report as a complete message with CRLF line ends, in ASCII alone unless the whole message comes back. What
/// comes back has no Bcc.
pub fn render(report: &Report<'_>) -> Vec<u8> {
    // The queue id is made after the message came in, so nothing in it can hold this text.
    let boundary = format!("=_report_{}_{}", report.about, report.now.as_millis());
    let parts = vec![
        MimePart::new(ContentType::new("text/plain").attribute("charset", "utf-8"), explanation(report)),
        MimePart::new(ContentType::new("message/delivery-status"), delivery_status(report).into_bytes())
            .transfer_encoding("7bit"),
        original(report.original),
    ];
    let content_type = ContentType::new("multipart/report")
        .attribute("report-type", "delivery-status")
        .attribute("boundary", boundary);
    let mut rendered = [
        sole_address("From", "Mail Delivery System", report.from),
        sole_address("To", "", report.to),
        folded("Subject", subject(report)).into_bytes(),
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

/// The worst that it tells of.
fn subject(report: &Report<'_>) -> &'static str {
    let is = |action: &str| report.told.iter().any(|(_, told)| told.action() == action);
    if is("failed") {
        "Your message could not be delivered"
    } else if is("delayed") {
        "Your message is late"
    } else {
        "Your message was handed over"
    }
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
        "This is the mail gateway oxpost at {}. It has news of the message you sent at\r\n{}.\r\n",
        one_line(report.reporting_mta),
        report.arrival.rfc5322(),
    );
    let sections = [
        ("failed", "It could not be delivered to:"),
        ("delayed", "It has not been delivered yet to those below. You need not send it again:"),
        ("relayed", "It was handed to the provider, who does not confirm delivery, for:"),
    ];
    for (action, title) in sections {
        let of: Vec<_> = report.told.iter().filter(|(_, told)| told.action() == action).collect();
        if !of.is_empty() {
            text.push_str(&format!("\r\n{title}\r\n"));
        }
        for same in of.chunk_by(|(_, one), (_, next)| one == next) {
            explain(&mut text, same, report.account);
        }
    }
    let below = match report.original {
        Original::Header(_) => "Its header is",
        Original::Whole(_) => "It is",
    };
    text.push_str(&format!(
        "\r\nThe gateway keeps the message for its administrator under the queue id\r\n{} (account `{}`).\r\n\
         {below} below.\r\n",
        report.about,
        one_line(report.account)
    ));
    text
}

/// What is the same for several recipients.
fn explain(text: &mut String, same: &[&(Recipient, Told)], account: &str) {
    text.push_str("\r\n");
    for (recipient, _) in same {
        text.push_str(&format!("  {}\r\n", recipient.address));
    }
    let Some((_, told)) = same.first() else { return };
    let words = match told {
        Told::Relayed(words) => words,
        Told::Failed(failure) | Told::Delayed(failure, _) => {
            text.push_str(&format!("    Why: {}\r\n", failure.reason.summary()));
            &failure.diagnostic
        }
    };
    let words = one_line(words);
    if !words.is_empty() {
        text.push_str(&format!("    The answer was: {words}\r\n"));
    }
    if let Told::Delayed(_, until) = told {
        text.push_str(&format!("    Tried until: {} at least\r\n", until.rfc5322()));
    }
    if let Some(failure) = told.failure() {
        text.push_str(&format!("    Next step: {}\r\n", one_line(&failure.reason.hint(account))));
    }
}

/// The part for machines (RFC 3464 section 2).
fn delivery_status(report: &Report<'_>) -> String {
    let mut text = String::new();
    let mut field = |name: &str, value: &str| text.push_str(&folded(name, value));
    if let Some(id) = report.envelope_id {
        field("Original-Envelope-Id", id);
    }
    field("Reporting-MTA", &format!("dns; {}", report.reporting_mta));
    field(ABOUT, &report.about.to_string());
    field("Arrival-Date", &report.arrival.rfc5322());
    for (recipient, told) in report.told {
        text.push_str("\r\n");
        let mut field = |name: &str, value: &str| text.push_str(&folded(name, value));
        // Without ORCPT the field must not appear (RFC 3461 section 6.3).
        if let Some(original) = &recipient.wishes.original {
            field("Original-Recipient", &original.to_string());
        }
        field("Final-Recipient", &typed_address(&recipient.address));
        field("Action", told.action());
        field("Status", &status(told).to_string());
        field("Diagnostic-Code", &diagnostic(told));
        field("Last-Attempt-Date", &report.now.rfc5322());
        if let Told::Delayed(_, until) = told {
            field("Will-Retry-Until", &until.rfc5322());
        }
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

/// That of the failure; what is told as failed is permanent, whatever it was.
fn status(told: &Told) -> EnhancedStatusCode {
    match told {
        Told::Relayed(_) => EnhancedStatusCode::new(2, 0, 0),
        Told::Delayed(failure, _) => failure.status(),
        Told::Failed(failure) => failure.status().in_class(5),
    }
}

/// The remote's words under the type that fits them (RFC 3464 section 2.3.6).
fn diagnostic(told: &Told) -> String {
    let words = match told {
        Told::Relayed(words) => one_line(words),
        Told::Failed(failure) | Told::Delayed(failure, _) if failure.diagnostic.is_empty() => {
            failure.reason.summary().to_owned()
        }
        Told::Failed(failure) | Told::Delayed(failure, _) => one_line(&failure.diagnostic),
    };
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

/// What comes back, without Bcc: a report may go to somebody else than the sender. A whole message whose lines no mail
/// program may send is cut down to its header.
fn original(original: Original<'_>) -> MimePart<'static> {
    let whole = match original {
        Original::Header(header) => return header_alone(header),
        Original::Whole(whole) => whole,
    };
    let header = header_of(whole);
    let mut kept = kept_fields(header, usize::MAX);
    kept.extend_from_slice(b"\r\n");
    kept.extend_from_slice(&whole[header.len()..]);
    if !has_short_lines(&kept) || kept.contains(&0) {
        return header_alone(header);
    }
    let encoding = if kept.is_ascii() { "7bit" } else { "8bit" };
    MimePart::new(ContentType::new("message/rfc822"), kept).transfer_encoding(encoding)
}

/// The fields that may come back: whole ones, up to so many octets.
fn kept_fields(header: &[u8], limit: usize) -> Vec<u8> {
    let mut kept = Vec::new();
    for field in HeaderBlock::parse(header).fields() {
        if field.is("Bcc") || field.is("Resent-Bcc") || !field.is_field() {
            continue;
        }
        if kept.len() + field.raw().len() > limit {
            break;
        }
        kept.extend_from_slice(field.raw());
    }
    kept
}

fn has_short_lines(octets: &[u8]) -> bool {
    octets.split(|&octet| octet == b'\n').all(|line| line.len() <= 998)
}

fn header_alone(header: &[u8]) -> MimePart<'static> {
    let kept = kept_fields(header, MAX_ORIGINAL);
    let short = has_short_lines(&kept);
    let printable = |octet: &u8| matches!(octet, b' '..=b'~' | b'\t' | b'\r' | b'\n');
    if short && kept.iter().all(printable) {
        MimePart::new(ContentType::new("text/rfc822-headers"), kept).transfer_encoding("7bit")
    } else {
        let text = String::from_utf8_lossy(&kept).into_owned();
        MimePart::new(ContentType::new("text/rfc822-headers").attribute("charset", "utf-8"), text)
    }
}
