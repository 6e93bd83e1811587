//! The newest events.

use askama::Template;
use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;

use super::Page;
use super::view::{Frame, Moment, Visitor, html};
use crate::telemetry::Entry;

/// Events on one page.
const SHOWN: usize = 200;

pub(super) fn routes() -> Router<Page> {
    Router::new().route("/events", get(list))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Wanted {
    account: String,
    /// `warnings`, or everything.
    only: String,
}

#[derive(Template)]
#[template(path = "admin/events.html")]
struct EventsPage {
    frame: Frame,
    accounts: Vec<String>,
    account: String,
    warnings: bool,
    entries: Vec<(Moment, Entry)>,
}

async fn list(State(page): State<Page>, visitor: Visitor, Query(wanted): Query<Wanted>) -> Response {
    let warnings = wanted.only == "warnings";
    let picked = |entry: &Entry| {
        (!warnings || entry.warning)
            && (wanted.account.is_empty() || entry.account.as_deref() == Some(wanted.account.as_str()))
    };
    let entries = page.control.journal.newest(SHOWN, picked);
    html(&EventsPage {
        frame: page.frame(&visitor, "events"),
        accounts: page.setup().accounts.iter().map(|account| account.name.clone()).collect(),
        account: wanted.account,
        warnings,
        entries: entries.into_iter().map(|entry| (entry.at.into(), entry)).collect(),
    })
}
