//! Sockets: listeners, streams in clear or under TLS, two of them joined, certificates.

pub mod certificate;
pub mod connect;
pub mod hello;
pub mod listener;
pub mod loopback;
pub mod proxy;
pub mod splice;
pub mod stream;
mod through;
pub mod tls;
pub mod wide;

pub use listener::{Limits, Permit, listen};
pub use loopback::listen_on_loopback;
pub use stream::Stream;
pub use through::ProxyTrouble;
pub use tls::ServerTls;
pub use wide::Wide;
