//! The TOML text with the place of every key and value.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{ConfigError, KeyPath, Step};

/// A place in the file, both counted from 1; the column in characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// A file that is sound TOML.
pub(super) struct Document<'t> {
    text: &'t str,
    root: DeTable<'t>,
}

impl<'t> Document<'t> {
    /// Parses a text.
    ///
    /// # Errors
    /// All places where it is not TOML. The lines themselves are not shown: they may hold what should not be seen.
    pub(super) fn parse(text: &'t str) -> Result<Self, Vec<ConfigError>> {
        let (root, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            return Ok(Self { text, root: root.into_inner() });
        }
        let mut faults: Vec<ConfigError> = Vec::new();
        for error in errors {
            let position = error.span().map(|span| position(text, span.start));
            // One slip can derail the parser several times on a line; the first time says it.
            if faults.iter().any(|f| f.position.map(|p| p.line) == position.map(|p| p.line)) {
                continue;
            }
            faults.push(ConfigError {
                position,
                key: KeyPath::root(),
                cause: format!("this is not TOML: {}", error.message()),
                remedy: remedy(error.message()).to_owned(),
            });
        }
        faults.sort_by_key(|fault| fault.position);
        Err(faults)
    }

    /// The table at the top.
    pub(super) fn root(&self) -> &DeTable<'t> {
        &self.root
    }

    /// The place of a value; of its name, if it is a table; of what holds it, if it is not there.
    pub(super) fn locate(&self, path: &KeyPath) -> Option<Position> {
        self.find(path, true).map(|span| position(self.text, span.start))
    }

    /// The place of the name of a key; of what holds it, if it is not there.
    pub(super) fn locate_name(&self, path: &KeyPath) -> Option<Position> {
        self.find(path, false).map(|span| position(self.text, span.start))
    }

    fn find(&self, path: &KeyPath, of_value: bool) -> Option<Range<usize>> {
        let mut found: Option<Range<usize>> = None;
        let mut current: Option<&Spanned<DeValue<'t>>> = None;
        for (depth, step) in path.steps().iter().enumerate() {
            let last = depth + 1 == path.steps().len();
            let (name, value) = match step {
                Step::Key(key) => {
                    let table = match current {
                        None => &self.root,
                        Some(value) => match value.get_ref().as_table() {
                            Some(table) => table,
                            None => break,
                        },
                    };
                    let Some((name, value)) = table.get_key_value(key.as_str()) else { break };
                    (name.span(), value)
                }
                Step::Item(index) => {
                    let items = current.and_then(|value| value.get_ref().as_array());
                    let Some(value) = items.and_then(|items| items.get(*index)) else { break };
                    (value.span(), value)
                }
            };
            let leaf = !value.get_ref().is_table();
            found = Some(if last && of_value && leaf { value.span() } else { name });
            current = Some(value);
        }
        found
    }
}

/// What usually helps against an error of the TOML parser.
fn remedy(message: &str) -> &'static str {
    if message.contains("duplicate key") {
        "every key stands once; lists of tables begin with two brackets, such as `[[client]]`"
    } else if message.contains("string") || message.contains("quote") || message.contains("literal") {
        "put texts between double quotes, such as `tenant = \"contoso.com\"`"
    } else {
        "a line is `key = value`, `[table]` or `[[list]]`; texts stand between double quotes"
    }
}

fn position(text: &str, offset: usize) -> Position {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Position { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
}
