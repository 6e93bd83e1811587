//! Where a URL leads, as far as secrets are concerned.

use url::{Host, Url};

/// Whether a URL leads to this very machine (RFC 6761 section 6.3 for `localhost` and the names below it).
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether secrets may go there: https, or http on this machine.
pub fn may_have_secrets(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_out_by_https_alone_and_stay_on_this_machine_otherwise() {
        let table = [
            ("https://login.example/", false, true, "TLS"),
            ("http://login.example/", false, false, "clear text"),
            ("http://localhost:1/", true, true, "this machine"),
            ("http://gateway.localhost/", true, true, "a name below it"),
            ("http://localhost.example/", false, false, "a name that only begins like it"),
            ("http://notlocalhost/", false, false, "a name that only ends like it"),
            ("http://127.1.2.3/", true, true, "the whole network"),
            ("http://[::1]/", true, true, "IPv6"),
            ("http://192.0.2.1/", false, false, "another machine"),
            ("ftp://localhost/", true, false, "neither http nor https"),
            ("data:text/plain,x", false, false, "no place at all"),
        ];
        for (url, here, safe, why) in table {
            let url: Url = url.parse().unwrap();
            assert_eq!((is_loopback(&url), may_have_secrets(&url)), (here, safe), "{why}: {url}");
        }
    }
}
