//! Times and sizes as people type them: `30s`, `4 days`, `25 MB`.

use std::borrow::Cow;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Units of time with their milliseconds. The first of a length is the one that is printed.
const TIMES: &[(&str, u64)] = &[
    ("ms", 1),
    ("s", 1_000),
    ("sec", 1_000),
    ("min", 60_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("hour", 3_600_000),
    ("hours", 3_600_000),
    ("day", 86_400_000),
    ("days", 86_400_000),
    ("d", 86_400_000),
    ("week", 604_800_000),
    ("weeks", 604_800_000),
];

/// Units of size with their octets: decimal ones count by 1000, binary ones by 1024.
const SIZES: &[(&str, u64)] = &[
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// A length of time as typed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DurationText(String);

/// A number of octets as typed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SizeText(String);

/// Why a text is no time or size.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotAQuantity {
    /// It does not begin with a whole number.
    #[error("is not a whole number and a unit")]
    Number,
    /// There is no unit, or none that is known.
    #[error("has no unit that is known here")]
    Unit,
    /// More than can be counted.
    #[error("is too large")]
    TooLarge,
}

impl From<&str> for DurationText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<&str> for SizeText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl DurationText {
    /// What to write where a time was expected.
    pub const REMEDY: &str = "write a number and a unit (ms, s, min, h, days), such as `30s`, `5 min` or `4 days`";

    /// As typed.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The time it means.
    ///
    /// # Errors
    /// The text is not a whole number with a unit of time.
    pub fn read(&self) -> Result<Duration, NotAQuantity> {
        read(&self.0, TIMES).map(Duration::from_millis)
    }
}

impl SizeText {
    /// What to write where a size was expected.
    pub const REMEDY: &str = "write a number and a unit (kB, MB, GB, KiB, MiB, GiB), such as `25 MB`";

    /// As typed.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The octets it means.
    ///
    /// # Errors
    /// The text is not a whole number with a unit of size.
    pub fn read(&self) -> Result<u64, NotAQuantity> {
        read(&self.0, SIZES)
    }
}

/// Letter case is not looked at: nobody means millibytes.
fn read(text: &str, units: &[(&str, u64)]) -> Result<u64, NotAQuantity> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() || unit.starts_with(['.', ',']) {
        return Err(NotAQuantity::Number);
    }
    let number: u64 = number.parse().map_err(|_| NotAQuantity::TooLarge)?;
    let unit = unit.trim_start();
    let (_, factor) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or(NotAQuantity::Unit)?;
    number.checked_mul(*factor).ok_or(NotAQuantity::TooLarge)
}

/// A time in the largest unit that leaves no remainder, such as `4 days`.
pub(super) fn duration_words(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let (unit, factor) = match millis {
        0 => ("s", 1_000),
        _ if millis % 86_400_000 == 0 && millis != 86_400_000 => ("days", 86_400_000),
        _ if millis % 86_400_000 == 0 => ("day", 86_400_000),
        _ if millis % 3_600_000 == 0 => ("h", 3_600_000),
        _ if millis % 60_000 == 0 => ("min", 60_000),
        _ if millis % 1_000 == 0 => ("s", 1_000),
        _ => ("ms", 1),
    };
    format!("{} {unit}", millis / factor)
}

/// A size in the largest unit that leaves no remainder, such as `3 MiB`.
pub(super) fn size_words(octets: u64) -> String {
    let fits = |(_, factor): &&(&str, u64)| octets > 0 && octets.is_multiple_of(*factor);
    match SIZES.iter().filter(fits).max_by_key(|(_, factor)| *factor) {
        Some((unit, factor)) => format!("{} {unit}", octets / factor),
        None => format!("{octets} B"),
    }
}

impl JsonSchema for DurationText {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let description = "A time, such as `30s`, `5 min` or `4 days`.";
        json_schema!({ "type": "string", "pattern": pattern(TIMES), "description": description })
    }
}

impl JsonSchema for SizeText {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let description = "A size, such as `25 MB` or `3 MiB`.";
        json_schema!({ "type": "string", "pattern": pattern(SIZES), "description": description })
    }
}

/// A regular expression for editors that check while one types.
fn pattern(units: &[(&str, u64)]) -> String {
    let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
    format!("^[0-9]+ *({})$", names.join("|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        let table = [
            ("30s", Ok(30_000), "no blank"),
            ("5 min", Ok(300_000), "a blank"),
            ("4 days", Ok(345_600_000), "plural"),
            ("1 Day", Ok(86_400_000), "letter case does not matter"),
            ("250ms", Ok(250), "below a second"),
            ("30", Err(NotAQuantity::Unit), "thirty of what"),
            ("30 parsecs", Err(NotAQuantity::Unit), "not a unit"),
            ("-1 s", Err(NotAQuantity::Number), "time does not run backwards"),
            ("1.5 h", Err(NotAQuantity::Number), "whole numbers alone"),
            ("", Err(NotAQuantity::Number), "nothing"),
            ("99999999999999999999 s", Err(NotAQuantity::TooLarge), "more than a u64"),
            ("99999999999999999 days", Err(NotAQuantity::TooLarge), "more than a u64 of milliseconds"),
        ];
        for (text, expected, why) in table {
            assert_eq!(DurationText::from(text).read(), expected.map(Duration::from_millis), "{text:?}: {why}");
        }
    }

    #[test]
    fn sizes_are_decimal_or_binary_as_their_unit_says() {
        let read = |text: &str| SizeText::from(text).read();
        assert_eq!(read("25 MB"), Ok(25_000_000));
        assert_eq!(read("3 MiB"), Ok(3_145_728));
        assert_eq!(read("512 B"), Ok(512));
        assert_eq!(read("3"), Err(NotAQuantity::Unit));
        assert_eq!(read("20000000000 GiB"), Err(NotAQuantity::TooLarge));
    }

    #[test]
    fn what_is_printed_can_be_typed() {
        for text in ["4 days", "1 day", "90 min", "5 min", "30 s", "1500 ms", "2 h"] {
            let duration = DurationText::from(text).read().unwrap();
            assert_eq!(DurationText::from(duration_words(duration).as_str()).read(), Ok(duration));
        }
        assert_eq!(size_words(3_145_728), "3 MiB");
        assert_eq!(size_words(25_000_000), "25 MB");
        assert_eq!(size_words(0), "0 B");
    }
}
