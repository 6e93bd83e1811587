//! Who may send: the right comes from network or login, never from what a client says of itself.

use crate::client::Client;
use crate::house::{House, LOGIN, PASSWORD, Plan, RECIPIENT, SCANNER, letter, login_client, network_client};

/// An address that is in no client's network.
const STRANGER: &str = "127.0.0.9";

/// What MAIL and RCPT say, and what is said before them.
const FORMS: [(&str, &str, &str, &str); 34] = [
    ("", "<a@x.example>", "<victim@x.example>", "plainly"),
    ("", "<>", "<victim@x.example>", "the null reverse path"),
    ("", "<scanner@practice.example>", "<victim@x.example>", "a mailbox of ours as sender"),
    ("", "<scanner@[127.0.0.1]>", "<victim@x.example>", "an address literal as sender"),
    ("", "<root@localhost>", "<victim@x.example>", "the local user"),
    ("", "<a@mx.example>", "<victim@x.example>", "our own name as sender's domain"),
    ("", "<postmaster>", "<victim@x.example>", "no domain"),
    ("", "a@x.example", "victim@x.example", "no brackets"),
    ("", "<a@x.example>", "<victim%x.example@mx.example>", "a percent hack"),
    ("", "<a@x.example>", "<victim%x.example@[127.0.0.1]>", "a percent hack over a literal"),
    ("", "<a@x.example>", "<victim%x.example>", "a percent hack without a domain"),
    ("", "<a@x.example>", "<\"victim@x.example\">", "a quoted address"),
    ("", "<a@x.example>", "<\"victim%x.example\">", "a quoted percent hack"),
    ("", "<a@x.example>", "<\"victim@x.example\"@mx.example>", "a quoted address with our domain"),
    ("", "<a@x.example>", "<victim@x.example@mx.example>", "two at signs"),
    ("", "<a@x.example>", "<@mx.example:victim@x.example>", "a source route"),
    ("", "<a@x.example>", "<@[127.0.0.1]:victim@x.example>", "a source route over a literal"),
    ("", "<a@x.example>", "<@mx.example,@y.example:victim@x.example>", "a longer source route"),
    ("", "<a@x.example>", "<x.example!victim>", "a bang path"),
    ("", "<a@x.example>", "<x.example!victim@mx.example>", "a bang path with our domain"),
    ("", "<a@x.example>", "<x.example!victim@[127.0.0.1]>", "a bang path over a literal"),
    ("", "<a@x.example>", "<victim@x.example><a@mx.example>", "two paths"),
    ("", "<a@x.example>", "<a@mx.example>,<victim@x.example>", "a list"),
    ("", "<a@x.example>", "<victim@x.example.>", "a trailing dot"),
    ("", "<a@x.example>", "<victim@x.example\n>", "an LF inside"),
    ("", "<a@x.example>", "<a@mx.example>\nRCPT TO:<victim@x.example>", "a second command behind an LF"),
    ("", "<a@x.example>", "<a@mx.example>\rRCPT TO:<victim@x.example>", "a second command behind a CR"),
    ("", "<a@x.example>", "<a@mx.example> ORCPT=rfc822;victim@x.example", "another original recipient"),
    ("", "<a@x.example> AUTH=<scanner@practice.example>", "<victim@x.example>", "somebody else's AUTH"),
    ("", "<a@x.example> XOORG=practice.example", "<victim@x.example>", "an unknown parameter"),
    ("XCLIENT ADDR=127.0.0.1 LOGIN=app\r\n", "<a@x.example>", "<victim@x.example>", "XCLIENT"),
    ("XFORWARD ADDR=127.0.0.1\r\n", "<a@x.example>", "<victim@x.example>", "XFORWARD"),
    ("PROXY TCP4 127.0.0.1 127.0.0.1 1 25\r\n", "<a@x.example>", "<victim@x.example>", "a line of the PROXY protocol"),
    ("EHLO [127.0.0.1]\r\nHELO localhost\r\n", "<a@x.example>", "<victim@x.example>", "the name of somebody trusted"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_relays_nothing_in_any_form() {
    let house = House::new().await;
    for (before, sender, recipient, why) in FORMS {
        let mut client = Client::connect_from(STRANGER, house.listener(0)).await.greeted().await;
        client.send(format!("{before}MAIL FROM:{sender}\r\nRCPT TO:{recipient}\r\n")).await;
        client.send("RCPT TO:<victim@x.example>\r\nNOOP\r\nDATA\r\n").await;
        client.send("QUIT\r\n").await;
        let replies = client.replies_to_the_end().await;
        let allowed = |reply: &String| {
            ["250 2.0.0 OK", "221 2.0.0 Goodbye"].contains(&reply.as_str())
                || reply.starts_with("250 mx.example")
                || reply.starts_with("250-mx.example")
        };
        let said: Vec<_> = replies.iter().filter(|reply| !allowed(reply)).collect();
        assert!(said.iter().all(|reply| reply.starts_with('5')), "{why}: {said:#?}");
        assert!(said.len() >= 3, "{why}: MAIL, RCPT and DATA are each refused: {said:#?}");
    }
    assert_eq!(house.tenant.mail_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_logs_in_a_stranger_is_turned_away_at_the_door() {
    let house = House::start(Plan { clients: network_client("rewrite"), ..Plan::default() }).await;
    let mut client = Client::connect_from(STRANGER, house.listener(0)).await;
    let greeting = client.reply().await;
    assert!(greeting.starts_with("554 5.7.1 127.0.0.9 is in no client's network"), "{greeting}");
    assert!(client.is_closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_sounding_sender_gives_no_right() {
    let house = House::new().await;
    for (hello, sender, why) in [
        ("mx.example", "scanner@practice.example", "an account's own mailbox"),
        ("practice.example", "noreply@practice.example", "an address of our domain"),
        ("localhost", "", "the null reverse path"),
        ("[127.0.0.1]", "root@mx.example", "our own name"),
        ("printers", "printers@localhost", "the name of a client"),
        ("app", "app@practice.example", "a login as local part"),
    ] {
        let mut client = Client::connect_from(STRANGER, house.listener(0)).await;
        client.reply().await;
        assert!(client.say(format!("EHLO {hello}")).await.starts_with("250"));
        let reply = client.say(format!("MAIL FROM:<{sender}>")).await;
        assert!(reply.starts_with("530 5.7.0 "), "{why}: {reply}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_gives_the_rights_of_its_own_client_alone() {
    let listeners = vec!["tls = \"none\"\nallow_clear_auth = true".to_owned()];
    let clients = login_client() + &network_client("rewrite");
    let house = House::start(Plan { listeners, clients, ..Plan::default() }).await;
    let mut client = Client::connect_from(STRANGER, house.listener(0)).await.greeted().await;
    assert!(client.log_in(LOGIN, PASSWORD).await.starts_with("235"), "from outside every network");
    let bob = "bob@practice.example";
    assert!(client.hand_in(bob, &[RECIPIENT], letter(bob, RECIPIENT, "as another")).await.starts_with("250"));
    let mail = house.only_one().await;
    assert_eq!(
        (mail.mailbox.as_str(), mail.reverse_path.as_deref()),
        (SCANNER, Some(SCANNER)),
        "its account, its sender"
    );
    assert!(String::from_utf8_lossy(&mail.raw).contains("with ESMTPA id"));
}
