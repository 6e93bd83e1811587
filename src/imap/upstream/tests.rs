use proptest::prelude::*;

use super::*;

const TOKEN: &str = "dG9rZW4=";
const GREETING: &str = "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] ready\r\n";

/// How a scripted server fared: all that was sent to it, and how it ended.
#[derive(PartialEq, Eq, Debug)]
struct Played {
    sent: String,
    end: Result<LoggedIn, Trouble>,
}

/// Plays a server that says each piece in answer to what it was sent. `@` stands for our tag of that moment. A server
/// that has said everything closes the connection.
fn play(secure: bool, pieces: &[&str]) -> Played {
    let mut upstream = Upstream::new(secure, "ox");
    let (mut sent, mut pieces) = (Vec::new(), pieces.iter());
    loop {
        match upstream.step() {
            Ok(Step::Read) => {
                sent.extend_from_slice(upstream.output());
                upstream.written();
                let Some(piece) = pieces.next() else {
                    let end = Err(Trouble::OutOfPlace("closed".to_owned()));
                    return Played { sent: text(sent), end };
                };
                let tag = upstream.tag();
                upstream.receive(piece.replace('@', &tag).as_bytes());
            }
            Ok(Step::StartTls) => upstream.tls_started(),
            Ok(Step::Authenticate(mechanism)) => upstream.authenticate(mechanism, &Secret::new(TOKEN)),
            Ok(Step::LoggedIn) => return Played { sent: text(sent), end: Ok(upstream.into_logged_in()) },
            Err(trouble) => return Played { sent: text(sent), end: Err(trouble) },
        }
    }
}

fn text(octets: Vec<u8>) -> String {
    String::from_utf8(octets).unwrap().replace("\r\n", "|")
}

fn logged_in(capabilities: Option<&str>, unread: &str) -> Result<LoggedIn, Trouble> {
    Ok(LoggedIn { capabilities: capabilities.map(str::to_owned), unread: unread.as_bytes().to_vec() })
}

fn refused(stage: Stage, words: &str, challenge: Option<&str>) -> Result<LoggedIn, Trouble> {
    Err(Trouble::Refused { stage, words: words.to_owned(), challenge: challenge.map(str::to_owned) })
}

/// What the server says, what it is sent, how it ends, and why it is in the table.
type Row = (&'static [&'static str], &'static str, Result<LoggedIn, Trouble>, &'static str);

#[test]
fn a_login_takes_as_few_round_trips_as_the_server_lets_it() {
    let table: [Row; 6] = [
        (
            &[GREETING, "@ OK [CAPABILITY IMAP4rev1 IDLE] in\r\n* 5 EXISTS\r\nmore"],
            "ox1 AUTHENTICATE XOAUTH2 dG9rZW4=|",
            logged_in(Some("IMAP4rev1 IDLE"), "* 5 EXISTS\r\nmore"),
            "capabilities in the greeting and with the OK; what follows is kept to the octet",
        ),
        (
            &[
                "* OK ready\r\n",
                "* CAPABILITY IMAP4rev1 AUTH=XOAUTH2\r\n@ OK done\r\n",
                "+ \r\n",
                "* CAPABILITY IMAP4rev1 UIDPLUS STARTTLS LOGINDISABLED AUTH=PLAIN SASL-IR COMPRESS=DEFLATE\r\n@ OK in\r\n",
            ],
            "ox1 CAPABILITY|ox2 AUTHENTICATE XOAUTH2|dG9rZW4=|",
            logged_in(Some("IMAP4rev1 UIDPLUS COMPRESS=DEFLATE"), ""),
            "no SASL-IR; Gmail's untagged list, without what makes no sense any more",
        ),
        (
            &[GREETING, "* OK still checking\r\n* 3 RECENT\r\n", "@ OK AUTHENTICATE completed.\r\n"],
            "ox1 AUTHENTICATE XOAUTH2 dG9rZW4=|",
            logged_in(None, ""),
            "Microsoft names none; what was said before the OK is gone",
        ),
        (
            &["* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=OAUTHBEARER] x\r\n", "@ OK in\r\n"],
            "ox1 AUTHENTICATE OAUTHBEARER dG9rZW4=|",
            logged_in(None, ""),
            "RFC 7628 where there is nothing else",
        ),
        (
            &[
                GREETING,
                "+ eyJzdGF0dXMiOiI0MDEifQ==\r\n",
                "@ NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)\r\n",
            ],
            "ox1 AUTHENTICATE XOAUTH2 dG9rZW4=||",
            refused(
                Stage::Authenticate,
                "[AUTHENTICATIONFAILED] Invalid credentials (Failure)",
                Some("{\"status\":\"401\"}"),
            ),
            "the challenge is answered by an empty line and told",
        ),
        (
            &["* OK [CAPABILITY AUTH=OAUTHBEARER] x\r\n", "+\r\n", "+ eyJ9\r\n", "@ NO no\r\n"],
            "ox1 AUTHENTICATE OAUTHBEARER|dG9rZW4=|AQ==|",
            refused(Stage::Authenticate, "no", Some("{\"}")),
            "that of RFC 7628 by 0x01",
        ),
    ];
    for (pieces, sent, end, why) in table {
        assert_eq!(play(true, pieces), Played { sent: sent.to_owned(), end }, "{why}");
    }
}

#[test]
fn nothing_leaves_in_clear_but_capability_and_starttls() {
    let table: [Row; 6] = [
        (
            &[
                "* OK [CAPABILITY IMAP4rev1 STARTTLS AUTH=XOAUTH2] x\r\n",
                "@ OK go\r\n",
                "* CAPABILITY SASL-IR AUTH=XOAUTH2\r\n@ OK x\r\n",
                "@ OK in\r\n",
            ],
            "ox1 STARTTLS|ox2 CAPABILITY|ox3 AUTHENTICATE XOAUTH2 dG9rZW4=|",
            logged_in(None, ""),
            "what was offered in clear is asked for again under TLS",
        ),
        (&["* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] x\r\n"], "", Err(Trouble::NoStartTls), "not offered, or stripped"),
        (
            &["* OK [CAPABILITY STARTTLS] x\r\n", "@ OK go\r\n* OK injected\r\n"],
            "ox1 STARTTLS|",
            Err(Trouble::InjectedBeforeTls),
            "octets behind the OK",
        ),
        (
            &["* OK [CAPABILITY STARTTLS] x\r\n", "@ NO later\r\n"],
            "ox1 STARTTLS|",
            refused(Stage::StartTls, "later", None),
            "refused",
        ),
        (&["* PREAUTH [CAPABILITY IMAP4rev1] hi\r\n"], "", Err(Trouble::PreAuth), "CVE-2021-39272"),
        (&["* OK [CAPABILITY STARTTLS] x\r\n", "* PREAUTH hi\r\n"], "ox1 STARTTLS|", Err(Trouble::PreAuth), "later"),
    ];
    for (pieces, sent, end, why) in table {
        assert_eq!(play(false, pieces), Played { sent: sent.to_owned(), end }, "{why}");
    }
}

#[test]
fn a_server_that_misbehaves_gets_no_login_out_of_it() {
    let no = |text: &str| Err(Trouble::OutOfPlace(text.to_owned()));
    let table: [(&[&str], Result<LoggedIn, Trouble>, &str); 17] = [
        (&["* BYE full\r\n"], refused(Stage::Greeting, "full", None), "BYE as a greeting"),
        (&["* BAD no\r\n"], refused(Stage::Greeting, "no", None), "BAD as a greeting"),
        (&["+OK POP3\r\n"], no("+OK POP3"), "another protocol"),
        (&["HTTP/1.1 400 Bad Request\r\n"], no("HTTP/1.1 400 Bad Request"), "HTTP"),
        (&[GREETING, "a1 OK in\r\n"], no("a1 OK in"), "another's tag"),
        (
            &["* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] ready\r\nguess1 OK in\r\n"],
            no("guess1 OK in"),
            "an answer in advance, to a tag that was guessed",
        ),
        (&["* OK x\r\n", "@ OK done\r\n"], no("done"), "CAPABILITY without a list"),
        (&["* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] x\r\n"], Err(Trouble::NoMechanism), "no mechanism for tokens"),
        (&["* OK [CAPABILITY AUTH=XOAUTH2] x\r\n", "@ OK in\r\n"], no("in"), "OK before the token was sent"),
        (&[GREETING, "+ eyJ9\r\n", "@ OK in\r\n"], no("in"), "OK after an error"),
        (&[GREETING, "+ eyJ9\r\n", "+ eyJ9\r\n"], no("+"), "challenges without end"),
        (&[GREETING, "* BYE bye\r\n@ OK in\r\n"], refused(Stage::Authenticate, "bye", None), "BYE"),
        (&[GREETING, "@ OK in\rx OK\r\n"], no("ox1 OK in x OK"), "a lone CR"),
        (&[GREETING, "* X {9}\r\n@ OK in\r\n"], no("* X {9}"), "a literal where none belongs"),
        (&[GREETING, "@ PREAUTH in\r\n"], no("ox1 PREAUTH in"), "a tag with a status it cannot have"),
        (
            &[GREETING, "@ NO [UNAVAILABLE] Request is throttled. Suggested Backoff Time: 92415 milliseconds\r\n"],
            refused(
                Stage::Authenticate,
                "[UNAVAILABLE] Request is throttled. Suggested Backoff Time: 92415 milliseconds",
                None,
            ),
            "throttled",
        ),
        (&[GREETING, "\r\n"], no(""), "an empty line"),
    ];
    for (pieces, end, why) in table {
        assert_eq!(play(true, pieces).end, end, "{why}");
    }
}

#[test]
fn a_server_that_talks_without_end_is_cut_off() {
    let long = "x".repeat(9_000);
    assert_eq!(play(true, &[&long, "\r\n"]).end, Err(Trouble::TooMuch));
    let many = "* OK still there\r\n".repeat(4_000);
    assert_eq!(play(true, &[GREETING, &many]).end, Err(Trouble::TooMuch));
}

#[test]
fn a_capability_list_with_anything_else_in_it_is_not_believed() {
    for list in ["IMAP4rev1 x] a OK [", "IMAP4rev1 \"x\"", "IMAP4rev1 {3}", "", &"X ".repeat(2000)] {
        let played = play(true, &[GREETING, &format!("@ OK [CAPABILITY {list}] in\r\n")]);
        let capabilities = played.end.unwrap().capabilities;
        assert!(capabilities.as_deref().is_none_or(|words| words == "IMAP4rev1 x"), "{list:?}: {capabilities:?}");
    }
}

#[test]
fn a_long_token_leaves_on_a_line_of_its_own() {
    let mut upstream = Upstream::new(true, "ox");
    upstream.receive(GREETING.as_bytes());
    assert_eq!(upstream.step(), Ok(Step::Authenticate(Mechanism::XOAuth2)));
    upstream.authenticate(Mechanism::XOAuth2, &Secret::new("t".repeat(9_000)));
    assert_eq!(upstream.output(), b"ox1 AUTHENTICATE XOAUTH2\r\n");
}

proptest! {
    #[test]
    fn random_octets_never_log_in(octets in prop::collection::vec(any::<u8>(), 0..400), size in 1usize..50) {
        for greeted in [false, true] {
            let mut upstream = Upstream::new(true, "sixteenletters00");
            if greeted {
                upstream.receive(GREETING.as_bytes());
                upstream.step().unwrap();
                upstream.authenticate(Mechanism::XOAuth2, &Secret::new(TOKEN));
            }
            for piece in octets.chunks(size) {
                upstream.receive(piece);
                match upstream.step() {
                    Ok(step) => prop_assert!(step != Step::LoggedIn),
                    Err(_) => break,
                }
            }
        }
    }
}
