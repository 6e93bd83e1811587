//! What was found, line by line as it is found.

use std::io::Write;

use crate::cli::Report;

/// Writes findings and counts them.
pub(super) struct Chart<W> {
    out: W,
    steps: usize,
    bad: usize,
    doubts: usize,
}

impl<W: Write> Chart<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, steps: 0, bad: 0, doubts: 0 }
    }

    /// What the next findings are about.
    pub(super) fn heading(&mut self, text: &str) {
        self.write(text);
    }

    /// All is well.
    pub(super) fn fine(&mut self, step: &str, what: &str) {
        self.finding("ok", step, what, None);
    }

    /// It could not be looked at, and need not be wrong.
    pub(super) fn skipped(&mut self, step: &str, what: &str) {
        self.finding("-", step, what, None);
    }

    /// It may be right all the same.
    pub(super) fn doubt(&mut self, step: &str, what: &str, remedy: &str) {
        self.doubts += 1;
        self.finding("?", step, what, Some(remedy));
    }

    /// It is wrong.
    pub(super) fn bad(&mut self, step: &str, what: &str, remedy: &str) {
        self.bad += 1;
        self.finding("FAIL", step, what, Some(remedy));
    }

    /// What the exit code says.
    pub(super) fn verdict(mut self) -> Result<(), Report> {
        let doubts = match self.doubts {
            0 => String::new(),
            1 => ", 1 in doubt".to_owned(),
            more => format!(", {more} in doubt"),
        };
        if self.bad > 0 {
            return Err(Report::new(format!("{} of {} steps failed{doubts}", self.bad, self.steps))
                .hint("mend the first one first: those behind it may follow from it"));
        }
        let steps = self.steps;
        self.write(&format!("{steps} steps, none failed{doubts}"));
        Ok(())
    }

    fn finding(&mut self, sign: &str, step: &str, what: &str, remedy: Option<&str>) {
        self.steps += 1;
        // The words of others stay on their line.
        let clean = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
        self.write(&format!("  {sign:<4}  {step:<10}  {}", clean(what)));
        for line in remedy.into_iter().flat_map(str::lines) {
            self.write(&format!("        next step:  {}", clean(line)));
        }
    }

    fn write(&mut self, line: &str) {
        let _closed = writeln!(self.out, "{line}").and_then(|()| self.out.flush());
    }
}
