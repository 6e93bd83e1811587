//! How a listener begins, how many it serves, how it ends.

use oxpost::net::certificate;
use oxpost::queue::Filter;

use crate::client::{Client, HOSTNAME};
use crate::house::{House, LOGIN, PASSWORD, Plan, RECIPIENT, SCANNER, letter, network_client, queue_id};

fn plan(listeners: &[&str]) -> Plan {
    Plan { listeners: listeners.iter().map(|keys| (*keys).to_owned()).collect(), ..Plan::default() }
}

async fn hand_in(client: &mut Client) -> String {
    client.hand_in(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, "door")).await
}

async fn ehlo(client: &mut Client) -> String {
    client.say("EHLO client.example").await
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_begins_as_each_listener_says() {
    let house = House::start(plan(&["tls = \"none\"", "tls = \"starttls\"", "tls = \"implicit\""])).await;
    let mut client = house.client().await;
    assert!(!ehlo(&mut client).await.contains("STARTTLS"));
    assert_eq!(client.say("STARTTLS").await, "454 4.7.0 TLS is not available here");
    assert!(hand_in(&mut client).await.starts_with("250"));

    let mut client = Client::connect(house.listener(1)).await.greeted().await;
    assert!(ehlo(&mut client).await.contains("STARTTLS"));
    let mut client = client.starttls(&house.ca()).await;
    assert!(!ehlo(&mut client).await.contains("STARTTLS"));
    assert!(hand_in(&mut client).await.starts_with("250"));

    let mut client = Client::connect(house.listener(2)).await.tls(&house.ca()).await.greeted().await;
    assert!(hand_in(&mut client).await.starts_with("250"));
    let protocols: Vec<bool> = house
        .arrived(3)
        .await
        .iter()
        .map(|mail| String::from_utf8_lossy(&mail.raw).contains("with ESMTPS id"))
        .collect();
    assert_eq!(protocols.iter().filter(|tls| **tls).count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_port_serves_both_kinds_of_clients() {
    let house = House::start(plan(&["tls = \"auto\"\nauto_wait = \"2 s\""])).await;
    let clear = async || house.client().await;
    let tls = async || Client::connect(house.listener(0)).await.try_tls(&house.ca()).await;
    let mut client = clear().await;
    assert!(ehlo(&mut client).await.contains("STARTTLS"), "in clear, with STARTTLS on offer");
    let mut client = client.starttls(&house.ca()).await;
    assert!(ehlo(&mut client).await.contains("AUTH PLAIN LOGIN"));
    // An address that came in clear is greeted at once, so the first TLS client of it may have to try again.
    let _first = tls().await;
    for round in 0..3 {
        let mut client = tls().await.unwrap_or_else(|error| panic!("round {round}: {error}")).greeted().await;
        assert!(hand_in(&mut client).await.starts_with("250"), "round {round}");
        assert!(hand_in(&mut clear().await).await.starts_with("250"), "round {round}: and in clear again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_are_taken_under_tls_only_unless_the_listener_says_otherwise() {
    let house =
        House::start(plan(&["tls = \"starttls\"", "tls = \"none\"\nallow_clear_auth = true", "tls = \"none\""])).await;
    let stranger = async |listener| Client::connect_from("127.0.0.9", house.listener(listener)).await.greeted().await;
    let mut client = stranger(0).await;
    assert!(!ehlo(&mut client).await.contains("AUTH"));
    assert!(client.log_in(LOGIN, PASSWORD).await.starts_with("538 5.7.11 "));
    let mut client = client.starttls(&house.ca()).await;
    assert!(ehlo(&mut client).await.contains("AUTH PLAIN LOGIN"));
    assert!(client.log_in(LOGIN, PASSWORD).await.starts_with("235"));
    assert!(hand_in(&mut client).await.starts_with("250"));
    assert!(stranger(1).await.log_in(LOGIN, PASSWORD).await.starts_with("235"));
    assert!(stranger(2).await.log_in(LOGIN, PASSWORD).await.starts_with("538"));
    let mail = house.only_one().await;
    assert!(String::from_utf8_lossy(&mail.raw).contains("with ESMTPSA id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_insists_on_a_login_may_use_any_from_its_network_alone() {
    let clients = network_client("rewrite") + "any_login = true\n";
    let listeners = vec!["tls = \"none\"\nallow_clear_auth = true".to_owned()];
    let house = House::start(Plan { listeners, clients, ..Plan::default() }).await;
    let mut client = house.client().await;
    assert!(client.log_in("whatever", "printers make up").await.starts_with("235"));
    assert!(hand_in(&mut client).await.starts_with("250"));
    let mut stranger = Client::connect_from("127.0.0.9", house.listener(0)).await;
    assert!(stranger.reply().await.starts_with("554 5.7.1 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_house_says_so_and_has_room_again_when_somebody_leaves() {
    let clients = network_client("rewrite").replace("127.0.0.1/32", "127.0.0.0/8");
    let listeners = vec!["tls = \"none\"\nmax_sessions = 3\nmax_sessions_per_address = 2".to_owned()];
    let house = House::start(Plan { listeners, clients, ..Plan::default() }).await;
    let from = async |address| Client::connect_from(address, house.listener(0)).await;
    let mut first = from("127.0.0.1").await.greeted().await;
    let _second = from("127.0.0.1").await.greeted().await;
    for round in 0..50 {
        let mut refused = from("127.0.0.1").await;
        assert_eq!(
            refused.replies_to_the_end().await,
            ["421 4.7.0 Too many sessions, try again later"],
            "round {round}"
        );
    }
    let _third = from("127.0.0.2").await.greeted().await;
    assert_eq!(from("127.0.0.3").await.replies_to_the_end().await, ["421 4.7.0 Too many sessions, try again later"]);
    assert!(hand_in(&mut first).await.starts_with("250"), "those inside are served");
    assert_eq!(first.say("QUIT").await, "221 2.0.0 Goodbye");
    assert!(first.is_closed().await);
    loop {
        // The place is given back after the farewell.
        let greeting = from("127.0.0.3").await.reply().await;
        if greeting.starts_with("220") {
            break;
        }
        assert_eq!(greeting, "421 4.7.0 Too many sessions, try again later");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_has_its_limits_and_ends_at_them_in_order() {
    let listeners = vec!["tls = \"none\"\nmax_recipients = 100".to_owned()];
    let house = House::start(Plan { listeners, ..Plan::default() }).await;
    let mut client = house.client().await;
    assert!(client.say(format!("MAIL FROM:<{SCANNER}>")).await.starts_with("250"));
    for number in 0..100 {
        assert!(client.say(format!("RCPT TO:<r{number}@x.example>")).await.starts_with("250"));
    }
    for _ in 0..5 {
        assert!(client.say("RCPT TO:<more@x.example>").await.starts_with("452 4.5.3 "));
    }
    assert!(client.say("DATA").await.starts_with("354"));
    client.send(letter(SCANNER, RECIPIENT, "many") + ".\r\n").await;
    assert!(client.reply().await.starts_with("250"));
    assert_eq!(house.only_one().await.recipients.len(), 100);

    client.send("NONSENSE\r\n".repeat(100)).await;
    let replies = client.replies_to_the_end().await;
    assert_eq!(replies.last().unwrap(), "421 4.7.0 Too many errors in this session");
    assert!(replies.len() <= 21, "{}", replies.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_idle_sessions_lets_messages_end_and_loses_nothing() {
    let mut house = House::new().await;
    let address = house.listener(0);
    let mut idle = house.client().await;
    let mut sending = house.client().await;
    assert!(sending.envelope(SCANNER, &[RECIPIENT]).await.starts_with("354"));
    let content = letter(SCANNER, RECIPIENT, "under way");
    let (half, rest) = content.split_at(content.len() / 2);
    sending.send(half).await;

    let stopping = tokio::spawn(house.take_gateway().stop());
    assert_eq!(idle.reply().await, "421 4.3.2 This server is stopping, try again in a minute");
    assert!(idle.is_closed().await);
    sending.send(format!("{rest}.\r\n")).await;
    let id = queue_id(&sending.reply().await);
    assert!(sending.replies_to_the_end().await.iter().all(|reply| reply.starts_with("421 4.3.2 ")));
    stopping.await.unwrap();
    // A program that another test starts has the socket, too, until it becomes itself.
    house.until(|| std::net::TcpStream::connect(address).is_err()).await;
    house.open().await.unwrap();
    house.relayed(id).await;
    assert!(house.only_one().await.raw.ends_with(content.as_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_serves_changed_certificates_and_keeps_the_old_ones_when_they_are_broken() {
    let house = House::start(plan(&["tls = \"starttls\""])).await;
    let reload = house.control().reload.unwrap();
    let certs = house.path("data/certs");
    let other = tempfile::tempdir().unwrap();
    certificate::make_missing(other.path(), &[HOSTNAME.to_owned()], house.clock.now()).unwrap();
    let mut open = house.client().await.starttls(&house.ca()).await;

    for name in ["ecdsa.pem", "ecdsa.key", "rsa.pem", "rsa.key"] {
        std::fs::copy(other.path().join(name), certs.join(name)).unwrap();
    }
    let said = reload().await.unwrap();
    assert!(said.contains("certificate files are in use"), "{said}");
    house.client().await.starttls(&other.path().join("ca.pem")).await;
    assert!(ehlo(&mut open).await.starts_with("250"), "sessions that were open stay open");

    std::fs::write(certs.join("rsa.pem"), "cut short").unwrap();
    let refusal = reload().await.unwrap_err();
    assert!(refusal.contains("rsa.pem"), "{refusal}");
    house.client().await.starttls(&other.path().join("ca.pem")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_browser_is_shown_the_door_at_its_first_line() {
    let house = House::start(plan(&["tls = \"starttls\"", "tls = \"implicit\""])).await;
    let hidden = format!("EHLO x\r\nMAIL FROM:<{SCANNER}>\r\nRCPT TO:<{RECIPIENT}>\r\nDATA\r\n\r\nevil\r\n.\r\n");
    for line in ["POST / HTTP/1.1", "GET /?x HTTP/1.0", "PUT /x HTTP/1.1", "CONNECT mx:25 HTTP/1.1", "PRI * HTTP/2.0"] {
        for under_tls in [false, true] {
            let client = Client::connect(house.listener(usize::from(under_tls))).await;
            let mut client = if under_tls { client.tls(&house.ca()).await } else { client };
            assert!(client.reply().await.starts_with("220"));
            client.send(format!("{line}\r\nHost: mx.example:25\r\nContent-Length: 99\r\n\r\n{hidden}")).await;
            let replies = client.replies_to_the_end().await;
            assert_eq!(replies, ["554 5.7.0 This is a mail server, it does not speak HTTP"], "{line}");
        }
    }
    assert!(house.list(Filter { all: true, ..Filter::default() }).await.is_empty());
}
