//! 4D's e-mail object: the names are those of RFC 8621, the forms in part 4D's own.

use std::collections::HashMap;

use super::NotCarried;
use super::json::{Fault, Node, Object, is_line};
use super::letter::{File, Letter, Part, Person};
use super::microsoft::{Read, media_type, own_fields, without_brackets};
use crate::clock::Timestamp;
use crate::mail::address_list::AddressList;

/// What only a server says of a message.
const FROM_A_SERVER: [&str; 4] = ["id", "receivedAt", "size", "stringTrailer"];
const KNOWN: [&str; 23] = [
    "attachments",
    "bcc",
    "bodyStructure",
    "bodyValues",
    "cc",
    "comments",
    "from",
    "headers",
    "htmlBody",
    "id",
    "inReplyTo",
    "keywords",
    "messageId",
    "receivedAt",
    "references",
    "replyTo",
    "sendAt",
    "sender",
    "size",
    "stringTrailer",
    "subject",
    "textBody",
    "to",
];
/// Parts in one another.
const MAX_DEPTH: usize = 20;

pub(super) fn read<'a>(root: &Node<'a>) -> Result<Read<'a>, Fault> {
    let mail = root.object(&KNOWN)?;
    let ignored = FROM_A_SERVER.iter().filter(|name| mail.get(name).is_some()).map(|name| NotCarried {
        property: (*name).to_owned(),
        why: "it is what a server says of a message that it has; nobody sends it".to_owned(),
    });
    let everybody = |name: &str| mail.get(name).map(|node| people(&node)).transpose().map(Option::unwrap_or_default);
    let letter = Letter {
        from: everybody("from")?,
        sender: everybody("sender")?.into_iter().next(),
        reply_to: everybody("replyTo")?,
        to: everybody("to")?,
        cc: everybody("cc")?,
        bcc: everybody("bcc")?,
        subject: mail.get("subject").map(|node| node.line()).transpose()?,
        fields: fields(&mail)?,
        body: body(&mail)?,
        files: files(&mail)?,
    };
    Ok(Read { letter, not_in_mime: Vec::new(), ignored: ignored.collect() })
}

/// `a@x`, `Name <a@x>, b@y`, {name, email}, or a collection of those.
fn people(node: &Node<'_>) -> Result<Vec<Person>, Fault> {
    if node.value().is_array() {
        let lists: Vec<_> = node.list()?.iter().map(people).collect::<Result<_, _>>()?;
        return Ok(lists.into_iter().flatten().collect());
    }
    if node.value().is_object() {
        let person = node.object(&["name", "email"])?;
        let name = person.get("name").map(|name| name.line()).transpose()?.unwrap_or_default();
        return Ok(vec![Person { name: name.to_owned(), address: person.need("email")?.address()? }]);
    }
    let text = node.line()?;
    let list = AddressList::parse(text.as_bytes());
    if list.nameless.is_some() || (list.entries.is_empty() && !text.trim().is_empty()) {
        return Err(node.fault(format!("`{text}` holds something that is no address")));
    }
    Ok(list.entries.into_iter().map(|entry| Person { name: entry.name.text(), address: entry.address }).collect())
}

/// Header fields other than people and subject.
fn fields(mail: &Object<'_>) -> Result<Vec<(String, String)>, Fault> {
    let mut fields = Vec::new();
    let mut add = |name: &str, value: String| fields.push((name.to_owned(), value));
    if let Some(node) = mail.get("sendAt") {
        add("Date", time(&node)?.rfc5322());
    }
    if let Some(node) = mail.get("messageId") {
        add("Message-ID", message_ids(&node)?);
    }
    if let Some(node) = mail.get("inReplyTo") {
        add("In-Reply-To", message_ids(&node)?);
    }
    if let Some(node) = mail.get("references") {
        add("References", message_ids(&node)?);
    }
    if let Some(node) = mail.get("comments") {
        add("Comments", node.line()?.to_owned());
    }
    if let Some(node) = mail.get("keywords") {
        add("Keywords", keywords(&node)?);
    }
    if let Some(node) = mail.get("headers") {
        fields.extend(own_fields(&node, &["name", "value"])?);
    }
    fields.retain(|(_, value)| !value.is_empty());
    Ok(fields)
}

fn time(node: &Node<'_>) -> Result<Timestamp, Fault> {
    let text = node.text()?;
    let utc = |at: jiff::civil::DateTime| at.to_zoned(jiff::tz::TimeZone::UTC).map(|at| at.timestamp());
    let at = text.parse::<jiff::Timestamp>().or_else(|_| text.parse().and_then(utc));
    let at = at.map_err(|_| node.fault(format!("`{text}` is no time; write it as `2026-11-21T08:00:00Z`")))?;
    Ok(Timestamp::from_millis(at.as_millisecond()))
}

/// One id, or several with blanks between, or a collection of them; in angle brackets in the end.
fn message_ids(node: &Node<'_>) -> Result<String, Fault> {
    let texts = if node.value().is_array() {
        node.list()?.iter().map(|id| id.line().map(str::to_owned)).collect::<Result<Vec<_>, _>>()?
    } else {
        vec![node.line()?.to_owned()]
    };
    let words = texts.iter().flat_map(|text| text.split_whitespace()).map(without_brackets);
    let ids: Vec<String> = words.filter(|id| !id.is_empty()).map(|id| format!("<{id}>")).collect();
    match ids.iter().find(|id| !id.is_ascii()) {
        Some(odd) => Err(node.fault(format!("`{odd}` is no message id"))),
        None => Ok(ids.join(" ")),
    }
}

/// `{word: true}`, a text, or a collection of texts.
fn keywords(node: &Node<'_>) -> Result<String, Fault> {
    if node.value().is_object() {
        let mut words = Vec::new();
        for (word, wanted) in node.any_object()?.entries() {
            if !is_line(word) {
                return Err(wanted.fault("write its name without control characters"));
            }
            if wanted.flag()? {
                words.push(word.to_owned());
            }
        }
        return Ok(words.join(", "));
    }
    if node.value().is_array() {
        return Ok(node.list()?.iter().map(|word| word.line()).collect::<Result<Vec<_>, _>>()?.join(", "));
    }
    Ok(node.line()?.to_owned())
}

/// `textBody` and `htmlBody`, or `bodyStructure` with `bodyValues`.
fn body<'a>(mail: &Object<'a>) -> Result<Part<'a>, Fault> {
    let text = |name: &str| mail.get(name).map(|node| node.text()).transpose();
    let (plain, html) = (text("textBody")?, text("htmlBody")?);
    let Some(structure) = mail.get("bodyStructure") else {
        if let Some(values) = mail.get("bodyValues") {
            return Err(values.fault("nothing says where these texts belong; add `bodyStructure`"));
        }
        let plain = plain.map(|text| Part::Text { media_type: "text/plain".to_owned(), text });
        let html = html.map(|text| Part::Text { media_type: "text/html".to_owned(), text });
        return Ok(match (plain, html) {
            (Some(plain), Some(html)) => Part::Parts { subtype: "alternative".to_owned(), parts: vec![plain, html] },
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => Part::Text { media_type: "text/plain".to_owned(), text: "" },
        });
    };
    if plain.is_some() || html.is_some() {
        return Err(structure.fault("there is `textBody` or `htmlBody` as well; write these or those"));
    }
    let values = values(&mail.need("bodyValues")?)?;
    tree(&structure, &values, MAX_DEPTH)
}

/// The texts of `bodyValues` by `partId`.
fn values<'a>(node: &Node<'a>) -> Result<HashMap<&'a str, &'a str>, Fault> {
    let one = |(id, node): (&'a str, Node<'a>)| {
        let value = node.object(&["value", "isEncodingProblem", "isTruncated"])?;
        for name in ["isEncodingProblem", "isTruncated"] {
            value.get(name).map(|node| node.flag()).transpose()?;
        }
        Ok((id, value.need("value")?.text()?))
    };
    node.any_object()?.entries().map(one).collect()
}

fn tree<'a>(node: &Node<'a>, values: &HashMap<&'a str, &'a str>, depth: usize) -> Result<Part<'a>, Fault> {
    let part = node.object(&["partId", "type", "subParts"])?;
    let at = part.need("type")?;
    let kind = at.line()?.to_ascii_lowercase();
    if let Some(subtype) = kind.strip_prefix("multipart/") {
        if depth == 0 {
            return Err(node.fault(format!("there are more than {MAX_DEPTH} parts in one another")));
        }
        let inner = part.need("subParts")?;
        let parts: Vec<_> = inner.list()?.iter().map(|part| tree(part, values, depth - 1)).collect::<Result<_, _>>()?;
        let fine = subtype.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-') && !subtype.is_empty();
        if parts.is_empty() || !fine {
            return Err(inner.fault(format!("`{kind}` needs parts")));
        }
        return Ok(Part::Parts { subtype: subtype.to_owned(), parts });
    }
    let media_type = media_type(&at)?;
    if !media_type.starts_with("text/") {
        return Err(at.fault(format!("`{media_type}` is no text; files belong into `attachments`")));
    }
    let id = part.need("partId")?;
    let text = values.get(id.text()?).copied();
    Ok(Part::Text { media_type, text: text.ok_or_else(|| id.fault("`bodyValues` has no such part"))? })
}

fn files(mail: &Object<'_>) -> Result<Vec<File>, Fault> {
    let Some(list) = mail.get("attachments") else { return Ok(Vec::new()) };
    let one = |(number, node): (usize, &Node<'_>)| {
        let file = node.object(&["content", "name", "cid", "type", "disposition", "size", "partId", "blobId"])?;
        let line = |name: &str| file.get(name).map(|node| node.line()).transpose();
        let place = file.get("disposition").map(|node| node.word(&["attachment", "inline"])).transpose()?;
        let content_id = line("cid")?.map(without_brackets).filter(|id| !id.is_empty());
        let media_type = match file.get("type") {
            Some(node) => media_type(&node)?,
            None => "application/octet-stream".to_owned(),
        };
        Ok(File {
            name: line("name")?.map_or_else(|| format!("attachment-{}", number + 1), str::to_owned),
            media_type,
            inline: place == Some("inline"),
            content_id,
            mark: file.need("content")?.file()?.to_owned(),
        })
    };
    list.list()?.iter().enumerate().map(one).collect()
}
