//! What a program is told.

use http::StatusCode;
use oxpost::account::password;
use oxpost::practice::{APP_CLIENT_ID, APP_CLIENT_SECRET, DotFault, Fault, GraphFault, RecipientFault, Rule, User};
use oxpost::queue::Filter;
use oxpost::secret::Secret;
use serde_json::{Value, json};

use super::{hand_in, microsoft, person, queued, with};
use crate::house::{ALICE, BILLING, House, Plan, RECIPIENT, SCANNER, letter, login_client, network_client};

const MIME: &str = "message/rfc822";
const JSON: &str = "application/json";

#[tokio::test(flavor = "multi_thread")]
async fn success_without_waiting_means_queued() {
    let house = House::start(Plan::default()).await;
    let (id, answer) = queued(&house, "", &microsoft(BILLING, "s")).await;
    assert_eq!((&answer["success"], &answer["errors"], &answer["state"]), (&json!(true), &json!([]), &json!("queued")));
    assert!(answer["statusText"].as_str().unwrap().starts_with(&format!("queued as {id}: ")), "{answer}");
    house.relayed(id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mime_goes_to_whom_its_header_names_and_a_hidden_one_stays_hidden() {
    let house = House::start(Plan::default()).await;
    for (number, from) in (1..).zip([SCANNER, BILLING]) {
        let mail = letter(from, RECIPIENT, "mime").replace("Subject:", "Bcc: eve@elsewhere.example\r\nSubject:");
        // With lone LFs, as programs on Unix write it.
        let (status, answer) = hand_in(&house, "", MIME, mail.replace("\r\n", "\n")).await;
        assert_eq!((status, &answer["recipients"]), (StatusCode::ACCEPTED, &json!(2)), "{answer}");
        let arrived = house.arrived(number).await.pop().unwrap();
        assert_eq!(arrived.recipients, [RECIPIENT, "eve@elsewhere.example"]);
        assert!(arrived.seen().iter().all(|seen| seen.leaks.is_empty()));
        let text = String::from_utf8_lossy(&arrived.raw).into_owned();
        assert!(text.ends_with("\r\n\r\nText of mime\r\n") && text.contains(" with HTTP id "), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_hears_what_the_provider_says() {
    let house = House::start(Plan::default()).await;
    for from in [SCANNER, BILLING] {
        let (status, answer) = hand_in(&house, "wait=45", JSON, microsoft(from, "s").to_string()).await;
        assert_eq!((status, &answer["state"]), (StatusCode::OK, &json!("relayed")), "{answer}");
    }
    assert_eq!(house.tenant.mail_count(), 2, "it is there before the program hears so");
    let rows = [
        (SCANNER, Fault::EndOfData(DotFault::Permanent), StatusCode::UNPROCESSABLE_ENTITY, "554 5.7.1", "550 5.7.1"),
        (SCANNER, Fault::EndOfData(DotFault::Temporary), StatusCode::SERVICE_UNAVAILABLE, "451 4.3.0", "451 4.7.0"),
        (
            SCANNER,
            Fault::Recipient(RECIPIENT.to_owned(), RecipientFault::Permanent),
            StatusCode::FORBIDDEN,
            "550 5.1.1",
            "550 5.1.1",
        ),
        (BILLING, Fault::Graph(GraphFault::Throttled(1)), StatusCode::SERVICE_UNAVAILABLE, "451 4.4.5", "429"),
    ];
    for (from, fault, expected, code, words) in rows {
        house.tenant.switches().inject(Rule::once(fault.clone()));
        let (status, answer) = hand_in(&house, "wait=45", JSON, microsoft(from, "s").to_string()).await;
        assert_eq!((status, &answer["success"]), (expected, &json!(false)), "{fault:?}: {answer}");
        assert_eq!(answer["errors"][0]["errcode"], code, "{fault:?}: {answer}");
        assert!(answer["statusText"].as_str().unwrap().contains(words), "{fault:?}: {answer}");
        assert!(answer["hint"].is_string(), "{fault:?}: {answer}");
        assert_eq!(house.list(Filter::default()).await, [], "{fault:?}: nothing is kept");
        house.tenant.switches().clear_faults();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_message_is_refused_and_its_property_named() {
    let house = House::start(Plan::default()).await;
    let base = || microsoft(SCANNER, "s");
    let nobody = with(base(), &json!({ "toRecipients": [] }));
    let no_json = "{".to_owned();
    let rows: Vec<(&str, &str, String, StatusCode, &str, &str)> = vec![
        ("", JSON, no_json, StatusCode::BAD_REQUEST, "line 1, column 1", "no JSON"),
        ("", JSON, json!({ "colour": 1 }).to_string(), StatusCode::BAD_REQUEST, "colour", "an unknown property"),
        ("", JSON, nobody.to_string(), StatusCode::UNPROCESSABLE_ENTITY, "554 5.5.1", "nobody"),
        (
            "",
            MIME,
            "Subject: s\r\n\r\nx\r\n".to_owned(),
            StatusCode::UNPROCESSABLE_ENTITY,
            "554 5.5.1",
            "nobody in MIME",
        ),
        ("", MIME, "To: Scanner\r\n\r\nx\r\n".to_owned(), StatusCode::BAD_REQUEST, "To", "no address in MIME"),
        ("", "text/csv", "x".to_owned(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "Content-Type", "no form"),
        ("mailType=XML", JSON, base().to_string(), StatusCode::BAD_REQUEST, "mailType", "no form by name"),
        ("wait=46", JSON, base().to_string(), StatusCode::BAD_REQUEST, "wait", "too long"),
        ("userId=billing%40other.example", JSON, base().to_string(), StatusCode::FORBIDDEN, "550 5.7.1", "not its own"),
        ("userId=4711", JSON, base().to_string(), StatusCode::UNPROCESSABLE_ENTITY, "userId", "no directory"),
        ("", JSON, format!("\"{}\"", "x".repeat(9 << 20)), StatusCode::PAYLOAD_TOO_LARGE, "size", "too large for JSON"),
        (
            "",
            MIME,
            format!("From: {BILLING}\r\nTo: {RECIPIENT}\r\n\r\n{}", "0123456789\r\n".repeat(300_000)),
            StatusCode::PAYLOAD_TOO_LARGE,
            "552 5.3.4",
            "too large for the account",
        ),
    ];
    for (query, kind, body, expected, code, why) in rows {
        let (status, answer) = hand_in(&house, query, kind, body).await;
        assert_eq!((status, &answer["errors"][0]["errcode"]), (expected, &json!(code)), "{why}: {answer}");
        assert_eq!(
            (&answer["success"], answer["status"].as_u64()),
            (&json!(false), Some(u64::from(expected.as_u16()))),
            "{why}"
        );
        assert!(!answer["statusText"].as_str().unwrap().is_empty(), "{why}");
    }
    let many: Vec<Value> = (0..1001).map(|n| person(&format!("r{n}@elsewhere.example"))).collect();
    let (status, answer) = hand_in(&house, "", JSON, with(base(), &json!({ "toRecipients": many })).to_string()).await;
    assert_eq!((status, &answer["errors"][0]["errcode"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("554 5.5.3")));
    assert_eq!(house.tenant.mail_count(), 0);
    assert_eq!(house.list(Filter::default()).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_of_the_client_is_that_of_smtp() {
    let strict = network_client("strict") + &login_client();
    let tables = "[alias]\nroot = \"it@own.example\"\n".to_owned();
    let house = House::start(Plan { clients: strict, tables, ..Plan::default() }).await;
    let (status, answer) = hand_in(&house, "", JSON, microsoft("other@practice.example", "s").to_string()).await;
    assert_eq!((status, &answer["errors"][0]["errcode"]), (StatusCode::FORBIDDEN, &json!("550 5.7.1")), "{answer}");
    let to_root = with(microsoft(BILLING, "s"), &json!({ "toRecipients": [person("root@localhost")] }));
    queued(&house, "", &to_root).await;
    let arrived = house.only_one().await;
    assert_eq!(arrived.recipients, ["it@own.example"], "an alias counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_sender_is_the_mailbox_in_an_object_too() {
    let house = House::start(Plan::default()).await;
    let from = json!({ "emailAddress": { "address": "odd@elsewhere.example", "name": "Odd" } });
    let object = with(microsoft(BILLING, "s"), &json!({ "from": from, "sender": person(BILLING) }));
    queued(&house, "", &object).await;
    let arrived = house.only_one().await;
    let message = &arrived.object.as_ref().unwrap()["message"];
    assert_eq!(message["from"], json!({ "emailAddress": { "address": BILLING, "name": "Odd" } }));
    assert_eq!(message["replyTo"][0]["emailAddress"]["address"], "odd@elsewhere.example");
}

/// Over the page's port, as a program does it.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_hands_in_the_mail_of_its_client_and_of_no_other() {
    let hash = |secret: &str| password::hash(&Secret::new(secret)).unwrap();
    let key =
        |name: &str, more: &str| format!("[[api_key]]\nname = \"{name}\"\nsecret = \"{}\"\n{more}\n", hash("a secret"));
    let tables = "[admin]\nlisten = \"localhost:0\"\n".to_owned()
        + &key("erp", "scopes = [\"send\"]\nclient = \"erp\"")
        + &key("watch", "scopes = [\"read\"]\nclient = \"erp\"")
        + &key("free", "scopes = [\"send\"]");
    let erp = "[[client]]\nname = \"erp\"\naccounts = [\"billing\"]\n".to_owned();
    let plan = Plan { tables, clients: network_client("keep") + &erp, ..Plan::default() };
    let house = House::start(plan).await;
    let place = house.control().links.page().unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = |key: &'static str, query: &str| {
        let url = format!("http://127.0.0.1:{}/api/v1/messages{query}", place.port().unwrap());
        let body = microsoft(BILLING, key).to_string();
        let request = http.post(url).header("host", format!("localhost:{}", place.port().unwrap()));
        let request = request.header("content-type", JSON).body(body);
        async move {
            let request = if key.is_empty() { request } else { request.bearer_auth(format!("{key}.a secret")) };
            let answer = request.send().await.unwrap();
            (answer.status(), answer.json::<Value>().await.unwrap_or_default())
        }
    };
    let rows = [
        ("erp", "", StatusCode::ACCEPTED, "its own"),
        ("erp", "?client=erp", StatusCode::ACCEPTED, "its own by name"),
        ("erp", "?client=printers", StatusCode::FORBIDDEN, "another's"),
        ("watch", "", StatusCode::FORBIDDEN, "without the scope"),
        ("free", "", StatusCode::CONFLICT, "of no client"),
    ];
    for (key, query, expected, why) in rows {
        let (status, answer) = post(key, query).await;
        assert_eq!(status, expected, "{why}: {answer}");
    }
    let (status, _) = post("", "").await;
    assert!(status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN, "nobody: {status}");
    assert_eq!(house.arrived(2).await.len(), 2);
}

/// A message larger than forms of the page may be goes through the page's port.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_message_passes_the_port_of_the_page() {
    let hash = password::hash(&Secret::new("a secret")).unwrap();
    let tables = format!(
        "[admin]\nlisten = \"localhost:0\"\n[[api_key]]\nname = \"erp\"\nsecret = \"{hash}\"\nscopes = [\"send\"]\nclient = \"printers\"\n"
    );
    let house = House::start(Plan { tables, ..Plan::default() }).await;
    let place = house.control().links.page().unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mail = format!("{}{}", letter(SCANNER, RECIPIENT, "large"), "0123456789\r\n".repeat(200_000));
    let url = format!("http://127.0.0.1:{}/api/v1/messages", place.port().unwrap());
    let request = http.post(url).header("host", format!("localhost:{}", place.port().unwrap()));
    let answer =
        request.bearer_auth("erp.a secret").header("content-type", MIME).body(mail.clone()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::ACCEPTED);
    let arrived = house.only_one().await;
    assert!(arrived.raw.ends_with(&mail.as_bytes()[mail.len() - 2_000_000..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn user_id_picks_the_mailbox_among_those_of_the_client() {
    let house = House::start(Plan::default()).await;
    let object = with(microsoft(BILLING, "s"), &json!({ "from": null }));
    queued(&house, &format!("userId={}", BILLING.replace('@', "%40")), &object).await;
    let arrived = house.only_one().await;
    assert_eq!(arrived.mailbox, BILLING, "the scanner's is the client's first");
}

/// The application itself, for every mailbox of the domain.
async fn app_only() -> House {
    let house = House::start(Plan::default()).await;
    std::fs::write(house.path("app-secret"), APP_CLIENT_SECRET).unwrap();
    let tenant = &house.tenant;
    let provider = format!(
        "[provider.app]\nkind = \"microsoft\"\ntenant = \"practice.example\"\nclient_id = \"{APP_CLIENT_ID}\"\n\
         client_secret = {{ file = \"app-secret\" }}\nauthorize_url = \"{}\"\ntoken_url = \"{}\"\ngraph_url = \"{}\"\n\
         graph_resource = \"https://graph.microsoft.com\"\n[directory]\naccount = \"app\"\n",
        tenant.authorize_url(),
        tenant.token_url(),
        tenant.graph_base()
    );
    let accounts = "[account.app]\nprovider = \"app\"\nmailbox = \"*@practice.example\"\ngrant = \"client-credentials\"\nsend = [\"graph\"]\n";
    let clients = "[[client]]\nname = \"printers\"\nnetworks = [\"127.0.0.1/32\"]\naccounts = [\"app\"]\n";
    let (tables, accounts, clients) = (provider, accounts.to_owned(), clients.to_owned());
    let plan = Plan { tables, accounts, clients, ..Plan::default() };
    house.write(&plan);
    let mut house = house;
    house.restart().await;
    house
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_alone_sends_from_the_mailbox_that_user_id_names_by_address_or_id() {
    let house = app_only().await;
    let nobody = with(microsoft(BILLING, "s"), &json!({ "from": null }));
    let (status, answer) = hand_in(&house, "", JSON, nobody.to_string()).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "nothing says which mailbox: {answer}");
    let id = User::new(ALICE, "Alice").id;
    for (number, (user, mailbox)) in (1..).zip([(BILLING, BILLING), (id.as_str(), ALICE)]) {
        queued(&house, &format!("userId={}", user.replace('@', "%40")), &nobody).await;
        let arrived = house.arrived(number).await.pop().unwrap();
        assert_eq!(arrived.mailbox, mailbox);
        assert!(arrived.object.is_some());
    }
    let (status, answer) = hand_in(&house, "userId=nobody-of-this-id", JSON, nobody.to_string()).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{answer}");
    let (status, answer) = hand_in(&house, "userId=a%40other.example", JSON, nobody.to_string()).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_of_the_recipients_does_not_lead_past_the_mailbox_that_was_named() {
    let tables = "[[route]]\nrecipients = [\"@partner.example\"]\naccount = \"bob\"\n".to_owned();
    let house = House::start(Plan { tables, ..Plan::default() }).await;
    let to = |recipients: &[&str]| {
        let people: Vec<Value> = recipients.iter().map(|to| person(to)).collect();
        with(microsoft(SCANNER, "s"), &json!({ "toRecipients": people }))
    };
    let partner = "x@partner.example";
    let scanner = format!("userId={}", SCANNER.replace('@', "%40"));
    let rows = [
        (scanner.as_str(), to(&[partner]), StatusCode::FORBIDDEN, "550 5.7.1", "a route leads it to another account"),
        ("", to(&[RECIPIENT, partner]), StatusCode::UNPROCESSABLE_ENTITY, "452 4.5.3", "a message of its own"),
    ];
    for (query, object, expected, code, words) in rows {
        let (status, answer) = hand_in(&house, query, JSON, object.to_string()).await;
        assert_eq!((status, &answer["errors"][0]["errcode"]), (expected, &json!(code)), "{answer}");
        assert!(answer["statusText"].as_str().unwrap().contains(words), "{answer}");
    }
    assert_eq!(house.list(Filter::default()).await, []);
}
