//! People of the tenant.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::super::Control;
use super::access::needs;
use super::problem::MEDIA_TYPE;
use super::{Problem, Query, Scope};
use crate::directory::{DirectoryError, Fault, ListQuery, User, UserPage};
use crate::token::TokenError;

pub(super) fn routes() -> Router<Control> {
    let people = Router::new().route("/users", get(list)).route("/users/{user}", get(one)).route("/me", get(me));
    needs(Scope::People, people)
}

/// What went wrong with a question about people: problem details, and beside them what 4D NetKit answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeopleProblem {
    /// What happened.
    #[serde(flatten)]
    pub problem: Problem,
    /// Never.
    pub success: bool,
    /// What happened, in the server's words.
    pub status_text: String,
    /// The same, with a code.
    pub errors: Vec<Fault>,
}

impl From<DirectoryError> for PeopleProblem {
    fn from(error: DirectoryError) -> Self {
        let (status_text, hint) = (error.to_string(), error.hint());
        let errors = vec![Fault { errcode: error.code().to_owned(), message: status_text.clone() }];
        let problem = token_problem(&error).unwrap_or_else(|| Problem::new(status(&error), &status_text, hint));
        Self { problem, success: false, status_text, errors }
    }
}

/// Trouble with the token has the status it has everywhere. That the account is not there is a fault of the
/// configuration, not of the question.
fn token_problem(error: &DirectoryError) -> Option<Problem> {
    let DirectoryError::Token(error) = error else { return None };
    (!matches!(error, TokenError::UnknownAccount(_))).then(|| Problem::from(error.clone()))
}

fn status(error: &DirectoryError) -> StatusCode {
    match error {
        DirectoryError::NotConfigured
        | DirectoryError::NobodySignedIn(_)
        | DirectoryError::Denied { .. }
        | DirectoryError::Token(_) => StatusCode::CONFLICT,
        DirectoryError::NoSuchUser(_) => StatusCode::NOT_FOUND,
        DirectoryError::UnknownPage(_) => StatusCode::GONE,
        DirectoryError::BadQuery(_) | DirectoryError::Unsupported(_) => StatusCode::BAD_REQUEST,
        DirectoryError::Throttled(_) => StatusCode::SERVICE_UNAVAILABLE,
        DirectoryError::TokenRefused { .. } | DirectoryError::NoAnswer(_) | DirectoryError::ForeignLink(_) => {
            StatusCode::BAD_GATEWAY
        }
    }
}

impl IntoResponse for PeopleProblem {
    fn into_response(self) -> Response {
        let mut response = (self.problem.status(), Json(self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        response
    }
}

/// Which properties to have.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Select {
    /// Names with commas between them.
    #[serde(default)]
    select: String,
}

/// Which users to list, or which page of a list to turn to.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct List {
    search: Option<String>,
    filter: Option<String>,
    select: String,
    top: Option<u32>,
    order_by: Option<String>,
    /// `next` or `previous` of another page; it holds all the rest.
    cursor: Option<String>,
}

async fn list(State(control): State<Control>, Query(asked): Query<List>) -> Result<Json<UserPage>, PeopleProblem> {
    if let Some(cursor) = asked.cursor {
        return Ok(Json(control.directory.turn(&cursor).await?));
    }
    let List { search, filter, select, top, order_by, .. } = asked;
    let query = ListQuery { search, filter, select: names(&select), top, order_by };
    Ok(Json(control.directory.list(&query).await?))
}

async fn one(
    State(control): State<Control>,
    Path(user): Path<String>,
    Query(asked): Query<Select>,
) -> Result<Json<User>, PeopleProblem> {
    Ok(Json(control.directory.get(&user, &names(&asked.select)).await?))
}

async fn me(State(control): State<Control>, Query(asked): Query<Select>) -> Result<Json<User>, PeopleProblem> {
    Ok(Json(control.directory.me(&names(&asked.select)).await?))
}

fn names(select: &str) -> Vec<String> {
    select.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
