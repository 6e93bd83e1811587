//! The tokens of an address list (RFC 5322 section 3.2), found in one pass without recursion.

/// One token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Token<'a> {
    /// Letters, digits and whatever else stands between the others; dots included.
    Atom(&'a [u8]),
    /// RFC 2047 `=?charset?q?text?=`.
    EncodedWord(&'a [u8]),
    /// A quoted string without its quotes, its backslashes kept.
    Quoted(&'a [u8]),
    /// A domain literal with its brackets.
    Literal(&'a [u8]),
    /// A comment without its outer parentheses.
    Comment(&'a [u8]),
    /// One of `,:;<>@`, or a bracket that has no partner.
    Special(u8),
}

impl<'a> Token<'a> {
    /// The character, if it is one of the special ones.
    pub(super) fn special(self) -> Option<u8> {
        if let Self::Special(octet) = self { Some(octet) } else { None }
    }

    /// The text of a comment.
    pub(super) fn comment(self) -> Option<&'a [u8]> {
        if let Self::Comment(text) = self { Some(text) } else { None }
    }
}

/// A token, and whether it follows the one before without a blank.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Lexeme<'a> {
    pub(super) token: Token<'a>,
    pub(super) glued: bool,
}

/// Octets an encoded word may have here; RFC 2047 allows 75.
const MAX_ENCODED_WORD: usize = 256;

/// Reads tokens off the body of a field.
pub(super) struct Lexer<'a> {
    octets: &'a [u8],
    at: usize,
    /// Something was left open, or a control character was met.
    pub(super) malformed: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(octets: &'a [u8]) -> Self {
        Self { octets, at: 0, malformed: false }
    }

    /// The octets from `start` to just before the closing octet at `self.at - 1`, or to the end if it never came.
    fn enclosed(&mut self, start: usize, closed: bool) -> &'a [u8] {
        self.malformed |= !closed;
        &self.octets[start..if closed { self.at - 1 } else { self.at }]
    }

    /// Behind an opening octet: runs to the one that closes it, over escaped octets and, for comments, nested ones.
    fn until(&mut self, open: Option<u8>, close: u8) -> bool {
        let mut depth = 1_usize;
        while let Some(&octet) = self.octets.get(self.at) {
            self.at += 1;
            if octet == b'\\' {
                self.at = (self.at + 1).min(self.octets.len());
            } else if octet == close {
                depth -= 1;
                if depth == 0 {
                    return true;
                }
            } else if Some(octet) == open {
                depth += 1;
            } else {
                self.malformed |= is_bad_control(octet);
            }
        }
        false
    }

    fn atom(&mut self, start: usize) -> Token<'a> {
        if let Some(length) = encoded_word_length(&self.octets[start..]) {
            self.at = start + length;
            return Token::EncodedWord(&self.octets[start..self.at]);
        }
        while let Some(&octet) = self.octets.get(self.at) {
            if is_space(octet) || b"()<>[]:;@,\"".contains(&octet) {
                break;
            }
            self.malformed |= is_bad_control(octet) || octet == b'\\';
            self.at += 1;
        }
        Token::Atom(&self.octets[start..self.at])
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Lexeme<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let before = self.at;
        while self.octets.get(self.at).copied().is_some_and(is_space) {
            self.at += 1;
        }
        let start = self.at;
        let first = *self.octets.get(start)?;
        self.at += 1;
        let token = match first {
            b'"' => {
                let closed = self.until(None, b'"');
                Token::Quoted(self.enclosed(start + 1, closed))
            }
            b'(' => {
                let closed = self.until(Some(b'('), b')');
                Token::Comment(self.enclosed(start + 1, closed))
            }
            b'[' => {
                let closed = self.until(None, b']');
                self.malformed |= !closed;
                Token::Literal(&self.octets[start..self.at])
            }
            b',' | b':' | b';' | b'<' | b'>' | b'@' | b')' | b']' => Token::Special(first),
            _ => {
                self.at = start;
                self.atom(start)
            }
        };
        Some(Lexeme { token, glued: start == before })
    }
}

/// Octets of the encoded word at the start of `octets`, if there is one.
fn encoded_word_length(octets: &[u8]) -> Option<usize> {
    let octets = &octets[..octets.len().min(MAX_ENCODED_WORD)];
    let rest = octets.strip_prefix(b"=?")?;
    let charset = rest.iter().position(|&c| c == b'?' || is_space(c))?;
    let [b'?', b'b' | b'B' | b'q' | b'Q', b'?', text @ ..] = &rest[charset..] else { return None };
    let end = text.iter().position(|&c| c == b'?' || is_space(c))?;
    text[end..].starts_with(b"?=").then(|| 2 + charset + 3 + end + 2)
}

/// Whether an encoded word has the letters that a phrase allows (RFC 2047 section 5 rule 3, and the dot that many
/// programs leave), so that no reader can take a part of it for an address.
pub(super) fn is_safe_encoded_word(word: &[u8]) -> bool {
    word.iter().all(|&c| c.is_ascii_alphanumeric() || b"!*+-/=_?.".contains(&c))
}

pub(super) const fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}

const fn is_bad_control(octet: u8) -> bool {
    octet.is_ascii_control() && !is_space(octet)
}
