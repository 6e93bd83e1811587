//! By which proxy connections leave, and which of them go past it.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use ipnet::IpNet;
use url::Url;

use crate::secret::Secret;

/// A proxy for outgoing connections. The name of the server is always looked up there, never here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proxy {
    /// What it speaks.
    pub kind: ProxyKind,
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who logs in there, if anybody must.
    pub login: Option<Arc<ProxyLogin>>,
    /// What goes past it.
    pub past: Vec<Past>,
    /// Whether it serves for this machine's own addresses too.
    pub for_loopback: bool,
}

/// What a proxy speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProxyKind {
    /// HTTP with CONNECT (RFC 9110 section 9.3.6).
    Http,
    /// SOCKS version 5 (RFC 1928).
    Socks5,
}

/// A login at a proxy: HTTP Basic (RFC 7617), or SOCKS (RFC 1929).
#[derive(Debug)]
pub struct ProxyLogin {
    /// The name.
    pub name: String,
    /// Its password.
    pub password: Secret,
}

impl PartialEq for ProxyLogin {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.password.expose() == other.password.expose()
    }
}

impl Eq for ProxyLogin {}

/// What goes past a proxy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Past {
    /// Everything.
    All,
    /// Addresses written as such; names are not looked up for this.
    Network(IpNet),
    /// A name, and every name below it.
    Name(String),
}

/// Why a word does not say what goes past a proxy.
#[derive(Debug, thiserror::Error)]
#[error("it is neither a name, an address nor a network")]
pub struct NotPast;

impl FromStr for Past {
    type Err = NotPast;

    fn from_str(text: &str) -> Result<Self, NotPast> {
        if text == "*" {
            return Ok(Self::All);
        }
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        if let Ok(network) = bare.parse().or_else(|_| bare.parse::<IpAddr>().map(IpNet::from)) {
            return Ok(Self::Network(network));
        }
        let name = text.trim_start_matches('.');
        let is_name = |letter: char| letter.is_alphanumeric() || "-._".contains(letter);
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(NotPast);
        }
        Ok(Self::Name(name.to_lowercase()))
    }
}

impl Past {
    fn holds(&self, host: &str, address: Option<IpAddr>) -> bool {
        match (self, address) {
            (Self::All, _) => true,
            (Self::Network(network), Some(address)) => network.contains(&address),
            (Self::Name(name), None) => {
                host == name || host.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('.'))
            }
            (Self::Network(_), None) | (Self::Name(_), Some(_)) => false,
        }
    }
}

impl Proxy {
    /// Whether connections to a host go through it.
    pub fn serves(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_lowercase();
        let address: Option<IpAddr> = host.parse().ok();
        let is_loopback = match address {
            Some(address) => address.to_canonical().is_loopback(),
            None => host == "localhost" || host.ends_with(".localhost"),
        };
        if is_loopback && !self.for_loopback {
            return false;
        }
        !self.past.iter().any(|past| past.holds(&host, address))
    }

    /// What messages call it: its URL, without the login.
    pub fn name(&self) -> String {
        let scheme = match self.kind {
            ProxyKind::Http => "http",
            ProxyKind::Socks5 => "socks5h",
        };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{scheme}://{host}:{}", self.port)
    }

    /// Its URL with the login in it. A secret.
    ///
    /// # Errors
    /// Host or port make no URL.
    pub fn url(&self) -> Result<Url, url::ParseError> {
        let mut url: Url = self.name().parse()?;
        if let Some(login) = &self.login {
            // The library leaves a percent sign as it is, as if a sequence began there.
            let [name, password] = [&login.name, login.password.expose()].map(|text| text.replace('%', "%25"));
            let set = url.set_username(&name).and_then(|()| url.set_password(Some(&password)));
            set.map_err(|()| url::ParseError::EmptyHost)?;
        }
        Ok(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(past: &[&str], for_loopback: bool) -> Proxy {
        Proxy {
            kind: ProxyKind::Http,
            host: "proxy.test".to_owned(),
            port: 3128,
            login: None,
            past: past.iter().map(|text| text.parse().unwrap()).collect(),
            for_loopback,
        }
    }

    #[test]
    fn what_goes_past_a_proxy_is_named_by_name_and_by_network() {
        let all = ["contoso.lan", ".below.test", "10.0.0.0/8", "192.0.2.7", "2001:db8::/32"];
        let table = [
            ("smtp.office365.com", true, "anybody"),
            ("contoso.lan", false, "the name itself"),
            ("Mail.Contoso.LAN.", false, "a name below it, however it is written"),
            ("notcontoso.lan", true, "a name that only ends like it"),
            ("x.below.test", false, "a dot before it makes no difference"),
            ("10.1.2.3", false, "an address of a network"),
            ("192.0.2.7", false, "one address"),
            ("192.0.2.8", true, "its neighbour"),
            ("[2001:db8::1]", false, "IPv6 in brackets"),
            ("localhost", false, "this machine"),
            ("gateway.localhost", false, "a name of this machine"),
            ("127.8.8.8", false, "this machine's network"),
            ("::1", false, "this machine by IPv6"),
            ("::ffff:127.0.0.1", false, "this machine by IPv4 in IPv6"),
        ];
        for (host, expected, why) in table {
            assert_eq!(proxy(&all, false).serves(host), expected, "{why}: {host}");
        }
        assert!(proxy(&[], true).serves("localhost"), "if it is said so");
        assert!(!proxy(&["localhost"], true).serves("localhost"), "and not if that is said too");
        assert!(!proxy(&["*"], true).serves("smtp.office365.com"), "nothing goes through");
    }

    #[test]
    fn words_that_name_nothing_are_refused() {
        for text in ["", ".", "a b", "http://x.test", "10.0.0.0/64", "x:25"] {
            assert!(text.parse::<Past>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_login_stays_whole_in_the_url_and_out_of_the_name() {
        let login = Some(Arc::new(ProxyLogin { name: "a@b".to_owned(), password: Secret::new("p:w/r%d@") }));
        let proxy = Proxy { login, ..proxy(&[], false) };
        assert_eq!(proxy.name(), "http://proxy.test:3128");
        assert_eq!(proxy.url().unwrap().as_str(), "http://a%40b:p%3Aw%2Fr%25d%40@proxy.test:3128/");
        assert!(!format!("{proxy:?}").contains("p:w"));
    }
}
