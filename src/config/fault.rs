//! What is wrong with a configuration: every fault of a file at once, each with its place, its cause and what to
//! write instead.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;

use super::document::{Document, Position};

/// The way to a key: `account.scanner.mailbox`, `listener#2.tls`. Lists are counted from 1, as people count.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct KeyPath(Vec<Step>);

/// One step of a [`KeyPath`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    /// Into a table, by its key.
    Key(String),
    /// Into a list, by its index from 0.
    Item(usize),
}

impl KeyPath {
    /// The way to the file as a whole.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// The way to `name` below this.
    #[must_use]
    pub fn key(&self, name: &str) -> Self {
        self.step(Step::Key(name.to_owned()))
    }

    /// The way to the item `index` (from 0) of this list.
    #[must_use]
    pub fn item(&self, index: usize) -> Self {
        self.step(Step::Item(index))
    }

    /// The steps from the root.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    fn step(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(name) if index == 0 => write!(f, "{}", quoted_where_needed(name))?,
                Step::Key(name) => write!(f, ".{}", quoted_where_needed(name))?,
                Step::Item(item) => write!(f, "#{}", item + 1)?,
            }
        }
        Ok(())
    }
}

/// A key as TOML would have it: bare where it may be.
fn quoted_where_needed(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if bare { name.to_owned() } else { format!("{name:?}") }
}

/// One fault of a configuration file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// Where in the file; `None` if it has no place, such as a file that cannot be read.
    pub position: Option<Position>,
    /// The key it is about; the root for the file as a whole.
    pub key: KeyPath,
    /// What is wrong. Never holds a secret's value.
    pub cause: String,
    /// What to write or do instead.
    pub remedy: String,
}

/// All faults of a configuration file, in the order of the file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct ConfigErrors {
    /// The file.
    pub file: PathBuf,
    /// Its faults; never empty.
    pub errors: Vec<ConfigError>,
}

/// One fault a paragraph: `FILE:LINE:COLUMN: KEY: CAUSE`, then the remedy on a line of its own.
impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}", self.file.display())?;
            if let Some(Position { line, column }) = error.position {
                write!(f, ":{line}:{column}")?;
            }
            if error.key != KeyPath::root() {
                write!(f, ": {}", error.key)?;
            }
            write!(f, ": {}\n  hint: {}", error.cause, error.remedy)?;
        }
        Ok(())
    }
}

/// Gathers faults while a file is read.
pub(super) struct Faults<'d> {
    document: &'d Document<'d>,
    errors: Vec<ConfigError>,
    /// Keys that have a fault already: what follows from it is not said as well.
    known: HashSet<KeyPath>,
}

impl<'d> Faults<'d> {
    pub(super) fn new(document: &'d Document<'d>) -> Self {
        Self { document, errors: Vec::new(), known: HashSet::new() }
    }

    /// A fault of the value of a key. The first one of a key counts.
    pub(super) fn at(&mut self, key: KeyPath, cause: impl Into<String>, remedy: impl Into<String>) {
        if self.known.insert(key.clone()) {
            let position = self.document.locate(&key);
            self.errors.push(ConfigError { position, key, cause: cause.into(), remedy: remedy.into() });
        }
    }

    /// A fault of the name of a key.
    pub(super) fn at_name(&mut self, key: KeyPath, cause: impl Into<String>, remedy: impl Into<String>) {
        if self.known.insert(key.clone()) {
            let position = self.document.locate_name(&key);
            self.errors.push(ConfigError { position, key, cause: cause.into(), remedy: remedy.into() });
        }
    }

    /// Nothing more will be said about this key.
    pub(super) fn is_spoken_for(&mut self, key: KeyPath) {
        self.known.insert(key);
    }

    /// Whether something has been said about this key.
    pub(super) fn knows(&self, key: &KeyPath) -> bool {
        self.known.contains(key)
    }

    /// The faults in the order of the file.
    pub(super) fn into_errors(mut self) -> Vec<ConfigError> {
        self.errors.sort_by_key(|error| error.position);
        self.errors
    }
}
