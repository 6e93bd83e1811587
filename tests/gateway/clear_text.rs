//! Before and behind STARTTLS: nothing that came in clear has any effect under TLS.

use crate::client::Client;
use crate::house::{House, LOGIN, PASSWORD, Plan, RECIPIENT, SCANNER, letter};

async fn house(keys: &str) -> House {
    House::start(Plan { listeners: vec![format!("tls = \"starttls\"\n{keys}")], ..Plan::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_in_clear_behind_starttls_is_gone() {
    let house = house("").await;
    // What is sent in one piece with STARTTLS, what is said first under TLS, and its one reply.
    let rows = [
        ("RSET\r\n", "NOOP\r\n", "250 2.0.0 OK", "a command"),
        (
            "EHLO evil\r\nMAIL FROM:<scanner@practice.example>\r\n",
            "RCPT TO:<a@b.example>\r\n",
            "503 5.5.1 Say EHLO or HELO first",
            "a transaction",
        ),
        ("NO", "OP\r\n", "500 5.5.1 Unknown command", "the first half of a command"),
        (
            "AUTH PLAIN ",
            "AGFwcAB0cjB1YjRkb3I=\r\n",
            "500 5.5.1 Unknown command",
            "what the password would be stolen with",
        ),
        ("\r\n", "NOOP\r\n", "250 2.0.0 OK", "an empty line"),
    ];
    for (behind, first, reply, why) in rows {
        let mut client = house.client().await;
        client.send(format!("STARTTLS\r\n{behind}")).await;
        assert_eq!(client.reply().await, "220 2.0.0 Ready to start TLS", "{why}");
        let mut client = client.tls(&house.ca()).await;
        client.send(format!("{first}QUIT\r\n")).await;
        let replies = client.replies_to_the_end().await;
        assert_eq!(replies, [reply, "221 2.0.0 Goodbye"], "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_remembered_across_starttls() {
    let house = house("allow_clear_auth = true").await;
    let mut client = house.client().await;
    assert!(client.say(format!("MAIL FROM:<{SCANNER}>")).await.starts_with("250"));
    let mut client = client.starttls(&house.ca()).await;
    assert_eq!(client.say(format!("RCPT TO:<{RECIPIENT}>")).await, "503 5.5.1 Say EHLO or HELO first");
    assert!(client.say("EHLO client.example").await.contains("AUTH PLAIN LOGIN"));
    assert_eq!(client.say(format!("RCPT TO:<{RECIPIENT}>")).await, "503 5.5.1 MAIL comes first");
    assert_eq!(client.say("STARTTLS").await, "503 5.5.1 TLS is active already");

    let mut stranger = Client::connect_from("127.0.0.9", house.listener(0)).await.greeted().await;
    assert!(stranger.log_in(LOGIN, PASSWORD).await.starts_with("235"));
    assert_eq!(stranger.say("STARTTLS").await, "503 5.5.1 STARTTLS comes before AUTH");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_word_starttls_means_nothing_elsewhere() {
    let house = house("").await;
    let mut client = house.client().await;
    let to = "starttls@elsewhere.example";
    let content = letter(SCANNER, to, "STARTTLS") + "STARTTLS\r\n";
    assert!(client.hand_in(SCANNER, &[to], &content).await.starts_with("250"));
    assert!(client.say("NOOP STARTTLS").await.starts_with("250"), "still in clear");
    assert!(house.only_one().await.raw.ends_with(content.as_bytes()));
}
