//! The name of a queued message.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Names one queued message, in replies, log, command line and page: 32 lower-case hexadecimal digits (a UUID of
/// version 7, so ids sort by the time of acceptance).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QueueId(uuid::Uuid);

impl QueueId {
    /// A fresh id.
    pub fn fresh() -> Self {
        Self(uuid::Uuid::now_v7())
    }

    /// The sixteen octets under which the store keeps it.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id kept under sixteen octets; `None` for any other number of octets.
    pub fn from_slice(octets: &[u8]) -> Option<Self> {
        uuid::Uuid::from_slice(octets).ok().map(Self)
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.simple())
    }
}

impl fmt::Debug for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a queue id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a queue id (32 hexadecimal digits, as in the reply `250 2.0.0 queued as ...`)")]
pub struct NotAQueueId(pub String);

impl FromStr for QueueId {
    type Err = NotAQueueId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        uuid::Uuid::try_parse(text).map(Self).map_err(|_| NotAQueueId(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_from_its_text_and_octets() {
        let id = QueueId::fresh();
        assert_eq!(id.to_string().len(), 32);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(QueueId::from_slice(id.as_bytes()), Some(id));
        assert_eq!(QueueId::from_slice(b"short"), None);
        assert!("x".parse::<QueueId>().is_err());
    }
}
