//! The doors: what clients and administrators speak to.

pub mod admin;
mod settings;
pub mod submission;

pub use settings::{ListenerSettings, ListenerTls, Mode, SubmissionSettings, TlsFiles};
