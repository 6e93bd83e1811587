//! Looking people up (Microsoft Learn, "List users" and "$search").

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::super::directory::User;
use super::super::faults::{Fault, PeopleFault};
use super::super::post_office::Place;
use super::super::shared::Shared;
use super::filter::PROPERTIES;
use super::problem::{Problem, tagged};
use super::query::{Query, select};
use super::{bearer, find, me as signed_in};

/// Where a list goes on that was led astray.
const FOREIGN_LINK: &str = "https://graph.elsewhere.example/v1.0/users?$skiptoken=1";

/// GET `/me`.
pub(super) async fn me(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let find = || {
        let access = bearer(&shared, &headers)?;
        let user = signed_in(&shared, &access)?;
        let allowed = access.may(&["User.Read", "User.ReadBasic.All", "User.Read.All"]);
        if allowed { Ok(entity(user, &selected(query.as_deref())?)) } else { Err(insufficient()) }
    };
    respond(&shared, &headers, find).await
}

/// GET `/users/{id or address}`.
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    Path(user): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let find = || {
        may_list(&shared, &headers)?;
        Ok(entity(find(&shared, &user)?, &selected(query.as_deref())?))
    };
    respond(&shared, &headers, find).await
}

/// GET `/users`.
pub(super) async fn list(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let eventual =
        headers.get("ConsistencyLevel").is_some_and(|level| level.as_bytes().eq_ignore_ascii_case(b"eventual"));
    let find = || {
        may_list(&shared, &headers)?;
        let query = Query::parse(query.as_deref().unwrap_or_default(), eventual)?;
        Ok(page(&shared, &query))
    };
    respond(&shared, &headers, find).await
}

async fn respond(
    shared: &Shared,
    headers: &HeaderMap,
    find: impl FnOnce() -> Result<Value, Problem> + Send,
) -> Response {
    shared.pause(shared.switches.knobs().graph_latency).await;
    let fault = shared.switches.take(None, Fault::of_people);
    let found = match fault {
        Some(PeopleFault::Html) => {
            return Html("<!DOCTYPE html><title>Sign in to the hotel's network</title>").into_response();
        }
        Some(fault) => refusal(fault).map_or_else(|| find().map(|found| bent(found, fault)), Err),
        None => find(),
    };
    match found {
        Ok(found) => tagged(Json(found).into_response(), headers),
        Err(problem) => {
            if fault.is_none() {
                shared.note(Place::Graph, problem.summary());
            }
            problem.answer(headers, shared.clock.now())
        }
    }
}

fn refusal(fault: PeopleFault) -> Option<Problem> {
    match fault {
        PeopleFault::Unauthorized => Some(Problem::token("Invalid authentication token.")),
        PeopleFault::Denied => Some(insufficient()),
        PeopleFault::Throttled(seconds) => Some(Problem::throttled(seconds)),
        PeopleFault::Unavailable => Some(Problem::unavailable()),
        PeopleFault::Html | PeopleFault::ForeignLink | PeopleFault::EmptyPage => None,
    }
}

/// A list with the fault in it.
fn bent(mut found: Value, fault: PeopleFault) -> Value {
    match fault {
        PeopleFault::ForeignLink => found["@odata.nextLink"] = Value::from(FOREIGN_LINK),
        PeopleFault::EmptyPage => found["value"] = json!([]),
        PeopleFault::Unauthorized
        | PeopleFault::Denied
        | PeopleFault::Throttled(_)
        | PeopleFault::Unavailable
        | PeopleFault::Html => {}
    }
    found
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
    let found = query.found(&shared.directory.users);
    let shown: Vec<Value> =
        found.iter().skip(query.skip).take(query.top).map(|user| entity(user, &query.select)).collect();
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

/// What the `$select` of a question about one user names.
fn selected(query: Option<&str>) -> Result<Vec<String>, Problem> {
    let mut options = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let selected = options.find(|(name, _)| name == "$select").map(|(_, value)| select(&value));
    selected.unwrap_or_else(|| Ok(PROPERTIES.map(str::to_owned).to_vec()))
}

fn entity(user: &User, select: &[String]) -> Value {
    let value = |name: &str| match name {
        "businessPhones" => json!([]),
        _ => user.property(name).map_or(Value::Null, Value::from),
    };
    Value::Object(select.iter().map(|name| (name.clone(), value(name))).collect::<Map<_, _>>())
}
