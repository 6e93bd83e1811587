//! What a client's mail may say of its sender.

use serde::{Deserialize, Serialize};

use super::Address;

/// What happens to the sender that a client gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SenderPolicy {
    /// Nothing is touched; the mailbox needs the right to send as whoever the client names.
    Keep,
    /// From and reverse path become the mailbox; a Reply-To with the old From is added if there was none.
    #[default]
    Rewrite,
    /// Reverse path and From must be the mailbox already; anything else is refused at MAIL or at the end of data.
    Strict,
}

/// What the sender of a message may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sender<'a> {
    /// What happens to the sender that the client gives.
    pub policy: SenderPolicy,
    /// The upstream address whose rights apply.
    pub mailbox: &'a Address,
}
