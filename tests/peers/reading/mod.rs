//! Reading: programs that know a password alone, through oxpost, from Dovecot, which knows tokens alone.

mod programs;
mod reports;
mod sessions;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;

use crate::gateway::{Gateway, Grant, LOGIN, PASSWORD};
use crate::identity::Identity;
use crate::support::{Ground, run};
use crate::upstream::Upstream;

pub(crate) const PERSON: &str = "scanner@practice.test";

/// Everything that runs, signed in.
struct Scene<'a> {
    ground: &'a Ground,
    identity: &'a Identity,
    upstream: &'a Upstream,
    gateway: Gateway<'a>,
}

impl<'a> Scene<'a> {
    fn open(ground: &'a Ground, identity: &'a Identity, upstream: &'a Upstream) -> Self {
        let gateway = Gateway::start(ground, identity, upstream, Grant::Person(PERSON));
        gateway.sign_in();
        Self { ground, identity, upstream, gateway }
    }

    /// Puts a message straight into the mailbox, past oxpost.
    fn deliver(&self, message: &[u8]) {
        let file = self.ground.write("deliver.eml", message);
        let mut talk = talk("append", self.upstream.imap_port, PERSON, "reader", None);
        run(talk.stdin(Stdio::from(std::fs::File::open(file).unwrap())));
    }

    /// All mail of the mailbox, read past oxpost.
    fn mail(&self) -> Vec<Vec<u8>> {
        self.upstream.mail(PERSON)
    }

    /// `talk.py` with oxpost.
    fn talk(&self, what: &str, port: u16, tls: bool) -> Command {
        talk(what, port, LOGIN, PASSWORD, tls.then_some(self.gateway.ca.as_path()))
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/reading").join(name)
}

fn talk(what: &str, port: u16, login: &str, password: &str, ca: Option<&Path>) -> Command {
    let mut python = Command::new("python3");
    python.arg(script("talk.py")).arg(what).arg(port.to_string()).args([login, password]);
    python.args(ca);
    python
}

/// The messages that `talk.py` printed.
fn decoded(printed: &str) -> Vec<Vec<u8>> {
    printed.lines().map(|line| base64::engine::general_purpose::STANDARD.decode(line).unwrap()).collect()
}

/// A message that is hard to carry.
fn letter(number: usize) -> Vec<u8> {
    format!(
        "From: a@elsewhere.test\r\nTo: {PERSON}\r\nSubject: letter {number}\r\nDate: Sat, 21 Nov 2026 08:00:00 +0000\r\n\
         Message-ID: <letter-{number}@elsewhere.test>\r\n\r\n.\r\n..\r\n.dot\r\nGr\u{fc}\u{df}e {number}\r\n{}\r\nend\r\n",
        "0123456789".repeat(90)
    )
    .into_bytes()
}
