//! Error answers of the identity side, in Microsoft's shape (Microsoft Learn, "AADSTS error codes").

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::super::scope::ScopeError;
use crate::clock::Timestamp;

/// An error of the token endpoint or the authorize page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Problem {
    status: StatusCode,
    /// The OAuth error (RFC 6749 section 5.2).
    pub(super) error: &'static str,
    number: u32,
    text: String,
    retry_after: Option<u32>,
}

impl Problem {
    fn new(status: StatusCode, error: &'static str, number: u32, text: impl Into<String>) -> Self {
        Self { status, error, number, text: text.into(), retry_after: None }
    }

    /// 400 `invalid_request`.
    pub(super) fn request(number: u32, text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", number, text)
    }

    /// 400 `invalid_grant`.
    pub(super) fn grant(number: u32, text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_grant", number, text)
    }

    /// 400 `invalid_scope`.
    pub(super) fn scope(number: u32, text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_scope", number, text)
    }

    /// 401 `invalid_client`.
    pub(super) fn client(number: u32, text: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_client", number, text)
    }

    /// 400 `unauthorized_client`.
    pub(super) fn unauthorized_client(number: u32, text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "unauthorized_client", number, text)
    }

    /// 400 with an error of the device code grant (RFC 8628 section 3.5).
    pub(super) fn device(error: &'static str, number: u32, text: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, number, text)
    }

    /// 400 `unsupported_grant_type`.
    pub(super) fn grant_type(kind: &str) -> Self {
        let text = format!("The grant type '{kind}' is not supported.");
        Self::new(StatusCode::BAD_REQUEST, "unsupported_grant_type", 70003, text)
    }

    /// 429, with the seconds to wait.
    pub(super) fn throttled(seconds: u32) -> Self {
        let text = "The client has made too many requests. Wait before the next.";
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable", 90055, text);
        Self { retry_after: Some(seconds), ..problem }
    }

    /// 503.
    pub(super) fn unavailable() -> Self {
        let text = "The service is temporarily unavailable. Please retry later.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", 90033, text)
    }

    /// `AADSTS<number>: <text>`.
    pub(super) fn summary(&self) -> String {
        format!("AADSTS{}: {}", self.number, self.text)
    }

    /// As the JSON answer of the token endpoint.
    pub(super) fn answer(&self, now: Timestamp) -> Response {
        let (trace, correlation) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
        let timestamp = now.to_string().replace('T', " ");
        let summary = self.summary();
        let body = json!({
            "error": self.error,
            "error_description":
                format!("{summary} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {timestamp}"),
            "error_codes": [self.number],
            "timestamp": timestamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("https://login.microsoftonline.com/error?code={}", self.number),
        });
        let mut response = (self.status, [(header::CACHE_CONTROL, "no-store, no-cache")], Json(body)).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<ScopeError> for Problem {
    fn from(error: ScopeError) -> Self {
        let text = error.to_string();
        match error {
            ScopeError::Missing => Self::request(900_144, text),
            ScopeError::UnknownResource(_) => Self::new(StatusCode::BAD_REQUEST, "invalid_resource", 500_011, text),
            ScopeError::UnknownPermission(_) => Self::new(StatusCode::BAD_REQUEST, "invalid_client", 650_053, text),
            ScopeError::SeveralResources(_) => Self::scope(70011, text),
        }
    }
}
