//! Our own header lines: what goes before the client's octets, which stay as they are.

use std::net::IpAddr;

use crate::clock::Timestamp;
use crate::mail::header::Inspection;
use crate::mail::{Address, QueueId, ReversePath};
use crate::smtp::Session;

/// How a message came in, for its Received line (RFC 5321 section 4.4).
#[derive(Clone, Debug)]
pub(super) struct Arrival<'a> {
    /// What the client called itself.
    pub(super) helo: &'a str,
    /// Where it connected from.
    pub(super) peer: IpAddr,
    /// Our own name.
    pub(super) hostname: &'a str,
    /// The protocol, as RFC 3848 names it.
    pub(super) protocol: &'static str,
    /// The queue id.
    pub(super) id: QueueId,
    /// When.
    pub(super) now: Timestamp,
}

/// The protocol's name for a Received line (RFC 3848).
pub(super) fn protocol(session: &Session) -> &'static str {
    let extended = session.hello().is_some_and(|hello| hello.extended);
    match (extended, session.is_tls(), session.is_authenticated()) {
        (false, ..) => "SMTP",
        (true, false, false) => "ESMTP",
        (true, false, true) => "ESMTPA",
        (true, true, false) => "ESMTPS",
        (true, true, true) => "ESMTPSA",
    }
}

/// The Received line, then whatever of From, Date and Message-ID the client left out: a printer's mail is refused for
/// that (5.7.512). Text without any header gets the empty line that must come before it.
pub(super) fn prefix(arrival: &Arrival<'_>, found: &Inspection, sender: &ReversePath, mailbox: &Address) -> Vec<u8> {
    let Arrival { helo, peer, hostname, protocol, id, now } = arrival;
    let date = now.rfc5322();
    let (helo, literal) = (safe_helo(helo), literal(*peer));
    let mut lines =
        format!("Received: from {helo} ({literal})\r\n\tby {hostname} with {protocol} id {id};\r\n\t{date}\r\n");
    if !found.has_from {
        let from = sender.address().unwrap_or(mailbox);
        lines.push_str(&format!("From: <{from}>\r\n"));
    }
    if !found.has_date {
        lines.push_str(&format!("Date: {date}\r\n"));
    }
    if !found.has_message_id {
        lines.push_str(&format!("Message-ID: {}\r\n", made_message_id(*id, mailbox)));
    }
    if !found.has_header {
        lines.push_str("\r\n");
    }
    lines.into_bytes()
}

/// The Message-ID of a message that came without one.
pub(super) fn made_message_id(id: QueueId, mailbox: &Address) -> String {
    format!("<{id}@{}>", mailbox.domain())
}

/// What the client called itself, as far as it cannot be mistaken for anything else in a header line.
fn safe_helo(helo: &str) -> String {
    let fine = |c: &char| c.is_ascii_alphanumeric() || ".-_:[]".contains(*c);
    let safe: String = helo.chars().filter(fine).take(255).collect();
    if safe.is_empty() { "unknown".to_owned() } else { safe }
}

/// An address literal (RFC 5321 section 4.1.3).
fn literal(peer: IpAddr) -> String {
    match peer.to_canonical() {
        IpAddr::V4(address) => format!("[{address}]"),
        IpAddr::V6(address) => format!("[IPv6:{address}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::header::inspect;

    fn lines(content: &[u8]) -> String {
        let id = QueueId::from_slice(&[7; 16]).unwrap();
        let now = Timestamp::from_millis(1_795_219_200_000);
        let (helo, hostname, protocol) = ("printer (x)\r\n", "oxpost.example", "ESMTP");
        let arrival = Arrival { helo, peer: "192.0.2.7".parse().unwrap(), hostname, protocol, id, now };
        let sender = ReversePath::Mailbox("dev@x.example".parse().unwrap());
        let mailbox = "box@x.example".parse().unwrap();
        String::from_utf8(prefix(&arrival, &inspect(content), &sender, &mailbox)).unwrap()
    }

    #[test]
    fn a_complete_message_gets_a_received_line_alone() {
        let text =
            lines(b"From: a@x.example\r\nDate: Sat, 21 Nov 2026 00:00:00 +0000\r\nMessage-ID: <1@x>\r\n\r\nhi\r\n");
        assert_eq!(
            text,
            "Received: from printerx ([192.0.2.7])\r\n\tby oxpost.example with ESMTP id 07070707070707070707070707070707;\r\n\tSat, 21 Nov 2026 00:00:00 +0000\r\n"
        );
    }

    #[test]
    fn what_a_printer_leaves_out_is_filled_in() {
        let text = lines(b"Subject: scan\r\n\r\nhi\r\n");
        assert!(text.contains("\r\nFrom: <dev@x.example>\r\nDate: Sat, 21 Nov 2026 00:00:00 +0000\r\nMessage-ID: <07070707070707070707070707070707@x.example>\r\n"), "{text}");
        assert!(!text.ends_with("\r\n\r\n"));
        assert!(lines(b"no header at all\r\n").ends_with(">\r\n\r\n"), "an empty line before the text");
    }
}
