//! The page's port: what a reload changes of it, who asks when a proxy stands before it, and what each key may do.

use super::{Desk, tables};
use crate::house::Plan;

#[tokio::test]
async fn a_reload_leaves_the_port_as_it_is_bound_and_leads_links_to_a_new_public_name() {
    let desk = Desk::open("").await;
    let browser = desk.browser().await;
    let reload = |more: &str| {
        desk.house.write(&Plan { tables: tables(more), ..Plan::default() });
        desk.control().reload.unwrap()()
    };
    let said = reload("tls = true").await.unwrap();
    assert!(said.contains("restart oxpost for: `[admin]`'s address"), "{said}");
    assert!(browser.text("/").await.contains("Overview"), "the socket speaks no TLS yet: the session goes on");
    let link = desk.control().links.make().unwrap();
    assert_eq!(link.origin().ascii_serialization(), desk.origin, "the link must lead to what is served");

    reload("public_url = \"https://mail.contoso.com\"").await.unwrap();
    let link = desk.control().links.make().unwrap();
    assert_eq!(link.origin().ascii_serialization(), "https://mail.contoso.com");
    reload("").await.unwrap();
    assert_eq!(desk.control().links.make().unwrap().origin().ascii_serialization(), desk.origin);
}

#[tokio::test]
async fn a_reload_shows_no_listener_that_is_not_open_yet() {
    let desk = Desk::open("").await;
    let browser = desk.browser().await;
    assert!(!browser.text("/").await.contains("STARTTLS"));
    let listeners = vec!["tls = \"auto\"".to_owned()];
    desk.house.write(&Plan { tables: tables(""), listeners, ..Plan::default() });
    desk.control().reload.unwrap()().await.unwrap();
    assert!(!browser.text("/").await.contains("STARTTLS"), "it waits for a restart");
}
