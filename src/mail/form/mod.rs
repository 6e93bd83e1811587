//! Messages that programs hand in as JSON, in the forms that 4D NetKit has: the Microsoft mail object and the JMAP one.
//! Here they become MIME, with the people they name; and the Microsoft object becomes what Graph is asked to send. What
//! cannot be understood is a [`Fault`] with the path of the property.

mod assembly;
mod file;
mod for_graph;
mod jmap;
mod json;
mod letter;
mod microsoft;
mod outline;
#[cfg(test)]
mod tests;

pub use assembly::{Assembly, Filling, Piece};
pub use for_graph::{ForGraph, for_graph};
pub use json::Fault;
pub use letter::People;
pub use outline::{Outline, Outliner};

use super::{Address, QueueId};

/// A form that a message may be handed in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Microsoft's mail object, alone or as `message` beside `saveToSentItems` (Microsoft Learn, "message resource
    /// type", "user: sendMail").
    Microsoft,
    /// 4D's e-mail object, which follows RFC 8621 in part.
    Jmap,
}

/// A property that was understood and goes nowhere.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct NotCarried {
    /// Its path.
    pub property: String,
    /// Why.
    pub why: String,
}

/// A message out of JSON.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Composed {
    /// The message in MIME. `Date`, `Message-ID` and `From` are there only if the program gave them.
    pub mime: Assembly,
    /// Whom it names.
    pub people: People,
    /// What MIME cannot carry of it.
    pub not_in_mime: Vec<NotCarried>,
    /// What nobody can carry of it.
    pub ignored: Vec<NotCarried>,
}

/// Reads a message in a form and makes MIME of it: the same octets each time. `id` makes its boundaries, `mailbox` is
/// where receipts go if the program names no sender.
///
/// # Errors
/// The first property that cannot be understood.
pub fn compose(form: Form, outline: Outline, id: QueueId, mailbox: Option<&Address>) -> Result<Composed, Fault> {
    let (value, files) = outline.read()?;
    let root = json::Node::root(&value, &files);
    let read = match form {
        Form::Microsoft => microsoft::read(&root, mailbox)?,
        Form::Jmap => jmap::read(&root)?,
    };
    let microsoft::Read { letter, not_in_mime, ignored } = read;
    let people = letter.people();
    Ok(Composed { mime: Assembly::new(letter.write(id), &files, true), people, not_in_mime, ignored })
}
