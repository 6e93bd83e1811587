//! Literals: octets whose number is announced at the end of a line (RFC 9051 section 4.3, RFC 7888).

/// Octets of one literal that are taken. Logins and passwords are shorter.
pub(super) const MAX_LITERAL: u64 = 4096;
/// Octets of a literal that are read and dropped because the client sends them in any case. A longer one ends the
/// session.
pub(super) const MAX_DROPPED: u64 = 64 * 1024;

/// What the end of a line announces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Announced {
    /// So many octets, once `+` has been said.
    Waiting(u64),
    /// So many octets at once (`{n+}`).
    Coming(u64),
    /// A count that cannot be read, so nobody knows what follows.
    Unreadable,
}

/// The text before an announcement, and what it announces. A brace within a word belongs to the word: passwords have
/// such.
pub(super) fn announced(text: &[u8]) -> Option<(&[u8], Announced)> {
    let inner = text.strip_suffix(b"}")?;
    let open = inner.iter().rposition(|octet| *octet == b'{')?;
    let (before, count) = (&text[..open], &inner[open + 1..]);
    if !before.last().is_none_or(|octet| matches!(octet, b' ' | b'(')) {
        return None;
    }
    if !count.iter().all(|octet| octet.is_ascii_digit() || matches!(octet, b'+' | b'-')) {
        return None;
    }
    let (digits, coming) = count.strip_suffix(b"+").map_or((count, false), |digits| (digits, true));
    let number = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|octet| octet.is_ascii_digit()));
    let announced = match number.and_then(|text| text.parse().ok()) {
        Some(octets) if coming => Announced::Coming(octets),
        Some(octets) => Announced::Waiting(octets),
        None => Announced::Unreadable,
    };
    Some((before, announced))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text, what it announces behind what, and why it is in the table.
    type Row = (&'static str, Option<(&'static str, Announced)>, &'static str);

    #[test]
    fn only_a_count_behind_a_blank_announces_octets() {
        let table: [Row; 14] = [
            ("a LOGIN {5}", Some(("a LOGIN ", Announced::Waiting(5))), "RFC 3501"),
            ("a LOGIN {5+}", Some(("a LOGIN ", Announced::Coming(5))), "RFC 7888"),
            ("a ID ({0}", Some(("a ID (", Announced::Waiting(0))), "in a list, of nothing"),
            ("a LOGIN {18446744073709551615}", Some(("a LOGIN ", Announced::Waiting(u64::MAX))), "2^64 - 1"),
            ("a LOGIN {18446744073709551616}", Some(("a LOGIN ", Announced::Unreadable)), "2^64"),
            ("a LOGIN {-1}", Some(("a LOGIN ", Announced::Unreadable)), "negative"),
            ("a LOGIN {5-}", Some(("a LOGIN ", Announced::Unreadable)), "RFC 7888 knows no minus here"),
            ("a LOGIN {+5}", Some(("a LOGIN ", Announced::Unreadable)), "a sign before it"),
            ("a LOGIN {}", Some(("a LOGIN ", Announced::Unreadable)), "nothing between"),
            ("a LOGIN joe pa{5}", None, "a password that ends so"),
            ("a LOGIN joe {five}", None, "no count"),
            ("a LOGIN {5} ", None, "not at the end"),
            ("a LOGIN 5}", None, "not opened"),
            ("", None, "nothing"),
        ];
        for (text, expected, why) in table {
            let found = announced(text.as_bytes()).map(|(before, a)| (std::str::from_utf8(before).unwrap(), a));
            assert_eq!(found, expected, "{text:?}: {why}");
        }
    }
}
