//! Programs that people really read mail with.

use std::path::Path;
use std::process::{Command, Stdio};

use super::{PERSON, Scene, decoded, letter};
use crate::gateway::{LOGIN, PASSWORD};
use crate::identity::Identity;
use crate::support::{Ground, run, wait_until};
use crate::upstream::Upstream;

/// The messages of a Maildir, without what programs add to the header, sorted.
fn maildir(folder: &Path) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for part in ["cur", "new"] {
        for entry in std::fs::read_dir(folder.join(part)).into_iter().flatten().flatten() {
            all.push(bare(&std::fs::read(entry.path()).unwrap()));
        }
    }
    all.sort();
    all
}

/// A message with LF line ends, from its own first header line on. mbsync, offlineimap and mutt mark what they carry.
fn bare(message: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(message).replace("\r\n", "\n");
    let at = text.find("From: ").unwrap_or_else(|| panic!("no message: {text}"));
    const MARKS: [&str; 4] = ["X-TUID: ", "X-OfflineIMAP: ", "Content-Length: ", "Lines: "];
    let marked = |line: &&str| MARKS.iter().any(|mark| line.starts_with(mark));
    let lines: Vec<_> = text[at..].trim_end().lines().filter(|line| !marked(line)).collect();
    lines.join("\n").into_bytes()
}

fn letters(count: usize) -> Vec<Vec<u8>> {
    let mut all: Vec<_> = (0..count).map(|number| bare(&letter(number))).collect();
    all.sort();
    all
}

#[test]
fn every_program_reads_all_mail_as_it_is() {
    let ground = Ground::new("reading-programs");
    let identity = Identity::start(&ground, PERSON);
    let upstream = Upstream::start(&ground, identity.port);
    let scene = Scene::open(&ground, &identity, &upstream);
    for number in 0..12 {
        scene.deliver(&letter(number));
    }
    let expected = letters(12);
    let sorted = |mut all: Vec<Vec<u8>>| {
        all.sort();
        all
    };
    let bared = |printed: String| sorted(decoded(&printed).iter().map(|message| bare(message)).collect());
    let gateway = &scene.gateway;
    for (what, port, tls) in [
        ("imap", gateway.imap_port, false),
        ("imap", gateway.imaps_port, true),
        ("starttls", gateway.imap_port, true),
        ("pop", gateway.pop3_port, false),
        ("pop", gateway.pop3s_port, true),
        ("stls", gateway.pop3_port, true),
    ] {
        assert_eq!(bared(run(&mut scene.talk(what, port, tls))), expected, "Python, {what}, TLS {tls}");
    }
    assert_eq!(curl(&scene, "imaps", gateway.imaps_port, "INBOX;MAILINDEX=3"), bare(&letter(2)), "curl, IMAP");
    assert_eq!(curl(&scene, "pop3", gateway.pop3_port, "3"), bare(&letter(2)), "curl, POP3");
    assert_eq!(getmail(&scene), expected, "getmail");
    assert_eq!(fetchmail(&scene), expected, "fetchmail");
    assert_eq!(mutt(&scene), expected, "mutt");
    assert_eq!(offlineimap(&scene), expected, "offlineimap");
    assert_eq!(bared(run(&mut scene.talk("imap", gateway.imap_port, false))), expected, "nothing was taken away");
    assert_eq!(identity.count("authorization_code"), 1);
    for secret in [PASSWORD, "Bearer "] {
        assert!(!gateway.log().contains(secret), "the log holds a secret");
    }
}

#[test]
fn mbsync_keeps_two_mailboxes_alike_both_ways() {
    let ground = Ground::new("reading-mbsync");
    let identity = Identity::start(&ground, PERSON);
    let upstream = Upstream::start(&ground, identity.port);
    let scene = Scene::open(&ground, &identity, &upstream);
    for number in 0..30 {
        scene.deliver(&letter(number));
    }
    mbsync(&scene);
    let folder = ground.path("mbsync/INBOX");
    assert_eq!(maildir(&folder), letters(30), "all came down");
    for number in 30..35 {
        let text = String::from_utf8(letter(number)).unwrap().replace("\r\n", "\n");
        ground.write(&format!("mbsync/INBOX/cur/1795000000.{number}.here:2,S"), text);
    }
    scene.identity.expire_access_tokens();
    mbsync(&scene);
    assert_eq!(maildir(&folder), letters(35));
    let mut above: Vec<_> = scene.mail().iter().map(|message| bare(message)).collect();
    above.sort();
    assert_eq!(above, letters(35), "five went up, with a token that was renewed between two sessions");
    mbsync(&scene);
    assert_eq!(scene.mail().len(), 35, "a third time changes nothing");
}

fn mbsync(scene: &Scene<'_>) {
    let (ground, gateway) = (scene.ground, &scene.gateway);
    let folder = ground.path("mbsync");
    std::fs::create_dir_all(&folder).unwrap();
    let config = ground.write(
        "mbsyncrc",
        format!(
            "IMAPAccount up\nHost localhost\nPort {}\nUser {LOGIN}\nPass \"{PASSWORD}\"\nSSLType IMAPS\nCertificateFile {}\n\n\
             IMAPStore above\nAccount up\n\nMaildirStore here\nPath {folder}/\nInbox {folder}/INBOX\n\n\
             Channel all\nFar :above:\nNear :here:\nPatterns INBOX\nCreate Near\nSyncState {folder}/state\nSync All\n",
            gateway.imaps_port,
            gateway.ca.display(),
            folder = folder.display(),
        ),
    );
    run(Command::new("mbsync").arg("-c").arg(config).arg("all").env("HOME", ground.path("")));
}

fn curl(scene: &Scene<'_>, scheme: &str, port: u16, path: &str) -> Vec<u8> {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--user", &format!("{LOGIN}:{PASSWORD}"), "--cacert"]).arg(&scene.gateway.ca);
    bare(run(curl.arg(format!("{scheme}://localhost:{port}/{path}"))).as_bytes())
}

fn getmail(scene: &Scene<'_>) -> Vec<Vec<u8>> {
    let ground = scene.ground;
    let folder = make_maildir(ground, "getmail/mail");
    let config = ground.write(
        "getmail/getmailrc",
        format!(
            "[retriever]\ntype = SimplePOP3SSLRetriever\nserver = localhost\nport = {}\nusername = {LOGIN}\n\
             password = {PASSWORD}\nca_certs = {}\n\n[destination]\ntype = Maildir\npath = {}/\nuser = mail\n\n[options]\ndelete = false\n\
             delivered_to = false\nreceived = false\n",
            scene.gateway.pop3s_port,
            scene.gateway.ca.display(),
            folder.display()
        ),
    );
    run(Command::new("chown").args(["-R", "mail"]).arg(ground.path("getmail")));
    run(Command::new("getmail").arg("--getmaildir").arg(ground.path("getmail")).arg("--rcfile").arg(config));
    maildir(&folder)
}

fn fetchmail(scene: &Scene<'_>) -> Vec<Vec<u8>> {
    let ground = scene.ground;
    let folder = make_maildir(ground, "fetchmail");
    let mda = ground.write("fetchmail.sh", format!("#!/bin/sh\ncat > {}/new/$$.$(date +%N).here\n", folder.display()));
    run(Command::new("chmod").arg("755").arg(&mda));
    let config = ground.write(
        "fetchmailrc",
        format!(
            "poll localhost service {} protocol imap username \"{LOGIN}\" password \"{PASSWORD}\" ssl sslcertck sslcertfile {} \
             keep fetchall no rewrite mda \"{}\"\n",
            scene.gateway.imaps_port,
            scene.gateway.ca.display(),
            mda.display()
        ),
    );
    run(Command::new("chmod").arg("600").arg(&config));
    let mut fetchmail = Command::new("fetchmail");
    fetchmail.args(["--invisible", "--nosyslog", "--fetchmailrc"]).arg(config).env("FETCHMAILHOME", ground.path(""));
    run(&mut fetchmail);
    maildir(&folder)
}

/// mutt is a program for a terminal: Python makes one, and the keys are pushed by mutt's own configuration.
fn mutt(scene: &Scene<'_>) -> Vec<Vec<u8>> {
    let ground = scene.ground;
    let folder = make_maildir(ground, "mutt");
    // Its usual folder; without it the first key would answer a question about it.
    std::fs::create_dir_all(ground.path("Mail")).unwrap();
    let config = ground.write(
        "muttrc",
        format!(
            "set ssl_starttls=no\nset ssl_force_tls=yes\nset ssl_ca_certificates_file={}\nset ssl_verify_host=no\nset imap_user=\"{LOGIN}\"\n\
             set imap_pass=\"{PASSWORD}\"\nset imap_authenticators=\"plain\"\nset mbox_type=Maildir\nset copy=no\nset quit=yes\nset confirmcreate=no\nset confirmappend=no\n\
             set header_cache=\"\"\nset message_cachedir=\"\"\n\
             folder-hook . 'push \"<tag-pattern>~A<enter><tag-prefix><copy-message><kill-line>{}<enter><exit>\"'\n",
            scene.gateway.ca.display(),
            folder.display()
        ),
    );
    let mut terminal = Command::new("timeout");
    terminal.args(["50", "python3", "-c", "import pty, sys; pty.spawn(sys.argv[1:])", "mutt", "-n", "-F"]).arg(&config);
    terminal.args(["-f", &format!("imaps://localhost:{}/INBOX", scene.gateway.imaps_port)]);
    let output = terminal.env("TERM", "xterm").env("HOME", ground.path("")).stdin(Stdio::null()).output().unwrap();
    ground.write("mutt.log", &output.stdout);
    wait_until("mutt's copies", || {
        let mail = maildir(&folder);
        (mail.len() >= 12).then_some(mail)
    })
}

fn offlineimap(scene: &Scene<'_>) -> Vec<Vec<u8>> {
    let ground = scene.ground;
    let folder = ground.path("offlineimap");
    std::fs::create_dir_all(&folder).unwrap();
    let config = ground.write(
        "offlineimaprc",
        format!(
            "[general]\naccounts = a\nmetadata = {folder}/meta\nui = quiet\n\n[Account a]\nlocalrepository = l\n\
             remoterepository = r\n\n[Repository l]\ntype = Maildir\nlocalfolders = {folder}/mail\n\n[Repository r]\n\
             type = IMAP\nremotehost = localhost\nremoteport = {}\nssl = yes\nsslcacertfile = {}\nremoteuser = {LOGIN}\n\
             remotepass = {PASSWORD}\nfolderfilter = lambda name: name == 'INBOX'\n",
            scene.gateway.imaps_port,
            scene.gateway.ca.display(),
            folder = folder.display(),
        ),
    );
    run(Command::new("offlineimap").arg("-o").arg("-c").arg(config).env("HOME", ground.path("")));
    maildir(&folder.join("mail/INBOX"))
}

fn make_maildir(ground: &Ground, name: &str) -> std::path::PathBuf {
    let folder = ground.path(name);
    for part in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(folder.join(part)).unwrap();
    }
    folder
}
