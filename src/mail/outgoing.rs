//! The header of a message as it leaves. A way with an envelope ([`for_envelope`]) has the client's `Bcc` taken away; a
//! way that mails to whom the header names ([`for_headers`]) has the header agree with the envelope. All octets that
//! are not edited leave as they came.

use super::edits::{Edit, Edits};
use super::header::HeaderBlock;
pub use super::sender::Sender;
use super::{Address, Envelope, ReversePath, SenderPolicy, originator, reconcile};

/// A header that is ready to leave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outgoing {
    /// The complete new header block, with the empty line at its end.
    pub header: Vec<u8>,
    /// Where the rest of the message goes on in the octets that the header was read from.
    pub body_offset: usize,
    /// The reverse path to send it under.
    pub reverse_path: ReversePath,
    /// What history should say: what was rewritten, and why.
    pub notes: Vec<String>,
}

/// The header for a way that has an envelope: `Bcc` and `Resent-Bcc` are taken away, the sender follows its policy.
/// `head` is the start of the message and holds the whole header block.
pub fn for_envelope(head: &[u8], envelope: &Envelope, sender: &Sender<'_>) -> Outgoing {
    let block = HeaderBlock::parse(head);
    let mut edits = Edits::new(&block);
    edits.for_each_named("Bcc", |_| Edit::Drop);
    edits.for_each_named("Resent-Bcc", |_| Edit::Drop);
    originator::apply(&mut edits, sender, envelope.smtputf8);
    let reverse_path = match (sender.policy, envelope.reverse_path()) {
        (SenderPolicy::Rewrite, ReversePath::Mailbox(_)) => ReversePath::Mailbox(sender.mailbox.clone()),
        (SenderPolicy::Rewrite, ReversePath::Null) | (SenderPolicy::Keep | SenderPolicy::Strict, _) => {
            envelope.reverse_path().clone()
        }
    };
    finish(edits, reverse_path)
}

/// The header for a way that mails to whom the header names: To, Cc and Bcc name exactly the envelope's recipients, and
/// those whom only the envelope names stand in Bcc. Where To and Cc have to change, the client's own lines are kept
/// under `X-Oxpost-Original-To` and `-Cc`. `head` is the start of the message and holds the whole header block.
pub fn for_headers(head: &[u8], envelope: &Envelope, sender: &Sender<'_>) -> Outgoing {
    let block = HeaderBlock::parse(head);
    let mut edits = Edits::new(&block);
    reconcile::apply(&mut edits, envelope);
    originator::apply(&mut edits, sender, envelope.smtputf8);
    match envelope.reverse_path() {
        ReversePath::Null => edits.note(format!(
            "sent under the mailbox `{}`: this way out cannot carry the null reverse path",
            sender.mailbox
        )),
        ReversePath::Mailbox(path) if sender.policy != SenderPolicy::Rewrite && path != sender.mailbox => {
            edits.note(format!(
                "sent under the mailbox `{}`: this way out cannot carry the reverse path `{path}`",
                sender.mailbox
            ));
        }
        ReversePath::Mailbox(_) => {}
    }
    finish(edits, ReversePath::Mailbox(sender.mailbox.clone()))
}

/// Whom To and Cc name though the envelope does not, each once. If there is anybody, a way with an envelope can leave
/// the header as it is, and a way without one cannot.
pub fn header_only_recipients(head: &[u8], envelope: &Envelope) -> Vec<Address> {
    reconcile::header_only(&HeaderBlock::parse(head), envelope)
}

fn finish(edits: Edits<'_, '_>, reverse_path: ReversePath) -> Outgoing {
    let body_offset = edits.block().octets();
    let (header, notes) = edits.into_header();
    Outgoing { header, body_offset, reverse_path, notes }
}

#[cfg(test)]
mod tests;
