//! The page that shows what arrived and who could see what.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get};

use super::letter;
use super::post_office::{Arrived, Place};
use super::shared::Shared;

/// Nothing from elsewhere, nothing inline, no scripts at all.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";
const STYLE: &str = include_str!("../../templates/practice/practice.css");
/// How many messages and findings the page shows.
const SHOWN: usize = 50;
/// How much of a message's text the page shows, in characters.
const TEXT_SHOWN: usize = 4_000;

/// The routes of the page.
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(overview))
        .route("/mail/{number}", get(raw))
        .route("/practice.css", get(style))
        .route("/practice-trap", any(trap))
}

async fn overview(State(shared): State<Arc<Shared>>) -> Response {
    let mail = shared.office.mail();
    let mut findings = shared.office.findings();
    let page = Page {
        domain: &shared.directory.domain,
        total: shared.office.count(),
        cards: mail.iter().rev().take(SHOWN).map(|mail| Card::of(mail)).collect(),
        notes: findings
            .drain(findings.len().saturating_sub(SHOWN)..)
            .rev()
            .map(|finding| Note { at: finding.at.to_string(), place: finding.place, what: finding.what })
            .collect(),
    };
    match page.render() {
        Ok(html) => ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(html)).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn raw(State(shared): State<Arc<Shared>>, Path(number): Path<u64>) -> Response {
    let Some(mail) = shared.office.mail().into_iter().find(|mail| mail.number == number) else {
        return (StatusCode::NOT_FOUND, "no such message, or no longer kept").into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    (headers, mail.raw.to_vec()).into_response()
}

async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css")], STYLE).into_response()
}

/// Where the redirect fault of the token endpoint leads.
async fn trap(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.note(Place::Token, "a redirect of the token endpoint was followed");
    StatusCode::OK
}

#[derive(Template)]
#[template(path = "practice/page.html")]
struct Page<'a> {
    domain: &'a str,
    total: u64,
    cards: Vec<Card>,
    notes: Vec<Note>,
}

struct Note {
    at: String,
    place: Place,
    what: String,
}

/// A message, as the page shows it.
struct Card {
    number: u64,
    at: String,
    via: String,
    signed_in: String,
    mailbox: String,
    envelope: String,
    subject: String,
    text: String,
    attachments: Vec<(String, usize)>,
    octets: usize,
    header: String,
    viewers: Vec<Viewer>,
}

/// A recipient, and what they could see.
struct Viewer {
    recipient: String,
    how: String,
    leaks: Vec<String>,
}

impl Card {
    fn of(mail: &Arrived) -> Self {
        let shown = letter::show(&mail.shown);
        let seen = mail.seen();
        let how = |named_in: Option<&str>| match named_in {
            Some(field) => format!("named in {field}"),
            None => "blind copy".to_owned(),
        };
        let viewers = seen.into_iter().map(|seen| Viewer {
            recipient: seen.recipient,
            how: how(seen.named_in),
            leaks: seen.leaks,
        });
        Self {
            number: mail.number,
            at: mail.at.to_string(),
            via: mail.via.to_string(),
            signed_in: mail.signed_in.clone(),
            mailbox: mail.mailbox.clone(),
            envelope: match &mail.reverse_path {
                Some(path) => format!("MAIL FROM:<{path}>, {} RCPT", mail.recipients.len()),
                None => "none: Graph reads To, Cc and Bcc".to_owned(),
            },
            subject: shown.subject,
            text: shown.text.chars().take(TEXT_SHOWN).collect(),
            attachments: shown.attachments,
            octets: mail.raw.len(),
            header: letter::header_text(&mail.shown),
            viewers: viewers.collect(),
        }
    }
}
