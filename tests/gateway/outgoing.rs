//! Outgoing connections through a proxy: every one of them, and what is said where it does not let us out.

use oxpost::mail::{Event, Failure, QueueId};

use crate::client::Client;
use crate::house::{
    BILLING, House, LOGIN, PASSWORD, Plan, RECIPIENT, SCANNER, account, letter, login_client, network_client,
};
use crate::outside::{self, Kind, Manner, TestProxy};

const IMAP: usize = 1;
const POP3: usize = 2;

/// A gateway that reaches its provider by this proxy alone, with HTTPS where the provider has it; and the file that its
/// password is in.
async fn behind(proxy: &TestProxy) -> (House, tempfile::NamedTempFile) {
    let password = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(password.path(), outside::PASSWORD).unwrap();
    let door = |protocol: &str| format!("protocol = \"{protocol}\"\nallow_clear_auth = true");
    let plan = Plan {
        tables: proxy.table(password.path()),
        accounts: account(SCANNER, r#"["smtp"]"#).trim_end().to_owned()
            + "\nread = [\"imap\", \"pop3\"]\n\n"
            + &account(BILLING, r#"["graph"]"#),
        listeners: vec!["tls = \"none\"".to_owned(), door("imap"), door("pop3")],
        clients: network_client("rewrite").replace(r#", "alice", "bob"]"#, "]") + &login_client(),
        ..Plan::default()
    };
    let mut house = House::not_signed_in(plan).await;
    let (file, https) = (house.path("oxpost.toml"), house.tenant.https_origin());
    let lines = std::fs::read_to_string(&file).unwrap();
    let origin = house.tenant.graph_base().join("/").unwrap();
    let over_tls = |line: &str| match line.split_once(" = ") {
        Some(("token_url" | "graph_url", _)) => line.replace(origin.as_str(), https.as_str()) + "\n",
        _ => format!("{line}\n"),
    };
    std::fs::write(file, lines.lines().map(over_tls).collect::<String>()).unwrap();
    house.restart().await;
    (house, password)
}

async fn send(house: &House, from: &str) -> QueueId {
    house.send(from, &[RECIPIENT], letter(from, RECIPIENT, "out")).await
}

/// Logs in for reading and says how that was answered.
async fn read(house: &House) -> (String, String) {
    let mut imap = Client::connect(house.listener(IMAP)).await;
    imap.line().await.unwrap();
    imap.send(format!("a LOGIN {LOGIN} {PASSWORD}\r\n")).await;
    let mut pop3 = Client::connect(house.listener(POP3)).await;
    pop3.send(format!("USER {LOGIN}\r\nPASS {PASSWORD}\r\n")).await;
    pop3.line().await.unwrap();
    pop3.line().await.unwrap();
    (imap.line().await.unwrap(), pop3.line().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_mail_and_reading_all_go_through_the_proxy() {
    for kind in [Kind::Http, Kind::Socks5] {
        let proxy = TestProxy::start(kind).await;
        let (house, _password) = behind(&proxy).await;
        for account in ["scanner", "billing"] {
            house.sign_in(account).await;
        }
        for mailbox in [SCANNER, BILLING] {
            let id = send(&house, mailbox).await;
            house.relayed(id).await;
        }
        assert_eq!(house.tenant.mail_count(), 2, "{kind:?}");
        let (imap, pop3) = read(&house).await;
        assert!(imap.starts_with("a OK") && pop3.starts_with("+OK"), "{kind:?}: {imap} {pop3}");
        let served = proxy.served();
        let tenant = &house.tenant;
        let web = format!("127.0.0.1:{}", tenant.https_origin().port().unwrap());
        let mail =
            [tenant.smtp_addr(), tenant.imap_addr(), tenant.pop3_addr()].map(|a| format!("localhost:{}", a.port()));
        for server in mail.iter().chain([&web]) {
            assert!(served.contains(server), "{kind:?}: {server} was reached another way: {served:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_lets_nobody_out_is_named_and_mail_waits_for_it() {
    for (kind, status) in [(Kind::Http, 403), (Kind::Http, 407), (Kind::Socks5, 2)] {
        let proxy = TestProxy::start(kind).await;
        let (mut house, _password) = behind(&proxy).await;
        for account in ["scanner", "billing"] {
            house.sign_in(account).await;
        }
        // Connections that are open would go on.
        house.stop().await;
        proxy.set(Manner::Refuses(status));
        house.open().await.unwrap();
        let name = format!("127.0.0.1:{}`", proxy.port);
        for mailbox in [SCANNER, BILLING] {
            let id = send(&house, mailbox).await;
            let failure = house.events.first("it is deferred", |event| deferred(event, id)).await;
            let said = failure.to_string();
            assert!(said.contains("the proxy `") && said.contains(&name), "{kind:?} {status}: {said}");
            assert!(!said.contains(outside::PASSWORD), "{said}");
        }
        let (imap, pop3) = read(&house).await;
        assert!(imap.starts_with("a NO [UNAVAILABLE]") && pop3.starts_with("-ERR [SYS/TEMP]"), "{imap} {pop3}");
        assert_eq!(house.tenant.mail_count(), 0, "nothing found another way out");
        proxy.set(Manner::Serves);
        house.clock.advance(std::time::Duration::from_secs(3_600));
        for mailbox in [SCANNER, BILLING] {
            send(&house, mailbox).await;
        }
        house.arrived(4).await;
    }
}

fn deferred(event: &Event, wanted: QueueId) -> Option<Failure> {
    let Event::Deferred { id, failure, .. } = event else { return None };
    (*id == wanted).then(|| failure.clone())
}
