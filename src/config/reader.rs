//! What the readers of all sections need: the file as typed, a place for faults, and the reading of single values.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use url::Url;

use super::fault::{ConfigError, Faults, KeyPath};
use super::file::{File, SecretSource};
use super::quantity::{DurationText, SizeText};
use super::shape::listed;
use super::suggest::nearest;
use crate::http::may_have_secrets;
use crate::secret::Secret;

/// Reads values out of a file. A value with a fault is answered with something harmless: nobody will use it.
pub(super) struct Reader<'a> {
    /// The file as typed.
    pub(super) file: &'a File,
    /// Looks up environment variables.
    pub(super) environment: &'a dyn Fn(&str) -> Option<String>,
    /// The files that secrets were read from.
    pub(super) secret_files: Vec<PathBuf>,
    folder: PathBuf,
    faults: Faults<'a>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        file: &'a File,
        faults: Faults<'a>,
        folder: PathBuf,
        environment: &'a dyn Fn(&str) -> Option<String>,
    ) -> Self {
        Self { file, environment, secret_files: Vec::new(), folder, faults }
    }

    pub(super) fn into_errors(self) -> Vec<ConfigError> {
        self.faults.into_errors()
    }

    /// Notes a fault of the value of a key.
    pub(super) fn fault(&mut self, at: KeyPath, cause: impl Into<String>, remedy: impl Into<String>) {
        self.faults.at(at, cause, remedy);
    }

    /// Whether a key has a fault, so that what would follow from it need not be said.
    pub(super) fn is_faulty(&self, at: &KeyPath) -> bool {
        self.faults.knows(at)
    }

    /// A path, counted from the folder of the configuration file.
    pub(super) fn path(&self, typed: &str) -> PathBuf {
        self.folder.join(typed)
    }

    /// The path of a file that must be there.
    pub(super) fn readable(&mut self, at: KeyPath, typed: &str) -> PathBuf {
        let path = self.path(typed);
        if let Err(error) = std::fs::File::open(&path) {
            let cause = format!("`{}` cannot be read: {error}", path.display());
            self.fault(at, cause, "give the path of a file that this user may read, or take the key out");
        }
        path
    }

    pub(super) fn duration(&mut self, at: KeyPath, typed: &DurationText) -> Duration {
        typed.read().unwrap_or_else(|why| {
            self.fault(at, format!("`{}` {why}", typed.as_str()), DurationText::REMEDY);
            Duration::ZERO
        })
    }

    /// A time that must not be zero.
    pub(super) fn time_to_wait(&mut self, at: KeyPath, typed: &DurationText) -> Duration {
        let duration = self.duration(at.clone(), typed);
        if duration.is_zero() {
            self.fault(at, format!("`{}` leaves no time at all", typed.as_str()), "write a time such as `30 s`");
        }
        duration
    }

    pub(super) fn size(&mut self, at: KeyPath, typed: &SizeText) -> u64 {
        typed.read().unwrap_or_else(|why| {
            self.fault(at, format!("`{}` {why}", typed.as_str()), SizeText::REMEDY);
            0
        })
    }

    /// A value that knows how to read itself.
    pub(super) fn parsed<T: FromStr<Err: std::fmt::Display>>(
        &mut self,
        at: KeyPath,
        typed: &str,
        remedy: &str,
    ) -> Option<T> {
        typed.parse().map_err(|why| self.fault(at, format!("`{typed}` cannot be used: {why}"), remedy)).ok()
    }

    /// An endpoint: https, or http on this machine.
    pub(super) fn endpoint(&mut self, at: KeyPath, typed: &str) -> Option<Url> {
        let url: Url = self.parsed(at.clone(), typed, "write a whole URL that begins with `https://`")?;
        if may_have_secrets(&url) {
            return Some(url);
        }
        let cause = format!("`{typed}` would send secrets in clear text");
        self.fault(at, cause, "write a URL that begins with `https://`; `http://` is for `localhost` alone");
        None
    }

    /// A secret from the environment or a file.
    pub(super) fn secret(&mut self, at: &KeyPath, source: &SecretSource) -> Option<Secret> {
        match (&source.env, &source.file) {
            (Some(name), None) => self.secret_variable(at.key("env"), name),
            (None, Some(file)) => self.secret_file(at.key("file"), file),
            (Some(_), Some(_)) => {
                self.fault(at.clone(), "there are two places for one secret", "keep either `env` or `file`");
                None
            }
            (None, None) => {
                if !self.is_faulty(&at.key("env")) && !self.is_faulty(&at.key("file")) {
                    let remedy = "write `{ env = \"NAME\" }` or `{ file = \"PATH\" }`";
                    self.fault(at.clone(), "this does not say where the secret is", remedy);
                }
                None
            }
        }
    }

    /// What is no name of a variable may be the secret itself, so it is not shown.
    fn secret_variable(&mut self, at: KeyPath, name: &str) -> Option<Secret> {
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        if name.is_empty() || !name.chars().all(is_name) {
            let remedy =
                "write the name of a variable in capital letters, such as `OXPOST_SECRET`, and put the secret there";
            self.fault(at, "this is not the name of an environment variable", remedy);
            return None;
        }
        let value = (self.environment)(name).filter(|value| !value.is_empty());
        if value.is_none() {
            let remedy = "set it where the gateway is started, or use `{ file = \"PATH\" }`";
            self.fault(at, format!("the environment variable `{name}` is not set"), remedy);
        }
        value.map(Secret::new)
    }

    /// What should be a path may be the secret itself, so it is not shown.
    fn secret_file(&mut self, at: KeyPath, typed: &str) -> Option<Secret> {
        let path = self.path(typed);
        match std::fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => {
                self.secret_files.push(path);
                Some(Secret::new(text.trim_end_matches(['\r', '\n'])))
            }
            Ok(_) => {
                self.fault(at, "the file is empty", "write the secret into it");
                None
            }
            Err(error) => {
                let cause = format!("the file cannot be read: {error}");
                let remedy = "write the path of a file with the secret in it, readable by the user of the gateway; a \
                              relative path counts from the folder of this file";
                self.fault(at, cause, remedy);
                None
            }
        }
    }

    /// Whether an account of this name is in the file.
    pub(super) fn known_account(&mut self, at: KeyPath, name: &str) -> bool {
        let names: Vec<&str> = self.file.account.keys().map(String::as_str).collect();
        self.known_name(at, name, "account", &names)
    }

    /// Whether a name is one of those there are.
    pub(super) fn known_name(&mut self, at: KeyPath, name: &str, what: &str, names: &[&str]) -> bool {
        if names.contains(&name) {
            return true;
        }
        let remedy = match nearest(name, names.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if names.is_empty() => format!("there is no {what} in this file; write one"),
            None => format!("write one of {}", listed(names)),
        };
        self.fault(at, format!("there is no {what} `{name}`"), remedy);
        false
    }
}
