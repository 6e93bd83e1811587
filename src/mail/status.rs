//! Enhanced status codes (RFC 3463).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An enhanced status code such as `4.7.0` (RFC 3463 section 2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EnhancedStatusCode {
    class: u8,
    subject: u16,
    detail: u16,
}

impl EnhancedStatusCode {
    /// `class.subject.detail`. A class other than 2, 4 or 5 does not compile in a constant and panics elsewhere, so
    /// codes from outside go through [`FromStr`].
    pub const fn new(class: u8, subject: u16, detail: u16) -> Self {
        assert!(class == 2 || class == 4 || class == 5, "the class is 2, 4 or 5");
        Self { class, subject, detail }
    }

    /// 2 success, 4 persistent transient failure, 5 permanent failure.
    pub const fn class(self) -> u8 {
        self.class
    }

    /// The same subject and detail in another class, under the rule of [`Self::new`]: what a remote refuses for good may
    /// be worth another try here, and the other way round.
    #[must_use]
    pub const fn in_class(self, class: u8) -> Self {
        Self::new(class, self.subject, self.detail)
    }
}

impl fmt::Display for EnhancedStatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// The text is not an enhanced status code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an enhanced status code")]
pub struct NotAStatusCode;

impl FromStr for EnhancedStatusCode {
    type Err = NotAStatusCode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('.').map(|part| (part.len() <= 3).then(|| part.parse::<u16>().ok()).flatten());
        let (Some(Some(class)), Some(Some(subject)), Some(Some(detail)), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NotAStatusCode);
        };
        match class {
            2 | 4 | 5 => Ok(Self { class: class as u8, subject, detail }),
            _ => Err(NotAStatusCode),
        }
    }
}

impl Serialize for EnhancedStatusCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EnhancedStatusCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_and_printed() {
        for (text, good) in [
            ("4.7.0", true),
            ("5.1.1", true),
            ("2.0.0", true),
            ("3.0.0", false),
            ("4.7", false),
            ("4.7.0.1", false),
            ("4..0", false),
            ("5.7.1234", false),
        ] {
            assert_eq!(
                text.parse::<EnhancedStatusCode>().map(|c| c.to_string()),
                if good { Ok(text.to_owned()) } else { Err(NotAStatusCode) },
                "{text}"
            );
        }
    }
}
