//! Sockets: listeners, streams in clear or under TLS, certificates.

pub mod certificate;
pub mod connect;
pub mod hello;
pub mod listener;
pub mod proxy;
pub mod stream;
pub mod tls;

pub use listener::{Limits, Permit, listen};
pub use stream::Stream;
pub use tls::ServerTls;
