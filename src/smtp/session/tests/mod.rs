//! What no dialogue file can show.

mod random;
mod smuggling;
mod tables;

use super::*;
use crate::smtp::{AuthResult, RcptTarget};

/// Answers every question with yes and keeps what a driver would keep.
#[derive(Default)]
struct Driver {
    wire: Vec<u8>,
    open: Option<Vec<u8>>,
    messages: Vec<Vec<u8>>,
    recipients: Vec<String>,
    closed: bool,
}

impl Driver {
    fn drive(&mut self, session: &mut Session) {
        while let Some(action) = session.next_action() {
            match action {
                Action::Reply(octets) => self.wire.extend(octets),
                Action::StartTls => session.tls_started(),
                Action::Authenticate(_) => session.authenticated(AuthResult::Accepted),
                Action::Mail(_) => {
                    self.recipients.clear();
                    session.mail_answered(Ok(()));
                }
                Action::Rcpt(request) => {
                    self.recipients.push(match request.target {
                        RcptTarget::Address(address) => address.to_string(),
                        RcptTarget::Postmaster => "postmaster".to_owned(),
                    });
                    session.recipient_answered(Ok(()));
                }
                Action::StartBody => {
                    self.open = Some(Vec::new());
                    session.data_answered(Ok(()));
                }
                Action::Body(piece) => self.open.as_mut().expect("content was opened").extend(piece),
                Action::DiscardBody => assert!(self.open.take().is_some(), "content was opened"),
                Action::EndOfBody => {
                    self.messages.push(self.open.take().expect("content was opened"));
                    session.accepted(replies::DONE);
                }
                Action::Close => self.closed = true,
            }
        }
    }

    /// Gives the octets to the session and returns the lines it says to them.
    fn say(&mut self, session: &mut Session, octets: &[u8]) -> Vec<String> {
        self.wire.clear();
        session.receive(octets);
        self.drive(session);
        let wire = String::from_utf8(self.wire.clone()).expect("replies are ASCII");
        wire.split_terminator("\r\n").map(str::to_owned).collect()
    }
}

fn options() -> Options {
    Options { auth: AuthRule::Always, max_errors: 1000, ..Options::new("mx.example") }
}

/// A session that was told `commands` one after the other.
fn after(options: Options, commands: &[&str]) -> (Session, Driver) {
    let (mut session, mut driver) = (Session::new(options, false), Driver::default());
    for command in commands {
        driver.say(&mut session, format!("{command}\r\n").as_bytes());
    }
    (session, driver)
}

const HELLO: &[&str] = &["HELO x"];
const RCPT: &[&str] = &["HELO x", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>"];
const DATA: &[&str] = &["HELO x", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA"];

#[test]
fn a_name_from_the_client_is_safe_to_write_down() {
    for (argument, name) in [
        ("printer.example", "printer.example"),
        ("[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"),
        ("My Printer (2nd floor); <x>", "My?Printer??2nd?floor????x?"),
        ("", ""),
    ] {
        let (session, _) = after(options(), &[&format!("EHLO {argument}")]);
        assert_eq!(session.hello(), Some(&Hello { name: name.to_owned(), extended: true }));
    }
    let (session, _) = after(options(), &[&format!("HELO {}", "x".repeat(4000))]);
    assert_eq!(session.hello().map(|hello| hello.name.len()), Some(255));
}

#[test]
fn nothing_happens_before_a_question_is_answered_and_answers_to_none_are_without_effect() {
    let mut session = Session::new(options(), false);
    session.accepted(replies::DONE);
    session.mail_answered(Ok(()));
    session.recipient_answered(Ok(()));
    session.data_answered(Ok(()));
    session.authenticated(AuthResult::Accepted);
    session.tls_started();
    session.body_refused(replies::TOO_LARGE);
    assert!(!session.is_tls() && !session.is_authenticated());
    session.receive(b"HELO x\r\nMAIL FROM:<a@b.example>\r\nQUIT\r\n");
    assert!(matches!(session.next_action(), Some(Action::Mail(_))));
    assert!(session.owes_answer());
    session.receive(b"NOOP\r\n");
    session.recipient_answered(Ok(()));
    assert!(session.next_action().is_none());
    session.mail_answered(Err(replies::AUTH_REQUIRED));
    let Some(Action::Reply(wire)) = session.next_action() else { panic!("replies are due") };
    assert!(String::from_utf8(wire).expect("replies are ASCII").ends_with("required\r\n221 2.0.0 Goodbye\r\n"));
    assert!(matches!(session.next_action(), Some(Action::Close)));
    assert!(session.next_action().is_none());
}

#[test]
fn content_the_driver_refuses_is_read_to_its_end_and_answered_once() {
    for refused_after in [&b"Subject: x\r\n"[..], b""] {
        let (mut session, mut driver) = after(options(), DATA);
        assert!(driver.say(&mut session, refused_after).is_empty());
        session.body_refused(replies::NO_ROOM);
        assert!(driver.say(&mut session, b"more\r\n\0RSET\r\n").is_empty());
        let no_room = "452 4.3.1 No room for more mail at the moment, try again later";
        assert_eq!(driver.say(&mut session, b"\r\n.\r\nNOOP\r\n"), [no_room, "250 2.0.0 OK"]);
        assert!(driver.messages.is_empty());
    }
}

#[test]
fn a_refusal_between_two_chunks_answers_the_next_one() {
    let (mut session, mut driver) = after(options(), RCPT);
    driver.say(&mut session, b"BDAT 3\r\none");
    session.body_refused(replies::NO_ROOM);
    let said = driver.say(&mut session, b"BDAT 6 LAST\r\nRSET\r\nNOOP\r\n");
    assert_eq!(said, ["452 4.3.1 No room for more mail at the moment, try again later", "250 2.0.0 OK"]);
    assert!(driver.messages.is_empty());
}

#[test]
fn a_flood_of_commands_does_not_pile_up_replies() {
    let mut session = Session::new(options(), false);
    session.receive(&b"EHLO x\r\n".repeat(8000));
    let (mut replies, mut longest) = (0, 0);
    while let Some(action) = session.next_action() {
        let Action::Reply(octets) = action else { panic!("only replies are due") };
        replies += octets.windows(11).filter(|window| *window == b"250-SIZE 50").count();
        longest = longest.max(octets.len());
    }
    assert_eq!(replies, 8000);
    assert!(longest < MAX_JOINED + 512, "{longest}");
}

#[test]
fn a_thousand_recipients_go_in_one_group() {
    let (mut session, mut driver) = after(Options { max_errors: 0, ..options() }, &["HELO x", "MAIL FROM:<>"]);
    let group: String = (0..1000).map(|n| format!("RCPT TO:<user{n}@d.example>\r\n")).collect();
    let said = driver.say(&mut session, format!("{group}DATA\r\n").as_bytes());
    assert_eq!((said.len(), driver.recipients.len()), (1001, 1000));
    assert!(said[1000].starts_with("354 "));
}

#[test]
fn it_is_known_when_a_session_may_be_ended() {
    let (session, _) = after(options(), HELLO);
    assert!(session.is_idle() && !session.is_in_content());
    let (session, _) = after(options(), RCPT);
    assert!(!session.is_idle() && !session.is_in_content());
    let (mut session, mut driver) = after(options(), DATA);
    assert!(!session.is_idle() && session.is_in_content() && !session.saw_lone_dot());
    driver.say(&mut session, b"one\n.\n");
    assert!(session.saw_lone_dot());
    driver.say(&mut session, b"\r\n.\r\n");
    assert!(session.is_idle() && !session.saw_lone_dot());
    driver.say(&mut session, b"HEL");
    assert!(!session.is_idle());
}

#[test]
fn line_endings_can_be_set_once_the_client_is_known() {
    let (mut session, mut driver) = after(options(), RCPT);
    session.set_line_endings(LineEndings::Lf);
    driver.say(&mut session, b"DATA\n");
    assert_eq!(driver.say(&mut session, b"one\n.\n"), ["250 2.0.0 OK"]);
    assert_eq!(driver.messages, [b"one\r\n"]);
}
