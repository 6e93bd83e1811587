//! The page's port: bound with the other listeners, served beside them.

use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::StartError;
use crate::front::admin::{Control, PageSettings, page, serve};
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
    let Some(Ok(first)) = sockets.first().map(TcpListener::local_addr) else { return };
    let setup = control.setup.load();
    if let Some(place) = place(&setup.page, &setup.submission.hostname, first) {
        control.links.lead_to(place);
    }
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
