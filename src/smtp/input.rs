//! What was received and not used yet, with the limit of SMTP's lines.

pub(super) use crate::octets::Line;

/// Octets a line may have at most: the longest answer to an AUTH challenge (RFC 4954 section 4) and room for the
/// command that may carry it. Commands have a lower limit of their own.
const MAX_LINE: usize = 12_288 + 64;

/// The octets between the wire and the session.
pub(super) type Input = crate::octets::Input<MAX_LINE>;
