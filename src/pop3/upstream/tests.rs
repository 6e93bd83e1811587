use super::*;

const TOKEN: &str = "dG9rZW4=";

/// Plays a server that says each piece in answer to what it was sent, then closes.
fn play(secure: bool, pieces: &[&str]) -> (String, Result<(), Trouble>) {
    let mut upstream = Upstream::new(secure);
    let (mut sent, mut pieces) = (Vec::new(), pieces.iter());
    let end = loop {
        match upstream.step() {
            Ok(Step::Read) => {
                sent.extend_from_slice(upstream.output());
                upstream.written();
                match pieces.next() {
                    Some(piece) => upstream.receive(piece.as_bytes()),
                    None => break Err(Trouble::OutOfPlace("closed".to_owned())),
                }
            }
            Ok(Step::StartTls) => upstream.tls_started(),
            Ok(Step::Authenticate(mechanism)) => upstream.authenticate(mechanism, &Secret::new(TOKEN)),
            Ok(Step::LoggedIn) => break Ok(()),
            Err(trouble) => break Err(trouble),
        }
    };
    (String::from_utf8(sent).unwrap().replace("\r\n", "|"), end)
}

fn refused(stage: Stage, words: &str, challenge: Option<&str>) -> Result<(), Trouble> {
    Err(Trouble::Refused { stage, words: words.to_owned(), challenge: challenge.map(str::to_owned) })
}

/// Whether TLS runs, what the server says, what it is sent, how it ends, and why it is in the table.
type Row = (bool, &'static [&'static str], &'static str, Result<(), Trouble>, &'static str);

#[test]
fn a_login_is_two_lines_and_its_refusal_is_told() {
    let table: [Row; 9] = [
        (true, &["+OK hi\r\n", "+ \r\n", "+OK in\r\n"], "AUTH XOAUTH2|dG9rZW4=|", Ok(()), "as Microsoft documents it"),
        (true, &["+OK hi\r\n", "+\r\n", "+OK\r\n"], "AUTH XOAUTH2|dG9rZW4=|", Ok(()), "with few words"),
        (
            true,
            &["+OK\r\n", "+\r\n", "-ERR Authentication failure: unknown user name or bad password.\r\n"],
            "AUTH XOAUTH2|dG9rZW4=|",
            refused(Stage::Auth, "Authentication failure: unknown user name or bad password.", None),
            "Microsoft's refusal",
        ),
        (
            true,
            &["+OK\r\n", "+\r\n", "+ eyJzdGF0dXMiOiI0MDAifQ==\r\n", "-ERR [AUTH] Invalid\r\n"],
            "AUTH XOAUTH2|dG9rZW4=||",
            refused(Stage::Auth, "[AUTH] Invalid", Some("{\"status\":\"400\"}")),
            "Google's, with a challenge",
        ),
        (
            true,
            &["+OK\r\n", "-ERR no such mechanism\r\n", "+\r\n", "+OK in\r\n"],
            "AUTH XOAUTH2|AUTH OAUTHBEARER|dG9rZW4=|",
            Ok(()),
            "the other mechanism",
        ),
        (
            true,
            &["+OK\r\n", "-ERR no\r\n", "-ERR no\r\n"],
            "AUTH XOAUTH2|AUTH OAUTHBEARER|",
            Err(Trouble::NoMechanism("no".to_owned())),
            "neither",
        ),
        (
            true,
            &["+OK\r\n", "-ERR [SYS/TEMP] later\r\n"],
            "AUTH XOAUTH2|",
            refused(Stage::Auth, "[SYS/TEMP] later", None),
            "trouble is no lack of a mechanism",
        ),
        (
            false,
            &["+OK\r\n", "+OK go\r\n", "+\r\n", "+OK in\r\n"],
            "STLS|AUTH XOAUTH2|dG9rZW4=|",
            Ok(()),
            "TLS first where it does not run",
        ),
        (false, &["+OK\r\n", "-ERR no\r\n"], "STLS|", Err(Trouble::NoStartTls("no".to_owned())), "nothing in clear"),
    ];
    for (secure, pieces, sent, end, why) in table {
        assert_eq!(play(secure, pieces), (sent.to_owned(), end), "{why}");
    }
}

/// Whether TLS runs, what the server says, how it ends, and why it is in the table.
type Misbehaviour = (bool, &'static [&'static str], Result<(), Trouble>, &'static str);

#[test]
fn a_server_that_misbehaves_gets_no_login_out_of_it() {
    let no = |text: &str| Err(Trouble::OutOfPlace(text.to_owned()));
    let table: [Misbehaviour; 13] = [
        (true, &["-ERR full\r\n"], refused(Stage::Greeting, "full", None), "no greeting"),
        (true, &["* OK IMAP\r\n"], no("* OK IMAP"), "another protocol"),
        (true, &["+OK hi\r\n+OK\r\n"], Err(Trouble::Unsolicited), "an answer in advance"),
        (true, &["+OK hi\r\n+"], Err(Trouble::Unsolicited), "half of one"),
        (true, &["+OK hi\r\n", "+OK in\r\n"], no("+OK in"), "yes before the token"),
        (true, &["+OK hi\r\n", "+\r\n+OK in\r\n"], Err(Trouble::Unsolicited), "yes with the prompt"),
        (true, &["+OK hi\r\n", "+\r\n", "+ eyJ9\r\n", "+OK in\r\n"], no("+OK in"), "yes after an error"),
        (true, &["+OK hi\r\n", "+\r\n", "+ eyJ9\r\n", "+ eyJ9\r\n"], no("+ eyJ9"), "challenges without end"),
        (true, &["+OK hi\r\n", "+\r\n", "+OK in\r\n+OK 2 320\r\n"], Err(Trouble::Unsolicited), "answers to nothing"),
        (true, &["+OK hi\r\n", "+\r\n", "+OK in\rx\r\n"], no("+OK in x"), "a lone CR"),
        (true, &["+ \r\n"], no("+ "), "a prompt as a greeting"),
        (false, &["+OK\r\n", "+OK go\r\n+OK injected\r\n"], Err(Trouble::InjectedBeforeTls), "octets before TLS"),
        (true, &["\r\n"], no(""), "an empty line"),
    ];
    for (secure, pieces, end, why) in table {
        assert_eq!(play(secure, pieces).1, end, "{why}");
    }
    let long = "+".repeat(9_000);
    assert_eq!(play(true, &[&long, "\r\n"]).1, Err(Trouble::TooMuch));
}
