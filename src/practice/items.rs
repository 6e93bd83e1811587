//! What lies in the mailboxes: drafts with their attachments, upload sessions, and Sent Items. A value without I/O.

use std::collections::{HashMap, VecDeque};

use super::directory::same;
use super::ledger::random_text;
use super::letter;
use crate::clock::Timestamp;

/// A file attached to a draft.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Attachment {
    pub(super) name: String,
    pub(super) content_type: String,
    pub(super) content_id: Option<String>,
    pub(super) inline: bool,
    pub(super) octets: Vec<u8>,
}

/// A message that was not sent yet.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) mailbox: String,
    /// The MIME it was made from.
    pub(super) raw: Vec<u8>,
    pub(super) attachments: Vec<Attachment>,
    /// Whether its id was asked for as one that lasts (`Prefer: IdType="ImmutableId"`).
    lasting: bool,
}

/// A file that comes in ranges.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) draft: String,
    /// Must be in the URL, in place of an `Authorization` field.
    pub(super) token: String,
    /// Octets there will be.
    pub(super) size: usize,
    /// What has come so far is in its `octets`.
    pub(super) file: Attachment,
    pub(super) expires: Timestamp,
}

/// A message in Sent Items.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Sent {
    pub(super) mailbox: String,
    pub(super) id: String,
    /// With its angle brackets; empty if the message had none.
    pub(super) message_id: String,
    pub(super) at: Timestamp,
}

/// A message in an inbox.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Lying {
    mailbox: String,
    pub(super) id: String,
    /// Nobody sees it before.
    pub(super) at: Timestamp,
    /// `PidTagMessageClass`.
    pub(super) class: String,
    pub(super) from: String,
    pub(super) subject: String,
    pub(super) raw: Vec<u8>,
}

/// The newest so many messages of all inboxes are remembered.
const LYING: usize = 5_000;

/// All mailboxes together.
#[derive(Default)]
pub(super) struct Items {
    drafts: HashMap<String, Draft>,
    uploads: HashMap<String, Upload>,
    sent: Vec<Sent>,
    inbox: VecDeque<Lying>,
}

impl Items {
    /// Keeps a draft; the answer is its id, which has characters that a URL must not have as they are.
    pub(super) fn new_draft(&mut self, mailbox: &str, raw: Vec<u8>, lasting: bool) -> String {
        let id = format!("AAMk{}/x+=", random_text(60));
        let draft = Draft { mailbox: mailbox.to_owned(), raw, attachments: Vec::new(), lasting };
        self.drafts.insert(id.clone(), draft);
        id
    }

    /// A draft of this mailbox.
    pub(super) fn draft(&mut self, mailbox: &str, id: &str) -> Option<&mut Draft> {
        self.drafts.get_mut(id).filter(|draft| same(&draft.mailbox, mailbox))
    }

    /// Takes a draft out.
    pub(super) fn remove_draft(&mut self, mailbox: &str, id: &str) -> Option<Draft> {
        self.draft(mailbox, id)?;
        self.uploads.retain(|_, upload| upload.draft != id);
        self.drafts.remove(id)
    }

    /// How many drafts there are.
    pub(super) fn drafts(&self) -> usize {
        self.drafts.len()
    }

    /// Notes a message as sent, under the id of the draft it was if that one lasts.
    pub(super) fn sent(&mut self, mailbox: &str, id: Option<String>, raw: &[u8], at: Timestamp) {
        let id = id.unwrap_or_else(|| format!("AAMk{}=", random_text(60)));
        self.sent.push(Sent { mailbox: mailbox.to_owned(), id, message_id: message_id_of(raw), at });
    }

    /// Puts a message of this class into the inbox, to be seen from `at` on.
    pub(super) fn put_into_inbox(&mut self, mailbox: &str, class: &str, raw: Vec<u8>, at: Timestamp) {
        let from = letter::Addresses::read(&raw).from.into_iter().next().unwrap_or_default();
        let (id, subject) = (format!("AAMk{}/i+=", random_text(60)), letter::show(&raw).subject);
        let (mailbox, class) = (mailbox.to_owned(), class.to_owned());
        self.inbox.push_back(Lying { mailbox, id, at, class, from, subject, raw });
        if self.inbox.len() > LYING {
            self.inbox.pop_front();
        }
    }

    /// What lies in the inbox now.
    pub(super) fn inbox(&self, mailbox: &str, now: Timestamp) -> impl Iterator<Item = &Lying> {
        self.inbox.iter().filter(move |lying| same(&lying.mailbox, mailbox) && lying.at <= now)
    }

    /// The id that a draft has once it is sent: the same if it lasts.
    pub(super) fn id_after_sending(&mut self, mailbox: &str, id: &str) -> Option<String> {
        let lasts = self.draft(mailbox, id).is_some_and(|draft| draft.lasting);
        lasts.then(|| id.to_owned())
    }

    /// Sent messages of a mailbox.
    pub(super) fn sent_items(&self, mailbox: &str) -> impl Iterator<Item = &Sent> {
        self.sent.iter().filter(move |sent| same(&sent.mailbox, mailbox))
    }

    /// The ids of the drafts of a mailbox with this `Message-ID`.
    pub(super) fn drafts_with(&self, mailbox: &str, message_id: &str) -> Vec<String> {
        let meant = |draft: &Draft| same(&draft.mailbox, mailbox) && message_id_of(&draft.raw) == message_id;
        self.drafts.iter().filter(|(_, draft)| meant(draft)).map(|(id, _)| id.clone()).collect()
    }

    /// Opens an upload session; the answer is its id.
    pub(super) fn open_upload(&mut self, upload: Upload) -> String {
        let id = random_text(30);
        self.uploads.insert(id.clone(), upload);
        id
    }

    /// A session, if `token` opens it.
    pub(super) fn upload(&mut self, id: &str, token: &str) -> Option<&mut Upload> {
        self.uploads.get_mut(id).filter(|upload| upload.token == token)
    }

    /// Ends a session; what came in whole is attached.
    pub(super) fn end_upload(&mut self, id: &str) {
        let Some(Upload { draft, size, file, .. }) = self.uploads.remove(id) else { return };
        if file.octets.len() == size
            && let Some(draft) = self.drafts.get_mut(&draft)
        {
            draft.attachments.push(file);
        }
    }
}

/// With its angle brackets; empty if there is none.
fn message_id_of(raw: &[u8]) -> String {
    letter::message_id(raw).unwrap_or_default()
}
