//! Random octets and random cuts.

use proptest::prelude::*;

use super::*;

/// Scraps of dialogues, so that random input comes further than the first command.
fn scrap() -> impl Strategy<Value = Vec<u8>> {
    let scraps: Vec<&'static [u8]> = vec![
        b"EHLO x\r\n",
        b"HELO\n",
        b"STARTTLS\r\n",
        b"AUTH LOGIN\r\n",
        b"AUTH PLAIN AGEAYg==\r\n",
        b"YQ==\r\n",
        b"*\r\n",
        b"MAIL FROM:<a@b.example>\r\n",
        b"RCPT TO:<c@d.example>\r\n",
        b"RCPT TO:<",
        b"DATA\r\n",
        b"BDAT 7\r\n",
        b"BDAT 3 LAST\r\n",
        b"\r\n.\r\n",
        b"\n.\n",
        b"RSET\r\n",
        b"Subject: x\r\n\r\n",
        b"\"<>:@\\",
        b"\r",
        b"\n",
    ];
    prop_oneof![
        4 => prop::sample::select(scraps).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn random_octets_get_well_formed_replies_and_nothing_else(
        scraps in prop::collection::vec(scrap(), 0..40), lf in any::<bool>(), auth_required in any::<bool>(),
    ) {
        let line_endings = if lf { LineEndings::Lf } else { LineEndings::Crlf };
        let mut session = Session::new(Options { line_endings, auth_required, max_octets: 100, ..options() }, false);
        let mut driver = Driver::default();
        driver.drive(&mut session);
        for scrap in &scraps {
            session.receive(scrap);
            driver.drive(&mut session);
        }
        prop_assert!(driver.wire.is_empty() || driver.wire.ends_with(b"\r\n"));
        let wire = String::from_utf8(driver.wire).expect("replies are ASCII");
        for line in wire.split_terminator("\r\n") {
            let (code, text) = line.split_at_checked(3).expect("a line begins with a code");
            prop_assert!(code.bytes().all(|digit| digit.is_ascii_digit()), "{}", line);
            prop_assert!(text.starts_with([' ', '-']) && !text.contains(['\r', '\n']), "{}", line);
        }
    }

    #[test]
    fn how_commands_are_cut_changes_nothing(scraps in prop::collection::vec(scrap(), 0..25), size in 1usize..9) {
        // What comes before the replies to DATA and STARTTLS is treated in a way of its own.
        let dialogue: Vec<u8> =
            scraps.into_iter().filter(|scrap| !scrap.starts_with(b"DATA") && !scrap.starts_with(b"START")).flatten().collect();
        let play = |size: usize| {
            let (mut session, mut driver) = (Session::new(options(), false), Driver::default());
            for piece in dialogue.chunks(size) {
                session.receive(piece);
                driver.drive(&mut session);
            }
            (driver.wire, driver.messages, driver.closed)
        };
        prop_assert_eq!(play(dialogue.len().max(1)), play(size));
    }
}
