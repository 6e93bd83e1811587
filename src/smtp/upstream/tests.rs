use super::*;
use crate::mail::Address;
use crate::mail::dsn::{Back, MessageWishes, Notify, OriginalRecipient};

const EHLO: &str = "250-up.example\r\n250-SIZE 1000\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n\
                    250 AUTH LOGIN XOAUTH2\r\n";

fn said(client: &mut Upstream) -> String {
    let text = String::from_utf8(client.output().to_vec()).unwrap();
    client.written();
    text
}

/// Feeds one answer and gives what is to be done then.
fn answer(client: &mut Upstream, octets: &str) -> Result<Step, Trouble> {
    client.receive(octets.as_bytes());
    client.step()
}

/// A client over TLS that has read `ehlo`.
fn greeted(ehlo: &str) -> Upstream {
    let mut client = Upstream::new("gw.example", true);
    assert_eq!(answer(&mut client, "220 up.example ready\r\n"), Ok(Step::Read));
    assert_eq!(said(&mut client), "EHLO gw.example\r\n");
    assert_eq!(answer(&mut client, ehlo), Ok(Step::Authenticate));
    client
}

fn logged_in(ehlo: &str) -> Upstream {
    let mut client = greeted(ehlo);
    client.authenticate([Secret::new("dG9rZW4=")]);
    assert_eq!(said(&mut client), "AUTH XOAUTH2 dG9rZW4=\r\n");
    assert_eq!(answer(&mut client, "235 2.7.0 ok\r\n"), Ok(Step::Ready));
    client
}

fn recipients(addresses: &[&str]) -> Vec<Recipient> {
    addresses.iter().map(|address| Recipient::from(address.parse::<Address>().unwrap())).collect()
}

/// Begins a transaction from `a@x.example`.
fn begin(client: &mut Upstream, to: &[&str]) -> Result<(), CannotCarry> {
    let recipients = recipients(to);
    let recipients: Vec<_> = recipients.iter().collect();
    let reverse_path = ReversePath::Mailbox("a@x.example".parse().unwrap());
    client.begin(&Mail {
        reverse_path: &reverse_path,
        recipients: &recipients,
        size: 500,
        eight_bit: false,
        smtputf8: false,
        wishes: &MessageWishes::default(),
        in_one_go: true,
    })
}

fn finished(step: Result<Step, Trouble>) -> Answers {
    match step {
        Ok(Step::Finished(answers)) => answers,
        other => panic!("the transaction has not finished: {other:?}"),
    }
}

/// The codes of refused recipients, 0 for the others.
fn codes(answers: &Answers) -> Vec<u16> {
    answers.recipients.iter().map(|refusal| refusal.as_ref().map_or(0, |response| response.code)).collect()
}

#[test]
fn nothing_but_ehlo_and_starttls_is_said_before_tls() {
    let mut client = Upstream::new("gw.example", false);
    assert_eq!(answer(&mut client, "220 up.example\r\n"), Ok(Step::Read));
    assert_eq!(said(&mut client), "EHLO gw.example\r\n");
    // AUTH in clear is offered, and not taken.
    assert_eq!(answer(&mut client, "250-up\r\n250-STARTTLS\r\n250 AUTH XOAUTH2\r\n"), Ok(Step::Read));
    assert_eq!(said(&mut client), "STARTTLS\r\n");
    assert_eq!(answer(&mut client, "220 go\r\n"), Ok(Step::StartTls));
    assert_eq!(said(&mut client), "");
    client.tls_started();
    assert_eq!(said(&mut client), "EHLO gw.example\r\n");
    assert!(!client.extensions().xoauth2, "what was learnt in clear text is forgotten");
    assert_eq!(answer(&mut client, EHLO), Ok(Step::Authenticate));
}

#[test]
fn a_server_that_refuses_or_injures_starttls_gets_nothing_more() {
    let ehlo = "250-up\r\n250 STARTTLS\r\n";
    let table = [
        ("250 up\r\n", "", "does not offer STARTTLS", "STARTTLS is not offered"),
        (ehlo, "454 4.7.0 TLS not available\r\n", "454 4.7.0", "a refusal for now"),
        (ehlo, "502 5.5.1 no\r\n", "502 5.5.1", "a refusal for good"),
        (ehlo, "354 go ahead\r\n", "does not fit", "an answer of another class"),
        (ehlo, "* PREAUTH hello\r\n", "not an SMTP reply", "garbage"),
        (ehlo, "220 go\r\n250 AUTH XOAUTH2\r\n", "between its reply to STARTTLS and TLS", "a reply behind the 220"),
        (ehlo, "220 go\r\n\x16\x03", "between its reply to STARTTLS and TLS", "half a record behind the 220"),
        ("250-up\r\n250 STARTTLS\r\n220 go\r\n", "", "nothing asked for", "an answer before the question"),
    ];
    for (ehlo, starttls, words, why) in table {
        let mut client = Upstream::new("gw.example", false);
        client.receive(b"220 up\r\n");
        assert_eq!(client.step(), Ok(Step::Read));
        said(&mut client);
        let mut result = answer(&mut client, ehlo);
        if !starttls.is_empty() {
            assert_eq!(said(&mut client), "STARTTLS\r\n", "{why}");
            result = answer(&mut client, starttls);
        }
        let trouble = result.expect_err(why);
        assert!(trouble.to_string().contains(words), "{why}: {trouble}");
        assert_eq!(said(&mut client), "", "{why}");
    }
}

#[test]
fn a_greeting_that_is_not_one_ends_the_connection() {
    let table = [
        ("421 4.3.2 busy\r\n", "421 4.3.2 busy"),
        ("554 5.7.1 go away\r\n", "554 5.7.1 go away"),
        ("354 what\r\n", "does not fit the greeting"),
        ("220 a\r\n220 b\r\n", "nothing asked for"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "not an SMTP reply"),
    ];
    for (greeting, words) in table {
        let trouble = answer(&mut Upstream::new("gw", true), greeting).unwrap_err();
        assert!(trouble.to_string().contains(words), "{greeting:?}: {trouble}");
    }
}

#[test]
fn a_server_without_xoauth2_is_named() {
    let mut client = Upstream::new("gw", true);
    client.receive(b"220 up\r\n250-up\r\n");
    assert!(matches!(client.step(), Err(Trouble::Unsolicited(_))), "an answer to EHLO before EHLO");
    let mut client = Upstream::new("gw", true);
    let _ = answer(&mut client, "220 up\r\n");
    assert_eq!(answer(&mut client, "250-up\r\n250 AUTH PLAIN LOGIN\r\n"), Err(Trouble::NoXoauth2));
    let mut client = Upstream::new("gw", true);
    let _ = answer(&mut client, "220 up\r\n");
    assert!(matches!(answer(&mut client, "500 what\r\n"), Err(Trouble::Refused { stage: Stage::Hello, .. })));
}

#[test]
fn oauthbearer_serves_where_it_is_alone_and_ends_by_its_own_line() {
    let hello = "250-up\r\n250 AUTH PLAIN OAUTHBEARER\r\n";
    let mut client = Upstream::new("gw", true);
    let _ = answer(&mut client, "220 up\r\n");
    assert_eq!(answer(&mut client, hello), Ok(Step::Authenticate));
    assert_eq!(client.mechanism(), Mechanism::OauthBearer);
    client.written();
    client.authenticate([Secret::new("dG9rZW4=")]);
    assert_eq!(said(&mut client), "AUTH OAUTHBEARER dG9rZW4=\r\n");
    assert_eq!(answer(&mut client, "334 e30=\r\n"), Ok(Step::Read));
    assert_eq!(said(&mut client), "AQ==\r\n");
    assert!(matches!(answer(&mut client, "535 5.7.8 no\r\n"), Err(Trouble::Refused { stage: Stage::Auth, .. })));
    let mut both = Upstream::new("gw", true);
    let _ = answer(&mut both, "220 up\r\n");
    let _ = answer(&mut both, "250-up\r\n250 AUTH OAUTHBEARER XOAUTH2\r\n");
    assert_eq!(both.mechanism(), Mechanism::Xoauth2, "what the providers document goes first");
}

#[test]
fn our_own_name_cannot_bring_a_command_with_it() {
    for (name, sent) in [("gw\r\nMAIL FROM:<x>", "EHLO gwMAILFROM:<x>\r\n"), ("\0 \n", "EHLO localhost\r\n")] {
        let mut client = Upstream::new(name, true);
        let _ = answer(&mut client, "220 up\r\n");
        assert_eq!(said(&mut client), sent);
    }
}

#[test]
fn a_response_that_would_pass_512_octets_goes_on_its_own_line() {
    // `AUTH XOAUTH2 ` and CRLF are 15 octets.
    for (octets, alone) in [(497, false), (498, true), (12_288, true)] {
        let token = "x".repeat(octets);
        let mut client = greeted(EHLO);
        client.authenticate([Secret::new(token.clone())]);
        if alone {
            assert_eq!(said(&mut client), "AUTH XOAUTH2\r\n");
            assert_eq!(answer(&mut client, "334 \r\n"), Ok(Step::Read));
            assert_eq!(said(&mut client), format!("{token}\r\n"));
        } else {
            assert_eq!(said(&mut client), format!("AUTH XOAUTH2 {token}\r\n"));
        }
        assert_eq!(answer(&mut client, "235 2.7.0 ok\r\n"), Ok(Step::Ready));
    }
}

#[test]
fn an_error_challenge_is_decoded_and_answered_by_an_empty_line() {
    for token in ["short".to_owned(), "x".repeat(2000)] {
        let mut client = greeted(EHLO);
        client.authenticate([Secret::new(token.clone())]);
        if said(&mut client) == "AUTH XOAUTH2\r\n" {
            assert_eq!(answer(&mut client, "334 \r\n"), Ok(Step::Read));
            said(&mut client);
        }
        let challenge = "334 eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiQmVhcmVyIn0=\r\n";
        assert_eq!(answer(&mut client, challenge), Ok(Step::Read));
        assert_eq!(said(&mut client), "\r\n");
        let trouble = answer(&mut client, "535 5.7.8 Username and Password not accepted\r\n").unwrap_err();
        let Trouble::Refused { stage: Stage::Auth, response, challenge: Some(challenge) } = trouble else {
            panic!("{trouble:?}")
        };
        assert_eq!((response.code, challenge.as_str()), (535, r#"{"status":"401","schemes":"Bearer"}"#));
    }
}

#[test]
fn a_login_ends_in_235_and_in_nothing_else() {
    let table = [
        ("535 5.7.3 no\r\n", "535 5.7.3 no", "a refusal without a challenge"),
        ("250 ok\r\n", "does not fit", "another positive answer"),
        ("235 ok\r\n250 ok\r\n", "nothing asked for", "one answer too many"),
        ("421 4.3.2 bye\r\n", "421 4.3.2 bye", "the server closes"),
    ];
    for (octets, words, why) in table {
        let mut client = greeted(EHLO);
        client.authenticate([Secret::new("t")]);
        let trouble = answer(&mut client, octets).expect_err(why);
        assert!(trouble.to_string().contains(words), "{why}: {trouble}");
    }
    let mut client = greeted(EHLO);
    client.authenticate([Secret::new("t")]);
    assert_eq!(answer(&mut client, "334 eyJ9\r\n"), Ok(Step::Read));
    assert!(matches!(answer(&mut client, "334 eyJ9\r\n"), Err(Trouble::OutOfPlace { .. })), "a second challenge");
}

#[test]
fn a_token_does_not_stay_in_the_output() {
    let mut client = greeted(EHLO);
    client.authenticate([Secret::new("dG9rZW4=")]);
    client.written();
    assert!(client.output().is_empty());
    assert!(!format!("{client:?}").contains("dG9rZW4="));
}

#[test]
fn a_pipelined_transaction_takes_two_round_trips() {
    let mut client = logged_in(EHLO);
    begin(&mut client, &["b@x.example", "c@x.example"]).unwrap();
    assert_eq!(
        said(&mut client),
        "MAIL FROM:<a@x.example> SIZE=500\r\nRCPT TO:<b@x.example>\r\nRCPT TO:<c@x.example>\r\nDATA\r\n"
    );
    assert!(!client.mail_was_answered());
    assert_eq!(answer(&mut client, "250 ok\r\n250 ok\r\n"), Ok(Step::Read));
    assert!(client.mail_was_answered());
    assert_eq!(answer(&mut client, "250 ok\r\n354 go\r\n"), Ok(Step::SendContent));
    assert_eq!(client.stage(), Some(Stage::Content));
    let answers = finished(answer(&mut client, "250 2.0.0 queued as 7\r\n"));
    assert_eq!(codes(&answers), [0, 0]);
    assert!(matches!(answers.ending, Ending::Taken(response) if response.text == "2.0.0 queued as 7"));
    assert!(client.is_reusable());
    begin(&mut client, &["b@x.example"]).unwrap();
    assert!(said(&mut client).starts_with("MAIL FROM:"), "no RSET after a message that was taken");
}

#[test]
fn without_pipelining_each_command_waits_for_its_answer() {
    let mut client = logged_in("250-up\r\n250 AUTH XOAUTH2\r\n");
    begin(&mut client, &["b@x.example", "c@x.example"]).unwrap();
    let dialogue = [
        ("MAIL FROM:<a@x.example>\r\n", "250 ok\r\n"),
        ("RCPT TO:<b@x.example>\r\n", "550 5.1.1 no\r\n"),
        ("RCPT TO:<c@x.example>\r\n", "250 ok\r\n"),
    ];
    for (command, reply) in dialogue {
        assert_eq!(said(&mut client), command);
        assert_eq!(answer(&mut client, reply), Ok(Step::Read));
    }
    assert_eq!(said(&mut client), "DATA\r\n");
    assert_eq!(answer(&mut client, "354 go\r\n"), Ok(Step::SendContent));
    let answers = finished(answer(&mut client, "250 ok\r\n"));
    assert_eq!(codes(&answers), [550, 0]);
}

#[test]
fn many_recipients_leave_in_windows() {
    let mut client = logged_in(EHLO);
    let addresses: Vec<String> = (0..250).map(|number| format!("r{number}@x.example")).collect();
    begin(&mut client, &addresses.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    let mut counts = Vec::new();
    loop {
        let commands = said(&mut client);
        counts.push(commands.lines().count());
        let replies = "250 ok\r\n".repeat(commands.lines().filter(|line| *line != "DATA").count());
        let end = if commands.contains("DATA") { "354 go\r\n" } else { "" };
        if answer(&mut client, &format!("{replies}{end}")) == Ok(Step::SendContent) {
            break;
        }
    }
    assert_eq!(counts, [101, 100, 51]);
    assert_eq!(finished(answer(&mut client, "250 ok\r\n")).recipients.len(), 250);
}

#[test]
fn data_that_goes_on_without_recipients_is_ended_by_a_lone_dot() {
    let mut client = logged_in(EHLO);
    begin(&mut client, &["b@x.example"]).unwrap();
    said(&mut client);
    assert_eq!(answer(&mut client, "250 ok\r\n550 5.1.1 no\r\n354 go\r\n"), Ok(Step::Read));
    assert_eq!(said(&mut client), ".\r\n");
    let answers = finished(answer(&mut client, "554 5.5.1 no valid recipients\r\n"));
    assert_eq!((codes(&answers), answers.ending), (vec![550], Ending::NoRecipients));
}

#[test]
fn refusals_belong_to_their_commands() {
    let table = [
        ("550 5.7.60 no\r\n503 no\r\n503 no\r\n503 no\r\n", vec![0, 0], "MAIL 550", "MAIL, and not the 503s behind it"),
        ("250 ok\r\n450 4.2.1 no\r\n550 no\r\n554 none\r\n", vec![450, 550], "none", "each recipient"),
        ("250 ok\r\n250 ok\r\n550 no\r\n451 4.3.0 no\r\n", vec![0, 550], "DATA 451", "DATA"),
        ("421 4.7.0 bye\r\n", vec![0, 0], "MAIL 421", "421 ends it at once"),
        ("250 ok\r\n550 no\r\n421 4.7.0 bye\r\n", vec![550, 0], "RCPT 421", "421 in the middle"),
    ];
    for (replies, expected, ending, why) in table {
        let mut client = logged_in(EHLO);
        begin(&mut client, &["b@x.example", "c@x.example"]).unwrap();
        said(&mut client);
        let answers = finished(answer(&mut client, replies));
        let shown = match &answers.ending {
            Ending::Refused(stage, response) => {
                format!("{} {}", format!("{stage:?}").to_uppercase(), response.code)
            }
            Ending::NoRecipients => "none".to_owned(),
            Ending::Taken(_) => "taken".to_owned(),
        };
        assert_eq!((codes(&answers), shown.as_str()), (expected, ending), "{why}");
        assert_eq!(client.is_reusable(), !replies.contains("421"), "{why}");
        if client.is_reusable() {
            begin(&mut client, &["b@x.example"]).unwrap();
            assert!(said(&mut client).starts_with("RSET\r\nMAIL FROM:"), "{why}");
            assert_eq!(answer(&mut client, "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n"), Ok(Step::SendContent));
        }
    }
}

#[test]
fn replies_that_nothing_asked_for_are_detected() {
    let table = [
        ("250 ok\r\n250 injected\r\n250 ok\r\n354 go\r\n", "does not fit", "one too many shifts the rest"),
        ("250 ok\r\n250 ok\r\n354 go\r\n250 queued\r\n", "before the message was sent", "a receipt before the message"),
        ("354 go\r\n250 ok\r\n250 ok\r\n", "does not fit", "354 to MAIL"),
        ("250 ok\r\n250 ok\r\n250 ok\r\n", "does not fit", "250 to DATA"),
        ("250 ok\r\nnonsense\r\n", "not an SMTP reply", "garbage"),
    ];
    for (replies, words, why) in table {
        let mut client = logged_in(EHLO);
        begin(&mut client, &["b@x.example"]).unwrap();
        said(&mut client);
        let trouble = answer(&mut client, replies).expect_err(why);
        assert!(trouble.to_string().contains(words), "{why}: {trouble}");
        assert_eq!(client.abandon().len(), 1, "{why}");
        assert!(!client.is_reusable(), "{why}");
    }
}

#[test]
fn two_receipts_spoil_the_connection_but_not_the_message() {
    let mut client = logged_in(EHLO);
    begin(&mut client, &["b@x.example"]).unwrap();
    said(&mut client);
    assert_eq!(answer(&mut client, "250 ok\r\n250 ok\r\n354 go\r\n"), Ok(Step::SendContent));
    let answers = finished(answer(&mut client, "250 queued\r\n250 queued again\r\n"));
    assert!(matches!(answers.ending, Ending::Taken(_)));
    assert!(!client.is_reusable());
}

#[test]
fn what_the_sender_wants_to_hear_is_said_to_a_server_that_knows_dsn_alone() {
    let reverse_path = ReversePath::Null;
    let mut to = recipients(&["a@x.example"]);
    to[0].wishes.notify = Notify::parse("SUCCESS,DELAY");
    to[0].wishes.original = OriginalRecipient::parse("rfc822;b+2B@x.example");
    let wishes = MessageWishes { back: Some(Back::Full), envelope_id: Some("Q 1".to_owned()) };
    let (size, eight_bit, smtputf8, in_one_go) = (10, false, false, false);
    let to = [&to[0]];
    let mail =
        Mail { reverse_path: &reverse_path, recipients: &to, size, eight_bit, smtputf8, wishes: &wishes, in_one_go };
    let rows = [
        (
            "250-up\r\n250-PIPELINING\r\n250-DSN\r\n250 AUTH XOAUTH2\r\n",
            "MAIL FROM:<> RET=FULL ENVID=Q+201\r\nRCPT TO:<a@x.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2B@x.example\r\nDATA\r\n",
        ),
        ("250-up\r\n250-PIPELINING\r\n250 AUTH XOAUTH2\r\n", "MAIL FROM:<>\r\nRCPT TO:<a@x.example>\r\nDATA\r\n"),
    ];
    for (ehlo, sent) in rows {
        let mut client = logged_in(ehlo);
        client.begin(&mail).unwrap();
        assert_eq!(said(&mut client), sent);
    }
}

#[test]
fn what_the_message_needs_is_declared_or_refused_here() {
    let reverse_path = ReversePath::Null;
    let to = recipients(&["ä@x.example"]);
    let to = [&to[0]];
    let wishes = MessageWishes::default();
    let mail = Mail {
        reverse_path: &reverse_path,
        recipients: &to,
        size: 1000,
        eight_bit: true,
        smtputf8: true,
        wishes: &wishes,
        in_one_go: false,
    };
    let mut client = logged_in(EHLO);
    client.begin(&mail).unwrap();
    let sent = "MAIL FROM:<> SIZE=1000 BODY=8BITMIME SMTPUTF8\r\nRCPT TO:<ä@x.example>\r\nDATA\r\n";
    assert_eq!(said(&mut client), sent);

    let mut client = logged_in(EHLO);
    assert_eq!(client.begin(&Mail { size: 1001, ..mail }), Err(CannotCarry::TooLarge { size: 1001, limit: 1000 }));
    assert!(client.is_reusable() && client.output().is_empty());

    let mut client = logged_in("250-up\r\n250-PIPELINING\r\n250 AUTH XOAUTH2\r\n");
    assert_eq!(client.begin(&mail), Err(CannotCarry::NoSmtpUtf8));
    client.begin(&Mail { smtputf8: false, ..mail }).unwrap();
    assert!(said(&mut client).starts_with("MAIL FROM:<>\r\n"), "neither SIZE nor BODY where they are not offered");
}

#[test]
fn a_session_in_doubt_is_not_used_without_pipelining() {
    let mut client = logged_in("250-up\r\n250 AUTH XOAUTH2\r\n");
    begin(&mut client, &["b@x.example"]).unwrap();
    assert_eq!(answer(&mut client, "250 ok\r\n"), Ok(Step::Read));
    assert!(matches!(finished(answer(&mut client, "550 no\r\n")).ending, Ending::NoRecipients));
    assert!(!client.is_reusable(), "RSET would have to wait for its answer");
}

#[test]
fn no_address_can_end_a_command() {
    for text in ["a@x.example\r\nDATA", "\"a\r\n\"@x.example", "a\0@x.example", "a@x.example> SIZE=1", "a\n@x"] {
        assert!(text.parse::<Address>().is_err(), "{text:?}");
    }
}

#[test]
fn quit_is_the_last_word() {
    let mut client = logged_in(EHLO);
    client.quit();
    assert_eq!(said(&mut client), "QUIT\r\n");
    assert!(!client.is_reusable());
    assert_eq!(answer(&mut client, "221 bye\r\n"), Ok(Step::Read));
}
