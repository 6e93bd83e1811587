//! The gateway itself: how it does, what happened, its configuration.

use std::collections::HashMap;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use url::Url;

use super::super::Control;
use super::access::{for_the_owner, needs};
use super::{Problem, Query, Scope};
use crate::clock::Timestamp;
use crate::delivery::AccountWays;
use crate::queue::{Backlog, MailboxKey, Totals};
use crate::telemetry::{Entry, Hour};

/// Events in one answer.
const MOST: usize = 1_000;

pub(super) fn routes() -> Router<Control> {
    let read = Router::new().route("/overview", get(overview)).route("/events", get(events));
    let manage = Router::new().route("/reload", post(reload));
    let owner = Router::new().route("/page-link", post(page_link));
    needs(Scope::Read, read).merge(needs(Scope::Manage, manage)).merge(for_the_owner(owner))
}

/// How the gateway does.
#[derive(Debug, Serialize, Deserialize)]
pub struct Overview {
    /// Its version.
    pub version: String,
    /// Messages by where they stand.
    pub totals: Totals,
    /// The last day by the hour, oldest first.
    pub day: Vec<Hour>,
    /// The mail that waits, mailbox by mailbox, most messages first.
    pub waiting: Vec<Waiting>,
}

/// The mail of a mailbox that waits.
#[derive(Debug, Serialize, Deserialize)]
pub struct Waiting {
    /// The name of the provider.
    pub provider: String,
    /// The mailbox.
    pub mailbox: String,
    /// Messages that wait, attempts under way not among them.
    pub messages: u64,
    /// Their recipients.
    pub recipients: u64,
    /// Whether the mailbox is held.
    pub held: bool,
    /// When the last of them will have gone, as the mailbox's limits allow and if nothing comes between; `None`: it is
    /// held, or no limit says.
    pub drained: Option<Timestamp>,
}

impl Waiting {
    /// All of it.
    pub(in super::super) async fn all(control: &Control) -> Result<Vec<Self>, Problem> {
        let (setup, now) = (control.setup.load(), control.clock.now());
        let backlogs = control.queue.backlogs().await?;
        Ok(backlogs.into_iter().map(|backlog| Self::of(backlog, &setup.ways, now)).collect())
    }

    fn of(backlog: Backlog, ways: &HashMap<String, AccountWays>, now: Timestamp) -> Self {
        let drained = backlog.drained(&AccountWays::rates(AccountWays::of_mailbox(ways, &backlog.key)), now);
        let Backlog { key: MailboxKey { provider, mailbox }, messages, recipients, held, .. } = backlog;
        Self { provider, mailbox, messages, recipients, held, drained }
    }
}

/// Events, newest first.
#[derive(Debug, Serialize, Deserialize)]
pub struct EventList {
    /// The events.
    pub events: Vec<Entry>,
}

/// Which events.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    account: Option<String>,
    warnings: bool,
    limit: Option<usize>,
}

/// A link that lets into the page, once.
#[derive(Debug, Serialize, Deserialize)]
pub struct PageLink {
    /// The link.
    pub url: Url,
}

/// What a reload did.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reloaded {
    /// In words.
    pub text: String,
}

async fn overview(State(control): State<Control>) -> Result<Json<Overview>, Problem> {
    let totals = control.queue.totals().await?;
    let (version, day) = (env!("CARGO_PKG_VERSION").to_owned(), control.journal.day());
    Ok(Json(Overview { version, totals, day, waiting: Waiting::all(&control).await? }))
}

async fn events(State(control): State<Control>, Query(wanted): Query<Wanted>) -> Json<EventList> {
    let picked = |entry: &Entry| {
        (!wanted.warnings || entry.warning) && (wanted.account.is_none() || entry.account == wanted.account)
    };
    Json(EventList { events: control.journal.newest(wanted.limit.unwrap_or(MOST).min(MOST), picked) })
}

async fn page_link(State(control): State<Control>) -> Result<Json<PageLink>, Problem> {
    let none = || {
        Problem::new(StatusCode::CONFLICT, "no gateway with a page is running", None)
            .hint("start it with `oxpost serve`, and see that `enabled` in `[admin]` is not false")
    };
    control.links.make().map(|url| Json(PageLink { url })).ok_or_else(none)
}

async fn reload(State(control): State<Control>) -> Result<Json<Reloaded>, Problem> {
    let Some(reload) = control.reload else {
        return Err(Problem::new(StatusCode::CONFLICT, "no gateway is running", None));
    };
    let refused = |error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error, None);
    reload().await.map(|text| Json(Reloaded { text })).map_err(refused)
}
