//! The API: one router under `/api/v1`, served on the control socket and on the page's port. Each group of operations
//! has a file; errors are problem+json (RFC 9457).

mod access;
mod accounts;
mod gateway;
mod mail;
mod messages;
mod openapi;
mod problem;
mod requests;
mod sessions;
mod tokens;
mod users;

use axum::{Extension, Router};

pub use self::access::{Caller, Scope};
pub(super) use self::accounts::finish;
pub use self::accounts::{
    AccountView, BeginSignIn, FinishSignIn, ReadTest, ReadTested, SignInBegun, SignInFinished, TestMessage, TestSent,
};
pub use self::gateway::{EventList, Overview, PageLink, Reloaded, Waiting};
pub use self::mail::HandedIn;
pub(super) use self::mail::MAIL;
pub use self::messages::{BeginHold, History, Holds, Listing, Released};
pub(super) use self::messages::{content, queue_id};
pub use self::problem::Problem;
pub(super) use self::requests::{Body, Query};
pub use self::sessions::SessionListing;
pub(super) use self::tokens::confirm;
pub use self::tokens::{Confirmed, DeviceCode, DeviceView, ProgramToken, TokenFields};
pub use self::users::PeopleProblem;
use super::Control;

/// All operations for the owner of the control socket, who is allowed everything.
pub fn router(control: Control) -> Router {
    routes(control).layer(Extension(Caller::Owner))
}

/// All operations. Whoever serves them says in a layer around them who the [`Caller`] is; without one, nobody is
/// allowed anything.
pub(super) fn routes(control: Control) -> Router {
    let operations = Router::new()
        .merge(messages::routes())
        .merge(mail::routes())
        .merge(accounts::routes())
        .merge(gateway::routes())
        .merge(sessions::routes())
        .merge(users::routes())
        .merge(openapi::routes())
        .merge(tokens::routes())
        .fallback(problem::no_such_operation)
        .method_not_allowed_fallback(problem::wrong_method);
    Router::new().nest("/api/v1", operations).with_state(control)
}
