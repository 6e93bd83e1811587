//! Every grant that the identity provider knows, driven by the program as an administrator does: device code, a signed
//! assertion, rotation with reuse detection, sign-ins that were mixed up, and a kill in the middle of a renewal.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::gateway::{ACCOUNT, Gateway, Grant};
use crate::identity::{Identity, browse_elsewhere, parameter, type_code};
use crate::support::{Ground, wait_until};

const PERSON: &str = "scanner@practice.test";

/// The provider's keys for the app with a secret. What is not written in the configuration is found at the issuer.
fn with_secret(identity: &Identity) -> String {
    let issuer = identity.url("");
    format!("client_id = \"gateway\"\nclient_secret = {{ file = \"client-secret\" }}\nissuer = \"{issuer}\"")
}

fn token(gateway: &Gateway<'_>) -> Command {
    gateway.try_command(&["token", ACCOUNT, "--for", "smtp"])
}

/// The answer of a command that succeeds.
fn answer(mut command: Command) -> Value {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What a command says that fails.
fn refusal(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_code_typed_on_another_machine_signs_the_account_in() {
    let ground = Ground::new("grants-device");
    let identity = Identity::start(&ground, PERSON);
    let gateway = Gateway::start_alone(&ground, &identity, Grant::Person(PERSON), &with_secret(&identity));
    let mut login = gateway.try_command(&["login", ACCOUNT, "--device"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(login.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut value_of = |name: &str| {
        let line = lines.find(|line| line.trim_start().starts_with(name)).expect("a page and a code are shown");
        line.trim_start()[name.len()..].trim().to_owned()
    };
    let (page, code) = (value_of("page"), value_of("code"));
    type_code(&ground, &page, &code);
    let rest: Vec<_> = lines.collect();
    assert!(login.wait().unwrap().success(), "{rest:#?}");
    assert_eq!(identity.count("urn:ietf:params:oauth:grant-type:device_code"), 1);

    let answer = answer(token(&gateway));
    let fields: Vec<_> = answer["token"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, ["access_token", "token_type", "expires_in", "scope"], "and never the refresh token");
    assert_eq!(answer["token"]["token_type"], "Bearer");
    let ends = answer["tokenExpiration"].as_str().unwrap();
    assert!(ends.len() == 20 && ends.ends_with('Z') && ends.contains('T'), "{ends}");
    assert_eq!(identity.count("refresh_token"), 0, "the sign-in brought that token");
}

#[test]
fn an_app_proves_itself_with_its_key() {
    let ground = Ground::new("grants-key");
    let identity = Identity::start(&ground, PERSON);
    ground.write("app.pem", identity.key());
    let provider = "client_id = \"gateway-key\"\ncertificate = { file = \"app.pem\" }\ncertificate_key_id = \"key-1\"";
    let gateway = Gateway::start_alone(&ground, &identity, Grant::Application("practice.test"), provider);
    assert!(answer(token(&gateway))["token"]["access_token"].as_str().unwrap().len() > 1000);
    assert_eq!((identity.count("client_credentials"), identity.count("refused")), (1, 0));
}

#[test]
fn a_foreign_key_is_refused_with_what_to_do() {
    let ground = Ground::new("grants-foreign-key");
    let identity = Identity::start(&ground, PERSON);
    let foreign = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    ground.write("app.pem", foreign.serialize_pem());
    let provider = "client_id = \"gateway-key\"\ncertificate = { file = \"app.pem\" }\ncertificate_key_id = \"key-1\"";
    let gateway = Gateway::start_alone(&ground, &identity, Grant::Application("practice.test"), provider);
    let said = refusal(token(&gateway));
    assert!(said.contains("invalid_client") && said.contains("client_id"), "{said}");
}

#[test]
fn parallel_use_never_trips_the_detection_of_reuse() {
    let ground = Ground::new("grants-parallel");
    let identity = Identity::start(&ground, PERSON);
    let gateway = Gateway::start_alone(&ground, &identity, Grant::Person(PERSON), &with_secret(&identity));
    identity.token_lifetime(2);
    gateway.sign_in();
    wait_until("five renewals under parallel use", || {
        let asked: Vec<_> = (0..12).map(|_| token(&gateway).stdout(Stdio::piped()).spawn().unwrap()).collect();
        for one in asked {
            let output = one.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
        (identity.count("refresh_token") >= 5).then_some(())
    });
    assert_eq!((identity.count("refused"), identity.count("authorization_code")), (0, 1));
}

#[test]
fn a_grant_revoked_in_the_middle_of_its_use_says_what_to_do() {
    let ground = Ground::new("grants-revoked");
    let identity = Identity::start(&ground, PERSON);
    let gateway = Gateway::start_alone(&ground, &identity, Grant::Person(PERSON), &with_secret(&identity));
    identity.token_lifetime(1);
    gateway.sign_in();
    answer(token(&gateway));
    identity.revoke_grants();
    let said = wait_until("the provider takes nothing of it any more", || {
        let output = token(&gateway).output().unwrap();
        (!output.status.success()).then(|| String::from_utf8(output.stderr).unwrap())
    });
    assert!(said.contains("expired or was revoked") && said.contains("oxpost login scanner"), "{said}");
    let refused = identity.count("refused");
    for _ in 0..5 {
        refusal(token(&gateway));
    }
    assert_eq!(identity.count("refused"), refused, "a dead grant is not asked with again");
    identity.token_lifetime(3600);
    gateway.sign_in();
    answer(token(&gateway));
}

/// A sign-in whose address is to be pasted, and how it ends when `end` makes something else of that address.
fn pasted(ground: &Ground, gateway: &Gateway<'_>, end: impl FnOnce(String) -> String) -> (bool, String) {
    let mut login = gateway.try_command(&["login", ACCOUNT, "--paste"]);
    let mut login = login.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(login.stdout.take().unwrap()).lines().map(Result::unwrap);
    let address = lines.find(|line| line.starts_with("http")).expect("`oxpost login` prints an address");
    let back = end(browse_elsewhere(ground, &address));
    writeln!(login.stdin.take().unwrap(), "{back}").unwrap();
    let output = login.wait_with_output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_wrong_state_and_a_code_of_another_sign_in_are_refused() {
    let ground = Ground::new("grants-mixed-up");
    let identity = Identity::start(&ground, PERSON);
    let gateway = Gateway::start_alone(&ground, &identity, Grant::Person(PERSON), &with_secret(&identity));
    let (done, said) = pasted(&ground, &gateway, |url| url.replace(&parameter(&url, "state"), "made-up"));
    assert!(!done && said.contains("not known here"), "{said}");
    assert_eq!(identity.count("refused"), 0, "the code never left for the provider");

    // The code of one sign-in with the state of another: the proof of PKCE does not fit.
    let mut stolen = String::new();
    pasted(&ground, &gateway, |url| {
        stolen = parameter(&url, "code");
        url.replace(&parameter(&url, "state"), "made-up")
    });
    let (done, said) = pasted(&ground, &gateway, |url| url.replace(&parameter(&url, "code"), &stolen));
    assert!(!done && said.contains("invalid_grant"), "{said}");
    assert_eq!((identity.count("refused"), identity.count("authorization_code")), (1, 0));

    let (done, said) = pasted(&ground, &gateway, |url| url);
    assert!(done, "{said}");
    // The code alone is enough where a provider shows nothing else.
    let (done, said) = pasted(&ground, &gateway, |url| parameter(&url, "code"));
    assert!(done, "{said}");
}

#[test]
fn a_kill_in_the_middle_of_a_renewal_keeps_the_sign_in_or_says_that_it_is_lost() {
    for (hold, survives) in [("before", true), ("after", false)] {
        let ground = Ground::new("grants-killed");
        let identity = Identity::start(&ground, PERSON);
        let gateway = Gateway::start_alone(&ground, &identity, Grant::Person(PERSON), &with_secret(&identity));
        identity.token_lifetime(1);
        gateway.sign_in();
        identity.hold(hold);
        let mut asking = Vec::new();
        wait_until("a renewal hangs at the provider", || {
            asking.push(token(&gateway).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
            (identity.held() > 0).then_some(())
        });
        // One that finds no gateway would open the data folder itself, and have it when the gateway starts again.
        for mut asking in asking {
            asking.kill().unwrap();
            asking.wait().unwrap();
        }
        let gateway = gateway.killed_and_started();
        identity.hold("never");
        if survives {
            answer(token(&gateway));
            assert_eq!(identity.count("refused"), 0, "{hold}");
            continue;
        }
        // The provider gave a new refresh token that nobody has, and takes the old one for stolen.
        let said = refusal(token(&gateway));
        assert!(said.contains("expired or was revoked") && said.contains("oxpost login scanner"), "{said}");
        gateway.sign_in();
        answer(token(&gateway));
    }
}
