//! Microsoft Graph: `sendMail`, drafts with their attachments, and looking people up.

mod attachments;
mod call;
mod filter;
mod inbox;
mod messages;
mod object;
mod problem;
mod query;
mod send;
mod uploads;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{get, post, put};

use self::problem::Problem;
use super::directory::User;
use super::ledger::{Access, Bad, Holder};
use super::scope::Resource;
use super::shared::Shared;

/// Requests are read up to here to answer them in peace; what Graph allows is 4 MiB.
const READ_AT_MOST: usize = 64 << 20;

/// The routes, under `/v1.0`.
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1.0/me", get(users::me))
        .route("/v1.0/me/sendMail", post(send::from_me))
        .route("/v1.0/users", get(users::list))
        .route("/v1.0/users/{user}", get(users::one))
        .route("/v1.0/users/{user}/sendMail", post(send::from_user))
        .merge(mail("/v1.0/me"))
        .merge(mail("/v1.0/users/{user}"))
        .route("/upload/{session}", put(uploads::range).get(uploads::state).delete(uploads::cancel))
        .layer(DefaultBodyLimit::max(READ_AT_MOST))
}

/// What there is below one mailbox besides `sendMail`.
fn mail(owner: &str) -> Router<Arc<Shared>> {
    let at = |path: &str| format!("{owner}/messages{path}");
    Router::new()
        .route(&format!("{owner}/mailFolders/{{folder}}/messages"), get(inbox::list))
        .route(&at("/{message}/$value"), get(inbox::value))
        .route(&at(""), post(messages::create).get(messages::find))
        .route(&at("/{message}"), get(messages::read).delete(messages::delete))
        .route(&at("/{message}/send"), post(messages::send))
        .route(&at("/{message}/attachments"), post(attachments::attach))
        .route(&at("/{message}/attachments/createUploadSession"), post(attachments::open_upload))
}

/// The access token of a request, if it is one for Graph.
fn bearer(shared: &Shared, headers: &HeaderMap) -> Result<Access, Problem> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| value.strip_prefix("Bearer "));
    let token = token.ok_or_else(|| Problem::token("Access token is empty."))?;
    let access = shared.access(token).map_err(|bad| match bad {
        Bad::Expired => Problem::token("Lifetime validation failed, the token is expired."),
        Bad::Unknown | Bad::Used | Bad::Revoked => Problem::token("Invalid authentication token."),
    })?;
    match access.audience {
        Resource::Graph => Ok(access),
        Resource::Exchange | Resource::Google => {
            Err(Problem::token("Access token validation failure. Invalid audience."))
        }
    }
}

/// The one who signed in, for `/me`.
fn me<'a>(shared: &'a Shared, access: &Access) -> Result<&'a User, Problem> {
    let Holder::User(address) = &access.holder else {
        let message = "/me request is only valid with delegated authentication flow.";
        return Err(Problem::bad_request("BadRequest", message));
    };
    find(shared, address)
}

fn find<'a>(shared: &'a Shared, address_or_id: &str) -> Result<&'a User, Problem> {
    shared.directory.user(address_or_id).ok_or_else(|| {
        let message =
            format!("Resource '{address_or_id}' does not exist or one of its queried properties is not present.");
        Problem::new(StatusCode::NOT_FOUND, "Request_ResourceNotFound", message)
    })
}
