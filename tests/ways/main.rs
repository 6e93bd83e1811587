//! Each backend by itself against the practice tenant.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test fails where it stands")]

mod bench;
mod drafts;
mod fidelity;
mod memory;
mod program;
mod promise;
mod refusals;
#[path = "../support/mod.rs"]
mod support;
