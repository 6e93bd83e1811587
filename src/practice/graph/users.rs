//! Looking people up (Microsoft Learn, "List users" and "$search").

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::super::directory::User;
use super::super::post_office::Place;
use super::super::shared::Shared;
use super::problem::{Problem, tagged};
use super::query::Query;
use super::{bearer, find, me as signed_in};

/// GET `/me`.
pub(super) async fn me(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let found = bearer(&shared, &headers).and_then(|access| {
        let user = signed_in(&shared, &access)?;
        let allowed = access.may(&["User.Read", "User.ReadBasic.All", "User.Read.All"]);
        if allowed { Ok(entity(user)) } else { Err(insufficient()) }
    });
    respond(&shared, &headers, found).await
}

/// GET `/users/{id or address}`.
pub(super) async fn one(State(shared): State<Arc<Shared>>, Path(user): Path<String>, headers: HeaderMap) -> Response {
    let found = may_list(&shared, &headers).and_then(|()| find(&shared, &user)).map(entity);
    respond(&shared, &headers, found).await
}

/// GET `/users`.
pub(super) async fn list(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let eventual =
        headers.get("ConsistencyLevel").is_some_and(|level| level.as_bytes().eq_ignore_ascii_case(b"eventual"));
    let found = may_list(&shared, &headers)
        .and_then(|()| Query::parse(query.as_deref().unwrap_or_default(), eventual))
        .map(|query| page(&shared, &query));
    respond(&shared, &headers, found).await
}

async fn respond(shared: &Shared, headers: &HeaderMap, found: Result<Value, Problem>) -> Response {
    shared.pause(shared.switches.knobs().graph_latency).await;
    match found {
        Ok(found) => tagged(Json(found).into_response(), headers),
        Err(problem) => {
            shared.note(Place::Graph, problem.summary());
            problem.answer(headers, shared.clock.now())
        }
    }
}

fn may_list(shared: &Shared, headers: &HeaderMap) -> Result<(), Problem> {
    let access = bearer(shared, headers)?;
    if access.may(&["User.ReadBasic.All", "User.Read.All"]) { Ok(()) } else { Err(insufficient()) }
}

fn insufficient() -> Problem {
    let message = "Insufficient privileges to complete the operation.";
    Problem::new(StatusCode::FORBIDDEN, "Authorization_RequestDenied", message)
}

fn page(shared: &Shared, query: &Query) -> Value {
    let found: Vec<&User> = shared.directory.users.iter().filter(|user| query.matches(user)).collect();
    let shown: Vec<Value> = found.iter().skip(query.skip).take(query.top).map(|user| entity(user)).collect();
    let next = query.skip + shown.len();
    let mut page = json!({ "@odata.context": format!("{}/v1.0/$metadata#users", shared.origin), "value": shown });
    if query.count && query.skip == 0 {
        page["@odata.count"] = Value::from(found.len());
    }
    if next < found.len() {
        page["@odata.nextLink"] = Value::from(format!("{}/v1.0/users?{}", shared.origin, query.next_page(next)));
    }
    page
}

fn entity(user: &User) -> Value {
    json!({
        "id": user.id,
        "displayName": user.name,
        "mail": user.address,
        "userPrincipalName": user.address,
        "jobTitle": null,
        "mobilePhone": null,
        "officeLocation": null,
        "businessPhones": [],
    })
}
