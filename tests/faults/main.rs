//! The program on a machine in trouble: a disk that is full, read-only or failing, a process that is stopped or short of
//! descriptors, a clock that jumps, a provider whose name or TLS is no good. Each fault is made outside the program, by
//! what the system has for it; nothing that was acknowledged is lost, and it mends without a restart unless it says so.
//!
//! The numbers are those of the table in docs/reliability.md. `./test` installs the programs and runs this as root.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "helpers of tests")]

#[path = "../support/rig.rs"]
mod rig;
#[path = "../support/mod.rs"]
mod support;

mod clock;
mod disk;
mod failing;
mod process;
mod upstream;
