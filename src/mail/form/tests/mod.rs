mod files;

use mail_parser::{MessageParser, MimeHeaders};
use serde_json::{Value, json};

use super::*;
use crate::mail::{Envelope, Recipient, ReversePath, Sender, SenderPolicy};

fn id() -> QueueId {
    QueueId::from_slice(&[7; 16]).unwrap()
}

fn mailbox() -> Address {
    "box@x.example".parse().unwrap()
}

/// The outline of a message that comes in pieces of so many octets.
fn outline(form: Form, octets: &[u8], pieces: usize) -> Outline {
    let mut outliner = Outliner::new(form);
    octets.chunks(pieces).for_each(|piece| outliner.push(piece));
    outliner.finish()
}

fn read(form: Form, octets: &[u8]) -> Result<Composed, Fault> {
    compose(form, outline(form, octets, 1_000), id(), Some(&mailbox()))
}

/// The whole of an assembly, whose files come in pieces of so many octets.
fn whole(assembly: &Assembly, source: &[u8], pieces: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in (0..).map_while(|number| assembly.piece(number)) {
        match piece {
            Piece::Octets(octets) => out.extend_from_slice(octets),
            Piece::File(place, mut filling) => {
                let text = &source[place.start as usize..place.end as usize];
                text.chunks(pieces).for_each(|text| out.extend(filling.fill(text)));
            }
        }
    }
    assert_eq!(out.len() as u64, assembly.size());
    out
}

fn composed(form: Form, value: &Value) -> Composed {
    read(form, value.to_string().as_bytes()).unwrap()
}

fn mime(form: Form, value: &Value) -> Vec<u8> {
    whole(&composed(form, value).mime, value.to_string().as_bytes(), 100)
}

fn fault(form: Form, value: &Value) -> Fault {
    read(form, value.to_string().as_bytes()).unwrap_err()
}

fn header(mime: &[u8], name: &str) -> String {
    let message = MessageParser::default().parse(mime).unwrap();
    message.header_raw(name).unwrap_or("(none)").trim().to_owned()
}

fn to(address: &str) -> Value {
    json!([{ "emailAddress": { "address": address } }])
}

#[test]
fn what_is_wrong_with_a_microsoft_object_is_named_by_its_path() {
    use Form::Microsoft;
    let file = |more: Value| {
        let mut file = json!({ "name": "a", "contentBytes": "AA==" });
        file.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "toRecipients": to("a@x.example"), "attachments": [file] })
    };
    let rows = [
        (Microsoft, json!([]), "the message", "no object"),
        (Microsoft, json!({ "Subject": "s" }), "Subject", "letter case; the right name is told"),
        (Microsoft, json!({ "color": 1 }), "color", "no such property"),
        (Microsoft, json!({ "message": { "subject": 1 } }), "message.subject", "in a request of sendMail"),
        (Microsoft, json!({ "message": {}, "x": 1 }), "x", "beside the message"),
        (Microsoft, json!({ "subject": "a\nb" }), "subject", "two lines"),
        (Microsoft, json!({ "toRecipients": {} }), "toRecipients", "no collection"),
        (Microsoft, json!({ "toRecipients": [{}] }), "toRecipients[0].emailAddress", "nobody"),
        (Microsoft, json!({ "toRecipients": to("nobody") }), "toRecipients[0].emailAddress.address", "no address"),
        (Microsoft, json!({ "body": { "contentType": "rtf" } }), "body.contentType", "no such kind"),
        (Microsoft, json!({ "importance": "urgent" }), "importance", "no such word"),
        (Microsoft, json!({ "isReadReceiptRequested": "yes" }), "isReadReceiptRequested", "no boolean"),
        (Microsoft, file(json!({ "contentBytes": "?" })), "attachments[0].contentBytes", "not base64"),
        (Microsoft, file(json!({ "contentBytes": null })), "attachments[0].contentBytes", "missing"),
        (Microsoft, file(json!({ "contentType": "png" })), "attachments[0].contentType", "no media type"),
        (Microsoft, file(json!({ "size": -1 })), "attachments[0].size", "no size"),
        (
            Microsoft,
            file(json!({ "@odata.type": "#microsoft.graph.itemAttachment" })),
            "attachments[0].@odata.type",
            "an item",
        ),
        (
            Microsoft,
            json!({ "body": { "@odata.type": { "contentBytes": "A!!" } } }),
            "body.@odata.type",
            "a file where none is looked for",
        ),
        (Microsoft, json!({ "attachments": [], "attachment": [] }), "attachment", "both spellings"),
        (Microsoft, json!({ "flag": { "flagStatus": "red" } }), "flag.flagStatus", "no such word"),
        (
            Microsoft,
            json!({ "flag": { "dueDateTime": { "dateTime": "2026-11-21T08:00:00", "timeZone": "UTC" } } }),
            "flag.dueDateTime",
            "a due date without a start date",
        ),
        (
            Microsoft,
            json!({ "flag": { "startDateTime": { "dateTime": "soon", "timeZone": "UTC" } } }),
            "flag.startDateTime.dateTime",
            "no time",
        ),
        (
            Microsoft,
            json!({ "internetMessageHeaders": [{ "name": "Bcc", "value": "b@x.example" }] }),
            "internetMessageHeaders[0].name",
            "a recipient by the back door",
        ),
        (
            Microsoft,
            json!({ "internetMessageHeaders": [{ "name": "X-A: b\r\nBcc", "value": "b@x.example" }] }),
            "internetMessageHeaders[0].name",
            "no name of a field",
        ),
        (
            Microsoft,
            json!({ "internetMessageHeaders": [{ "name": "X-A", "value": "a\r\nBcc: b@x.example" }] }),
            "internetMessageHeaders[0].value",
            "a field by the back door",
        ),
    ];
    for (form, value, path, why) in rows {
        assert_eq!(fault(form, &value).path, path, "{why}: {}", fault(form, &value));
    }
    let told = read(Microsoft, b"{\n \"subject\": }").unwrap_err();
    assert_eq!(told.path, "line 2, column 13");
    assert!(fault(Microsoft, &json!({ "Subject": "s" })).why.contains("write `subject`"));
}

#[test]
fn what_is_wrong_with_an_object_of_4d_is_named_by_its_path() {
    use Form::Jmap;
    let rows = [
        (Jmap, json!({ "textbody": "x" }), "textbody", "letter case"),
        (Jmap, json!({ "to": 7 }), "to", "no text"),
        (Jmap, json!({ "to": ["a@x.example", { "name": "x" }] }), "to[1].email", "nobody"),
        (Jmap, json!({ "to": "a@x.example, Scanner" }), "to", "a name without address"),
        (Jmap, json!({ "bodyValues": {} }), "bodyValues", "texts without structure"),
        (Jmap, json!({ "bodyStructure": { "type": "text/plain" }, "textBody": "" }), "bodyStructure", "two bodies"),
        (
            Jmap,
            json!({ "bodyStructure": { "type": "text/plain", "partId": "p1" }, "bodyValues": {} }),
            "bodyStructure.partId",
            "no such text",
        ),
        (Jmap, json!({ "attachments": [{ "content": "%%" }] }), "attachments[0].content", "not base64"),
        (
            Jmap,
            json!({ "attachments": [{ "content": "", "disposition": "beside" }] }),
            "attachments[0].disposition",
            "no word",
        ),
        (Jmap, json!({ "sendAt": "tomorrow" }), "sendAt", "no time"),
    ];
    for (form, value, path, why) in rows {
        assert_eq!(fault(form, &value).path, path, "{why}: {}", fault(form, &value));
    }
}

#[test]
fn the_same_octets_come_out_each_time() {
    let value = json!({
        "toRecipients": to("a@x.example"),
        "body": { "content": "<b>x</b>", "contentType": "html" },
        "attachments": [
            { "name": "a.bin", "contentBytes": "AAEC" },
            { "name": "i.png", "contentBytes": "AAEC", "isInline": true, "contentId": "i" },
        ],
    });
    let first = mime(Form::Microsoft, &value);
    assert_eq!(first, mime(Form::Microsoft, &value), "an attempt after a restart sends the same message");
    let text = String::from_utf8(first).unwrap();
    assert!(!text.contains("Date:") && !text.contains("Message-ID:"), "those stand in our own lines: {text}");
}

#[test]
fn every_file_and_text_arrives_as_it_was() {
    let octets: Vec<u8> = (0..=255_u8).cycle().take(70_000).collect();
    let text = "Gr\u{fc}\u{df}e\r.\n..\r\nFrom here\nend of line  ";
    for (form, value) in [
        (
            Form::Microsoft,
            json!({ "toRecipients": to("a@x.example"), "body": { "content": text },
                "attachments": [{ "name": "Gr\u{fc}\u{df}e \"x\".txt", "contentType": "text/plain; charset=x",
                    "contentBytes": in_base64(&octets) }] }),
        ),
        (
            Form::Jmap,
            json!({ "to": "a@x.example", "textBody": text,
                "attachments": [{ "name": "Gr\u{fc}\u{df}e \"x\".txt", "type": "text/plain", "content": in_base64(&octets) }] }),
        ),
    ] {
        let mime = mime(form, &value);
        assert!(
            mime.split(|&octet| octet == b'\n').all(|line| line.len() < 999),
            "{form:?}: lines that every server takes"
        );
        let message = MessageParser::default().parse(&mime).unwrap();
        let shown = message.body_text(0).unwrap().into_owned();
        assert_eq!(
            shown.trim_end_matches("\r\n"),
            "Gr\u{fc}\u{df}e\r\n.\r\n..\r\nFrom here\r\nend of line  ",
            "{form:?}"
        );
        let file = message.attachments().next().unwrap();
        // The reader takes a text for UTF-8, so its octets are looked at before that.
        let lines = mime[file.raw_body_offset() as usize..file.raw_end_offset() as usize].iter();
        let encoded: Vec<u8> = lines.copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
        use base64::Engine;
        let decoded = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap();
        assert!(decoded == octets, "{form:?}");
        assert_eq!(file.attachment_name(), Some("Gr\u{fc}\u{df}e \"x\".txt"), "{form:?}");
    }
}

fn in_base64(octets: &[u8]) -> String {
    use base64::Engine;
    // With line breaks, as 4D writes it.
    let text = base64::engine::general_purpose::STANDARD.encode(octets);
    text.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line).into_owned()).collect::<Vec<_>>().join("\r\n")
}

#[test]
fn people_are_written_in_each_way_that_4d_knows() {
    let rows = [
        (json!("a@x.example"), "a@x.example", "an address"),
        (json!("Ann <a@x.example>, b@x.example"), "a@x.example b@x.example", "a list"),
        (json!({ "name": "Ann, B.", "email": "a@x.example" }), "a@x.example", "an object"),
        (json!(["a@x.example", { "email": "b@x.example" }]), "a@x.example b@x.example", "a collection of both"),
    ];
    for (people, expected, why) in rows {
        let value = json!({ "to": people, "from": "f@x.example" });
        let made = composed(Form::Jmap, &value);
        let addresses: Vec<_> = made.people.recipients.iter().map(ToString::to_string).collect();
        assert_eq!(addresses.join(" "), expected, "{why}");
        let mime = mime(Form::Jmap, &value);
        let message = MessageParser::default().parse(&mime).unwrap();
        let read: Vec<_> = message.to().unwrap().iter().filter_map(|to| to.address()).collect();
        assert_eq!(read.join(" "), expected, "{why}: another reader sees them too");
    }
}

#[test]
fn texts_are_alternatives_and_trees_stay_trees() {
    let kinds = |value: &Value| {
        let mime = mime(Form::Jmap, value);
        let message = MessageParser::default().parse(&mime).unwrap();
        let kind = |part: &mail_parser::MessagePart<'_>| {
            let kind = part.content_type().unwrap();
            format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default())
        };
        message.parts.iter().map(kind).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(kinds(&json!({ "textBody": "t" })), "text/plain");
    assert_eq!(kinds(&json!({ "htmlBody": "h" })), "text/html");
    assert_eq!(kinds(&json!({ "textBody": "t", "htmlBody": "h" })), "multipart/alternative text/plain text/html");
    let tree = json!({
        "bodyStructure": { "type": "multipart/mixed", "subParts": [
            { "type": "multipart/alternative", "subParts": [
                { "type": "text/plain", "partId": "p1" }, { "type": "text/html", "partId": "p2" } ] },
            { "type": "text/plain", "partId": "p3" } ] },
        "bodyValues": {
            "p1": { "value": "t", "isEncodingProblem": false, "isTruncated": false },
            "p2": { "value": "h" }, "p3": { "value": "u" } },
    });
    assert_eq!(kinds(&tree), "multipart/mixed multipart/alternative text/plain text/html text/plain");
}

#[test]
fn receipts_go_to_whom_the_message_is_from() {
    let asked = json!({ "toRecipients": to("a@x.example"), "isDeliveryReceiptRequested": true, "isReadReceiptRequested": true });
    let sent = mime(Form::Microsoft, &asked);
    assert_eq!(header(&sent, "Return-Receipt-To"), "<box@x.example>");
    assert_eq!(header(&sent, "Disposition-Notification-To"), "<box@x.example>");
    let mut from = asked;
    from["from"] = to("f@x.example")[0].clone();
    assert_eq!(header(&mime(Form::Microsoft, &from), "Disposition-Notification-To"), "<f@x.example>");
}

fn graph(object: &Value, recipients: &[&str], policy: SenderPolicy) -> ForGraph {
    let recipients = recipients.iter().map(|to| Recipient::from(to.parse::<Address>().unwrap())).collect();
    let envelope = Envelope::new(ReversePath::Mailbox(mailbox()), recipients).unwrap();
    let sender = Sender { policy, mailbox: &mailbox() };
    let outline = outline(Form::Microsoft, object.to_string().as_bytes(), 1_000);
    for_graph(outline, &envelope, &sender, Some("<1@x>")).unwrap()
}

fn request(object: &Value, recipients: &[&str], policy: SenderPolicy) -> Value {
    match graph(object, recipients, policy) {
        ForGraph::Object { request, .. } => {
            serde_json::from_slice(&whole(&request, object.to_string().as_bytes(), 100)).unwrap()
        }
        ForGraph::AsMime(why) => panic!("{why}"),
    }
}

fn addresses(list: &Value) -> Vec<&str> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(|person| person["emailAddress"]["address"].as_str().unwrap()).collect()
}

#[test]
fn graph_is_asked_to_send_to_the_envelope_and_nobody_else() {
    let object = json!({
        "toRecipients": [to("a@x.example")[0], to("list@x.example")[0]],
        "ccRecipients": to("A@x.example"), "bccRecipients": to("gone@x.example"), "flag": { "flagStatus": "flagged" },
    });
    let asked = request(&object, &["a@x.example", "hidden@x.example"], SenderPolicy::Keep);
    let message = &asked["message"];
    assert_eq!(addresses(&message["toRecipients"]), ["a@x.example"]);
    assert_eq!(addresses(&message["ccRecipients"]), [""; 0], "named in To already");
    assert_eq!(addresses(&message["bccRecipients"]), ["hidden@x.example"]);
    assert_eq!(message["flag"]["flagStatus"], "flagged");
    assert_eq!(message["internetMessageId"], "<1@x>", "a copy in Sent Items is found by it");
    assert!(asked.get("saveToSentItems").is_none());
    let ForGraph::Object { notes, .. } = graph(&object, &["a@x.example"], SenderPolicy::Keep) else { panic!() };
    assert!(notes[0].contains("toRecipients rewritten to the 1 recipients"), "{notes:?}");
}

#[test]
fn graph_gets_mime_where_it_would_refuse_the_object() {
    let fields = |names: &[&str]| {
        let fields: Vec<_> = names.iter().map(|name| json!({ "name": name, "value": "v" })).collect();
        json!({ "toRecipients": to("a@x.example"), "internetMessageHeaders": fields })
    };
    let many: Vec<String> = (0..6).map(|n| format!("X-{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let rows = [
        (fields(&["In-Reply-To"]), &["a@x.example"][..], true, "a name without x-"),
        (fields(&many), &["a@x.example"], true, "six fields"),
        (fields(&many[..5]), &["a@x.example"], false, "five fields"),
        (json!({ "bccRecipients": to("a@x.example") }), &["a@x.example"], true, "hidden recipients alone"),
    ];
    for (object, recipients, as_mime, why) in rows {
        let made = graph(&object, recipients, SenderPolicy::Keep);
        assert_eq!(matches!(made, ForGraph::AsMime(_)), as_mime, "{why}: {made:?}");
    }
}

#[test]
fn what_is_null_is_missing_for_graph_as_well() {
    let object = json!({
        "toRecipients": [{ "emailAddress": { "address": "a@x.example", "name": null } }], "ccRecipients": null,
        "replyTo": null, "attachments": null, "attachment": [{ "contentBytes": "AAEC", "name": null }],
        "internetMessageHeaders": null, "flag": null, "body": null,
    });
    let asked = request(&object, &["a@x.example"], SenderPolicy::Keep);
    assert!(!asked.to_string().contains("null"), "{asked}");
    assert_eq!(asked["message"]["attachments"][0]["contentBytes"], "AAEC");
}

#[test]
fn a_message_of_very_many_values_is_refused_before_it_is_read() {
    let many = |item: &str| format!("{{\"subject\": [{item}]}}", item = vec![item; 50_000].join(","));
    for item in ["0", "{}", "[]"] {
        let fault = read(Form::Microsoft, many(item).as_bytes()).unwrap_err();
        assert!(fault.why.contains("50000 values"), "{fault}");
    }
    let mut outliner = Outliner::new(Form::Microsoft);
    for _ in 0..1_000 {
        outliner.push("\"contentBytes\":\"\",".repeat(1_000).as_bytes());
    }
    assert!(outliner.kept() < 5_000_000, "nothing is kept of what comes behind");
    let fault = outliner.finish().read().unwrap_err();
    assert!(fault.why.contains("50000 values"), "{fault}");
    let text = json!({ "toRecipients": to("a@x.example"), "subject": "s",
        "body": { "contentType": "text", "content": "\\\",[{".repeat(50_000) } });
    composed(Form::Microsoft, &text);
}

#[test]
fn the_sender_policy_counts_for_objects_as_for_headers() {
    let mut object = json!({ "toRecipients": to("a@x.example"), "sender": to("s@x.example")[0] });
    object["from"] = json!({ "emailAddress": { "address": "f@x.example", "name": "Ann" } });
    let rewritten = request(&object, &["a@x.example"], SenderPolicy::Rewrite);
    let message = &rewritten["message"];
    assert_eq!(message["from"], json!({ "emailAddress": { "address": "box@x.example", "name": "Ann" } }));
    assert_eq!(addresses(&message["replyTo"]), ["f@x.example"]);
    assert!(message.get("sender").is_none());
    let kept = request(&object, &["a@x.example"], SenderPolicy::Keep);
    assert_eq!(kept["message"]["from"], object["from"]);
    assert_eq!(kept["message"]["sender"], object["sender"]);
    object["replyTo"] = to("r@x.example");
    let rewritten = request(&object, &["a@x.example"], SenderPolicy::Rewrite);
    assert_eq!(addresses(&rewritten["message"]["replyTo"]), ["r@x.example"], "the program's own stays");
}

#[test]
fn both_spellings_and_both_wrappings_are_one_message() {
    let file = json!([{ "contentBytes": "AA EC\r\n", "id": "pic", "isInline": true }]);
    let plain = json!({ "toRecipients": to("a@x.example"), "attachment": file, "saveToSentItems": false });
    let wrapped =
        json!({ "message": { "toRecipients": to("a@x.example"), "attachments": file }, "saveToSentItems": false });
    assert_eq!(mime(Form::Microsoft, &plain), mime(Form::Microsoft, &wrapped));
    let asked = request(&plain, &["a@x.example"], SenderPolicy::Keep);
    assert_eq!(asked, request(&wrapped, &["a@x.example"], SenderPolicy::Keep));
    assert_eq!(asked["saveToSentItems"], false);
    let inside = json!({ "message": plain });
    assert_eq!(request(&inside, &["a@x.example"], SenderPolicy::Keep), asked, "wherever it stands");
    let file = &asked["message"]["attachments"][0];
    assert_eq!(file["contentBytes"], "AAEC");
    assert_eq!(file["name"], "attachment-1");
    assert_eq!((&file["@odata.type"], &file["contentId"]), (&json!("#microsoft.graph.fileAttachment"), &json!("pic")));
    let lost: Vec<_> = composed(Form::Microsoft, &plain).not_in_mime.into_iter().map(|lost| lost.property).collect();
    assert_eq!(lost, ["saveToSentItems"]);
}
