//! What tells content as it was accepted from content that rotted on the disk, its length unchanged.

use aws_lc_rs::digest::{Context, SHA256, SHA256_OUTPUT_LEN};
use rusqlite::ToSql;
use rusqlite::types::ToSqlOutput;

/// The checksum of content so far. The content comes first, the header lines that stand before it last: they are known
/// only when the content is whole.
#[derive(Clone)]
pub(in crate::queue) struct Summing(Context);

/// SHA-256 of a message's content and of the header lines before it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::queue) struct Checksum([u8; SHA256_OUTPUT_LEN]);

/// The checksum that content must have, and the header lines that count with it.
#[derive(Clone, Debug)]
pub(in crate::queue) struct Expected {
    pub(in crate::queue) checksum: Checksum,
    pub(in crate::queue) prefix: Vec<u8>,
}

impl Summing {
    pub(in crate::queue) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    pub(in crate::queue) fn add(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The checksum of the content together with the header lines before it.
    pub(in crate::queue) fn with(mut self, prefix: &[u8]) -> Checksum {
        self.0.update(prefix);
        let digest = self.0.finish();
        let mut octets = [0; SHA256_OUTPUT_LEN];
        octets.copy_from_slice(digest.as_ref());
        Checksum(octets)
    }
}

impl std::fmt::Debug for Summing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Summing")
    }
}

impl Checksum {
    /// A checksum as it was stored; `None` if these octets are none.
    pub(in crate::queue) fn from_slice(octets: &[u8]) -> Option<Self> {
        octets.try_into().map(Self).ok()
    }
}

impl std::fmt::Debug for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl ToSql for Checksum {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.0.as_slice()))
    }
}
