//! `sendMail` with a message in JSON (Microsoft Learn, "user: sendMail", "message resource type"). Properties are checked
//! one by one: Graph refuses what it does not know. The message becomes MIME here, as Exchange makes it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use super::super::assembly::assemble;
use super::super::items::Attachment;
use super::problem::Problem;

/// Own header fields of a message.
const MAX_FIELDS: usize = 5;

/// A request of `sendMail`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Request {
    message: Message,
    #[serde(default, rename = "saveToSentItems")]
    _save: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Message {
    #[serde(default, rename = "@odata.type")]
    _kind: Option<String>,
    #[serde(default, rename = "id")]
    _id: Option<String>,
    #[serde(default)]
    subject: String,
    body: Option<Body>,
    from: Option<Recipient>,
    sender: Option<Recipient>,
    #[serde(default)]
    to_recipients: Vec<Recipient>,
    #[serde(default)]
    cc_recipients: Vec<Recipient>,
    #[serde(default)]
    bcc_recipients: Vec<Recipient>,
    #[serde(default)]
    reply_to: Vec<Recipient>,
    #[serde(default)]
    attachments: Vec<File>,
    importance: Option<Importance>,
    flag: Option<Flag>,
    #[serde(default)]
    internet_message_headers: Vec<Field>,
    internet_message_id: Option<String>,
    #[serde(default)]
    is_delivery_receipt_requested: bool,
    #[serde(default)]
    is_read_receipt_requested: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Recipient {
    email_address: EmailAddress,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EmailAddress {
    address: String,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Body {
    #[serde(default)]
    content_type: Option<String>,
    #[serde(default)]
    content: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Importance {
    Low,
    Normal,
    High,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Flag {
    flag_status: Option<FlagStatus>,
    start_date_time: Option<When>,
    due_date_time: Option<When>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum FlagStatus {
    NotFlagged,
    Complete,
    Flagged,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct When {
    date_time: String,
    time_zone: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Field {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    #[serde(rename = "@odata.type")]
    kind: String,
    name: String,
    content_bytes: String,
    content_type: Option<String>,
    content_id: Option<String>,
    #[serde(default)]
    is_inline: bool,
    #[serde(default, rename = "id")]
    _id: Option<String>,
    #[serde(default, rename = "size")]
    _size: Option<u64>,
}

/// The message of a request in MIME, and the request itself. `from` stands in From if the message names nobody.
pub(super) fn read(body: &[u8], from: &str) -> Result<(Vec<u8>, Value), Problem> {
    let unread = |error: &dyn std::fmt::Display| Problem::bad_request("RequestBodyRead", error.to_string());
    let value: Value = serde_json::from_slice(body).map_err(|error| unread(&error))?;
    let request: Request = serde_json::from_slice(body).map_err(|error| unread(&error))?;
    let message = request.message;
    check(&message)?;
    let attachments = message.attachments.iter().map(attachment).collect::<Result<Vec<_>, _>>()?;
    Ok((assemble(&text(&message, from), &attachments), value))
}

fn check(message: &Message) -> Result<(), Problem> {
    let invalid = |what: &str| Err(Problem::bad_request("ErrorInvalidRequest", what));
    if message.to_recipients.is_empty() {
        return Err(Problem::bad_request("ParameterValueEmpty", "Parameter 'ToRecipients' is empty."));
    }
    if message.internet_message_headers.len() > MAX_FIELDS {
        let what = "Maximum number of headers in one message should be set to 5 or fewer.";
        return Err(Problem::bad_request("InvalidInternetMessageHeaderCollection", what));
    }
    for field in &message.internet_message_headers {
        if !field.name.to_ascii_lowercase().starts_with("x-") || field.value.contains(['\r', '\n']) {
            let what = format!("The internet message header name '{}' should start with 'x-' or 'X-'.", field.name);
            return Err(Problem::bad_request("InvalidInternetMessageHeader", what));
        }
    }
    let Some(flag) = &message.flag else { return Ok(()) };
    if flag.due_date_time.is_some() && flag.start_date_time.is_none() {
        return invalid("DueDate can not be set without StartDate.");
    }
    let times = [&flag.start_date_time, &flag.due_date_time];
    let empty = |when: &When| when.date_time.is_empty() || when.time_zone.is_empty();
    if times.into_iter().flatten().any(empty) {
        return invalid("A time needs a time zone.");
    }
    match flag.flag_status {
        Some(FlagStatus::NotFlagged | FlagStatus::Complete | FlagStatus::Flagged) | None => Ok(()),
    }
}

fn attachment(file: &File) -> Result<Attachment, Problem> {
    if file.kind != "#microsoft.graph.fileAttachment" {
        return Err(Problem::bad_request("RequestBodyRead", format!("`{}` is no kind of attachment", file.kind)));
    }
    let octets = STANDARD.decode(&file.content_bytes).map_err(|_| {
        Problem::bad_request("RequestBodyRead", "Cannot convert a value to the expected type 'Edm.Binary'.")
    })?;
    Ok(Attachment {
        name: file.name.clone(),
        content_type: file.content_type.clone().unwrap_or_else(|| "application/octet-stream".to_owned()),
        content_id: file.content_id.clone(),
        inline: file.is_inline,
        octets,
    })
}

/// Header and text.
fn text(message: &Message, from: &str) -> Vec<u8> {
    let mut lines = String::new();
    let mut add = |name: &str, value: &str| lines.push_str(&format!("{name}: {value}\r\n"));
    let list = |people: &[Recipient]| people.iter().map(written).collect::<Vec<_>>().join(",\r\n ");
    let from = message.from.as_ref().map_or_else(|| format!("<{from}>"), written);
    add("From", &from);
    if let Some(sender) = &message.sender {
        add("Sender", &written(sender));
    }
    let lists = [
        ("Reply-To", &message.reply_to),
        ("To", &message.to_recipients),
        ("Cc", &message.cc_recipients),
        ("Bcc", &message.bcc_recipients),
    ];
    for (name, people) in lists.into_iter().filter(|(_, people)| !people.is_empty()) {
        add(name, &list(people));
    }
    add("Subject", &encoded(&message.subject));
    if let Some(id) = &message.internet_message_id {
        add("Message-ID", id);
    }
    match message.importance {
        Some(Importance::Low) => add("Importance", "low"),
        Some(Importance::High) => add("Importance", "high"),
        Some(Importance::Normal) | None => {}
    }
    if message.is_delivery_receipt_requested {
        add("Return-Receipt-To", &from);
    }
    if message.is_read_receipt_requested {
        add("Disposition-Notification-To", &from);
    }
    for field in &message.internet_message_headers {
        add(&field.name, &field.value);
    }
    let (kind, content) =
        message.body.as_ref().map_or((None, ""), |body| (body.content_type.as_deref(), &body.content));
    let html = kind.is_some_and(|kind| kind.eq_ignore_ascii_case("html"));
    add("MIME-Version", "1.0");
    add("Content-Type", if html { "text/html; charset=utf-8" } else { "text/plain; charset=utf-8" });
    add("Content-Transfer-Encoding", "base64");
    lines.push_str("\r\n");
    let encoded = STANDARD.encode(content);
    for line in encoded.as_bytes().chunks(76) {
        lines.push_str(&String::from_utf8_lossy(line));
        lines.push_str("\r\n");
    }
    lines.into_bytes()
}

fn written(person: &Recipient) -> String {
    let EmailAddress { address, name } = &person.email_address;
    if name.is_empty() { format!("<{address}>") } else { format!("{} <{address}>", encoded(name)) }
}

/// An encoded word (RFC 2047), whatever the text holds.
fn encoded(text: &str) -> String {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    for c in text.chars() {
        if piece.len() + c.len_utf8() > 40 {
            pieces.push(std::mem::take(&mut piece));
        }
        piece.push(c);
    }
    pieces.push(piece);
    let word = |piece: &String| format!("=?utf-8?B?{}?=", STANDARD.encode(piece));
    pieces.iter().filter(|piece| !piece.is_empty()).map(word).collect::<Vec<_>>().join("\r\n ")
}
