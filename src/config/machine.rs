//! What `oxpost check` wants to know of the machine: where its traffic comes and goes. Linux tells it in /proc and
//! /sys; elsewhere nothing is known, and no warning is given.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;

use ipnet::{IpNet, Ipv4Net};

/// A network of a container bridge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bridge {
    /// The interface, such as `docker0`.
    pub name: String,
    /// The network behind it.
    pub network: IpNet,
}

/// Facts about the machine that a configuration is checked against.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Machine {
    /// Default gateways.
    pub gateways: Vec<IpAddr>,
    /// Container bridges.
    pub bridges: Vec<Bridge>,
}

impl Machine {
    /// The facts of this machine, as far as it tells them.
    pub fn read() -> Self {
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let is_bridge = |name: &str| Path::new("/sys/class/net").join(name).join("bridge").exists();
        Self::from_tables(&text("/proc/net/route"), &text("/proc/net/ipv6_route"), &is_bridge)
    }

    /// The facts in the kernel's routing tables for IPv4 and IPv6.
    fn from_tables(v4: &str, v6: &str, is_bridge: &dyn Fn(&str) -> bool) -> Self {
        let mut machine = Self::default();
        for route in v4.lines().skip(1).filter_map(route_v4) {
            match route {
                (_, network, Some(gateway)) if network.prefix_len() == 0 => machine.gateways.push(gateway.into()),
                (name, network, None) if is_bridge(name) || is_named_like_a_bridge(name) => {
                    machine.bridges.push(Bridge { name: name.to_owned(), network: IpNet::V4(network) });
                }
                _ => {}
            }
        }
        machine.gateways.extend(v6.lines().filter_map(default_gateway_v6));
        machine
    }
}

/// Docker and Podman name their bridges so; /sys may not be there inside a container.
fn is_named_like_a_bridge(name: &str) -> bool {
    ["docker", "br-", "podman", "cni"].iter().any(|prefix| name.starts_with(prefix))
}

/// A line of /proc/net/route: interface, destination, gateway. Addresses are hexadecimal in the machine's byte order.
fn route_v4(line: &str) -> Option<(&str, Ipv4Net, Option<Ipv4Addr>)> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let address = |column: usize| -> Option<Ipv4Addr> {
        let number = u32::from_str_radix(columns.get(column)?, 16).ok()?;
        Some(Ipv4Addr::from(number.to_ne_bytes()))
    };
    let network = Ipv4Net::with_netmask(address(1)?, address(7)?).ok()?;
    Some((columns.first()?, network, address(2).filter(|gateway| !gateway.is_unspecified())))
}

/// The next hop of a default route in a line of /proc/net/ipv6_route.
fn default_gateway_v6(line: &str) -> Option<IpAddr> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let is_default = columns.first()?.bytes().all(|digit| digit == b'0') && *columns.get(1)? == "00";
    let gateway = Ipv6Addr::from(u128::from_str_radix(columns.get(4)?, 16).ok()?);
    (is_default && !gateway.is_unspecified()).then_some(IpAddr::V6(gateway))
}

/// The name of this machine, or `localhost` if it does not tell.
pub fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim().parse::<crate::mail::Domain>() {
        Ok(domain) => domain.to_string(),
        Err(_) => "localhost".to_owned(),
    }
}

/// `localhost` without asking anybody: 127.0.0.1, and ::1 where the machine has IPv6.
pub(super) fn loopback(port: u16) -> Vec<SocketAddr> {
    let mut addresses = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))];
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        addresses.push(SocketAddr::from((Ipv6Addr::LOCALHOST, port)));
    }
    addresses
}

/// Whether people other than the owner and root can read a file. `false` where the question has no meaning.
#[cfg(unix)]
pub(super) fn is_readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

/// Whether people other than the owner and root can read a file. `false` where the question has no meaning.
#[cfg(not(unix))]
pub(super) fn is_readable_by_others(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn gateways_and_bridges_are_read_from_the_routing_tables() {
        let v4 = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
                  eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
                  eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n\
                  docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                  lan7\t0007A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
                  rubbish\n";
        let v6 = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
                  fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth0\n\
                  fe800000000000000000000000000000 40 00000000000000000000000000000000 00 \
                  00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth0\n";
        let machine = Machine::from_tables(v4, v6, &|name| name == "lan7");
        assert_eq!(machine.gateways, ["192.168.1.1".parse::<IpAddr>().unwrap(), "fe80::1".parse().unwrap()]);
        let bridges: Vec<String> = machine.bridges.iter().map(|b| format!("{} {}", b.name, b.network)).collect();
        assert_eq!(bridges, ["docker0 172.17.0.0/16", "lan7 192.168.7.0/24"]);
    }
}
