//! Guessing passwords, and what can be hidden in an answer to AUTH.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::client::Client;
use crate::house::{House, LOGIN, PASSWORD, Plan};

async fn house() -> House {
    let listeners = vec!["tls = \"none\"\nallow_clear_auth = true".to_owned()];
    House::not_signed_in(Plan { listeners, ..Plan::default() }).await
}

async fn client(house: &House, from: &str) -> Client {
    Client::connect_from(from, house.listener(0)).await.greeted().await
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_slow_tells_nothing_and_shuts_nobody_else_out() {
    let house = house().await;
    let guess = async |login: &'static str| {
        let mut replies = Vec::new();
        let mut session = client(&house, "127.0.0.66").await;
        for number in 0..15 {
            replies.push(session.log_in(login, &format!("guess {number}")).await);
        }
        replies
    };
    let (a, b, c, d) = tokio::join!(guess(LOGIN), guess("nobody"), guess(LOGIN), guess("root"));
    let (e, f, g, h) = tokio::join!(guess(LOGIN), guess("nobody"), guess(LOGIN), guess("admin"));
    let replies = [a, b, c, d, e, f, g, h].concat();
    let checked = replies.iter().filter(|reply| **reply == "535 5.7.8 Login or password is wrong").count();
    let put_off = replies.iter().filter(|reply| reply.starts_with("454 4.7.0 ")).count();
    assert_eq!(checked + put_off, 120, "the same words for known and unknown names: {replies:?}");
    assert!((40..=60).contains(&checked), "at most 60 guesses within the minute in which the clock stands: {checked}");

    let mut from_elsewhere = client(&house, "127.0.0.67").await;
    assert!(from_elsewhere.log_in(LOGIN, PASSWORD).await.starts_with("235"), "the right one works at once");
    house.clock.advance(Duration::from_secs(61));
    let mut later = client(&house, "127.0.0.66").await;
    assert!(later.log_in(LOGIN, PASSWORD).await.starts_with("235"), "and from there after a minute");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_name_takes_as_long_as_a_wrong_password() {
    let house = house().await;
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    let mut session = client(&house, "127.0.0.68").await;
    for number in 0..9 {
        for (login, times) in [(LOGIN, &mut known), ("nobody", &mut unknown)] {
            let start = Instant::now();
            assert!(session.log_in(login, &format!("wrong {number}")).await.starts_with("535"));
            times.push(start.elapsed());
        }
    }
    known.sort();
    unknown.sort();
    // The quickest: a busy machine makes the others longer.
    let gap = known[0].abs_diff(unknown[0]);
    assert!(gap < Duration::from_millis(100), "{:?} and {:?}", known[0], unknown[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_auth_hides_nothing() {
    let house = house().await;
    let rows: [(&[u8], &str); 14] = [
        (b"\0app\tadmin\0tr0ub4dor", "a tab in the login (CVE-2026-33603)"),
        (b"\0app\0tr0ub4dor\x01auth=Bearer z\x01", "control-A, which separates the fields of XOAUTH2"),
        (b"\0u\x01auth=Bearer z\x01\0p", "control-A in the login"),
        (b"\0app\r\n\0tr0ub4dor", "CRLF in the login"),
        (b"\0app\0tr0ub4dor\r\nMAIL FROM:<a@b.example>", "CRLF in the password"),
        (b"\0app\0tr0ub4dor\0", "a NUL behind the password"),
        (b"\0\0app\0tr0ub4dor", "a NUL too many"),
        (b"app\0tr0ub4dor", "a NUL too few"),
        (b"admin\0app\0tr0ub4dor", "acting for another"),
        (b"scanner@practice.example\0app\0tr0ub4dor", "acting for a mailbox"),
        (b"\0APP\0tr0ub4dor", "another case"),
        (b"\0app \0tr0ub4dor", "a blank behind the login"),
        (b"\0\xff\xfe\0tr0ub4dor", "no text"),
        (b"", "nothing"),
    ];
    for (blob, why) in rows {
        let mut client = client(&house, "127.0.0.69").await;
        let reply = client.say(format!("AUTH PLAIN {}", STANDARD.encode(blob))).await;
        // Nothing at all is a request for the challenge.
        let reply = if reply.starts_with("334") { client.say("=").await } else { reply };
        assert!(reply.starts_with("535 5.7.8 ") || reply.starts_with("501 5."), "{why}: {reply}");
        assert_eq!(client.say("MAIL FROM:<scanner@practice.example>").await[..3], *"530", "{why}");
        house.clock.advance(Duration::from_secs(61));
    }
    let mut own_name = client(&house, "127.0.0.69").await;
    let blob = STANDARD.encode(b"app\0app\0tr0ub4dor");
    assert!(own_name.say(format!("AUTH PLAIN {blob}")).await.starts_with("235"), "acting for oneself is nothing");

    let mut flood = client(&house, "127.0.0.69").await;
    assert!(flood.say(format!("AUTH PLAIN {}", "A".repeat(1_000_000))).await.starts_with("500 5.5."));
    assert!(flood.say("NOOP").await.starts_with("250"));
    let mut login = client(&house, "127.0.0.69").await;
    assert!(login.say("auth login").await.starts_with("334 VXNlcm5hbWU6"));
    assert!(login.say("A".repeat(1_000_000)).await.starts_with("500 5.5.6 "));
    assert_eq!(house.tenant.findings(), [], "no token was asked for on behalf of any of them");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_mechanisms_take_the_right_password_and_no_other() {
    let house = house().await;
    let encode = |text: &str| STANDARD.encode(text);
    let plain = |password: &str| encode(&format!("\0{LOGIN}\0{password}"));
    for (password, code, why) in
        [(PASSWORD, "235", "right"), ("tr0ub4dor ", "535", "a blank too many"), ("", "535", "empty")]
    {
        let rows: [(&str, Vec<String>); 4] = [
            ("PLAIN at once", vec![format!("AUTH PLAIN {}", plain(password))]),
            ("PLAIN when asked", vec!["AUTH PLAIN".to_owned(), plain(password)]),
            ("LOGIN when asked", vec!["auth login".to_owned(), encode(LOGIN), encode(password)]),
            ("LOGIN, the name at once", vec![format!("AUTH LOGIN {}", encode(LOGIN)), encode(password)]),
        ];
        for (form, lines) in rows {
            let mut client = client(&house, "127.0.0.70").await;
            let mut reply = String::new();
            for line in lines {
                reply = client.say(line).await;
            }
            assert!(
                reply.starts_with(code) || (password.is_empty() && reply.starts_with("501")),
                "{form}, {why}: {reply}"
            );
        }
        house.clock.advance(Duration::from_secs(61));
    }
}
