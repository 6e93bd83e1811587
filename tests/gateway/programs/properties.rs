//! One row for each property of 4D's forms, seen at the other end.

use mail_parser::{Message, MessageParser, MimeHeaders};
use serde_json::{Value, json};

use super::{microsoft, person, queued, with};
use crate::house::{BILLING, House, Plan, RECIPIENT, SCANNER, network_client};

/// The house lets its client say who it is.
async fn house() -> House {
    let clients = network_client("keep");
    let send_as = vec!["office@practice.example".to_owned()];
    House::start(Plan { clients, send_as, ..Plan::default() }).await
}

/// What is seen of a message in MIME.
type Seen = fn(&Message<'_>) -> String;

/// What becomes of a property where a message leaves as MIME.
enum InMime {
    /// This is seen of it.
    Seen(Seen, &'static str),
    /// It is lost, and the program is told so.
    Lost,
}
use InMime::{Lost, Seen as S};

fn header(message: &Message<'_>, name: &str) -> String {
    message.header_raw(name).unwrap_or("(none)").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn file(message: &Message<'_>) -> String {
    let file = message.attachments().next().unwrap();
    let kind = file.content_type().unwrap();
    let place = file.content_disposition().unwrap().ctype();
    format!(
        "{} {}/{} {place} {:?} {:?}",
        file.attachment_name().unwrap(),
        kind.ctype(),
        kind.subtype().unwrap(),
        file.content_id(),
        file.contents()
    )
}

fn addresses(list: Option<&mail_parser::Address<'_>>) -> String {
    let one = |to: &mail_parser::Addr<'_>| format!("{}<{}>", to.name().unwrap_or_default(), to.address().unwrap());
    list.map(|list| list.iter().map(one).collect::<Vec<_>>().join(" ")).unwrap_or_default()
}

/// What `FILE` stands for in the table, and what is seen of it.
const FILE: &str = r##"[{"@odata.type": "#microsoft.graph.fileAttachment", "name": "p.png", "contentType": "image/png",
    "contentBytes": "AQID", "contentId": "p1", "isInline": true, "id": "p1", "size": 3}]"##;
const INLINE: InMime = S(file, "p.png image/png inline Some(\"p1\") [1, 2, 3]");
const RECEIPT: &str = "<scanner@practice.example>";

/// Property, what a program writes, what of it Graph must see in the same place, and what is seen in MIME.
#[rustfmt::skip]
const ROWS: &[(&str, &str, &str, InMime)] = &[
    ("attachments", r#"{"attachments": FILE}"#, "/attachments", INLINE),
    ("attachment", r#"{"attachment": FILE}"#, "/attachment", INLINE),
    ("@odata.type", r#"{"attachments": FILE}"#, "/attachments/0/@odata.type", INLINE),
    ("contentBytes", r#"{"attachments": FILE}"#, "/attachments/0/contentBytes", INLINE),
    ("contentId", r#"{"attachments": FILE}"#, "/attachments/0/contentId", INLINE),
    ("contentType", r#"{"attachments": FILE}"#, "/attachments/0/contentType", INLINE),
    ("id of an attachment", r#"{"attachments": FILE}"#, "/attachments/0/id", INLINE),
    ("isInline", r#"{"attachments": FILE}"#, "/attachments/0/isInline", INLINE),
    ("name", r#"{"attachments": FILE}"#, "/attachments/0/name", INLINE),
    ("size", r#"{"attachments": FILE}"#, "/attachments/0/size", INLINE),
    ("toRecipients", r#"{"toRecipients": [{"emailAddress": {"address": "carol@elsewhere.example", "name": "Carol C\u00e9"}}]}"#, "/toRecipients", S(|m| addresses(m.to()), "Carol C\u{e9}<carol@elsewhere.example>")),
    ("ccRecipients", r#"{"ccRecipients": [{"emailAddress": {"address": "dave@elsewhere.example"}}]}"#, "/ccRecipients", S(|m| addresses(m.cc()), "<dave@elsewhere.example>")),
    ("bccRecipients", r#"{"bccRecipients": [{"emailAddress": {"address": "eve@elsewhere.example"}}]}"#, "/bccRecipients", S(|m| addresses(m.bcc()), "")),
    ("replyTo", r#"{"replyTo": [{"emailAddress": {"address": "r@elsewhere.example"}}]}"#, "/replyTo", S(|m| addresses(m.reply_to()), "<r@elsewhere.example>")),
    ("body, text", r#"{"body": {"content": "a\nb", "contentType": "text"}}"#, "/body", S(|m| m.body_text(0).unwrap().trim_end().to_owned(), "a\r\nb")),
    ("body, html", r#"{"body": {"content": "<b>x</b>", "contentType": "html"}}"#, "/body", S(|m| m.body_html(0).unwrap().trim_end().to_owned(), "<b>x</b>")),
    ("subject", r#"{"subject": "Gr\u00fc\u00dfe"}"#, "/subject", S(|m| m.subject().unwrap().to_owned(), "Gr\u{fc}\u{df}e")),
    ("id", r#"{"id": "AAMk"}"#, "/id", Lost),
    ("importance, low", r#"{"importance": "low"}"#, "/importance", S(|m| header(m, "Importance"), "low")),
    ("importance, normal", r#"{"importance": "normal"}"#, "/importance", S(|m| header(m, "Importance"), "normal")),
    ("importance, high", r#"{"importance": "high"}"#, "/importance", S(|m| header(m, "Importance"), "high")),
    ("flag", r#"{"flag": {"flagStatus": "flagged", "startDateTime": {"dateTime": "2026-11-21T08:00:00", "timeZone": "UTC"}, "dueDateTime": {"dateTime": "2026-11-22T08:00:00", "timeZone": "W. Europe Standard Time"}}}"#, "/flag", Lost),
    ("internetMessageHeaders", r#"{"internetMessageHeaders": [{"name": "X-Order", "value": "4711"}]}"#, "/internetMessageHeaders", S(|m| header(m, "X-Order"), "4711")),
    ("isDeliveryReceiptRequested", r#"{"isDeliveryReceiptRequested": true}"#, "/isDeliveryReceiptRequested", S(|m| header(m, "Return-Receipt-To"), RECEIPT)),
    ("isReadReceiptRequested", r#"{"isReadReceiptRequested": true}"#, "/isReadReceiptRequested", S(|m| header(m, "Disposition-Notification-To"), RECEIPT)),
    ("saveToSentItems", r#"{"saveToSentItems": false}"#, "/saveToSentItems", Lost),
];

fn written(text: &str) -> Value {
    serde_json::from_str(&text.replace("FILE", FILE)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn graph_sees_every_property_of_the_microsoft_object() {
    let house = house().await;
    for (number, (property, text, place, _)) in (1..).zip(ROWS) {
        let write = written(text);
        let (_, answer) = queued(&house, "", &with(microsoft(BILLING, property), &write)).await;
        assert_eq!(answer["notCarried"], json!([]), "{property}");
        let arrived = house.arrived(number).await.pop().unwrap();
        let request = arrived.object.as_ref().unwrap_or_else(|| panic!("{property}: not sent as JSON"));
        let found = match *place {
            "/saveToSentItems" => request.pointer(place),
            "/attachment" => request.pointer("/message/attachments"),
            _ => request["message"].pointer(place),
        };
        assert_eq!(found, write.pointer(place), "{property}: {request:#}");
    }
    assert_eq!(house.tenant.findings(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_of_mime_carries_every_property_or_the_program_is_told() {
    let house = house().await;
    for (number, (property, text, _, mime)) in (1..).zip(ROWS) {
        let (_, answer) = queued(&house, "", &with(microsoft(SCANNER, property), &written(text))).await;
        let arrived = house.arrived(number).await.pop().unwrap();
        assert!(arrived.object.is_none(), "{property}");
        let message = MessageParser::default().parse(&arrived.raw[..]).unwrap();
        match mime {
            Lost => assert_eq!(answer["notCarried"][0]["property"], *property, "{answer:#}"),
            S(see, expected) => {
                assert_eq!(see(&message), *expected, "{property}: {}", String::from_utf8_lossy(&arrived.raw));
                assert_eq!(answer["notCarried"], json!([]), "{property}");
            }
        }
    }
    assert_eq!(house.tenant.findings(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn from_and_sender_may_differ_by_either_way() {
    let house = house().await;
    let office = json!({ "emailAddress": { "address": "office@practice.example", "name": "Office" } });
    // Who sends decides the account; who is shown needs the right, which the scanner's mailbox has.
    for (number, object) in (1..).zip([
        with(microsoft(SCANNER, "s"), &json!({ "from": office, "sender": person(SCANNER) })),
        with(microsoft(SCANNER, "s"), &json!({ "from": person(SCANNER) })),
    ]) {
        queued(&house, "", &object).await;
        let arrived = house.arrived(number).await.pop().unwrap();
        let message = MessageParser::default().parse(&arrived.raw[..]).unwrap();
        let from = object["from"]["emailAddress"]["address"].as_str().unwrap();
        assert!(addresses(message.from()).ends_with(&format!("<{from}>")));
        assert_eq!(addresses(message.sender()).is_empty(), object.get("sender").is_none());
    }
    let by_graph = with(microsoft(BILLING, "s"), &json!({ "sender": person(BILLING) }));
    queued(&house, "", &by_graph).await;
    let arrived = house.arrived(3).await.pop().unwrap();
    let message = &arrived.object.as_ref().unwrap()["message"];
    assert_eq!((&message["from"], &message["sender"]), (&person(BILLING), &person(BILLING)));
}

/// Property of 4D's e-mail object, what a program writes, and what is seen of it.
fn jmap_rows() -> Vec<(&'static str, Value, Seen, &'static str)> {
    let files =
        json!([{ "content": "AQID", "name": "p.png", "cid": "p1", "type": "image/png", "disposition": "inline" }]);
    let inline = "p.png image/png inline Some(\"p1\") [1, 2, 3]";
    vec![
        ("attachments", json!({ "attachments": files }), file, inline),
        (
            "attachments, disposition attachment",
            json!({ "attachments": [{ "content": "AQ==", "name": "a", "type": "text/csv", "disposition": "attachment" }] }),
            file,
            "a text/csv attachment None [1]",
        ),
        ("cc", json!({ "cc": "Dave <dave@elsewhere.example>" }), |m| addresses(m.cc()), "Dave<dave@elsewhere.example>"),
        ("bcc", json!({ "bcc": "eve@elsewhere.example" }), |m| addresses(m.bcc()), ""),
        (
            "to",
            json!({ "to": [{ "name": "Carol", "email": RECIPIENT }] }),
            |m| addresses(m.to()),
            "Carol<carol@elsewhere.example>",
        ),
        ("from", json!({}), |m| addresses(m.from()), ""),
        ("sender", json!({ "sender": { "email": SCANNER } }), |m| addresses(m.sender()), "<scanner@practice.example>"),
        ("replyTo", json!({ "replyTo": "r@elsewhere.example" }), |m| addresses(m.reply_to()), "<r@elsewhere.example>"),
        (
            "bodyStructure and bodyValues",
            json!({ "textBody": null, "bodyStructure": { "type": "text/html", "partId": "1" },
                "bodyValues": { "1": { "value": "<i>x</i>", "isEncodingProblem": false, "isTruncated": false } } }),
            |m| m.body_html(0).unwrap().trim_end().to_owned(),
            "<i>x</i>",
        ),
        ("comments", json!({ "comments": "no comment" }), |m| header(m, "Comments"), "no comment"),
        ("headers", json!({ "headers": [{ "name": "X-Order", "value": "4711" }] }), |m| header(m, "X-Order"), "4711"),
        ("htmlBody", json!({ "htmlBody": "<b>x</b>" }), |m| m.body_html(0).unwrap().trim_end().to_owned(), "<b>x</b>"),
        ("textBody", json!({ "textBody": "a" }), |m| m.body_text(0).unwrap().trim_end().to_owned(), "a"),
        ("inReplyTo", json!({ "inReplyTo": "<1@x>" }), |m| header(m, "In-Reply-To"), "<1@x>"),
        ("keywords", json!({ "keywords": { "urgent": true, "old": false } }), |m| header(m, "Keywords"), "urgent"),
        ("messageId", json!({ "messageId": "2@x" }), |m| header(m, "Message-ID"), "<2@x>"),
        ("references", json!({ "references": ["<0@x>", "1@x"] }), |m| header(m, "References"), "<0@x> <1@x>"),
        (
            "sendAt",
            json!({ "sendAt": "2026-11-21T08:00:00Z" }),
            |m| header(m, "Date"),
            "Sat, 21 Nov 2026 08:00:00 +0000",
        ),
        ("subject", json!({ "subject": "Gr\u{fc}\u{df}e" }), |m| m.subject().unwrap().to_owned(), "Gr\u{fc}\u{df}e"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_property_of_the_jmap_form_is_seen_by_either_way() {
    for from in [SCANNER, BILLING] {
        let house = house().await;
        for (number, (property, write, see, expected)) in (1..).zip(jmap_rows()) {
            if from == BILLING && property == "sender" {
                // Another mailbox: it would take the other way.
                continue;
            }
            let before = house.tenant.mail_count();
            let base = json!({ "from": from, "to": RECIPIENT, "subject": property, "textBody": "Text" });
            let (_, answer) = queued(&house, "mailType=JMAP", &with(base, &write)).await;
            assert_eq!(answer["notCarried"], json!([]), "{property}");
            let arrived = house.arrived(before + 1).await.pop().unwrap();
            let message = MessageParser::default().parse(&arrived.shown[..]).unwrap();
            let expected = if property == "from" { format!("<{from}>") } else { expected.to_owned() };
            assert_eq!(see(&message), expected, "{number}, {property}: {}", String::from_utf8_lossy(&arrived.raw));
            if property == "bcc" {
                assert!(arrived.recipients.iter().any(|to| to == "eve@elsewhere.example"));
            }
        }
        assert_eq!(house.tenant.findings(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_server_says_of_a_message_is_passed_over_and_told_of() {
    let house = house().await;
    let base =
        json!({ "from": SCANNER, "to": RECIPIENT, "id": "1", "receivedAt": "x", "size": 7, "stringTrailer": "" });
    let (_, answer) = queued(&house, "mailType=jmap", &base).await;
    let told: Vec<_> = answer["notCarried"].as_array().unwrap().iter().map(|lost| lost["property"].clone()).collect();
    assert_eq!(told, ["id", "receivedAt", "size", "stringTrailer"]);
    house.only_one().await;
}
