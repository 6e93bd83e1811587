//! The parts of a message (RFC 2046), found while its octets stream by: where each begins and ends, and what it is. For a
//! way out that takes large files apart from the message. What is inside a part, a message in a message too, is not
//! looked at.

mod decode;
mod entity;
mod plan;
mod scan;
#[cfg(test)]
mod tests;

use std::ops::Range;

pub use decode::{Decoder, Encoding};
pub use plan::{Cut, NotSplit, Plan};
pub use scan::Scanner;

use super::header::{Field, HeaderBlock};

/// A message as the tree of its parts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Structure {
    /// All parts that hold content, in their order.
    pub leaves: Vec<Leaf>,
    /// All parts that hold other parts, in their order.
    pub multiparts: Vec<Multipart>,
    /// The media type of the first part that must stay as it is, because it is signed or encrypted.
    pub sealed: Option<String>,
    /// More parts, or deeper ones, than anything sensible has: they were not all looked at.
    pub excessive: bool,
}

/// A part that holds others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Multipart {
    /// `mixed`, `related` and so on, in lower case.
    pub subtype: String,
    /// What stands between its parts (RFC 2046 section 5.1.1).
    pub boundary: String,
    /// The multipart it is in.
    pub parent: Option<usize>,
    /// How many parts it has.
    pub children: usize,
}

/// A part that holds content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leaf {
    /// The multipart it is in; `None`: it is the whole message.
    pub parent: Option<usize>,
    /// Its place there, from 0.
    pub position: usize,
    /// Where it lies, with the delimiter line before it and up to the one behind it.
    pub span: Range<u64>,
    /// Where its content lies, as it is encoded.
    pub body: Range<u64>,
    /// Media type, such as `image/png`, in lower case.
    pub media_type: String,
    /// The name of the file.
    pub name: Option<String>,
    /// `Content-ID`, without its angle brackets.
    pub content_id: Option<String>,
    /// `Content-Disposition`.
    pub disposition: Disposition,
    /// How the content is encoded.
    pub encoding: Encoding,
}

/// What `Content-Disposition` says (RFC 2183).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disposition {
    /// Nothing.
    None,
    /// To be shown where it stands.
    Inline,
    /// A file, or any other word: RFC 2183 section 2.8 has unknown ones treated so.
    Attachment,
}

/// Whether the header at the start of a message says that the message as a whole is signed or encrypted, so that it must
/// stay as it is. Returns the media type.
pub fn sealed_header(header: &[u8]) -> Option<String> {
    // The other fields need not be understood.
    let fields: Vec<&[u8]> = HeaderBlock::parse(header).named("Content-Type").map(Field::raw).collect();
    let media_type = entity::Entity::read(&fields.concat()).media_type;
    entity::is_sealed(&media_type).then_some(media_type)
}
