//! `watch_inbox`: mailboxes that are looked into for reports about mail that did not arrive.

use std::time::Duration;

use super::accounts::is_named_in_path;
use super::fault::KeyPath;
use super::file;
use super::providers::Service;
use super::reader::Reader;
use crate::account::MailboxRule;
use crate::delivery::WatchedInbox;

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
    let key = at.key("watch_inbox");
    let provider = typed.provider.clone().unwrap_or_default();
    let Some(base) = service.graph_url.clone() else {
        if !reader.is_faulty(&KeyPath::root().key("provider").key(&provider).key("graph_url")) {
            let cause =
                format!("mailboxes are watched by Microsoft Graph alone, and the provider `{provider}` has none");
            reader.fault(key, cause, "take it out; reports lie in the mailbox itself");
        }
        return None;
    };
    match mailbox? {
        MailboxRule::One(mailbox) => Some(WatchedInbox {
            account: name.to_owned(),
            provider,
            mailbox: mailbox.clone(),
            base,
            by_name: is_named_in_path(typed),
            app_only: typed.grant.is_app(),
            every,
        }),
        MailboxRule::Domain(domain) => {
            let cause = format!("the account is for every mailbox of `{domain}`, and one mailbox can be watched");
            reader.fault(key, cause, "write an account for the mailbox to watch, or take it out");
            None
        }
    }
}
