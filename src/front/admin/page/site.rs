//! Under which name the page is browsed, and whether a request comes from the page itself. A name that is not ours
//! would be another's that was pointed here (DNS rebinding): it gets no page.

use http::header::{COOKIE, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue};

use super::super::Setup;

/// The place that the browser believes to be at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Site {
    /// Scheme, name and port.
    pub(super) origin: String,
    pub(super) port: u16,
    pub(super) kind: Kind,
    pub(super) https: bool,
}

/// What kind of name it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// `localhost`: providers send a browser back there.
    Localhost,
    /// A loopback address: providers do not.
    LoopbackAddress,
    /// The name of `public_url`.
    Public,
    /// Another of our names, or an address.
    Other,
}

impl Site {
    /// The place in a request's `Host`; `None`: it is none of ours.
    pub(super) fn of(headers: &HeaderMap, setup: &Setup) -> Option<Self> {
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return None };
        let authority: Authority = host.to_str().ok()?.parse().ok()?;
        if authority.as_str().contains('@') {
            return None;
        }
        let name = authority.host().trim_end_matches('.').to_ascii_lowercase();
        let public = setup.page.public_url.as_ref();
        let is_public = public.is_some_and(|url| {
            url.host_str() == Some(name.as_str()) && url.port() == authority.port_u16().filter(|port| *port != 443)
        });
        let https = setup.page.tls || is_public;
        let kind = if is_public { Kind::Public } else { kind_of(&name, setup)? };
        let port = authority.port_u16().unwrap_or(if https { 443 } else { 80 });
        let scheme = if https { "https" } else { "http" };
        let standard = port == if https { 443 } else { 80 };
        let origin = if standard { format!("{scheme}://{name}") } else { format!("{scheme}://{name}:{port}") };
        Some(Self { origin, port, kind, https })
    }

    /// Whether a request that changes something comes from this very place. Browsers say so in one header or the
    /// other; whoever says nothing is no browser and has an API key.
    pub(super) fn sent(&self, headers: &HeaderMap) -> bool {
        let fetch_site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
        let origin = headers.get(ORIGIN).map(HeaderValue::as_bytes);
        let own = self.origin.as_bytes();
        match (fetch_site, origin) {
            (Some(site), None | Some(b"null")) => site == b"same-origin",
            (Some(site), Some(origin)) => site == b"same-origin" && origin == own,
            (None, Some(origin)) => origin == own,
            (None, None) => false,
        }
    }

    /// The name of the session's cookie. Cookies do not know ports, so two pages on one machine need two names; the
    /// prefix keeps other names of the domain from setting it (RFC 6265bis section 4.1.3).
    pub(super) fn session_cookie(&self) -> String {
        format!("{}oxpost_{}", if self.https { "__Host-" } else { "" }, self.port)
    }

    /// A cookie as it is set.
    pub(super) fn cookie(&self, name: &str, value: &str, rest: &str) -> Option<HeaderValue> {
        let secure = if self.https { "; Secure" } else { "" };
        HeaderValue::from_str(&format!("{name}={value}; HttpOnly; {rest}{secure}")).ok()
    }
}

/// The value of a cookie.
pub(super) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// An address cannot be pointed elsewhere, so every one is fine; of names only those that we know ourselves by.
fn kind_of(name: &str, setup: &Setup) -> Option<Kind> {
    if name == "localhost" {
        return Some(Kind::Localhost);
    }
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<std::net::IpAddr>() {
        let loopback = address.to_canonical().is_loopback();
        return Some(if loopback { Kind::LoopbackAddress } else { Kind::Other });
    }
    let is = |ours: &str| ours.trim_end_matches('.').eq_ignore_ascii_case(name);
    // Only where other machines can come in is there a reason to be called by a name.
    let called = setup.page.listen.iter().any(|address| !address.ip().to_canonical().is_loopback());
    let ours = called && (is(&setup.submission.hostname) || setup.submission.tls.names.iter().any(|ours| is(ours)));
    ours.then_some(Kind::Other)
}

#[cfg(test)]
mod tests {
    use super::super::tests::setup;
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (http::HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn only_our_own_names_get_a_page() {
        let mut setup = setup();
        setup.page.public_url = Some("https://mail.contoso.com".parse().unwrap());
        let table = [
            ("localhost:8025", Some((Kind::Localhost, "http://localhost:8025")), "where it lives"),
            ("LOCALHOST:8025", Some((Kind::Localhost, "http://localhost:8025")), "names have no case"),
            ("localhost", Some((Kind::Localhost, "http://localhost")), "the port of the scheme"),
            ("127.0.0.1:8025", Some((Kind::LoopbackAddress, "http://127.0.0.1:8025")), "an address"),
            ("[::1]:8025", Some((Kind::LoopbackAddress, "http://[::1]:8025")), "IPv6"),
            ("192.0.2.7:8025", Some((Kind::Other, "http://192.0.2.7:8025")), "an address cannot be rebound"),
            ("mail.contoso.com", Some((Kind::Public, "https://mail.contoso.com")), "public_url"),
            ("mail.contoso.com:8025", None, "public_url has no such port"),
            ("gateway.test:8025", None, "our name, but nobody can come in by it"),
            ("evil.example:8025", None, "rebinding"),
            ("localhost.evil.example:8025", None, "rebinding with a name that begins like ours"),
            ("127.0.0.1.evil.example", None, "rebinding with a name that begins like an address"),
            ("evil.example@localhost:8025", None, "a name before the name"),
            ("localhost:8025/..", None, "more than a name"),
            ("", None, "nothing"),
        ];
        for (host, expected, why) in table {
            let site = Site::of(&headers(&[("host", host)]), &setup);
            let found = site.as_ref().map(|site| (site.kind, site.origin.as_str()));
            assert_eq!(found, expected, "{host}: {why}");
        }
        assert_eq!(Site::of(&HeaderMap::new(), &setup), None, "HTTP/1.0 without a name");
    }

    #[test]
    fn where_others_can_come_in_our_names_are_taken() {
        let mut setup = setup();
        setup.page.listen = vec!["0.0.0.0:8025".parse().unwrap()];
        (setup.page.tls, setup.submission.tls.names) = (true, vec!["mx.test".to_owned()]);
        for (host, ours) in [("gateway.test:8025", true), ("mx.test:8025", true), ("evil.example:8025", false)] {
            let site = Site::of(&headers(&[("host", host)]), &setup);
            assert_eq!(site.is_some_and(|site| site.https), ours, "{host}");
        }
    }

    #[test]
    fn a_request_from_elsewhere_is_told_from_one_of_ours() {
        let site = Site::of(&headers(&[("host", "localhost:8025")]), &setup()).unwrap();
        type Row<'a> = (&'a [(&'a str, &'a str)], bool, &'a str);
        let table: [Row<'_>; 10] = [
            (&[("sec-fetch-site", "same-origin"), ("origin", "http://localhost:8025")], true, "a form of ours"),
            (&[("sec-fetch-site", "same-origin")], true, "without an origin"),
            (&[("origin", "http://localhost:8025")], true, "an older browser"),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")], false, "another site"),
            (&[("sec-fetch-site", "same-site"), ("origin", "http://localhost:3000")], false, "another port"),
            (&[("origin", "http://localhost:3000")], false, "another port, an older browser"),
            (&[("origin", "null")], false, "a sandboxed frame"),
            (&[("sec-fetch-site", "none")], false, "typed in: nobody types a form"),
            (&[("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")], false, "a contradiction"),
            (&[], false, "no browser"),
        ];
        for (pairs, ours, why) in table {
            let headers: HeaderMap = pairs
                .iter()
                .map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap()))
                .collect();
            assert_eq!(site.sent(&headers), ours, "{why}");
        }
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let headers = headers(&[("cookie", "a=1; oxpost_8025=secret; b=x=y"), ("cookie", "c=3")]);
        assert_eq!(cookie(&headers, "oxpost_8025"), Some("secret"));
        assert_eq!((cookie(&headers, "b"), cookie(&headers, "c")), (Some("x=y"), Some("3")));
        assert_eq!(cookie(&headers, "post_8025"), None);
    }
}
