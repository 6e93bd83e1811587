//! What can go wrong with a request, told apart by what the caller must do.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rustls::CertificateError;

use super::{Handed, MAX_BODY};
use crate::proxy::Proxy;

/// Why a request has no answer. The text names the server and never the URL, a header or a body.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HttpError {
    /// Name resolution or connection failed, or the connection broke before the whole request was sent: it had no
    /// effect.
    #[error("{0}")]
    Unreachable(String),
    /// TLS could not be agreed on, or the server's certificate was not accepted: the request was not sent.
    #[error("{0}")]
    Tls(String),
    /// Time was up before the whole request was sent: it had no effect.
    #[error("{0}")]
    TimedOut(String),
    /// The connection broke or time was up after the whole request was sent: it may have had its effect.
    #[error("{0}")]
    AnswerLost(String),
    /// The answer's body passed [`MAX_BODY`]; the server's name.
    #[error("`{0}`: the answer is larger than {MAX_BODY} octets")]
    TooLarge(String),
    /// The request cannot be written: a bad URL or header value.
    #[error("{0}")]
    NotSendable(String),
}

/// Why there is no HTTP client.
#[derive(Debug, thiserror::Error)]
pub enum HttpSetupError {
    /// The file with certificate authorities is of no use.
    #[error("the CA file `{}` cannot be used: {why}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The proxy's host and port make no URL.
    #[error("the proxy `{0}` cannot be used: {1}")]
    Proxy(String, String),
    /// The TLS library refuses to start.
    #[error(
        "outgoing HTTPS cannot be set up: {0}; check that this machine has CA certificates (package `ca-certificates`)"
    )]
    Client(String),
}

impl HttpError {
    pub(super) fn of_request(
        server: &str,
        proxy: Option<&Proxy>,
        (error, handed, limit): (&reqwest::Error, &Handed, Duration),
    ) -> Self {
        if error.is_builder() {
            return Self::NotSendable(format!("`{server}`: the request cannot be sent: {}", chain(error)));
        }
        if let Some(tls) = tls_error(error).filter(|_| error.is_connect()) {
            return Self::Tls(format!("`{server}`: {}", tls_words(tls)));
        }
        if let Some(proxy) = proxy.filter(|_| error.is_connect()) {
            let words = format!("`{server}`: the proxy `{}` {}", proxy.name(), proxy_words(error, proxy));
            return if error.is_timeout() { Self::TimedOut(words) } else { Self::Unreachable(words) };
        }
        let seconds = limit.as_secs_f32();
        match (error.is_timeout(), error.is_connect() || !handed.whole()) {
            (true, true) if error.is_connect() => Self::TimedOut(format!("`{server}`: no connection in time")),
            (true, true) => Self::TimedOut(format!("`{server}`: not ready for the request within {seconds} s")),
            (true, false) => Self::AnswerLost(format!("`{server}`: no answer within {seconds} s")),
            (false, true) => Self::Unreachable(format!("`{server}`: {}", connection_words(error))),
            (false, false) => Self::AnswerLost(format!("`{server}`: connection lost: {}", chain(error))),
        }
    }

    pub(super) fn of_body(server: &str, error: &reqwest::Error) -> Self {
        let words = if error.is_timeout() { "time was up".to_owned() } else { chain(error) };
        Self::AnswerLost(format!("`{server}`: the answer broke off: {words}"))
    }
}

fn connection_words(error: &reqwest::Error) -> String {
    if error.is_dns() {
        return format!("the name cannot be resolved: {}", chain(error));
    }
    match io_kind(error) {
        Some(io::ErrorKind::ConnectionRefused) => "connection refused".to_owned(),
        Some(io::ErrorKind::HostUnreachable) => "no route to the host".to_owned(),
        Some(io::ErrorKind::NetworkUnreachable) => "the network is unreachable".to_owned(),
        _ => format!("no connection: {}", chain(error)),
    }
}

/// What is wrong with the way through a proxy. The library says no more of most answers than that they are not 200;
/// `oxpost doctor` asks by itself.
fn proxy_words(error: &reqwest::Error, proxy: &Proxy) -> String {
    let causes = chain(error).to_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| causes.contains(words));
    if error.is_timeout() {
        return "made no connection in time; it, or the server behind it, does not answer".to_owned();
    }
    if says(&["proxy authorization required", "auth"]) {
        let keys = "`proxy_login` and `proxy_password`";
        return match proxy.login {
            Some(_) => format!("does not accept the login; check {keys} in `[network]`"),
            None => format!("asks for a login; write {keys} into `[network]`"),
        };
    }
    if error.is_dns() || io_kind(error).is_some() || says(&["failed to create underlying connection"]) {
        return format!("could not be connected to: {causes}; check that it runs, and `proxy` in `[network]`");
    }
    format!("does not connect to that server ({causes}); `oxpost doctor` shows why")
}

fn tls_words(error: &rustls::Error) -> String {
    let rustls::Error::InvalidCertificate(why) = error else {
        return format!("TLS cannot be agreed on: {error}");
    };
    let fault = if matches!(why, CertificateError::Expired | CertificateError::ExpiredContext { .. }) {
        "has expired, or this machine's clock is wrong"
    } else if matches!(why, CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) {
        "is not valid yet, or this machine's clock is wrong"
    } else if matches!(why, CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) {
        "is for another name"
    } else if matches!(why, CertificateError::UnknownIssuer) {
        "comes from an authority that this machine does not trust"
    } else {
        "is not accepted"
    };
    format!("the server's certificate {fault} ({why})")
}

/// The causes below `error`, in their own words. Its own text is left out: it has the URL.
pub(super) fn chain(error: &reqwest::Error) -> String {
    let mut words: Vec<String> = causes(error).map(ToString::to_string).collect();
    // Wrappers often repeat what they wrap.
    words.dedup_by(|later, earlier| earlier.contains(later.as_str()));
    if words.is_empty() { "no details".to_owned() } else { words.join(": ") }
}

/// What lies below `error`, outermost first. What an `io::Error` holds is a cause too, though its `source` skips it.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let mut next = error.source();
    std::iter::from_fn(move || {
        let cause = next?;
        let held = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = held.map_or_else(|| cause.source(), |held| Some(held));
        Some(cause)
    })
}

fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind).last()
}

fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    causes(error).find_map(|cause| cause.downcast_ref())
}
