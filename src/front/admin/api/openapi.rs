//! The description of the API for programs (OpenAPI 3.1). A test holds it against the routes.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::CONTENT_TYPE;

use super::super::Control;

/// The document.
pub(super) const DOCUMENT: &str = include_str!("openapi.json");

/// It says nothing about this gateway, so everybody may read it.
pub(super) fn routes() -> Router<Control> {
    Router::new().route("/openapi.json", get(document))
}

async fn document() -> Response {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}
