//! Reports that a mail server sends later: oxpost finds them by IMAP, and leaves the mailbox as it is.

use std::process::Command;

use super::{PERSON, letter, script, talk};
use crate::clients::{Letter, smtplib};
use crate::gateway::{ACCOUNT, Gateway, Grant};
use crate::identity::Identity;
use crate::support::{Ground, run, wait_until};
use crate::upstream::Upstream;

/// Postfix takes mail for it, and reports that it cannot deliver it.
const LOST: &str = "somebody@lost.test";
/// Postfix refuses it at once, and oxpost reports that.
const REFUSED: &str = "somebody@far-away.test";

#[test]
fn what_postfix_reports_later_stands_in_history_and_nothing_in_the_mailbox_is_touched() {
    let ground = Ground::new("reading-reports");
    let identity = Identity::start(&ground, PERSON);
    let upstream = Upstream::start(&ground, identity.port);
    let watching = |usual: &str| {
        let read = "read = [\"imap\", \"pop3\"]";
        usual.replace(read, &format!("{read}\nwatch_inbox = true\nwatch_inbox_every = \"10 s\""))
    };
    let gateway = Gateway::start_edited(&ground, &identity, &upstream, Grant::Person(PERSON), watching);
    gateway.sign_in();
    let file = ground.write("letter.eml", letter(1));
    let mut append = talk("append", upstream.imap_port, PERSON, "reader", None);
    run(append.stdin(std::fs::File::open(file).unwrap()));

    let hand_in = |to: &[&str], subject: &str| smtplib(&ground, &gateway, &Letter::new(PERSON, to, subject));
    hand_in(&["a@elsewhere.test", REFUSED], "half of it is refused");
    hand_in(&["a@elsewhere.test", LOST], "half of it is lost");
    hand_in(&["a@elsewhere.test"], "all of it arrives");
    // The letter, the report of Postfix, and that of oxpost.
    upstream.wait_for_mail(PERSON, 3);
    let told = wait_until("the report in the log", || {
        let log = gateway.log();
        log.lines().find(|line| line.contains(" bounced ")).map(str::to_owned)
    });
    assert!(told.contains("5.1.1") && told.contains("nobody has come for it"), "{told}");
    let bounced = gateway.command(&["history", "--bounced"]);
    assert!(bounced.contains(LOST) && bounced.contains("did not reach"), "{bounced}");
    assert!(!bounced.contains("of it arrives") && !bounced.contains(REFUSED), "{bounced}");
    let lines = gateway.command(&["history", "--bounced", "--json"]);
    assert_eq!(lines.lines().count(), 1, "neither what was refused at once nor what arrived: {lines}");
    let unseen = run(Command::new("python3").arg(script("talk.py")).arg("unseen").args([
        &upstream.imap_port.to_string(),
        PERSON,
        "reader",
    ]));
    assert_eq!(unseen.trim(), "3", "neither the letter nor a report counts as read");
    let examined = gateway.command(&["doctor", ACCOUNT]);
    assert!(examined.contains(&format!("{PERSON} can be looked into for reports")), "{examined}");
}
