//! What all pages are made of.

use std::time::Duration;

use askama::Template;
use axum::extract::FromRequestParts;
use axum::response::{Html, IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;

use super::guard::Visit;
use super::sessions::{Flash, Session};
use super::{Page, site::Site};
use crate::clock::Timestamp;
use crate::front::admin::Problem;

/// What stands around every page.
pub(super) struct Frame {
    /// The token of the session's forms.
    pub(super) csrf: String,
    /// The word in the navigation that is here.
    pub(super) here: &'static str,
    pub(super) flash: Option<Flash>,
}

/// Somebody who is signed in, at one of our places.
pub(super) struct Visitor {
    pub(super) site: Site,
    pub(super) session: Session,
    pub(super) live: bool,
}

impl FromRequestParts<Page> for Visitor {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &Page) -> Result<Self, Refusal> {
        match parts.extensions.get::<Visit>() {
            Some(Visit { site, session: Some(session), live }) => {
                Ok(Self { site: site.clone(), session: session.clone(), live: *live })
            }
            _ => Err(Refusal::new(StatusCode::UNAUTHORIZED, "nobody is signed in")),
        }
    }
}

impl Page {
    /// The frame of a page; what was left to say is said now.
    pub(super) fn frame(&self, visitor: &Visitor, here: &'static str) -> Frame {
        let flash = if visitor.live { None } else { self.inner.sessions.take(&visitor.session.filed) };
        Frame { csrf: visitor.session.csrf.expose().to_owned(), here, flash }
    }

    /// Leaves a word for the next page, and how to get there.
    pub(super) fn then(&self, visitor: &Visitor, flash: Flash, to: &str) -> Response {
        self.inner.sessions.leave(&visitor.session.filed, flash);
        axum::response::Redirect::to(to).into_response()
    }

    /// After something that may have gone wrong.
    pub(super) fn done(&self, visitor: &Visitor, done: Result<String, Problem>, to: &str) -> Response {
        let flash = match done {
            Ok(text) => Flash::good(text),
            Err(problem) => Flash::bad(problem.detail, problem.hint),
        };
        self.then(visitor, flash, to)
    }
}

/// A page from its template.
pub(super) fn html(template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A page that cannot be shown.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    text: String,
    hint: Option<String>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), hint: None }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// As a page, or as a problem for programs.
    pub(super) fn answer(self, is_api: bool) -> Response {
        if is_api { Problem::new(self.status, self.text, self.hint).into_response() } else { self.into_response() }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { status: problem.status(), text: problem.detail, hint: problem.hint }
    }
}

#[derive(Template)]
#[template(path = "admin/refusal.html")]
struct RefusalPage<'a> {
    title: &'a str,
    text: &'a str,
    hint: Option<&'a str>,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let page = RefusalPage { title, text: &self.text, hint: self.hint.as_deref() };
        (self.status, html(&page)).into_response()
    }
}

pub(super) async fn no_such_page() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "there is no such page").hint("start at the overview")
}

/// A moment, for machines and for people. Scripts put it into the reader's own time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Moment {
    pub(super) machine: String,
    pub(super) people: String,
}

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        let machine = at.to_string();
        let people = match machine.split_once('T') {
            Some((date, time)) => format!("{date} {} UTC", time.get(..8).unwrap_or(time)),
            None => machine.clone(),
        };
        Self { machine, people }
    }
}

/// Octets in words of three digits.
pub(super) fn octets(count: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    match UNITS.iter().find(|(_, size)| count >= *size) {
        Some((unit, size)) if count < 10 * size => format!("{}.{} {unit}", count / size, count % size * 10 / size),
        Some((unit, size)) => format!("{} {unit}", count / size),
        None => format!("{count} octets"),
    }
}

/// A time as people say it: `2 minutes`, `90 seconds`.
pub(super) fn spelt(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds >= 60 && seconds.is_multiple_of(60) {
        counted(seconds / 60, "minute")
    } else {
        counted(seconds, "second")
    }
}

/// `1 message`, `2 messages`.
pub(super) fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_in_minutes_if_they_are_whole() {
        let table = [(1, "1 second"), (45, "45 seconds"), (60, "1 minute"), (90, "90 seconds"), (120, "2 minutes")];
        for (seconds, expected) in table {
            assert_eq!(spelt(Duration::from_secs(seconds)), expected);
        }
    }
}
