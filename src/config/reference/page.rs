//! docs/configuration.md.

use std::fmt::Write;

use serde_json::Value;

use super::{Property, description, is_required, properties, resolve, schema, toml_text, words};

const INTRODUCTION: &str = "\
# Configuration

oxpost reads one TOML file: `oxpost serve --config FILE`. `oxpost check FILE` reads it too, says what the gateway would
do with it and warns of risks; faults are shown all at once, each with its line and what to write instead.

This page is rendered from src/config/file.rs; do not edit it. [config/oxpost.toml](../config/oxpost.toml) is the same
as an annotated sample, [configuration.schema.json](configuration.schema.json) lets an editor complete and check while
you type. config/ has one short sample for each situation.

Times are a number and a unit (`ms`, `s`, `min`, `h`, `days`), sizes a number and a unit (`kB`, `MB`, `GB` by 1000;
`KiB`, `MiB`, `GiB` by 1024). A secret never stands in the file: it is `{ env = \"NAME\" }` or `{ file = \"PATH\" }`.
";

/// The reference page.
pub fn page() -> String {
    let schema = schema();
    let mut page = INTRODUCTION.to_owned();
    page.push_str("\n## At the top of the file\n");
    section(&mut page, &schema, &schema);
    for (name, property) in properties(&schema) {
        let (heading, table) = match Property::of(&schema, property) {
            Property::Leaf(_) => continue,
            Property::Table(table) => (format!("[{name}]"), table),
            Property::NamedTables(table) => (format!("[{name}.NAME]"), table),
            Property::ListOfTables(table) => (format!("[[{name}]]"), table),
        };
        // A String takes whatever is written into it.
        let _ = write!(page, "\n## `{heading}`\n\n{}\n", description(property));
        section(&mut page, &schema, table);
    }
    page
}

/// A table of the keys that have single values.
fn section(page: &mut String, root: &Value, table: &Value) {
    page.push_str("\n| key | value | default | what it is |\n| --- | --- | --- | --- |\n");
    for (key, property) in properties(table) {
        let (kind, choices) = match Property::of(root, property) {
            Property::Leaf(leaf) => (kind(root, leaf), choices(leaf)),
            Property::Table(inner) => {
                let is_secret = inner.get("properties").is_some_and(|keys| keys.get("env").is_some());
                match (is_secret, std::ptr::eq(root, table)) {
                    (true, _) => ("secret".to_owned(), String::new()),
                    (false, true) => continue,
                    (false, false) => (format!("a table like `[{key}]`"), String::new()),
                }
            }
            Property::NamedTables(_) | Property::ListOfTables(_) => continue,
        };
        let default = match property.get("default") {
            _ if is_required(table, key) => "needed".to_owned(),
            Some(Value::Array(items)) if items.is_empty() => String::new(),
            Some(default) => format!("`{}`", toml_text(default)),
            None => String::new(),
        };
        let _ = writeln!(page, "| `{key}` | {kind} | {default} | {}{choices} |", description(property));
    }
}

fn kind(root: &Value, schema: &Value) -> String {
    if words(schema).is_some() {
        return "one word".to_owned();
    }
    if schema.get("anyOf").is_some() {
        return "text or list".to_owned();
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("integer") => "number".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some("array") => {
            let item = schema.get("items").map(|item| resolve(root, item));
            if item.and_then(words).is_some() { "list of words".to_owned() } else { "list".to_owned() }
        }
        Some("string") if schema.get("pattern").is_some_and(|p| p.as_str().is_some_and(|p| p.contains("MiB"))) => {
            "size".to_owned()
        }
        Some("string") if schema.get("pattern").is_some() => "time".to_owned(),
        _ => "text".to_owned(),
    }
}

/// The words of a choice with what each means.
fn choices(schema: &Value) -> String {
    let choices = schema.get("oneOf").and_then(Value::as_array);
    let word = |choice: &Value| {
        let word = choice.get("const").and_then(Value::as_str)?;
        Some(format!("<br>`{word}`: {}", description(choice)))
    };
    choices.into_iter().flatten().filter_map(word).collect()
}
