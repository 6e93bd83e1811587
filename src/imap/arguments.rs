//! The arguments of a command: atoms, quoted strings and literals.

use std::borrow::Cow;

/// A piece of a command as it was received.
#[derive(Debug)]
pub(super) enum Piece {
    /// Part of a line.
    Text(Vec<u8>),
    /// A literal, which is one argument.
    Literal(Vec<u8>),
}

/// Why arguments cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("A quoted string is not closed")]
    OpenQuote,
    #[error("In a quoted string a backslash stands before a quote or a backslash alone")]
    Escape,
    #[error("Arguments are parted by blanks")]
    NoBlank,
    #[error("Control character in an argument")]
    Control,
    #[error("An argument is not UTF-8")]
    NotText,
}

/// The arguments that the pieces hold. Lenient where old programs are careless: several blanks, blanks at the end, and
/// any visible character in an atom.
pub(super) fn arguments(pieces: &[Piece]) -> Result<Vec<String>, Unreadable> {
    let mut arguments = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Literal(octets) => arguments.push(text(Cow::Borrowed(octets))?),
            Piece::Text(line) => {
                let mut rest = line.as_slice();
                while let Some((argument, behind)) = next(rest)? {
                    arguments.push(text(argument)?);
                    rest = behind;
                }
            }
        }
    }
    Ok(arguments)
}

/// An argument and what is behind it.
type Split<'a> = (Cow<'a, [u8]>, &'a [u8]);

/// The next argument of a line.
fn next(line: &[u8]) -> Result<Option<Split<'_>>, Unreadable> {
    let rest = line.trim_ascii_start();
    let Some(first) = rest.first() else { return Ok(None) };
    let (argument, behind) = if *first == b'"' { quoted(&rest[1..])? } else { atom(rest) };
    if behind.first().is_none_or(|octet| *octet == b' ') {
        Ok(Some((argument, behind)))
    } else {
        Err(Unreadable::NoBlank)
    }
}

fn atom(text: &[u8]) -> Split<'_> {
    let end = text.iter().position(|octet| *octet == b' ').unwrap_or(text.len());
    (Cow::Borrowed(&text[..end]), &text[end..])
}

fn quoted(text: &[u8]) -> Result<Split<'_>, Unreadable> {
    let mut value = Vec::new();
    let mut octets = text.iter().enumerate();
    while let Some((at, octet)) = octets.next() {
        match octet {
            b'"' => return Ok((Cow::Owned(value), &text[at + 1..])),
            b'\\' => match octets.next() {
                Some((_, escaped @ (b'"' | b'\\'))) => value.push(*escaped),
                Some(_) => return Err(Unreadable::Escape),
                None => return Err(Unreadable::OpenQuote),
            },
            other => value.push(*other),
        }
    }
    Err(Unreadable::OpenQuote)
}

fn text(octets: Cow<'_, [u8]>) -> Result<String, Unreadable> {
    let text = String::from_utf8(octets.into_owned()).map_err(|_| Unreadable::NotText)?;
    if text.chars().any(char::is_control) { Err(Unreadable::Control) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line, what it holds, and why it is in the table.
    type Row = (&'static [u8], Result<&'static [&'static str], Unreadable>, &'static str);

    #[test]
    fn arguments_are_read_as_programs_write_them() {
        let table: [Row; 20] = [
            (b"joe secret", Ok(&["joe", "secret"]), "atoms"),
            (b"  joe   secret  ", Ok(&["joe", "secret"]), "careless blanks"),
            (b"joe@b.example s(e%c*r]t", Ok(&["joe@b.example", "s(e%c*r]t"]), "what atoms may not have"),
            (b"\"joe\" \"se cret\"", Ok(&["joe", "se cret"]), "quoted"),
            (b"joe \"a\\\"b\\\\c\"", Ok(&["joe", "a\"b\\c"]), "escaped"),
            (b"\"\" \"\"", Ok(&["", ""]), "empty"),
            (b"j\xc3\xb6rg \"\xc3\xa4\"", Ok(&["j\u{f6}rg", "\u{e4}"]), "beyond ASCII"),
            (b"DOM\\joe x", Ok(&["DOM\\joe", "x"]), "a backslash in an atom"),
            (b"", Ok(&[]), "none"),
            (b"   ", Ok(&[]), "blanks alone"),
            (b"joe \"secret", Err(Unreadable::OpenQuote), "not closed"),
            (b"joe \"secret\\\"", Err(Unreadable::OpenQuote), "the closing one is escaped"),
            (b"joe \"secret\\", Err(Unreadable::OpenQuote), "an escape at the end"),
            (b"\"DOM\\joe\" x", Err(Unreadable::Escape), "an escape of a letter"),
            (b"\"joe\"x", Err(Unreadable::NoBlank), "no blank behind the quote"),
            (b"\"joe\"\"x\"", Err(Unreadable::NoBlank), "no blank between"),
            (b"jo\0e x", Err(Unreadable::Control), "NUL"),
            (b"joe \"a\rb\"", Err(Unreadable::Control), "a lone CR"),
            (b"jo\x01e x", Err(Unreadable::Control), "ctrl-A"),
            (b"j\xf6rg x", Err(Unreadable::NotText), "Latin-1"),
        ];
        for (line, expected, why) in table {
            let read = arguments(&[Piece::Text(line.to_vec())]);
            let read = read.as_ref().map(|all| all.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(read.map_err(|error| *error), expected.map(<[&str]>::to_vec), "{why}");
        }
    }

    #[test]
    fn a_literal_is_one_argument() {
        let pieces = [Piece::Text(b"joe ".to_vec()), Piece::Literal(b"a \"b".to_vec()), Piece::Text(b" c".to_vec())];
        assert_eq!(arguments(&pieces).unwrap(), ["joe", "a \"b", "c"]);
        assert_eq!(arguments(&[Piece::Literal(b"a\r\nb".to_vec())]), Err(Unreadable::Control));
    }
}
