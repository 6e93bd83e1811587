//! Secrets at rest: AES-256-GCM (NIST SP 800-38D) under a key that is kept apart from the database.
//!
//! A sealed value is: format (1 octet, `1`), key id (8), nonce (12), ciphertext, tag (16). The account's name is
//! authenticated with it, so that a row cannot be moved to another account.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::secret::Secret;

/// The only format so far.
const FORMAT: u8 = 1;
const KEY_OCTETS: usize = 32;
const ID_OCTETS: usize = 8;
/// The name of the systemd credential (`LoadCredential=oxpost-key:...`).
const CREDENTIAL: &str = "oxpost-key";

/// The key that refresh tokens are sealed with. Cheap to clone; `Debug` shows where it came from.
#[derive(Clone)]
pub struct SealingKey(Arc<Inner>);

struct Inner {
    key: RandomizedNonceKey,
    id: [u8; ID_OCTETS],
    source: String,
}

/// Why there is no sealing key.
#[derive(Debug, thiserror::Error)]
pub enum SealingKeyError {
    /// The text is not a key.
    #[error(
        "{place} holds no sealing key: it must be {KEY_OCTETS} random octets in base64 (`head -c 32 /dev/urandom | base64`)"
    )]
    Malformed {
        /// Where the text came from.
        place: String,
    },
    /// Others can read the key file.
    #[error("the key file `{}` can be read by others (mode {mode:o}): run `chmod 600` on it, and sign in again if somebody may have taken it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file cannot be read or made.
    #[error("the key file `{}` cannot be used: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// Why a sealed value cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum UnsealError {
    #[error("it was sealed with another key")]
    OtherKey,
    #[error("it was written by a newer oxpost")]
    Newer,
    #[error("it is damaged")]
    Damaged,
}

impl SealingKey {
    /// The key in the file at `path`. Without such a file a new key is made and written with mode 0600.
    ///
    /// # Errors
    /// The file is readable by others, unreadable for us, holds no key, or cannot be made.
    pub fn load_or_create(path: &Path) -> Result<Self, SealingKeyError> {
        let failed = |error| SealingKeyError::File { path: path.to_owned(), error };
        match File::open(path) {
            Ok(file) => {
                let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
                if mode & 0o077 != 0 {
                    return Err(SealingKeyError::Exposed { path: path.to_owned(), mode });
                }
                let text = io::read_to_string(file).map(Zeroizing::new).map_err(failed)?;
                Self::parse(&text, format!("the key file `{}`", path.display()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(path).map_err(failed),
            Err(error) => Err(failed(error)),
        }
    }

    /// The key in a file that somebody else keeps, such as a systemd credential (`systemd.exec(5)`, "Credentials").
    ///
    /// # Errors
    /// The file is unreadable or holds no key.
    pub fn load(path: &Path) -> Result<Self, SealingKeyError> {
        match std::fs::read_to_string(path).map(Zeroizing::new) {
            Ok(text) => Self::parse(&text, format!("the file `{}`", path.display())),
            Err(error) => Err(SealingKeyError::File { path: path.to_owned(), error }),
        }
    }

    /// The key that systemd hands over as credential `oxpost-key` in `folder` (`$CREDENTIALS_DIRECTORY`); `None` if
    /// there is no such credential. See `systemd.exec(5)`, "Credentials".
    ///
    /// # Errors
    /// The credential is unreadable or holds no key.
    pub fn from_credential(folder: &Path) -> Result<Option<Self>, SealingKeyError> {
        let path = folder.join(CREDENTIAL);
        match std::fs::read_to_string(&path).map(Zeroizing::new) {
            Ok(text) => Self::parse(&text, format!("the systemd credential `{CREDENTIAL}`")).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(SealingKeyError::File { path, error }),
        }
    }

    /// The key in a text, such as the value of the environment variable that `place` names.
    ///
    /// # Errors
    /// The text is not 32 octets in base64.
    pub fn from_base64(text: &Secret, place: &str) -> Result<Self, SealingKeyError> {
        Self::parse(text.expose(), place.to_owned())
    }

    /// Where the key is kept, for the start's log: whoever makes a backup must know.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    fn parse(text: &str, place: String) -> Result<Self, SealingKeyError> {
        let octets = STANDARD.decode(text.trim()).map(Zeroizing::new);
        match octets.ok().and_then(|octets| Self::from_octets(&octets, place.clone())) {
            Some(key) => Ok(key),
            None => Err(SealingKeyError::Malformed { place }),
        }
    }

    fn from_octets(octets: &[u8], source: String) -> Option<Self> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, octets).ok()?;
        let mut id = [0; ID_OCTETS];
        id.copy_from_slice(&digest(&SHA256, &[b"oxpost sealing key id", octets].concat()).as_ref()[..ID_OCTETS]);
        Some(Self(Arc::new(Inner { key, id, source })))
    }

    fn create(path: &Path) -> io::Result<Self> {
        let mut octets = Zeroizing::new([0; KEY_OCTETS]);
        aws_lc_rs::rand::fill(&mut *octets).map_err(|_| io::Error::other("the system gives no random octets"))?;
        let text = Zeroizing::new(format!("{}\n", STANDARD.encode(*octets)));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        if let Err(error) = written {
            // Half a key would stop the next start.
            let _ = std::fs::remove_file(path);
            return Err(error);
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()?;
        let source = format!("the key file `{}` (made just now)", path.display());
        Self::from_octets(&*octets, source).ok_or_else(|| io::Error::other("the new key is not accepted"))
    }

    /// Seals a secret for `account`.
    pub(super) fn seal(&self, account: &str, plain: &[u8]) -> Result<Vec<u8>, aws_lc_rs::error::Unspecified> {
        let mut text = plain.to_vec();
        let nonce = self.0.key.seal_in_place_append_tag(Aad::from(account), &mut text)?;
        Ok([&[FORMAT], self.0.id.as_slice(), nonce.as_ref(), &text].concat())
    }

    /// Opens what [`SealingKey::seal`] made for the same account.
    pub(super) fn open(&self, account: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
        let (&format, rest) = sealed.split_first().ok_or(UnsealError::Damaged)?;
        if format != FORMAT {
            return Err(if format > FORMAT { UnsealError::Newer } else { UnsealError::Damaged });
        }
        let (id, rest) = rest.split_at_checked(ID_OCTETS).ok_or(UnsealError::Damaged)?;
        if id != self.0.id {
            return Err(UnsealError::OtherKey);
        }
        let (nonce, text) = rest.split_at_checked(NONCE_LEN).ok_or(UnsealError::Damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| UnsealError::Damaged)?;
        let mut text = Zeroizing::new(text.to_vec());
        let opened = self.0.key.open_in_place(nonce, Aad::from(account), &mut text);
        let length = opened.map_err(|_| UnsealError::Damaged)?.len();
        text.truncate(length);
        Ok(text)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", self.source())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(octet: u8) -> SealingKey {
        SealingKey::from_base64(&Secret::new(STANDARD.encode([octet; 32])), "`$OXPOST_KEY`").unwrap()
    }

    #[test]
    fn what_was_sealed_opens_for_the_same_account_and_key_alone() {
        let sealed = key(1).seal("scanner", b"refresh").unwrap();
        assert_eq!(key(1).open("scanner", &sealed).unwrap().as_slice(), b"refresh");
        assert_eq!(key(1).open("other", &sealed), Err(UnsealError::Damaged));
        assert_eq!(key(2).open("scanner", &sealed), Err(UnsealError::OtherKey));
        assert!(!sealed.windows(7).any(|part| part == b"refresh"));
        assert_ne!(key(1).seal("scanner", b"refresh").unwrap(), sealed, "the nonce is fresh each time");
    }

    #[test]
    fn any_changed_or_missing_octet_is_noticed() {
        let sealed = key(1).seal("scanner", b"refresh").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key(1).open("scanner", &changed).is_err(), "octet {at} changed");
            assert!(key(1).open("scanner", &sealed[..at]).is_err(), "cut before octet {at}");
        }
        assert_eq!(key(1).open("scanner", &[2; 60]), Err(UnsealError::Newer));
    }

    #[test]
    fn a_key_file_is_made_for_its_owner_alone_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let made = SealingKey::load_or_create(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let found = SealingKey::load_or_create(&path).unwrap();
        assert_eq!(found.open("a", &made.seal("a", b"x").unwrap()).unwrap().as_slice(), b"x");
        assert!(made.source().contains("made just now") && found.source().contains(&*path.to_string_lossy()));
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        SealingKey::load_or_create(&path).unwrap();
        for mode in [0o640, 0o604, 0o660] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = SealingKey::load_or_create(&path).unwrap_err().to_string();
            assert!(error.contains("chmod 600") && error.contains(&format!("{mode:o}")), "{error}");
        }
    }

    #[test]
    fn a_systemd_credential_is_used_if_there_is_one() {
        let folder = tempfile::tempdir().unwrap();
        assert!(SealingKey::from_credential(folder.path()).unwrap().is_none());
        std::fs::write(folder.path().join(CREDENTIAL), STANDARD.encode([1; 32])).unwrap();
        let found = SealingKey::from_credential(folder.path()).unwrap().unwrap();
        assert_eq!(found.open("a", &key(1).seal("a", b"x").unwrap()).unwrap().as_slice(), b"x");
    }

    #[test]
    fn a_text_that_is_no_key_is_refused_without_being_shown() {
        for (text, why) in [("", "empty"), ("c2hvcnQ=", "too short"), ("not base64 !", "no base64")] {
            let error = SealingKey::from_base64(&Secret::new(text), "`$OXPOST_KEY`").unwrap_err().to_string();
            assert!(error.contains("`$OXPOST_KEY`") && (text.is_empty() || !error.contains(text)), "{why}: {error}");
        }
        assert_eq!(format!("{:?}", key(1)), "SealingKey(`$OXPOST_KEY`)");
    }
}
