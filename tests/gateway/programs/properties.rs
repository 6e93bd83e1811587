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

const FILE: &str = "#microsoft.graph.fileAttachment";

/// Property, what a program writes, where Graph sees what, and what is seen in MIME.
fn rows() -> Vec<(&'static str, Value, &'static str, Value, InMime)> {
    let carol = || json!({ "emailAddress": { "address": RECIPIENT, "name": "Carol C\u{e9}" } });
    let picture = || json!([{ "@odata.type": FILE, "name": "p.png", "contentType": "image/png", "contentBytes": "AQID", "contentId": "p1", "isInline": true, "id": "p1", "size": 3 }]);
    let inline = "p.png image/png inline Some(\"p1\") [1, 2, 3]";
    let flag = || {
        json!({ "flagStatus": "flagged", "startDateTime": { "dateTime": "2026-11-21T08:00:00", "timeZone": "UTC" },
        "dueDateTime": { "dateTime": "2026-11-22T08:00:00", "timeZone": "UTC" } })
    };
    let at = |index: &'static str, value: Value| (index, value);
    let in_file = |name: &'static str| at(name, picture().pointer(&format!("/0/{name}")).cloned().unwrap());
    let row = |property, write: Value, (place, seen): (&'static str, Value), mime| (property, write, place, seen, mime);
    let attached = |mime| json!({ mime: picture() });
    vec![
        row("attachments", attached("attachments"), ("/attachments/0/name", json!("p.png")), S(file, inline)),
        row("attachment", attached("attachment"), ("/attachments/0/name", json!("p.png")), S(file, inline)),
        row("@odata.type", attached("attachments"), ("/attachments/0/@odata.type", json!(FILE)), S(file, inline)),
        row(
            "contentBytes",
            attached("attachments"),
            ("/attachments/0/contentBytes", in_file("contentBytes").1),
            S(file, inline),
        ),
        row(
            "contentId",
            attached("attachments"),
            ("/attachments/0/contentId", in_file("contentId").1),
            S(file, inline),
        ),
        row(
            "contentType",
            attached("attachments"),
            ("/attachments/0/contentType", in_file("contentType").1),
            S(file, inline),
        ),
        row("attachments.id", attached("attachments"), ("/attachments/0/id", in_file("id").1), S(file, inline)),
        row("isInline", attached("attachments"), ("/attachments/0/isInline", in_file("isInline").1), S(file, inline)),
        row("name", attached("attachments"), ("/attachments/0/name", in_file("name").1), S(file, inline)),
        row("size", attached("attachments"), ("/attachments/0/size", in_file("size").1), S(file, inline)),
        row(
            "toRecipients",
            json!({ "toRecipients": [carol()] }),
            ("/toRecipients/0", carol()),
            S(|m| addresses(m.to()), "Carol C\u{e9}<carol@elsewhere.example>"),
        ),
        row(
            "ccRecipients",
            json!({ "ccRecipients": [person("dave@elsewhere.example")] }),
            ("/ccRecipients/0", person("dave@elsewhere.example")),
            S(|m| addresses(m.cc()), "<dave@elsewhere.example>"),
        ),
        row(
            "bccRecipients",
            json!({ "bccRecipients": [person("eve@elsewhere.example")] }),
            ("/bccRecipients/0", person("eve@elsewhere.example")),
            S(|m| addresses(m.bcc()), ""),
        ),
        row(
            "replyTo",
            json!({ "replyTo": [person("r@elsewhere.example")] }),
            ("/replyTo/0", person("r@elsewhere.example")),
            S(|m| addresses(m.reply_to()), "<r@elsewhere.example>"),
        ),
        row(
            "body text",
            json!({ "body": { "content": "a\nb", "contentType": "text" } }),
            ("/body", json!({ "content": "a\nb", "contentType": "text" })),
            S(|m| m.body_text(0).unwrap().trim_end().to_owned(), "a\r\nb"),
        ),
        row(
            "body html",
            json!({ "body": { "content": "<b>x</b>", "contentType": "html" } }),
            ("/body", json!({ "content": "<b>x</b>", "contentType": "html" })),
            S(|m| m.body_html(0).unwrap().trim_end().to_owned(), "<b>x</b>"),
        ),
        row(
            "subject",
            json!({ "subject": "Gr\u{fc}\u{df}e" }),
            ("/subject", json!("Gr\u{fc}\u{df}e")),
            S(|m| m.subject().unwrap().to_owned(), "Gr\u{fc}\u{df}e"),
        ),
        row("id", json!({ "id": "AAMk" }), ("/id", json!("AAMk")), Lost),
        row(
            "importance low",
            json!({ "importance": "low" }),
            ("/importance", json!("low")),
            S(|m| header(m, "Importance"), "low"),
        ),
        row(
            "importance normal",
            json!({ "importance": "normal" }),
            ("/importance", json!("normal")),
            S(|m| header(m, "Importance"), "normal"),
        ),
        row(
            "importance high",
            json!({ "importance": "high" }),
            ("/importance", json!("high")),
            S(|m| header(m, "Importance"), "high"),
        ),
        row("flag", json!({ "flag": flag() }), ("/flag", flag()), Lost),
        row(
            "internetMessageHeaders",
            json!({ "internetMessageHeaders": [{ "name": "X-Order", "value": "4711" }] }),
            ("/internetMessageHeaders/0", json!({ "name": "X-Order", "value": "4711" })),
            S(|m| header(m, "X-Order"), "4711"),
        ),
        row(
            "isDeliveryReceiptRequested",
            json!({ "isDeliveryReceiptRequested": true }),
            ("/isDeliveryReceiptRequested", json!(true)),
            S(|m| (header(m, "Return-Receipt-To") != "(none)").to_string(), "true"),
        ),
        row(
            "isReadReceiptRequested",
            json!({ "isReadReceiptRequested": true }),
            ("/isReadReceiptRequested", json!(true)),
            S(|m| (header(m, "Disposition-Notification-To") != "(none)").to_string(), "true"),
        ),
        row("saveToSentItems", json!({ "saveToSentItems": false }), ("/../saveToSentItems", json!(false)), Lost),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn graph_sees_every_property_of_the_microsoft_object() {
    let house = house().await;
    for (number, (property, write, place, seen, _)) in (1..).zip(rows()) {
        let (_, answer) = queued(&house, "", &with(microsoft(BILLING, property), &write)).await;
        assert_eq!(answer["notCarried"], json!([]), "{property}");
        let arrived = house.arrived(number).await.pop().unwrap();
        let request = arrived.object.as_ref().unwrap_or_else(|| panic!("{property}: not sent as JSON"));
        let found = match place.strip_prefix("/..") {
            Some(beside) => request.pointer(beside),
            None => request["message"].pointer(place),
        };
        assert_eq!(found, Some(&seen), "{property}: {request:#}");
    }
    assert_eq!(house.tenant.findings(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_of_mime_carries_every_property_or_the_program_is_told() {
    let house = house().await;
    for (number, (property, write, _, _, mime)) in (1..).zip(rows()) {
        let (_, answer) = queued(&house, "", &with(microsoft(SCANNER, property), &write)).await;
        let arrived = house.arrived(number).await.pop().unwrap();
        assert!(arrived.object.is_none(), "{property}");
        let message = MessageParser::default().parse(&arrived.raw[..]).unwrap();
        match mime {
            Lost => assert_eq!(answer["notCarried"][0]["property"], property, "{answer:#}"),
            S(see, expected) => {
                assert_eq!(see(&message), expected, "{property}: {}", String::from_utf8_lossy(&arrived.raw));
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
