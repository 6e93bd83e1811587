//! Certificates for our own listeners: the operator's, or self-made at the first start.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};

use crate::clock::Timestamp;

/// How long self-made certificates are good, in days: as long as devices that must import the CA are in use.
const CA_DAYS: i64 = 3650;
/// Leaves are renewed by removing their files; some clients refuse more than 825 days.
const LEAF_DAYS: i64 = 820;

/// The files of one certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Files {
    /// PEM: leaf first, then the chain.
    pub certificate: PathBuf,
    /// PEM: the private key.
    pub key: PathBuf,
}

impl Files {
    /// `NAME.pem` and `NAME.key` in a folder.
    pub fn in_folder(folder: &Path, name: &str) -> Self {
        Self { certificate: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) }
    }
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read or written.
    #[error("certificate file `{path}`: {cause}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file does not hold what it should.
    #[error("certificate file `{path}`: {cause}; it must hold PEM (BEGIN CERTIFICATE, BEGIN PRIVATE KEY)")]
    Content {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// Making our own failed.
    #[error("cannot make a certificate: {0}")]
    Making(#[from] rcgen::Error),
}

/// Reads a certificate with its key and checks that they belong together.
pub fn load(files: &Files, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, CertificateError> {
    let content = |path: &Path, cause: String| CertificateError::Content { path: path.to_owned(), cause };
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| content(&files.certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(content(&files.certificate, "it holds no certificate".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| content(&files.key, error.to_string()))?;
    let certified =
        CertifiedKey::from_der(chain, key, provider).map_err(|error| content(&files.key, error.to_string()))?;
    Ok(Arc::new(certified))
}

/// Makes a small CA (`ca.pem`, to be imported into clients) and two leaves, `ecdsa` and `rsa`, unless they are there.
/// Old devices know RSA alone. Returns the leaves' files.
pub fn make_missing(folder: &Path, names: &[String], now: Timestamp) -> Result<[Files; 2], CertificateError> {
    let leaves = [Files::in_folder(folder, "ecdsa"), Files::in_folder(folder, "rsa")];
    if leaves.iter().all(|files| files.certificate.exists() && files.key.exists()) {
        return Ok(leaves);
    }
    fs::create_dir_all(folder).map_err(|cause| CertificateError::File { path: folder.to_owned(), cause })?;
    let ca_key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let ca = ca_params(now);
    let ca_certificate = ca.self_signed(&ca_key)?;
    let issuer = Issuer::new(ca, ca_key);
    for (files, algorithm) in leaves.iter().zip([&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_RSA_SHA256]) {
        let key = KeyPair::generate_for(algorithm)?;
        let leaf = leaf_params(names, now)?.signed_by(&key, &issuer)?;
        write_private(&files.key, &key.serialize_pem())?;
        write_public(&files.certificate, &leaf.pem())?;
    }
    // The CA's key is gone after this line: nobody can ever sign another certificate with what clients came to trust.
    write_public(&folder.join("ca.pem"), &ca_certificate.pem())?;
    tracing::info!(folder = %folder.display(), ca = %folder.join("ca.pem").display(), "made a CA and certificates; import the CA into clients that check certificates");
    Ok(leaves)
}

fn ca_params(now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name("oxpost local CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = validity(now, CA_DAYS);
    params
}

fn leaf_params(names: &[String], now: Timestamp) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = name(names.first().map_or("oxpost", String::as_str));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = validity(now, LEAF_DAYS);
    Ok(params)
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

/// From a day ago (clients' clocks are wrong) for some days.
fn validity(now: Timestamp, days: i64) -> (OffsetDateTime, OffsetDateTime) {
    let now = OffsetDateTime::from_unix_timestamp(now.as_millis() / 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    (now - Duration::days(1), now + Duration::days(days))
}

fn write_public(path: &Path, text: &str) -> Result<(), CertificateError> {
    fs::write(path, text).map_err(|cause| CertificateError::File { path: path.to_owned(), cause })
}

/// Readable by us alone from the first octet on.
fn write_private(path: &Path, text: &str) -> Result<(), CertificateError> {
    use std::os::unix::fs::OpenOptionsExt;
    let write = || -> io::Result<()> {
        if path.exists() {
            fs::remove_file(path)?;
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|cause| CertificateError::File { path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider() -> CryptoProvider {
        rustls::crypto::aws_lc_rs::default_provider()
    }

    #[test]
    fn certificates_are_made_once_and_can_be_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["mail.example".to_owned(), "192.0.2.1".to_owned()];
        let now = Timestamp::from_millis(1_795_219_200_000);
        let leaves = make_missing(folder.path(), &names, now).unwrap();
        let before = fs::read(&leaves[0].certificate).unwrap();
        for files in &leaves {
            load(files, &provider()).unwrap();
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&files.key).unwrap().permissions().mode() & 0o777, 0o600);
        }
        make_missing(folder.path(), &names, now).unwrap();
        assert_eq!(fs::read(&leaves[0].certificate).unwrap(), before, "made again");
    }

    #[test]
    fn a_key_that_does_not_belong_is_refused_with_the_file_named() {
        let folder = tempfile::tempdir().unwrap();
        let leaves = make_missing(folder.path(), &["a.example".to_owned()], Timestamp::from_millis(0)).unwrap();
        let mixed = Files { certificate: leaves[0].certificate.clone(), key: leaves[1].key.clone() };
        let error = load(&mixed, &provider()).unwrap_err().to_string();
        assert!(error.contains("rsa.key"), "{error}");
        fs::write(&leaves[0].certificate, "nonsense").unwrap();
        let error = load(&leaves[0], &provider()).unwrap_err().to_string();
        assert!(error.contains("ecdsa.pem") && error.contains("PEM"), "{error}");
    }
}
