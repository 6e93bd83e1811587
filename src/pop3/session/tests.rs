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
        b"USER joe\r\n",
        b"PASS pw\r\n",
        b"AUTH\r\n",
        b"AUTH PLAIN\r\n",
        b"AUTH LOGIN ",
        b"AUTH LOGIN\n",
        b"AGEAYg==\r\n",
        b"*\r\n",
        b"CAPA\r\n",
        b"QUIT",
        b"STAT\r\n",
        b"APOP x y\r\n",
        b" ",
        b"\r",
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
        let mut in_list = false;
        for line in wire.split_terminator("\r\n") {
            prop_assert!(line.bytes().all(|octet| octet == b' ' || octet.is_ascii_graphic()), "{:?}", line);
            let is_answer = ["+OK", "-ERR", "+"].contains(&line.split(' ').next().unwrap_or_default());
            prop_assert!(is_answer || in_list, "{:?}", line);
            in_list = (in_list || line.starts_with("+OK")) && line != ".";
        }
    }

    #[test]
    fn how_commands_are_cut_changes_nothing(scraps in prop::collection::vec(scrap(), 0..25), size in 1usize..9) {
        let dialogue: Vec<u8> = scraps.into_iter().flatten().collect();
        prop_assert_eq!(play([dialogue.as_slice()]), play(dialogue.chunks(size)));
    }
}
