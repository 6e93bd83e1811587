//! The body of a request: the whole message in standard base64 without line breaks.

use std::io::Write;

use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderStringWriter;

use crate::delivery::{Content, ContentError};

/// Octets that `raw` octets have in base64.
pub(in crate::delivery) const fn encoded_length(raw: u64) -> u64 {
    raw.div_ceil(3).saturating_mul(4)
}

/// Encodes `header` and what follows the first `skip` octets of `content`, which are `size` octets in all. The only
/// buffer is the result, made in its final size; the message itself is never in memory as a whole.
///
/// # Errors
/// The content cannot be read, or is not `size` octets long.
pub(super) async fn encode(header: &[u8], content: &dyn Content, skip: u64, size: u64) -> Result<String, ContentError> {
    let raw = header.len() as u64 + size.saturating_sub(skip);
    let capacity = usize::try_from(encoded_length(raw)).unwrap_or(usize::MAX);
    let mut encoder = EncoderStringWriter::from_consumer(String::with_capacity(capacity), &STANDARD);
    let unwritable = |error: std::io::Error| ContentError::Unreadable(error.to_string());
    encoder.write_all(header).map_err(unwritable)?;
    let mut chunks = content.open().await?;
    let mut read = 0_u64;
    while let Some(chunk) = chunks.next().await? {
        let already = usize::try_from(skip.saturating_sub(read)).unwrap_or(usize::MAX).min(chunk.len());
        read += chunk.len() as u64;
        if read > size {
            break;
        }
        encoder.write_all(&chunk[already..]).map_err(unwritable)?;
    }
    if read != size {
        return Err(ContentError::Damaged(format!("{size} octets were stored, {read} or more were read")));
    }
    Ok(encoder.into_inner())
}
