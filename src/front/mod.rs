//! The doors: what clients and administrators speak to.

pub mod admin;
mod entrance;
pub mod reading;
mod settings;
pub mod submission;

pub use settings::{ListenerSettings, ListenerTls, Mode, Protocol, SubmissionSettings, TlsFiles};
