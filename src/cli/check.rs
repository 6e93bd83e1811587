//! `oxpost check FILE`: what the gateway would do with a configuration, without starting it.

use std::io::{self, Write};
use std::path::Path;

use crate::config::machine::Machine;
use crate::config::{Config, check};

/// What became of a check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The gateway would start, and nothing is risky.
    Sound,
    /// The gateway would start; there are warnings.
    Risky,
    /// The gateway would not start.
    Faulty,
}

/// Reads the file at `path` and writes to `out` what the gateway would do with it on `machine`, or all its faults.
///
/// # Errors
/// `out` cannot be written to.
pub fn run(
    path: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
    machine: &Machine,
    out: &mut dyn Write,
) -> io::Result<Verdict> {
    match Config::load(path, environment) {
        Ok(config) => {
            let report = check::report(&config, machine);
            write!(out, "{report}")?;
            match report.warnings.len() {
                0 => writeln!(out, "`{}` is sound", path.display())?,
                1 => writeln!(out, "`{}` would start, with 1 warning", path.display())?,
                number => writeln!(out, "`{}` would start, with {number} warnings", path.display())?,
            }
            Ok(if report.warnings.is_empty() { Verdict::Sound } else { Verdict::Risky })
        }
        Err(errors) => {
            writeln!(out, "{errors}")?;
            match errors.errors.len() {
                1 => writeln!(out, "1 fault; the gateway would not start")?,
                number => writeln!(out, "{number} faults; the gateway would not start")?,
            }
            Ok(Verdict::Faulty)
        }
    }
}
