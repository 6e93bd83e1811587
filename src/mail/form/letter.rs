//! A message that is being written, and its MIME (RFC 5322, RFC 2045 to 2047, RFC 2183).

use std::borrow::Cow;

use mail_builder::headers::address::Address as Written;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::raw::Raw;
use mail_builder::headers::text::Text;
use mail_builder::headers::{Header, HeaderType};
use mail_builder::mime::{BodyPart, MimePart};

use crate::mail::{Address, QueueId};

/// Somebody, with the name shown for them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) address: Address,
}

/// Whom a message names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct People {
    /// Who wrote it.
    pub from: Vec<Address>,
    /// Who sent it for them.
    pub sender: Option<Address>,
    /// Everybody in To, Cc and Bcc, in that order.
    pub recipients: Vec<Address>,
}

/// What is shown: a text, or parts that hold texts.
#[derive(Clone, Debug)]
pub(super) enum Part<'a> {
    Text { media_type: String, text: &'a str },
    Parts { subtype: String, parts: Vec<Part<'a>> },
}

/// A file beside what is shown.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) media_type: String,
    pub(super) content_id: Option<String>,
    pub(super) inline: bool,
    /// What stands for its content until it is put together.
    pub(super) mark: String,
}

/// A message that is being written.
#[derive(Clone, Debug)]
pub(super) struct Letter<'a> {
    pub(super) from: Vec<Person>,
    pub(super) sender: Option<Person>,
    pub(super) reply_to: Vec<Person>,
    pub(super) to: Vec<Person>,
    pub(super) cc: Vec<Person>,
    pub(super) bcc: Vec<Person>,
    pub(super) subject: Option<&'a str>,
    /// Other fields, in their order.
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: Part<'a>,
    pub(super) files: Vec<File>,
}

impl Letter<'_> {
    pub(super) fn people(&self) -> People {
        let addresses = |people: &[Person]| people.iter().map(|person| person.address.clone()).collect::<Vec<_>>();
        People {
            from: addresses(&self.from),
            sender: self.sender.as_ref().map(|sender| sender.address.clone()),
            recipients: [&self.to, &self.cc, &self.bcc].into_iter().flat_map(|list| addresses(list)).collect(),
        }
    }

    /// The message in MIME, with the marks of its files.
    pub(super) fn write(self, id: QueueId) -> Vec<u8> {
        let mut out = Vec::new();
        let people = [
            ("From", &self.from),
            ("Sender", &self.sender.iter().cloned().collect()),
            ("Reply-To", &self.reply_to),
            ("To", &self.to),
            ("Cc", &self.cc),
            ("Bcc", &self.bcc),
        ];
        for (name, list) in people {
            if !list.is_empty() {
                field(&mut out, name, &addresses(list));
            }
        }
        if let Some(subject) = self.subject {
            field(&mut out, "Subject", &Text::new(subject).into());
        }
        for (name, value) in &self.fields {
            field(&mut out, name, &written(value));
        }
        out.extend_from_slice(b"MIME-Version: 1.0\r\n");
        let mut boundaries = Boundaries { id, used: 0 };
        whole(self.body, self.files, &mut boundaries).write_part(&mut out);
        out
    }
}

fn field(out: &mut Vec<u8>, name: &str, value: &HeaderType<'_>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    value.write_header(out, name.len() + 2);
}

fn addresses(people: &[Person]) -> HeaderType<'static> {
    let one = |person: &Person| {
        let name = Some(person.name.clone()).filter(|name| !name.is_empty());
        Written::new_address(name, person.address.to_string())
    };
    Written::new_list(people.iter().map(one).collect()).into()
}

/// ASCII as it is, where no reader could take it for something else; the rest in encoded words (RFC 2047).
fn written(value: &str) -> HeaderType<'static> {
    let as_it_is = value.is_ascii() && value.len() < 900;
    if as_it_is { Raw::new(value.to_owned()).into() } else { Text::new(value.to_owned()).into() }
}

/// Boundaries that neither base64 nor quoted-printable can hold, and that nobody knows beforehand.
struct Boundaries {
    id: QueueId,
    used: usize,
}

impl Boundaries {
    fn fresh(&mut self) -> String {
        self.used += 1;
        format!("=_{}_{}", self.id, self.used)
    }
}

/// What is shown, inline files beside it and the others behind.
fn whole<'a>(body: Part<'a>, files: Vec<File>, boundaries: &mut Boundaries) -> MimePart<'a> {
    let (inline, behind): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|file| file.inline && file.content_id.is_some());
    let shown = part(body, boundaries);
    let shown = beside("related", shown, inline, boundaries);
    beside("mixed", shown, behind, boundaries)
}

fn beside<'a>(subtype: &str, first: MimePart<'a>, files: Vec<File>, boundaries: &mut Boundaries) -> MimePart<'a> {
    if files.is_empty() {
        return first;
    }
    multipart(subtype, std::iter::once(first).chain(files.into_iter().map(attached)).collect(), boundaries)
}

fn multipart<'a>(subtype: &str, parts: Vec<MimePart<'a>>, boundaries: &mut Boundaries) -> MimePart<'a> {
    let kind = ContentType::new(format!("multipart/{subtype}")).attribute("boundary", boundaries.fresh());
    MimePart::new(kind, BodyPart::Multipart(parts))
}

fn part<'a>(body: Part<'a>, boundaries: &mut Boundaries) -> MimePart<'a> {
    match body {
        Part::Text { media_type, text } => MimePart::new(ContentType::new(media_type), BodyPart::Text(lines(text))),
        Part::Parts { subtype, parts } => {
            let parts = parts.into_iter().map(|inner| part(inner, boundaries)).collect();
            multipart(&subtype, parts, boundaries)
        }
    }
}

/// With CRLF at each line's end, whatever the program uses.
fn lines(text: &str) -> Cow<'_, str> {
    if !text.contains(['\r', '\n']) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + text.len() / 32);
    let mut rest = text;
    while let Some(at) = rest.find(['\r', '\n']) {
        out.push_str(&rest[..at]);
        out.push_str("\r\n");
        rest = &rest[at..];
        rest = rest.strip_prefix("\r\n").unwrap_or(&rest[1..]);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn attached<'a>(file: File) -> MimePart<'a> {
    let File { name, media_type, content_id, inline, mark } = file;
    let place = ContentType::new(if inline { "inline" } else { "attachment" }).attribute("filename", name.clone());
    let kind = ContentType::new(media_type).attribute("name", name);
    // A file must come out as it went in, a text too, so all files leave in base64.
    let part = MimePart::new(kind, BodyPart::Binary(mark.into_bytes().into()));
    let part = part.header("Content-Disposition", place).transfer_encoding("base64");
    match content_id {
        Some(id) => part.cid(id),
        None => part,
    }
}
