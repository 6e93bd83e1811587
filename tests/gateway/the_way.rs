//! From a client to the provider: who receives it, and what arrives.

use oxpost::practice::Via;
use oxpost::queue::{Filter, State};

use crate::house::{ALICE, BILLING, BOB, House, Plan, RECIPIENT, SCANNER, letter, network_client};

const VICTIM: &str = "dave@elsewhere.example";

#[tokio::test(flavor = "multi_thread")]
async fn a_message_arrives_by_smtp_and_by_graph() {
    let house = House::new().await;
    for (from, via) in [(SCANNER, Via::Smtp), (BILLING, Via::Graph)] {
        let content = letter(from, RECIPIENT, "scan");
        let before = house.tenant.mail_count();
        let id = house.send(from, &[RECIPIENT], &content).await;
        let mail = house.arrived(before + 1).await.pop().unwrap();
        assert_eq!((mail.via, mail.mailbox.as_str()), (via, from));
        assert_eq!(mail.recipients, [RECIPIENT]);
        assert!(mail.raw.ends_with(content.as_bytes()), "{via}: what the client sent is the end of what arrives");
        let prefix = &mail.raw[..mail.raw.len() - content.len()];
        assert!(prefix.starts_with(b"Received: from client.example ([127.0.0.1])\r\n\tby mx.example with ESMTP id "));
        house.relayed(id).await;
        assert_eq!(house.show(id).await.summary.state, State::Relayed);
    }
    assert_eq!(house.tenant.findings(), []);
    assert!(house.list(Filter::default()).await.is_empty());
}
