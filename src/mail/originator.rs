//! From, Sender and Reply-To as they leave (RFC 5322 section 3.6.2), after the client's sender policy.

use super::address_list::{AddressList, DisplayName, Entry, ListWriter};
use super::edits::{Edit, Edits};
use super::{Address, Sender, SenderPolicy};

/// Addresses of an old From that are kept as Reply-To.
const MAX_REPLY_TO: usize = 20;

/// Has the sender fields follow the policy. Addresses beyond ASCII are copied only under `smtputf8` (RFC 6532).
pub(super) fn apply(edits: &mut Edits<'_, '_>, sender: &Sender<'_>, smtputf8: bool) {
    match sender.policy {
        SenderPolicy::Strict => {}
        SenderPolicy::Keep => repair(edits, sender.mailbox),
        SenderPolicy::Rewrite => rewrite(edits, sender.mailbox, smtputf8),
    }
}

/// Brackets an address that stands behind a bare name, and gives a From without address the mailbox. A From that
/// anybody can read is not touched.
fn repair(edits: &mut Edits<'_, '_>, mailbox: &Address) {
    let fields = edits.named("From");
    if fields.is_empty() {
        edits.add(&from_field(&DisplayName::default(), mailbox));
        edits.note("From was missing; the mailbox was put in");
    }
    for (number, field) in fields {
        let list = AddressList::parse(field.body());
        if list.entries.is_empty() {
            edits.set(number, Edit::Replace(from_field(&list.nameless.unwrap_or_default(), mailbox)));
            edits.note("From held no address; the mailbox was put in");
        } else if list.unbracketed {
            let mut writer = ListWriter::new("From");
            for entry in &list.entries {
                writer.push(&entry.name, &entry.address);
            }
            edits.set(number, writer.finish().map_or(Edit::Keep, Edit::Replace));
            edits.note("From repaired: its address stood without angle brackets");
        }
    }
}

/// One From field with the mailbox and the old name; the old addresses go to Reply-To if there was none.
fn rewrite(edits: &mut Edits<'_, '_>, mailbox: &Address, smtputf8: bool) {
    let fields = edits.named("From");
    let lists: Vec<AddressList<'_>> = fields.iter().map(|(_, field)| AddressList::parse(field.body())).collect();
    edits.for_each_named("Sender", |_| Edit::Drop);
    if let [list] = &lists[..]
        && list.plain
        && matches!(&list.entries[..], [only] if only.address == *mailbox)
    {
        return;
    }
    let name = lists.iter().find_map(shown_name).cloned().unwrap_or_default();
    let mut replacement = from_field(&name, mailbox);
    if edits.named("Reply-To").is_empty() {
        let mut writer = ListWriter::new("Reply-To");
        let sendable = |entry: &&Entry<'_>| entry.address != *mailbox && (smtputf8 || entry.address.is_ascii());
        for entry in lists.iter().flat_map(|list| &list.entries).filter(sendable).take(MAX_REPLY_TO) {
            writer.push(&entry.name, &entry.address);
        }
        replacement.extend(writer.finish().unwrap_or_default());
    }
    edits.note(format!("From rewritten to the mailbox `{mailbox}`"));
    if fields.is_empty() {
        edits.add(&replacement);
    }
    for (number, _) in fields {
        let octets = std::mem::take(&mut replacement);
        edits.set(number, if octets.is_empty() { Edit::Drop } else { Edit::Replace(octets) });
    }
}

/// The name shown for the first address, or the one that stands there without an address.
fn shown_name<'l, 'a>(list: &'l AddressList<'a>) -> Option<&'l DisplayName<'a>> {
    list.entries.first().map(|entry| &entry.name).or(list.nameless.as_ref()).filter(|name| !name.is_empty())
}

fn from_field(name: &DisplayName<'_>, mailbox: &Address) -> Vec<u8> {
    let mut writer = ListWriter::new("From");
    writer.push(name, mailbox);
    writer.finish().unwrap_or_default()
}
