//! The client's side of a POP3 login: what a server says, cut at each octet 0xFF.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oxpost::pop3::{Step, Upstream};
use oxpost::secret::Secret;

fuzz_target!(|octets: &[u8]| {
    let Some((first, rest)) = octets.split_first() else { return };
    let mut upstream = Upstream::new(first & 1 != 0);
    for piece in rest.split(|octet| *octet == 0xff) {
        upstream.receive(piece);
        loop {
            match upstream.step() {
                Ok(Step::Read) => break,
                Ok(Step::StartTls) => upstream.tls_started(),
                Ok(Step::Authenticate(mechanism)) => upstream.authenticate(mechanism, &Secret::new("dG9rZW4=")),
                Ok(Step::LoggedIn) | Err(_) => return,
            }
        }
        upstream.written();
    }
});
