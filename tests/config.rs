//! The configuration: files that are fine, with what the gateway would do; files that are not, with exactly what is
//! said about them; and what is rendered from the doc comments. `OXPOST_BLESS=1` writes what should be there anew.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use oxpost::cli::check::{self, Verdict};
use oxpost::config::machine::{Bridge, Machine};
use oxpost::config::{Config, reference};

/// What must never be shown, wherever a test file has put it.
const SECRETS: [&str; 2] = ["hunter2", "s3cret-from-outside"];

/// An environment in which everything is set but `OXPOST_UNSET`, the key and what systemd sets.
fn environment(name: &str) -> Option<String> {
    match name {
        "OXPOST_UNSET" | "OXPOST_KEY" | "CREDENTIALS_DIRECTORY" => None,
        name if name.to_lowercase().ends_with("_proxy") => None,
        "OXPOST_CERTIFICATE" => Some(keys().0.clone()),
        "OXPOST_SERVICE_ACCOUNT" => Some(keys().1.clone()),
        _ => Some("s3cret-from-outside".to_owned()),
    }
}

/// A key with its certificate, and the key of a service account.
fn keys() -> &'static (String, String) {
    static KEYS: OnceLock<(String, String)> = OnceLock::new();
    KEYS.get_or_init(|| {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let certificate =
            rcgen::CertificateParams::new(["oxpost.test".to_owned()]).unwrap().self_signed(&pair).unwrap();
        let account = serde_json::json!({
            "type": "service_account",
            "client_email": "gateway@project.iam.gserviceaccount.com",
            "private_key": pair.serialize_pem(),
        });
        (format!("{}{}", pair.serialize_pem(), certificate.pem()), account.to_string())
    })
}

fn machine() -> Machine {
    Machine {
        gateways: vec!["192.168.1.1".parse().unwrap()],
        bridges: vec![Bridge { name: "docker0".to_owned(), network: "172.17.0.0/16".parse().unwrap() }],
    }
}

/// The TOML files of a folder, named from the package's folder so that messages are the same everywhere.
fn files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    files.sort();
    assert!(!files.is_empty(), "{folder} has no files");
    files
}

/// Compares with the file, or writes it if asked to.
fn expect(file: &Path, actual: &str) -> Result<(), String> {
    if std::env::var_os("OXPOST_BLESS").is_some() {
        std::fs::write(file, actual).unwrap();
        return Ok(());
    }
    let expected = std::fs::read_to_string(file).unwrap_or_default();
    if expected == actual {
        return Ok(());
    }
    Err(format!("{} should be\n{expected}\nand is\n{actual}\nOXPOST_BLESS=1 would take it over", file.display()))
}

fn answers(folder: &str, is_right: fn(Verdict) -> bool) {
    let mut wrong = Vec::new();
    for file in files(folder) {
        let mut out = Vec::new();
        let verdict = check::run(&file, &environment, &machine(), &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(is_right(verdict), "{}: {verdict:?}\n{out}", file.display());
        for secret in SECRETS {
            assert!(!out.contains(secret), "{} shows a secret:\n{out}", file.display());
        }
        wrong.extend(expect(&file.with_extension("expected"), &out).err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn a_sound_file_is_answered_with_what_the_gateway_would_do() {
    answers("tests/config/valid", |verdict| verdict != Verdict::Faulty);
}

#[test]
fn a_faulty_file_is_answered_with_every_fault_its_place_and_what_to_write_instead() {
    answers("tests/config/invalid", |verdict| verdict == Verdict::Faulty);
}

#[test]
fn every_sample_loads() {
    for file in files("config") {
        if let Err(errors) = Config::load(&file, &environment) {
            panic!("{errors}");
        }
    }
}

#[test]
fn what_is_rendered_from_the_doc_comments_is_up_to_date() {
    let schema = serde_json::to_string_pretty(&reference::schema()).unwrap() + "\n";
    let rendered = [
        ("docs/configuration.md", reference::page()),
        ("docs/configuration.schema.json", schema),
        ("config/oxpost.toml", reference::sample()),
    ];
    let wrong: Vec<String> = rendered.iter().filter_map(|(file, text)| expect(Path::new(file), text).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn a_file_that_is_not_there_is_a_fault_with_a_remedy() {
    let errors = Config::load(Path::new("tests/config/nothing.toml"), &environment).unwrap_err();
    let text = errors.to_string();
    assert!(text.starts_with("tests/config/nothing.toml: the file cannot be read: "), "{text}");
    assert!(text.contains("hint: "), "{text}");
}

#[test]
fn debug_output_of_a_configuration_shows_no_secret() {
    for file in files("config").into_iter().chain(files("tests/config/valid")) {
        let config = Config::load(&file, &environment).unwrap();
        let debug = format!("{config:#?}");
        for secret in SECRETS.into_iter().chain(["$argon2id$"]) {
            assert!(!debug.contains(secret), "{} shows a secret:\n{debug}", file.display());
        }
    }
}
