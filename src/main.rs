//! The `oxpost` program.

use std::process::ExitCode;

use clap::Parser;
use oxpost::cli::{Arguments, run};

fn main() -> ExitCode {
    oxpost::unix::keep_memory_small();
    run(Arguments::parse())
}
