//! The program is killed, loses its power, or has faults for an hour. `./test` runs this; `./test --long` for longer.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

#[path = "../support/rig.rs"]
mod rig;
#[path = "../support/mod.rs"]
mod support;

mod kills;
mod load;
mod power;
mod soak;
