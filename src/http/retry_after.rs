//! `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date.

use std::time::Duration;

use ::http::HeaderMap;
use ::http::header::{DATE, HeaderName, RETRY_AFTER};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// A server may not send us away for longer: it asks again for whatever it still means then.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the answer with these header fields asks to wait. A date is read against the answer's own `Date`, so
/// that the clocks of server and machine need not agree; without a `Date` it says nothing.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit()) {
        // More digits than a number holds are still a number: a very long wait.
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let wait = date(headers, &RETRY_AFTER)?.duration_since(date(headers, &DATE)?);
        Duration::try_from(wait).unwrap_or(Duration::ZERO)
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(headers.get(name)?.to_str().ok()?.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_and_bounded() {
        let now = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        let table = [
            ("17", None, Some(17), "seconds"),
            (" 17 ", None, Some(17), "seconds with blanks"),
            ("0", None, Some(0), "at once"),
            ("99999999", None, Some(86_400), "a year: bounded"),
            ("99999999999999999999999", None, Some(86_400), "no number holds it: bounded"),
            ("Sun, 06 Nov 1994 08:50:37 GMT", now, Some(60), "a date"),
            ("Sun, 06 Nov 1994 08:00:00 GMT", now, Some(0), "a date that has passed"),
            ("Sun, 06 Nov 1994 08:50:37 GMT", None, None, "a date with nothing to compare it to"),
            ("-5", None, None, "negative"),
            ("1.5", None, None, "not whole"),
            ("soon", now, None, "a word"),
            ("", now, None, "nothing"),
        ];
        for (value, date, expected, why) in table {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            if let Some(date) = date {
                headers.insert(DATE, date.parse().unwrap());
            }
            assert_eq!(retry_after(&headers), expected.map(Duration::from_secs), "{value:?}: {why}");
        }
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
