//! What holds of sessions, whatever program has them.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use super::{PERSON, Scene, letter, script, talk};
use crate::gateway::{LOGIN, PASSWORD};
use crate::identity::Identity;
use crate::support::{Ground, run, wait_until};
use crate::upstream::Upstream;

#[test]
fn idle_notices_new_mail_although_the_token_has_expired() {
    let ground = Ground::new("reading-idle");
    let identity = Identity::start(&ground, PERSON);
    let upstream = Upstream::start(&ground, identity.port);
    let scene = Scene::open(&ground, &identity, &upstream);
    let mut idle = scene.talk("idle", scene.gateway.imaps_port, true);
    let mut idle = idle.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(idle.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().as_deref(), Some("idling"));
    let listed = scene.gateway.command(&["session", "list"]);
    assert!(listed.contains(PERSON) && listed.contains("imap"), "{listed}");
    identity.expire_access_tokens();
    scene.deliver(&letter(1));
    assert!(lines.any(|line| line == "* 1 EXISTS"), "the session lives on");
    assert!(idle.wait().unwrap().success());
    let renewals = identity.count("refresh_token");
    let read = run(&mut scene.talk("imap", scene.gateway.imap_port, false));
    assert_eq!(read.lines().count(), 1, "the next session has a new token");
    assert_eq!(identity.count("refresh_token"), renewals + 1);
    wait_until("both sessions in the log", || {
        let log = scene.gateway.log();
        (log.contains("session opened") && log.contains("session closed")).then_some(())
    });
}

#[test]
fn a_session_can_be_ended_by_an_administrator() {
    let ground = Ground::new("reading-close");
    let identity = Identity::start(&ground, PERSON);
    let upstream = Upstream::start(&ground, identity.port);
    let scene = Scene::open(&ground, &identity, &upstream);
    let mut idle = scene.talk("idle", scene.gateway.imap_port, false);
    let mut idle = idle.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(idle.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().as_deref(), Some("idling"));
    let listed = scene.gateway.command(&["session", "list"]);
    let id = listed.split_whitespace().next().unwrap().to_owned();
    scene.gateway.command(&["session", "close", &id]);
    assert!(!idle.wait().unwrap().success(), "its connection is gone");
    // The program may notice before the gateway has written it down.
    wait_until("the session's end", || {
        let listed = scene.gateway.command(&["session", "list"]);
        (listed.contains("nobody is reading") && scene.gateway.log().contains("ended by an administrator"))
            .then_some(())
    });
}

#[test]
fn half_a_gigabyte_comes_through_as_it_is() {
    let ground = Ground::new("reading-bulk");
    let identity = Identity::start(&ground, PERSON);
    let upstream = Upstream::start(&ground, identity.port);
    let scene = Scene::open(&ground, &identity, &upstream);
    scene.deliver(&letter(0)); // makes the mailbox
    let folder = ground.path("mail").join(PERSON).join("cur");
    for number in 0..5_u64 {
        let mut file =
            std::io::BufWriter::new(std::fs::File::create(folder.join(format!("179500000{number}.x:2,"))).unwrap());
        write!(file, "From: a@elsewhere.test\r\nSubject: large {number}\r\n\r\n").unwrap();
        let mut state = number + 1;
        for _ in 0..100_000_000 / 80 {
            let mut line = [0; 80];
            for octet in &mut line[..78] {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *octet = b' ' + ((state >> 33) % 95) as u8;
            }
            line[78..].copy_from_slice(b"\r\n");
            file.write_all(&line).unwrap();
        }
        file.flush().unwrap();
    }
    run(Command::new("chown").args(["-R", "mail"]).arg(ground.path("mail")));
    let direct = run(&mut talk("digest", upstream.imap_port, PERSON, "reader", None));
    let octets: u64 = direct.lines().map(|line| line.split(' ').nth(1).unwrap().parse::<u64>().unwrap()).sum();
    assert!(octets >= 500_000_000, "{direct}");
    assert_eq!(run(&mut scene.talk("digest", scene.gateway.imaps_port, true)), direct, "TLS on both sides");
    assert_eq!(run(&mut scene.talk("digest", scene.gateway.imap_port, false)), direct, "in clear");
}

#[test]
fn a_random_stream_of_commands_gets_the_same_octets_with_and_without_the_gateway() {
    let ground = Ground::new("reading-same");
    let identity = Identity::start(&ground, PERSON);
    let upstream = Upstream::start(&ground, identity.port);
    let scene = Scene::open(&ground, &identity, &upstream);
    let rounds = if std::env::var_os("OXPOST_LONG").is_some() { "1000" } else { "60" };
    // Both accounts begin without a folder, and each seed makes its own.
    for seed in ["1", "2"] {
        let mut python = Command::new("python3");
        python.arg(script("same.py")).args([seed, rounds]);
        python.arg(upstream.imap_port.to_string()).args(["other@practice.test", "reader"]);
        python.arg(scene.gateway.imap_port.to_string()).args([LOGIN, PASSWORD]);
        let printed = run(&mut python);
        let octets: u64 = printed.split_whitespace().next().unwrap().parse().unwrap();
        assert!(octets > 100_000, "seed {seed}: only so many octets, appends, fetches, idles: {printed}");
    }
}

#[test]
fn trouble_of_the_provider_is_told_as_such() {
    let ground = Ground::new("reading-trouble");
    let identity = Identity::start(&ground, PERSON);
    let upstream = Upstream::start(&ground, identity.port);
    let scene = Scene::open(&ground, &identity, &upstream);
    let refusal = |what: &str, port: u16, login: &str, password: &str| {
        let output = talk(what, port, login, password, None).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let (imap, pop3) = (scene.gateway.imap_port, scene.gateway.pop3_port);
    for (login, password) in [(LOGIN, "wrong"), ("nobody", PASSWORD)] {
        assert!(refusal("imap", imap, login, password).contains("[AUTHENTICATIONFAILED] Wrong login or password"));
        assert!(refusal("pop", pop3, login, password).contains("-ERR [AUTH] Wrong login or password"));
    }
    identity.revoke_grants();
    for (what, port, code) in [("imap", imap, "[UNAVAILABLE]"), ("pop", pop3, "[SYS/TEMP]")] {
        let said = refusal(what, port, LOGIN, PASSWORD);
        assert!(said.contains(code) && said.contains("oxpost login scanner") && said.contains("[session "), "{said}");
    }
    scene.gateway.sign_in();
    run(&mut scene.talk("imap", imap, false));
}
