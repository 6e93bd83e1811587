//! The message that a draft with attachments becomes when it is sent: as Exchange does, the text that the draft was made
//! from goes first, inline files beside it, the others behind.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail_parser::MessageParser;

use super::items::Attachment;
use super::ledger::random_text;

/// Characters of base64 on a line (RFC 2045 section 6.8).
const LINE: usize = 76;

/// The message in MIME. Without attachments it is what the draft was made from.
pub(super) fn assemble(raw: &[u8], attachments: &[Attachment]) -> Vec<u8> {
    if attachments.is_empty() {
        return raw.to_vec();
    }
    let (mut header, content) = split(raw);
    let (inline, beside): (Vec<_>, Vec<_>) = attachments.iter().partition(|attachment| attachment.inline);
    let content = if inline.is_empty() { content } else { multipart("related", content, &inline) };
    let content = if beside.is_empty() { content } else { multipart("mixed", content, &beside) };
    header.extend_from_slice(b"MIME-Version: 1.0\r\n");
    header.extend_from_slice(&content);
    header
}

/// The header without its MIME fields, and the entity those fields describe.
fn split(raw: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let Some(message) = MessageParser::default().parse_headers(raw) else { return (Vec::new(), raw.to_vec()) };
    let (mut header, mut entity) = (Vec::new(), Vec::new());
    let mut end = 0;
    for field in message.headers() {
        let (start, stop) = (field.offset_field as usize, field.offset_end as usize);
        let name = field.name.as_str().to_ascii_lowercase();
        let octets = raw.get(start..stop).unwrap_or_default();
        if name.starts_with("content-") {
            entity.extend_from_slice(octets);
        } else if name != "mime-version" {
            header.extend_from_slice(octets);
        }
        end = stop;
    }
    entity.extend_from_slice(b"\r\n");
    entity.extend_from_slice(raw.get(end..).and_then(|rest| rest.strip_prefix(b"\r\n")).unwrap_or_default());
    (header, entity)
}

fn multipart(kind: &str, first: Vec<u8>, files: &[&Attachment]) -> Vec<u8> {
    let boundary = format!("_practice_{}_", random_text(15));
    let mut whole =
        format!("Content-Type: multipart/{kind}; boundary=\"{boundary}\"\r\n\r\n--{boundary}\r\n").into_bytes();
    whole.extend(first);
    for file in files {
        let place = if file.inline { "inline" } else { "attachment" };
        let name = file.name.replace(['"', '\\', '\r', '\n'], "_");
        whole.extend(
            format!("\r\n--{boundary}\r\nContent-Type: {}; name=\"{name}\"\r\n", file.content_type).into_bytes(),
        );
        whole.extend(format!("Content-Disposition: {place}; filename=\"{name}\"\r\n").into_bytes());
        if let Some(id) = &file.content_id {
            whole.extend(format!("Content-ID: <{id}>\r\n").into_bytes());
        }
        whole.extend_from_slice(b"Content-Transfer-Encoding: base64\r\n\r\n");
        let encoded = STANDARD.encode(&file.octets);
        for line in encoded.as_bytes().chunks(LINE) {
            whole.extend_from_slice(line);
            whole.extend_from_slice(b"\r\n");
        }
    }
    whole.extend(format!("\r\n--{boundary}--\r\n").into_bytes());
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail_parser::MimeHeaders;

    #[test]
    fn inline_files_stand_beside_the_text_and_the_others_behind_it() {
        let file = |name: &str, inline: bool| Attachment {
            name: name.to_owned(),
            content_type: "image/png".to_owned(),
            content_id: inline.then(|| format!("{name}@x")),
            inline,
            octets: name.as_bytes().to_vec(),
        };
        let raw = b"To: a@x\r\nContent-Type: text/html\r\nMIME-Version: 1.0\r\nSubject: s\r\n\r\n<img src=cid:i@x>\r\n";
        let whole = assemble(raw, &[file("i", true), file("f", false)]);
        let message = MessageParser::default().parse(&whole).unwrap();
        assert!(whole.starts_with(b"To: a@x\r\nSubject: s\r\nMIME-Version: 1.0\r\n"));
        assert_eq!(message.body_html(0).unwrap().trim_end(), "<img src=cid:i@x>");
        let attached: Vec<_> = message.attachments().map(|part| (part.contents(), part.content_id())).collect();
        assert_eq!(attached, [(&b"i"[..], Some("i@x")), (&b"f"[..], None)]);
    }
}
