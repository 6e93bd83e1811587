//! Signed assertions (JSON Web Tokens): an app proves itself with a private key instead of a secret (RFC 7523).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::clock::Timestamp;
use crate::secret::Secret;

/// How long a client assertion is good. Microsoft advises 5 to 10 minutes ("Certificate credentials").
const LIFETIME: Duration = Duration::from_secs(5 * 60);
/// How far before now an assertion begins: clocks differ.
const BACKDATED: Duration = Duration::from_secs(60);
/// How long an assertion of a service account is good; Google allows no more.
const SERVICE_ACCOUNT_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// Why a text is no key to sign with. The key is never shown.
#[derive(Debug, thiserror::Error)]
pub enum AssertionKeyError {
    /// There is no private key in it.
    #[error("it holds no private key in PEM form (BEGIN PRIVATE KEY); one with a password must be opened first")]
    NoKey,
    /// The key is of a kind that is not used here.
    #[error("its private key is neither RSA of at least 2048 bits nor ECDSA on P-256")]
    Unusable,
    /// The certificate cannot be read.
    #[error("its certificate cannot be read")]
    Certificate,
    /// The two are not a pair.
    #[error("its certificate belongs to another private key")]
    NotAPair,
    /// It is not a service account's key.
    #[error("it is not the JSON key of a service account, as the Google Cloud console gives it")]
    ServiceAccount,
}

/// A private key that signs client assertions, with its certificate if it has one. `Debug` does not show it.
#[derive(Clone)]
pub struct AssertionKey(Arc<Inner>);

struct Inner {
    signer: Signer,
    /// base64url(SHA-256(DER of the certificate)), RFC 7515 section 4.1.8.
    thumbprint: Option<String>,
    key_id: Option<String>,
    not_after: Option<Timestamp>,
    fingerprint: Vec<u8>,
}

enum Signer {
    /// PS256.
    Rsa(RsaKeyPair),
    /// ES256.
    Ecdsa(EcdsaKeyPair),
}

impl AssertionKey {
    /// Reads PEM: a private key and, in any order, its certificate. `key_id` becomes `kid`, for providers that know
    /// keys by name.
    ///
    /// # Errors
    /// See [`AssertionKeyError`].
    pub fn from_pem(text: &Secret, key_id: Option<String>) -> Result<Self, AssertionKeyError> {
        let pem = text.expose().as_bytes();
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| AssertionKeyError::NoKey)?;
        let signer = Signer::from_der(&key)?;
        let certificate = match CertificateDer::pem_slice_iter(pem).next() {
            Some(certificate) => Some(certificate.map_err(|_| AssertionKeyError::Certificate)?),
            None => None,
        };
        let not_after = match &certificate {
            Some(certificate) => Some(check_certificate(certificate, &signer)?),
            None => None,
        };
        Ok(Self(Arc::new(Inner {
            thumbprint: certificate.map(|der| URL_SAFE_NO_PAD.encode(digest(&SHA256, &der))),
            fingerprint: digest(&SHA256, pem).as_ref().to_vec(),
            signer,
            key_id,
            not_after,
        })))
    }

    /// When the certificate ends.
    pub fn not_after(&self) -> Option<Timestamp> {
        self.0.not_after
    }

    /// A fresh assertion that `client_id` is who asks `audience` (RFC 7523 section 3). `id` must not come twice.
    pub(super) fn assertion(&self, client_id: &str, audience: &str, id: &str, now: Timestamp) -> Option<Secret> {
        let mut header = json!({ "typ": "JWT", "alg": self.0.signer.algorithm() });
        if let Some(thumbprint) = &self.0.thumbprint {
            header["x5t#S256"] = json!(thumbprint);
        }
        if let Some(key_id) = &self.0.key_id {
            header["kid"] = json!(key_id);
        }
        let begin = seconds(now.minus(BACKDATED));
        let claims = json!({
            "iss": client_id,
            "sub": client_id,
            "aud": audience,
            "jti": id,
            "iat": begin,
            "nbf": begin,
            "exp": seconds(now.plus(LIFETIME)),
        });
        signed(&header, &claims, |text| self.0.signer.sign(text))
    }

    pub(super) fn same_as(&self, other: &Self) -> bool {
        self.0.fingerprint == other.0.fingerprint && self.0.key_id == other.0.key_id
    }
}

impl fmt::Debug for AssertionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssertionKey({})", self.0.signer.algorithm())
    }
}

impl Signer {
    fn from_der(key: &PrivateKeyDer<'_>) -> Result<Self, AssertionKeyError> {
        let rsa = if let PrivateKeyDer::Pkcs1(der) = key {
            RsaKeyPair::from_der(der.secret_pkcs1_der()).ok()
        } else if let PrivateKeyDer::Pkcs8(der) = key {
            RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).ok()
        } else {
            None
        };
        if let Some(rsa) = rsa.filter(|key| key.public_modulus_len() >= 256) {
            return Ok(Self::Rsa(rsa));
        }
        let ecdsa = if let PrivateKeyDer::Sec1(der) = key {
            EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_sec1_der()).ok()
        } else if let PrivateKeyDer::Pkcs8(der) = key {
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der()).ok()
        } else {
            None
        };
        ecdsa.map(Self::Ecdsa).ok_or(AssertionKeyError::Unusable)
    }

    /// RFC 7518 section 3.1. Microsoft takes PS256 and not ES256.
    const fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "PS256",
            Self::Ecdsa(_) => "ES256",
        }
    }

    fn public_key(&self) -> &[u8] {
        match self {
            Self::Rsa(key) => key.public_key().as_ref(),
            Self::Ecdsa(key) => key.public_key().as_ref(),
        }
    }

    fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PSS_SHA256, &SystemRandom::new(), text, &mut signature).ok()?;
                Some(signature)
            }
            Self::Ecdsa(key) => Some(key.sign(&SystemRandom::new(), text).ok()?.as_ref().to_vec()),
        }
    }
}

/// Gives the end of a certificate that belongs to the key.
fn check_certificate(der: &CertificateDer<'_>, signer: &Signer) -> Result<Timestamp, AssertionKeyError> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| AssertionKeyError::Certificate)?;
    if certificate.public_key().subject_public_key.data != signer.public_key() {
        return Err(AssertionKeyError::NotAPair);
    }
    Ok(Timestamp::from_millis(certificate.validity().not_after.timestamp().saturating_mul(1_000)))
}

/// A Google service account's key. `Debug` does not show it.
pub struct ServiceAccount {
    email: String,
    key_id: Option<String>,
    key: RsaKeyPair,
    token_url: Option<String>,
    fingerprint: Vec<u8>,
}

#[derive(Deserialize)]
struct KeyFile {
    #[serde(rename = "type")]
    kind: String,
    client_email: String,
    private_key: Secret,
    private_key_id: Option<String>,
    token_uri: Option<String>,
}

impl ServiceAccount {
    /// Reads the JSON key that the Google Cloud console gives.
    ///
    /// # Errors
    /// It is something else, or its private key cannot be used.
    pub fn from_json(text: &Secret) -> Result<Self, AssertionKeyError> {
        let file: KeyFile = serde_json::from_str(text.expose()).map_err(|_| AssertionKeyError::ServiceAccount)?;
        if file.kind != "service_account" {
            return Err(AssertionKeyError::ServiceAccount);
        }
        let der = PrivateKeyDer::from_pem_slice(file.private_key.expose().as_bytes());
        let Signer::Rsa(key) = Signer::from_der(&der.map_err(|_| AssertionKeyError::NoKey)?)? else {
            return Err(AssertionKeyError::Unusable);
        };
        let fingerprint = digest(&SHA256, text.expose().as_bytes()).as_ref().to_vec();
        let (email, key_id, token_url) = (file.client_email, file.private_key_id, file.token_uri);
        Ok(Self { email, key_id, key, token_url, fingerprint })
    }

    /// The service account's own address.
    pub fn email(&self) -> &str {
        &self.email
    }

    /// The token endpoint that the key names.
    pub fn token_url(&self) -> Option<&str> {
        self.token_url.as_deref()
    }

    /// A fresh assertion for acting as `mailbox` ("Using OAuth 2.0 for server to server applications").
    pub(super) fn assertion(&self, mailbox: &str, scopes: &str, audience: &str, now: Timestamp) -> Option<Secret> {
        let header = json!({ "typ": "JWT", "alg": "RS256", "kid": self.key_id });
        let begin = now.minus(BACKDATED);
        let claims = json!({
            "iss": self.email,
            "sub": mailbox,
            "scope": scopes,
            "aud": audience,
            "iat": seconds(begin),
            "exp": seconds(begin.plus(SERVICE_ACCOUNT_LIFETIME)),
        });
        signed(&header, &claims, |text| {
            let mut signature = vec![0; self.key.public_modulus_len()];
            self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text, &mut signature).ok()?;
            Some(signature)
        })
    }

    pub(super) fn same_as(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceAccount({})", self.email)
    }
}

const fn seconds(moment: Timestamp) -> i64 {
    moment.as_millis().div_euclid(1_000)
}

/// The compact form (RFC 7515 section 7.1).
fn signed(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Option<Vec<u8>>) -> Option<Secret> {
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = URL_SAFE_NO_PAD.encode(sign(text.as_bytes())?);
    Some(Secret::new(format!("{text}.{signature}")))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256};
    use aws_lc_rs::signature::{UnparsedPublicKey, VerificationAlgorithm};
    use rcgen::{CertificateParams, KeyPair as Pair};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn pair(algorithm: &'static rcgen::SignatureAlgorithm) -> (Pair, String) {
        let pair = Pair::generate_for(algorithm).unwrap();
        let mut params = CertificateParams::new(["oxpost.example".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2027, 3, 1);
        let certificate = params.self_signed(&pair).unwrap().pem();
        (pair, certificate)
    }

    fn parts(jwt: &Secret) -> (Value, Value, Vec<u8>, Vec<u8>) {
        let (text, signature) = jwt.expose().rsplit_once('.').unwrap();
        let (header, claims) = text.split_once('.').unwrap();
        let read = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        (read(header), read(claims), text.as_bytes().to_vec(), URL_SAFE_NO_PAD.decode(signature).unwrap())
    }

    fn verify(algorithm: &'static dyn VerificationAlgorithm, key: &[u8], text: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(algorithm, key).verify(text, signature).is_ok()
    }

    #[test]
    fn an_rsa_key_signs_with_ps256_and_names_its_certificate() {
        let (pair, certificate) = pair(&rcgen::PKCS_RSA_SHA256);
        let pem = Secret::new(format!("{certificate}{}", pair.serialize_pem()));
        let key = AssertionKey::from_pem(&pem, None).unwrap();
        assert_eq!(key.not_after().unwrap().to_string(), "2027-03-01T00:00:00Z");
        let jwt = key.assertion("app-id", "https://login.example/token", "one", NOW).unwrap();
        let (header, claims, text, signature) = parts(&jwt);
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, &der));
        assert_eq!(header, json!({ "typ": "JWT", "alg": "PS256", "x5t#S256": thumbprint }));
        assert_eq!(
            (&claims["iss"], &claims["sub"], &claims["jti"]),
            (&json!("app-id"), &json!("app-id"), &json!("one"))
        );
        assert_eq!((&claims["nbf"], &claims["exp"]), (&json!(1_799_999_940), &json!(1_800_000_300)));
        assert_eq!(claims["aud"], "https://login.example/token");
        let public = key.0.signer.public_key();
        assert!(verify(&RSA_PSS_2048_8192_SHA256, public, &text, &signature));
        assert!(!verify(&RSA_PSS_2048_8192_SHA256, public, b"other", &signature));
        assert_eq!(format!("{key:?}"), "AssertionKey(PS256)");
    }

    #[test]
    fn an_ecdsa_key_signs_with_es256_and_is_known_by_its_name() {
        let (pair, _) = pair(&rcgen::PKCS_ECDSA_P256_SHA256);
        let key = AssertionKey::from_pem(&Secret::new(pair.serialize_pem()), Some("key-1".into())).unwrap();
        let (header, _, text, signature) = parts(&key.assertion("app", "aud", "two", NOW).unwrap());
        assert_eq!(header, json!({ "typ": "JWT", "alg": "ES256", "kid": "key-1" }));
        assert!(verify(&ECDSA_P256_SHA256_FIXED, key.0.signer.public_key(), &text, &signature));
        assert_eq!(key.not_after(), None);
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_reason() {
        let (rsa, _) = pair(&rcgen::PKCS_RSA_SHA256);
        let (_, foreign) = pair(&rcgen::PKCS_RSA_SHA256);
        let (p384, _) = pair(&rcgen::PKCS_ECDSA_P384_SHA384);
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let table = [
            (foreign.clone(), "no private key", "a certificate alone"),
            ("hunter2".into(), "no private key", "no PEM"),
            (format!("{foreign}{}", rsa.serialize_pem()), "another private key", "not a pair"),
            (format!("{broken}{}", rsa.serialize_pem()), "cannot be read", "a broken certificate"),
            (p384.serialize_pem(), "neither RSA", "another curve"),
        ];
        for (pem, words, why) in table {
            let error = AssertionKey::from_pem(&Secret::new(pem), None).unwrap_err().to_string();
            assert!(error.contains(words), "{why}: {error}");
        }
    }

    #[test]
    fn a_service_account_asks_to_act_as_the_mailbox() {
        let (pair, _) = pair(&rcgen::PKCS_RSA_SHA256);
        let file = json!({
            "type": "service_account",
            "client_email": "gateway@project.iam.gserviceaccount.com",
            "private_key": pair.serialize_pem(),
            "private_key_id": "abc",
            "token_uri": "https://oauth2.googleapis.com/token",
        });
        let account = ServiceAccount::from_json(&Secret::new(file.to_string())).unwrap();
        let jwt = account.assertion("a@b.example", "https://mail.google.com/", "https://t.example/", NOW).unwrap();
        let (header, claims, text, signature) = parts(&jwt);
        assert_eq!((&header["alg"], &header["kid"]), (&json!("RS256"), &json!("abc")));
        assert_eq!((&claims["sub"], &claims["scope"]), (&json!("a@b.example"), &json!("https://mail.google.com/")));
        let (begin, end) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
        assert!(begin < 1_800_000_000 && end - begin == 3600, "Google allows an hour from `iat`");
        assert!(verify(&RSA_PKCS1_2048_8192_SHA256, account.key.public_key().as_ref(), &text, &signature));
        for bad in ["{}", "x", r#"{"type":"authorized_user","client_email":"a","private_key":"b"}"#] {
            assert!(matches!(ServiceAccount::from_json(&Secret::new(bad)), Err(AssertionKeyError::ServiceAccount)));
        }
    }
}
