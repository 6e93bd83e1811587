//! Takes the large files out of a message, so that the rest fits into one request.

use std::io::Write;
use std::ops::Range;

use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderStringWriter;
use bytes::Bytes;

use crate::delivery::reading::Reading;
use crate::delivery::{ContentError, Delivery};
use crate::mail::header::HeaderBlock;
use crate::mail::outgoing::Outgoing;
use crate::mail::parts::{Decoder, Disposition, Encoding, Leaf, Plan, Scanner, Structure};
use crate::mail::{Failure, Reason};

/// A message without its large files, and those files.
pub(super) struct Rest {
    /// What is left, in base64.
    pub(super) body: Bytes,
    /// The files, in the order of the message.
    pub(super) files: Vec<File>,
}

/// A file that travels apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) media_type: String,
    pub(super) content_id: Option<String>,
    /// Shown where the text refers to it.
    pub(super) inline: bool,
    /// Where it lies in the stored message, and how it is encoded there.
    pub(super) body: Range<u64>,
    pub(super) encoding: Encoding,
    /// Octets it has without that encoding.
    pub(super) size: u64,
}

/// Takes as few files out of the message as make the rest have at most `limit` octets.
///
/// # Errors
/// The message cannot be taken apart, or not be read.
pub(super) async fn take_apart(delivery: &Delivery<'_>, outgoing: &Outgoing, limit: u64) -> Result<Rest, Failure> {
    let structure = scan(delivery).await?;
    let skip = outgoing.body_offset as u64;
    let size = outgoing.header.len() as u64 + delivery.size.saturating_sub(skip);
    let plan = structure.plan(size, limit).map_err(|why| {
        let words = format!("it has {size} octets, Graph takes {limit} in one request, and {why}");
        Failure::new(Reason::MessageTooLarge, words)
    })?;
    Ok(cut(delivery, outgoing, &structure, &plan).await?)
}

async fn scan(delivery: &Delivery<'_>) -> Result<Structure, ContentError> {
    let mut reading = Reading::open(delivery.content, delivery.size).await?;
    let mut scanner = Scanner::new();
    while let Some(piece) = reading.until(delivery.size).await? {
        scanner.push(&piece);
    }
    reading.end().await?;
    Ok(scanner.finish())
}

/// One pass over the message: what stays is encoded, what goes is measured.
async fn cut(
    delivery: &Delivery<'_>,
    outgoing: &Outgoing,
    structure: &Structure,
    plan: &Plan,
) -> Result<Rest, ContentError> {
    let mut encoder = EncoderStringWriter::new(&STANDARD);
    let unwritable = |error: std::io::Error| ContentError::Unreadable(error.to_string());
    let header = if plan.whole { without_content_fields(&outgoing.header) } else { outgoing.header.clone() };
    encoder.write_all(&header).map_err(unwritable)?;
    let mut reading = Reading::open(delivery.content, delivery.size).await?;
    reading.skip_to(outgoing.body_offset as u64).await?;
    let mut files = Vec::new();
    for (cut, &number) in plan.cuts.iter().zip(&plan.apart) {
        while let Some(piece) = reading.until(cut.span.start).await? {
            encoder.write_all(&piece).map_err(unwritable)?;
        }
        encoder.write_all(&cut.instead).map_err(unwritable)?;
        let leaf = &structure.leaves[number];
        files.push(file(leaf, in_related(structure, leaf), measure(&mut reading, leaf).await?, files.len()));
        reading.skip_to(cut.span.end).await?;
    }
    while let Some(piece) = reading.until(delivery.size).await? {
        encoder.write_all(&piece).map_err(unwritable)?;
    }
    reading.end().await?;
    Ok(Rest { body: Bytes::from(encoder.into_inner()), files })
}

/// Octets of a part's content without its encoding.
async fn measure(reading: &mut Reading, leaf: &Leaf) -> Result<u64, ContentError> {
    let (mut decoder, mut scratch, mut size) = (Decoder::new(leaf.encoding), Vec::new(), 0);
    reading.skip_to(leaf.body.start).await?;
    while let Some(piece) = reading.until(leaf.body.end).await? {
        decoder.decode(&piece, &mut scratch);
        size += scratch.len() as u64;
        scratch.clear();
    }
    decoder.finish(&mut scratch);
    Ok(size + scratch.len() as u64)
}

fn in_related(structure: &Structure, leaf: &Leaf) -> bool {
    leaf.parent.is_some_and(|parent| structure.multiparts[parent].subtype == "related")
}

fn file(leaf: &Leaf, related: bool, size: u64, number: usize) -> File {
    let inline = leaf.content_id.is_some() && leaf.disposition != Disposition::Attachment && related;
    let usual = || format!("attachment-{}.{}", number + 1, extension(&leaf.media_type));
    File {
        name: leaf.name.clone().unwrap_or_else(usual),
        media_type: leaf.media_type.clone(),
        content_id: leaf.content_id.clone(),
        inline: inline || (leaf.content_id.is_some() && leaf.disposition == Disposition::Inline),
        body: leaf.body.clone(),
        encoding: leaf.encoding,
        size,
    }
}

/// Graph wants a name of each file; what it ends with decides what opens it.
fn extension(media_type: &str) -> &'static str {
    match media_type {
        "application/pdf" => "pdf",
        "image/jpeg" => "jpg",
        "image/png" => "png",
        "image/tiff" => "tif",
        "image/gif" => "gif",
        "message/rfc822" => "eml",
        "text/plain" => "txt",
        "text/html" => "html",
        "text/csv" => "csv",
        "text/calendar" => "ics",
        "application/zip" => "zip",
        _ => "bin",
    }
}

/// The header of a message that is one file, for the message that the file is attached to: its MIME fields describe the
/// file. The text that remains is empty.
fn without_content_fields(header: &[u8]) -> Vec<u8> {
    let block = HeaderBlock::parse(header);
    let describes_content = |name: &[u8]| name.len() >= 8 && name[..8].eq_ignore_ascii_case(b"content-");
    let kept = block.fields().iter().filter(|field| !describes_content(field.name()));
    let mut rest: Vec<u8> = kept.flat_map(|field| field.raw().to_vec()).collect();
    rest.extend_from_slice(b"Content-Type: text/plain; charset=us-ascii\r\n\r\n");
    rest
}
