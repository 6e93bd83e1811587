//! Answers about people.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::DirectoryError;
use super::walks::Turns;
use crate::http::Response;

/// A user, with the properties that were asked for, named as Graph names them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct User(pub Map<String, Value>);

impl User {
    /// A property as a text; empty where it is null or was not asked for.
    pub fn text(&self, property: &str) -> String {
        match self.0.get(property) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(values)) => {
                let texts = values.iter().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
                texts.collect::<Vec<_>>().join(", ")
            }
            Some(other) => other.to_string(),
        }
    }
}

/// An error as 4D NetKit lists it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// The server's code.
    pub errcode: String,
    /// Its words.
    pub message: String,
}

/// A page of a list, in 4D NetKit's words.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserPage {
    /// Whether Graph gave the page.
    pub success: bool,
    /// What Graph said of it.
    pub status_text: String,
    /// What went wrong.
    pub errors: Vec<Fault>,
    /// The users; a page may be empty and not be the last.
    pub users: Vec<User>,
    /// The page's number, from 1.
    pub page: usize,
    /// Whether there is none after it.
    pub is_last_page: bool,
    /// The cursor of the next page.
    pub next: Option<String>,
    /// The cursor of the page before.
    pub previous: Option<String>,
}

impl UserPage {
    pub(super) fn new(users: Vec<User>, page: usize, is_last_page: bool, turns: Turns) -> Self {
        let Turns { next, previous } = turns;
        let (success, status_text, errors) = (true, "OK".to_owned(), Vec::new());
        Self { success, status_text, errors, users, page, is_last_page, next, previous }
    }
}

/// What a list's answer holds.
pub(super) struct Page {
    pub(super) users: Vec<User>,
    pub(super) next_link: Option<String>,
}

/// Reads the answer about one user.
pub(super) fn user(response: &Response) -> Result<User, DirectoryError> {
    match serde_json::from_slice(response.whole_body()?) {
        Ok(Value::Object(user)) => Ok(bare(user)),
        _ => Err(DirectoryError::NoAnswer("the answer is no user".to_owned())),
    }
}

/// Reads a page of a list.
pub(super) fn page(response: &Response) -> Result<Page, DirectoryError> {
    let no_list = || DirectoryError::NoAnswer("the answer is no list of users".to_owned());
    let mut answer: Map<String, Value> = serde_json::from_slice(response.whole_body()?).map_err(|_| no_list())?;
    let Some(Value::Array(values)) = answer.remove("value") else { return Err(no_list()) };
    let user = |value| if let Value::Object(user) = value { Ok(bare(user)) } else { Err(no_list()) };
    let users = values.into_iter().map(user).collect::<Result<_, _>>()?;
    let next_link = match answer.remove("@odata.nextLink") {
        None | Some(Value::Null) => None,
        Some(Value::String(link)) => Some(link),
        Some(other) => return Err(DirectoryError::ForeignLink(other.to_string().chars().take(100).collect())),
    };
    Ok(Page { users, next_link })
}

/// Without OData's own notes.
fn bare(mut user: Map<String, Value>) -> User {
    user.retain(|name, _| !name.starts_with("@odata."));
    User(user)
}
