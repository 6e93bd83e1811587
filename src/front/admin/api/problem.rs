//! What went wrong, as problem details for HTTP APIs (RFC 9457).

use axum::Json;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::queue::QueueError;
use crate::token::TokenError;

/// The media type of a problem.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// What went wrong, and what to do about it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// Its kind; `about:blank`: the status says it all.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened, to which thing, why.
    pub detail: String,
    /// What to do, if anything can be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    /// A problem of this status.
    pub fn new(status: StatusCode, detail: impl ToString, hint: Option<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error").to_owned();
        Self { kind: "about:blank".to_owned(), title, status: status.as_u16(), detail: detail.to_string(), hint }
    }

    /// The same with the next step.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Its HTTP status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Json(self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        response
    }
}

impl From<QueueError> for Problem {
    fn from(error: QueueError) -> Self {
        let status = match &error {
            QueueError::NoSuchMessage(_) => StatusCode::NOT_FOUND,
            QueueError::InFlight(_) | QueueError::NoContent(_) => StatusCode::CONFLICT,
            QueueError::NoRoom => StatusCode::INSUFFICIENT_STORAGE,
            QueueError::Suspect(_) | QueueError::Store(_) | QueueError::Spool { .. } | QueueError::BodyDamaged(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self::new(status, error, None)
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let status = match &error {
            TokenError::UnknownAccount(_) => StatusCode::NOT_FOUND,
            TokenError::TryLater { .. } => StatusCode::SERVICE_UNAVAILABLE,
            TokenError::SignInNeeded { .. } | TokenError::Configuration { .. } => StatusCode::CONFLICT,
        };
        let hint = error.hint().map(str::to_owned);
        Self::new(status, error.why(), hint)
    }
}

pub(super) async fn no_such_operation(request: Request) -> Problem {
    let what = format!("there is no operation `{}`", request.uri().path());
    Problem::new(StatusCode::NOT_FOUND, what, Some("see /api/v1/openapi.json for those there are".to_owned()))
}

pub(super) async fn wrong_method(request: Request) -> Problem {
    let what = format!("`{}` does not take {}", request.uri().path(), request.method());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, what, Some("see /api/v1/openapi.json".to_owned()))
}
