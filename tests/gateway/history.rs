//! What became of a message, found by whatever somebody remembers of it.

use http::StatusCode;
use serde_json::Value;

use crate::house::{House, RECIPIENT, SCANNER, letter};

async fn found(house: &House, query: &str) -> Vec<Value> {
    let (status, answer) = house.get(&format!("/api/v1/history?{query}")).await;
    assert_eq!(status, StatusCode::OK, "{query}: {answer}");
    serde_json::from_str::<Value>(&answer).unwrap()["messages"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_found_by_id_message_id_address_client_and_day() {
    let house = House::new().await;
    let id = house.send(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, "found")).await;
    house.relayed(id).await;
    let today = house.clock.now().to_string()[..10].to_owned();
    let table = [
        (format!("search={id}"), 1, "its queue id"),
        ("search=1@client.example".to_owned(), 1, "its Message-ID"),
        (format!("search={RECIPIENT}"), 1, "a recipient"),
        (format!("search={SCANNER}"), 1, "its reverse path"),
        ("client=printers".to_owned(), 1, "who handed it in"),
        (format!("day={today}"), 1, "when"),
        (format!("day={today}&client=printers&account=scanner&search=carol&state=relayed"), 1, "all of it"),
        ("client=apps".to_owned(), 0, "another client"),
        ("day=2001-01-01".to_owned(), 0, "another day"),
        ("search=nobody@x.example".to_owned(), 0, "somebody else"),
        ("state=failed".to_owned(), 0, "another end"),
    ];
    for (query, count, why) in table {
        let messages = found(&house, &query).await;
        assert_eq!(messages.len(), count, "{why}");
        for message in messages {
            assert_eq!(message["client"], "printers", "{why}");
            assert_eq!(message["recipients"][0]["state"], "relayed", "{why}");
            let attempt = &message["attempts"][0];
            assert!(attempt["ended_at"].as_i64() >= attempt["started_at"].as_i64(), "{why}: how long it took");
        }
    }
    for wrong in ["day=yesterday", "state=gone", "limit=many", "colour=red"] {
        assert_eq!(house.get(&format!("/api/v1/history?{wrong}")).await.0, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_read_page_by_page_and_ends() {
    let house = House::new().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(house.send(SCANNER, &[RECIPIENT], letter(SCANNER, RECIPIENT, &number.to_string())).await.to_string());
    }
    ids.reverse();
    let (mut read, mut before) = (Vec::new(), String::new());
    loop {
        let page = found(&house, &format!("limit=2{before}")).await;
        let Some(last) = page.last() else { break };
        before = format!("&before={}", last["summary"]["id"].as_str().unwrap());
        read.extend(page.iter().map(|message| message["summary"]["id"].as_str().unwrap().replace('-', "")));
    }
    assert_eq!(read, ids, "each once, newest first");
}
