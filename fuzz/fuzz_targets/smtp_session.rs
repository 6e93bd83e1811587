//! The server's side of SMTP: the first octet says where the session stands, the rest is what the client sends, cut at
//! each octet 0xFF. Whatever is asked is granted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oxpost::smtp::{Action, AuthResult, AuthRule, LineEndings, Options, Session, replies};

fuzz_target!(|octets: &[u8]| {
    let Some((first, rest)) = octets.split_first() else { return };
    let options = Options {
        auth: AuthRule::Always,
        auth_required: first & 1 != 0,
        smtputf8: first & 2 != 0,
        strict_line_ends: first & 4 != 0,
        line_endings: if first & 8 != 0 { LineEndings::Lf } else { LineEndings::Crlf },
        max_octets: 1000,
        ..Options::new("mx.example")
    };
    let mut session = Session::new(options, first & 16 != 0);
    let mut content: Option<usize> = None;
    for piece in rest.split(|octet| *octet == 0xff) {
        session.receive(piece);
        while let Some(action) = session.next_action() {
            match action {
                Action::Reply(octets) => assert!(octets.ends_with(b"\r\n")),
                Action::StartTls => session.tls_started(),
                Action::Authenticate(_) => session.authenticated(AuthResult::Accepted),
                Action::Mail(_) => session.mail_answered(Ok(())),
                Action::Rcpt(_) => session.recipient_answered(Ok(())),
                Action::StartBody => {
                    assert!(content.replace(0).is_none(), "two contents at once");
                    session.data_answered(Ok(()));
                }
                Action::Body(piece) => {
                    let octets = content.as_mut().expect("content was begun");
                    *octets += piece.len();
                    assert!(*octets <= 1000, "more is stored than a message may have");
                }
                Action::DiscardBody => assert!(content.take().is_some(), "content was begun"),
                Action::EndOfBody => {
                    assert!(content.take().is_some(), "content was begun");
                    session.accepted(replies::DONE);
                }
                Action::Close => return,
            }
        }
    }
});
