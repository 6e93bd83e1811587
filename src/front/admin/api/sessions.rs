//! Open reading sessions.

use axum::extract::{Path, State};
use axum::routing::{delete, get};
use axum::{Json, Router};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::super::Control;
use super::access::needs;
use super::{Problem, Scope};
use crate::front::reading::SessionView;

pub(super) fn routes() -> Router<Control> {
    let read = Router::new().route("/sessions", get(list));
    let manage = Router::new().route("/sessions/{id}", delete(close));
    needs(Scope::Read, read).merge(needs(Scope::Manage, manage))
}

/// The open reading sessions, the oldest first.
#[derive(Debug, Serialize, Deserialize)]
pub struct SessionListing {
    /// The sessions.
    pub sessions: Vec<SessionView>,
}

async fn list(State(control): State<Control>) -> Json<SessionListing> {
    Json(SessionListing { sessions: control.reading.list() })
}

async fn close(State(control): State<Control>, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    if control.reading.close(&id) {
        return Ok(StatusCode::NO_CONTENT);
    }
    let problem = Problem::new(StatusCode::NOT_FOUND, format!("there is no reading session `{id}`"), None);
    Err(problem.hint("`oxpost session list` shows those that are open"))
}
