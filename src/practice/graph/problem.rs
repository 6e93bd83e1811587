//! Error answers of Graph (Microsoft Learn, "Microsoft Graph error responses").

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::clock::Timestamp;

/// An error answer: status, code and message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry_after: Option<u32>,
}

impl Problem {
    /// Any status with any code.
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    /// 400.
    pub(super) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 401 `InvalidAuthenticationToken`.
    pub(super) fn token(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken", message)
    }

    /// 403 `ErrorAccessDenied`.
    pub(super) fn denied() -> Self {
        let message = "Access is denied. Check credentials and try again.";
        Self::new(StatusCode::FORBIDDEN, "ErrorAccessDenied", message)
    }

    /// 413.
    pub(super) fn too_large() -> Self {
        let message = "The maximum request length supported is 4MB.";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message)
    }

    /// 429, with the seconds to wait.
    pub(super) fn throttled(seconds: u32) -> Self {
        let message = "Application is over its MailboxConcurrency limit.";
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "ApplicationThrottled", message);
        Self { retry_after: Some(seconds), ..problem }
    }

    /// 503.
    pub(super) fn unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "serviceNotAvailable", "The service is not available, try again.")
    }

    /// What happened, for findings.
    pub(super) fn summary(&self) -> String {
        format!("{} {}: {}", self.status.as_u16(), self.code, self.message)
    }

    /// As Graph's JSON.
    pub(super) fn answer(&self, request: &HeaderMap, now: Timestamp) -> Response {
        let id = uuid::Uuid::new_v4().to_string();
        let client_id = request.get("client-request-id").and_then(|id| id.to_str().ok()).unwrap_or(&id);
        let body = json!({
            "error": {
                "code": self.code,
                "message": self.message,
                "innerError": {
                    "date": now.to_string().trim_end_matches('Z'),
                    "request-id": id,
                    "client-request-id": client_id,
                },
            }
        });
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"\""));
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        tagged(response, request)
    }
}

/// The answer with the ids every answer of Graph has.
pub(super) fn tagged(mut response: Response, request: &HeaderMap) -> Response {
    if let Ok(id) = HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()) {
        response.headers_mut().insert("request-id", id);
    }
    if let Some(id) = request.get("client-request-id") {
        response.headers_mut().insert("client-request-id", id.clone());
    }
    response
}
