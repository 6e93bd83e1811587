//! An inbox, by whichever way the provider shows it.

use std::time::Duration;

use super::imap::ImapInbox;
use super::{WatchParts, WatchedBy, WatchedInbox};
use crate::clock::Timestamp;
use crate::delivery::Token;
use crate::delivery::graph::{self, inbox::GraphInbox};
use crate::delivery::web::Caller;
use crate::http::Http;
use crate::mail::Failure;
use crate::net::connect::Connector;
use crate::reading::UpstreamStream;
use crate::token::Purpose;

/// A message in the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::delivery) struct Item {
    pub(in crate::delivery) id: String,
    pub(in crate::delivery) at: Timestamp,
    /// Whether it is, or may be, a report about mail that did not arrive.
    pub(in crate::delivery) is_report: bool,
}

/// A part of the list, oldest first.
#[derive(PartialEq, Eq, Debug)]
pub(in crate::delivery) struct Page {
    pub(in crate::delivery) items: Vec<Item>,
    /// There is more behind it.
    pub(in crate::delivery) is_full: bool,
}

/// An inbox that is open.
pub(super) enum Source<'a> {
    Graph(GraphInbox<'a>),
    Imap(Box<ImapInbox<UpstreamStream>>),
}

impl<'a> Source<'a> {
    /// Opens it.
    pub(super) async fn open(
        parts: &'a WatchParts,
        inbox: &'a WatchedInbox,
        timeout: Duration,
    ) -> Result<Self, Failure> {
        let WatchParts { http, tokens, connector, .. } = parts;
        let account = &inbox.account;
        match &inbox.by {
            WatchedBy::Graph { base, by_name } => {
                let caller = Caller { http, tokens: &**tokens, account, purpose: Purpose::Inbox, timeout };
                Ok(Self::Graph(GraphInbox::new(caller, graph::root(base, *by_name, &inbox.mailbox)?)))
            }
            WatchedBy::Imap(server) => {
                // A token that is refused stays as it is: mail may go out with it, and whoever sends finds out for
                // themselves whether it is good.
                let token = tokens.access_token(account, Purpose::Inbox).await?;
                let place = (server, &inbox.mailbox);
                Ok(Self::Imap(Box::new(ImapInbox::enter(connector, place, timeout, &token.secret).await?)))
            }
        }
    }

    /// What came since then, oldest first, without the first `skipped` of it.
    pub(super) async fn list(&mut self, since: Timestamp, skipped: usize) -> Result<Page, Failure> {
        match self {
            Self::Graph(inbox) => inbox.list(since, skipped).await,
            Self::Imap(inbox) => inbox.list(since, skipped).await,
        }
    }

    /// The beginning of a message, enough for a report; `None`: there is no such message, or no MIME of it.
    pub(super) async fn mime(&mut self, id: &str) -> Result<Option<Vec<u8>>, Failure> {
        match self {
            Self::Graph(inbox) => inbox.mime(id).await,
            Self::Imap(inbox) => inbox.mime(id).await,
        }
    }

    /// Leaves it.
    pub(super) async fn close(self) {
        match self {
            Self::Graph(_) => {}
            Self::Imap(inbox) => inbox.close().await,
        }
    }
}

/// Whether the provider lets this token look into the inbox; `since` is not long ago. Each step may take as long as
/// `timeout`.
///
/// # Errors
/// Why not.
pub async fn try_inbox(
    inbox: &WatchedInbox,
    (http, connector): (&Http, &Connector),
    timeout: Duration,
    (token, since): (&Token, Timestamp),
) -> Result<(), Failure> {
    match &inbox.by {
        WatchedBy::Graph { base, by_name } => {
            GraphInbox::try_out(&graph::root(base, *by_name, &inbox.mailbox)?, http, timeout, token).await
        }
        WatchedBy::Imap(server) => {
            let place = (server, &inbox.mailbox);
            let mut inbox = ImapInbox::enter(connector, place, timeout, &token.secret).await?;
            inbox.list(since, 0).await?;
            inbox.close().await;
            Ok(())
        }
    }
}
