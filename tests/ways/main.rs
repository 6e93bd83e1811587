//! Each backend by itself against the practice tenant.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod bench;
mod drafts;
mod fidelity;
mod promise;
mod refusals;
