//! People of the tenant: a search box, pages, details.

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use serde_json::Value;

use super::Page;
use super::accounts::segment;
use super::view::{Frame, Visitor, html};
use crate::directory::{DirectoryError, ListQuery, User, UserPage};

/// People on one page.
const SHOWN: u32 = 25;

pub(super) fn routes() -> Router<Page> {
    Router::new().route("/people", get(list)).route("/people/{user}", get(show))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Wanted {
    search: String,
    /// Of another page of a list.
    cursor: String,
}

struct Person {
    place: String,
    name: String,
    mail: String,
    title: String,
}

#[derive(Template)]
#[template(path = "admin/people.html")]
struct PeoplePage {
    frame: Frame,
    account: Option<String>,
    search: String,
    people: Vec<Person>,
    number: usize,
    next: Option<String>,
    previous: Option<String>,
    failed: Option<(String, Option<String>)>,
}

async fn list(State(page): State<Page>, visitor: Visitor, Query(wanted): Query<Wanted>) -> Response {
    let directory = &page.control.directory;
    let account = directory.account();
    let found = match &account {
        None => None,
        Some(_) if !wanted.cursor.is_empty() => Some(directory.turn(&wanted.cursor).await),
        Some(_) => {
            let search = Some(wanted.search.trim().replace('"', "")).filter(|search| !search.is_empty());
            Some(directory.list(&ListQuery { search, top: Some(SHOWN), ..ListQuery::default() }).await)
        }
    };
    let (found, failed) = match found {
        Some(Ok(found)) => (Some(found), None),
        Some(Err(error)) => (None, Some(words(&error))),
        None => (None, None),
    };
    let turn = |cursor: &Option<String>| {
        let cursor = cursor.as_ref()?;
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        Some(query.append_pair("search", &wanted.search).append_pair("cursor", cursor).finish())
    };
    let next = found.as_ref().and_then(|found| turn(&found.next));
    let previous = found.as_ref().and_then(|found| turn(&found.previous));
    let number = found.as_ref().map_or(1, |found| found.page);
    html(&PeoplePage {
        frame: page.frame(&visitor, "people"),
        account,
        people: found.map(people).unwrap_or_default(),
        number,
        next,
        previous,
        failed,
        search: wanted.search,
    })
}

fn people(found: UserPage) -> Vec<Person> {
    let person = |user: User| {
        let id = Some(user.text("id")).filter(|id| !id.is_empty()).unwrap_or_else(|| user.text("userPrincipalName"));
        Person {
            place: format!("/people/{}", segment(&id)),
            name: user.text("displayName"),
            mail: Some(user.text("mail"))
                .filter(|mail| !mail.is_empty())
                .unwrap_or_else(|| user.text("userPrincipalName")),
            title: user.text("jobTitle"),
        }
    };
    found.users.into_iter().map(person).collect()
}

fn words(error: &DirectoryError) -> (String, Option<String>) {
    (error.to_string(), error.hint())
}

#[derive(Template)]
#[template(path = "admin/person.html")]
struct PersonPage {
    frame: Frame,
    name: String,
    fields: Vec<(String, String)>,
    failed: Option<(String, Option<String>)>,
}

async fn show(State(page): State<Page>, visitor: Visitor, Path(user): Path<String>) -> Response {
    let frame = page.frame(&visitor, "people");
    html(&match page.control.directory.get(&user, &[]).await {
        Ok(found) => {
            let fields = found.0.iter().filter(|(name, value)| !name.starts_with('@') && **value != Value::Null);
            let fields =
                fields.map(|(name, _)| (spelt_out(name), found.text(name))).filter(|(_, text)| !text.is_empty());
            PersonPage { frame, name: found.text("displayName"), fields: fields.collect(), failed: None }
        }
        Err(error) => PersonPage { frame, name: user, fields: Vec::new(), failed: Some(words(&error)) },
    })
}

/// `userPrincipalName` as `User principal name`.
fn spelt_out(property: &str) -> String {
    let mut words = String::new();
    for (at, letter) in property.chars().enumerate() {
        if at == 0 {
            words.extend(letter.to_uppercase());
        } else if letter.is_uppercase() {
            words.push(' ');
            words.extend(letter.to_lowercase());
        } else {
            words.push(letter);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_is_spelt_out() {
        assert_eq!(spelt_out("userPrincipalName"), "User principal name");
        assert_eq!(spelt_out("mail"), "Mail");
    }
}
