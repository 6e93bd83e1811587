//! The inbox: what lies in it, page by page, and one message as MIME (Microsoft Learn, "List messages", "Get
//! singleValueLegacyExtendedProperty", "Get MIME content of a message").

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::super::faults::WebStep;
use super::super::items::Lying;
use super::super::shared::Shared;
use super::super::wire::Line;
use super::call::serve;
use super::messages::{Named, call, message, not_found};
use super::problem::Problem;
use crate::clock::Timestamp;

/// Messages on a page without `$top`, and at most.
const DEFAULT_TOP: usize = 10;
const MAX_TOP: usize = 1000;
/// The one extended property that can be asked for: `PidTagMessageClass`.
const CLASS: &str = "String 0x001A";

/// GET `mailFolders/inbox/messages`.
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    uri: Uri,
    named: Named,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let folder = named.get("folder").cloned().unwrap_or_default();
    serve(&shared, &line, call(WebStep::Inbox, &named, headers, Bytes::new()), move |desk, _| {
        desk.may_read_whole()?;
        if folder != "inbox" {
            return Err(not_found().into());
        }
        let query = Query::parse(query.as_deref().unwrap_or_default())?;
        let (items, now) = (desk.shared.items(), desk.shared.clock.now());
        let mut lying: Vec<&Lying> = items
            .inbox(&desk.mailbox.address, now)
            .filter(|lying| query.since.is_none_or(|at| second(lying) >= at))
            .collect();
        lying.sort_by_key(|lying| lying.at);
        let page: Vec<Value> = lying.iter().skip(query.skip).take(query.top).map(|lying| query.shown(lying)).collect();
        let mut answer = json!({ "value": page });
        if lying.len() > query.skip + query.top {
            let next = query.next(query.skip + query.top);
            answer["@odata.nextLink"] = format!("{}{}?{next}", desk.shared.origin, uri.path()).into();
        }
        Ok(Json(answer).into_response())
    })
    .await
}

/// GET `messages/{id}/$value`.
pub(super) async fn value(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    named: Named,
    headers: HeaderMap,
) -> Response {
    let id = message(&named);
    serve(&shared, &line, call(WebStep::Value, &named, headers, Bytes::new()), move |desk, _| {
        desk.may_read_whole()?;
        let (items, now) = (desk.shared.items(), desk.shared.clock.now());
        let found = items.inbox(&desk.mailbox.address, now).find(|lying| lying.id == id).ok_or_else(not_found)?;
        Ok(([(header::CONTENT_TYPE, "text/plain")], found.raw.clone()).into_response())
    })
    .await
}

/// Graph shows whole seconds.
fn second(lying: &Lying) -> Timestamp {
    Timestamp::from_millis(lying.at.as_millis().div_euclid(1000) * 1000)
}

/// The options of a list. What the practice tenant does not know is refused.
struct Query {
    since: Option<Timestamp>,
    top: usize,
    skip: usize,
    select: Vec<String>,
    class: bool,
    options: Vec<(String, String)>,
}

impl Query {
    fn parse(text: &str) -> Result<Self, Problem> {
        let mut query =
            Self { since: None, top: DEFAULT_TOP, skip: 0, select: Vec::new(), class: false, options: Vec::new() };
        let mut ordered = false;
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            match &*name {
                "$filter" => query.since = Some(since(&value)?),
                "$orderby" if matches!(&*value, "receivedDateTime" | "receivedDateTime asc") => ordered = true,
                "$top" => {
                    query.top = value.parse().ok().filter(|top| (1..=MAX_TOP).contains(top)).ok_or_else(invalid)?
                }
                "$skip" => query.skip = value.parse().map_err(|_| invalid())?,
                "$select" => query.select = value.split(',').map(str::to_owned).collect(),
                "$expand" if value == format!("singleValueExtendedProperties($filter=id eq '{CLASS}')") => {
                    query.class = true;
                }
                _ => return Err(invalid()),
            }
            if name != "$skip" {
                query.options.push((name.into_owned(), value.into_owned()));
            }
        }
        // Without it the newest come first, and who goes on from the last one loses mail.
        if ordered { Ok(query) } else { Err(invalid()) }
    }

    fn shown(&self, lying: &Lying) -> Value {
        let mut all = json!({
            "receivedDateTime": second(lying).to_string(),
            "subject": lying.subject,
            "from": { "emailAddress": { "name": "", "address": lying.from } },
            "isRead": false,
        });
        if let Some(all) = all.as_object_mut() {
            all.retain(|name, _| self.select.is_empty() || self.select.contains(name));
            all.insert("id".to_owned(), lying.id.clone().into());
            if self.class {
                let class = json!([{ "id": CLASS, "value": lying.class }]);
                all.insert("singleValueExtendedProperties".to_owned(), class);
            }
        }
        all
    }

    fn next(&self, skip: usize) -> String {
        let mut text = form_urlencoded::Serializer::new(String::new());
        text.extend_pairs(&self.options).append_pair("$skip", &skip.to_string());
        text.finish()
    }
}

fn since(filter: &str) -> Result<Timestamp, Problem> {
    let text = filter.strip_prefix("receivedDateTime ge ").ok_or_else(invalid)?;
    let at: jiff::Timestamp = text.parse().map_err(|_| invalid())?;
    Ok(Timestamp::from_millis(at.as_millisecond()))
}

fn invalid() -> Problem {
    Problem::bad_request(
        "ErrorInvalidUrlQuery",
        "The query option is invalid, or the practice tenant does not know it.",
    )
}
