//! The `oxpost` program.

use std::process::ExitCode;

use clap::Parser;
use oxpost::cli::{Arguments, run, run_as_sendmail};

fn main() -> ExitCode {
    oxpost::unix::keep_memory_small();
    run_as_sendmail().unwrap_or_else(|| run(Arguments::parse()))
}
