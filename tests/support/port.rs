//! Ports that are told to a program before it listens on them.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// A port of loopback that nobody uses. It lies below those the system gives to outgoing connections, and no two calls
/// give the same one.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let offset = u16::try_from(std::process::id() % 100).unwrap_or(0) * 100;
    loop {
        let port = 20_000 + (offset + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
