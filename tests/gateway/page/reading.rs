//! Who reads, on the page.

use http::StatusCode;

use super::{Desk, tables};
use crate::house::{House, LOGIN, Plan, SCANNER};
use crate::reading::{log_in, plan};

/// A gateway that is read through, with a page.
async fn desk() -> Desk {
    let house = House::start(Plan { tables: tables(""), ..plan() }).await;
    let port = house.control().links.page().unwrap().port().unwrap();
    Desk::of(house, port)
}

#[tokio::test]
async fn open_sessions_are_shown_and_one_is_ended_by_a_form_of_this_page() {
    let desk = desk().await;
    let browser = desk.browser().await;
    assert!(browser.text("/reading").await.contains("Nobody is reading"));
    let (mut client, said) = log_in(&desk.house, LOGIN).await;
    assert_eq!(said, "a OK Logged in");
    let shown = browser.text("/reading").await;
    for words in [SCANNER, "apps from 127.0.0.1", "IMAP", "/accounts/scanner"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let id = desk.control().reading.list()[0].id.clone();
    let place = format!("/reading/{id}/close");
    let foreign = desk.form(&place, &[("csrf", "x")]).header("cookie", &browser.cookie).send().await.unwrap();
    assert_eq!(foreign.status(), StatusCode::FORBIDDEN);
    client.send("b NOOP\r\n").await;
    assert!(client.line().await.unwrap().starts_with("b OK"), "it goes on");
    assert_eq!(browser.send(&place, &[]).await.headers()["location"], "/reading");
    assert!(client.is_closed().await);
    let later = browser.text("/reading").await;
    assert!(later.contains("the session is ended"), "{later}");
    while !desk.control().reading.list().is_empty() {
        tokio::task::yield_now().await;
    }
    browser.send(&place, &[]).await;
    assert!(browser.text("/reading").await.contains("had ended already"));
}

#[tokio::test]
async fn what_to_type_into_a_program_that_reads_stands_beside_what_sends() {
    let desk = desk().await;
    let browser = desk.browser().await;
    let shown = browser.text("/").await;
    for words in ["SMTP server", "IMAP server", "POP3 server", "or the address of the mailbox that is meant"] {
        assert!(shown.contains(words), "{words}");
    }
    assert_eq!(shown.matches("<h3>apps</h3>").count(), 3, "once at each port");
}

#[tokio::test]
async fn a_mailbox_is_tried_from_its_account() {
    let desk = desk().await;
    let browser = desk.browser().await;
    assert!(browser.text("/accounts/scanner").await.contains("Try to read it"));
    assert_eq!(browser.send("/accounts/scanner/read", &[]).await.headers()["location"], "/accounts/scanner");
    let shown = browser.text("/accounts/scanner").await;
    assert!(shown.contains("IMAP works: 0 messages") && shown.contains("POP3 works"), "{shown}");
    desk.house.tenant.revoke(SCANNER);
    browser.send("/accounts/scanner/read", &[]).await;
    let shown = browser.text("/accounts/scanner").await;
    assert!(shown.contains("IMAP does not work") && shown.contains("oxpost login scanner"), "{shown}");
}
