//! `[network]`: the proxy for outgoing connections.

use std::sync::Arc;

use url::Url;

use super::fault::KeyPath;
use super::reader::Reader;
use crate::proxy::{Past, Proxy, ProxyKind, ProxyLogin};
use crate::secret::Secret;

/// The variables that may name a proxy, the first that is set counts. All connections of ours are TLS or mail, so
/// `HTTP_PROXY` is not among them.
const VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
const REMEDY: &str = "write `http://HOST:PORT` or `socks5h://HOST:PORT`";

/// How connections leave.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct NetworkSettings {
    /// The proxy, if there is one.
    pub proxy: Option<Arc<Proxy>>,
    /// A variable of the environment that names a proxy which nobody goes through, since the file says nothing of it.
    pub ignored: Option<&'static str>,
}

/// Reads it.
pub(super) fn read(reader: &mut Reader<'_>) -> NetworkSettings {
    let (typed, at) = (&reader.file.network, KeyPath::root().key("network"));
    let mut past: Vec<Past> = Vec::new();
    for (index, text) in typed.no_proxy.iter().enumerate() {
        let remedy = "write a name such as `contoso.lan`, an address, or a network such as `10.0.0.0/8`";
        past.extend(reader.parsed::<Past>(at.key("no_proxy").item(index), text, remedy));
    }
    let login = login(reader, &at);
    let place = match typed.proxy.as_deref() {
        None | Some("none") => {
            if login.is_some() {
                let remedy = "add `proxy` with its address, or take the login out";
                reader.fault(at.key("proxy_login"), "there is a login and no proxy", remedy);
            }
            let ignored = variable(reader).map(|(name, _)| name).filter(|_| typed.proxy.is_none());
            return NetworkSettings { proxy: None, ignored };
        }
        Some("environment") => {
            past.extend(exceptions(reader));
            variable(reader).and_then(|(name, value)| of_environment(reader, &at.key("proxy"), name, &value))
        }
        Some(text) => of_file(reader, &at.key("proxy"), text),
    };
    let Some(Place { kind, host, port, login: own }) = place else { return NetworkSettings::default() };
    let login = login.or(own).map(Arc::new);
    if let Some(why) = login.as_deref().and_then(|login| unfit(login, kind)) {
        reader.fault(at.key("proxy_login"), why, "have another login made at the proxy");
        return NetworkSettings::default();
    }
    let proxy = Proxy { kind, host, port, login, past, for_loopback: typed.proxy_loopback };
    NetworkSettings { proxy: Some(Arc::new(proxy)), ignored: None }
}

/// Where a proxy is.
struct Place {
    kind: ProxyKind,
    host: String,
    port: u16,
    login: Option<ProxyLogin>,
}

fn login(reader: &mut Reader<'_>, at: &KeyPath) -> Option<ProxyLogin> {
    let typed = &reader.file.network;
    match (&typed.proxy_login, &typed.proxy_password) {
        (None, None) => None,
        (Some(name), Some(source)) => {
            let password = reader.secret(&at.key("proxy_password"), source)?;
            Some(ProxyLogin { name: name.clone(), password })
        }
        (Some(_), None) => {
            let remedy = "add `proxy_password = { env = \"NAME\" }` or `{ file = \"PATH\" }`";
            reader.fault(at.key("proxy_login"), "the login has no password", remedy);
            None
        }
        (None, Some(_)) => {
            reader.fault(at.key("proxy_password"), "the password has no login", "add `proxy_login = \"NAME\"`");
            None
        }
    }
}

/// Why a login cannot be sent: RFC 7617 section 2, RFC 1929 section 2.
fn unfit(login: &ProxyLogin, kind: ProxyKind) -> Option<&'static str> {
    let ProxyLogin { name, password } = login;
    let fits = |text: &str| (1..=255).contains(&text.len());
    match kind {
        ProxyKind::Http if name.contains(':') => Some("a login with a colon cannot be sent to an HTTP proxy"),
        ProxyKind::Socks5 if !fits(name) || !fits(password.expose()) => {
            Some("a login and a password at a SOCKS proxy have 1 to 255 octets each")
        }
        _ if [name, password.expose()].iter().any(|text| text.chars().any(char::is_control)) => {
            Some("login and password hold a control character")
        }
        ProxyKind::Http | ProxyKind::Socks5 => None,
    }
}

/// The first variable that names a proxy.
fn variable(reader: &Reader<'_>) -> Option<(&'static str, String)> {
    let set = |name| (reader.environment)(name).filter(|value| !value.is_empty());
    VARIABLES.into_iter().find_map(|name| Some((name, set(name)?)))
}

/// What `NO_PROXY` lists. What is no name and no network there is meant for other programs.
fn exceptions(reader: &Reader<'_>) -> Vec<Past> {
    let set = |name| (reader.environment)(name).filter(|value| !value.is_empty());
    let list = set("NO_PROXY").or_else(|| set("no_proxy")).unwrap_or_default();
    list.split(',').filter_map(|word| word.trim().parse().ok()).collect()
}

/// A value of the environment may hold a login, so it is not shown.
fn of_environment(reader: &mut Reader<'_>, at: &KeyPath, name: &str, value: &str) -> Option<Place> {
    let whole = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    match place(&whole) {
        Ok(place) => Some(place),
        Err(why) => {
            reader.fault(at.clone(), format!("the environment variable `{name}` cannot be used: {why}"), REMEDY);
            None
        }
    }
}

fn of_file(reader: &mut Reader<'_>, at: &KeyPath, text: &str) -> Option<Place> {
    match place(text) {
        Ok(Place { login: Some(_), .. }) => {
            let remedy = "write them as `proxy_login` and `proxy_password`";
            reader.fault(at.clone(), "login and password of the proxy do not belong into its address", remedy);
            None
        }
        Ok(place) => Some(place),
        // What is no URL may still hold a password.
        Err(why) => {
            reader.fault(at.clone(), format!("this cannot be used as a proxy: {why}"), REMEDY);
            None
        }
    }
}

fn place(text: &str) -> Result<Place, &'static str> {
    let url: Url = text.parse().map_err(|_| "it is no URL")?;
    let (kind, usual) = match url.scheme() {
        "http" => (ProxyKind::Http, 80),
        "socks5h" => (ProxyKind::Socks5, 1080),
        "socks5" => return Err("with `socks5` names would be looked up here; the proxy does it with `socks5h`"),
        "https" => return Err("TLS with the proxy itself is not spoken; what goes through it has its own"),
        _ => return Err("it is neither an HTTP proxy nor a SOCKS5 proxy"),
    };
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
    if host.is_empty() {
        return Err("it has no host");
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err("there is something behind the port");
    }
    let decoded = |text: &str| percent_decoded(text).ok_or("its login is not text");
    let login = match (url.username(), url.password()) {
        ("", None) => None,
        (name, password) => {
            let password = Secret::new(decoded(password.unwrap_or_default())?);
            Some(ProxyLogin { name: decoded(name)?, password })
        }
    };
    Ok(Place { kind, host, port: url.port().unwrap_or(usual), login })
}

/// Text of a URL with its `%` sequences taken back (RFC 3986 section 2.1).
fn percent_decoded(text: &str) -> Option<String> {
    // A form's rules are the same but for `+`.
    let pairs = format!("x={}", text.replace('+', "%2B").replace('&', "%26"));
    let (_, value) = url::form_urlencoded::parse(pairs.as_bytes()).next()?;
    (!value.contains('\u{fffd}')).then(|| value.into_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    const REST: &str = "[provider.p]\nkind = \"microsoft\"\nclient_id = \"id\"\n[account.a]\nprovider = \"p\"\n\
                        mailbox = \"a@contoso.com\"\n[[listener]]\n[[client]]\nname = \"c\"\n\
                        networks = [\"127.0.0.1\"]\naccounts = [\"a\"]\n";

    fn read(network: &str, environment: &[(&str, &str)]) -> Result<NetworkSettings, String> {
        let look_up =
            |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let text = format!("hostname = \"gateway.test\"\n[network]\n{network}\n{REST}");
        Config::read(&text, Path::new("oxpost.toml"), &look_up)
            .map(|config| config.network)
            .map_err(|errors| errors.to_string())
    }

    #[test]
    fn the_environment_counts_only_where_the_file_says_so() {
        let both =
            [("HTTPS_PROXY", "http://us%40r:p%3Aw%2B+@proxy.test:3128/"), ("NO_PROXY", "contoso.lan, 10.0.0.0/8,")];
        let found = read("", &both).unwrap();
        assert_eq!((found.proxy, found.ignored), (None, Some("HTTPS_PROXY")), "not obeyed, and not in silence");
        let found = read("proxy = \"none\"", &both).unwrap();
        assert_eq!((found.proxy, found.ignored), (None, None));
        let proxy = read("proxy = \"environment\"\nno_proxy = [\"x.test\"]", &both).unwrap().proxy.unwrap();
        assert_eq!(proxy.name(), "http://proxy.test:3128");
        let login = proxy.login.as_ref().unwrap();
        assert_eq!((login.name.as_str(), login.password.expose()), ("us@r", "p:w++"));
        for host in ["x.test", "mail.contoso.lan", "10.0.0.1", "localhost"] {
            assert!(!proxy.serves(host), "{host}");
        }
        let rows = [
            (&[("ALL_PROXY", "socks5h://[2001:db8::1]")][..], Some("socks5h://[2001:db8::1]:1080"), "the general one"),
            (&[("https_proxy", "proxy.test:8080")], Some("http://proxy.test:8080"), "without a scheme"),
            (&[("HTTP_PROXY", "http://proxy.test:8080")], None, "for HTTP in clear text alone"),
            (&[], None, "none there"),
        ];
        for (environment, expected, why) in rows {
            let proxy = read("proxy = \"environment\"", environment).unwrap().proxy;
            assert_eq!(proxy.map(|proxy| proxy.name()).as_deref(), expected, "{why}");
        }
        let broken = read("proxy = \"environment\"", &[("HTTPS_PROXY", "https://u:hunter2@proxy.test")]).unwrap_err();
        assert!(broken.contains("`HTTPS_PROXY`") && !broken.contains("hunter2"), "{broken}");
    }

    #[test]
    fn what_cannot_be_a_proxy_is_said_without_showing_a_password() {
        let long = format!("proxy_login = {:?}", "x".repeat(256));
        let password = "proxy_password = { env = \"PROXY_PASSWORD\" }";
        let rows = [
            ("proxy = \"http://u:hunter2@proxy.test:1\"".to_owned(), "do not belong into its address", "a password"),
            (
                "proxy = \"u:hunter2@proxy.test:1\"".to_owned(),
                "neither an HTTP proxy nor",
                "a password, without scheme",
            ),
            ("proxy = \"http://proxy.test:1/u\"".to_owned(), "behind the port", "a path"),
            ("proxy = \"socks5://proxy.test:1\"".to_owned(), "`socks5h`", "names looked up here"),
            ("proxy = \"https://proxy.test:1\"".to_owned(), "is not spoken", "TLS to the proxy"),
            ("proxy = \"proxy.test\"".to_owned(), "it is no URL", "a name alone"),
            ("no_proxy = [\"a b\"]".to_owned(), "neither a name", "an exception that is none"),
            ("proxy = \"http://proxy.test:1\"\nproxy_login = \"u\"".to_owned(), "has no password", "half a login"),
            (format!("proxy_login = \"u\"\n{password}"), "there is a login and no proxy", "a login for nobody"),
            (format!("proxy = \"http://proxy.test:1\"\nproxy_login = \"a:b\"\n{password}"), "colon", "RFC 7617"),
            (format!("proxy = \"socks5h://proxy.test:1\"\n{long}\n{password}"), "255", "RFC 1929"),
        ];
        for (network, expected, why) in rows {
            let said = read(&network, &[("PROXY_PASSWORD", "hunter2")]).unwrap_err();
            assert!(said.contains(expected) && !said.contains("hunter2"), "{why}: {said}");
        }
    }
}
