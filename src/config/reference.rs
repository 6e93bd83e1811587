//! What is rendered from the doc comments and defaults of [`super::file`]: the JSON schema, the reference page and
//! the annotated sample. A test compares each with the file in the repository.

mod page;
mod sample;

pub use page::page;
pub use sample::sample;

use serde_json::{Map, Value};

use super::file::File;

/// The JSON schema of the configuration file, without what TOML cannot say (null).
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(File).to_value();
    clean(&mut schema);
    schema
}

/// The words a schema allows, if it is a choice of words.
pub(super) fn words(schema: &Value) -> Option<Vec<&str>> {
    let choices = schema.get("oneOf").and_then(Value::as_array)?;
    choices.iter().map(|choice| choice.get("const").and_then(Value::as_str)).collect()
}

/// The example of a key as TOML, or `"..."`.
pub(super) fn example(property: &Value) -> String {
    let examples = property.get("examples").and_then(Value::as_array);
    examples.and_then(|examples| examples.first()).map_or_else(|| "\"...\"".to_owned(), toml_text)
}

/// A value as TOML on one line.
fn toml_text(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        Value::Array(items) => format!("[{}]", items.iter().map(toml_text).collect::<Vec<_>>().join(", ")),
        Value::Object(table) => {
            let pairs: Vec<String> = table.iter().map(|(key, value)| format!("{key} = {}", toml_text(value))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        Value::Number(_) | Value::Bool(_) | Value::Null => value.to_string(),
    }
}

fn description(schema: &Value) -> &str {
    schema.get("description").and_then(Value::as_str).unwrap_or_default()
}

/// How a key is to be rendered.
enum Property<'s> {
    /// A single value, with the schema that a reference leads to.
    Leaf(&'s Value),
    /// `[name]`.
    Table(&'s Value),
    /// `[name.ANY]`.
    NamedTables(&'s Value),
    /// `[[name]]`.
    ListOfTables(&'s Value),
}

impl<'s> Property<'s> {
    fn of(root: &'s Value, property: &'s Value) -> Self {
        let schema = resolve(root, property);
        let is_table = |schema: &&Value| schema.get("properties").is_some();
        let below = |key: &str| schema.get(key).map(|schema| resolve(root, schema)).filter(is_table);
        if is_table(&schema) {
            Self::Table(schema)
        } else if let Some(named) = below("additionalProperties") {
            Self::NamedTables(named)
        } else if let Some(item) = below("items") {
            Self::ListOfTables(item)
        } else {
            Self::Leaf(schema)
        }
    }
}

fn resolve<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    let name = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix("#/$defs/"));
    name.and_then(|name| root.get("$defs")?.get(name)).unwrap_or(schema)
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

fn is_required(schema: &Value, key: &str) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    required.is_some_and(|keys| keys.iter().any(|required| required == key))
}

/// Takes null out, says the bounds of whole numbers in a form that everything understands, and joins the lines of
/// doc comments.
fn clean(schema: &mut Value) {
    match schema {
        Value::Object(object) => clean_object(object),
        Value::Array(items) => items.iter_mut().for_each(clean),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn clean_object(object: &mut Map<String, Value>) {
    let is_null = |schema: &Value| schema.get("type").is_some_and(|kind| kind == "null");
    if object.get("default").is_some_and(|default| default.is_null() || default.is_object()) {
        object.shift_remove("default");
    }
    if let Some(Value::Array(kinds)) = object.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [only] = kinds.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(alternatives)) = object.get_mut("anyOf") {
        alternatives.retain(|schema| !is_null(schema));
        if let [Value::Object(only)] = alternatives.as_mut_slice() {
            let only = std::mem::take(only);
            object.shift_remove("anyOf");
            object.extend(only);
        }
    }
    if let Some(Value::String(text)) = object.get_mut("description") {
        *text = text.replace('\n', " ");
    }
    let most = match object.get("format").and_then(Value::as_str) {
        Some("uint8") => Some(u64::from(u8::MAX)),
        Some("uint16") => Some(u64::from(u16::MAX)),
        Some("uint32") => Some(u64::from(u32::MAX)),
        Some(_) | None => None,
    };
    if let Some(most) = most {
        object.shift_remove("format");
        object.entry("maximum").or_insert_with(|| Value::from(most));
    }
    if let Some(Value::Array(examples)) = object.get_mut("examples") {
        examples
            .iter_mut()
            .filter_map(Value::as_object_mut)
            .for_each(|table| table.retain(|_, value| !value.is_null()));
    }
    object.values_mut().for_each(clean);
}
