//! What a mailbox said later of a message, as people see it. Its words are a stranger's.

use http::StatusCode;
use oxpost::mail::dsn::{BounceAction, BounceReport, Bounced};
use oxpost::queue::{FoundReport, MailboxKey};

use super::Desk;
use crate::house::{RECIPIENT, SCANNER, letter};

const WORDS: &str = "550 <script>alert(1)</script> no such user";

#[tokio::test(flavor = "multi_thread")]
async fn what_bounced_later_is_shown_and_counted_and_nothing_of_it_is_markup() {
    let desk = Desk::open("").await;
    desk.house.sign_in("scanner").await;
    let id = desk.house.send(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, "came back")).await;
    desk.house.relayed(id).await;
    let bounced = Bounced {
        address: RECIPIENT.parse().ok(),
        original: None,
        action: BounceAction::Failed,
        status: None,
        words: WORDS.to_owned(),
    };
    let report =
        BounceReport { about: None, message_ids: vec!["<1@client.example>".to_owned()], recipients: vec![bounced] };
    let found = vec![FoundReport { report, at: desk.house.clock.now() }];
    let key = MailboxKey { provider: "practice".to_owned(), mailbox: SCANNER.to_owned() };
    assert_eq!(desk.control().queue.record_bounces(&key, found, String::new()).await.unwrap(), 1);

    let browser = desk.browser().await;
    let page = async |path: &str| {
        let answer = desk.get(path).header("cookie", &browser.cookie).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let text = answer.text().await.unwrap();
        assert!(!text.contains("<script>alert"), "{path}: {text}");
        text
    };
    let list = page("/messages?state=bounced").await;
    assert!(list.contains(RECIPIENT) && list.contains("did not reach"), "{list}");
    assert!(page("/messages?state=failed").await.contains("No message is like that"));
    let shown = page(&format!("/messages/{id}")).await;
    assert!(shown.contains("bounced") && shown.contains("no such user"), "{shown}");
    assert!(page("/events").await.contains("no such user"));
    let figures = desk.get("/metrics").send().await.unwrap().text().await.unwrap();
    assert!(figures.contains("oxpost_recipients_bounced_total{account=\"scanner\",action=\"failed\"} 1"), "{figures}");
}
