//! `watch_inbox`: mailboxes that are looked into for reports about mail that did not arrive.

use std::time::Duration;

use super::accounts::is_named_in_path;
use super::fault::KeyPath;
use super::file;
use super::providers::Service;
use super::reader::Reader;
use crate::account::MailboxRule;
use crate::delivery::{WatchedBy, WatchedInbox};

/// More often is no use, and costs requests that sending needs.
const SHORTEST: Duration = Duration::from_secs(10);

/// What is watched of an account, if anything is.
pub(super) fn of_account(
    reader: &mut Reader<'_>,
    (at, name): (&KeyPath, &str),
    typed: &file::Account,
    (service, mailbox): (&Service, Option<&MailboxRule>),
) -> Option<WatchedInbox> {
    let key = at.key("watch_inbox_every");
    let every = reader.duration(key.clone(), &typed.watch_inbox_every);
    if every < SHORTEST && !reader.is_faulty(&key) {
        let cause = format!("`{}` is too often", typed.watch_inbox_every.as_str());
        reader.fault(key, cause, "write `10 s` or more");
    }
    if !typed.watch_inbox {
        return None;
    }
    let by = by(reader, at, typed, service)?;
    match mailbox? {
        MailboxRule::One(mailbox) => Some(WatchedInbox {
            account: name.to_owned(),
            provider: typed.provider.clone().unwrap_or_default(),
            mailbox: mailbox.clone(),
            by,
            app_only: typed.grant.is_app(),
            every,
        }),
        MailboxRule::Domain(domain) => {
            let cause = format!("the account is for every mailbox of `{domain}`, and one mailbox can be watched");
            let remedy = "write an account for the mailbox to watch, or take it out";
            reader.fault(at.key("watch_inbox"), cause, remedy);
            None
        }
    }
}

/// Graph where there is one: its list tells what Exchange takes for a report, in every language.
fn by(reader: &mut Reader<'_>, at: &KeyPath, typed: &file::Account, service: &Service) -> Option<WatchedBy> {
    if let Some(base) = service.graph_url.clone() {
        return Some(WatchedBy::Graph { base, by_name: is_named_in_path(typed) });
    }
    let by = service.reading.imap.clone().map(WatchedBy::Imap);
    let provider = typed.provider.as_deref().unwrap_or_default();
    let keys = KeyPath::root().key("provider").key(provider);
    if by.is_none() && !["graph_url", "imap_host"].iter().any(|key| reader.is_faulty(&keys.clone().key(key))) {
        let cause = format!("mailboxes are watched by Graph or IMAP, and the provider `{provider}` has neither");
        reader.fault(at.key("watch_inbox"), cause, "write the provider's `imap_host`, or take `watch_inbox` out");
    }
    by
}
