//! `oxpost password`: the hash of a local password.

use std::io::{BufRead, IsTerminal, Write};

use super::report::{Report, say};
use crate::account::password;
use crate::secret::Secret;

/// Reads a password from standard input and prints its argon2id hash.
pub(super) fn run() -> Result<(), Report> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        let _closed = write!(std::io::stderr(), "password (it is shown as you type): ");
    }
    let mut line = String::new();
    stdin.lock().read_line(&mut line).map_err(|error| Report::new(format!("cannot read the password: {error}")))?;
    let password = Secret::new(line.trim_end_matches(['\r', '\n']));
    if password.expose().is_empty() {
        return Err(
            Report::new("the password is empty").hint("type one, or pipe it in: `echo secret | oxpost password`")
        );
    }
    say(password::hash(&password).map_err(|error| Report::new(error.to_string()))?);
    Ok(())
}
