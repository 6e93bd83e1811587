//! Wrong clients, each of which must be caught, and right ones, which must not.

mod client;
mod graph;
mod identity;
mod inbox;
mod smtp;

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use self::client::{MAIL, access_token, http, send_mail, tenant, tls};
use super::{PracticeError, Settings, Tenant};

#[tokio::test]
async fn it_refuses_to_be_reachable_by_others() {
    let everywhere = SocketAddr::from(([0, 0, 0, 0], 0));
    for settings in
        [Settings { http: everywhere, ..Settings::default() }, Settings { smtp: everywhere, ..Settings::default() }]
    {
        assert!(matches!(Tenant::start(settings).await, Err(PracticeError::NotLoopback(_))));
    }
}

#[tokio::test]
async fn the_page_escapes_what_came_by_mail_and_allows_nothing_inline() {
    let (tenant, _) = tenant().await;
    let token = access_token(&tenant, client::GRAPH).await;
    let mime = MAIL.replace("Subject: Scan", "Subject: <script>alert(1)</script>");
    assert_eq!(send_mail(&tenant, &token, &mime).await.status, 202);
    let page = http(&tenant.page_url(), "GET ", b"").await.unwrap();
    assert!(page.body.contains("&#60;script&#62;alert(1)") && !page.body.contains("<script>"), "{}", page.body);
    assert!(page.head.contains("content-security-policy: default-src 'none'"), "{}", page.head);
    assert!(page.body.contains("alice@practice.example") && page.body.contains("Nothing: every request"));
    let raw = http(&tenant.page_url().join("mail/1").unwrap(), "GET ", b"").await.unwrap();
    assert!(raw.head.contains("text/plain") && raw.body.ends_with(&mime), "{raw:?}");
}

#[tokio::test]
async fn the_http_side_speaks_tls_on_the_same_port() {
    let (tenant, _) = tenant().await;
    let address = tenant.https_origin().socket_addrs(|| None).unwrap()[0];
    let tcp = TcpStream::connect(address).await.unwrap();
    let mut stream = tls(&tenant).connect("127.0.0.1".try_into().unwrap(), tcp).await.unwrap();
    stream.write_all(b"GET /practice.css HTTP/1.1\r\nHost: practice\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn stopping_ends_sessions_that_hang() {
    let (tenant, _) = tenant().await;
    let hang = super::Fault::Greeting(super::GreetingFault::Hang);
    tenant.switches().inject(super::Rule::once(hang));
    let mut smtp = client::Smtp::connect(tenant.smtp_addr()).await;
    tenant.stop().await;
    assert_eq!(smtp.reply().await, "");
}
