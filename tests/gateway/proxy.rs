//! A proxy stands before a listener: the client it names is the one that counts.

use oxpost::mail::Event;

use crate::client::Client;
use crate::house::{House, LOGIN, Plan, RECIPIENT, SCANNER, letter, login_client, network_client};

/// Where the proxy connects from.
const PROXY: &str = "127.0.0.5";
/// The printer behind it.
const PRINTER: &str = "203.0.113.9";

/// HAProxy's `send-proxy-v2` for a client of IPv4.
fn version_2(client: [u8; 4]) -> Vec<u8> {
    let head = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".as_slice();
    [head, &client, &[127, 0, 0, 1], &[0xd4, 0x31, 0, 25]].concat()
}

fn version_1(client: &str) -> Vec<u8> {
    format!("PROXY TCP4 {client} 127.0.0.1 54321 25\r\n").into_bytes()
}

async fn house(listener: &str) -> House {
    let clients = network_client("rewrite").replace("127.0.0.1/32", PRINTER) + &login_client();
    let listeners = vec![format!("proxy_from = [\"{PROXY}\"]\n{listener}")];
    House::start(Plan { listeners, clients, ..Plan::default() }).await
}

async fn through(house: &House, header: impl AsRef<[u8]>) -> Client {
    let mut client = Client::connect_from(PROXY, house.listener(0)).await;
    client.send(header).await;
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_behind_a_proxy_is_let_in_and_named_everywhere() {
    let house = house("tls = \"none\"").await;
    for header in [version_1(PRINTER), version_2([203, 0, 113, 9])] {
        let mut client = through(&house, &header).await.greeted().await;
        let reply = client.hand_in(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, "scan")).await;
        assert!(reply.starts_with("250"), "{reply}");
    }
    for mail in house.arrived(2).await {
        let text = String::from_utf8_lossy(&mail.raw).into_owned();
        assert!(text.contains(&format!("([{PRINTER}])")), "Received names the printer: {text}");
    }
    let accepted = |event: &Event| matches!(event, Event::Accepted { peer: Some(peer), client, .. } if peer.to_string() == PRINTER && client == "printers");
    assert_eq!(house.events.count(accepted), 2);
    let mut stranger = through(&house, version_1("198.51.100.7")).await;
    let greeting = stranger.reply().await;
    assert!(greeting.starts_with("220"), "a stranger may log in: {greeting}");
    let refused = stranger.hand_in(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, "scan")).await;
    assert!(refused.starts_with('5'), "the proxy's own address lets nobody in: {refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_begins_behind_the_header_as_the_listener_says() {
    for tls in ["implicit", "auto", "starttls"] {
        let house = house(&format!("tls = \"{tls}\"\nauto_wait = \"5 s\"")).await;
        let client = through(&house, version_2([203, 0, 113, 9])).await;
        let mut client = match tls {
            "starttls" => client.greeted().await.starttls(&house.ca()).await,
            _ => client.tls(&house.ca()).await.greeted().await,
        };
        assert!(client.say("EHLO printer").await.starts_with("250"), "{tls}");
        let reply = client.hand_in(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, "scan")).await;
        assert!(reply.starts_with("250"), "{tls}: {reply}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_can_say_who_they_are() {
    let house = house("tls = \"none\"").await;
    for header in [version_1(PRINTER), version_2([203, 0, 113, 9])] {
        let mut spoofer = Client::connect_from("127.0.0.6", house.listener(0)).await;
        spoofer.send(&header).await;
        assert!(spoofer.reply().await.starts_with("220"), "greeted as anybody");
        assert_eq!(spoofer.line().await, None, "and cut off at the header");
    }
    // Nor can the proxy be left out, or a second header be slipped in behind the first one.
    let mut without = through(&house, "EHLO printer\r\n").await;
    assert_eq!(without.line().await, None, "a connection from the proxy says for whom");
    let mut twice = through(&house, [version_1("198.51.100.7"), version_1(PRINTER)].concat()).await;
    assert!(twice.reply().await.starts_with("220"));
    assert_eq!(twice.line().await, None);
    assert_eq!(house.events.count(|event| matches!(event, Event::Accepted { .. })), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_guesses_count_for_the_client_and_not_for_the_proxy() {
    let house = house("tls = \"none\"\nallow_clear_auth = true\nmax_sessions_per_address = 1").await;
    let _first = through(&house, version_1(PRINTER)).await.greeted().await;
    let mut second = through(&house, version_1(PRINTER)).await;
    assert!(second.reply().await.starts_with("421"), "the printer has its session");
    let mut other = through(&house, version_1("198.51.100.7")).await.greeted().await;
    assert!(other.log_in(LOGIN, "wrong").await.starts_with("535"));
    let guessed_by = |event: &Event| {
        if let Event::LoginRefused { peer: Some(peer), .. } = event { Some(peer.to_string()) } else { None }
    };
    assert_eq!(house.events.first("a refused login", guessed_by).await, "198.51.100.7");
    let mut check = through(&house, b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00").await;
    assert!(check.reply().await.starts_with("220"), "the proxy looks whether we are there");
}
