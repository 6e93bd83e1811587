//! The doors: where clients come in.
mod settings;
pub use settings::{ListenerSettings, ListenerTls, SubmissionSettings, TlsFiles};
