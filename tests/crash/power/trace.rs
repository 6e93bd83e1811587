//! What a program did to its files, as `strace -f -y -xx` wrote it down, call by call in the order of their ends.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The calls that [`calls`] understands.
pub(super) const TRACED: &str = "openat,open,creat,write,pwrite64,writev,pwritev,sendto,sendmsg,ftruncate,truncate,fallocate,fsync,\
                                 fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,link,linkat,symlink,symlinkat";

/// One call that changed something, or that told a client something.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Call {
    /// A file was opened so that it is there afterwards.
    Create(PathBuf),
    Folder(PathBuf),
    /// At an offset, or at the end.
    Write(PathBuf, Option<u64>, Vec<u8>),
    Truncate(PathBuf, u64),
    /// A flush begins: what was written before is meant, and nothing later.
    FlushBegins {
        process: u32,
        path: PathBuf,
    },
    FlushEnds {
        process: u32,
    },
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    /// Octets to a socket.
    Say(Vec<u8>),
}

/// Reads the log. A call that this does not understand is a defect of the test, so it panics.
pub(super) fn calls(log: &str) -> Vec<Call> {
    let mut open: HashMap<u32, String> = HashMap::new();
    let mut calls = Vec::new();
    for line in log.lines() {
        let Some((process, rest)) = line.split_once(' ') else { continue };
        let (process, rest) = (process.parse().unwrap(), rest.trim_start());
        if let Some(begun) = rest.strip_suffix("<unfinished ...>") {
            begins(&mut calls, process, begun);
            open.insert(process, begun.to_owned());
        } else if let Some(resumed) = rest.strip_prefix("<... ") {
            let begun = open.remove(&process).unwrap();
            let (_, end) = resumed.split_once(" resumed>").unwrap();
            ends(&mut calls, process, &format!("{begun}{end}"));
        } else if rest.contains(") = ") || rest.contains(")  ") {
            begins(&mut calls, process, rest);
            ends(&mut calls, process, rest);
        }
    }
    calls
}

fn begins(calls: &mut Vec<Call>, process: u32, text: &str) {
    if matches!(name(text), "fsync" | "fdatasync") {
        calls.push(Call::FlushBegins { process, path: descriptor(text).unwrap() });
    }
}

fn ends(calls: &mut Vec<Call>, process: u32, text: &str) {
    let result = text.rsplit_once(" = ").map_or("?", |(_, result)| result).trim();
    if result.starts_with(['-', '?']) {
        return;
    }
    let strings = strings(text);
    let path = |at: usize| resolve(text, at, &strings[at]);
    let numbers = || -> Vec<u64> {
        let arguments = text.rsplit_once(") ").map_or(text, |(arguments, _)| arguments);
        arguments.split(", ").filter_map(|word| word.trim_matches([' ', ')']).parse().ok()).collect()
    };
    calls.push(match name(text) {
        "openat" | "open" if !text.contains("O_CREAT") => return,
        "openat" | "open" | "creat" => Call::Create(path(0)),
        "mkdir" | "mkdirat" => Call::Folder(path(0)),
        "fsync" | "fdatasync" => Call::FlushEnds { process },
        "write" | "pwrite64" | "writev" | "pwritev" | "sendto" | "sendmsg" => {
            let octets = strings.concat();
            match descriptor(text) {
                Some(path) if path.is_absolute() => {
                    let offset = (name(text) == "pwrite64").then(|| *numbers().last().unwrap());
                    assert!(offset.is_some() || name(text) == "write", "{text:.80}");
                    Call::Write(path, offset, octets)
                }
                _ => Call::Say(octets),
            }
        }
        "ftruncate" => Call::Truncate(descriptor(text).unwrap(), *numbers().last().unwrap()),
        "rename" | "renameat" | "renameat2" => Call::Rename(path(0), path(1)),
        "unlink" | "unlinkat" => Call::Remove(path(0)),
        // Room that is kept ready without content.
        "fallocate" => return,
        _ => panic!("what does this do to the disk? {text:.200}"),
    });
}

fn name(text: &str) -> &str {
    text.split_once('(').map_or("", |(name, _)| name)
}

/// What `\x2f\x74` stands for.
fn decode(hexadecimal: &str) -> Vec<u8> {
    hexadecimal.split("\\x").skip(1).map(|octet| u8::from_str_radix(octet, 16).unwrap()).collect()
}

fn as_path(octets: &[u8]) -> PathBuf {
    PathBuf::from(String::from_utf8(octets.to_vec()).unwrap())
}

/// The arguments in quotes, in order.
fn strings(text: &str) -> Vec<Vec<u8>> {
    text.split('"').skip(1).step_by(2).map(decode).collect()
}

/// What the first descriptor of a call leads to: a path, or the name of a socket.
fn descriptor(text: &str) -> Option<PathBuf> {
    let (_, rest) = text.split_once('<')?;
    Some(as_path(&decode(rest.split_once('>')?.0)))
}

/// A path of a call, made absolute by the folder descriptor before it.
fn resolve(text: &str, at: usize, path: &[u8]) -> PathBuf {
    let path = as_path(path);
    if path.is_absolute() {
        return path;
    }
    let before = text.split('"').nth(2 * at).unwrap();
    let folder = before.rsplit_once('<').map(|(_, folder)| decode(folder.split_once('>').unwrap().0));
    Path::new(&as_path(&folder.unwrap_or_else(|| panic!("relative to what? {text:.200}")))).join(path)
}

#[test]
fn calls_are_read_as_strace_writes_them() {
    let log = "7 pwrite64(3<\\x2f\\x64>, \"\\x61\\x62\", 2, 4096) = 2\n\
        8 fsync(3<\\x2f\\x64> <unfinished ...>\n\
        7 sendto(5<\\x73\\x6f\\x63>, \"\\x32\\x35\\x30\", 3, 0, NULL, 0) = 3\n\
        8 <... fsync resumed>)              = 0\n\
        8 openat(AT_FDCWD<\\x2f\\x74>, \"\\x61\", O_WRONLY|O_CREAT, 0600) = 4<\\x2f\\x74\\x2f\\x61>\n\
        9 pwrite64(3<\\x2f\\x64>, \"\\x63\", 1, 512 <unfinished ...>\n\
        9 <... pwrite64 resumed>)           = 1\n\
        8 unlink(\"\\x2f\\x6e\") = -1 ENOENT (No such file or directory)\n";
    let path = |text: &str| PathBuf::from(text);
    let expected = [
        Call::Write(path("/d"), Some(4_096), b"ab".to_vec()),
        Call::FlushBegins { process: 8, path: path("/d") },
        Call::Say(b"250".to_vec()),
        Call::FlushEnds { process: 8 },
        Call::Create(path("/t/a")),
        Call::Write(path("/d"), Some(512), b"c".to_vec()),
    ];
    assert_eq!(calls(log), expected);
}
