//! Microsoft's mail object, with the properties that 4D NetKit has (Microsoft Learn, "message resource type").

use super::NotCarried;
use super::json::{Fault, Node, Object};
use super::letter::{File, Letter, Part, Person};
use crate::mail::Address;

/// What stands beside the message in a request of `sendMail`.
const REQUEST: [&str; 2] = ["message", "saveToSentItems"];
/// The message.
const MESSAGE: [&str; 18] = [
    "@odata.type",
    "attachment",
    "attachments",
    "bccRecipients",
    "body",
    "ccRecipients",
    "flag",
    "from",
    "id",
    "importance",
    "internetMessageHeaders",
    "isDeliveryReceiptRequested",
    "isReadReceiptRequested",
    "replyTo",
    "sender",
    "subject",
    "toRecipients",
    "saveToSentItems",
];
const ATTACHMENT: [&str; 8] =
    ["@odata.type", "contentBytes", "contentId", "contentType", "id", "isInline", "name", "size"];
/// The only kind of attachment that 4D NetKit and this program have.
pub(super) const FILE: &str = "#microsoft.graph.fileAttachment";
/// Fields that have a property of their own, or that are the business of the way out.
const OWN: [&str; 11] = [
    "from",
    "sender",
    "reply-to",
    "to",
    "cc",
    "bcc",
    "subject",
    "mime-version",
    "received",
    "return-path",
    "importance",
];

/// A message that was read.
pub(super) struct Read<'a> {
    pub(super) letter: Letter<'a>,
    pub(super) not_in_mime: Vec<NotCarried>,
    pub(super) ignored: Vec<NotCarried>,
}

/// The message in a request: the object itself, or its `message`. The other object has `saveToSentItems`.
pub(super) fn message<'a>(root: &Node<'a>) -> Result<(Object<'a>, Option<Node<'a>>), Fault> {
    let any = root.any_object()?;
    if any.get("message").is_some() {
        let request = root.object(&REQUEST)?;
        let message = request.need("message")?.object(&MESSAGE)?;
        let save = request.get("saveToSentItems").or_else(|| message.get("saveToSentItems"));
        return Ok((message, save));
    }
    let message = root.object(&MESSAGE)?;
    let save = message.get("saveToSentItems");
    Ok((message, save))
}

pub(super) fn read<'a>(root: &Node<'a>, mailbox: Option<&Address>) -> Result<Read<'a>, Fault> {
    let (message, save) = message(root)?;
    let one = |name: &str| message.get(name).map(|node| recipient(&node)).transpose();
    let (from, sender) = (one("from")?, one("sender")?);
    let receipts_to = from.as_ref().map(|from| &from.address).or(mailbox).cloned();
    let mut not_in_mime = Vec::new();
    let mut lost = |property: &str| {
        let why = "MIME has no such thing; only `graph` carries it".to_owned();
        not_in_mime.push(NotCarried { property: property.to_owned(), why });
    };
    if let Some(node) = message.get("flag") {
        flag(&node)?;
        lost("flag");
    }
    if let Some(node) = &save {
        node.flag()?;
        lost("saveToSentItems");
    }
    if let Some(node) = message.get("id") {
        node.text()?;
        lost("id");
    }
    let letter = Letter {
        sender,
        reply_to: recipients_of(&message, "replyTo")?,
        to: recipients_of(&message, "toRecipients")?,
        cc: recipients_of(&message, "ccRecipients")?,
        bcc: recipients_of(&message, "bccRecipients")?,
        subject: message.get("subject").map(|node| node.line()).transpose()?,
        fields: fields(&message, receipts_to.as_ref())?,
        body: body(&message)?,
        files: files(&message)?.into_iter().map(|(_, file)| file).collect(),
        from: from.into_iter().collect(),
    };
    Ok(Read { letter, not_in_mime, ignored: Vec::new() })
}

/// `{emailAddress: {address, name}}`.
pub(super) fn recipient(node: &Node<'_>) -> Result<Person, Fault> {
    let address = node.object(&["emailAddress", "@odata.type"])?.need("emailAddress")?;
    let address = address.object(&["address", "name", "@odata.type"])?;
    let name = address.get("name").map(|name| name.line()).transpose()?.unwrap_or_default();
    Ok(Person { name: name.to_owned(), address: address.need("address")?.address()? })
}

pub(super) fn recipients_of(message: &Object<'_>, name: &str) -> Result<Vec<Person>, Fault> {
    let Some(list) = message.get(name) else { return Ok(Vec::new()) };
    list.list()?.iter().map(recipient).collect()
}

fn body<'a>(message: &Object<'a>) -> Result<Part<'a>, Fault> {
    let plain = |text| Part::Text { media_type: "text/plain".to_owned(), text };
    let Some(body) = message.get("body") else { return Ok(plain("")) };
    let body = body.object(&["content", "contentType", "@odata.type"])?;
    let text = body.get("content").map(|node| node.text()).transpose()?.unwrap_or_default();
    let kind = body.get("contentType").map(|node| node.word(&["text", "html"])).transpose()?;
    Ok(match kind {
        Some("html") => Part::Text { media_type: "text/html".to_owned(), text },
        _ => plain(text),
    })
}

/// Header fields other than people and subject.
fn fields(message: &Object<'_>, receipts_to: Option<&Address>) -> Result<Vec<(String, String)>, Fault> {
    let mut fields = Vec::new();
    if let Some(node) = message.get("importance") {
        fields.push(("Importance".to_owned(), node.word(&["low", "normal", "high"])?.to_owned()));
    }
    let receipts = [
        // What Exchange itself writes and reads.
        ("isDeliveryReceiptRequested", "Return-Receipt-To"),
        // RFC 8098 section 2.1.
        ("isReadReceiptRequested", "Disposition-Notification-To"),
    ];
    for (property, name) in receipts {
        let wanted = message.get(property).map(|node| node.flag()).transpose()?.unwrap_or_default();
        if let Some(to) = receipts_to.filter(|_| wanted) {
            fields.push((name.to_owned(), format!("<{to}>")));
        }
    }
    if let Some(node) = message.get("internetMessageHeaders") {
        fields.extend(own_fields(&node, &["name", "value", "@odata.type"])?);
    }
    Ok(fields)
}

/// A collection of {name, value}.
pub(super) fn own_fields(node: &Node<'_>, known: &[&str]) -> Result<Vec<(String, String)>, Fault> {
    let one = |node: &Node<'_>| {
        let field = node.object(known)?;
        let at = field.need("name")?;
        let name = at.text()?;
        let fine = !name.is_empty() && name.len() < 77 && name.bytes().all(|c| c.is_ascii_graphic() && c != b':');
        if !fine {
            return Err(at.fault(format!("`{name}` is no name of a header field")));
        }
        let lower = name.to_ascii_lowercase();
        if OWN.contains(&lower.as_str()) || lower.starts_with("content-") || lower.starts_with("resent-") {
            return Err(at.fault(format!("`{name}` is not written as a header field here; use the property for it")));
        }
        Ok((name.to_owned(), field.need("value")?.line()?.to_owned()))
    };
    node.list()?.iter().map(one).collect()
}

/// `attachments`, which 4D also spells `attachment`: the nodes, and the files they are.
pub(super) fn files<'a>(message: &Object<'a>) -> Result<Vec<(Node<'a>, File)>, Fault> {
    let list = match (message.get("attachments"), message.get("attachment")) {
        (Some(_), Some(second)) => return Err(second.fault("there are `attachments` as well; write one of the two")),
        (list, other) => list.or(other),
    };
    let Some(list) = list else { return Ok(Vec::new()) };
    let one = |(number, node): (usize, Node<'a>)| file(&node, number).map(|file| (node, file));
    list.list()?.into_iter().enumerate().map(one).collect()
}

fn file(node: &Node<'_>, number: usize) -> Result<File, Fault> {
    let file = node.object(&ATTACHMENT)?;
    if let Some(kind) = file.get("@odata.type")
        && kind.text()?.trim_start_matches('#') != FILE.trim_start_matches('#')
    {
        return Err(kind.fault(format!("only files can be attached; write `{FILE}`")));
    }
    if let Some(size) = file.get("size") {
        size.number()?;
    }
    let line = |name: &str| file.get(name).map(|node| node.line()).transpose();
    let inline = file.get("isInline").map(|node| node.flag()).transpose()?.unwrap_or_default();
    let content_id = line("contentId")?.or(line("id")?.filter(|_| inline)).map(without_brackets);
    let media_type = match file.get("contentType") {
        Some(node) => media_type(&node)?,
        None => "application/octet-stream".to_owned(),
    };
    Ok(File {
        name: line("name")?.map_or_else(|| format!("attachment-{}", number + 1), str::to_owned),
        media_type,
        content_id: content_id.filter(|id| !id.is_empty()),
        inline,
        mark: file.need("contentBytes")?.file()?.to_owned(),
    })
}

/// A media type without parameters, in lower case.
pub(super) fn media_type(node: &Node<'_>) -> Result<String, Fault> {
    let text = node.line()?;
    let kind = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let token =
        |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&c));
    let fine = kind.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype) && kind != "multipart");
    if fine { Ok(kind) } else { Err(node.fault(format!("`{text}` is no media type; write one such as `image/png`"))) }
}

pub(super) fn without_brackets(id: &str) -> String {
    id.trim().trim_start_matches('<').trim_end_matches('>').chars().filter(|c| !c.is_whitespace()).collect()
}

/// `{flagStatus, startDateTime, dueDateTime}`.
fn flag(node: &Node<'_>) -> Result<(), Fault> {
    let flag = node.object(&["flagStatus", "startDateTime", "dueDateTime", "@odata.type"])?;
    if let Some(status) = flag.get("flagStatus") {
        status.word(&["notFlagged", "complete", "flagged"])?;
    }
    for name in ["startDateTime", "dueDateTime"] {
        let Some(time) = flag.get(name) else { continue };
        let time = time.object(&["dateTime", "timeZone", "@odata.type"])?;
        let at = time.need("dateTime")?;
        if at.text()?.parse::<jiff::civil::DateTime>().is_err() && at.text()?.parse::<jiff::Timestamp>().is_err() {
            return Err(at.fault("this is no date and time; write it as `2026-11-21T08:00:00`"));
        }
        time.need("timeZone")?.line()?;
    }
    match (flag.get("dueDateTime"), flag.get("startDateTime")) {
        (Some(due), None) => Err(due.fault("a due date needs a start date; add `startDateTime`")),
        _ => Ok(()),
    }
}
