//! What must survive: accepted messages until they are handed over or reported.
mod settings;
pub use settings::Settings;
