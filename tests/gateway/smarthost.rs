//! A smarthost beside the provider's own ways. The smarthost is another gateway, with a login of its own.

use oxpost::mail::{BackendKind, Event, Reason};
use oxpost::practice::{Fault, GraphFault, Rule};

use crate::house::{ALICE, House, LOGIN, PASSWORD, Plan, RECIPIENT, account, letter, login_client, network_client};

/// A gateway that takes mail from whoever logs in under TLS, and sends it on as its own mailbox.
async fn relay() -> House {
    House::start(Plan {
        tables: "[tls]\nnames = [\"localhost\"]\n".to_owned(),
        listeners: vec!["tls = \"starttls\"".to_owned()],
        clients: login_client(),
        ..Plan::default()
    })
    .await
}

/// A gateway with one account, [`ALICE`], that has `ways`.
async fn before(relay: &House, ways: &str, password: &str, signed_in: bool) -> House {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), password).unwrap();
    let plan = Plan {
        tables: format!(
            "[smarthost]\nhost = \"localhost\"\nport = {}\nlogin = \"{LOGIN}\"\npassword = {{ file = {:?} }}\n",
            relay.listener(0).port(),
            secret.path(),
        ),
        accounts: account(ALICE, ways),
        clients: network_client("rewrite").replace(&format!("{:?}", crate::house::ACCOUNTS), "[\"alice\"]"),
        trusted: std::fs::read_to_string(relay.ca()).unwrap(),
        ..Plan::default()
    };
    if signed_in { House::start(plan).await } else { House::not_signed_in(plan).await }
}

/// Sends one and waits until it is relayed; what history says of the attempt that did it.
async fn send(house: &House) -> Vec<String> {
    let id = house.send(ALICE, &[RECIPIENT], letter(ALICE, RECIPIENT, "s")).await;
    house.relayed(id).await;
    house.show(id).await.attempts.last().unwrap().result.as_ref().unwrap().notes.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_provider_refuses_to_carry_goes_by_the_smarthost() {
    let relay = relay().await;
    let house = before(&relay, r#"["graph", "smarthost"]"#, PASSWORD, true).await;
    house.tenant.switches().inject(Rule::always(Fault::Graph(GraphFault::NoRest)).only_for(ALICE));
    let notes = send(&house).await;
    assert!(notes[0].starts_with("graph did not take it: the mailbox cannot be used this way"), "{notes:?}");
    let arrived = relay.only_one().await;
    assert_eq!(arrived.recipients, [RECIPIENT]);
    let notes = send(&house).await;
    assert!(notes[0].starts_with("by smarthost and not by graph: it was refused"), "remembered: {notes:?}");
    assert_eq!(house.tenant.mail_count(), 0, "nothing went by the provider");
    assert!(house.control().queue.holds().await.unwrap().is_empty(), "one way works: nothing is held");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_nobody_signed_in_sends_by_the_smarthost() {
    let relay = relay().await;
    let house = before(&relay, r#"["smtp", "smarthost"]"#, PASSWORD, false).await;
    let notes = send(&house).await;
    assert!(notes[0].starts_with("smtp did not take it"), "{notes:?}");
    relay.only_one().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_smarthost_that_refuses_the_password_gives_way_to_the_provider() {
    let relay = relay().await;
    let house = before(&relay, r#"["smarthost", "graph"]"#, "not the password", true).await;
    let notes = send(&house).await;
    assert!(notes[0].starts_with("smarthost did not take it"), "{notes:?}");
    house.only_one().await;
    let refused = |event: &Event| {
        let Event::WayRefused { backend: BackendKind::Smarthost, failure, .. } = event else { return None };
        Some(failure.clone())
    };
    let failure = house.events.first("it is told", refused).await;
    assert_eq!(failure.reason, Reason::AuthenticationRejected);
    assert!(!failure.to_string().contains("not the password"), "{failure}");
    assert_eq!(relay.tenant.mail_count(), 0);
}
