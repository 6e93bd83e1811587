//! The command line as an administrator meets it: the real program, against a running gateway or without one.

use std::path::Path;
use std::process::{Command, Stdio};

use oxpost::clock::Clock;
use oxpost::config::Config;
use oxpost::gateway::Gateway;
use oxpost::mail::Event;
use oxpost::practice::{APP_CLIENT_ID, APP_CLIENT_SECRET, AuthFault, Fault, PeopleFault, Rule, TokenFault};

use crate::house::{ALICE, Events, House, Plan, RECIPIENT, SCANNER, account, letter};

/// How a command ended, and all it printed.
pub(crate) struct Ended {
    pub(crate) well: bool,
    pub(crate) text: String,
}

/// Runs the program; the gateway of the test goes on meanwhile.
async fn oxpost(config: &Path, arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oxpost"));
    command.arg("--config").arg(config).args(arguments).stdin(Stdio::null());
    for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "OXPOST_KEY"] {
        command.env_remove(name);
    }
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Ended { well: output.status.success(), text }
}

impl House {
    pub(crate) async fn command(&self, arguments: &[&str]) -> Ended {
        oxpost(&self.path("oxpost.toml"), arguments).await
    }
}

/// A house whose account `app` is the practice tenant's app itself, with this secret.
async fn app_only(secret: &str) -> House {
    let mut house = House::not_signed_in(Plan::default()).await;
    let tenant = &house.tenant;
    let tables = format!(
        "[directory]\naccount = \"app\"\n\n[provider.app]\nkind = \"microsoft\"\ntenant = \"practice.example\"\n\
         client_id = \"{APP_CLIENT_ID}\"\nclient_secret = {{ file = \"app-secret\" }}\nauthorize_url = \"{}\"\n\
         token_url = \"{}\"\ngraph_url = \"{}\"\ngraph_resource = \"https://graph.microsoft.com\"\n\
         smtp_host = \"localhost\"\nsmtp_port = {}\n",
        tenant.authorize_url(),
        tenant.token_url(),
        tenant.graph_base(),
        tenant.smtp_addr().port(),
    );
    std::fs::write(house.path("app-secret"), secret).unwrap();
    let app = format!(
        "[account.app]\nprovider = \"app\"\nmailbox = \"{SCANNER}\"\ngrant = \"client-credentials\"\n\
         send = [\"graph\", \"smtp\"]\n\n"
    );
    let accounts = Plan::default().accounts.replace("[account.scanner]", "[account.scanner-by-hand]");
    let clients = "[[client]]\nname = \"printers\"\nnetworks = [\"127.0.0.1/32\"]\naccounts = [\"app\"]\n".to_owned();
    house.write(&Plan { tables, accounts: app + &accounts, clients, ..Plan::default() });
    house.stop().await;
    house
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_configuration_is_written_checked_and_served() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("oxpost.toml");
    let init = ["init", "--no-questions", "--provider", "microsoft", "--tenant", "contoso.com", "--mailbox"];
    let client = ["scanner@contoso.com", "--client-id", "8f54719b-4070-41ae-91ad-f48e3c793c5f"];
    let written = oxpost(&config, &[&init[..], &client].concat()).await;
    assert!(written.well && written.text.contains("oxpost login scanner"), "{}", written.text);
    let checked = oxpost(&config, &["check"]).await;
    assert!(checked.well && checked.text.contains("account `scanner` at `contoso`"), "{}", checked.text);
    let again = oxpost(&config, &[&init[..], &client].concat()).await;
    assert!(!again.well && again.text.contains("--add"), "it is not overwritten: {}", again.text);
    let add = ["init", "--no-questions", "--add", "--provider", "contoso", "--mailbox", "billing@contoso.com"];
    let added = oxpost(&config, &add).await;
    assert!(added.well, "{}", added.text);
    // A port that is free, so that tests can run beside each other.
    let text = std::fs::read_to_string(&config).unwrap().replace("localhost:2525", "127.0.0.1:0");
    std::fs::write(&config, text).unwrap();
    let loaded = Config::load(&config, &|_| None).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(loaded.accounts.len(), 2);
    let gateway = Gateway::start(loaded, Clock::system(), std::sync::Arc::new(Events::default())).await.unwrap();
    let accounts = oxpost(&config, &["account"]).await;
    assert!(accounts.well && accounts.text.contains("must be signed in"), "{}", accounts.text);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_nothing_where_nothing_is_wrong_with_a_gateway_and_without() {
    let tables = "[directory]\naccount = \"alice\"\n".to_owned();
    let mut house = House::start(Plan { tables, ..Plan::default() }).await;
    let running = house.command(&["doctor", "alice"]).await;
    assert!(running.well && running.text.contains("ok    gateway"), "{}", running.text);
    house.stop().await;
    let stopped = house.command(&["doctor", "alice"]).await;
    assert!(stopped.well && stopped.text.contains("-     gateway"), "{}", stopped.text);
    let steps =
        ["dns", "connect", "client id", "discovery", "clock", "token", "permission", "smtp login", "graph", "people"];
    for step in steps {
        for said in [&running.text, &stopped.text] {
            assert!(said.contains(&format!("ok    {step}")), "{step}: {said}");
        }
    }
    let all = house.command(&["doctor"]).await;
    assert!(all.well && all.text.contains("account `billing`"), "{}", all.text);
    let unknown = house.command(&["doctor", "alise"]).await;
    assert!(!unknown.well && unknown.text.contains("alice"), "{}", unknown.text);
    assert_eq!(house.tenant.mail_count(), 0, "no mail is sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_names_the_cause_and_the_remedy() {
    let mut house = House::new().await;
    house.stop().await;
    let table = [
        (
            Fault::Auth(AuthFault::SwitchedOff),
            "FAIL  smtp login",
            "Set-CASMailbox scanner@practice.example",
            "SMTP AUTH off",
        ),
        (
            Fault::Auth(AuthFault::Refused),
            "FAIL  smtp login",
            "sign in as `scanner@practice.example` itself",
            "535 5.7.3",
        ),
        (Fault::Token(TokenFault::InvalidClient), "FAIL  token", "secret", "the secret has expired"),
        (Fault::Token(TokenFault::InvalidGrant), "FAIL  token", "oxpost login scanner", "the grant is dead"),
        (Fault::Token(TokenFault::Html), "FAIL  token", "next step:", "a hotel's network"),
    ];
    for (fault, verdict, remedy, why) in table {
        house.tenant.switches().inject(Rule::always(fault));
        let said = house.command(&["doctor", "scanner"]).await;
        assert!(!said.well && said.text.contains(verdict) && said.text.contains(remedy), "{why}: {}", said.text);
        house.tenant.switches().clear_faults();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_knows_the_mix_ups_of_an_app() {
    let house = app_only(APP_CLIENT_SECRET).await;
    let well = house.command(&["doctor", "app"]).await;
    assert!(well.well && well.text.contains("grants") && well.text.contains("SMTP.SendAsApp"), "{}", well.text);
    house.tenant.switches().inject(Rule::always(Fault::Auth(AuthFault::Refused)));
    let refused = house.command(&["doctor", "app"]).await;
    let command = format!("New-ServicePrincipal -AppId {APP_CLIENT_ID} -ObjectId 0b1ec700");
    assert!(!refused.well && refused.text.contains(&command), "the right object id: {}", refused.text);
    house.tenant.switches().clear_faults();
    house.tenant.switches().inject(Rule::always(Fault::People(PeopleFault::Denied)));
    let denied = house.command(&["doctor", "app"]).await;
    assert!(!denied.well && denied.text.contains("FAIL  people"), "{}", denied.text);
    for ended in [&well, &refused, &denied] {
        assert!(!ended.text.contains(APP_CLIENT_SECRET) && !ended.text.contains("e30."), "a secret: {}", ended.text);
    }
    let house = app_only("12345678-1234-4234-8234-123456789abc").await;
    let id = house.command(&["doctor", "app"]).await;
    assert!(!id.well && id.text.contains("FAIL  secret") && id.text.contains("secret id"), "{}", id.text);
    assert!(id.text.contains("FAIL  token") && id.text.contains("AADSTS7000215"), "{}", id.text);
    assert!(!id.text.contains("12345678-1234"), "not even a wrong one is shown: {}", id.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_looked_up_by_the_one_who_signed_in() {
    let tables = "[directory]\naccount = \"alice\"\n".to_owned();
    let house = House::start(Plan { tables, ..Plan::default() }).await;
    let me = house.command(&["user", "me"]).await;
    assert!(me.well && me.text.contains(ALICE) && me.text.contains("Archer"), "{}", me.text);
    let bob = house.command(&["user", "get", "bob@practice.example", "--select", "surname", "--json"]).await;
    let bob: serde_json::Value = serde_json::from_str(&bob.text).unwrap();
    assert_eq!(bob, serde_json::json!({ "surname": "Baker" }));
    let list =
        ["user", "list", "--filter", "endswith(mail,'@practice.example')", "--order-by", "displayName", "--top", "3"];
    let first = house.command(&[&list[..], &["--json"]].concat()).await;
    let first: serde_json::Value = serde_json::from_str(&first.text).unwrap();
    assert_eq!(
        (first["page"].as_u64(), first["isLastPage"].as_bool(), first["success"].as_bool()),
        (Some(1), Some(false), Some(true))
    );
    assert_eq!(first["users"].as_array().unwrap().len(), 3);
    let second = house.command(&[&list[..], &["--page", "2"]].concat()).await;
    assert!(second.text.contains("Scanner, second floor") && !second.text.contains("Alice"), "{}", second.text);
    let beyond = house.command(&[&list[..], &["--page", "3"]].concat()).await;
    assert!(!beyond.well && beyond.text.contains("the list has 2"), "{}", beyond.text);
    let all = house.command(&[&list[..], &["--all"]].concat()).await;
    assert!(["Alice", "Billing", "Bob", "Scanner"].iter().all(|name| all.text.contains(name)), "{}", all.text);
    let nobody = house.command(&["user", "get", "../me"]).await;
    assert!(!nobody.well && nobody.text.contains("no user"), "{}", nobody.text);
    let wrong: Vec<_> = house.tenant.findings().into_iter().filter(|found| !found.what.contains("404")).collect();
    assert_eq!(wrong, [], "nothing is asked in a way that Graph refuses");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_directory_and_as_an_app_it_is_said_why_nobody_is_found() {
    let house = House::new().await;
    let none = house.command(&["user", "list"]).await;
    assert!(!none.well && none.text.contains("[directory]"), "{}", none.text);
    let house = app_only(APP_CLIENT_SECRET).await;
    let me = house.command(&["user", "me"]).await;
    assert!(!me.well && me.text.contains("it is the app itself"), "{}", me.text);
    let list = house.command(&["user", "list", "--search", "bob"]).await;
    assert!(list.well && list.text.contains("Bob Baker"), "{}", list.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_message_is_followed_to_its_outcome_with_a_gateway_and_without() {
    let mut house = House::new().await;
    let running = house.command(&["account", "test", "scanner"]).await;
    assert!(running.well && running.text.contains("relayed"), "{}", running.text);
    assert_eq!(house.only_one().await.recipients, [SCANNER], "to the mailbox itself");
    house.stop().await;
    let stopped = house.command(&["account", "test", "billing", "--to", RECIPIENT]).await;
    assert!(stopped.well && stopped.text.contains("relayed"), "{}", stopped.text);
    assert_eq!(house.arrived(2).await[1].recipients, [RECIPIENT]);
    house.tenant.switches().inject(Rule::always(Fault::Auth(AuthFault::SwitchedOff)));
    let held = house.command(&["account", "test", "bob"]).await;
    assert!(!held.well && held.text.contains("is held") && held.text.contains("5.7.139"), "{}", held.text);
    let shown = house.command(&["account", "show", "bob"]).await;
    assert!(shown.well && shown.text.contains("mail of bob@practice.example is held"), "{}", shown.text);
    assert!(shown.text.contains("ways out: smtp"), "{}", shown.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_account_must_be_signed_in_again() {
    let house =
        House::start(Plan { accounts: account(SCANNER, r#"["smtp"]"#), clients: String::new(), ..Plan::default() })
            .await;
    let list = house.command(&["account", "list", "--json"]).await;
    assert!(list.well && !list.text.contains("must be signed in"), "{}", list.text);
    let forgotten = house.command(&["account", "forget", "scanner"]).await;
    assert!(forgotten.well && forgotten.text.contains("oxpost login scanner"), "{}", forgotten.text);
    let list = house.command(&["account"]).await;
    assert!(list.text.contains("must be signed in"), "{}", list.text);
    let unknown = house.command(&["account", "forget", "nobody"]).await;
    assert!(!unknown.well && unknown.text.contains("nobody"), "{}", unknown.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_was_held_goes_after_a_sign_in_by_code_without_a_gateway() {
    let mut house = House::not_signed_in(Plan::default()).await;
    house.send(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, "held")).await;
    house.events.first("the mail is held", |event| matches!(event, Event::Held { .. }).then_some(())).await;
    house.stop().await;
    house.tenant.switches().set(|knobs| {
        (knobs.auto_sign_in, knobs.device_interval) = (true, std::time::Duration::from_secs(1));
    });
    let signed_in = house.command(&["login", "scanner", "--device"]).await;
    assert!(signed_in.well && signed_in.text.contains("is signed in"), "{}", signed_in.text);
    let held = house.command(&["queue", "list"]).await;
    assert!(!held.text.contains("is held"), "{}", held.text);
    house.open().await.unwrap();
    house.only_one().await;
}
