//! Makes To, Cc and Bcc name exactly the recipients of the envelope, for ways out that read their recipients from there
//! (docs/decisions/0005-header-recipients.md). Only the header of the message itself is looked at, never that of a part
//! inside it.

use std::collections::{HashMap, HashSet};

use super::address_list::{AddressList, DisplayName, ListWriter};
use super::edits::{Edit, Edits};
use super::header::{Field, HeaderBlock};
use super::{Address, Envelope};

/// The fields of a message that was sent on by hand. Exchange takes them for the message's own when it reads MIME.
const RESENT: [&str; 4] = ["Resent-From", "Resent-Sender", "Resent-To", "Resent-Cc"];

/// Edits the header until it names the envelope's recipients and nobody else.
pub(super) fn apply(edits: &mut Edits<'_, '_>, envelope: &Envelope) {
    set_aside(edits);
    let mut unnamed: HashMap<String, &Address> =
        envelope.recipients().iter().map(|to| (to.address.key(), &to.address)).collect();
    shown_recipients(edits, "To", &mut unnamed);
    shown_recipients(edits, "Cc", &mut unnamed);
    let hidden: Vec<&Address> = envelope
        .recipients()
        .iter()
        .map(|to| &to.address)
        .filter(|address| unnamed.contains_key(&address.key()))
        .collect();
    hidden_recipients(edits, &hidden);
}

/// Whom To and Cc name though the envelope does not.
pub(super) fn header_only(block: &HeaderBlock<'_>, envelope: &Envelope) -> Vec<Address> {
    let mut known: HashSet<String> = envelope.recipients().iter().map(|to| to.address.key()).collect();
    let fields = block.fields().iter().filter(|field| field.is("To") || field.is("Cc"));
    fields
        .flat_map(|field| AddressList::parse(field.body()).into_addresses())
        .filter(|address| known.insert(address.key()))
        .collect()
}

/// What some readers would mail to, or take for a field, leaves under a name that means nothing to them.
fn set_aside(edits: &mut Edits<'_, '_>) {
    edits.for_each_named("Resent-Bcc", |_| Edit::Drop);
    for name in RESENT {
        edits.for_each_named(name, |field| Edit::Replace(renamed(&format!("X-Oxpost-Original-{name}"), field.body())));
    }
    let fields = edits.block().fields();
    for (number, line) in fields.iter().enumerate().filter(|(_, line)| !line.is_field()) {
        edits.set(number, Edit::Replace(renamed("X-Oxpost-Original-Line", line.raw())));
    }
}

/// Leaves in the field `name` those of `unnamed` whom it names, and takes them out of `unnamed`.
fn shown_recipients(edits: &mut Edits<'_, '_>, name: &str, unnamed: &mut HashMap<String, &Address>) {
    let fields = edits.named(name);
    let mut writer = ListWriter::new(name);
    let mut plain = fields.len() == 1;
    let (mut named, mut kept) = (0_usize, 0_usize);
    for (_, field) in &fields {
        let list = AddressList::parse(field.body());
        plain &= list.plain && !field.has_blank_before_colon();
        for entry in list.entries {
            named += 1;
            // The address is written as the envelope has it: those octets are what the client's RCPT was checked by.
            if let Some(address) = unnamed.remove(&entry.address.key()) {
                writer.push(&entry.name, address);
                kept += 1;
            }
        }
    }
    if plain && kept == named && kept > 0 {
        return;
    }
    let mut rewritten = writer.finish();
    for (number, field) in &fields {
        let mut octets = rewritten.take().unwrap_or_default();
        if !field.body().trim_ascii().is_empty() {
            octets.extend(renamed(&format!("X-Oxpost-Original-{name}"), field.body()));
        }
        edits.set(*number, Edit::Replace(octets));
    }
    if !fields.is_empty() {
        edits.note(format!(
            "{name} rewritten to the {kept} recipients of the envelope among the {named} it names; \
             as sent, it is in X-Oxpost-Original-{name}"
        ));
    }
}

/// Has one Bcc field name exactly `hidden`, or none if there is nobody.
fn hidden_recipients(edits: &mut Edits<'_, '_>, hidden: &[&Address]) {
    let fields = edits.named("Bcc");
    if let [(_, field)] = fields[..]
        && names_exactly(&field, hidden)
    {
        return;
    }
    edits.for_each_named("Bcc", |_| Edit::Drop);
    let mut writer = ListWriter::new("Bcc");
    for address in hidden {
        writer.push(&DisplayName::default(), address);
    }
    if let Some(field) = writer.finish() {
        edits.add(&field);
        edits.note(format!("{} recipients that neither To nor Cc names were put in Bcc", hidden.len()));
    } else if !fields.is_empty() {
        edits.note("Bcc taken away: it names nobody else who receives the message");
    }
}

fn names_exactly(field: &Field<'_>, wanted: &[&Address]) -> bool {
    let list = AddressList::parse(field.body());
    if !list.plain || field.has_blank_before_colon() || list.entries.len() != wanted.len() || wanted.is_empty() {
        return false;
    }
    let named: HashSet<String> = list.into_addresses().map(|address| address.key()).collect();
    named.len() == wanted.len() && wanted.iter().all(|address| named.contains(&address.key()))
}

/// The same body under another name. The first line is folded where the longer name would push it over 998 octets
/// (RFC 5322 section 2.1.1).
fn renamed(name: &str, body: &[u8]) -> Vec<u8> {
    let first_line = memchr::memchr(b'\r', body).unwrap_or(body.len());
    let mut field = format!("{name}:").into_bytes();
    if field.len() + 1 + first_line > 998 {
        field.extend_from_slice(b"\r\n");
    }
    if !body.first().is_some_and(|&octet| matches!(octet, b' ' | b'\t')) {
        field.push(b' ');
    }
    field.extend_from_slice(body);
    field
}
