//! Who asks, where a proxy stands before the page.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

/// What proxies write; each adds the address that it sees at the end.
const HEADER: &str = "x-forwarded-for";

/// The address that a request is from: the last one that a trusted proxy names and that is none of them itself. What
/// stands before it may be made up.
pub(super) fn asker(headers: &HeaderMap, peer: IpAddr, proxies: &[IpNet]) -> IpAddr {
    let trusted = |address: &IpAddr| proxies.iter().any(|proxy| proxy.contains(address));
    let mut asker = peer.to_canonical();
    let lines: Vec<&str> = headers.get_all(HEADER).iter().map(|line| line.to_str().unwrap_or_default()).collect();
    let mut named = lines.iter().flat_map(|line| line.split(',')).rev();
    while trusted(&asker)
        && let Some(address) = named.next().and_then(address)
    {
        asker = address;
    }
    asker
}

/// Some write the port as well.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_asker_is_the_last_one_that_a_trusted_proxy_names() {
        let (proxy, stranger, person) = ("127.0.0.1", "203.0.113.9", "198.51.100.1");
        let row = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        let table = [
            (stranger, row(&[person]), stranger, "no proxy: the header is the stranger's own"),
            (proxy, row(&[person]), person, "as the proxy says"),
            ("::ffff:127.0.0.1", row(&[person]), person, "an IPv4 address however it is written"),
            (proxy, row(&["192.0.2.66, 198.51.100.1"]), person, "what comes before is made up"),
            (proxy, row(&["192.0.2.66", person]), person, "on two lines"),
            (proxy, row(&["198.51.100.1, 10.0.0.5"]), person, "two proxies of ours"),
            (proxy, row(&["198.51.100.1:4711"]), person, "with a port"),
            (proxy, row(&["[2001:db8::1]:4711"]), "2001:db8::1", "IPv6 with a port"),
            (proxy, row(&["198.51.100.1, unknown"]), proxy, "nobody that could be told apart"),
            (proxy, row(&[]), proxy, "the proxy itself"),
        ];
        let proxies = ["127.0.0.0/8".parse().unwrap(), "10.0.0.0/24".parse().unwrap()];
        for (peer, lines, expected, why) in table {
            let headers = lines.iter().map(|line| (http::HeaderName::from_static(HEADER), line.parse().unwrap()));
            let found = asker(&headers.collect(), peer.parse().unwrap(), &proxies);
            assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{why}");
        }
    }
}
