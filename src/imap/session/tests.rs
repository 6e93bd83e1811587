use proptest::prelude::*;

use super::*;

const OPTIONS: Options = Options { starttls: true, clear_logins: true, own_tokens: true, max_errors: 20 };

/// Plays pieces; logins are denied, TLS succeeds. Returns what was written and whether it was closed.
fn play<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, bool) {
    let mut session = Session::new(OPTIONS, false);
    let (mut wire, mut closed) = (Vec::new(), false);
    for piece in std::iter::once(&[] as &[u8]).chain(pieces) {
        session.receive(piece);
        while let Some(action) = session.next_action() {
            match action {
                Action::Reply(octets) => wire.extend(octets),
                Action::StartTls => session.tls_started(),
                Action::LogIn(_) => session.denied(Denial::Credentials, "Wrong login or password"),
                Action::Close => closed = true,
            }
        }
        assert!(session.input.rest().len() <= MAX_LINE + 1 || closed, "input piles up");
    }
    (wire, closed)
}

/// Scraps of dialogues, so that random input comes further than the first command.
fn scrap() -> impl Strategy<Value = Vec<u8>> {
    let scraps: Vec<&'static [u8]> = vec![
        b"a NOOP\r\n",
        b"a CAPABILITY\n",
        b"a LOGIN ",
        b"a LOGIN joe pw\r\n",
        b"a AUTHENTICATE PLAIN\r\n",
        b"a AUTHENTICATE LOGIN\r\n",
        b"AGEAYg==\r\n",
        b"*\r\n",
        b"a ID (",
        b"{3}\r\n",
        b"{3+}\r\n",
        b" {0+}\r\n",
        b"{99999}\r\n",
        b"{5000+}\r\n",
        b"joe",
        b" ",
        b"\"",
        b"\\",
        b"a SELECT x\r\n",
        b"\r\n",
        b"\n",
    ];
    prop_oneof![
        6 => prop::sample::select(scraps).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn random_octets_get_well_formed_answers_and_nothing_else(scraps in prop::collection::vec(scrap(), 0..40)) {
        let (wire, _) = play(scraps.iter().map(Vec::as_slice));
        let wire = String::from_utf8(wire).expect("answers are ASCII");
        prop_assert!(wire.ends_with("\r\n"));
        for line in wire.split_terminator("\r\n") {
            prop_assert!(line.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic()), "{:?}", line);
            let word = line.split(' ').nth(1).unwrap_or_default();
            let known = ["OK", "NO", "BAD", "BYE", "CAPABILITY", "ID"].contains(&word) || line.starts_with("+ ");
            prop_assert!(known, "{:?}", line);
        }
    }

    #[test]
    fn how_commands_are_cut_changes_nothing(scraps in prop::collection::vec(scrap(), 0..25), size in 1usize..9) {
        let dialogue: Vec<u8> = scraps.into_iter().flatten().collect();
        prop_assert_eq!(play([dialogue.as_slice()]), play(dialogue.chunks(size)));
    }
}

#[test]
fn a_goodbye_is_one_line() {
    assert_eq!(Session::goodbye("a\r\nb\u{e4}"), b"* BYE a??b?\r\n");
}

#[test]
fn a_client_in_the_middle_of_something_is_not_idle() {
    for (said, idle) in [("", true), ("a NO", false), ("a LOGIN {3}\r\n", false), ("a AUTHENTICATE PLAIN\r\n", false)] {
        let mut session = Session::new(OPTIONS, false);
        assert!(!session.is_idle(), "the greeting is to be written");
        session.receive(said.as_bytes());
        while session.next_action().is_some() {}
        assert_eq!(session.is_idle(), idle, "{said:?}");
    }
}

#[test]
fn the_answer_to_a_login_names_what_the_upstream_can_do() {
    for (capabilities, expected) in [
        (Some("IMAP4rev1 IDLE"), "a NOOP answered|b OK [CAPABILITY IMAP4rev1 IDLE] Logged in|"),
        (None, "a NOOP answered|b OK Logged in|"),
    ] {
        let mut session = Session::new(OPTIONS, true);
        while session.next_action().is_some() {}
        session.receive(b"a NOOP\r\nb LOGIN joe pw\r\nc SELECT x\r\n{");
        assert!(matches!(session.next_action(), Some(Action::LogIn(_))));
        let Handover { reply, unread } = session.logged_in(capabilities).unwrap();
        let reply = String::from_utf8(reply).unwrap().replace("a OK Nothing done", "a NOOP answered");
        assert_eq!((reply.replace("\r\n", "|").as_str(), unread.as_slice()), (expected, b"c SELECT x\r\n{".as_slice()));
    }
    assert_eq!(Session::new(OPTIONS, true).logged_in(None), None, "nobody asked");
}
