//! The client's side of an IMAP login: what a server says, cut at each octet 0xFF. Our tags hold letters that no input
//! has, so nothing may count as a login.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oxpost::imap::{Step, Upstream};
use oxpost::secret::Secret;

fuzz_target!(|octets: &[u8]| {
    let Some((first, rest)) = octets.split_first() else { return };
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
