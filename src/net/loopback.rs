//! A port of this machine that no other machine reaches.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use tokio::net::TcpListener;

/// Listens on `port` of the loopback addresses alone, 0 for a free one; browsers differ in which of them `localhost`
/// is. A machine without IPv6 has one listener, others two. Returns the port, too.
///
/// # Errors
/// That of the address of IPv4, for instance when another program has the port.
pub async fn listen_on_loopback(port: u16) -> io::Result<(u16, Vec<TcpListener>)> {
    let first = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let port = first.local_addr()?.port();
    let mut listeners = vec![first];
    listeners.extend(TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await);
    Ok((port, listeners))
}
