//! What MAIL and RCPT said (RFC 5321): who a message comes from and who gets it, whatever its header says.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Address;
use super::dsn::{MessageWishes, RecipientWishes};

/// The address of MAIL: where reports go. `<>` is a case of its own, not an empty text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReversePath {
    /// `<>`: a report, which is never answered by another.
    Null,
    /// An address.
    Mailbox(Address),
}

impl ReversePath {
    /// The address, unless it is the null reverse path.
    pub fn address(&self) -> Option<&Address> {
        match self {
            Self::Null => None,
            Self::Mailbox(address) => Some(address),
        }
    }
}

/// As it stands in MAIL, with its brackets.
impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("<>"),
            Self::Mailbox(address) => write!(f, "<{address}>"),
        }
    }
}

/// One RCPT.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Recipient {
    /// Who gets the message.
    pub address: Address,
    /// What the sender wants to be told about it.
    #[serde(default)]
    pub wishes: RecipientWishes,
}

impl From<Address> for Recipient {
    fn from(address: Address) -> Self {
        Self { address, wishes: RecipientWishes::default() }
    }
}

/// What the client declared of the content (RFC 6152 `BODY`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BodyType {
    /// Nothing, or `7BIT`.
    #[default]
    SevenBit,
    /// `8BITMIME`.
    EightBitMime,
}

/// Who sent a message and exactly who receives it. It always has a recipient.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Envelope {
    reverse_path: ReversePath,
    recipients: Vec<Recipient>,
    /// What MAIL declared of the content.
    pub body: BodyType,
    /// Whether MAIL asked for SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// What reports about it are to be like.
    #[serde(default)]
    pub wishes: MessageWishes,
}

/// An envelope needs a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an envelope needs at least one recipient")]
pub struct NoRecipients;

impl Envelope {
    /// The only way in: at least one recipient. An address named twice is kept once.
    pub fn new(reverse_path: ReversePath, recipients: Vec<Recipient>) -> Result<Self, NoRecipients> {
        let mut seen = std::collections::HashSet::new();
        let recipients: Vec<_> = recipients.into_iter().filter(|r| seen.insert(r.address.key())).collect();
        if recipients.is_empty() {
            return Err(NoRecipients);
        }
        Ok(Self {
            reverse_path,
            recipients,
            body: BodyType::default(),
            smtputf8: false,
            wishes: MessageWishes::default(),
        })
    }

    /// An envelope with one recipient.
    pub fn to_one(reverse_path: ReversePath, recipient: Recipient) -> Self {
        let (body, wishes) = (BodyType::default(), MessageWishes::default());
        Self { reverse_path, recipients: vec![recipient], body, smtputf8: false, wishes }
    }

    /// Where reports go.
    pub fn reverse_path(&self) -> &ReversePath {
        &self.reverse_path
    }

    /// Everybody who receives the message; never empty.
    pub fn recipients(&self) -> &[Recipient] {
        &self.recipients
    }

    /// Whether any address needs SMTPUTF8 on the way out.
    pub fn needs_smtputf8(&self) -> bool {
        let path_is_ascii = self.reverse_path.address().is_none_or(Address::is_ascii);
        self.smtputf8 || !path_is_ascii || self.recipients.iter().any(|r| !r.address.is_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(text: &str) -> Recipient {
        Recipient::from(text.parse::<Address>().unwrap())
    }

    #[test]
    fn an_envelope_has_recipients_and_each_once() {
        assert_eq!(Envelope::new(ReversePath::Null, vec![]), Err(NoRecipients));
        let envelope =
            Envelope::new(ReversePath::Null, vec![to("a@x.example"), to("b@x.example"), to("A@X.example")]).unwrap();
        assert_eq!(envelope.recipients(), [to("a@x.example"), to("b@x.example")]);
        assert!(!envelope.needs_smtputf8());
        let envelope = Envelope::new(ReversePath::Null, vec![to("ä@x.example")]).unwrap();
        assert!(envelope.needs_smtputf8());
    }
}
