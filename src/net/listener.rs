//! Accepting connections: bounded in number, all together and per address, and never in a spin.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::proxy::{self, NotIntroduced};

/// Connections that wait in the kernel until we take them.
const BACKLOG: i32 = 1024;

/// Opens a listening socket. IPv6 sockets take IPv6 alone, so that `0.0.0.0` and `[::]` can stand side by side.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// How many sessions may be open.
#[derive(Clone, Debug)]
pub struct Limits {
    all: Arc<Semaphore>,
    per_address: Addresses,
    proxies: Vec<IpNet>,
}

/// The right to hold one session; gives its place back when dropped.
#[derive(Debug)]
pub struct Permit {
    _place: OwnedSemaphorePermit,
    counted: Counted,
}

/// Under which address a session counts.
#[derive(Debug)]
enum Counted {
    /// That of its client.
    Under {
        /// Given back when the session ends.
        _share: Share,
    },
    /// A proxy has yet to say for whom it comes.
    NotYet(Addresses),
}

/// The open sessions of each address.
#[derive(Clone, Debug)]
struct Addresses {
    most: usize,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One of the sessions of an address.
#[derive(Debug)]
struct Share {
    address: IpAddr,
    of: Addresses,
}

impl Limits {
    /// `sessions` in all, `per_address` from one address.
    pub fn new(sessions: usize, per_address: usize) -> Self {
        let per_address = Addresses { most: per_address, open: Arc::default() };
        Self { all: Arc::new(Semaphore::new(sessions)), per_address, proxies: Vec::new() }
    }

    /// Connections from these networks come for others and must say for whom ([`Permit::introduce`]).
    #[must_use]
    pub fn behind(self, proxies: Vec<IpNet>) -> Self {
        Self { proxies, ..self }
    }

    /// Takes a connection; the outer result ends the listener only if it is closed. `None`: one too many from there,
    /// or none left at all; the caller says 421 and hangs up, so that a full house answers instead of leaving
    /// people before a closed door.
    pub async fn accept(&self, listener: &TcpListener) -> (TcpStream, SocketAddr, Option<Permit>) {
        let mut pause = Duration::from_millis(5);
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => return (stream, peer, self.permit(peer.ip())),
                Err(error) => {
                    // Out of descriptors or a connection that died in the queue: wait a little, longer each time.
                    tracing::warn!(%error, "cannot accept a connection; trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
            }
        }
    }

    fn permit(&self, address: IpAddr) -> Option<Permit> {
        let address = address.to_canonical();
        let place = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let counted = if self.proxies.iter().any(|network| network.contains(&address)) {
            Counted::NotYet(self.per_address.clone())
        } else {
            Counted::Under { _share: self.per_address.share(address)? }
        };
        Some(Permit { _place: place, counted })
    }
}

impl Permit {
    /// The address of the client: `peer`, unless that is a proxy; then what it says, and the session counts as that
    /// client's. For a proxy that comes for itself, `peer`. To be called before anything is read.
    ///
    /// # Errors
    /// The proxy does not say it, or its client has too many sessions.
    pub async fn introduce(&mut self, tcp: &mut TcpStream, peer: IpAddr) -> Result<IpAddr, NotIntroduced> {
        let Counted::NotYet(addresses) = &self.counted else { return Ok(peer) };
        let client = proxy::receive(tcp, proxy::PATIENCE).await?.unwrap_or(peer).to_canonical();
        let share = addresses.share(client).ok_or(NotIntroduced::TooMany(client))?;
        self.counted = Counted::Under { _share: share };
        Ok(client)
    }

    /// Whether the connection comes from a proxy that has not been introduced.
    #[cfg(test)]
    const fn is_proxied(&self) -> bool {
        matches!(self.counted, Counted::NotYet(_))
    }
}

impl Addresses {
    fn share(&self, address: IpAddr) -> Option<Share> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_insert(0);
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Share { address, of: self.clone() })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut open = self.of.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_bounded_in_all_and_per_address() {
        let limits = Limits::new(3, 2);
        let (a, b): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let first = limits.permit(a);
        let second = limits.permit("::ffff:192.0.2.1".parse().unwrap());
        assert!(first.is_some() && second.is_some());
        assert!(limits.permit(a).is_none(), "the third from one address, however it is written");
        let third = limits.permit(b);
        assert!(third.is_some());
        drop(first);
        assert!(limits.permit(a).is_some(), "a place that was given back");
        let fourth = limits.permit(a);
        assert!(fourth.is_some() && limits.permit(b).is_none(), "the fourth in all");
        drop((second, third, fourth));
        assert!(limits.per_address.open.lock().unwrap().is_empty());
    }

    #[test]
    fn only_connections_from_a_proxys_network_wait_for_an_introduction() {
        let limits = Limits::new(2, 1).behind(vec!["192.0.2.0/24".parse().unwrap()]);
        let permit = |address: &str| limits.permit(address.parse().unwrap());
        let proxied = permit("::ffff:192.0.2.1").unwrap();
        assert!(proxied.is_proxied() && permit("192.0.2.1").unwrap().is_proxied(), "a proxy has many clients");
        let direct = permit("198.51.100.1").unwrap();
        assert!(!direct.is_proxied() && permit("198.51.100.2").is_none(), "the house is full");
    }
}
