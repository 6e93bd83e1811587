//! The `oxpost` program.

use std::process::ExitCode;

use clap::Parser;
use oxpost::cli::{Arguments, run};

/// Threads hand buffers to each other all the time here; the system's allocator keeps an arena for each of them and
/// gives little back (docs/performance.md has the figures).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    run(Arguments::parse())
}
