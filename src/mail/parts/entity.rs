//! What the header of a part says (RFC 2045, RFC 2183), read by mail-parser.

use mail_parser::{MessageParser, MimeHeaders};

use super::{Disposition, Encoding};

/// The longest name of a file, in characters.
const MAX_NAME: usize = 200;

/// The MIME fields of a header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entity {
    /// `type/subtype` in lower case; `text/plain` if there is none.
    pub(super) media_type: String,
    pub(super) boundary: Option<String>,
    pub(super) name: Option<String>,
    pub(super) content_id: Option<String>,
    pub(super) disposition: Disposition,
    pub(super) encoding: Encoding,
}

impl Entity {
    pub(super) fn read(header: &[u8]) -> Self {
        let mut entity = Self {
            media_type: "text/plain".to_owned(),
            boundary: None,
            name: None,
            content_id: None,
            disposition: Disposition::None,
            encoding: Encoding::Identity,
        };
        let Some(message) = MessageParser::default().parse_headers(header) else { return entity };
        if let Some(kind) = message.content_type() {
            entity.media_type =
                format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or("unknown")).to_ascii_lowercase();
            entity.boundary = kind.attribute("boundary").map(str::to_owned).filter(|boundary| !boundary.is_empty());
        }
        entity.name = message.attachment_name().and_then(file_name);
        entity.content_id = message.content_id().map(|id| id.trim_matches(['<', '>']).to_owned());
        entity.disposition = match message.content_disposition() {
            None => Disposition::None,
            Some(disposition) if disposition.ctype().eq_ignore_ascii_case("inline") => Disposition::Inline,
            Some(_) => Disposition::Attachment,
        };
        let encoding = message.content_transfer_encoding().unwrap_or_default().trim().to_ascii_lowercase();
        entity.encoding = match encoding.as_str() {
            "base64" => Encoding::Base64,
            "quoted-printable" => Encoding::QuotedPrintable,
            _ => Encoding::Identity,
        };
        entity
    }

    /// The subtype and boundary, if it holds other parts.
    pub(super) fn multipart(&self) -> Option<(&str, &str)> {
        let subtype = self.media_type.strip_prefix("multipart/")?;
        Some((subtype, self.boundary.as_deref()?))
    }
}

/// Signed or encrypted: S/MIME (RFC 8551) and PGP/MIME (RFC 3156). A change of one octet breaks it.
pub(super) fn is_sealed(media_type: &str) -> bool {
    const SEALED: [&str; 4] =
        ["multipart/signed", "multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime"];
    SEALED.contains(&media_type)
}

/// The last part of a path, without characters that no file name has.
fn file_name(text: &str) -> Option<String> {
    let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = last.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
    let name = name.trim().to_owned();
    (!name.is_empty()).then_some(name)
}
