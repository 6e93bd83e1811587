//! The inbox as Graph shows it (Microsoft Learn, "List messages", "Get singleValueLegacyExtendedProperty", "Get MIME
//! content of a message"). Nothing is changed there: reading through Graph does not mark a message as read.

use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::classify;
use crate::clock::Timestamp;
use crate::delivery::Token;
use crate::delivery::inbox::{Item, Page};
use crate::delivery::web::{Caller, below, transport};
use crate::http::{Http, HttpError, Request, Response};
use crate::mail::dsn::MAX_REPORT;
use crate::mail::{Failure, Reason};

/// Messages on a page.
const PAGE: usize = 200;
/// `PidTagMessageClass`: what Exchange takes a message for.
const CLASS: &str = "String 0x001A";

/// Reads one inbox.
pub(in crate::delivery) struct GraphInbox<'a> {
    caller: Caller<'a>,
    root: Url,
}

#[derive(Deserialize)]
struct Answer {
    value: Vec<Shown>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    id: String,
    received_date_time: jiff::Timestamp,
    #[serde(default)]
    from: Option<Sender>,
    #[serde(default)]
    single_value_extended_properties: Vec<Property>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sender {
    email_address: Option<EmailAddress>,
}

#[derive(Deserialize)]
struct EmailAddress {
    address: Option<String>,
}

#[derive(Deserialize)]
struct Property {
    value: Option<String>,
}

impl<'a> GraphInbox<'a> {
    /// The inbox of the mailbox at `root` ([`super::root`]).
    pub(in crate::delivery) const fn new(caller: Caller<'a>, root: Url) -> Self {
        Self { caller, root }
    }

    /// Whether Graph lets this token look into the inbox.
    pub(in crate::delivery) async fn try_out(
        root: &Url,
        http: &Http,
        timeout: Duration,
        token: &Token,
    ) -> Result<(), Failure> {
        let url = list_url(root, Timestamp::default(), (1, 0))?;
        let request = Request::get(url).timeout(timeout).bearer(&token.secret).map_err(|error| transport(&error))?;
        let response = http.send(request).await.map_err(|error| transport(&error))?;
        answer(&response).map(drop)
    }

    /// What came since then, oldest first, without the first `skipped` of it.
    pub(in crate::delivery) async fn list(&self, since: Timestamp, skipped: usize) -> Result<Page, Failure> {
        let url = list_url(&self.root, since, (PAGE, skipped))?;
        let response = self.caller.call(|| Request::get(url.clone())).await?;
        let answer = answer(&response)?;
        let is_full = answer.value.len() >= PAGE;
        Ok(Page { items: answer.value.into_iter().map(Item::from).collect(), is_full })
    }

    /// The beginning of a message, enough for a report; `None` if there is no such message, or Graph has no MIME of it.
    pub(in crate::delivery) async fn mime(&self, id: &str) -> Result<Option<Vec<u8>>, Failure> {
        let url = below(&self.root, &["messages", id, "$value"])?;
        let response = self.caller.call(|| Request::get(url.clone()).answer_limit(MAX_REPORT)).await?;
        match (response.status, &response.cut) {
            (200, None | Some(HttpError::TooLarge(_))) => Ok(Some(response.body)),
            (200, Some(error)) => Err(transport(error)),
            (400 | 404..=428, _) => Ok(None),
            _ => Err(refused(&response)),
        }
    }
}

fn list_url(root: &Url, since: Timestamp, (top, skipped): (usize, usize)) -> Result<Url, Failure> {
    let mut url = below(root, &["mailFolders", "inbox", "messages"])?;
    let mut query = url.query_pairs_mut();
    query.append_pair("$filter", &format!("receivedDateTime ge {since}"));
    query.append_pair("$orderby", "receivedDateTime").append_pair("$select", "id,receivedDateTime,from");
    query.append_pair("$expand", &format!("singleValueExtendedProperties($filter=id eq '{CLASS}')"));
    query.append_pair("$top", &top.to_string());
    if skipped > 0 {
        query.append_pair("$skip", &skipped.to_string());
    }
    drop(query);
    Ok(url)
}

fn answer(response: &Response) -> Result<Answer, Failure> {
    if response.status != 200 {
        return Err(refused(response));
    }
    let body = response.whole_body().map_err(|error| transport(&error))?;
    serde_json::from_slice(body).map_err(|_| {
        let found = classify::classify(response, 0);
        Failure { diagnostic: format!("not a list of messages: {}", found.diagnostic), ..found }
    })
}

fn refused(response: &Response) -> Failure {
    let failure = classify::classify(response, 0);
    if failure.reason != Reason::PermissionMissing {
        return failure;
    }
    Failure {
        diagnostic: format!("{}; looking into the inbox needs the permission Mail.Read", failure.diagnostic),
        ..failure
    }
}

impl From<Shown> for Item {
    fn from(shown: Shown) -> Self {
        let class = shown.single_value_extended_properties.first().and_then(|property| property.value.as_deref());
        let from = shown.from.and_then(|from| from.email_address).and_then(|email| email.address);
        let at = Timestamp::from_millis(shown.received_date_time.as_millisecond());
        Self { is_report: is_report(class, from.as_deref()), id: shown.id, at }
    }
}

/// Exchange says of most reports what they are (MS-OXCMSG, "REPORT.X.NDR"). Those that it takes for letters come from
/// where reports come from.
fn is_report(class: Option<&str>, from: Option<&str>) -> bool {
    let class = class.unwrap_or_default().to_ascii_lowercase();
    if class.starts_with("report.") {
        return class.ends_with(".ndr") || class.ends_with(".delayed");
    }
    let from = from.unwrap_or_default().to_ascii_lowercase();
    let local = from.split('@').next().unwrap_or_default();
    local.is_empty() || matches!(local, "postmaster" | "mailer-daemon") || local.starts_with("microsoftexchange")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_report_is_read() {
        let table = [
            (Some("REPORT.IPM.Note.NDR"), Some("x@y.example"), true, "Exchange says so"),
            (Some("Report.IPM.Note.Delayed"), None, true, "late, and in other letters"),
            (Some("REPORT.IPM.Note.IPNRN"), Some("postmaster@y.example"), false, "a receipt of reading"),
            (Some("REPORT.IPM.Note.DR"), None, false, "it was delivered"),
            (Some("IPM.Note"), Some("MAILER-DAEMON@mx.example"), true, "a report that Exchange takes for a letter"),
            (Some("IPM.Note"), None, true, "from nobody"),
            (None, Some("postmaster@y.example"), true, "no class is told"),
            (None, Some("MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@y.example"), true, "Exchange itself"),
            (Some("IPM.Note"), Some("boss@y.example"), false, "a letter"),
            (None, Some("boss@y.example"), false, "a letter all the same"),
        ];
        for (class, from, expected, why) in table {
            assert_eq!(is_report(class, from), expected, "{why}");
        }
    }

    #[test]
    fn a_list_is_read_as_graph_shows_it() {
        let text = r#"{"@odata.context":"x","value":[
            {"@odata.etag":"W/\"1\"","id":"AAMk=","receivedDateTime":"2026-11-21T00:00:02Z",
             "from":{"emailAddress":{"name":"Microsoft Outlook","address":"postmaster@y.example"}},
             "singleValueExtendedProperties":[{"id":"String 0x1a","value":"REPORT.IPM.Note.NDR"}]},
            {"id":"AAMl=","receivedDateTime":"2026-11-21T00:00:03Z","from":{"emailAddress":{"address":"a@y.example"}}},
            {"id":"AAMm=","receivedDateTime":"2026-11-21T00:00:04Z"}]}"#;
        let answer: Answer = serde_json::from_str(text).unwrap();
        let items: Vec<Item> = answer.value.into_iter().map(Item::from).collect();
        assert_eq!(items.iter().map(|item| item.is_report).collect::<Vec<_>>(), [true, false, true]);
        assert_eq!(items[0].at.to_string(), "2026-11-21T00:00:02Z");
    }
}
