//! Reads a report about mail that did not arrive (RFC 3464, RFC 6522), as a mailbox gets it: whatever stands in it is a
//! stranger's word. Time and memory are bounded by [`MAX_REPORT`], and nothing is entered that lies in a message in the
//! report.

use serde::{Deserialize, Serialize};

use super::ABOUT;
use crate::mail::failure::one_line;
use crate::mail::header::HeaderBlock;
use crate::mail::parts::{Decoder, Leaf, Scanner, Structure};
use crate::mail::{Address, EnhancedStatusCode, QueueId};

/// Octets of a report that are read. What reports say stands at their beginning; the message that comes back may be
/// long.
pub const MAX_REPORT: usize = 1024 * 1024;
/// Recipients that one report may be about.
const MAX_RECIPIENTS: usize = 500;
/// Lines that are no fields at the beginning of a group.
const MAX_NO_FIELDS: usize = 8;
/// Message-IDs that one report may name.
const MAX_IDS: usize = 8;
/// The longest Message-ID, in octets: a line has no more (RFC 5322 section 2.1.1).
const MAX_ID: usize = 998;

/// What a report says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BounceReport {
    /// The queue id of the message, if an oxpost wrote the report.
    pub about: Option<QueueId>,
    /// The Message-IDs that the message may have had, angle brackets included, the likeliest first.
    pub message_ids: Vec<String>,
    /// Those who did not get it, or not yet; never empty.
    pub recipients: Vec<Bounced>,
}

/// What a report says of one recipient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bounced {
    /// Whom it was to be delivered to in the end (`Final-Recipient`).
    pub address: Option<Address>,
    /// Whom its sender named (`Original-Recipient`), if the report says so.
    pub original: Option<Address>,
    /// What became of it.
    pub action: BounceAction,
    /// The enhanced status code.
    pub status: Option<EnhancedStatusCode>,
    /// The words of the server that refused it, on one line.
    pub words: String,
}

/// The actions of a report (RFC 3464 section 2.3.3) that are bad news.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BounceAction {
    /// It was not delivered, and nobody tries any more.
    Failed,
    /// It was not delivered so far, and is tried on.
    Delayed,
}

impl BounceAction {
    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
        }
    }

    /// What a word says, in lower case.
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Failed, Self::Delayed].into_iter().find(|action| action.word() == word)
    }
}

impl BounceReport {
    /// Reads a message out of a mailbox; `None` if it is no report, or has no bad news. Only its first [`MAX_REPORT`]
    /// octets are looked at.
    pub fn read(message: &[u8]) -> Option<Self> {
        let message = with_crlf(&message[..message.len().min(MAX_REPORT)]);
        let mut scanner = Scanner::new();
        scanner.push(&message);
        let structure = scanner.finish();
        // A report is the whole message (RFC 6522 section 3): one that somebody passed on is none.
        let whole = structure.multiparts.first().filter(|whole| whole.parent.is_none())?;
        if whole.subtype != "report" {
            return None;
        }
        let status = part(&structure, &["message/delivery-status", "message/global-delivery-status"])?;
        let status = content(&message, status);
        let recipients = recipients(&status);
        if recipients.is_empty() {
            return None;
        }
        let original = part(&structure, &ORIGINALS).map(|leaf| content(&message, leaf)).unwrap_or_default();
        Some(Self { about: about(&status), message_ids: message_ids(&original, &message), recipients })
    }
}

/// What comes back: the message or its header (RFC 3462, RFC 6533).
const ORIGINALS: [&str; 4] = ["message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers"];

/// The first part of the report itself that is one of these.
fn part<'a>(structure: &'a Structure, kinds: &[&str]) -> Option<&'a Leaf> {
    structure.leaves.iter().find(|leaf| leaf.parent == Some(0) && kinds.contains(&leaf.media_type.as_str()))
}

fn content(message: &[u8], leaf: &Leaf) -> Vec<u8> {
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(message.len());
    let (start, end) = (place(leaf.body.start), place(leaf.body.end));
    let (mut decoder, mut octets) = (Decoder::new(leaf.encoding), Vec::new());
    decoder.decode(message.get(start..end).unwrap_or_default(), &mut octets);
    decoder.finish(&mut octets);
    octets
}

/// Lines as the scanner needs them; a mailbox may keep them otherwise.
fn with_crlf(octets: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(octets.len());
    let mut before = 0;
    for &octet in octets {
        if octet == b'\n' && before != b'\r' {
            lines.push(b'\r');
        }
        lines.push(octet);
        before = octet;
    }
    lines
}

/// Groups of fields with empty lines between them: the first is about the message, each other one about a recipient
/// (RFC 3464 section 2.1). Some leave the first one out, some put several empty lines.
fn groups(status: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = status;
    std::iter::from_fn(move || {
        let end = memchr::memmem::find(rest, b"\r\n\r\n").map_or(rest.len(), |end| end + 4);
        let group;
        (group, rest) = rest.split_at(end);
        (!group.is_empty()).then_some(group)
    })
}

fn recipients(status: &[u8]) -> Vec<Bounced> {
    groups(status).filter_map(|group| recipient(&fields(group))).take(MAX_RECIPIENTS).collect()
}

/// What our own reports say in the group about the message.
fn about(status: &[u8]) -> Option<QueueId> {
    let first = fields(groups(status).next()?);
    let id = first.named(ABOUT).next()?;
    String::from_utf8_lossy(id.body()).trim().parse().ok()
}

/// The fields of a group, which may begin with lines that are none: each time all may be looked through.
fn fields(group: &[u8]) -> HeaderBlock<'_> {
    let mut rest = group;
    for _ in 0..MAX_NO_FIELDS {
        let block = HeaderBlock::parse(rest);
        if !block.fields().is_empty() || rest.is_empty() {
            return block;
        }
        rest = &rest[no_field(rest)..];
    }
    HeaderBlock::parse(rest)
}

/// Octets of a line that is no field. Lines that continue it go with it: each would be read to their end again.
fn no_field(octets: &[u8]) -> usize {
    let mut ends = memchr::memchr_iter(b'\n', octets).map(|end| end + 1);
    ends.find(|&end| !matches!(octets.get(end), Some(b' ' | b'\t'))).unwrap_or(octets.len())
}

fn recipient(group: &HeaderBlock<'_>) -> Option<Bounced> {
    let value = |name: &str| {
        let field = group.named(name).next()?;
        Some(one_line(&String::from_utf8_lossy(field.body()))).filter(|value| !value.is_empty())
    };
    let action = value("Action")?.to_ascii_lowercase();
    // Delivered, relayed, expanded: no bad news. Anything else is not known to be any.
    let action = BounceAction::of_word(action.split_whitespace().next()?)?;
    let address = value("Final-Recipient").and_then(|typed| typed_address(&typed));
    let original = value("Original-Recipient").and_then(|typed| typed_address(&typed));
    if address.is_none() && original.is_none() {
        return None;
    }
    let status = value("Status").and_then(|status| status.split_whitespace().next()?.parse().ok());
    let words = value("Diagnostic-Code").map(|typed| untyped(&typed).to_owned()).unwrap_or_default();
    Some(Bounced { address, original, action, status, words })
}

/// What stands behind `type;` (RFC 3464 section 2.1.2).
fn untyped(value: &str) -> &str {
    value.split_once(';').map_or(value, |(_, rest)| rest).trim()
}

/// `rfc822;name@host`, or `utf-8;` with its escapes (RFC 6533 section 3); some put angle brackets around the address.
fn typed_address(value: &str) -> Option<Address> {
    let kind = value.split_once(';').map_or("", |(kind, _)| kind.trim());
    let text = untyped(value).trim_matches(['<', '>']);
    let text = if kind.eq_ignore_ascii_case("utf-8") { unescaped(text)? } else { text.to_owned() };
    text.parse().ok()
}

/// `\x{20AC}` becomes the letter it stands for.
fn unescaped(text: &str) -> Option<String> {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once("\\x{") {
        let (digits, behind) = escape.split_once('}')?;
        plain.push_str(before);
        plain.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
        rest = behind;
    }
    Some(plain + rest)
}

/// Those of the message that comes back, then those that the report says it answers. Where a provider gives a message
/// another one, it keeps the sender's in a field of its own.
fn message_ids(original: &[u8], report: &[u8]) -> Vec<String> {
    let (original, report) = (HeaderBlock::parse(original), HeaderBlock::parse(report));
    let fields = [
        (&original, "Message-ID"),
        (&original, "X-Microsoft-Original-Message-ID"),
        (&original, "X-Google-Original-Message-ID"),
        (&report, "In-Reply-To"),
        (&report, "References"),
    ];
    let mut ids: Vec<String> = Vec::new();
    for (block, name) in fields {
        for field in block.named(name) {
            for id in ids_in(&String::from_utf8_lossy(field.body())) {
                if ids.len() < MAX_IDS && !ids.contains(&id) {
                    ids.push(id);
                }
            }
        }
    }
    ids
}

/// Every `<...>` of a field.
fn ids_in(text: &str) -> Vec<String> {
    let ids = text.split('<').skip(1).filter_map(|rest| rest.split_once('>')).map(|(id, _)| id);
    let fits = |id: &&str| !id.is_empty() && id.len() <= MAX_ID && !id.chars().any(char::is_control);
    ids.filter(fits).map(|id| format!("<{}>", id.trim())).take(MAX_IDS).collect()
}

#[cfg(test)]
mod tests;
