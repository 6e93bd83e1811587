//! The identity side: discovery, the authorize page, device codes, the token endpoint.

mod authorize;
mod client;
mod consent;
mod device;
mod form;
mod problem;
mod token;

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;

use self::problem::Problem;
use super::directory::Directory;
use super::shared::Shared;

/// The routes, under `/{tenant}`.
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/{tenant}/v2.0/.well-known/openid-configuration", get(discovery))
        .route("/{tenant}/oauth2/v2.0/authorize", get(authorize::show).post(authorize::agree))
        .route("/{tenant}/oauth2/v2.0/token", post(token::answer))
        .route("/{tenant}/oauth2/v2.0/devicecode", post(device::issue))
        .route("/devicelogin", get(device::show).post(device::agree))
}

/// The tenant segment of a URL: this tenant, or an alias for "whoever signs in".
fn check_tenant(directory: &Directory, segment: &str) -> Result<(), Problem> {
    if directory.is_tenant(segment) || matches!(segment, "common" | "organizations") {
        return Ok(());
    }
    Err(Problem::request(
        90002,
        format!("Tenant '{segment}' not found. Check to make sure you have the correct tenant ID."),
    ))
}

/// OpenID Connect Discovery 1.0 section 4.
async fn discovery(State(shared): State<Arc<Shared>>, Path(tenant): Path<String>) -> Response {
    if let Err(problem) = check_tenant(&shared.directory, &tenant) {
        return problem.answer(shared.clock.now());
    }
    let origin = &shared.origin;
    Json(json!({
        "issuer": format!("{origin}/{}/v2.0", shared.directory.tenant_id),
        "authorization_endpoint": format!("{origin}/{tenant}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{origin}/{tenant}/oauth2/v2.0/token"),
        "device_authorization_endpoint": format!("{origin}/{tenant}/oauth2/v2.0/devicecode"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "msgraph_host": "graph.microsoft.com",
    }))
    .into_response()
}
