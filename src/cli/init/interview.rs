//! Questions to a person, or none.

use std::io::{BufRead, Write};

use crate::cli::Report;

/// Asks on `output` and reads from `input`.
pub(super) struct Interview<'a, I, O> {
    pub(super) input: &'a mut I,
    pub(super) output: &'a mut O,
    /// Whether a person is there.
    pub(super) asks: bool,
}

/// One thing to know.
pub(super) struct Question<'a> {
    /// What the person reads.
    pub(super) text: &'a str,
    /// The flag that answers it.
    pub(super) flag: &'static str,
    /// What an empty line means, and what is taken where nobody is asked.
    pub(super) default: Option<&'a str>,
    /// What is wrong with an answer.
    pub(super) check: &'a dyn Fn(&str) -> Result<(), String>,
}

impl<I: BufRead, O: Write> Interview<'_, I, O> {
    /// The answer that was given by a flag, or to the question, or the default. A bad answer to a question is asked for
    /// again; a bad flag is an error.
    pub(super) fn answer(&mut self, given: Option<&str>, question: &Question<'_>) -> Result<String, Report> {
        let bad = |why: String| Report::new(format!("`{}`: {why}", question.flag));
        if let Some(given) = given {
            return (question.check)(given).map(|()| given.to_owned()).map_err(bad);
        }
        if !self.asks {
            let default = question.default.ok_or_else(|| {
                Report::new(format!("`{}` is needed", question.flag)).hint("give it, or run the command in a terminal")
            })?;
            return (question.check)(default).map(|()| default.to_owned()).map_err(bad);
        }
        loop {
            let default = question.default.map(|default| format!(" [{default}]")).unwrap_or_default();
            self.write(&format!("{}{default}: ", question.text));
            let line = self.line()?;
            let answer = if line.is_empty() { question.default.unwrap_or_default() } else { &line };
            match (question.check)(answer) {
                Ok(()) => return Ok(answer.to_owned()),
                Err(why) => self.write(&format!("  {why}\n")),
            }
        }
    }

    /// Yes or no; no where nobody is asked.
    pub(super) fn confirm(&mut self, question: &str) -> Result<bool, Report> {
        if !self.asks {
            return Ok(false);
        }
        self.write(&format!("{question} [y/N]: "));
        Ok(matches!(self.line()?.to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    fn line(&mut self) -> Result<String, Report> {
        let mut line = String::new();
        let read = self.input.read_line(&mut line);
        match read.map_err(|error| Report::new(format!("the answer cannot be read: {error}")))? {
            0 => Err(Report::new("there are no more answers; nothing was written")),
            _ => Ok(line.trim().to_owned()),
        }
    }

    fn write(&mut self, text: &str) {
        let _closed = self.output.write_all(text.as_bytes()).and_then(|()| self.output.flush());
    }
}
