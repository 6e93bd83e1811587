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

/// The key that refresh tokens are sealed with, and older ones that still open what they sealed while keys are being
/// exchanged. Cheap to clone; `Debug` shows where it came from.
#[derive(Clone)]
pub struct SealingKey(Arc<Inner>);

struct Inner {
    key: Key,
    older: Vec<Key>,
    source: String,
    /// The file that is ours to write.
    path: Option<PathBuf>,
}

struct Key {
    cipher: RandomizedNonceKey,
    id: [u8; ID_OCTETS],
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
    /// Somebody else keeps the key, so oxpost cannot exchange it alone.
    #[error(
        "the key comes from {source_of_it}, which oxpost cannot write: put a new key (`head -c 32 /dev/urandom | base64`) \
         and a blank before the old one there and restart; the start seals everything with the first, and the old one \
         can be taken out"
    )]
    KeptElsewhere {
        /// Where it comes from.
        source_of_it: String,
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
                Self::parse(&text, format!("the key file `{}`", path.display()), Some(path))
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
            Ok(text) => Self::parse(&text, format!("the file `{}`", path.display()), None),
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
            Ok(text) => Self::parse(&text, format!("the systemd credential `{CREDENTIAL}`"), None).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(SealingKeyError::File { path, error }),
        }
    }

    /// The key in a text, such as the value of the environment variable that `place` names.
    ///
    /// # Errors
    /// The text is not 32 octets in base64.
    pub fn from_base64(text: &Secret, place: &str) -> Result<Self, SealingKeyError> {
        Self::parse(text.expose(), place.to_owned(), None)
    }

    /// Where the key is kept, for the start's log: whoever makes a backup must know.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// Whether older keys are there that should go: an exchange of keys did not come to its end.
    pub(super) fn has_older(&self) -> bool {
        !self.0.older.is_empty()
    }

    /// A new key before those there are, on disk before it is given. First step of an exchange: from here on whatever
    /// was sealed before or after can be opened.
    pub(super) fn with_a_new_one(&self) -> Result<Self, SealingKeyError> {
        let Some(path) = &self.0.path else {
            return Err(SealingKeyError::KeptElsewhere { source_of_it: self.0.source.clone() });
        };
        let failed = |error| SealingKeyError::File { path: path.clone(), error };
        let old = std::fs::read_to_string(path).map(Zeroizing::new).map_err(failed)?;
        let fresh = Zeroizing::new(STANDARD.encode(*random().map_err(failed)?));
        let text = Zeroizing::new(format!("{}\n{}\n", *fresh, old.trim()));
        replace(path, &text).map_err(failed)?;
        Self::parse(&text, self.0.source.clone(), Some(path))
    }

    /// The first key alone; in a file of ours the older ones go. Last step of an exchange: only when nothing is sealed
    /// with them any more.
    pub(super) fn without_older(&self) -> Result<Self, SealingKeyError> {
        let Some(path) = &self.0.path else { return Ok(self.clone()) };
        let failed = |error| SealingKeyError::File { path: path.clone(), error };
        let text = std::fs::read_to_string(path).map(Zeroizing::new).map_err(failed)?;
        let first = Zeroizing::new(format!("{}\n", text.split_whitespace().next().unwrap_or_default()));
        let alone = Self::parse(&first, self.0.source.clone(), Some(path))?;
        replace(path, &first).map_err(failed)?;
        Ok(alone)
    }

    /// Keys between blanks or on lines; the first one seals.
    fn parse(text: &str, place: String, path: Option<&Path>) -> Result<Self, SealingKeyError> {
        let read = |text: &str| Key::from_octets(&Zeroizing::new(STANDARD.decode(text).ok()?));
        let keys: Option<Vec<Key>> = text.split_whitespace().map(read).collect();
        let mut keys = keys.unwrap_or_default().into_iter();
        match keys.next() {
            Some(key) => {
                let (older, path) = (keys.collect(), path.map(Path::to_owned));
                Ok(Self(Arc::new(Inner { key, older, source: place, path })))
            }
            None => Err(SealingKeyError::Malformed { place }),
        }
    }

    fn create(path: &Path) -> io::Result<Self> {
        let text = Zeroizing::new(format!("{}\n", *Zeroizing::new(STANDARD.encode(*random()?))));
        write_private(path, &text)?;
        let place = format!("the key file `{}` (made just now)", path.display());
        Self::parse(&text, place, Some(path)).map_err(|_| io::Error::other("the new key is not accepted"))
    }

    /// Seals a secret for `account`.
    pub(super) fn seal(&self, account: &str, plain: &[u8]) -> Result<Vec<u8>, aws_lc_rs::error::Unspecified> {
        let mut text = plain.to_vec();
        let Key { cipher, id } = &self.0.key;
        let nonce = cipher.seal_in_place_append_tag(Aad::from(account), &mut text)?;
        Ok([&[FORMAT], id.as_slice(), nonce.as_ref(), &text].concat())
    }

    /// Opens what [`SealingKey::seal`] made for the same account.
    pub(super) fn open(&self, account: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, UnsealError> {
        let (&format, rest) = sealed.split_first().ok_or(UnsealError::Damaged)?;
        if format != FORMAT {
            return Err(if format > FORMAT { UnsealError::Newer } else { UnsealError::Damaged });
        }
        let (id, rest) = rest.split_at_checked(ID_OCTETS).ok_or(UnsealError::Damaged)?;
        let mut keys = std::iter::once(&self.0.key).chain(&self.0.older);
        let key = keys.find(|key| key.id == id).ok_or(UnsealError::OtherKey)?;
        let (nonce, text) = rest.split_at_checked(NONCE_LEN).ok_or(UnsealError::Damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| UnsealError::Damaged)?;
        let mut text = Zeroizing::new(text.to_vec());
        let opened = key.cipher.open_in_place(nonce, Aad::from(account), &mut text);
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

impl Key {
    fn from_octets(octets: &[u8]) -> Option<Self> {
        let cipher = RandomizedNonceKey::new(&AES_256_GCM, octets).ok()?;
        let mut id = [0; ID_OCTETS];
        id.copy_from_slice(&digest(&SHA256, &[b"oxpost sealing key id", octets].concat()).as_ref()[..ID_OCTETS]);
        Some(Self { cipher, id })
    }
}

fn random() -> io::Result<Zeroizing<[u8; KEY_OCTETS]>> {
    let mut octets = Zeroizing::new([0; KEY_OCTETS]);
    aws_lc_rs::rand::fill(&mut *octets).map_err(|_| io::Error::other("the system gives no random octets"))?;
    Ok(octets)
}

/// A new file for its owner alone, durable.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    if let Err(error) = written {
        // Half a key would stop the next start.
        let _ = std::fs::remove_file(path);
        return Err(error);
    }
    sync_folder(path)
}

/// The old content or the new one, whatever happens in between.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    write_private(&beside, text)?;
    std::fs::rename(&beside, path)?;
    sync_folder(path)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
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
    fn a_new_key_opens_what_the_old_one_sealed_until_that_one_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let old = SealingKey::load_or_create(&path).unwrap();
        let sealed = old.seal("a", b"x").unwrap();
        let both = old.with_a_new_one().unwrap();
        assert!(both.has_older() && !old.has_older());
        let fresh = both.seal("a", b"y").unwrap();
        assert_eq!(old.open("a", &fresh), Err(UnsealError::OtherKey), "the new one seals");
        // As after a crash in between.
        let found = SealingKey::load_or_create(&path).unwrap();
        assert_eq!((found.open("a", &sealed).unwrap()[0], found.open("a", &fresh).unwrap()[0]), (b'x', b'y'));
        let alone = found.without_older().unwrap();
        assert!(!alone.has_older());
        let found = SealingKey::load_or_create(&path).unwrap();
        assert_eq!((found.open("a", &sealed), found.open("a", &fresh).unwrap()[0]), (Err(UnsealError::OtherKey), b'y'));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_key_that_somebody_else_keeps_is_exchanged_by_them() {
        let error = key(1).with_a_new_one().unwrap_err().to_string();
        assert!(error.contains("`$OXPOST_KEY`") && error.contains("before the old one"), "{error}");
        let both = format!("{} {}", STANDARD.encode([2; 32]), STANDARD.encode([1; 32]));
        let both = SealingKey::from_base64(&Secret::new(both), "`$OXPOST_KEY`").unwrap();
        assert!(both.has_older());
        assert_eq!(both.open("a", &key(1).seal("a", b"x").unwrap()).unwrap().as_slice(), b"x");
        assert_eq!(key(2).open("a", &both.seal("a", b"x").unwrap()).unwrap().as_slice(), b"x");
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
