//! The gateway itself.

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::super::Control;
use super::access::needs;
use super::{Problem, Scope};

pub(super) fn routes() -> Router<Control> {
    needs(Scope::Manage, Router::new().route("/reload", post(reload)))
}

/// What a reload did.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reloaded {
    /// In words.
    pub text: String,
}

async fn reload(State(control): State<Control>) -> Result<Json<Reloaded>, Problem> {
    let Some(reload) = control.reload else {
        return Err(Problem::new(StatusCode::CONFLICT, "no gateway is running", None));
    };
    let refused = |error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error, None);
    reload().await.map(|text| Json(Reloaded { text })).map_err(refused)
}
