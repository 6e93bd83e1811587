//! Style sheet, script and icon, out of the binary.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

const STYLE: &str = include_str!("../../../../templates/admin/admin.css");
const SCRIPT: &str = include_str!("../../../../templates/admin/admin.js");
const ICON: &str = include_str!("../../../../templates/admin/icon.svg");

pub(super) fn routes() -> Router {
    Router::new()
        .route("/admin.css", get(|| async { file("text/css; charset=utf-8", STYLE) }))
        .route("/admin.js", get(|| async { file("text/javascript; charset=utf-8", SCRIPT) }))
        .route("/icon.svg", get(|| async { file("image/svg+xml", ICON) }))
}

/// The same for everybody, so it may be kept, but asked for again: a new version has the same address.
fn file(kind: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")], text).into_response()
}
