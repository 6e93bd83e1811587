//! The chain works without the gateway: what fails in the other tests is then the gateway's doing.

use std::process::Command;

use crate::identity::{CLIENT_ID, Identity, SCOPES, browse, parameter};
use crate::support::Ground;
use crate::upstream::Upstream;

/// A verifier and its S256 challenge: the example of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const REDIRECT: &str = "http://localhost:1/";

const PERSON: &str = "scanner@practice.test";

/// Signs in by authorization code and PKCE.
fn signed_in(ground: &Ground, identity: &Identity) -> serde_json::Value {
    let mut url = url::Url::parse(&identity.url("/auth")).unwrap();
    url.query_pairs_mut()
        .extend_pairs([
            ("client_id", CLIENT_ID),
            ("response_type", "code"),
            ("redirect_uri", REDIRECT),
            ("scope", SCOPES),
        ])
        .extend_pairs([("state", "s"), ("code_challenge", CHALLENGE), ("code_challenge_method", "S256")]);
    let code = parameter(&browse(ground, url.as_str()), "code");
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ];
    identity.token(&form)
}

/// Sends a message to `to` by curl's own XOAUTH2; says whether Postfix took it.
fn sends(ground: &Ground, upstream: &Upstream, mailbox: &str, token: &str, to: &str) -> bool {
    let message = format!(
        "From: {mailbox}\r\nTo: {to}\r\nDate: Sat, 21 Nov 2026 08:00:00 +0000\r\nSubject: by hand\r\nMessage-ID: <by-hand@practice.test>\r\n\r\nHello\r\n"
    );
    let mut curl = Command::new("curl");
    curl.args([
        "-sS",
        "--ssl-reqd",
        "--login-options",
        "AUTH=XOAUTH2",
        "--oauth2-bearer",
        token,
        "--user",
        mailbox,
        "--cacert",
    ]);
    curl.arg(&upstream.ca).args(["--mail-from", mailbox, "--mail-rcpt", to, "--upload-file"]);
    curl.arg(ground.write("by-hand.eml", message)).arg(format!("smtp://localhost:{}", upstream.smtp_port));
    curl.output().unwrap().status.success()
}

fn text<'a>(answer: &'a serde_json::Value, name: &str) -> &'a str {
    answer[name].as_str().unwrap_or_else(|| panic!("no {name} in {answer}"))
}

#[test]
fn a_persons_token_sends_from_her_mailbox_only() {
    let ground = Ground::new("chain-person");
    let identity = Identity::start(&ground, PERSON);
    let upstream = Upstream::start(&ground, identity.port);
    let answer = signed_in(&ground, &identity);
    let token = text(&answer, "access_token");
    assert!(token.len() > 2_000, "as long as Microsoft's, so that an AUTH line cannot hold it");
    assert!(sends(&ground, &upstream, PERSON, token, "a@elsewhere.test"));
    assert!(!sends(&ground, &upstream, "other@practice.test", token, "a@elsewhere.test"), "not her mailbox");
    assert!(!sends(&ground, &upstream, PERSON, "no-token", "a@elsewhere.test"), "not a token");
    let mail = upstream.wait_for_mail("a@elsewhere.test", 1);
    assert!(mail[0].ends_with(b"Subject: by hand\r\nMessage-ID: <by-hand@practice.test>\r\n\r\nHello\r\n"));
}

#[test]
fn an_applications_token_sends_from_every_mailbox_of_its_domain() {
    let ground = Ground::new("chain-application");
    let identity = Identity::start(&ground, PERSON);
    let upstream = Upstream::start(&ground, identity.port);
    let answer = identity.token(&[("grant_type", "client_credentials"), ("scope", "mail")]);
    let token = text(&answer, "access_token");
    assert!(sends(&ground, &upstream, "one@practice.test", token, "b@elsewhere.test"));
    assert!(sends(&ground, &upstream, "two@practice.test", token, "b@elsewhere.test"));
    assert!(!sends(&ground, &upstream, "three@elsewhere.test", token, "b@elsewhere.test"), "not its domain");
    upstream.wait_for_mail("b@elsewhere.test", 2);
}

#[test]
fn refresh_tokens_rotate_and_a_used_one_ends_the_grant() {
    let ground = Ground::new("chain-refresh");
    let identity = Identity::start(&ground, PERSON);
    identity.token_lifetime(7);
    let first = signed_in(&ground, &identity);
    assert_eq!(first["expires_in"], 7);
    let refresh = |token: &str| identity.token(&[("grant_type", "refresh_token"), ("refresh_token", token)]);
    let second = refresh(text(&first, "refresh_token"));
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    assert_eq!(refresh(text(&first, "refresh_token"))["error"], "invalid_grant");
    assert_eq!(refresh(text(&second, "refresh_token"))["error"], "invalid_grant", "the grant is over");
    assert_eq!((identity.count("refresh_token"), identity.count("refused")), (1, 2));
}

#[test]
fn a_revoked_grant_gives_no_token_and_its_tokens_are_refused() {
    let ground = Ground::new("chain-revoked");
    let identity = Identity::start(&ground, PERSON);
    let upstream = Upstream::start(&ground, identity.port);
    let answer = signed_in(&ground, &identity);
    let refreshed = |answer: &serde_json::Value| {
        identity.token(&[("grant_type", "refresh_token"), ("refresh_token", text(answer, "refresh_token"))])
    };
    identity.expire_access_tokens();
    assert!(!sends(&ground, &upstream, PERSON, text(&answer, "access_token"), "c@elsewhere.test"), "expired");
    let answer = refreshed(&answer);
    assert!(sends(&ground, &upstream, PERSON, text(&answer, "access_token"), "c@elsewhere.test"), "renewed");
    identity.revoke_grants();
    assert!(!sends(&ground, &upstream, PERSON, text(&answer, "access_token"), "c@elsewhere.test"), "revoked");
    assert_eq!(refreshed(&answer)["error"], "invalid_grant");
}
