//! Answers in, configuration out.

use std::io::Cursor;

use super::*;

fn arguments(words: &[&str]) -> InitArguments {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        arguments: InitArguments,
    }
    <Line as clap::Parser>::try_parse_from([&["init"], words].concat()).unwrap().arguments
}

/// What is written, or what is said instead, and what was asked.
fn init(path: &Path, words: &[&str], answers: Option<&str>) -> (Result<Written, String>, String) {
    let (mut input, mut output) = (Cursor::new(answers.unwrap_or_default().as_bytes().to_vec()), Vec::new());
    let mut interview = Interview { input: &mut input, output: &mut output, asks: answers.is_some() };
    let written = compose(path, &arguments(words), &mut interview).map_err(|report| report.to_string());
    (written, String::from_utf8(output).unwrap())
}

const MICROSOFT: [&str; 6] = ["--provider", "microsoft", "--client-id", "8f54719b", "--mailbox", "scanner@contoso.com"];

#[test]
fn flags_alone_make_a_configuration_that_holds_together() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("oxpost.toml");
    std::fs::write(folder.path().join("secret"), "value").unwrap();
    let google = [
        "--provider",
        "google",
        "--client-id",
        "1-a.apps.example",
        "--client-secret",
        "secret",
        "--mailbox",
        "a@b.example",
    ];
    let custom = [
        ["--provider", "custom", "--client-id", "1", "--mailbox", "a@b.example"].as_slice(),
        &["--authorize-url", "https://l.example/a", "--token-url", "https://l.example/t", "--smtp-host", "s.example"],
    ]
    .concat();
    let app = [&MICROSOFT[..4], &["--app-only", "--tenant", "contoso.com", "--mailbox", "*@contoso.com", "--people"]]
        .concat();
    let network = [&MICROSOFT[..], &["--networks", "192.168.10.0/24,10.0.0.0/8"]].concat();
    let table = [
        (MICROSOFT.to_vec(), "send = [\"graph\", \"smtp\"]", "delegated"),
        (google.to_vec(), "client_secret = { file = \"secret\" }", "Google needs the secret of a desktop app"),
        (custom, "smtp_host = \"s.example\"", "by endpoints"),
        (app.clone(), "grant = \"client-credentials\"", "app-only"),
        (app, "[directory]\naccount = \"contoso\"", "people, with the account named after the domain"),
        (network, "networks = [\"192.168.10.0/24\", \"10.0.0.0/8\"]", "devices of a network"),
    ];
    for (words, expected, why) in table {
        let (written, asked) = init(&path, &words, None);
        let text = written.unwrap_or_else(|error| panic!("{why}: {error}")).text;
        assert!(text.contains(expected), "{why}:\n{text}");
        assert_eq!(asked, "", "{why}");
    }
}

#[test]
fn a_person_is_asked_what_is_not_given_and_again_after_a_bad_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("oxpost.toml");
    let answers =
        "office365\nmicrosoft\n\n\n8f54719b\n\nscanner\nscanner@contoso.com\n\n192.168.10.0/240\n192.168.10.0/24\n";
    let (written, asked) = init(&path, &[], Some(answers));
    let text = written.unwrap().text;
    for expected in ["tenant = \"common\"", "[account.scanner]", "listen = \"0.0.0.0:2525\"", "name = \"devices\""] {
        assert!(text.contains(expected), "{text}");
    }
    assert!(!text.contains("client_secret"), "a public client has none");
    assert!(asked.contains("it is one of microsoft, google, custom"), "{asked}");
    assert!(asked.contains("`192.168.10.0/240` is no network"), "{asked}");
    let app = "microsoft\ny\ncontoso.com\n8f54719b\nAPP_SECRET\n*@contoso.com\n\n\n";
    let text = init(&path, &[], Some(app)).0.unwrap().text;
    assert!(text.contains("client-credentials") && text.contains("{ env = \"APP_SECRET\" }"), "{text}");
    let (stopped, _) = init(&path, &[], Some("microsoft\n"));
    assert!(stopped.unwrap_err().contains("no more answers"));
}

#[test]
fn what_cannot_be_meant_is_refused_by_flag() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("oxpost.toml");
    let with = |more: &[&'static str]| [&MICROSOFT[..], more].concat();
    let table = [
        (vec![], "`--client-id` is needed", "microsoft is the default, the id has none"),
        (MICROSOFT[..4].to_vec(), "`--mailbox` is needed", "no mailbox"),
        (with(&["--networks", "printers"]), "`printers` is no network", "a name"),
        (with(&["--client-secret", "Xy8~secret-value"]), "there is no such file", "the secret itself"),
        (with(&["--app-only"]), "`--tenant` is needed", "an app belongs to one directory"),
        (
            with(&["--app-only", "--tenant", "t.example", "--client-secret", "none"]),
            "needs a secret",
            "an app proves itself",
        ),
        (with(&["--account", "two words"]), "letters, digits", "a bad name"),
    ];
    for (words, expected, why) in table {
        let error = init(&path, &words, None).0.unwrap_err();
        assert!(error.contains(expected), "{why}: {error}");
        assert!(!error.contains("Xy8~secret"), "a secret is not repeated: {error}");
    }
}

#[test]
fn an_account_is_added_and_everything_else_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("oxpost.toml");
    let first = init(&path, &[&MICROSOFT[..], &["--tenant", "contoso.com"]].concat(), None).0.unwrap().text;
    let edited = first.replace("[[listener]]", "[[listener]] # the printer's\nmax_sessions  =  7");
    std::fs::write(&path, &edited).unwrap();
    let untouched = init(&path, &MICROSOFT, None).0.unwrap_err();
    assert!(untouched.contains("left as it is") && untouched.contains("--add"), "{untouched}");
    let add = ["--add", "--provider", "contoso", "--mailbox", "billing@contoso.com"];
    let added = init(&path, &add, None).0.unwrap();
    let before: Vec<&str> = edited.lines().filter(|line| !line.starts_with("accounts = ")).collect();
    let after: Vec<&str> = added.text.lines().filter(|line| !line.starts_with("accounts = ")).collect();
    assert_eq!(after[..before.len()], before, "comments, order and blanks stay");
    assert!(added.text.contains("accounts = [\"scanner\", \"billing\"]"), "{}", added.text);
    assert!(added.text.ends_with("send = [\"graph\", \"smtp\"]\n"), "{}", added.text);
    let twice = init(&path, &["--add", "--provider", "contoso", "--mailbox", "scanner@contoso.com"], None).0;
    assert!(twice.unwrap_err().contains("has an account `scanner` already"));
    let (asked, _) = init(&path, &add[1..], Some("y\n\n\n\n"));
    assert_eq!(asked.unwrap().text, added.text, "the same after a question");
    let second =
        init(&path, &[&["--add"], &MICROSOFT[..5], &["fax@contoso.com", "--tenant", "contoso.com"]].concat(), None);
    assert!(second.0.unwrap().text.contains("[provider.contoso-2]"), "a name of its own");
}

#[test]
fn a_file_is_never_overwritten_and_keeps_its_rights() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("oxpost.toml");
    create(&path, "one").unwrap();
    assert!(create(&path, "two").unwrap_err().to_string().contains("cannot be written"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(replace(&path, "something else", "two").unwrap_err().to_string().contains("changed meanwhile"));
    replace(&path, "one", "two").unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}
