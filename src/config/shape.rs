//! Whether a file has the shape of [`File`]: every key known, every value of the right type, every word one of
//! those there are. The JSON schema of `File` says what that is, so that all faults are found in one walk; serde
//! would stop at the first.

use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use super::document::Document;
use super::fault::{Faults, KeyPath};
use super::file::File;
use super::quantity::{DurationText, SizeText};
use super::reference;
use super::suggest::nearest;

/// Keys and words that are planned and not there yet.
const LATER: &[&str] = &["ews", "gmail"];

/// Reads the file as typed, without the parts that have a fault.
pub(super) fn read(document: &Document<'_>, faults: &mut Faults<'_>) -> File {
    let schema = reference::schema();
    let walk = Walk { definitions: schema.get("$defs").unwrap_or(&Value::Null) };
    let clean = walk.table(document.root(), &schema, &KeyPath::root(), faults);
    match serde_json::from_value(clean) {
        Ok(file) => file,
        Err(error) => {
            faults.at(KeyPath::root(), format!("the file could not be understood: {error}"), "please report this");
            File::default()
        }
    }
}

struct Walk<'s> {
    definitions: &'s Value,
}

impl<'s> Walk<'s> {
    /// The value if it fits, in parts if need be.
    fn value(&self, value: &DeValue<'_>, schema: &'s Value, at: &KeyPath, faults: &mut Faults<'_>) -> Option<Value> {
        let (name, schema) = self.resolve(schema);
        if let Some(words) = reference::words(schema) {
            return word(value, &words, at, faults);
        }
        if let Some(alternatives) = schema.get("anyOf").and_then(Value::as_array) {
            let fits = |schema: &&Value| type_of(self.resolve(schema).1) == type_of_value(value);
            let chosen = alternatives.iter().find(fits).or(alternatives.first())?;
            return self.value(value, chosen, at, faults);
        }
        let expected = type_of(schema);
        match (expected, value) {
            ("object", DeValue::Table(table)) => Some(self.table(table, schema, at, faults)),
            ("array", DeValue::Array(items)) => {
                let item_schema = schema.get("items").unwrap_or(&Value::Null);
                let item = |(index, item): (usize, &toml::Spanned<DeValue<'_>>)| {
                    self.value(item.get_ref(), item_schema, &at.item(index), faults)
                };
                Some(items.iter().enumerate().filter_map(item).collect())
            }
            ("string", DeValue::String(text)) => Some(Value::String(text.to_string())),
            ("boolean", DeValue::Boolean(truth)) => Some(Value::Bool(*truth)),
            ("integer", DeValue::Integer(number)) => integer(number, schema, at, faults),
            _ => {
                wrong_type(value, name, expected, at, faults);
                None
            }
        }
    }

    fn table(&self, table: &DeTable<'_>, schema: &'s Value, at: &KeyPath, faults: &mut Faults<'_>) -> Value {
        let properties = schema.get("properties").and_then(Value::as_object);
        let named = schema.get("additionalProperties").filter(|schema| schema.is_object());
        let mut clean = Map::new();
        for (key, value) in table {
            let key: &str = key.get_ref();
            let below = at.key(key);
            match properties.and_then(|known| known.get(key)).or(named) {
                Some(schema) => {
                    if let Some(value) = self.value(value.get_ref(), schema, &below, faults) {
                        clean.insert(key.to_owned(), value);
                    }
                }
                None => unknown_key(key, properties, at, faults),
            }
        }
        let required = schema.get("required").and_then(Value::as_array);
        for key in required.into_iter().flatten().filter_map(Value::as_str).filter(|key| !table.contains_key(*key)) {
            let example = properties.and_then(|known| known.get(key)).map(reference::example).unwrap_or_default();
            faults.at(at.key(key), "this key is missing", format!("write one, such as `{key} = {example}`"));
        }
        Value::Object(clean)
    }

    /// What a reference refers to, with its name.
    fn resolve(&self, schema: &'s Value) -> (&'s str, &'s Value) {
        let name = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/$defs/"));
        match name.and_then(|name| self.definitions.get(name).map(|definition| (name, definition))) {
            Some(found) => found,
            None => ("", schema),
        }
    }
}

fn unknown_key(key: &str, properties: Option<&Map<String, Value>>, at: &KeyPath, faults: &mut Faults<'_>) {
    let known: Vec<&str> = properties.into_iter().flat_map(Map::keys).map(String::as_str).collect();
    let below = at.key(key);
    if LATER.contains(&key) {
        faults.at_name(below, "this key is not yet in this version", "take it out");
    } else if let Some(meant) = nearest(key, known.iter().copied()) {
        faults.at_name(below, "there is no such key", format!("did you mean `{meant}`?"));
        faults.is_spoken_for(at.key(meant));
    } else {
        faults.at_name(below, "there is no such key", format!("the keys here are {}", listed(&known)));
    }
}

fn word(value: &DeValue<'_>, words: &[&str], at: &KeyPath, faults: &mut Faults<'_>) -> Option<Value> {
    let Some(typed) = value.as_str() else {
        faults.at(at.clone(), format!("expected a text, found {}", found(value)), format!("write {}", either(words)));
        return None;
    };
    if words.contains(&typed) {
        return Some(Value::String(typed.to_owned()));
    }
    let remedy = match nearest(typed, words.iter().copied()) {
        Some(meant) if !LATER.contains(&typed) => format!("did you mean `{meant}`? Possible: {}", listed(words)),
        _ => format!("write {}", either(words)),
    };
    let cause = if LATER.contains(&typed) { "is not yet in this version" } else { "is not possible here" };
    faults.at(at.clone(), format!("`{typed}` {cause}"), remedy);
    None
}

fn integer(number: &toml::de::DeInteger<'_>, schema: &Value, at: &KeyPath, faults: &mut Faults<'_>) -> Option<Value> {
    let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
    let (least, most) = (bound("minimum").unwrap_or(0), bound("maximum").unwrap_or(u64::from(u32::MAX)));
    match u64::from_str_radix(number.as_str(), number.radix()) {
        Ok(value) if (least..=most).contains(&value) => Some(Value::from(value)),
        _ => {
            let remedy = format!("write a whole number from {least} to {most}");
            faults.at(at.clone(), format!("`{number}` is out of range"), remedy);
            None
        }
    }
}

/// Values are not shown here: a wrong type in a wrong place may be a secret.
fn wrong_type(value: &DeValue<'_>, name: &str, expected: &str, at: &KeyPath, faults: &mut Faults<'_>) {
    if name == "Secret" {
        let remedy = "write `{ env = \"NAME\" }` or `{ file = \"PATH\" }` and put the secret there";
        faults.at(at.clone(), "a secret does not stand in this file itself", remedy);
        return;
    }
    let (wanted, remedy) = match (name, expected) {
        ("Time", _) => ("a text", DurationText::REMEDY),
        ("Size", _) => ("a text", SizeText::REMEDY),
        (_, "object") => ("a table", "write it as a table: `[name]` on a line of its own, or `{ key = value }`"),
        (_, "array") => ("a list", "put square brackets around it: `[\"...\"]`, or begin a table with `[[name]]`"),
        (_, "boolean") => ("true or false", "write `true` or `false`, without quotes"),
        (_, "integer") => ("a whole number", "write a whole number, without quotes"),
        _ => ("a text", "put double quotes around it"),
    };
    faults.at(at.clone(), format!("expected {wanted}, found {}", found(value)), remedy);
}

fn type_of(schema: &Value) -> &str {
    schema.get("type").and_then(Value::as_str).unwrap_or("string")
}

fn type_of_value(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) | DeValue::Datetime(_) => "string",
        DeValue::Integer(_) => "integer",
        DeValue::Float(_) => "number",
        DeValue::Boolean(_) => "boolean",
        DeValue::Array(_) => "array",
        DeValue::Table(_) => "object",
    }
}

fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// `` `a`, `b`, `c` ``.
pub(super) fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// `` `a`, `b` or `c` ``.
fn either(words: &[&str]) -> String {
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or `{last}`", listed(rest)),
        _ => listed(words),
    }
}
