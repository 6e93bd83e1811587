//! A certificate authority for one run: nobody trusts it but who is handed its certificate.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::settings::PracticeError;
use crate::clock::Timestamp;

/// The authority's certificate and a server's TLS settings with a certificate from it.
pub(super) struct Authority {
    /// PEM, for clients to trust.
    pub(super) pem: String,
    /// For `localhost`, `127.0.0.1` and `::1`.
    pub(super) server: Arc<ServerConfig>,
}

impl Authority {
    /// Makes new keys and certificates.
    pub(super) fn make(now: Timestamp) -> Result<Self, PracticeError> {
        let ca_key = KeyPair::generate()?;
        let mut ca = dated(CertificateParams::default(), "oxpost practice tenant CA", now);
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca_certificate = ca.self_signed(&ca_key)?;
        let issuer = Issuer::new(ca, ca_key);

        let key = KeyPair::generate()?;
        let mut leaf = dated(CertificateParams::new(vec!["localhost".to_owned()])?, "localhost", now);
        leaf.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        leaf.subject_alt_names.push(SanType::IpAddress(IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)));
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        let certificate = leaf.signed_by(&key, &issuer)?;

        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)?;
        Ok(Self { pem: ca_certificate.pem(), server: Arc::new(server) })
    }
}

/// Good from the start of this year to the end of the next, which is short enough for every verifier.
fn dated(mut params: CertificateParams, name: &str, now: Timestamp) -> CertificateParams {
    let year = now.to_string().get(..4).and_then(|year| year.parse().ok()).unwrap_or(2026);
    params.not_before = rcgen::date_time_ymd(year, 1, 1);
    params.not_after = rcgen::date_time_ymd(year + 1, 12, 31);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
