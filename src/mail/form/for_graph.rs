//! The Microsoft object as Graph is asked to send it: to exactly the recipients of the envelope, with the sender that the
//! client may have. What promise 2 asks of a header (docs/decisions/0005-header-recipients.md) it asks of these
//! properties as well.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::assembly::Assembly;
use super::json::{Fault, Node};
use super::letter::Person;
use super::microsoft;
use super::outline::Outline;
use crate::mail::{Address, Envelope, Sender, SenderPolicy};

/// Own header fields that Graph takes in JSON, each with a name that begins with `x-`.
const MAX_FIELDS: usize = 5;

/// What becomes of an object that is to leave by Graph.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ForGraph {
    /// It leaves as this request of `sendMail`.
    Object {
        /// The request's JSON.
        request: Assembly,
        /// What history should say.
        notes: Vec<String>,
    },
    /// It leaves as MIME, because of this.
    AsMime(String),
}

/// Makes the request that sends the object in `outline` to all recipients of `envelope`. `message_id` is the one it has
/// had from us, with its angle brackets.
///
/// # Errors
/// It is no Microsoft object.
pub fn for_graph(
    outline: Outline,
    envelope: &Envelope,
    sender: &Sender<'_>,
    message_id: Option<&str>,
) -> Result<ForGraph, Fault> {
    let (mut value, files) = outline.read()?;
    drop_nulls(&mut value);
    let root = Node::root(&value, &files);
    let (message, save) = microsoft::message(&root)?;
    if let Some(why) = only_as_mime(&message)? {
        return Ok(ForGraph::AsMime(why));
    }
    let save = save.map(|node| node.flag()).transpose()?;
    let attachments = attachments(&message)?;
    let lists = Lists::read(&message, envelope)?;
    let from = message.get("from").map(|node| microsoft::recipient(&node)).transpose()?;
    let has_reply_to = !microsoft::recipients_of(&message, "replyTo")?.is_empty();
    if lists.to.is_empty() {
        return Ok(ForGraph::AsMime("nobody is left in `toRecipients`, which Graph wants in an object".to_owned()));
    }
    let mut notes = lists.notes;
    let Some(mut object) = take_message(&mut value) else { return Ok(ForGraph::AsMime("it is no object".to_owned())) };
    for name in ["attachment", "saveToSentItems", "bccRecipients", "ccRecipients"] {
        object.remove(name);
    }
    if !attachments.is_empty() {
        object.insert("attachments".to_owned(), attachments.into());
    }
    for (name, list) in [("toRecipients", lists.to), ("ccRecipients", lists.cc), ("bccRecipients", lists.bcc)] {
        if !list.is_empty() {
            object.insert(name.to_owned(), list.iter().map(written).collect::<Vec<_>>().into());
        }
    }
    originator(&mut object, from.as_ref(), has_reply_to, (sender, &mut notes));
    if let Some(id) = message_id {
        object.insert("internetMessageId".to_owned(), id.into());
    }
    let mut request = json!({ "message": object });
    if let Some(save) = save {
        request["saveToSentItems"] = save.into();
    }
    // Writing a value into memory does not fail.
    let request = serde_json::to_vec(&request).unwrap_or_default();
    Ok(ForGraph::Object { request: Assembly::new(request, &files, false), notes })
}

/// Takes out what is `null`: for programs that is what is missing, but Graph refuses it where it wants a collection.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|_, value| !value.is_null());
            object.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Why Graph would not take the object.
fn only_as_mime(message: &super::json::Object<'_>) -> Result<Option<String>, Fault> {
    let Some(node) = message.get("internetMessageHeaders") else { return Ok(None) };
    let fields = microsoft::own_fields(&node, &["name", "value", "@odata.type"])?;
    if fields.len() > MAX_FIELDS {
        return Ok(Some(format!("Graph takes {MAX_FIELDS} `internetMessageHeaders` in an object")));
    }
    let odd = fields.iter().find(|(name, _)| !name.to_ascii_lowercase().starts_with("x-"));
    Ok(odd
        .map(|(name, _)| format!("Graph takes no header field `{name}` in an object, only those that begin with `x-`")))
}

/// The message itself, out of whatever it came in.
fn take_message(value: &mut Value) -> Option<Map<String, Value>> {
    let inner = if value.get("message").is_some() { value.get_mut("message")? } else { value };
    match inner.take() {
        Value::Object(object) => Some(object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
    }
}

/// The attachments with what Graph wants of each: its kind and a name.
fn attachments(message: &super::json::Object<'_>) -> Result<Vec<Value>, Fault> {
    let one = |(node, file): (Node<'_>, super::letter::File)| {
        let mut object = node.value().as_object().cloned().unwrap_or_default();
        object.insert("@odata.type".to_owned(), microsoft::FILE.into());
        object.insert("name".to_owned(), file.name.into());
        object.insert("contentType".to_owned(), file.media_type.into());
        if let Some(id) = file.content_id {
            object.insert("contentId".to_owned(), id.into());
        }
        Value::Object(object)
    };
    Ok(microsoft::files(message)?.into_iter().map(one).collect())
}

/// Who receives it, and where their names stand.
struct Lists {
    to: Vec<Person>,
    cc: Vec<Person>,
    bcc: Vec<Person>,
    notes: Vec<String>,
}

impl Lists {
    fn read(message: &super::json::Object<'_>, envelope: &Envelope) -> Result<Self, Fault> {
        let mut unnamed: HashMap<String, &Address> =
            envelope.recipients().iter().map(|to| (to.address.key(), &to.address)).collect();
        let mut notes = Vec::new();
        let mut shown = |name: &str| -> Result<Vec<Person>, Fault> {
            let named = microsoft::recipients_of(message, name)?;
            let count = named.len();
            let kept = named.into_iter().filter_map(|person| {
                let address = unnamed.remove(&person.address.key())?.clone();
                Some(Person { address, ..person })
            });
            let kept: Vec<_> = kept.collect();
            if kept.len() != count {
                notes.push(format!(
                    "{name} rewritten to the {} recipients of the envelope among the {count} it names",
                    kept.len()
                ));
            }
            Ok(kept)
        };
        let (to, cc) = (shown("toRecipients")?, shown("ccRecipients")?);
        let hidden = envelope.recipients().iter().map(|to| &to.address).filter(|to| unnamed.contains_key(&to.key()));
        let bcc = hidden.map(|address| Person { name: String::new(), address: address.clone() }).collect();
        Ok(Self { to, cc, bcc, notes })
    }
}

/// `from`, `sender` and `replyTo` after the client's sender policy.
fn originator(
    object: &mut Map<String, Value>,
    from: Option<&Person>,
    has_reply_to: bool,
    (sender, notes): (&Sender<'_>, &mut Vec<String>),
) {
    if sender.policy != SenderPolicy::Rewrite {
        return;
    }
    object.remove("sender");
    let Some(from) = from.filter(|from| from.address != *sender.mailbox) else { return };
    let own = Person { name: from.name.clone(), address: sender.mailbox.clone() };
    object.insert("from".to_owned(), written(&own));
    if !has_reply_to {
        object.insert("replyTo".to_owned(), vec![written(from)].into());
    }
    notes.push(format!("from rewritten to the mailbox `{}`", sender.mailbox));
}

fn written(person: &Person) -> Value {
    let address = person.address.to_string();
    if person.name.is_empty() {
        return json!({ "emailAddress": { "address": address } });
    }
    json!({ "emailAddress": { "address": address, "name": person.name } })
}
