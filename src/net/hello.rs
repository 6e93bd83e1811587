//! Looking at a connection's first octets without taking them: is it TLS, and of which version?

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;

/// The first octet of a TLS handshake record (RFC 8446 section 5.1). No SMTP, IMAP or POP3 command begins so.
const HANDSHAKE: u8 = 0x16;
/// Addresses whose habit is remembered.
const MAX_HABITS: usize = 4096;

/// The version a TLS hello offers at most, as far as its first octets tell (`legacy_version`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HelloVersion(pub [u8; 2]);

impl HelloVersion {
    /// Older than TLS 1.2, which is the oldest that is served.
    pub fn is_too_old(self) -> bool {
        self.0 < [3, 3]
    }
}

impl fmt::Display for HelloVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [3, 0] => f.write_str("SSL 3.0"),
            [3, 1] => f.write_str("TLS 1.0"),
            [3, 2] => f.write_str("TLS 1.1"),
            [3, 3] => f.write_str("TLS 1.2 or newer"),
            [major, minor] => write!(f, "unknown version {major}.{minor}"),
        }
    }
}

/// The version in a TLS hello of which these are the first octets.
pub fn version(first: &[u8]) -> Option<HelloVersion> {
    match first {
        [HANDSHAKE, _, _, _, _, 1, _, _, _, major, minor, ..] => Some(HelloVersion([*major, *minor])),
        _ => None,
    }
}

/// Peeks at what the client has sent so far; waits for the first octets.
pub async fn peek_version(stream: &TcpStream) -> Option<HelloVersion> {
    let mut first = [0; 11];
    let count = stream.peek(&mut first).await.ok()?;
    version(&first[..count])
}

/// How the clients of an address begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Habit {
    /// In clear, so far: they need not wait for a greeting.
    Clear,
    /// Some with TLS: each is waited for.
    Tls,
}

/// Tells clients that speak TLS at once from those that wait for a greeting, on one port.
#[derive(Debug, Default)]
pub struct Sniffer {
    habits: Mutex<HashMap<IpAddr, Habit>>,
}

impl Sniffer {
    /// Whether the client begins with a TLS hello. Waits up to `wait` for it, unless all clients of its address came in
    /// clear so far.
    pub async fn is_tls(&self, stream: &TcpStream, peer: IpAddr, wait: Duration) -> bool {
        let wait = if self.habit(peer) == Some(Habit::Clear) { Duration::ZERO } else { wait };
        let mut first = [0; 1];
        let seen = tokio::time::timeout(wait, stream.peek(&mut first)).await;
        let tls = matches!(seen, Ok(Ok(1))) && begins_tls(&first);
        if tls {
            self.speaks_tls(peer);
        } else if self.habit(peer).is_none() {
            self.remember(peer, Habit::Clear);
        }
        tls
    }

    /// A client of this address began with TLS: from now on each of them is waited for.
    pub fn speaks_tls(&self, peer: IpAddr) {
        self.remember(peer, Habit::Tls);
    }

    fn habit(&self, peer: IpAddr) -> Option<Habit> {
        self.lock().get(&peer).copied()
    }

    fn remember(&self, peer: IpAddr, habit: Habit) {
        let mut habits = self.lock();
        if habits.len() >= MAX_HABITS {
            habits.clear();
        }
        habits.insert(peer, habit);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Habit>> {
        self.habits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a client's first octets are the beginning of a TLS hello.
pub fn begins_tls(first: &[u8]) -> bool {
    first.first() == Some(&HANDSHAKE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_a_hello() {
        let hello = |major, minor| [HANDSHAKE, 3, 1, 0, 100, 1, 0, 0, 96, major, minor];
        for (octets, text, too_old) in [
            (hello(3, 0), "SSL 3.0", true),
            (hello(3, 1), "TLS 1.0", true),
            (hello(3, 2), "TLS 1.1", true),
            (hello(3, 3), "TLS 1.2 or newer", false),
        ] {
            let version = version(&octets).unwrap();
            assert_eq!((version.to_string().as_str(), version.is_too_old()), (text, too_old));
        }
        assert_eq!(version(b"EHLO printer"), None);
        assert_eq!(version(&hello(3, 3)[..9]), None, "cut short");
    }
}
