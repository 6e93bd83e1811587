//! The ways out.
mod settings;
pub use settings::{AccountWays, GraphWay, Limits, Settings, SmtpTls, SmtpWay, Way};
