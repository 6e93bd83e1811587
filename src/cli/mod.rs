//! The command line: one file for each subcommand. What goes wrong becomes a [`Report`]: what happened, why, what to do.

mod account;
mod backup;
pub mod check;
mod doctor;
mod explain;
mod history;
mod init;
mod key;
mod login;
mod page;
mod password;
mod queue;
mod reach;
mod report;
mod send;
mod serve;
mod session;
mod table;
mod token;
mod try_it;
mod user;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use self::report::Report;
use crate::config::machine::Machine;

/// Plain SMTP in, OAuth 2.0 out: a mail gateway for programs that cannot do a browser sign-in.
#[derive(Parser, Debug)]
#[command(name = "oxpost", version, about, arg_required_else_help = true)]
pub struct Arguments {
    /// The configuration file.
    #[arg(
        long,
        short,
        global = true,
        env = "OXPOST_CONFIG",
        default_value = "/etc/oxpost/oxpost.toml",
        value_name = "FILE"
    )]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run the gateway.
    Serve,
    /// Try the whole way on this machine alone: a practice tenant, the gateway, a first message.
    Try(try_it::TryArguments),
    /// Read a configuration file and say what the gateway would do, and what is risky about it.
    Check {
        /// The file; default: the one given with --config.
        file: Option<PathBuf>,
    },
    /// Say which way a message would take, and why, without sending it.
    Explain(explain::ExplainArguments),
    /// Hand a message from standard input to the gateway, as `sendmail` does and with its options.
    Send {
        /// Options and recipients as for `sendmail`: -t, -i, -oi, -f, -F, -bm, -bs; and --server HOST:PORT.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "WORD")]
        words: Vec<String>,
    },
    /// Write a first configuration, or add an account to one.
    Init(init::InitArguments),
    /// Sign an account in, in a browser.
    Login(login::LoginArguments),
    /// Print an access token, for a program that speaks to the provider itself.
    Token(token::TokenArguments),
    /// Exchange the key that tokens are sealed with.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Show the accounts and work on them.
    Account {
        #[command(subcommand)]
        command: Option<account::AccountCommand>,
    },
    /// Look for what is in the way of an account, step by step.
    Doctor(doctor::DoctorArguments),
    /// Look people of the tenant up.
    #[command(subcommand)]
    User(user::UserCommand),
    /// Print a link that lets a browser into the administrator's page, once.
    Page,
    /// Show the queue and work on it.
    #[command(subcommand)]
    Queue(queue::QueueCommand),
    /// Tell what became of messages, as far back as they are kept.
    History(history::HistoryArguments),
    /// Copy queue, history and sealed sign-ins into a folder, while the gateway runs or not.
    Backup(backup::BackupArguments),
    /// Show who is reading, and end a session.
    #[command(subcommand)]
    Session(session::SessionCommand),
    /// Make the hash of a local password, for a client's `password`.
    Password,
}

/// Takes the place of `sendmail` if the program was called by that name.
pub fn run_as_sendmail() -> Option<ExitCode> {
    let mut words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let name = words.next()?;
    let is_sendmail = Path::new(&name).file_name().is_some_and(|name| name == "sendmail");
    is_sendmail.then(|| send::run(&words.collect::<Vec<_>>()))
}

/// Runs the command line; prints what went wrong.
pub fn run(arguments: Arguments) -> ExitCode {
    let config = arguments.config;
    let done = match arguments.command {
        Command::Serve => serve::run(&config),
        Command::Try(arguments) => try_it::run(&arguments),
        Command::Check { file } => return check(&file.unwrap_or(config)),
        Command::Explain(arguments) => explain::run(&config, &arguments),
        Command::Send { words } => return send::run(&words),
        Command::Init(arguments) => init::run(&config, &arguments),
        Command::Login(arguments) => login::run(&config, &arguments),
        Command::Token(arguments) => token::run(&config, &arguments),
        Command::Key(command) => key::run(&config, &command),
        Command::Account { command } => account::run(&config, command),
        Command::Doctor(arguments) => doctor::run(&config, &arguments),
        Command::User(command) => user::run(&config, command),
        Command::Page => page::run(&config),
        Command::Queue(command) => queue::run(&config, command),
        Command::History(arguments) => history::run(&config, &arguments),
        Command::Backup(arguments) => backup::run(&config, &arguments),
        Command::Session(command) => session::run(&config, command),
        Command::Password => password::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(report) => {
            report.print();
            ExitCode::FAILURE
        }
    }
}

/// Risks are no failure: the gateway would start.
fn check(file: &Path) -> ExitCode {
    let environment = |name: &str| std::env::var(name).ok();
    match check::run(file, &environment, &Machine::read(), &mut std::io::stdout()) {
        Ok(check::Verdict::Sound | check::Verdict::Risky) => ExitCode::SUCCESS,
        Ok(check::Verdict::Faulty) | Err(_) => ExitCode::FAILURE,
    }
}

/// A runtime for commands that do a thing and end.
fn block_on<T>(work: impl Future<Output = Result<T, Report>>) -> Result<T, Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Report::new(format!("cannot start: {error}")))?;
    let done = runtime.block_on(work);
    // A thread that still waits for a line on standard input would keep the program from ending.
    runtime.shutdown_background();
    done
}
