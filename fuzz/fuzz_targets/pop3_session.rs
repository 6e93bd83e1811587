//! The server's side of POP3 before the login: the first octet says where the session stands, the rest is what the
//! client sends, cut at each octet 0xFF.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oxpost::pop3::{Action, Options, Session};
use oxpost::sasl::Denial;

fuzz_target!(|octets: &[u8]| {
    let Some((first, rest)) = octets.split_first() else { return };
    let own_tokens = first & 1 != 0;
    let options = Options { starttls: first & 2 != 0, clear_logins: first & 4 != 0, own_tokens, max_errors: 20 };
    let mut session = Session::new(options, first & 8 != 0);
    for piece in rest.split(|octet| *octet == 0xff) {
        session.receive(piece);
        while let Some(action) = session.next_action() {
            match action {
                Action::Reply(octets) => assert!(octets.ends_with(b"\r\n")),
                Action::StartTls => session.tls_started(),
                Action::LogIn(_) => session.denied(Denial::Credentials, "no"),
                Action::Close => return,
            }
        }
    }
});
