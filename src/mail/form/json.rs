//! Reading JSON strictly: each value knows its path, so that what is wrong can be named.

use serde_json::{Map, Value};

use crate::mail::Address;

/// What is wrong with a message, and where.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{path}`: {why}")]
pub struct Fault {
    /// The path of the property, such as `toRecipients[0].emailAddress.address`.
    pub path: String,
    /// What is wrong with it, and what to write.
    pub why: String,
}

/// Values in one message. In memory each takes many times what it takes as text.
const MOST_VALUES: usize = 50_000;

/// Reads the text of a request.
pub(super) fn parse(octets: &[u8]) -> Result<Value, Fault> {
    // Some programs of Windows begin every text with a byte order mark.
    let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
    if count(octets) > MOST_VALUES {
        let why = format!("a message has at most {MOST_VALUES} values; hand it in as MIME");
        return Err(Fault { path: "the message".to_owned(), why });
    }
    serde_json::from_slice(octets).map_err(|error| Fault {
        path: format!("line {}, column {}", error.line(), error.column()),
        why: "this is not JSON; check quotes, commas and braces".to_owned(),
    })
}

/// About how many values there are: each but the first stands behind a comma or the beginning of what holds it.
fn count(octets: &[u8]) -> usize {
    let (mut in_text, mut escaped, mut found) = (false, false, 0);
    for octet in octets {
        match (octet, in_text) {
            _ if escaped => escaped = false,
            (b'\\', true) => escaped = true,
            (b'"', _) => in_text = !in_text,
            (b',' | b'[' | b'{', false) => found += 1,
            _ => {}
        }
    }
    found
}

/// Whether a text can stand in a header field.
pub(super) fn is_line(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() && c != '\t')
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    path: String,
    value: &'a Value,
}

impl<'a> Node<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self { path: String::new(), value }
    }

    pub(super) const fn value(&self) -> &'a Value {
        self.value
    }

    pub(super) fn path(&self) -> &str {
        if self.path.is_empty() { "the message" } else { &self.path }
    }

    pub(super) fn fault(&self, why: impl Into<String>) -> Fault {
        Fault { path: self.path().to_owned(), why: why.into() }
    }

    /// Text of any length.
    pub(super) fn text(&self) -> Result<&'a str, Fault> {
        self.value.as_str().ok_or_else(|| self.fault(format!("write a text, not {}", kind(self.value))))
    }

    /// Text that can stand in a header field.
    pub(super) fn line(&self) -> Result<&'a str, Fault> {
        let text = self.text()?;
        if is_line(text) { Ok(text) } else { Err(self.fault("write one line, without control characters")) }
    }

    pub(super) fn flag(&self) -> Result<bool, Fault> {
        self.value.as_bool().ok_or_else(|| self.fault(format!("write true or false, not {}", kind(self.value))))
    }

    /// A whole number that is not negative.
    pub(super) fn number(&self) -> Result<u64, Fault> {
        let wrong = || self.fault(format!("write a whole number, not {}", kind(self.value)));
        self.value.as_u64().ok_or_else(wrong)
    }

    /// One of `words`, in whatever letter case.
    pub(super) fn word(&self, words: &[&'static str]) -> Result<&'static str, Fault> {
        let text = self.text()?;
        let known = words.iter().find(|word| word.eq_ignore_ascii_case(text));
        known.copied().ok_or_else(|| self.fault(format!("`{text}` is none of `{}`", words.join("`, `"))))
    }

    pub(super) fn address(&self) -> Result<Address, Fault> {
        let text = self.text()?.trim();
        text.parse().map_err(|error| self.fault(format!("`{text}` is no address: {error}")))
    }

    /// Octets in base64; blanks and line breaks between are passed over.
    pub(super) fn base64(&self) -> Result<Vec<u8>, Fault> {
        use base64::Engine;
        use base64::engine::general_purpose::STANDARD;
        let text = self.text()?;
        let has_blanks = text.bytes().any(|octet| octet.is_ascii_whitespace());
        let decoded = if has_blanks {
            STANDARD.decode(text.bytes().filter(|octet| !octet.is_ascii_whitespace()).collect::<Vec<u8>>())
        } else {
            STANDARD.decode(text)
        };
        decoded.map_err(|error| self.fault(format!("this is not base64: {}", error.to_string().to_lowercase())))
    }

    pub(super) fn list(&self) -> Result<Vec<Node<'a>>, Fault> {
        let items = self.value.as_array();
        let items = items.ok_or_else(|| self.fault(format!("write a collection, not {}", kind(self.value))))?;
        let item = |(number, value)| Node { path: format!("{}[{number}]", self.path), value };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// An object that has no other properties than `known`.
    pub(super) fn object(&self, known: &[&str]) -> Result<Object<'a>, Fault> {
        let object = self.any_object()?;
        let Some(stranger) = object.map.keys().find(|name| !known.contains(&name.as_str())) else { return Ok(object) };
        let at = Node { path: object.below(stranger), value: self.value };
        let meant = known.iter().find(|name| name.eq_ignore_ascii_case(stranger));
        Err(at.fault(match meant {
            Some(name) => format!("there is no such property; write `{name}`"),
            None => format!("there is no such property; there are `{}`", known.join("`, `")),
        }))
    }

    /// An object whose properties have names of the program's own.
    pub(super) fn any_object(&self) -> Result<Object<'a>, Fault> {
        let map = self.value.as_object();
        let map = map.ok_or_else(|| self.fault(format!("write an object, not {}", kind(self.value))))?;
        Ok(Object { path: self.path.clone(), map })
    }
}

/// An object and where it stands.
pub(super) struct Object<'a> {
    path: String,
    map: &'a Map<String, Value>,
}

impl<'a> Object<'a> {
    /// A property; `null` counts as missing.
    pub(super) fn get(&self, name: &str) -> Option<Node<'a>> {
        let value = self.map.get(name).filter(|value| !value.is_null())?;
        Some(Node { path: self.below(name), value })
    }

    /// A property that must be there.
    pub(super) fn need(&self, name: &str) -> Result<Node<'a>, Fault> {
        self.get(name).ok_or_else(|| Fault { path: self.below(name), why: "this property is missing".to_owned() })
    }

    /// All properties.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, Node<'a>)> {
        self.map.iter().map(|(name, value)| (name.as_str(), Node { path: self.below(name), value }))
    }

    fn below(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a collection",
        Value::Object(_) => "an object",
    }
}
