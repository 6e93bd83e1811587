//! Clients that drip: they are shed, and the others are served.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::{Client, PATIENCE};
use crate::house::{House, Plan, RECIPIENT, SCANNER, letter, network_client};

/// How a slow client keeps its session open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Drip {
    /// Says nothing at all.
    Idle,
    /// A command, octet by octet, without an end.
    Command,
    /// Content, octet by octet, without an end.
    Content,
    /// The first octets of a TLS hello.
    Hello,
}

/// Drips until it is shed; returns how many octets it got rid of.
async fn drip(mut client: Client, kind: Drip) -> usize {
    match kind {
        Drip::Idle => return client.replies_to_the_end().await.len(),
        Drip::Command => client = client.greeted().await,
        Drip::Content => {
            client = client.greeted().await;
            assert!(client.envelope(SCANNER, &[RECIPIENT]).await.starts_with("354"));
        }
        Drip::Hello => {
            client = client.greeted().await;
            assert!(client.say("STARTTLS").await.starts_with("220"));
        }
    }
    let mut octets = b"\x16\x03\x01\x02\x00\x01\x00".iter().copied().chain(std::iter::repeat(b'x'));
    let skipped = if kind == Drip::Hello { 0 } else { 7 };
    let mut sent = 0;
    for octet in octets.by_ref().skip(skipped) {
        let broken = client.try_send([octet]).await.is_err();
        // The pause between two drops is what this client is about.
        if broken || client.line_within(Duration::from_millis(20)).await.is_some() {
            break;
        }
        sent += 1;
    }
    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_dripping_clients_are_shed_and_a_healthy_one_is_served() {
    let clients = network_client("rewrite").replace("127.0.0.1/32", "127.0.0.0/8");
    let listeners = vec!["tls = \"starttls\"\ncommand_timeout = \"3s\"".to_owned()];
    let house = House::start(Plan { listeners, clients, ..Plan::default() }).await;
    let mut drippers = JoinSet::new();
    for number in 0..100 {
        let kind = [Drip::Idle, Drip::Command, Drip::Content, Drip::Hello][number % 4];
        let address = format!("127.0.0.{}", 2 + number % 4);
        let client = Client::connect_from(&address, house.listener(0)).await;
        drippers.spawn(async move { timeout(PATIENCE, drip(client, kind)).await.map_err(|_| kind) });
    }
    let mut times = Vec::new();
    for _ in 0..20 {
        let start = Instant::now();
        house.send(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, "healthy")).await;
        times.push(start.elapsed());
    }
    times.sort();
    assert!(times[18] < Duration::from_secs(2), "the healthy client's times: {times:?}");
    house.arrived(20).await;
    while let Some(shed) = drippers.join_next().await {
        shed.unwrap().unwrap_or_else(|kind| panic!("a client that drips is still there: {kind:?}"));
    }
    assert_eq!(house.tenant.mail_count(), 20, "nothing of what dripped in was taken");
}
