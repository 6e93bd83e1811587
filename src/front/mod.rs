//! The doors: what clients and administrators speak to.

pub mod admin;
pub mod reading;
mod settings;
pub mod submission;

pub use settings::{
    ListenerSettings, ListenerTls, Mode, Protocol, ReadingServer, ReadingServers, SubmissionSettings, TlsFiles,
    UpstreamTls,
};
