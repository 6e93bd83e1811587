//! config/oxpost.toml: every key with its doc and its default, the needed ones filled in.

use std::fmt::Write;

use serde_json::Value;

use super::{Property, description, example, is_required, properties, resolve, schema, toml_text, words};

/// Width of the comments.
const WIDTH: usize = 100;

/// Keys that are not needed by themselves, and without which the sample would not hold together.
const FILLED_IN: [&str; 2] = ["networks", "client_id"];

/// Sections that would let somebody in if they stood there as they are shown.
const LEFT_OUT: [&str; 2] = ["api_key", "route"];

const INTRODUCTION: &str = "\
# The configuration of oxpost, every key with what it is and its default. Rendered from src/config/file.rs.
# Keys that begin with a # have the value that is shown, or none; take the # away to set them.
# `oxpost check FILE` says what a file would do. docs/configuration.md is the same as a page.
";

/// The annotated sample.
pub fn sample() -> String {
    let schema = schema();
    let mut sample = INTRODUCTION.to_owned();
    keys(&mut sample, &schema, &schema, false);
    for (name, property) in properties(&schema) {
        let (heading, table) = match Property::of(&schema, property) {
            Property::Leaf(_) => continue,
            Property::Table(table) => (format!("[{name}]"), table),
            Property::NamedTables(table) => (format!("[{name}.{}]", a_name_for(name)), table),
            Property::ListOfTables(table) => (format!("[[{name}]]"), table),
        };
        sample.push_str("\n\n");
        comment(&mut sample, description(property));
        // A String takes whatever is written into it.
        let left_out = LEFT_OUT.contains(&name.as_str());
        let _ = writeln!(sample, "{}{heading}", if left_out { "# " } else { "" });
        keys(&mut sample, &schema, table, left_out);
    }
    sample
}

/// The names under which the examples of other keys know them.
fn a_name_for(section: &str) -> &'static str {
    if section == "provider" { "contoso" } else { "scanner" }
}

fn keys(sample: &mut String, root: &Value, table: &Value, left_out: bool) {
    for (key, property) in properties(table) {
        let leaf = match Property::of(root, property) {
            Property::Leaf(leaf) => leaf,
            Property::Table(inner) if !std::ptr::eq(root, table) => inner,
            Property::Table(_) | Property::NamedTables(_) | Property::ListOfTables(_) => continue,
        };
        sample.push('\n');
        comment(sample, description(property));
        for choice in leaf.get("oneOf").and_then(Value::as_array).into_iter().flatten() {
            let word = choice.get("const").map(toml_text).unwrap_or_default();
            comment(sample, &format!("{word}: {}", description(choice)));
        }
        if let Some(item) = leaf.get("items").map(|item| resolve(root, item)).and_then(words) {
            comment(sample, &format!("Possible: {}.", item.join(", ")));
        }
        let is_active = !left_out && (is_required(table, key) || FILLED_IN.contains(&key.as_str()));
        let value = match property.get("default") {
            Some(default) if !is_active && *default != Value::Array(Vec::new()) => toml_text(default),
            _ => example(property),
        };
        let _ = writeln!(sample, "{}{key} = {value}", if is_active { "" } else { "# " });
    }
}

/// A comment, wrapped between words.
fn comment(sample: &mut String, text: &str) {
    let mut width = 0;
    for word in text.split_whitespace() {
        let needed = word.chars().count() + 1;
        if width == 0 || width + needed > WIDTH {
            sample.push_str(if width == 0 { "#" } else { "\n#" });
            width = 1;
        }
        sample.push(' ');
        sample.push_str(word);
        width += needed;
    }
    sample.push('\n');
}
