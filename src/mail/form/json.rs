//! Reading JSON strictly: each value knows its path, so that what is wrong can be named.

use serde_json::{Map, Value};

use super::outline::{FileText, Files};
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

/// Whether a text can stand in a header field.
pub(super) fn is_line(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() && c != '\t')
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    path: String,
    value: &'a Value,
    files: &'a Files,
}

impl<'a> Node<'a> {
    pub(super) fn root(value: &'a Value, files: &'a Files) -> Self {
        Self { path: String::new(), value, files }
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

    /// The mark of a file in base64; blanks and line breaks between are passed over.
    pub(super) fn file(&self) -> Result<&'a str, Fault> {
        let mark = self.text()?;
        match self.files.marked(mark) {
            Some(FileText { flaw: None, .. }) => Ok(mark),
            Some(FileText { flaw: Some(flaw), .. }) => Err(self.fault(format!("this is not base64: {flaw}"))),
            None => Err(self.fault("write the file's content in base64")),
        }
    }

    pub(super) fn list(&self) -> Result<Vec<Node<'a>>, Fault> {
        let items = self.value.as_array();
        let items = items.ok_or_else(|| self.fault(format!("write a collection, not {}", kind(self.value))))?;
        let item = |(number, value)| Node { path: format!("{}[{number}]", self.path), value, files: self.files };
        Ok(items.iter().enumerate().map(item).collect())
    }

    /// An object that has no other properties than `known`.
    pub(super) fn object(&self, known: &[&str]) -> Result<Object<'a>, Fault> {
        let object = self.any_object()?;
        // It says nothing that is needed here, but Graph is sent it, and a file must not hide in it.
        if let Some(kind) = object.get("@odata.type") {
            kind.text()?;
        }
        let Some(stranger) = object.map.keys().find(|name| !known.contains(&name.as_str())) else { return Ok(object) };
        let at = Node { path: object.below(stranger), ..self.clone() };
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
        Ok(Object { path: self.path.clone(), map, files: self.files })
    }
}

/// An object and where it stands.
pub(super) struct Object<'a> {
    path: String,
    map: &'a Map<String, Value>,
    files: &'a Files,
}

impl<'a> Object<'a> {
    /// A property; `null` counts as missing.
    pub(super) fn get(&self, name: &str) -> Option<Node<'a>> {
        let value = self.map.get(name).filter(|value| !value.is_null())?;
        Some(Node { path: self.below(name), value, files: self.files })
    }

    /// A property that must be there.
    pub(super) fn need(&self, name: &str) -> Result<Node<'a>, Fault> {
        self.get(name).ok_or_else(|| Fault { path: self.below(name), why: "this property is missing".to_owned() })
    }

    /// All properties.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, Node<'a>)> {
        self.map.iter().map(|(name, value)| (name.as_str(), Node { path: self.below(name), value, files: self.files }))
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
