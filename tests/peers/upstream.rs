//! Postfix for submission by XOAUTH2, and Dovecot, which asks the identity provider about tokens and keeps the mail.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::support::{Ground, Process, free_port, run, wait_for_port, wait_until};

/// Postfix and Dovecot.
pub(crate) struct Upstream {
    pub(crate) smtp_port: u16,
    /// Submission with the password `reader` for every mailbox.
    pub(crate) relay_port: u16,
    /// The certificate to trust.
    pub(crate) ca: PathBuf,
    /// IMAP in clear, with the password `reader` for every mailbox.
    pub(crate) imap_port: u16,
    /// IMAP with TLS, for tokens.
    pub(crate) imaps_port: u16,
    /// POP3 with TLS, for tokens.
    pub(crate) pop3s_port: u16,
    _postfix: Process,
    _dovecot: Process,
}

impl Upstream {
    /// Starts both; tokens are checked at the identity provider on `identity_port`.
    pub(crate) fn start(ground: &Ground, identity_port: u16) -> Self {
        let (smtp_port, relay_port, imap_port) = (free_port(), free_port(), free_port());
        let (imaps_port, pop3s_port) = (free_port(), free_port());
        let folder = ground.path("");
        let folder = folder.to_str().unwrap().trim_end_matches('/');
        let fill = |template: &str| {
            template
                .replace("@dir@", folder)
                .replace("@smtp_port@", &smtp_port.to_string())
                .replace("@relay_port@", &relay_port.to_string())
                .replace("@imap_port@", &imap_port.to_string())
                .replace("@imaps_port@", &imaps_port.to_string())
                .replace("@pop3s_port@", &pop3s_port.to_string())
                .replace("@identity_port@", &identity_port.to_string())
        };
        let ca = make_certificate(ground);
        let dovecot = start_dovecot(ground, &fill, imap_port);
        let postfix = start_postfix(ground, &fill, smtp_port);
        Self { smtp_port, relay_port, ca, imap_port, imaps_port, pop3s_port, _postfix: postfix, _dovecot: dovecot }
    }

    /// All mail in the mailbox `address`, oldest first, read by Python's imaplib.
    pub(crate) fn mail(&self, address: &str) -> Vec<Vec<u8>> {
        let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/inbox.py");
        let printed = run(Command::new("python3").arg(reader).arg(self.imap_port.to_string()).arg(address));
        let decode = |line: &str| base64::engine::general_purpose::STANDARD.decode(line).unwrap();
        printed.lines().map(decode).collect()
    }

    /// Waits until `count` messages are in the mailbox `address`, and returns them.
    pub(crate) fn wait_for_mail(&self, address: &str, count: usize) -> Vec<Vec<u8>> {
        wait_until(&format!("{count} messages for {address}"), || {
            let mail = self.mail(address);
            (mail.len() >= count).then_some(mail)
        })
    }
}

/// Waits until Postfix's log has these words, which it writes a moment after the fact.
pub(crate) fn wait_for_postfix(ground: &Ground, words: &str) {
    wait_until(&format!("`{words}` in Postfix's log"), || ground.read("postfix.log").contains(words).then_some(()));
}

fn start_dovecot(ground: &Ground, fill: &dyn Fn(&str) -> String, port: u16) -> Process {
    let introspection = fill(include_str!("upstream/introspection.conf"));
    for (name, attribute, format) in [("person.conf", "mailbox", "%u"), ("application.conf", "tenant", "%d")] {
        ground.write(name, introspection.replace("@attribute@", attribute).replace("@format@", format));
    }
    let configuration = ground.write("dovecot.conf", fill(include_str!("upstream/dovecot.conf")));
    std::fs::create_dir(ground.path("mail")).unwrap();
    give_to("mail", &ground.path("mail"));
    let mut dovecot =
        Process::start(ground, "dovecot", Command::new("/usr/sbin/dovecot").arg("-F").arg("-c").arg(configuration));
    wait_for_port(&mut dovecot, port);
    dovecot
}

fn start_postfix(ground: &Ground, fill: &dyn Fn(&str) -> String, port: u16) -> Process {
    ground.write("etc/main.cf", fill(include_str!("upstream/main.cf")));
    ground.write("etc/master.cf", fill(include_str!("upstream/master.cf")));
    for folder in ["queue", "postfix"] {
        std::fs::create_dir(ground.path(folder)).unwrap();
    }
    give_to("postfix", &ground.path("postfix"));
    let etc = ground.path("etc");
    run(Command::new("/usr/sbin/postfix").arg("-c").arg(&etc).arg("check"));
    let programs = run(Command::new("/usr/sbin/postconf").arg("-c").arg(&etc).args(["-h", "daemon_directory"]));
    let master = Path::new(programs.trim()).join("master");
    let mut postfix = Process::start(ground, "postfix-master", Command::new(master).arg("-c").arg(&etc).arg("-d"));
    wait_for_port(&mut postfix, port);
    postfix
}

fn give_to(user: &str, folder: &Path) {
    run(Command::new("chown").arg(user).arg(folder));
}

/// Makes an authority and Postfix's certificate; returns the authority's.
fn make_certificate(ground: &Ground) -> PathBuf {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, "authority of one test");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    ground.write("server.pem", key.serialize_pem() + &certificate.pem());
    ground.write("ca.pem", ca_certificate.pem())
}
