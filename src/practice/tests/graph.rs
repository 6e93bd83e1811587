//! Graph: what it takes, and what it must not let pass.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use url::Url;

use super::super::{Fault, GraphFault, Oversize, Rule, Tenant, Via};
use super::client::{
    ALICE, Answer, GRAPH, MAIL, SCANNER, SMTP, access_token, app_token, http, post_mail, send_mail, tenant, text,
};

/// The largest request Graph takes, in octets.
const MAX_REQUEST: usize = 4_194_304;

fn error_code(answer: &Answer) -> String {
    answer.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_good_message_is_taken_and_each_recipient_sees_what_they_should() {
    let (tenant, _) = tenant().await;
    let token = access_token(&tenant, GRAPH).await;
    let mime = MAIL.replace("Subject", "Cc: bob@practice.example\r\nBcc: audit@elsewhere.example\r\nSubject");
    let answer = send_mail(&tenant, &token, &mime).await;
    assert_eq!((answer.status, answer.body.as_str()), (202, ""));
    assert!(answer.head.contains("request-id: "), "{}", answer.head);
    let mail = tenant.arrived(1).await.remove(0);
    assert_eq!((mail.via, mail.signed_in.as_str(), mail.mailbox.as_str()), (Via::Graph, SCANNER, SCANNER));
    assert_eq!(mail.recipients, [ALICE, "bob@practice.example", "audit@elsewhere.example"]);
    assert_eq!((&*mail.raw, mail.reverse_path.as_deref()), (mime.as_bytes(), None));
    let alice = mail.seen_by(ALICE).unwrap();
    assert_eq!((alice.named_in, alice.leaks), (Some("To"), vec![]));
    assert!(!alice.header.contains("audit"), "{}", alice.header);
    assert_eq!(mail.seen_by("audit@elsewhere.example").unwrap().named_in, None);
    assert_eq!(tenant.findings(), []);
}

#[tokio::test]
async fn a_header_that_names_somebody_sends_to_them_and_a_blind_one_elsewhere_is_a_leak() {
    let (tenant, _) = tenant().await;
    let token = access_token(&tenant, GRAPH).await;
    // A gateway that forgot the envelope: Bob was never in it. And one that wrote the blind copy into a trace field.
    let mime = MAIL
        .replace("alice@practice.example", "alice@practice.example, bob@practice.example")
        .replace("Subject", "X-Envelope-To: audit@elsewhere.example\r\nBcc: audit@elsewhere.example\r\nSubject");
    assert_eq!(send_mail(&tenant, &token, &mime).await.status, 202);
    let mail = tenant.mail().remove(0);
    assert!(mail.seen_by("bob@practice.example").is_some(), "the header alone decides");
    assert_eq!(mail.seen_by(ALICE).unwrap().leaks, ["audit@elsewhere.example"]);
}

#[tokio::test]
async fn wrong_messages_are_caught() {
    let (tenant, _) = tenant().await;
    let token = access_token(&tenant, GRAPH).await;
    let encoded = STANDARD.encode(MAIL);
    let broken = format!("{}\r\n{}", &encoded[..76], &encoded[76..]);
    let as_other = STANDARD.encode(MAIL.replace("scanner@", "alice@"));
    let nobody = STANDARD.encode(MAIL.replace("To: alice@practice.example", "To: undisclosed-recipients:;"));
    let rows = [
        (broken, 400, "ErrorMimeContentInvalidBase64String", "line breaks in the base64"),
        (encoded.replace('=', ""), 400, "ErrorMimeContentInvalidBase64String", "no padding"),
        (MAIL.to_owned(), 400, "ErrorMimeContentInvalidBase64String", "not base64 at all"),
        (nobody, 400, "ErrorInvalidRecipients", "no recipients"),
        (as_other, 403, "ErrorSendAsDenied", "From of another mailbox"),
    ];
    for (body, status, code, why) in rows {
        let answer = post_mail(&tenant, "me", &token, body.as_bytes()).await.unwrap();
        assert_eq!((answer.status, error_code(&answer).as_str()), (status, code), "{why}");
        assert!(tenant.findings().last().is_some_and(|finding| finding.what.contains(code)), "{why}");
    }
    assert_eq!(tenant.mail_count(), 0);
}

#[tokio::test]
async fn base64_with_breaks_passes_where_the_switch_says_so() {
    let (tenant, _) = tenant().await;
    tenant.switches().set(|knobs| knobs.base64_breaks = true);
    let token = access_token(&tenant, GRAPH).await;
    let body = STANDARD.encode(MAIL) + "\r\n";
    assert_eq!(post_mail(&tenant, "me", &token, body.as_bytes()).await.unwrap().status, 202);
}

#[tokio::test]
async fn four_mebibytes_pass_and_one_octet_more_does_not() {
    let (tenant, _) = tenant().await;
    let token = access_token(&tenant, GRAPH).await;
    let mut mime = MAIL.to_owned();
    mime.extend(std::iter::repeat_n('x', MAX_REQUEST / 4 * 3 - MAIL.len()));
    let mut body = STANDARD.encode(mime).into_bytes();
    assert_eq!(body.len(), MAX_REQUEST);
    assert_eq!(post_mail(&tenant, "me", &token, &body).await.unwrap().status, 202);
    body.push(b'=');
    assert_eq!(post_mail(&tenant, "me", &token, &body).await.unwrap().status, 413);
    tenant.switches().set(|knobs| knobs.oversize = Oversize::Status200);
    let disguised = post_mail(&tenant, "me", &token, &body).await.unwrap();
    assert_eq!((disguised.status, tenant.mail_count()), (200, 1), "200 is not success");
    assert_eq!(tenant.findings().len(), 2);
}

#[tokio::test]
async fn wrong_tokens_are_caught() {
    let (tenant, clock) = tenant().await;
    let for_smtp = access_token(&tenant, SMTP).await;
    let no_send = access_token(&tenant, "User.Read").await;
    let app = text(&app_token(&tenant, "https://graph.microsoft.com/.default").await, "access_token");
    let good = access_token(&tenant, GRAPH).await;
    let rows = [
        (&for_smtp, "me", 401, "InvalidAuthenticationToken", "a token for Exchange"),
        (&no_send, "me", 403, "ErrorAccessDenied", "no Mail.Send"),
        (&app, "me", 400, "BadRequest", "/me without a person"),
        (&good, "users/alice@practice.example", 403, "ErrorAccessDenied", "somebody else's mailbox"),
        (&app, "users/nobody@practice.example", 404, "Request_ResourceNotFound", "no such mailbox"),
    ];
    for (token, who, status, code, why) in rows {
        let answer = post_mail(&tenant, who, token, STANDARD.encode(MAIL).as_bytes()).await.unwrap();
        assert_eq!((answer.status, error_code(&answer).as_str()), (status, code), "{why}");
    }
    let by_app = post_mail(&tenant, &format!("users/{SCANNER}"), &app, STANDARD.encode(MAIL).as_bytes()).await;
    assert_eq!(by_app.unwrap().status, 202);
    clock.advance(Duration::from_secs(3_599));
    assert_eq!(send_mail(&tenant, &good, MAIL).await.status, 401, "expired");
}

#[tokio::test]
async fn a_fifth_request_at_once_is_throttled() {
    let (tenant, _) = tenant().await;
    let token = access_token(&tenant, GRAPH).await;
    tenant.switches().inject(Rule::always(Fault::Graph(GraphFault::Hang)));
    let body = STANDARD.encode(MAIL);
    let one = || post_mail(&tenant, "me", &token, body.as_bytes());
    // Four of them hang, whichever they are, so the first to be answered is the one too many.
    let throttled = tokio::select! {
        answer = one() => answer, answer = one() => answer, answer = one() => answer,
        answer = one() => answer, answer = one() => answer,
    };
    let throttled = throttled.unwrap();
    assert!(throttled.head.contains("retry-after: 10"), "{}", throttled.head);
    assert!(tenant.mail_count() == 0 && error_code(&throttled) == "ApplicationThrottled");
}

#[tokio::test]
async fn graph_fails_on_demand() {
    let (tenant, _) = tenant().await;
    let token = access_token(&tenant, GRAPH).await;
    let rows = [
        (GraphFault::Unauthorized, Some(401), 0),
        (GraphFault::AccessDenied, Some(403), 0),
        (GraphFault::TooLarge, Some(413), 0),
        (GraphFault::Throttled(9), Some(429), 0),
        (GraphFault::Unavailable, Some(503), 0),
        (GraphFault::Html, Some(200), 0),
        (GraphFault::Empty, Some(200), 0),
        (GraphFault::TakenThenTimeout, Some(504), 1),
        (GraphFault::TakenThenReset, None, 2),
    ];
    for (fault, status, taken) in rows {
        tenant.switches().inject(Rule::once(Fault::Graph(fault)).only_for(SCANNER));
        let answer = post_mail(&tenant, "me", &token, STANDARD.encode(MAIL).as_bytes()).await;
        assert_eq!(answer.ok().map(|answer| answer.status), status, "{fault:?}");
        assert_eq!(tenant.mail_count(), taken, "{fault:?}");
    }
    assert_eq!(tenant.findings(), []);
}

async fn get(tenant: &Tenant, path: &str, token: &str, more: &str) -> Answer {
    let url = Url::parse(&format!("{}/{path}", tenant.graph_base())).unwrap();
    http(&url, &format!("GET Authorization: Bearer {token}\r\n{more}"), b"").await.unwrap()
}

#[tokio::test]
async fn people_can_be_looked_up_page_by_page() {
    let (tenant, _) = tenant().await;
    let token = text(&app_token(&tenant, "https://graph.microsoft.com/.default").await, "access_token");
    let search = "users?$search=%22displayName:b%22&$top=1&$count=true";
    assert_eq!(get(&tenant, search, &token, "").await.status, 400, "no ConsistencyLevel");
    let eventual = "ConsistencyLevel: eventual\r\n";
    let first = get(&tenant, search, &token, eventual).await.json();
    assert_eq!((first["value"][0]["displayName"].as_str(), first["@odata.count"].as_u64()), (Some("Billing"), Some(2)));
    let next = Url::parse(first["@odata.nextLink"].as_str().unwrap()).unwrap();
    let head = format!("GET Authorization: Bearer {token}\r\n{eventual}");
    let second = http(&next, &head, b"").await.unwrap().json();
    assert_eq!(second["value"][0]["displayName"].as_str(), Some("Bob Baker"));
    assert!(second["@odata.nextLink"] == Value::Null);
    let one = get(&tenant, "users/ALICE@practice.example", &token, "").await;
    assert_eq!(text(&one, "mail"), ALICE);
    assert_eq!(get(&tenant, "me", &token, "").await.status, 400, "an app is nobody");
    let person = access_token(&tenant, "User.Read").await;
    assert_eq!(text(&get(&tenant, "me", &person, "").await, "userPrincipalName"), SCANNER);
    assert_eq!(get(&tenant, "users", &person, "").await.status, 403, "User.Read does not list others");
}
