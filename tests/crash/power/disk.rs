//! A disk that keeps no promise it did not give: content that was not flushed and names whose folder was not flushed are
//! gone after a power cut, or are there, as chance has it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use rand::Rng;
use rand::rngs::StdRng;

use super::trace::Call;

/// What a name leads to: the number of a file, or nothing more than a folder.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Entry {
    File(usize),
    Folder,
}

/// A change of content that was not flushed yet.
#[derive(Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Truncate(u64),
}

#[derive(Clone, Default)]
struct File {
    /// As the program sees it.
    length: u64,
    /// As it is on the disk for sure.
    durable: Vec<u8>,
    unflushed: Vec<Change>,
}

/// The files below one folder.
#[derive(Default)]
pub(super) struct Disk {
    root: PathBuf,
    files: Vec<File>,
    names: BTreeMap<PathBuf, Entry>,
    durable_names: BTreeMap<PathBuf, Entry>,
    /// Flushes under way: what they will have made durable.
    flushes: HashMap<u32, (PathBuf, usize)>,
}

impl Disk {
    /// An empty folder, durable itself.
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), ..Self::default() }
    }

    /// Does what the program did. What lies elsewhere is none of our business.
    pub(super) fn apply(&mut self, call: &Call) {
        match call {
            Call::Create(path) if self.is_ours(path) && !self.names.contains_key(path) => {
                self.files.push(File::default());
                self.names.insert(path.clone(), Entry::File(self.files.len() - 1));
            }
            Call::Folder(path) if self.is_ours(path) => {
                self.names.insert(path.clone(), Entry::Folder);
            }
            Call::Write(path, offset, octets) if self.is_ours(path) => self.write(path, *offset, octets),
            Call::Truncate(path, length) if self.is_ours(path) => {
                if let Some(file) = self.file(path) {
                    file.length = *length;
                    file.unflushed.push(Change::Truncate(*length));
                }
            }
            Call::FlushBegins { process, path } if path == &self.root || self.is_ours(path) => {
                let changes = self.file(path).map_or(0, |file| file.unflushed.len());
                self.flushes.insert(*process, (path.clone(), changes));
            }
            Call::FlushEnds { process } => {
                if let Some((path, changes)) = self.flushes.remove(process) {
                    self.flushed(&path, changes);
                }
            }
            Call::Rename(from, to) if self.is_ours(from) => {
                let entry = self.names.remove(from).unwrap_or_else(|| panic!("{} was never made", from.display()));
                self.names.insert(to.clone(), entry);
            }
            Call::Remove(path) => {
                self.names.remove(path);
            }
            Call::Create(_) | Call::Folder(_) | Call::Write(..) | Call::Truncate(..) | Call::Rename(..) => {}
            Call::FlushBegins { .. } | Call::Say(_) => {}
        }
    }

    fn is_ours(&self, path: &Path) -> bool {
        path != self.root && path.starts_with(&self.root)
    }

    fn file(&mut self, path: &Path) -> Option<&mut File> {
        match self.names.get(path) {
            Some(Entry::File(number)) => Some(&mut self.files[*number]),
            // A file that was removed while it is open is nobody's any more.
            Some(Entry::Folder) | None => None,
        }
    }

    fn write(&mut self, path: &Path, offset: Option<u64>, octets: &[u8]) {
        let Some(file) = self.file(path) else { return };
        let at = offset.unwrap_or(file.length);
        file.length = file.length.max(at + octets.len() as u64);
        file.unflushed.push(Change::Write(at, octets.to_vec()));
    }

    /// A file: its content up to the beginning of the flush. A folder: the names in it.
    fn flushed(&mut self, path: &Path, changes: usize) {
        if let Some(file) = self.file(path) {
            for change in file.unflushed.drain(..changes.min(file.unflushed.len())).collect::<Vec<_>>() {
                change.apply_to(&mut file.durable);
            }
            return;
        }
        let inside = |name: &PathBuf| name.parent() == Some(path);
        self.durable_names.retain(|name, _| !inside(name));
        let now = self.names.iter().filter(|(name, _)| inside(name));
        self.durable_names.extend(now.map(|(name, entry)| (name.clone(), *entry)));
    }

    /// Writes what a power cut leaves into `to`. Without `chance` nothing is there that was not promised; with it, each
    /// change of content and of a folder that was not flushed may have come to the disk on its own.
    pub(super) fn cut(&self, to: &Path, mut chance: Option<&mut StdRng>) {
        std::fs::create_dir_all(to).unwrap();
        let mut lucky = || chance.as_mut().is_some_and(|random| random.random_bool(0.5));
        let mut names = self.durable_names.clone();
        for (name, entry) in &self.names {
            if names.get(name) != Some(entry) && lucky() {
                names.insert(name.clone(), *entry);
            }
        }
        for name in self.durable_names.keys() {
            if !self.names.contains_key(name) && lucky() {
                names.remove(name);
            }
        }
        // In their order, so that folders come before what is in them.
        for (name, entry) in &names {
            let path = to.join(name.strip_prefix(&self.root).unwrap());
            match entry {
                // Its folder may be gone with the power: then it is too.
                _ if !path.parent().unwrap().is_dir() => {}
                Entry::Folder => {
                    std::fs::create_dir(&path).unwrap();
                    private(&path, 0o700);
                }
                Entry::File(number) => {
                    let file = &self.files[*number];
                    let mut content = file.durable.clone();
                    file.unflushed.iter().filter(|_| lucky()).for_each(|change| change.apply_to(&mut content));
                    std::fs::write(&path, content).unwrap();
                    private(&path, 0o600);
                }
            }
        }
    }
}

/// As the program itself makes files; what it would not use is no test.
fn private(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

impl Change {
    fn apply_to(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write(at, octets) => {
                let at = usize::try_from(*at).unwrap();
                let end = at + octets.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[at..end].copy_from_slice(octets);
            }
            Self::Truncate(length) => content.resize(usize::try_from(*length).unwrap(), 0),
        }
    }
}
