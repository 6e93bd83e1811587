//! The way to a server: name, connection, TLS.

use std::io::Write;
use std::net::SocketAddr;

use tokio::time::timeout;

use super::chart::Chart;
use super::{STEP, Server};
use crate::net::connect::{ConnectError, Connector};

const NETWORK: &str = "check this machine's network and its firewall: does it let connections out to that port?";
const PROXY: &str = "see `[network]` in the configuration, and the log of the proxy";
const RESOLVER: &str = "check the name in the configuration, and this machine's DNS (`getent hosts NAME`)";
const CERTIFICATE: &str = "check this machine's clock and its CA certificates, and whether a proxy or virus scanner breaks \
                           TLS open: its CA goes into `ca_file`";

/// What takes connections out.
pub(super) struct Network {
    pub(super) connector: Connector,
}

impl Network {
    /// Goes as far as it gets.
    pub(super) async fn examine(&self, server: &Server, chart: &mut Chart<impl Write>) {
        let Server { host, port, .. } = server;
        if let Some(proxy) = self.connector.proxy_for(host) {
            let what = format!("{host}:{port} goes through the proxy `{}`, which looks its name up", proxy.name());
            chart.skipped("dns", &what);
            return self.connect(server, chart).await;
        }
        match timeout(STEP, tokio::net::lookup_host((host.as_str(), *port))).await {
            Err(_) => return chart.bad("dns", &format!("the look-up of `{host}` takes more than 10 s"), RESOLVER),
            Ok(Err(error)) => return chart.bad("dns", &format!("`{host}` has no address: {error}"), RESOLVER),
            Ok(Ok(found)) => {
                let found: Vec<_> = found.map(|address: SocketAddr| address.ip().to_string()).collect();
                chart.fine("dns", &format!("{host} is {}", found.join(", ")));
            }
        }
        self.connect(server, chart).await;
    }

    async fn connect(&self, server: &Server, chart: &mut Chart<impl Write>) {
        let Server { host, port, .. } = server;
        let stream = match self.connector.tcp(host, *port, STEP).await {
            Ok(stream) => stream,
            // Its words end in what to do.
            Err(error @ ConnectError::Proxy { .. }) => return chart.bad("connect", &error.to_string(), PROXY),
            Err(error) => return chart.bad("connect", &error.to_string(), NETWORK),
        };
        chart.fine("connect", &format!("{host}:{port} takes connections"));
        if server.tls {
            match self.connector.tls(host, stream, STEP).await {
                Ok(_) => chart.fine("tls", &format!("the certificate of {host} is good")),
                Err(error) => chart.bad("tls", &error.to_string(), CERTIFICATE),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn found(host: &str, port: u16, tls: bool) -> String {
        let mut written = Vec::new();
        let network = Network { connector: Connector::new(None).unwrap() };
        let server = Server { host: host.to_owned(), port, tls };
        network.examine(&server, &mut Chart::new(&mut written)).await;
        String::from_utf8(written).unwrap()
    }

    #[tokio::test]
    async fn each_step_of_the_way_is_named_where_it_fails() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let open = found("127.0.0.1", port, false).await;
        assert!(open.contains("ok    connect") && !open.contains("FAIL"), "{open}");
        drop(listener);
        let closed = found("127.0.0.1", port, false).await;
        assert!(closed.contains("FAIL  connect") && closed.contains("firewall"), "{closed}");
        let unknown = found("no-such-host.invalid", 443, true).await;
        assert!(unknown.contains("FAIL  dns") && unknown.contains("getent"), "{unknown}");
    }

    #[tokio::test]
    async fn a_certificate_of_an_unknown_authority_is_named() {
        use crate::practice;
        let tenant = practice::Tenant::start(practice::Settings::default()).await.unwrap();
        let url = tenant.https_origin();
        let said = found("127.0.0.1", url.port().unwrap(), true).await;
        assert!(said.contains("FAIL  tls") && said.contains("does not trust") && said.contains("`ca_file`"), "{said}");
    }
}
