//! What becomes of mail when tokens end: renewal in the middle of a run, a revoked grant.

use crate::clients::{Letter, curl};
use crate::gateway::{ACCOUNT, Gateway, Grant, PASSWORD};
use crate::identity::{CLIENT_SECRET, Identity};
use crate::support::{Ground, wait_until};
use crate::upstream::{Upstream, wait_for_postfix};

const PERSON: &str = "scanner@practice.test";
const FRIEND: &str = "friend@elsewhere.test";

fn send(ground: &Ground, gateway: &Gateway<'_>, number: usize) {
    curl(ground, gateway, &Letter::new(PERSON, &[FRIEND], &format!("number {number}")));
}

/// Every message arrived once.
fn assert_all_arrived(upstream: &Upstream, count: usize) {
    let mail = upstream.wait_for_mail(FRIEND, count);
    for number in 0..count {
        let subject = format!("\r\nSubject: number {number}\r\n");
        let copies = mail.iter().filter(|message| String::from_utf8_lossy(message).contains(&subject)).count();
        assert_eq!(copies, 1, "copies of message {number}");
    }
}

#[test]
fn expired_tokens_are_renewed_in_the_middle_of_a_run() {
    let ground = Ground::new("tokens-expire");
    let identity = Identity::start(&ground, PERSON);
    let upstream = Upstream::start(&ground, identity.port);
    let gateway = Gateway::start(&ground, &identity, &upstream, Grant::Person(PERSON));
    identity.token_lifetime(3);
    gateway.sign_in();

    let mut sent = 0;
    wait_until("three renewals while mail flows", || {
        send(&ground, &gateway, sent);
        sent += 1;
        (identity.count("refresh_token") >= 3).then_some(())
    });
    // On a busy machine a token of three seconds may be dead before it is used, and refusals hold the mailbox.
    identity.token_lifetime(3600);
    gateway.command(&["queue", "release", ACCOUNT]);
    assert_all_arrived(&upstream, sent);
    assert_eq!(identity.count("authorization_code"), 1, "nobody had to sign in again");
    assert_eq!(identity.count("refused"), 0, "no used refresh token was shown again");
}

#[test]
fn a_token_that_the_server_refuses_is_renewed_and_nothing_fails() {
    let ground = Ground::new("tokens-refused");
    let identity = Identity::start(&ground, PERSON);
    let upstream = Upstream::start(&ground, identity.port);
    let gateway = Gateway::start(&ground, &identity, &upstream, Grant::Person(PERSON));
    gateway.sign_in();
    send(&ground, &gateway, 0);
    upstream.wait_for_mail(FRIEND, 1);

    identity.expire_access_tokens();
    // The session that began with the old token.
    wait_for_postfix(&ground, "disconnect from localhost[127.0.0.1] ehlo=2 starttls=1 auth=1");
    send(&ground, &gateway, 1);
    assert_all_arrived(&upstream, 2);
    assert_eq!(identity.count("refresh_token"), 1);
    // The old token was refused.
    wait_for_postfix(&ground, "SASL XOAUTH2 authentication failed");
}

#[test]
fn a_revoked_grant_holds_the_mail_until_somebody_signs_in_again() {
    let ground = Ground::new("tokens-revoked");
    let identity = Identity::start(&ground, PERSON);
    let upstream = Upstream::start(&ground, identity.port);
    let gateway = Gateway::start(&ground, &identity, &upstream, Grant::Person(PERSON));
    gateway.sign_in();
    send(&ground, &gateway, 0);
    upstream.wait_for_mail(FRIEND, 1);

    identity.token_lifetime(2);
    identity.revoke_grants();
    // The session that began with the old token.
    wait_for_postfix(&ground, "disconnect from localhost[127.0.0.1] ehlo=2 starttls=1 auth=1");
    send(&ground, &gateway, 1);
    send(&ground, &gateway, 2);
    let remedy = format!("oxpost login {ACCOUNT}");
    let listed = wait_until("`oxpost queue list` says what to do", || {
        let listed = gateway.queue();
        listed.contains(&remedy).then_some(listed)
    });
    assert!(listed.contains(PERSON), "which mailbox is held:\n{listed}");
    wait_until("the log says what to do", || gateway.log().contains(&remedy).then_some(()));
    assert!(gateway.command(&["account"]).contains(&remedy));
    assert_eq!(upstream.mail(FRIEND).len(), 1, "held mail does not go");

    identity.token_lifetime(3600);
    gateway.sign_in();
    assert_all_arrived(&upstream, 3);
    gateway.wait_for_empty_queue();
    assert!(upstream.mail(PERSON).is_empty(), "no report: nothing failed");
    for secret in [CLIENT_SECRET, PASSWORD, "Bearer "] {
        assert!(!gateway.log().contains(secret), "the log holds a secret");
    }
}

#[test]
fn a_browser_on_another_machine_signs_in_by_a_pasted_address() {
    let ground = Ground::new("tokens-pasted");
    let identity = Identity::start(&ground, PERSON);
    let upstream = Upstream::start(&ground, identity.port);
    let gateway = Gateway::start(&ground, &identity, &upstream, Grant::Person(PERSON));
    send(&ground, &gateway, 0); // taken, though nobody has signed in yet
    gateway.sign_in_by_pasting();
    assert_all_arrived(&upstream, 1);
}
