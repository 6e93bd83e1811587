//! TLS for our own listeners, with certificates that can change while the program runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{fs, io};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::SignatureAlgorithm;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SigningKey};
use tokio_rustls::TlsAcceptor;

use super::certificate::{self, CertificateError, Files};
use crate::clock::Timestamp;

/// How often the certificate files are looked at for a change.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Which certificates to serve.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsSettings {
    /// The folder for self-made certificates.
    pub folder: PathBuf,
    /// The operator's own certificate; `None`: self-made ones.
    pub own: Option<Files>,
    /// The names and addresses that self-made certificates are for.
    pub names: Vec<String>,
}

/// TLS as our listeners speak it: 1.2 and 1.3.
#[derive(Clone)]
pub struct ServerTls {
    acceptor: TlsAcceptor,
    resolver: Arc<Resolver>,
    files: Arc<Vec<Files>>,
}

#[derive(Debug)]
struct Resolver(ArcSwap<Vec<Arc<CertifiedKey>>>);

impl ResolvesServerCert for Resolver {
    /// The first certificate whose key can sign what the client knows.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let knows = |key: &dyn SigningKey| key.choose_scheme(hello.signature_schemes()).is_some();
        self.0.load().iter().find(|certified| knows(certified.key.as_ref())).cloned()
    }
}

impl ServerTls {
    /// Loads the certificates, making them first if the operator gave none.
    pub fn open(settings: &TlsSettings, now: Timestamp) -> Result<Self, CertificateError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let files = match &settings.own {
            Some(own) => vec![own.clone()],
            None => certificate::make_missing(&settings.folder, &settings.names, now)?.to_vec(),
        };
        let resolver = Arc::new(Resolver(ArcSwap::from_pointee(load_all(&files, &provider)?)));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| CertificateError::Content { path: settings.folder.clone(), cause: error.to_string() })?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&resolver) as Arc<dyn ResolvesServerCert>);
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), resolver, files: Arc::new(files) })
    }

    /// What turns a connection into a TLS one.
    pub fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// Reads the files again. On an error the old certificates stay in use.
    pub fn reload(&self) -> Result<(), CertificateError> {
        self.resolver.0.store(Arc::new(load_all(&self.files, &aws_lc_rs::default_provider())?));
        Ok(())
    }

    /// Reloads whenever a file changes; runs until it is dropped. Looking is dull and works on every file system.
    pub async fn watch(self) {
        let mut seen = self.modified();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.modified();
            if now == seen {
                continue;
            }
            match self.reload() {
                Ok(()) => tracing::info!("certificates changed and were loaded"),
                Err(error) => tracing::warn!(%error, "changed certificates cannot be used; the old ones stay"),
            }
            seen = now;
        }
    }

    fn modified(&self) -> BTreeMap<PathBuf, Option<SystemTime>> {
        let time = |path: &PathBuf| fs::metadata(path).and_then(|meta| meta.modified()).ok();
        self.files.iter().flat_map(|f| [&f.certificate, &f.key]).map(|path| (path.clone(), time(path))).collect()
    }
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls").field("files", &self.files).finish_non_exhaustive()
    }
}

/// ECDSA first: it is cheaper, and clients that do not know it get the RSA one.
fn load_all(files: &[Files], provider: &CryptoProvider) -> Result<Vec<Arc<CertifiedKey>>, CertificateError> {
    let mut all = files.iter().map(|files| certificate::load(files, provider)).collect::<Result<Vec<_>, _>>()?;
    all.sort_by_key(|certified| certified.key.algorithm() == SignatureAlgorithm::RSA);
    Ok(all)
}

/// What to tell the operator about a TLS hello that could not be served.
pub fn remedy(error: &io::Error, too_old: bool) -> &'static str {
    let words = error.to_string();
    if too_old || words.contains("ProtocolVersion") || words.contains("protocol version") {
        "the client speaks no TLS newer than 1.1: give it a listener with `tls = \"none\"` on a trusted network, or update its firmware"
    } else if words.contains("CertificateUnknown") || words.contains("UnknownCA") || words.contains("BadCertificate") {
        "the client does not trust the certificate: import `ca.pem` from the certs folder into it, or switch its certificate check off"
    } else if words.contains("NoCipherSuites") || words.contains("HandshakeFailure") {
        "client and server share no cipher: update the client's firmware, or give it a listener with `tls = \"none\"`"
    } else {
        "if it stays, try `tls = \"auto\"`, or `tls = \"none\"` on a trusted network"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_certificate_leaves_the_old_one_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let settings = TlsSettings { folder: folder.path().to_owned(), own: None, names: vec!["a.example".to_owned()] };
        let tls = ServerTls::open(&settings, Timestamp::from_millis(0)).unwrap();
        let loaded = tls.resolver.0.load_full();
        assert_eq!(loaded[0].key.algorithm(), SignatureAlgorithm::ECDSA, "the cheaper one first");
        fs::write(folder.path().join("rsa.pem"), "cut short").unwrap();
        assert!(tls.reload().is_err());
        assert!(Arc::ptr_eq(&loaded, &tls.resolver.0.load_full()));
    }
}
