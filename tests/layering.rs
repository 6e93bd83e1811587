//! Keeps the house standing: a module of `src/` uses lower floors only, neighbours do not know each other, and the
//! three lowest floors do no I/O. The floors are those of `docs/architecture.md`.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fmt;
use std::path::{Path, PathBuf};

/// Each room and its floor. A room that is missing here fails the test, so a new one is a decision.
const FLOORS: &[(&str, u8)] = &[
    ("secret", 0),
    ("clock", 0),
    ("unix", 0),
    ("mail", 1),
    ("octets", 1),
    ("proxy", 1),
    ("sasl", 1),
    ("smtp", 2),
    ("imap", 2),
    ("pop3", 2),
    ("account", 3),
    ("telemetry", 3),
    ("net", 4),
    ("http", 4),
    ("store", 4),
    ("token", 5),
    ("queue", 5),
    ("reading", 6),
    ("delivery", 7),
    ("directory", 7),
    ("front", 8),
    ("config", 9),
    ("gateway", 10),
    ("cli", 11),
];

/// Stands beside the house and checks it, so it may use only what cannot repeat the house's own mistakes.
const PRACTICE: &str = "practice";
const PRACTICE_USES: &[&str] = &["secret", "clock", "unix", "net", "http", "store"];

/// What the floors below [`FIRST_FLOOR_WITH_IO`] may not mention.
const IO: &[&str] = &["tokio", "std::fs", "std::net::Tcp", "std::net::Udp", "std::io::stdin", "std::process::Command"];
const FIRST_FLOOR_WITH_IO: u8 = 3;
/// Calls that only Unix has live in one file, which is nothing but I/O.
const IO_EXEMPT: &str = "unix";

#[derive(Debug, PartialEq, Eq)]
struct Violation {
    line: usize,
    what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

fn described(room: &str) -> String {
    floor(room).map_or_else(|| room.to_owned(), |floor| format!("{room} (floor {floor})"))
}

/// May `room` use `other`?
fn allowed(room: &str, other: &str) -> bool {
    if room == other {
        return true;
    }
    if room == PRACTICE {
        return PRACTICE_USES.contains(&other);
    }
    if other == PRACTICE {
        return floor(room) == Some(11); // `oxpost try`
    }
    matches!((floor(room), floor(other)), (Some(above), Some(below)) if below < above)
}

/// A name in the source and the line it stands on.
type Used = (usize, Vec<String>);

/// The source without comments and the insides of literals; line breaks stay.
fn code_only(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let skipped = skip_len(rest);
        if skipped == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.extend(rest[..skipped].chars().filter(|c| *c == '\n'));
            code.push(' ');
            rest = &rest[skipped..];
        }
    }
    code
}

/// How many octets of comment or literal `text` begins with; 0: none.
fn skip_len(text: &str) -> usize {
    let through = |start: usize, end: &str| text[start..].find(end).map_or(text.len(), |at| start + at + end.len());
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return through(2, "*/");
    }
    if let Some(raw) = text.strip_prefix('r').filter(|raw| raw.starts_with(['"', '#'])) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let is_literal = raw[hashes..].starts_with('"');
        return if is_literal { through(hashes + 2, &format!("\"{}", "#".repeat(hashes))) } else { 0 };
    }
    if text.starts_with('"') {
        return quoted_len(text);
    }
    ["'\"'", "'\\\"'"].iter().find(|quote| text.starts_with(**quote)).map_or(0, |quote| quote.len())
}

fn quoted_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, octet) in text.bytes().enumerate().skip(1) {
        match octet {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Every path that begins with `crate::`, `super::` or `self::`, from the crate's root, with `{...}` groups opened up.
/// `module` is the path of the module the file is.
fn paths(code: &str, module: &[String]) -> Vec<Used> {
    let mut found = Vec::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start).filter(|(at, _)| !continues_a_path(code, *at)) {
            let line = code[..at].matches('\n').count() + 1;
            let mut base = module.to_vec();
            base.extend(vec!["inline".to_owned(); inline_depth(code, at)]);
            match start {
                "crate::" => base.clear(),
                "super::" => drop(base.pop()),
                _ => {}
            }
            open_up(&code[at + start.len()..], &mut base, line, &mut found);
        }
    }
    found
}

/// Is the name at `at` the continuation of a longer one, such as `pin_crate::` or `super::super::`?
fn continues_a_path(code: &str, at: usize) -> bool {
    code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
}

/// How many modules are open in the file at `at`: 1 within `mod tests { ... }`.
fn inline_depth(code: &str, at: usize) -> usize {
    let before = &code[..at];
    let module = |start: usize| before[start..].find(['{', ';']).filter(|end| before[start + end..].starts_with('{'));
    before.match_indices("mod ").filter(|(i, _)| module(*i).is_some() && braces(&before[*i..]) > 0).count()
}

fn braces(text: &str) -> isize {
    text.chars()
        .map(|c| {
            if c == '{' {
                1
            } else if c == '}' {
                -1
            } else {
                0
            }
        })
        .sum()
}

/// Reads what follows `base` in a path: `a::b`, `{a, b::c}`, `super::a`.
fn open_up(rest: &str, base: &mut Vec<String>, line: usize, found: &mut Vec<Used>) {
    let rest = rest.trim_start();
    if let Some(group) = rest.strip_prefix('{') {
        for member in members(group) {
            open_up(member, &mut base.clone(), line, found);
        }
        return;
    }
    let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    match name.as_str() {
        "super" => {
            base.pop();
        }
        "self" | "" => {}
        _ => base.push(name.clone()),
    }
    match rest[name.len()..].strip_prefix("::") {
        Some(more) if name == "super" || base.len() < 2 => open_up(more, base, line, found),
        _ => found.push((line, base.clone())),
    }
}

/// The members of a group whose opening brace was read, split at commas of this level.
fn members(group: &str) -> Vec<&str> {
    let (mut depth, mut from, mut all) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                all.push(group[from..at].trim());
                from = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    all.retain(|member| !member.is_empty());
    all
}

/// Everything wrong with the file that is module `module` (such as `queue::retry`).
fn violations(source: &str, module: &[String]) -> Vec<Violation> {
    let Some(room) = module.first() else { return Vec::new() };
    let code = code_only(source);
    let mut wrong = Vec::new();
    if floor(room).is_none() && room != PRACTICE {
        wrong.push(Violation { line: 1, what: format!("{room} has no floor: give it one in tests/layering.rs") });
    }
    for (line, path) in paths(&code, module) {
        let Some(other) = path.first().filter(|other| is_room(other)) else { continue };
        if !allowed(room, other) {
            wrong.push(Violation { line, what: format!("{} uses {}", described(room), described(other)) });
        }
    }
    if floor(room).is_some_and(|floor| floor < FIRST_FLOOR_WITH_IO) && room != IO_EXEMPT {
        wrong.extend(io_mentioned(&code, room));
    }
    wrong
}

/// Items of the crate root that are no modules (macros) have no floor.
fn is_room(name: &str) -> bool {
    name.starts_with(|c: char| c.is_lowercase()) && (floor(name).is_some() || name == PRACTICE)
}

fn io_mentioned(code: &str, room: &str) -> Vec<Violation> {
    let mut wrong = Vec::new();
    for (at, line) in code.lines().enumerate() {
        // `use std::{fs, net::TcpStream}` says the same as the paths in the list.
        let opened = line.replace("std::{", "std::{std::").replace(", ", ", std::");
        for io in IO {
            if line.contains(io) || (line.contains("std::{") && opened.contains(io)) {
                wrong.push(Violation { line: at + 1, what: format!("{} does I/O: it mentions {io}", described(room)) });
            }
        }
    }
    wrong
}

/// The module a file is: `src/queue/mod.rs` is `queue`, `src/queue/retry.rs` is `queue::retry`.
fn module_of(file: &Path) -> Vec<String> {
    let mut parts: Vec<String> =
        file.with_extension("").components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        parts.pop();
    }
    parts
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            files.extend(rust_files(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            files.push(entry);
        }
    }
    files.sort();
    files
}

#[test]
fn every_room_uses_lower_floors_only() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for file in rust_files(&src) {
        let name = file.strip_prefix(&src).unwrap();
        let source = std::fs::read_to_string(&file).unwrap();
        for violation in violations(&source, &module_of(name)) {
            wrong.push(format!("{} at src/{}:{}", violation.what, name.display(), violation.line));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn a_planted_violation_is_found() {
    let table = [
        ("queue::retry", "use crate::front::Session;", "queue (floor 5) uses front (floor 8)", "a higher floor"),
        ("token", "use crate::queue::Queue;", "token (floor 5) uses queue (floor 5)", "a neighbour"),
        (
            "queue",
            "use crate::{mail::Address, config::{Config, file}};",
            "queue (floor 5) uses config (floor 9)",
            "in a group",
        ),
        ("queue", "use crate::{\n    mail::Address,\n    cli,\n};", "queue (floor 5) uses cli (floor 11)", "in lines"),
        ("queue", "fn f() { crate::gateway::start() }", "queue (floor 5) uses gateway (floor 10)", "outside a use"),
        ("queue::retry", "use super::super::delivery::Way;", "queue (floor 5) uses delivery (floor 7)", "upwards"),
        ("queue", "use super::{mail, net, front};", "queue (floor 5) uses front (floor 8)", "the parent of a room"),
        ("queue", "#[cfg(test)]\nmod tests { use crate::cli; }", "queue (floor 5) uses cli (floor 11)", "in tests too"),
        (
            "queue",
            "#[cfg(test)]\nmod tests { use super::super::cli; }",
            "queue (floor 5) uses cli (floor 11)",
            "tests, upwards",
        ),
        (
            "practice::graph",
            "use crate::mail::Address;",
            "practice uses mail (floor 1)",
            "practice has its own parsers",
        ),
        ("practice", "use crate::queue::Queue;", "practice uses queue (floor 5)", "practice stands outside"),
        ("gateway", "use crate::practice::Tenant;", "gateway (floor 10) uses practice", "practice is for cli alone"),
        ("mail::header", "use tokio::fs;", "mail (floor 1) does I/O: it mentions tokio", "I/O below"),
        (
            "smtp",
            "use std::net::{TcpStream, IpAddr};\nlet s = std::net::TcpStream::connect(a);",
            "smtp (floor 2) does I/O: it mentions std::net::Tcp",
            "a socket",
        ),
        ("smtp", "use std::{fmt, fs};", "smtp (floor 2) does I/O: it mentions std::fs", "grouped std"),
        ("attic", "", "attic has no floor: give it one in tests/layering.rs", "a new room"),
    ];
    for (module, source, expected, reason) in table {
        let module: Vec<String> = module.split("::").map(str::to_owned).collect();
        let found = violations(source, &module);
        assert!(found.iter().any(|violation| violation.what == expected), "{reason}: {source:?} gave {found:?}");
    }
}

#[test]
fn what_is_allowed_is_left_alone() {
    let table = [
        ("queue", "use crate::{mail::{Address, id}, store::Store};", "lower floors"),
        ("queue::retry", "use super::settings::Settings; use crate::queue::Queue;", "one's own room"),
        ("queue", "mod tests {\n    use super::*;\n    use super::tables::Row;\n}", "the file a test module stands in"),
        (
            "queue",
            "// crate::front is told later\nlet s = \"crate::front\";\nlet r = r#\"crate::cli\"#;",
            "comments, literals",
        ),
        ("mail", "use std::net::IpAddr;\nuse std::{fmt, str};", "an address is a value"),
        (
            "practice::graph",
            "use crate::practice::mail; use super::tenant; use crate::{clock::Clock, net::tls};",
            "floors 0 and 4",
        ),
        ("cli::try_out", "use crate::practice::Tenant;", "oxpost try"),
        ("", "pub mod queue;\nuse crate::cli;", "the crate's root"),
    ];
    for (module, source, reason) in table {
        let module: Vec<String> = module.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
        assert_eq!(violations(source, &module), [], "{reason}");
    }
}

#[test]
fn the_line_of_a_violation_is_the_line_in_the_file() {
    let found = violations("//! Doc.\n/* two\nlines */\nuse crate::cli;\n", &["queue".to_owned()]);
    assert_eq!(found.iter().map(|violation| violation.line).collect::<Vec<_>>(), [4]);
}
