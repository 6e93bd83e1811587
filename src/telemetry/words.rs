//! Events in words, for the page.

use std::net::IpAddr;

use crate::mail::failure::BackendKind;
use crate::mail::{Event, Failure, QueueId};

/// An event in words.
pub(super) struct Words {
    pub(super) what: &'static str,
    pub(super) warning: bool,
    pub(super) message: Option<String>,
    pub(super) account: Option<String>,
    pub(super) text: String,
    pub(super) hint: Option<String>,
}

impl Words {
    fn new(what: &'static str, text: impl Into<String>) -> Self {
        Self { what, warning: false, message: None, account: None, text: text.into(), hint: None }
    }

    fn warning(self) -> Self {
        Self { warning: true, ..self }
    }

    fn message(self, id: QueueId) -> Self {
        Self { message: Some(id.to_string()), ..self }
    }

    fn account(self, name: &str) -> Self {
        Self { account: Some(name.to_owned()), ..self }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    fn failure(self, failure: &Failure, account: &str) -> Self {
        self.warning().account(account).hint(failure.reason.hint(account))
    }
}

/// What an event says.
pub(super) fn words(event: &Event) -> Words {
    match event {
        Event::Accepted { id, client, peer, account, reverse_path, recipients, octets, .. } => {
            let text = format!(
                "from {reverse_path} for {}, {octets} octets, by client {client}{}",
                people(*recipients),
                at(*peer)
            );
            Words::new("accepted", text).message(*id).account(account)
        }
        Event::Refused { client, peer, reply, why } => {
            let client = if client.is_empty() { "a stranger" } else { client };
            Words::new("refused", format!("{client}{}: {why} ({reply})", at(*peer)))
        }
        Event::LoginRefused { peer, login, why } => {
            Words::new("login refused", format!("`{login}`{}: {why}", at(*peer))).warning()
        }
        Event::Relayed { id, account, backend, attempt, recipients, diagnostic, millis } => {
            let text =
                format!("attempt {attempt} by {backend} for {} in {millis} ms: {diagnostic}", people(*recipients));
            Words::new("relayed", text).message(*id).account(account)
        }
        Event::Deferred { id, account, backend, attempt, recipients, failure, next } => {
            let text =
                format!("attempt {attempt}{} for {}: {failure}; next at {next}", by(*backend), people(*recipients));
            Words::new("deferred", text).message(*id).failure(failure, account)
        }
        Event::Failed { id, account, backend, attempt, recipients, failure } => {
            let text = format!("attempt {attempt}{} for {}: {failure}", by(*backend), people(*recipients));
            Words::new("failed", text).message(*id).failure(failure, account)
        }
        Event::Held { id, account, mailbox, failure, .. } => {
            Words::new("held", format!("mail of {mailbox}: {failure}")).message(*id).failure(failure, account)
        }
        Event::HeldByHand { account, mailbox, why } => {
            Words::new("held by hand", format!("mail of {mailbox}: {why}")).account(account)
        }
        Event::StillHeld { account, mailbox, failure, since, waiting } => {
            Words::new("still held", format!("{waiting} messages of {mailbox} since {since}: {failure}"))
                .failure(failure, account)
        }
        Event::WayRefused { account, mailbox, backend, failure, until } => {
            let text = format!("{backend} to {mailbox}: {failure}; passed over until {until}");
            Words::new("way refused", text).failure(failure, account)
        }
        Event::Released { account, mailbox, why } => {
            Words::new("released", format!("mail of {mailbox}: {why}")).account(account)
        }
        Event::Reported { id, about, to } => Words::new("reported", format!("to {to} by message {id}")).message(*about),
        Event::Unreported { about, why } => Words::new("not reported", why).message(*about).warning(),
        Event::Bounced { id, account, recipient, action, status, words } => {
            let status = status.map(|status| format!(" {status}")).unwrap_or_default();
            let text = format!("{recipient}, a report in the mailbox says: {}{status} {words}", action.word());
            Words::new("bounced", text.trim_end()).message(*id).account(account).warning()
        }
        Event::SessionOpened { protocol, client, account, mailbox, peer, .. } => {
            Words::new("session opened", format!("{mailbox} by {protocol}, client {client} at {peer}")).account(account)
        }
        Event::SessionClosed { protocol, account, mailbox, why, up, down, .. } => {
            let text = format!("{mailbox} by {protocol}: {why}; {up} octets up, {down} down");
            Words::new("session closed", text).account(account)
        }
        Event::SessionRefused { session, protocol, account, mailbox, failure, hint, .. } => {
            let text = format!("{mailbox} by {protocol}: {failure} [session {session}]");
            Words::new("session refused", text).account(account).warning().hint(hint)
        }
        Event::TokenRenewed { .. }
        | Event::TokenDeferred { .. }
        | Event::TokenUnsaved { .. }
        | Event::SignInNeeded { .. }
        | Event::AccountWarning { .. }
        | Event::SignedIn { .. } => sign_in(event),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the caller matches exhaustively and sends the rest here")]
fn sign_in(event: &Event) -> Words {
    match event {
        Event::TokenRenewed { account, resource, expires } => {
            Words::new("token renewed", format!("for {resource}, until {expires}")).account(account)
        }
        Event::TokenDeferred { account, why } => Words::new("no token for now", why).account(account).warning(),
        Event::TokenUnsaved { account, why } => Words::new("token not saved", why)
            .account(account)
            .warning()
            .hint("do not stop oxpost before the log says that it is saved"),
        Event::SignInNeeded { account, why, hint } => {
            Words::new("sign-in needed", why).account(account).warning().hint(hint)
        }
        Event::AccountWarning { account, what, hint, .. } => {
            Words::new("account warning", what).account(account).warning().hint(hint)
        }
        Event::SignedIn { account, name } => {
            let text = name.as_ref().map_or_else(String::new, |name| format!("as {name}"));
            Words::new("signed in", text).account(account)
        }
        _ => Words::new("", ""),
    }
}

fn people(count: usize) -> String {
    if count == 1 { "1 recipient".to_owned() } else { format!("{count} recipients") }
}

fn at(peer: Option<IpAddr>) -> String {
    peer.map(|peer| format!(" at {peer}")).unwrap_or_default()
}

fn by(backend: Option<BackendKind>) -> String {
    backend.map(|backend| format!(" by {backend}")).unwrap_or_default()
}
