//! One message about many that failed: what is left of a flood of reports.

use super::super::failure::one_line;
use super::super::{Address, QueueId};
use super::{folded, sole_address};
use crate::clock::Timestamp;

/// A digest to be rendered.
#[derive(Clone, Debug)]
pub struct DigestMail<'a> {
    /// The mailbox that it comes from.
    pub from: &'a Address,
    /// Who is told.
    pub to: &'a Address,
    /// The name of this gateway's host.
    pub reporting_mta: &'a str,
    /// When it is made.
    pub now: Timestamp,
    /// The messages, and what is said of each.
    pub lines: &'a [(QueueId, String)],
    /// Its own Message-ID, in angle brackets.
    pub message_id: &'a str,
}

/// Renders a digest as a complete message: CRLF line ends, ASCII alone.
pub fn render_digest(digest: &DigestMail<'_>) -> Vec<u8> {
    let count = digest.lines.len();
    let mut rendered = [
        sole_address("From", "Mail Delivery System", digest.from),
        sole_address("To", "", digest.to),
        folded("Subject", &format!("{count} more of your messages could not be delivered")).into_bytes(),
        folded("Date", &digest.now.rfc5322()).into_bytes(),
        folded("Message-ID", digest.message_id).into_bytes(),
        folded("Auto-Submitted", "auto-replied").into_bytes(),
        folded("X-Auto-Response-Suppress", "All").into_bytes(),
        folded("MIME-Version", "1.0").into_bytes(),
        folded("Content-Type", "text/plain; charset=us-ascii").into_bytes(),
    ]
    .concat();
    let intro = format!(
        "\r\nThis is the mail gateway oxpost at {}. So much failed at once that these\r\n\
         messages are reported together. The gateway keeps each for its administrator\r\nunder its queue id.\r\n",
        one_line(digest.reporting_mta)
    );
    rendered.extend_from_slice(intro.as_bytes());
    for (id, line) in digest.lines {
        // The queue id takes the place of a field's name: it is folded and kept in ASCII the same way.
        rendered.extend_from_slice(b"\r\n");
        rendered.extend_from_slice(folded(&id.to_string(), &one_line(line)).as_bytes());
    }
    rendered
}
