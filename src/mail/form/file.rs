//! The content of a file as it stands in JSON: a text in base64, with escapes and line breaks as the program likes.

/// Takes the escapes out of a text of JSON (RFC 8259 section 7), octet by octet. What no escape is for, and what may not
/// stand in a text, becomes [`STRANGE`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Unescaping {
    #[default]
    Plain,
    /// Behind a backslash.
    Escape,
    /// Behind `\u` and so many digits of this value.
    Number(u8, u32),
    /// Behind the quote that ends the text.
    End,
}

/// What stands for all that base64 never holds.
const STRANGE: u8 = 0xff;

impl Unescaping {
    /// The character that ends with this octet, if one does.
    pub(super) fn next(&mut self, octet: u8) -> Option<u8> {
        match (*self, octet) {
            (Self::Plain, b'\\') => *self = Self::Escape,
            (Self::Plain, b'"') => *self = Self::End,
            (Self::Plain, _) => return Some(if octet < b' ' { STRANGE } else { octet }),
            (Self::Escape, b'u') => *self = Self::Number(0, 0),
            (Self::Escape, _) => {
                *self = Self::Plain;
                return Some(match octet {
                    b'/' => b'/',
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'f' => b'\x0c',
                    _ => STRANGE,
                });
            }
            (Self::Number(digits, value), _) => {
                let digit = char::from(octet).to_digit(16).unwrap_or(0xffff);
                let value = (value << 4) | digit;
                *self = if digits == 3 { Self::Plain } else { Self::Number(digits + 1, value) };
                return (digits == 3).then(|| u8::try_from(value).ok().filter(u8::is_ascii).unwrap_or(STRANGE));
            }
            (Self::End, _) => {}
        }
        None
    }

    pub(super) const fn is_at_end(self) -> bool {
        matches!(self, Self::End)
    }
}

/// Whether a character between those of base64 is passed over.
pub(super) const fn is_blank(character: u8) -> bool {
    character.is_ascii_whitespace()
}

/// Checks base64 character by character: with padding, and with nothing in the bits that are left over (RFC 4648
/// sections 3.2 and 3.5), so that it is the only way to write these octets.
#[derive(Clone, Debug, Default)]
pub(super) struct Checking {
    characters: u64,
    padding: u64,
    last: u8,
    flaw: Option<String>,
}

impl Checking {
    pub(super) fn add(&mut self, character: u8) {
        if is_blank(character) || self.flaw.is_some() {
            return;
        }
        self.characters += 1;
        match value(character) {
            Some(value) if self.padding == 0 => self.last = value,
            Some(_) => self.flaw = Some(format!("there is more behind the padding, at character {}", self.characters)),
            None if character == b'=' => self.padding += 1,
            None if character.is_ascii_graphic() => {
                self.flaw = Some(format!("character {} is `{}`", self.characters, char::from(character)));
            }
            None => self.flaw = Some(format!("character {} is none of it", self.characters)),
        }
    }

    /// Characters in all, and what is wrong with them.
    pub(super) fn finish(self) -> (u64, Option<String>) {
        let left_over = [0, 0b11, 0b1111].get(usize::try_from(self.padding).unwrap_or(usize::MAX)).copied();
        let is_whole = self.characters.is_multiple_of(4);
        let flaw = match left_over {
            _ if self.flaw.is_some() => self.flaw,
            Some(bits) if is_whole && self.last & bits == 0 => None,
            Some(_) if is_whole => Some("its last character says more than a whole octet".to_owned()),
            Some(_) | None => Some("its end is missing, or its padding is wrong".to_owned()),
        };
        (self.characters, flaw)
    }
}

/// What a character of base64 stands for (RFC 4648 section 4).
const fn value(character: u8) -> Option<u8> {
    match character {
        b'A'..=b'Z' => Some(character - b'A'),
        b'a'..=b'z' => Some(character - b'a' + 26),
        b'0'..=b'9' => Some(character - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}
