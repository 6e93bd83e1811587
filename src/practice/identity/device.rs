//! Device codes: the endpoint that gives them out, and the page where they are typed (RFC 8628 sections 3.1 and 3.3).

use std::sync::Arc;

use askama::Template;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Value, json};

use super::super::post_office::Place;
use super::super::scope;
use super::super::shared::Shared;
use super::client::authenticate;
use super::form::Form;
use super::problem::Problem;
use super::{check_tenant, consent};

/// POST: gives a code out.
pub(super) async fn issue(
    State(shared): State<Arc<Shared>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    shared.pause(shared.switches.knobs().identity_latency).await;
    match give(&shared, &tenant, &headers, &body) {
        Ok(given) => ([(header::CACHE_CONTROL, "no-store")], Json(given)).into_response(),
        Err(problem) => {
            shared.note(Place::Token, problem.summary());
            problem.answer(shared.clock.now())
        }
    }
}

fn give(shared: &Shared, tenant: &str, headers: &HeaderMap, body: &[u8]) -> Result<Value, Problem> {
    check_tenant(&shared.directory, tenant)?;
    let form = Form::parse(body)?;
    let app = authenticate(&shared.directory, headers, &form)?;
    let scopes = scope::parse(form.need("scope")?)?;
    consent::check(&shared.switches.knobs(), &scopes)?;
    let interval = shared.switches.knobs().device_interval;
    let (code, user_code) = shared.codes().issue(&app.client_id, scopes, interval, shared.clock.now());
    if shared.switches.knobs().auto_sign_in
        && let Some(user) = shared.directory.users.first()
    {
        shared.codes().answer(&user_code, Some(&user.address), shared.clock.now());
    }
    let page = format!("{}/devicelogin", shared.origin);
    Ok(json!({
        "device_code": code,
        "user_code": user_code,
        "verification_uri": page,
        "expires_in": 900,
        "interval": interval.as_secs(),
        "message": format!("To sign in, use a web browser to open the page {page} and enter the code {user_code}."),
    }))
}

/// GET: where a code is typed.
pub(super) async fn show(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response {
    let form = Form::parse(query.unwrap_or_default().as_bytes());
    let code = form.as_ref().ok().and_then(|form| form.get("code")).unwrap_or_default();
    page(&shared, code, "")
}

/// POST: somebody typed one.
pub(super) async fn agree(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let Ok(form) = Form::parse(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    let code = form.get("code").unwrap_or_default();
    let known = |address: &str| shared.directory.user(address).map(|user| user.address.clone());
    let who = match form.get("practice_sign_in") {
        Some("nobody") => None,
        Some(address) => match known(address) {
            Some(address) => Some(address),
            None => return page(&shared, code, "There is nobody of that name."),
        },
        None => return page(&shared, code, "Choose who signs in."),
    };
    let taken = shared.codes().answer(code, who.as_deref(), shared.clock.now());
    page(&shared, code, if taken { "Done. You may close this window." } else { "That code is wrong, used or too old." })
}

fn page(shared: &Shared, code: &str, said: &str) -> Response {
    let users = shared.directory.users.iter().map(|user| (user.address.as_str(), user.name.as_str())).collect();
    let policy = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    match (Page { code, said, users }).render() {
        Ok(html) => ([(header::CONTENT_SECURITY_POLICY, policy)], Html(html)).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[derive(Template)]
#[template(path = "practice/device.html")]
struct Page<'a> {
    code: &'a str,
    said: &'a str,
    users: Vec<(&'a str, &'a str)>,
}
