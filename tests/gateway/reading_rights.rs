//! Which mailboxes can be read with which rights, and how somebody finds out: `oxpost account test`, `oxpost doctor` and
//! the operation behind them.

use http::StatusCode;
use oxpost::practice::{APP_CLIENT_ID, APP_CLIENT_SECRET};
use serde_json::{Value, json};

use crate::client::Client;
use crate::house::{ALICE, BILLING, BOB, House, LOGIN, Plan, SCANNER, account, letter};
use crate::reading::{GREETING, POP3, Scripted, log_in, plan};

/// What came of trying to read: for each protocol the count, or why not and the next step.
async fn tried(house: &House, account: &str, mailbox: Option<&str>) -> Vec<Value> {
    let body = json!({ "mailbox": mailbox }).to_string();
    let answer = house.post(&format!("/api/v1/accounts/{account}/read"), &body).await;
    answer["ways"].as_array().unwrap().clone()
}

#[tokio::test]
async fn trying_to_read_says_how_many_messages_there_are_or_why_not() {
    let house = House::start(plan()).await;
    let mut smtp = Client::connect(house.listener(2)).await.greeted().await;
    assert!(smtp.hand_in(SCANNER, &[ALICE], letter(SCANNER, ALICE, "counted")).await.starts_with("250"));
    house.arrived(1).await;
    for (account, mailbox, count) in [("alice", ALICE, 1), ("scanner", SCANNER, 0)] {
        let ways = tried(&house, account, None).await;
        assert_eq!(ways.len(), 2, "{ways:?}");
        for (way, protocol) in ways.iter().zip(["imap", "pop3"]) {
            assert_eq!((&way["protocol"], &way["mailbox"]), (&json!(protocol), &json!(mailbox)));
            assert_eq!((&way["messages"], &way["why"]), (&json!(count), &Value::Null), "{way}");
        }
    }
    assert_eq!(house.tenant.findings(), []);

    for way in tried(&house, "scanner", Some(BILLING)).await {
        assert_eq!(way["messages"], Value::Null, "nobody gave this right: {way}");
        assert!(way["why"].as_str().unwrap().contains("does not accept the token"), "{way}");
        assert!(way["hint"].as_str().unwrap().contains("may open this mailbox"), "{way}");
    }
    house.tenant.revoke(SCANNER);
    for way in tried(&house, "scanner", None).await {
        assert!(way["hint"].as_str().unwrap().contains("oxpost login scanner"), "{way}");
    }
    for (account, mailbox, status, words) in [
        ("alice", json!(BOB), StatusCode::UNPROCESSABLE_ENTITY, "does not open `bob@practice.example`"),
        ("nobody", Value::Null, StatusCode::NOT_FOUND, "nobody"),
    ] {
        let body = json!({ "mailbox": mailbox }).to_string();
        let (answered, text) = house.call("POST", &format!("/api/v1/accounts/{account}/read"), &body).await;
        assert!(answered == status && text.contains(words), "{answered} {text}");
    }
    let without = House::new().await;
    let (status, text) = without.call("POST", "/api/v1/accounts/scanner/read", "{}").await;
    assert!(status == StatusCode::UNPROCESSABLE_ENTITY && text.contains("is not read"), "{text}");
}

#[tokio::test]
async fn a_mailbox_that_lets_in_and_opens_no_folder_is_explained() {
    let answers = ["@ OK in\r\n", "@ BAD User is authenticated but not connected.\r\n"];
    let server = Scripted::start(GREETING, Box::leak(Box::new(answers))).await;
    let house = server.house().await;
    let way = &tried(&house, "scanner", None).await[0];
    assert!(way["why"].as_str().unwrap().contains("authenticated but not connected"), "{way}");
    assert!(way["hint"].as_str().unwrap().contains("IMAP is on for it"), "{way}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_try_to_read_too() {
    let mut house = House::start(plan()).await;
    let running = house.command(&["account", "test", "scanner", "--no-send"]).await;
    assert!(running.well, "{}", running.text);
    let both = house.command(&["account", "test", "alice"]).await;
    assert!(both.well && both.text.contains("the provider took it"), "{}", both.text);
    for said in [&running.text, &both.text] {
        assert!(said.contains("IMAP works at localhost:") && said.contains("POP3 works at localhost:"), "{said}");
    }
    assert_eq!(house.tenant.mail_count(), 1, "nothing is sent where nothing is to be sent");
    let examined = house.command(&["doctor", "alice"]).await;
    assert!(examined.well, "{}", examined.text);
    house.stop().await;
    let stopped = house.command(&["doctor", "scanner"]).await;
    for said in [&examined.text, &stopped.text] {
        assert!(said.contains("ok    imap login") && said.contains("ok    pop3 login"), "{said}");
    }
    house.tenant.revoke(SCANNER);
    let lost = house.command(&["account", "test", "scanner", "--no-send"]).await;
    assert!(!lost.well && lost.text.contains("IMAP does not work"), "{}", lost.text);
    assert!(lost.text.contains("oxpost login scanner"), "{}", lost.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_asks_exchange_web_services_for_a_folder() {
    let accounts = account(SCANNER, r#"["ews"]"#);
    let clients = "[[client]]\nname = \"c\"\nnetworks = [\"127.0.0.1/32\"]\naccounts = [\"scanner\"]\n".to_owned();
    let house = House::not_signed_in(Plan { accounts, clients, ..Plan::default() }).await;
    let url = house.tenant.graph_base().join("/EWS/Exchange.asmx").unwrap();
    let file = std::fs::read_to_string(house.path("oxpost.toml")).unwrap();
    let file = file.replacen("smtp_host", &format!("ews_url = \"{url}\"\nsmtp_host"), 1);
    std::fs::write(house.path("oxpost.toml"), file).unwrap();
    let mut house = house;
    house.restart().await;
    house.sign_in("scanner").await;
    let well = house.command(&["doctor", "scanner"]).await;
    assert!(well.well && well.text.contains("ok    ews"), "{}", well.text);
    assert_eq!((house.tenant.mail_count(), house.tenant.findings()), (0, Vec::new()), "nothing is sent");
}

/// A gateway that reads as the tenant's app, with these permissions.
async fn app_house(roles: &[&str]) -> House {
    let app_roles = roles.iter().map(|role| (*role).to_owned()).collect();
    let mut house = House::not_signed_in(Plan { app_roles, ..plan() }).await;
    let tenant = &house.tenant;
    let tables = format!(
        "[provider.app]\nkind = \"microsoft\"\ntenant = \"practice.example\"\nclient_id = \"{APP_CLIENT_ID}\"\n\
         client_secret = {{ file = \"app-secret\" }}\nauthorize_url = \"{}\"\ntoken_url = \"{}\"\n\
         imap_host = \"localhost\"\nimap_port = {}\npop3_host = \"localhost\"\npop3_port = {}\n\
         smtp_host = \"localhost\"\nsmtp_port = {}\n\n\
         [account.app]\nprovider = \"app\"\nmailbox = \"*@practice.example\"\ngrant = \"client-credentials\"\n\
         send = [\"smtp\"]\nread = [\"imap\", \"pop3\"]\n",
        tenant.authorize_url(),
        tenant.token_url(),
        tenant.imap_addr().port(),
        tenant.pop3_addr().port(),
        tenant.smtp_addr().port(),
    );
    std::fs::write(house.path("app-secret"), APP_CLIENT_SECRET).unwrap();
    let clients = plan().clients.replace("[\"scanner\", \"alice\"]", "[\"app\"]");
    house.write(&Plan { tables, clients, ..plan() });
    house.restart().await;
    house
}

async fn pop3_login(house: &House, login: &str) -> String {
    let mut client = Client::connect(house.listener(POP3)).await;
    client.line().await.unwrap();
    client.send(format!("USER {login}\r\nPASS {}\r\n", crate::house::PASSWORD)).await;
    client.line().await.unwrap();
    client.line().await.unwrap()
}

#[tokio::test]
async fn an_app_that_may_read_opens_any_mailbox_of_its_domain() {
    let house = app_house(&["IMAP.AccessAsApp", "POP.AccessAsApp"]).await;
    for mailbox in [ALICE, BILLING] {
        let (_client, said) = log_in(&house, mailbox).await;
        assert_eq!(said, "a OK Logged in", "{mailbox}");
        assert_eq!(pop3_login(&house, mailbox).await, "+OK Logged in", "{mailbox}");
        for way in tried(&house, "app", Some(mailbox)).await {
            assert_eq!(way["messages"], json!(0), "{way}");
        }
    }
    assert_eq!(house.tenant.findings(), []);
    let (_client, said) = log_in(&house, LOGIN).await;
    assert!(said.starts_with("a NO [UNAVAILABLE] No mailbox can be read with this login"), "which one? {said}");
    let (status, text) = house.call("POST", "/api/v1/accounts/app/read", "{}").await;
    assert!(status == StatusCode::UNPROCESSABLE_ENTITY && text.contains("write which one"), "{text}");
}

#[tokio::test]
async fn an_app_without_the_right_is_refused_and_the_right_of_one_protocol_is_not_that_of_the_other() {
    let house = app_house(&["POP.AccessAsApp"]).await;
    let (_client, said) = log_in(&house, ALICE).await;
    assert!(said.starts_with("a NO [UNAVAILABLE] the provider does not accept the token"), "{said}");
    assert_eq!(pop3_login(&house, ALICE).await, "+OK Logged in");
    let ways = tried(&house, "app", Some(ALICE)).await;
    assert!(ways[0]["why"].is_string() && ways[1]["messages"] == json!(0), "{ways:?}");
    assert!(house.tenant.findings().iter().any(|finding| format!("{finding:?}").contains("IMAP.AccessAsApp")));
}

#[tokio::test]
async fn a_shared_mailbox_is_read_by_whom_it_was_opened_to() {
    let house = House::start(Plan { send_as: vec![BILLING.to_owned()], ..plan() }).await;
    let (_client, said) = log_in(&house, BILLING).await;
    assert_eq!(said, "a OK Logged in");
    assert_eq!(pop3_login(&house, BILLING).await, "+OK Logged in");
    for way in tried(&house, "scanner", Some(BILLING)).await {
        assert_eq!((&way["mailbox"], &way["messages"]), (&json!(BILLING), &json!(0)), "{way}");
    }
    assert_eq!(house.tenant.findings(), []);
}
