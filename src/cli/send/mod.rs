//! `oxpost send`: hands a message from standard input to a running gateway, with the options and exit codes of
//! `sendmail`. Installed under that name it takes its place for cron, PHP, mutt, git and the like.

mod client;
mod message;
mod options;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;

use self::client::{Client, Refused};
use self::options::{Mode, Options};

/// Where the gateway listens, unless the environment or an option says otherwise.
const USUAL_SERVER: &str = "localhost:2525";
/// Names the gateway in the environment.
const SERVER: &str = "OXPOST_SERVER";

/// Exit codes of `sysexits.h`, which mail programs read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Exit {
    Ok = 0,
    /// The options make no sense.
    Usage = 64,
    /// A recipient was refused.
    NoUser = 67,
    /// The message was refused.
    Unavailable = 69,
    /// The message could not be read.
    Io = 74,
    /// No gateway answers, or it asks to come again.
    TempFail = 75,
    /// The sender was refused.
    NoPerm = 77,
}

/// Why a message was not handed in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    pub(super) words: String,
}

impl Failure {
    pub(super) fn new(exit: Exit, words: impl Into<String>) -> Self {
        Self { exit, words: words.into() }
    }
}

/// Runs with the words behind the program's name.
pub(super) fn run(words: &[String]) -> ExitCode {
    let environment = |name: &str| std::env::var(name).ok();
    let done = Options::parse(words).and_then(|options| {
        let server = options.server.clone().or_else(|| environment(SERVER)).unwrap_or_else(|| USUAL_SERVER.to_owned());
        match options.mode {
            Mode::Message => hand_in(&options, &server, &environment),
            Mode::Smtp => pass_through(&server),
        }
    });
    match done {
        Ok(()) => ExitCode::from(Exit::Ok as u8),
        Err(failure) => {
            super::Report::new(failure.words).print();
            ExitCode::from(failure.exit as u8)
        }
    }
}

fn hand_in(options: &Options, server: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<(), Failure> {
    let mut input = Vec::new();
    let unreadable = |error: io::Error| Failure::new(Exit::Io, format!("cannot read the message: {error}"));
    io::stdin().lock().read_to_end(&mut input).map_err(unreadable)?;
    let user = || environment("LOGNAME").or_else(|| environment("USER")).unwrap_or_else(|| "nobody".to_owned());
    let letter = message::prepare(options, &input, &user())?;
    let refused = |refused: Refused| refused.into();
    let mut client = Client::connect(server).map_err(refused)?;
    client.send(&letter).map_err(refused)
}

/// `-bs`: the caller speaks SMTP itself.
fn pass_through(server: &str) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::new(Exit::TempFail, format!("no gateway answers at `{server}`: {error}"));
    let mut stream = TcpStream::connect(server).map_err(failed)?;
    let mut out = stream.try_clone().map_err(failed)?;
    // The reader ends with the program: what the caller does not say any more need not be waited for.
    std::thread::spawn(move || {
        io::copy(&mut io::stdin().lock(), &mut out).ok();
        out.shutdown(std::net::Shutdown::Write).ok();
    });
    let mut stdout = io::stdout().lock();
    io::copy(&mut stream, &mut stdout).map_err(failed)?;
    stdout.flush().map_err(failed)
}
