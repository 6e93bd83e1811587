//! The client's side of IMAP: what a server says, cut at each octet 0xFF, to a login and to what comes after it. The tags
//! of a login hold letters that no input has, so nothing may count as one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oxpost::imap::answers::Answers;
use oxpost::imap::{Step, Upstream};
use oxpost::secret::Secret;

fuzz_target!(|octets: &[u8]| {
    let Some((first, rest)) = octets.split_first() else { return };
    read_answers(rest);
    let mut upstream = Upstream::new(first & 1 != 0, "ThisCannotBeGuessed0123456789");
    for piece in rest.split(|octet| *octet == 0xff) {
        upstream.receive(piece);
        loop {
            match upstream.step() {
                Ok(Step::Read) => break,
                Ok(Step::StartTls) => upstream.tls_started(),
                Ok(Step::Authenticate(mechanism)) => upstream.authenticate(mechanism, &Secret::new("dG9rZW4=")),
                Ok(Step::LoggedIn) => panic!("nobody let us in"),
                Err(_) => return,
            }
        }
        upstream.written();
    }
});

/// Octets of a body that are taken.
const MAX_BODY: usize = 1_000;

fn read_answers(octets: &[u8]) {
    let mut answers = Answers::new(MAX_BODY);
    for piece in octets.split(|octet| *octet == 0xff) {
        answers.receive(piece);
        loop {
            match answers.take() {
                Ok(Some(answer)) => {
                    assert!(answer.body.as_ref().is_none_or(|body| body.len() <= MAX_BODY));
                    let _whatever = (answer.outcome("ox1"), answer.exists(), answer.uid_validity());
                    let _whatever = (answer.found(), answer.came());
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}
