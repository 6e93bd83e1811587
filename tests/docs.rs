//! The pages say what is there: links lead somewhere, file names exist, the commands of the README are the real ones.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::fs::read_to_string;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page of the project, by its path from the root.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root().join(&folder)).unwrap().map(Result::unwrap) {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = folder.join(&name);
            if entry.file_type().unwrap().is_dir() && !matches!(name.as_str(), "target" | ".git" | "node_modules") {
                folders.push(path);
            } else if name.ends_with(".md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// A page without its fenced blocks; line breaks stay.
fn prose(page: &str) -> String {
    let mut fenced = false;
    let mut kept = String::new();
    for line in page.lines() {
        let fence = line.trim_start().starts_with("```");
        if !fence && !fenced {
            kept.push_str(line);
        }
        kept.push('\n');
        fenced ^= fence;
    }
    kept
}

/// The targets of `[text](target)` and `[name]: target`, with their lines. Code in backticks does not count.
fn links(page: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, line) in prose(page).lines().enumerate() {
        let line: String = line.split('`').step_by(2).collect::<Vec<_>>().join("``");
        let inline = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
        let definition =
            line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")).map(|(_, target)| target.trim());
        found.extend(inline.chain(definition).map(|target| (at + 1, target.to_owned())));
    }
    found
}

/// The anchors of a page's headings, made as GitHub makes them.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = prose(page);
    let headings = headings.lines().filter_map(|line| {
        let text = line.trim_start_matches('#');
        (text.len() < line.len()).then(|| text.strip_prefix(' ')).flatten()
    });
    let mut anchors = BTreeSet::new();
    for heading in headings {
        let kept = heading.trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let number = (1..).map(|n| format!("{anchor}-{n}"));
        let free = std::iter::once(anchor.clone()).chain(number).find(|name| !anchors.contains(name));
        anchors.extend(free);
    }
    anchors
}

/// What is wrong with the link `target` on `page`.
fn broken(page: &Path, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let file = if file.is_empty() { page.to_owned() } else { page.parent().unwrap().join(file) };
    if !root().join(&file).exists() {
        return Some(format!("`{target}` leads to a file that does not exist"));
    }
    let text = anchor.map(|anchor| (anchor, read_to_string(root().join(&file)).unwrap_or_default()));
    text.filter(|(anchor, text)| !anchors(text).contains(*anchor)).map(|_| format!("`{target}` names no heading"))
}

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = Vec::new();
    for page in pages() {
        let text = read_to_string(root().join(&page)).unwrap();
        for (line, target) in links(&text) {
            wrong.extend(broken(&page, &target).map(|why| format!("{}:{line}: {why}", page.display())));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn every_file_the_architecture_names_exists() {
    let text = read_to_string(root().join("docs/architecture.md")).expect("docs/architecture.md shows the house");
    let words = text.split(|c: char| c.is_whitespace() || "`(),;:\"".contains(c));
    let names = words.map(|word| word.trim_end_matches('.')).filter(|word| is_path(word));
    let missing: Vec<_> = names.filter(|name| !root().join(name).exists()).collect();
    assert!(missing.is_empty(), "docs/architecture.md names files that do not exist: {missing:#?}");
}

/// Is `name` a path in this project?
fn is_path(name: &str) -> bool {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    let rooms = ["src/", "tests/", "docs/", "config/", "certs/", "benches/", "packaging/", "fuzz/"];
    plain && rooms.iter().any(|room| name.starts_with(room))
}

#[test]
fn no_page_is_unfinished() {
    let unfinished = |page: &PathBuf| {
        let text = read_to_string(root().join(page)).unwrap();
        ["TODO", "FIXME", "XXX", "TBD"]
            .iter()
            .any(|word| text.split(|c: char| !c.is_alphanumeric()).any(|w| w == *word))
    };
    let pages: Vec<_> = pages().into_iter().filter(unfinished).collect();
    assert!(pages.is_empty(), "these pages have loose ends: {pages:?}");
}

#[test]
fn the_readme_starts_with_the_two_commands() {
    let readme = read_to_string(root().join("README.md")).expect("README.md is the first page a person reads");
    for command in ["cargo run --release -- try", "./test"] {
        assert!(readme.lines().any(|line| line.trim() == command), "README.md has no line `{command}`");
    }
}

#[test]
fn links_and_anchors_are_read_as_github_reads_them() {
    let page =
        "# A `b`: c\n## Same\n## Same\n[x](a.md#b) `[no](code.md)`\n```\n[no](fenced.md)\n# no\n```\n[r]: z.md\n";
    let targets: Vec<_> = links(page).into_iter().map(|(line, target)| format!("{line} {target}")).collect();
    assert_eq!(targets, ["4 a.md#b", "9 z.md"]);
    assert_eq!(anchors(page).into_iter().collect::<Vec<_>>(), ["a-b-c", "same", "same-1"]);
}

/// All of the project's Rust, tests included.
fn sources() -> String {
    let mut sources = String::new();
    let mut folders = vec![root().join("src"), root().join("tests")];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match path.extension() {
                _ if path.is_dir() && !path.ends_with("node_modules") => folders.push(path),
                Some(extension) if extension == "rs" => sources.push_str(&read_to_string(path).unwrap()),
                _ => {}
            }
        }
    }
    sources
}

/// The tests that a text names: code in backticks with at least three underscores.
fn tests_named_in(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2).filter(|code| code.matches('_').count() >= 3)
}

fn assert_tests_exist(page: &str, text: &str) {
    let sources = sources();
    let missing: Vec<_> = tests_named_in(text).filter(|name| !sources.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{page} names tests that do not exist: {missing:#?}");
}

#[test]
fn every_test_that_the_security_page_names_exists() {
    let page = read_to_string(root().join("docs/security.md")).expect("docs/security.md says what is defended");
    assert!(tests_named_in(&page).count() > 30, "the page names the tests");
    assert_tests_exist("docs/security.md", &page);
}

#[test]
fn every_fault_has_a_test_that_exists() {
    let page = read_to_string(root().join("docs/reliability.md")).expect("docs/reliability.md says what goes wrong");
    let number = |line: &str| line.split('|').nth(1).is_some_and(|cell| cell.trim().parse::<u32>().is_ok());
    let rows: Vec<_> = page.lines().filter(|line| number(line)).collect();
    assert!(rows.len() >= 50, "{} rows", rows.len());
    let bare: Vec<_> = rows.iter().filter(|row| tests_named_in(row).next().is_none()).collect();
    assert!(bare.is_empty(), "these faults have no test: {bare:#?}");
    assert_tests_exist("docs/reliability.md", &page);
}
