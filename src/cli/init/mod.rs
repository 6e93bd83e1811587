//! `oxpost init`: a first configuration, or one more account in one that is there.

mod add;
mod interview;
mod plan;
#[cfg(test)]
mod tests;
mod text;

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use self::interview::Interview;
use self::plan::Plan;
use super::report::{Report, say};
use crate::config::{Config, file};

/// What is not given is asked, if a person is there.
#[derive(Args, Debug, Clone, Default)]
pub(super) struct InitArguments {
    /// microsoft, google or custom; or the name of a provider that the file has already.
    #[arg(long)]
    provider: Option<String>,
    /// Microsoft: the directory, such as contoso.onmicrosoft.com.
    #[arg(long)]
    tenant: Option<String>,
    /// The client id that the provider gave the app.
    #[arg(long)]
    client_id: Option<String>,
    /// Where the client secret is: the path of a file, or the name of an environment variable. `none` for no secret.
    #[arg(long, value_name = "FILE|VARIABLE")]
    client_secret: Option<String>,
    /// Custom: the authorization endpoint.
    #[arg(long, value_name = "URL")]
    authorize_url: Option<String>,
    /// Custom: the token endpoint.
    #[arg(long, value_name = "URL")]
    token_url: Option<String>,
    /// Custom: the submission server.
    #[arg(long, value_name = "HOST")]
    smtp_host: Option<String>,
    /// The mailbox to send as.
    #[arg(long)]
    mailbox: Option<String>,
    /// The app itself, without a person who signs in.
    #[arg(long)]
    app_only: bool,
    /// The account's name. Default: the mailbox before its @.
    #[arg(long)]
    account: Option<String>,
    /// Networks that may hand mail in, with commas between them. Default: this machine alone.
    #[arg(long, value_delimiter = ',')]
    networks: Vec<String>,
    /// Look people of the tenant up with this account.
    #[arg(long)]
    people: bool,
    /// Add to the file that is there.
    #[arg(long)]
    add: bool,
    /// Ask nothing: take what is given and the defaults.
    #[arg(long)]
    no_questions: bool,
    /// Write to standard output instead of the file.
    #[arg(long)]
    print: bool,
}

/// Writes the configuration.
pub(super) fn run(path: &Path, arguments: &InitArguments) -> Result<(), Report> {
    let stdin = io::stdin();
    let asks = !arguments.no_questions && stdin.is_terminal();
    let mut input = stdin.lock();
    let mut output = io::stderr();
    let written = compose(path, arguments, &mut Interview { input: &mut input, output: &mut output, asks })?;
    if arguments.print {
        let _closed = io::stdout().write_all(written.text.as_bytes());
        return Ok(());
    }
    match written.replaces {
        Some(old) => replace(path, &old, &written.text)?,
        None => create(path, &written.text)?,
    }
    say(format_args!("{} `{}`", if arguments.add || written.added { "added to" } else { "wrote" }, path.display()));
    for step in written.next {
        say(format_args!("next: {step}"));
    }
    Ok(())
}

/// A file as it is to be written.
#[derive(Debug)]
pub(super) struct Written {
    text: String,
    /// The text it takes the place of.
    replaces: Option<String>,
    added: bool,
    /// The next steps.
    next: Vec<String>,
}

/// Asks what is not given, and makes the text; it is checked as `oxpost check` would.
fn compose(
    path: &Path,
    arguments: &InitArguments,
    interview: &mut Interview<'_, impl BufRead, impl Write>,
) -> Result<Written, Report> {
    let old = match std::fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(Report::new(format!("`{}` cannot be read: {error}", path.display()))),
    };
    let known = old.as_deref().map(|text| known(text, path)).transpose()?;
    if known.is_some() && !arguments.add {
        let question = format!("`{}` is there already. Add an account to it?", path.display());
        if !interview.confirm(&question)? {
            return Err(Report::new(format!("`{}` is there already and was left as it is", path.display()))
                .hint("give --add to add an account to it, or another file with --config"));
        }
    }
    let plan = Plan::ask(arguments, known.as_ref(), path, interview)?;
    let text = match &old {
        Some(old) => add::added(old, &plan)?,
        None => text::whole(&plan),
    };
    verify(&text, path, &plan)?;
    Ok(Written { next: plan.next_steps(path), added: old.is_some(), replaces: old, text })
}

/// What a file has already.
struct Known {
    file: file::File,
}

fn known(text: &str, path: &Path) -> Result<Known, Report> {
    // The whole file must be sound: adding to a broken one would hide whose fault it is. Secrets need not be there.
    Config::read(text, path, &|name| Some(std::env::var(name).unwrap_or_else(|_| "-".to_owned())))
        .map_err(|errors| Report::new(errors.to_string()).hint("mend the file first; `oxpost check` shows the same"))?;
    let file = toml::from_str(text).map_err(|error| Report::new(format!("`{}`: {error}", path.display())))?;
    Ok(Known { file })
}

/// Variables that are not set yet are no fault: they are named in the next steps.
fn verify(text: &str, path: &Path, plan: &Plan) -> Result<(), Report> {
    let variable = plan.variable().map(str::to_owned);
    let environment = |name: &str| {
        let is_ours = variable.as_deref() == Some(name);
        std::env::var(name).ok().or_else(|| (is_ours || name != "OXPOST_KEY").then(|| "-".to_owned()))
    };
    let environment = |name: &str| if name == "CREDENTIALS_DIRECTORY" { None } else { environment(name) };
    Config::read(text, path, &environment).map(drop).map_err(|errors| {
        Report::new(format!("what was answered does not make a good configuration; nothing was written:\n{errors}"))
            .hint("run `oxpost init` again")
    })
}

/// A new file; one that appeared meanwhile is not touched.
fn create(path: &Path, text: &str) -> Result<(), Report> {
    let failed = |error: io::Error| {
        Report::new(format!("`{}` cannot be written: {error}", path.display()))
            .hint("give a file in a folder that this user may write to with --config")
    };
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

/// The new text beside the old file, then in its place: whoever reads it finds one of the two, whole.
fn replace(path: &Path, old: &str, text: &str) -> Result<(), Report> {
    let failed = |error: io::Error| Report::new(format!("`{}` cannot be written: {error}", path.display()));
    let path = std::fs::canonicalize(path).map_err(failed)?;
    if std::fs::read_to_string(&path).map_err(failed)? != old {
        return Err(Report::new(format!("`{}` was changed meanwhile; nothing was written", path.display()))
            .hint("run `oxpost init` again"));
    }
    let beside = beside(&path);
    let write = || {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&beside)?;
        file.set_permissions(std::fs::metadata(&path)?.permissions())?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, &path)
    };
    write().map_err(|error| {
        let _not_there = std::fs::remove_file(&beside);
        failed(error)
    })
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", uuid::Uuid::new_v4().simple()));
    path.with_file_name(name)
}
