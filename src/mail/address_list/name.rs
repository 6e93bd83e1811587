//! The name shown for an address, taken over from one field into another without being decoded.

use std::borrow::Cow;

use super::lexer::{Lexeme, Lexer, Token, is_safe_encoded_word, is_space};

/// Octets of a name that are taken over.
const MAX_NAME: usize = 256;

/// A display name (RFC 5322 `phrase`). Its octets stay as they were sent; only the quoting is made anew.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DisplayName<'a> {
    words: Vec<Word<'a>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Word<'a> {
    Encoded(&'a [u8]),
    Text { octets: Cow<'a, [u8]>, glued: bool },
}

impl<'a> DisplayName<'a> {
    /// The name that the tokens before an address spell. Comments among them are left out, and so are encoded words
    /// that hold more than RFC 2047 allows in a phrase.
    pub(super) fn from_lexemes(lexemes: &[Lexeme<'a>]) -> Self {
        let word = |lexeme: &Lexeme<'a>| match lexeme.token {
            Token::Comment(_) => None,
            Token::EncodedWord(word) => is_safe_encoded_word(word).then_some(Word::Encoded(word)),
            Token::Atom(octets) | Token::Literal(octets) => {
                Some(Word::Text { octets: Cow::Borrowed(octets), glued: lexeme.glued })
            }
            Token::Quoted(inner) => Some(Word::Text { octets: unescaped(inner), glued: lexeme.glued }),
            Token::Special(octet) => {
                (!b"<>".contains(&octet)).then(|| Word::Text { octets: Cow::Owned(vec![octet]), glued: lexeme.glued })
            }
        };
        Self { words: lexemes.iter().filter_map(word).collect() }
    }

    /// A name that is ours.
    pub fn from_text(text: &'a str) -> Self {
        Self { words: vec![Word::Text { octets: Cow::Borrowed(text.as_bytes()), glued: false }] }
    }

    /// A name out of the comment in `bob@example.com (Bob)`.
    pub(super) fn from_comment(text: &'a [u8]) -> Self {
        let words = text.split(|&c| is_space(c)).filter(|word| !word.is_empty()).take(MAX_NAME).map(|word| {
            match Lexer::new(word).next().map(|lexeme| lexeme.token) {
                Some(Token::EncodedWord(whole)) if whole.len() == word.len() && is_safe_encoded_word(word) => {
                    Word::Encoded(word)
                }
                _ => Word::Text { octets: unescaped(word), glued: false },
            }
        });
        Self { words: words.collect() }
    }

    /// Whether nothing is shown.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| match word {
            Word::Encoded(_) => false,
            Word::Text { octets, .. } => octets.trim_ascii().is_empty(),
        })
    }

    /// The name without its quotes; encoded words stay as they are.
    pub fn text(&self) -> String {
        let words = self.words.iter().map(|word| match word {
            Word::Encoded(octets) => (*octets, false),
            Word::Text { octets, glued } => (&**octets, *glued),
        });
        let mut text = Vec::new();
        for (octets, glued) in words {
            if !text.is_empty() && !glued {
                text.push(b' ');
            }
            text.extend_from_slice(octets);
        }
        String::from_utf8_lossy(&text).chars().filter(|c| !c.is_control()).take(MAX_NAME).collect()
    }

    /// The pieces it is written in: encoded words as they are, all text between them in quotes. A line may be folded
    /// between two pieces. Whatever the octets are, no piece holds a line end or ends its quotes early.
    pub fn pieces(&self) -> Vec<Vec<u8>> {
        let mut pieces = Vec::new();
        let mut text: Vec<u8> = Vec::new();
        let mut total = 0;
        for word in &self.words {
            match word {
                Word::Encoded(octets) => {
                    push_quoted(&mut pieces, &mut text);
                    pieces.push(octets.to_vec());
                    total += octets.len();
                }
                Word::Text { octets, glued } => {
                    if !text.is_empty() && !glued {
                        text.push(b' ');
                    }
                    let room = MAX_NAME.saturating_sub(total);
                    text.extend_from_slice(cut(octets, room));
                    total += octets.len();
                }
            }
            if total > MAX_NAME {
                break;
            }
        }
        push_quoted(&mut pieces, &mut text);
        pieces
    }
}

/// Moves `text` into `pieces` as one quoted string.
fn push_quoted(pieces: &mut Vec<Vec<u8>>, text: &mut Vec<u8>) {
    let text = std::mem::take(text);
    let words: Vec<&[u8]> =
        text.split(|c| is_space(*c) || c.is_ascii_control()).filter(|word| !word.is_empty()).collect();
    if words.is_empty() {
        return;
    }
    let mut quoted = vec![b'"'];
    for octet in words.join(&b' ') {
        if matches!(octet, b'"' | b'\\') {
            quoted.push(b'\\');
        }
        quoted.push(octet);
    }
    quoted.push(b'"');
    pieces.push(quoted);
}

/// At most `room` octets, never a part of a UTF-8 character.
fn cut(octets: &[u8], room: usize) -> &[u8] {
    let mut end = octets.len().min(room);
    while end > 0 && end < octets.len() && octets[end] & 0b1100_0000 == 0b1000_0000 {
        end -= 1;
    }
    &octets[..end]
}

/// Without the backslashes that escape.
fn unescaped(octets: &[u8]) -> Cow<'_, [u8]> {
    if !octets.contains(&b'\\') {
        return Cow::Borrowed(octets);
    }
    let mut plain = Vec::with_capacity(octets.len());
    let mut rest = octets.iter().copied();
    while let Some(octet) = rest.next() {
        plain.extend(if octet == b'\\' { rest.next() } else { Some(octet) });
    }
    Cow::Owned(plain)
}
