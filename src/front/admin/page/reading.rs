//! Who is reading: the open sessions, and a button that ends one.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;

use super::Page;
use super::view::{Frame, Moment, Visitor, html};
use crate::front::admin::Problem;
use crate::front::reading::SessionView;

pub(super) fn routes() -> Router<Page> {
    Router::new().route("/reading", get(list)).route("/reading/{id}/close", post(close))
}

/// A session as the page shows it.
struct Row {
    session: SessionView,
    since: Moment,
    /// Octets from the client and to it, as people write them.
    up: String,
    down: String,
}

impl From<SessionView> for Row {
    fn from(session: SessionView) -> Self {
        let (up, down) = (size(session.up), size(session.down));
        Self { since: session.since.into(), up, down, session }
    }
}

#[derive(Template)]
#[template(path = "admin/reading.html")]
struct ReadingPage {
    frame: Frame,
    rows: Vec<Row>,
    /// Whether there is a listener that anybody could read through.
    has_listener: bool,
}

async fn list(State(page): State<Page>, visitor: Visitor) -> Response {
    let rows = page.control.reading.list().into_iter().map(Row::from).collect();
    let has_listener = page.setup().submission.listeners.iter().any(|listener| listener.protocol.reading().is_some());
    html(&ReadingPage { frame: page.frame(&visitor, "reading"), rows, has_listener })
}

async fn close(State(page): State<Page>, visitor: Visitor, Path(id): Path<String>) -> Response {
    let done = if page.control.reading.close(&id) {
        Ok("the session is ended; its program may come again".to_owned())
    } else {
        let problem = Problem::new(StatusCode::NOT_FOUND, "that session had ended already", None);
        Err(problem.hint("the list shows those that are open"))
    };
    page.done(&visitor, done, "/reading")
}

/// Octets as people write them: `0 B`, `999 B`, `1.0 kB`, `23.4 MB`.
fn size(octets: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    let unit = UNITS.into_iter().find(|(unit, _)| octets >= *unit);
    unit.map_or_else(
        || format!("{octets} B"),
        |(unit, name)| format!("{}.{} {name}", octets / unit, octets % unit * 10 / unit),
    )
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn octets_are_written_as_people_write_them() {
        let table = [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (23_456_789, "23.4 MB"),
            (999_999_999, "999.9 MB"),
            (5_000_000_000_000, "5000.0 GB"),
        ];
        for (octets, words) in table {
            assert_eq!(size(octets), words);
        }
    }
}
