//! Who calls, and what they are allowed.

use std::str::FromStr;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::Control;
use super::Problem;

/// What a caller may do. API keys have a list of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// See accounts, messages, holds and events, but no content.
    Read,
    /// Retry, release and drop messages, sign in and forget accounts, reload the configuration.
    Manage,
    /// Read the content of messages.
    Content,
    /// Hand mail in.
    Send,
    /// Look people up in the directory.
    People,
    /// Get access tokens.
    Token,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Read, Self::Manage, Self::Content, Self::Send, Self::People, Self::Token];

    /// The word for it in the configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Manage => "manage",
            Self::Content => "content",
            Self::Send => "send",
            Self::People => "people",
            Self::Token => "token",
        }
    }
}

/// It is not one of the words for scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such scope")]
pub struct UnknownScope;

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(word: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.word() == word).ok_or(UnknownScope)
    }
}

/// Who calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Caller {
    /// The owner of the control socket or of the data folder.
    Owner,
    /// An administrator in a browser.
    Session,
    /// A program with an API key.
    Key {
        /// The key's name in the configuration.
        name: String,
        /// What it may do.
        scopes: Vec<Scope>,
    },
}

impl Caller {
    /// Whether the caller may do this. Access tokens are for the owner and for keys that were given the scope: a page
    /// has no use for them.
    pub fn may(&self, scope: Scope) -> bool {
        match self {
            Self::Owner => true,
            Self::Session => scope != Scope::Token,
            Self::Key { scopes, .. } => scopes.contains(&scope),
        }
    }
}

/// The operations of `routes`, for the owner alone.
pub(super) fn for_the_owner(routes: Router<Control>) -> Router<Control> {
    routes.route_layer(from_fn(|request: Request, next: Next| async move {
        match request.extensions().get::<Caller>() {
            Some(Caller::Owner) => Ok(next.run(request).await),
            _ => Err(Problem::new(StatusCode::FORBIDDEN, "this is for the owner of the control socket alone", None)
                .hint("use the command line on the machine of the gateway")),
        }
    }))
}

/// The operations of `routes`, for callers that have the scope.
pub(super) fn needs(scope: Scope, routes: Router<Control>) -> Router<Control> {
    routes.route_layer(from_fn(move |request: Request, next: Next| check(scope, request, next)))
}

async fn check(scope: Scope, request: Request, next: Next) -> Result<Response, Problem> {
    match request.extensions().get::<Caller>() {
        Some(caller) if caller.may(scope) => Ok(next.run(request).await),
        Some(_) => Err(Problem::new(StatusCode::FORBIDDEN, format!("this needs the scope `{}`", scope.word()), None)
            .hint("give the key that scope in the configuration, or use another key")),
        None => Err(Problem::new(StatusCode::UNAUTHORIZED, "nobody is signed in", None)
            .hint("send `Authorization: Bearer NAME.SECRET` with an API key, or sign in to the page")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_caller_may_do_what_they_were_given() {
        let key = Caller::Key { name: "monitor".to_owned(), scopes: vec![Scope::Read] };
        let table = [
            (Caller::Owner, Scope::Token, true, "the owner has the tokens anyhow"),
            (Caller::Session, Scope::Manage, true, "an administrator"),
            (Caller::Session, Scope::Token, false, "a page must never hold a token"),
            (key.clone(), Scope::Read, true, "what it was given"),
            (key.clone(), Scope::Content, false, "mail is private"),
            (key, Scope::Token, false, "off unless it was given"),
        ];
        for (caller, scope, allowed, why) in table {
            assert_eq!(caller.may(scope), allowed, "{why}");
        }
    }

    #[test]
    fn every_scope_has_a_word_that_leads_back() {
        for scope in Scope::ALL {
            assert_eq!(scope.word().parse(), Ok(scope));
        }
        assert_eq!("everything".parse::<Scope>(), Err(UnknownScope));
    }
}
