//! The inbox: who may look into it, and what lies there.

use std::time::Duration;

use url::Url;

use super::super::Tenant;
use super::client::{ALICE, Answer, GRAPH, MAIL, SCANNER, access_token, app_token, http, send_mail, tenant, text};

const READ: &str = "https://graph.microsoft.com/Mail.Read";
const LIST: &str = "$filter=receivedDateTime%20ge%202020-01-01T00:00:00Z&$orderby=receivedDateTime";

fn url(tenant: &Tenant, path: &str, query: &str) -> Url {
    let mut url: Url = format!("{}/{path}", tenant.graph_base()).parse().unwrap();
    url.set_query((!query.is_empty()).then_some(query));
    url
}

async fn get(tenant: &Tenant, token: &str, path: &str, query: &str) -> Answer {
    http(&url(tenant, path, query), &format!("GET Authorization: Bearer {token}\r\n"), b"").await.unwrap()
}

#[tokio::test]
async fn who_is_nobody_is_told_of_by_a_report_in_the_inbox_a_moment_later() {
    let (tenant, clock) = tenant().await;
    let (sending, reading) = (access_token(&tenant, GRAPH).await, tenant.access_token(SCANNER, &["Mail.Read"]));
    let mime = MAIL.replace(ALICE, "nobody@elsewhere.example, bob@practice.example");
    assert_eq!(send_mail(&tenant, &sending, &mime).await.status, 202);
    let inbox = "me/mailFolders/inbox/messages";
    assert_eq!(get(&tenant, &reading, inbox, LIST).await.json()["value"].as_array().unwrap().len(), 0);
    clock.advance(Duration::from_secs(2));
    let query = format!("{LIST}&$expand=singleValueExtendedProperties($filter=id%20eq%20%27String%200x001A%27)");
    let listed = get(&tenant, &reading, inbox, &query).await.json();
    let [report] = &listed["value"].as_array().unwrap()[..] else { panic!("{listed}") };
    assert_eq!(report["singleValueExtendedProperties"][0]["value"], "REPORT.IPM.Note.NDR");
    let id: String = url::form_urlencoded::byte_serialize(report["id"].as_str().unwrap().as_bytes()).collect();
    let mime = get(&tenant, &reading, &format!("me/messages/{id}/$value"), "").await;
    assert!(mime.body.contains("Final-Recipient: rfc822;nobody@elsewhere.example\r\nAction: failed"), "{mime:?}");
    assert!(!mime.body.contains("rfc822;bob"), "the others got it");
    assert_eq!(tenant.findings(), []);
}

#[tokio::test]
async fn nobody_looks_into_an_inbox_without_the_permission() {
    let (tenant, _) = tenant().await;
    let app = text(&app_token(&tenant, "https://graph.microsoft.com/.default").await, "access_token");
    let (own, others) = ("me/mailFolders/inbox/messages", format!("users/{ALICE}/mailFolders/inbox/messages"));
    let rows = [
        (tenant.access_token(SCANNER, &["Mail.Send"]), own, 403, "sending is not reading"),
        (tenant.access_token(SCANNER, &["Mail.ReadBasic"]), own, 403, "no properties with this one"),
        (tenant.access_token(SCANNER, &["Mail.Read"]), own, 200, "reading"),
        (tenant.access_token(SCANNER, &["Mail.Read"]), &others, 403, "somebody else's"),
        (app, &others, 403, "an app that may only send"),
    ];
    for (token, path, status, why) in rows {
        assert_eq!(get(&tenant, &token, path, LIST).await.status, status, "{why}");
    }
}

#[tokio::test]
async fn a_list_goes_by_pages_from_the_oldest_on() {
    let (tenant, clock) = tenant().await;
    let token = access_token(&tenant, READ).await;
    for number in 0..5 {
        tenant.put_into_inbox(SCANNER, "IPM.Note", format!("Subject: {number}\r\n\r\n"));
        clock.advance(Duration::from_secs(1));
    }
    let inbox = "me/mailFolders/inbox/messages";
    let mut subjects = Vec::new();
    for skip in [0, 2, 4] {
        let page = get(&tenant, &token, inbox, &format!("{LIST}&$top=2&$skip={skip}")).await.json();
        assert_eq!(page["@odata.nextLink"].is_string(), skip < 4, "{page}");
        subjects
            .extend(page["value"].as_array().unwrap().iter().map(|one| one["subject"].as_str().unwrap().to_owned()));
    }
    assert_eq!(subjects, ["0", "1", "2", "3", "4"]);
    for wrong in ["$orderby=receivedDateTime%20desc", "$filter=isRead%20eq%20false&$orderby=receivedDateTime", ""] {
        assert_eq!(get(&tenant, &token, inbox, wrong).await.status, 400, "{wrong}");
    }
    assert_eq!(get(&tenant, &token, "me/mailFolders/drafts/messages", LIST).await.status, 404);
}
