//! Reading requests: what cannot be read is a problem, as every other error is.

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::Problem;

/// A JSON body.
pub(in super::super) struct Body<T>(pub(in super::super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let refused = |why: JsonRejection| Problem::new(why.status(), why.body_text(), None);
        axum::Json::from_request(request, state).await.map(|axum::Json(body)| Self(body)).map_err(refused)
    }
}

/// The parameters after `?`.
pub(in super::super) struct Query<T>(pub(in super::super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let refused = |why: QueryRejection| Problem::new(why.status(), why.body_text(), None);
        let read = axum::extract::Query::from_request_parts(parts, state).await;
        read.map(|axum::extract::Query(query)| Self(query)).map_err(refused)
    }
}
