//! The page's port: bound with the other listeners, served beside them.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::StartError;
use crate::front::admin::{Control, Links, PageSettings, Setup, page, serve};
use crate::net::{ServerTls, listen};

/// The sockets of the page; none if it is switched off, or if nobody asked for its port and somebody else has it.
pub(super) fn bind(settings: &PageSettings) -> Result<Vec<TcpListener>, StartError> {
    match bind_all(&settings.listen) {
        Ok(sockets) => Ok(sockets),
        Err((address, cause)) if settings.wanted => Err(StartError::Listen { address, cause }),
        Err((address, cause)) => {
            tracing::warn!(%address, %cause, "there is no page: its port is taken; choose another one in `[admin]`");
            Ok(Vec::new())
        }
    }
}

/// With port 0, the addresses share the free port that the first one got: they are one name to browsers.
fn bind_all(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, (SocketAddr, std::io::Error)> {
    let mut sockets: Vec<TcpListener> = Vec::new();
    for address in addresses {
        let mut address = *address;
        if address.port() == 0
            && let Some(Ok(first)) = sockets.first().map(TcpListener::local_addr)
        {
            address.set_port(first.port());
        }
        sockets.push(listen(address).map_err(|cause| (address, cause))?);
    }
    Ok(sockets)
}

/// What the page shows of the configuration, and what of it is as it was at the start: sockets stay as they are bound.
pub(super) struct Shown {
    setup: Arc<ArcSwap<Setup>>,
    links: Links,
    /// The address that links lead to; `None`: there is no page.
    first: Option<SocketAddr>,
}

impl Shown {
    pub(super) fn new(control: &Control, sockets: &[TcpListener]) -> Self {
        let first = sockets.first().and_then(|socket| socket.local_addr().ok());
        let shown = Self { setup: Arc::clone(&control.setup), links: control.links.clone(), first };
        shown.lead();
        shown
    }

    /// Shows another configuration, but for what waits for a restart.
    pub(super) fn swap(&self, new: Setup) {
        let bound = self.setup.load();
        let PageSettings { listen, wanted, tls, .. } = bound.page.clone();
        let page = PageSettings { listen, wanted, tls, ..new.page };
        self.setup.store(Arc::new(Setup { submission: bound.submission.clone(), page, ..new }));
        self.lead();
    }

    fn lead(&self) {
        let setup = self.setup.load();
        if let Some(place) = self.first.and_then(|first| place(&setup.page, &setup.submission.hostname, first)) {
            self.links.lead_to(place);
        }
    }
}

/// Where browsers find the page.
fn place(settings: &PageSettings, hostname: &str, first: SocketAddr) -> Option<Url> {
    if let Some(public) = &settings.public_url {
        return Some(public.clone());
    }
    let ip = first.ip().to_canonical();
    let host = match ip {
        _ if ip.is_loopback() => "localhost".to_owned(),
        _ if ip.is_unspecified() => hostname.to_owned(),
        std::net::IpAddr::V4(ip) => ip.to_string(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let scheme = if settings.tls { "https" } else { "http" };
    format!("{scheme}://{host}:{}/", first.port()).parse().ok()
}

/// Serves the page until `stopping`, and says where it is. Without a password, the first link into it goes to the log.
pub(super) fn start(
    sockets: Vec<TcpListener>,
    control: &Control,
    tls: Option<&ServerTls>,
    tasks: &TaskTracker,
    stopping: &CancellationToken,
) {
    let setup = control.setup.load();
    match control.links.page() {
        Some(place) if setup.page.password.is_some() => tracing::info!(page = %place, "the page is there"),
        _ => {
            if let Some(link) = control.links.make() {
                tracing::info!(%link, "the page is there; this link lets one browser in, once, within a day");
            }
        }
    }
    let tls = tls.filter(|_| setup.page.tls);
    let router = page(control.clone());
    for socket in sockets {
        tasks.spawn(serve(socket, tls.cloned(), router.clone(), stopping.clone()));
    }
}
