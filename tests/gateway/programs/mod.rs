//! Programs that hand mail in by `POST /api/v1/messages`, in the three forms of 4D NetKit.

mod answers;
mod properties;
mod surviving;

use axum::body::{Body, to_bytes};
use http::{Request, StatusCode};
use oxpost::front::admin::router;
use oxpost::mail::QueueId;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::house::{House, RECIPIENT};

/// Hands something in as the client that is known by its network.
async fn hand_in(house: &House, query: &str, kind: &str, body: impl Into<Body>) -> (StatusCode, Value) {
    let request = Request::post(format!("/api/v1/messages?client=printers&{query}")).header("content-type", kind);
    let answer = router(house.control()).oneshot(request.body(body.into()).unwrap()).await.unwrap();
    let status = answer.status();
    let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

/// Hands an object in, which must be queued.
async fn queued(house: &House, query: &str, object: &Value) -> (QueueId, Value) {
    let (status, answer) = hand_in(house, query, "application/json", object.to_string()).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer:#}");
    (answer["id"].as_str().unwrap().parse().unwrap(), answer)
}

fn person(address: &str) -> Value {
    json!({ "emailAddress": { "address": address } })
}

/// A complete Microsoft mail object.
fn microsoft(from: &str, subject: &str) -> Value {
    json!({
        "from": person(from), "toRecipients": [person(RECIPIENT)], "subject": subject,
        "body": { "content": "Text", "contentType": "text" },
    })
}

/// `base` with the properties of `more`.
fn with(mut base: Value, more: &Value) -> Value {
    base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    base
}
