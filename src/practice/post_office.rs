//! The mail that arrived, and what the tenant objected to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

use super::directory::same;
use super::letter::{self, Addresses};
use crate::clock::Timestamp;

/// How much is remembered: the newest so many messages, and the first so many findings.
const KEPT: usize = 1_000;

/// The way a message came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Via {
    /// Graph `sendMail`.
    Graph,
    /// SMTP submission.
    Smtp,
    /// The Gmail API.
    Gmail,
    /// Exchange Web Services.
    Ews,
}

impl std::fmt::Display for Via {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Graph => "graph",
            Self::Smtp => "smtp",
            Self::Gmail => "gmail",
            Self::Ews => "ews",
        })
    }
}

/// A message as it comes in.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    pub(super) via: Via,
    pub(super) signed_in: String,
    pub(super) mailbox: String,
    pub(super) reverse_path: Option<String>,
    pub(super) recipients: Vec<String>,
    pub(super) raw: Vec<u8>,
    /// What it was handed in as, if that was JSON.
    pub(super) object: Option<Value>,
}

/// A message that arrived.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// Counts from 1.
    pub number: u64,
    /// When it was taken.
    pub at: Timestamp,
    /// The way it came in.
    pub via: Via,
    /// Who signed in: an address, or a client id for an app on its own.
    pub signed_in: String,
    /// The mailbox it was sent from.
    pub mailbox: String,
    /// MAIL FROM, empty for `<>`; `None` for Graph, which has no envelope.
    pub reverse_path: Option<String>,
    /// Who gets it: RCPT in order and as given, repetitions included; for Graph the addresses in To, Cc and Bcc.
    pub recipients: Vec<String>,
    /// The message as it was handed in.
    pub raw: Arc<[u8]>,
    /// The request, if the message was handed in as JSON: `raw` was made of it.
    pub object: Option<Value>,
    /// The message as the recipients see it: Exchange takes Bcc out of what Graph sends, and leaves SMTP mail alone.
    pub shown: Arc<[u8]>,
}

/// What one recipient could see.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// The recipient.
    pub recipient: String,
    /// The header field that names them; `None` for a blind copy.
    pub named_in: Option<&'static str>,
    /// The header block they see.
    pub header: String,
    /// Blind recipients they can tell from that header. Must be empty.
    pub leaks: Vec<String>,
}

impl Arrived {
    /// What each recipient could see.
    pub fn seen(&self) -> Vec<Seen> {
        let addresses = Addresses::read(&self.shown);
        let header = letter::header_text(&self.shown);
        let searched = header.to_ascii_lowercase();
        let named_in = |who: &str| match who {
            _ if addresses.to.iter().any(|to| same(to, who)) => Some("To"),
            _ if addresses.cc.iter().any(|cc| same(cc, who)) => Some("Cc"),
            _ => None,
        };
        let blind = self.recipients.iter().filter(|who| named_in(who).is_none());
        let mut visible: Vec<&String> = blind.filter(|who| searched.contains(&who.to_ascii_lowercase())).collect();
        visible.extend(&addresses.bcc);
        visible.sort();
        visible.dedup_by(|left, right| same(left, right));
        let one = |recipient: &String| Seen {
            recipient: recipient.clone(),
            named_in: named_in(recipient),
            header: header.clone(),
            leaks: visible.iter().filter(|who| !same(who, recipient)).map(|who| (*who).clone()).collect(),
        };
        self.recipients.iter().map(one).collect()
    }

    /// What this recipient could see; `None` if they did not get it.
    pub fn seen_by(&self, recipient: &str) -> Option<Seen> {
        self.seen().into_iter().find(|seen| same(&seen.recipient, recipient))
    }

    /// The subject, decoded.
    pub fn subject(&self) -> String {
        letter::show(&self.shown).subject
    }
}

/// Something the tenant refused, or let through with a frown, because the client did it wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// When.
    pub at: Timestamp,
    /// The part that noticed.
    pub place: Place,
    /// What was wrong, in plain words. Never a token or a secret.
    pub what: String,
}

/// A part of the tenant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// The authorize page.
    Authorize,
    /// The token endpoint.
    Token,
    /// Graph.
    Graph,
    /// SMTP submission.
    Smtp,
    /// The Gmail API.
    Gmail,
    /// Exchange Web Services.
    Ews,
    /// IMAP and POP3.
    Reading,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Authorize => "authorize",
            Self::Token => "token",
            Self::Graph => "graph",
            Self::Smtp => "smtp",
            Self::Gmail => "gmail",
            Self::Ews => "ews",
            Self::Reading => "reading",
        })
    }
}

/// Where mail arrives.
pub(super) struct PostOffice {
    mail: Mutex<VecDeque<Arc<Arrived>>>,
    count: watch::Sender<u64>,
    findings: Mutex<Vec<Finding>>,
}

impl PostOffice {
    pub(super) fn new() -> Self {
        Self { mail: Mutex::default(), count: watch::Sender::new(0), findings: Mutex::default() }
    }

    /// Takes a message and wakes those who wait for it.
    pub(super) fn take(&self, incoming: Incoming, at: Timestamp) -> u64 {
        let raw: Arc<[u8]> = incoming.raw.into();
        let shown = match incoming.via {
            Via::Graph | Via::Gmail | Via::Ews => letter::without_bcc(&raw).into(),
            Via::Smtp => Arc::clone(&raw),
        };
        let mut mail = lock(&self.mail);
        let number = *self.count.borrow() + 1;
        mail.push_back(Arc::new(Arrived {
            number,
            at,
            via: incoming.via,
            signed_in: incoming.signed_in,
            mailbox: incoming.mailbox,
            reverse_path: incoming.reverse_path,
            recipients: incoming.recipients,
            raw,
            object: incoming.object,
            shown,
        }));
        if mail.len() > KEPT {
            mail.pop_front();
        }
        self.count.send_replace(number);
        number
    }

    /// The newest messages, oldest first.
    pub(super) fn mail(&self) -> Vec<Arc<Arrived>> {
        lock(&self.mail).iter().cloned().collect()
    }

    /// How many arrived in all.
    pub(super) fn count(&self) -> u64 {
        *self.count.borrow()
    }

    /// Waits until so many have arrived in all.
    pub(super) async fn reached(&self, count: u64) {
        // The sender lives as long as `self`, so the wait cannot fail.
        let _ = self.count.subscribe().wait_for(|arrived| *arrived >= count).await;
    }

    /// Notes what a client did wrong.
    pub(super) fn note(&self, at: Timestamp, place: Place, what: impl Into<String>) {
        let what = what.into();
        tracing::debug!(%place, %what, "the practice tenant objects");
        let mut findings = lock(&self.findings);
        if findings.len() < KEPT {
            findings.push(Finding { at, place, what });
        }
    }

    /// What clients did wrong so far.
    pub(super) fn findings(&self) -> Vec<Finding> {
        lock(&self.findings).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrived(via: Via, header: &str, recipients: &[&str]) -> Arc<Arrived> {
        let office = PostOffice::new();
        let incoming = Incoming {
            via,
            signed_in: "scanner@practice.example".into(),
            mailbox: "scanner@practice.example".into(),
            reverse_path: None,
            recipients: recipients.iter().map(|who| (*who).to_owned()).collect(),
            raw: format!("{header}\r\nText\r\n").into_bytes(),
            object: None,
        };
        office.take(incoming, Timestamp::default());
        office.mail().remove(0)
    }

    #[test]
    fn a_blind_copy_that_others_can_see_is_a_leak() {
        let bcc = "To: a@x.example\r\nBcc: b@x.example\r\n";
        let trace = "To: a@x.example\r\nReceived: for <b@x.example>\r\n";
        let clean = "To: a@x.example\r\n";
        let rows: [(Via, &str, &[&str], &str); 4] = [
            (Via::Smtp, bcc, &["b@x.example"], "SMTP mail keeps the field"),
            (Via::Graph, bcc, &[], "Exchange takes the field out"),
            (Via::Graph, trace, &["b@x.example"], "the field is not the only place"),
            (Via::Smtp, clean, &[], "the envelope alone shows nothing"),
        ];
        for (via, header, leaks, why) in rows {
            let mail = arrived(via, header, &["a@x.example", "b@x.example"]);
            assert_eq!(mail.seen_by("a@x.example").expect(why).leaks, leaks, "{why}");
            let own = mail.seen_by("B@x.example").expect(why);
            assert!(own.leaks.is_empty() && own.named_in.is_none(), "{why}: their own address is no secret to them");
        }
    }
}
