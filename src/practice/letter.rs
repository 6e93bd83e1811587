//! Reading arrived messages, with mail-parser: not with the gateway's own reader, whose mistakes it would share.

use mail_parser::{Address, HeaderName, Message, MessageParser};

/// The addresses in the header of a message, as a mail system reads them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Addresses {
    pub(super) from: Vec<String>,
    pub(super) sender: Vec<String>,
    pub(super) to: Vec<String>,
    pub(super) cc: Vec<String>,
    pub(super) bcc: Vec<String>,
    /// Number of `From` fields; RFC 5322 section 3.6 wants exactly one.
    pub(super) from_fields: usize,
}

impl Addresses {
    /// Reads the header of a message.
    pub(super) fn read(raw: &[u8]) -> Self {
        let mut found = Self::default();
        let Some(message) = MessageParser::default().parse_headers(raw) else { return found };
        for header in message.headers() {
            found.from_fields += usize::from(header.name == HeaderName::From);
            let lists = [
                (HeaderName::From, &mut found.from),
                (HeaderName::Sender, &mut found.sender),
                (HeaderName::To, &mut found.to),
                (HeaderName::Cc, &mut found.cc),
                (HeaderName::Bcc, &mut found.bcc),
            ];
            let Some((_, list)) = lists.into_iter().find(|(name, _)| header.name == *name) else { continue };
            list.extend(header.value.as_address().map(plain_addresses).unwrap_or_default());
        }
        found
    }

    /// Everybody a header-only way would send to, each once.
    pub(super) fn recipients(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for address in self.to.iter().chain(&self.cc).chain(&self.bcc) {
            if !all.iter().any(|seen| seen.eq_ignore_ascii_case(address)) {
                all.push(address.clone());
            }
        }
        all
    }
}

fn plain_addresses(list: &Address<'_>) -> Vec<String> {
    list.iter().filter_map(|entry| entry.address()).map(str::to_owned).collect()
}

/// The message without its `Bcc` fields.
pub(super) fn without_bcc(raw: &[u8]) -> Vec<u8> {
    let Some(message) = MessageParser::default().parse_headers(raw) else { return raw.to_vec() };
    let mut kept = Vec::with_capacity(raw.len());
    let mut from = 0;
    for header in message.headers().iter().filter(|header| header.name == HeaderName::Bcc) {
        let (start, end) = (header.offset_field as usize, header.offset_end as usize);
        kept.extend_from_slice(raw.get(from..start).unwrap_or_default());
        from = end;
    }
    kept.extend_from_slice(raw.get(from..).unwrap_or_default());
    kept
}

/// The header block as text, without the empty line that ends it.
pub(super) fn header_text(raw: &[u8]) -> String {
    let end = memchr::memmem::find(raw, b"\r\n\r\n").or_else(|| memchr::memmem::find(raw, b"\n\n"));
    String::from_utf8_lossy(&raw[..end.unwrap_or(raw.len())]).into_owned()
}

/// `Message-ID` with its angle brackets.
pub(super) fn message_id(raw: &[u8]) -> Option<String> {
    let message = MessageParser::default().parse_headers(raw)?;
    message.message_id().map(|id| format!("<{id}>"))
}

/// What a mail program would show of a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Shown {
    pub(super) subject: String,
    /// The text part, or HTML turned into text.
    pub(super) text: String,
    /// Name and size in octets of each attachment.
    pub(super) attachments: Vec<(String, usize)>,
}

/// Opens a message as a mail program would.
pub(super) fn show(raw: &[u8]) -> Shown {
    let message = MessageParser::default().parse(raw).unwrap_or_default();
    Shown {
        subject: message.subject().unwrap_or("(no subject)").to_owned(),
        text: message.body_text(0).map(|text| text.into_owned()).unwrap_or_default(),
        attachments: attachments(&message),
    }
}

fn attachments(message: &Message<'_>) -> Vec<(String, usize)> {
    use mail_parser::MimeHeaders;
    let name = |part: &mail_parser::MessagePart<'_>| part.attachment_name().unwrap_or("(no name)").to_owned();
    message.attachments().map(|part| (name(part), part.len())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &[u8] = b"From: Scanner <scanner@practice.example>\r\n\
        To: Team: alice@practice.example, \"Bob, B.\" <bob@practice.example>;\r\n\
        Bcc: hidden@practice.example,\r\n other@practice.example\r\n\
        CC: ALICE@practice.example\r\n\
        BCC: third@practice.example\r\n\r\nText\r\n";

    #[test]
    fn every_recipient_field_counts_and_nobody_twice() {
        let found = Addresses::read(MAIL);
        assert_eq!(found.from, ["scanner@practice.example"]);
        let expected = ["alice", "bob", "hidden", "other", "third"].map(|name| format!("{name}@practice.example"));
        assert_eq!(found.recipients(), expected);
    }

    #[test]
    fn an_empty_group_is_nobody() {
        assert!(Addresses::read(b"To: undisclosed-recipients:;\r\n\r\n").recipients().is_empty());
    }

    #[test]
    fn bcc_goes_with_its_folded_lines_and_nothing_else_does() {
        let kept = String::from_utf8(without_bcc(MAIL)).unwrap();
        assert!(kept.contains("bob@practice.example>;\r\nCC: ALICE@practice.example\r\n\r\nText\r\n"), "{kept}");
        assert!(!kept.to_lowercase().contains("bcc") && !kept.contains("other@"), "{kept}");
    }
}
