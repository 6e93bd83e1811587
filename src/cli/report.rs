//! What went wrong, for people: message and next step.

use std::fmt;
use std::io::Write;

/// A failure of a command: what happened to which thing, why, and what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    message: String,
    hint: Option<String>,
}

impl Report {
    /// What happened, to which thing, why.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    /// With the next step.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// What happened, without the next step.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The next step.
    pub fn next_step(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Prints it to standard error.
    pub fn print(&self) {
        let _closed = writeln!(std::io::stderr(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

/// A line on standard output. A reader that left (`| head`) is no failure of ours.
pub(super) fn say(line: impl fmt::Display) {
    let _closed = writeln!(std::io::stdout(), "{line}");
}
