//! The network beneath the protocols.

pub mod connect;
