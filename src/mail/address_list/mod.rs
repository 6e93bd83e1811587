//! Address lists as they stand in From, To, Cc and Bcc (RFC 5322 section 3.4), with the obsolete and broken forms of
//! the field. What is not certainly an address is left out, and the list says that it was not [`plain`]: oxpost reads
//! a list to decide who gets a message, so it must never see somebody whom another reader does not see.
//!
//! [`plain`]: AddressList::plain

use std::borrow::Cow;

use super::Address;

mod lexer;
mod name;
#[cfg(test)]
mod tests;
mod writer;

use lexer::{Lexeme, Lexer, Token};
pub use name::DisplayName;
pub use writer::ListWriter;

/// Tokens one list element may have; more is nonsense, not an address.
const MAX_TOKENS: usize = 128;

/// One address with the name shown for it.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// The address.
    pub address: Address,
    /// The name shown for it, or the comment beside it; may be empty.
    pub name: DisplayName<'a>,
}

/// The addresses of one field.
#[derive(Clone, Debug)]
pub struct AddressList<'a> {
    /// The addresses in order, those inside groups as well.
    pub entries: Vec<Entry<'a>>,
    /// Whether every reader sees these addresses and no other: no group, no route, nothing left open or left over,
    /// no special character where only some readers expect it.
    pub plain: bool,
    /// Whether an address stands behind a name without angle brackets, as some printers write it.
    pub unbracketed: bool,
    /// The first name that has no address, as in `From: Scanner`.
    pub nameless: Option<DisplayName<'a>>,
}

impl<'a> AddressList<'a> {
    /// Reads the body of a field: all that stands behind its colon.
    pub fn parse(body: &'a [u8]) -> Self {
        let mut list = Self { entries: Vec::new(), plain: true, unbracketed: false, nameless: None };
        let mut lexer = Lexer::new(body);
        let mut element = Vec::new();
        let mut in_brackets = false;
        for lexeme in lexer.by_ref() {
            match lexeme.token.special() {
                Some(b',') if !in_brackets => list.take(&mut element),
                Some(b':') if !in_brackets => {
                    // The name of a group; its members follow like others.
                    list.plain = false;
                    element.clear();
                }
                Some(b';') if !in_brackets => {
                    list.plain = false;
                    list.take(&mut element);
                }
                special => {
                    in_brackets = special == Some(b'<') || (in_brackets && special != Some(b'>'));
                    if element.len() <= MAX_TOKENS {
                        element.push(lexeme);
                    }
                }
            }
        }
        list.take(&mut element);
        list.plain &= !lexer.malformed;
        list
    }

    /// The addresses alone.
    pub fn into_addresses(self) -> impl Iterator<Item = Address> + use<'a> {
        self.entries.into_iter().map(|entry| entry.address)
    }

    /// Reads one element and forgets its tokens.
    fn take(&mut self, element: &mut Vec<Lexeme<'a>>) {
        if element.is_empty() {
            return;
        }
        let found = if element.len() > MAX_TOKENS { Element::nothing() } else { Element::read(element) };
        element.clear();
        self.plain &= found.plain;
        match found.address {
            Some(address) => {
                self.unbracketed |= found.unbracketed;
                self.entries.push(Entry { address, name: found.name });
            }
            None => {
                self.plain = false;
                self.nameless.get_or_insert(found.name);
            }
        }
    }
}

/// What one element turned out to be.
struct Element<'a> {
    address: Option<Address>,
    name: DisplayName<'a>,
    plain: bool,
    unbracketed: bool,
}

impl<'a> Element<'a> {
    fn nothing() -> Self {
        Self { address: None, name: DisplayName::default(), plain: false, unbracketed: false }
    }

    fn read(lexemes: &[Lexeme<'a>]) -> Self {
        let is = |special: u8| move |lexeme: &Lexeme<'a>| lexeme.token == Token::Special(special);
        let mut comments = lexemes.iter().filter_map(|lexeme| lexeme.token.comment());
        let comment = comments.clone().next();
        let plain_comments = comments.all(|text| !text.iter().any(|c| b"<>@,;:\"\\".contains(c)));
        let mut element = match (lexemes.iter().position(is(b'<')), lexemes.iter().rposition(is(b'>'))) {
            (Some(open), Some(close)) if open < close => {
                Self::bracketed(&lexemes[..open], &lexemes[open + 1..close], &lexemes[close + 1..])
            }
            (None, None) => Self::bare(lexemes),
            _ => Self { name: DisplayName::from_lexemes(lexemes), ..Self::nothing() },
        };
        element.plain &= plain_comments;
        if let Some(text) = comment.filter(|_| element.name.is_empty()) {
            element.name = DisplayName::from_comment(text);
        }
        element
    }

    /// `name <inside> behind`.
    fn bracketed(name: &[Lexeme<'a>], inside: &[Lexeme<'a>], behind: &[Lexeme<'a>]) -> Self {
        let words_only = name.iter().all(|lexeme| match lexeme.token {
            Token::Atom(_) | Token::Quoted(_) | Token::Comment(_) => true,
            Token::EncodedWord(word) => lexer::is_safe_encoded_word(word),
            Token::Special(_) | Token::Literal(_) => false,
        });
        let name = DisplayName::from_lexemes(name);
        if !behind.iter().all(|lexeme| lexeme.token.comment().is_some()) {
            return Self { name, ..Self::nothing() };
        }
        // RFC 5322 section 4.4: a source route is read over.
        let route = match inside.first() {
            Some(Lexeme { token: Token::Special(b'@'), .. }) => {
                inside.iter().position(|lexeme| lexeme.token == Token::Special(b':')).map_or(0, |colon| colon + 1)
            }
            _ => 0,
        };
        let spec = &inside[route..];
        let address = address_of(spec);
        let tight = spec.iter().skip(1).all(|lexeme| lexeme.glued);
        let plain = words_only && tight && route == 0 && address.as_ref().is_some_and(|a| !looks_encoded(a));
        Self { address, name, plain, unbracketed: false }
    }

    /// An element without angle brackets: an address, or a name and an address behind it.
    fn bare(lexemes: &[Lexeme<'a>]) -> Self {
        let all_names = DisplayName::from_lexemes(lexemes);
        let words: Vec<Lexeme<'a>> =
            lexemes.iter().filter(|lexeme| lexeme.token.comment().is_none()).copied().collect();
        let start =
            words.iter().rposition(|word| word.token == Token::Special(b'@')).map(|at| start_of_spec(&words, at));
        let Some(start) = start else { return Self { name: all_names, ..Self::nothing() } };
        let (name, spec) = words.split_at(start);
        let one_at = name.iter().all(|word| word.token != Token::Special(b'@'));
        let unbroken = address_stands_unbroken(lexemes);
        let Some(address) = address_of(spec).filter(|_| one_at && unbroken) else {
            return Self { name: all_names, ..Self::nothing() };
        };
        let tight = spec.iter().skip(1).all(|word| word.glued);
        let simple = spec.iter().all(|word| matches!(word.token, Token::Atom(_) | Token::Special(b'@')));
        Self {
            plain: name.is_empty() && tight && simple && !looks_encoded(&address),
            unbracketed: !name.is_empty(),
            name: DisplayName::from_lexemes(name),
            address: Some(address),
        }
    }
}

/// Where the address that holds the `@` at `at` begins.
fn start_of_spec(words: &[Lexeme<'_>], at: usize) -> usize {
    (1..=at).rev().find(|&word| !belong_together(words, word)).unwrap_or(0)
}

/// Whether the token at `at` and the one before can be parts of one address: blanks may stand around dots and the `@`
/// (RFC 5322 section 4.4), but two words side by side are two words.
fn belong_together(words: &[Lexeme<'_>], at: usize) -> bool {
    let (before, this) = (words[at - 1].token, words[at]);
    let is_at = |token| token == Token::Special(b'@');
    this.glued
        || is_at(before)
        || is_at(this.token)
        || matches!(before, Token::Atom(text) if text.ends_with(b"."))
        || matches!(this.token, Token::Atom(text) if text.starts_with(b"."))
}

/// Whether no comment stands between the first and the last token of the address: `a@own.test(x)evil.test` is read in
/// more than one way.
fn address_stands_unbroken(lexemes: &[Lexeme<'_>]) -> bool {
    let is_comment = |lexeme: &Lexeme<'_>| lexeme.token.comment().is_some();
    let first = lexemes.iter().position(|lexeme| !is_comment(lexeme)).unwrap_or(0);
    let last = lexemes.iter().rposition(|lexeme| !is_comment(lexeme)).unwrap_or(0);
    !lexemes[first..=last].iter().any(is_comment)
}

/// The address that the tokens spell when blanks around dots and the `@` are left out.
fn address_of(spec: &[Lexeme<'_>]) -> Option<Address> {
    if !(1..spec.len()).all(|at| belong_together(spec, at)) {
        return None;
    }
    let mut text = Vec::new();
    for lexeme in spec {
        match lexeme.token {
            Token::Atom(word) | Token::EncodedWord(word) | Token::Literal(word) => text.extend_from_slice(word),
            Token::Quoted(inner) => {
                text.push(b'"');
                text.extend_from_slice(&unfolded(inner));
                text.push(b'"');
            }
            Token::Special(b'@') => text.push(b'@'),
            Token::Special(_) | Token::Comment(_) => return None,
        }
    }
    std::str::from_utf8(&text).ok()?.parse().ok()
}

/// Without the line ends of folding.
fn unfolded(octets: &[u8]) -> Cow<'_, [u8]> {
    if octets.iter().any(|c| matches!(c, b'\r' | b'\n')) {
        octets.iter().copied().filter(|c| !matches!(c, b'\r' | b'\n')).collect()
    } else {
        Cow::Borrowed(octets)
    }
}

/// Whether the local part looks like an RFC 2047 encoded word, which some readers decode before they look for the `@`.
fn looks_encoded(address: &Address) -> bool {
    address.local_part().contains("=?")
}
