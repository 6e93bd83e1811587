//! The house rules a compiler does not know: file lengths, no paths of somebody's machine, lock files that name no
//! mirror.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};

/// The longest a source file may be. Above 400 lines a reviewer asks; above this it is a defect.
const MAX_LINES: usize = 600;

/// Paths that exist on one machine only.
const MACHINE_PATHS: &[&str] = &["/home/", "/root/", "/work/", "/tmp/w/"];
/// Files that may name such paths, and why.
const MAY_NAME_PATHS: &[(&str, &str)] = &[("tests/house.rs", "holds the list")];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of the project, by their paths from its root; what is built, fetched or made while it runs is none.
fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).unwrap().map(Result::unwrap) {
            let name = entry.file_name();
            let path = folder.join(&name);
            if ["target", ".git", "node_modules", "data"].iter().any(|other| name == *other) {
                continue;
            }
            let found = if entry.file_type().unwrap().is_dir() { &mut folders } else { &mut files };
            found.push(path);
        }
    }
    files.sort();
    files
}

/// The text files of the project with their texts.
fn texts() -> impl Iterator<Item = (String, String)> {
    let text = |name: PathBuf| {
        let text = std::fs::read_to_string(root().join(&name)).ok()?;
        Some((name.to_string_lossy().into_owned(), text))
    };
    files().into_iter().filter_map(text)
}

#[test]
fn no_source_file_is_longer_than_a_reader_can_hold() {
    let too_long: Vec<_> = texts()
        .filter(|(name, _)| name.ends_with(".rs"))
        .map(|(name, text)| (text.lines().count(), name))
        .filter(|(lines, _)| *lines > MAX_LINES)
        .collect();
    assert!(too_long.is_empty(), "longer than {MAX_LINES} lines: {too_long:#?}");
}

/// Where a connection may begin, and why. All that leaves this machine has to go by the proxy of the configuration.
const MAY_DIAL: &[(&str, &str)] = &[
    ("src/net/connect.rs", "the place for it; it knows the proxy"),
    ("src/http/mod.rs", "outgoing HTTP; it knows the proxy"),
    ("src/cli/reach.rs", "the control socket of the gateway on this machine"),
    ("src/cli/send/", "hands mail in at a gateway, as any client does"),
    ("src/cli/try_it/", "a client of the gateway that it has just started"),
    ("src/practice/", "stands beside the house"),
];

#[test]
fn connections_begin_in_one_place() {
    let of_a_test = |name: &str| name.contains("/tests/") || name.ends_with("/tests.rs");
    let mut found = Vec::new();
    for (name, text) in texts().filter(|(name, _)| name.starts_with("src/") && name.ends_with(".rs")) {
        if of_a_test(&name) || MAY_DIAL.iter().any(|(place, _)| name.starts_with(place)) {
            continue;
        }
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let dials = ["TcpStream::connect", "TcpSocket::", "reqwest::Client", "reqwest::get", "Socks5Stream::connect("];
        found.extend(dials.iter().filter(|words| code.contains(*words)).map(|words| format!("{name}: `{words}`")));
    }
    assert!(found.is_empty(), "these go past the proxy: {found:#?}");
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    let mut found = Vec::new();
    for (name, text) in texts().filter(|(name, _)| !MAY_NAME_PATHS.iter().any(|(file, _)| file == name)) {
        for (at, line) in text.lines().enumerate() {
            found.extend(
                MACHINE_PATHS
                    .iter()
                    .filter(|path| names_path(line, path))
                    .map(|_| format!("{name}:{}: {line}", at + 1)),
            );
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// Does `line` name the absolute `path`, not a longer one that ends in it (such as `postfix/work/`)?
fn names_path(line: &str, path: &str) -> bool {
    let continues = |before: &str| before.ends_with(|c: char| c.is_alphanumeric() || "-_.~}$/".contains(c));
    line.match_indices(path).any(|(at, _)| !continues(&line[..at]))
}

#[test]
fn only_whole_absolute_paths_count() {
    assert!(names_path("open(\"/home/ann/x\")", "/home/"));
    assert!(!names_path("https://example.com/home/", "/home/"));
    assert!(!names_path("$HOME/work/x", "/work/"));
}

#[test]
fn lock_files_name_no_mirror() {
    for (name, text) in texts().filter(|(name, _)| name.ends_with("package-lock.json")) {
        assert!(
            !text.contains("\"resolved\""),
            "{name} has `resolved`: its .npmrc says omit-lockfile-registry-resolved"
        );
    }
    let cargo = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let index = "registry+https://github.com/rust-lang/crates.io-index";
    let other: Vec<_> = cargo.lines().filter(|line| line.starts_with("source = ") && !line.contains(index)).collect();
    assert!(other.is_empty(), "Cargo.lock takes crates from elsewhere than crates.io: {other:?}");
}
