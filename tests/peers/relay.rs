//! Mail of real clients through oxpost to Postfix, read back from Dovecot.

use crate::clients::{Letter, curl, msmtp, smtplib, swaks};
use crate::gateway::{ACCOUNT, Gateway, Grant};
use crate::identity::Identity;
use crate::support::Ground;
use crate::upstream::{Upstream, wait_for_postfix};

type Client = fn(&Ground, &Gateway<'_>, &Letter);

const PERSON: &str = "scanner@practice.test";

/// The header and the body of a message as text.
fn halves(message: &[u8]) -> (String, &[u8]) {
    let end = message.windows(4).position(|octets| octets == b"\r\n\r\n").unwrap();
    (String::from_utf8_lossy(&message[..end]).into_owned(), &message[end + 4..])
}

fn has_line(header: &str, line: &str) -> bool {
    header.lines().any(|other| other == line)
}

#[test]
fn what_real_clients_send_arrives_as_it_was_sent() {
    let ground = Ground::new("relay-clients");
    let identity = Identity::start(&ground, PERSON);
    let upstream = Upstream::start(&ground, identity.port);
    let gateway = Gateway::start(&ground, &identity, &upstream, Grant::Person(PERSON));
    gateway.sign_in();

    let clients: [(&str, Client); 4] = [("swaks", swaks), ("msmtp", msmtp), ("curl", curl), ("smtplib", smtplib)];
    for (name, send) in clients {
        let (to, second) = (format!("{name}@elsewhere.test"), format!("{name}-second@practice.test"));
        let lines = if name == "curl" { 40_000 } else { 0 }; // 2 MB: larger than what is kept in the database
        let letter = Letter::new(PERSON, &[&to, &second], &format!("by {name}")).with_lines(lines);
        send(&ground, &gateway, &letter);
        for recipient in &letter.to {
            let mail = upstream.wait_for_mail(recipient, 1);
            assert_eq!(mail.len(), 1, "{name}: once, not twice");
            let sent = String::from_utf8_lossy(&letter.octets);
            assert!(
                mail[0].ends_with(&letter.octets),
                "{name}:\n{}\n--- for:\n{sent}",
                String::from_utf8_lossy(&mail[0])
            );
        }
    }
    gateway.wait_for_empty_queue();
}

#[test]
fn a_foreign_sender_becomes_the_mailbox_and_the_body_stays() {
    let ground = Ground::new("relay-rewrite");
    let identity = Identity::start(&ground, PERSON);
    let upstream = Upstream::start(&ground, identity.port);
    let gateway = Gateway::start(&ground, &identity, &upstream, Grant::Person(PERSON));
    gateway.sign_in();

    let letter = Letter::new("erp@intranet.local", &["a@elsewhere.test"], "invoice 7");
    curl(&ground, &gateway, &letter);
    let mail = upstream.wait_for_mail("a@elsewhere.test", 1);
    let (header, body) = halves(&mail[0]);
    assert_eq!(body, letter.body());
    assert!(header.contains(&format!("<{PERSON}>")), "From is the mailbox:\n{header}");
    assert!(
        header.lines().any(|line| line.starts_with("Reply-To:") && line.contains("erp@intranet.local")),
        "{header}"
    );
    assert!(
        has_line(&header, "Subject: invoice 7") && has_line(&header, &format!("Return-Path: <{PERSON}>")),
        "{header}"
    );
}

#[test]
fn a_refused_recipient_is_reported_and_the_others_get_the_mail() {
    let ground = Ground::new("relay-refused");
    let identity = Identity::start(&ground, PERSON);
    let upstream = Upstream::start(&ground, identity.port);
    let gateway = Gateway::start(&ground, &identity, &upstream, Grant::Person(PERSON));
    gateway.sign_in();

    let letter = Letter::new(PERSON, &["nobody@practice.test", "a@elsewhere.test"], "half of it");
    swaks(&ground, &gateway, &letter);
    upstream.wait_for_mail("a@elsewhere.test", 1);
    let report = upstream.wait_for_mail(PERSON, 1);
    let (header, body) = halves(&report[0]);
    let body = String::from_utf8_lossy(body);
    assert!(header.contains("multipart/report"), "{header}");
    assert!(body.contains("nobody@practice.test") && body.contains("there is nobody here"), "{body}");
    assert!(!body.contains("Final-Recipient: rfc822; a@elsewhere.test"), "{body}");
}

#[test]
fn an_applications_grant_sends_for_every_mailbox_of_its_domain() {
    let ground = Ground::new("relay-application");
    let identity = Identity::start(&ground, PERSON);
    let upstream = Upstream::start(&ground, identity.port);
    let gateway = Gateway::start(&ground, &identity, &upstream, Grant::Application("practice.test"));

    for sender in ["one@practice.test", "two@practice.test"] {
        curl(&ground, &gateway, &Letter::new(sender, &["a@elsewhere.test"], &format!("from {sender}")));
    }
    let mail = upstream.wait_for_mail("a@elsewhere.test", 2);
    for sender in ["one@practice.test", "two@practice.test"] {
        let path = format!("Return-Path: <{sender}>");
        assert!(mail.iter().any(|message| has_line(&halves(message).0, &path)), "nothing from {sender}");
    }
    assert_eq!(identity.count("client_credentials"), 1, "one token for {ACCOUNT} serves all its mailboxes");
}

#[test]
fn a_smarthost_with_a_password_carries_what_nobody_signed_in_for() {
    let ground = Ground::new("relay-smarthost");
    let identity = Identity::start(&ground, PERSON);
    let upstream = Upstream::start(&ground, identity.port);
    ground.write("relay-password", "reader");
    let smarthost = format!(
        "[smarthost]\nhost = \"localhost\"\nport = {}\nlogin = \"{PERSON}\"\npassword = {{ file = \"relay-password\" }}\n\n",
        upstream.relay_port
    );
    let gateway = Gateway::start_edited(&ground, &identity, &upstream, Grant::Person(PERSON), |usual| {
        usual
            .replace("send = [\"smtp\"]", "send = [\"smtp\", \"smarthost\"]")
            .replace("[provider.peer]", &(smarthost + "[provider.peer]"))
    });

    let letter = Letter::new(PERSON, &["a@elsewhere.test"], "by the smarthost").with_lines(1_000);
    curl(&ground, &gateway, &letter);
    let mail = upstream.wait_for_mail("a@elsewhere.test", 1);
    assert!(mail[0].ends_with(&letter.octets), "{}", String::from_utf8_lossy(&mail[0]));
    wait_for_postfix(&ground, &format!("sasl_method=PLAIN, sasl_username={PERSON}"));
    assert!(!gateway.log().contains("reader"), "the password is in no log line");
    gateway.wait_for_empty_queue();
}
