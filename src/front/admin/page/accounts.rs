//! Accounts: how they stand, and what can be done.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Form, Router};
use http::StatusCode;
use serde::Deserialize;

use super::Page;
use super::sign_in::WayBack;
use super::view::{Frame, Moment, Refusal, Visitor, html, spelt};
use crate::account::{Account, MailboxRule};
use crate::front::admin::{Control, Problem, Setup, read_test, test_message};
use crate::queue::{Filter, Hold, Selector, Summary};
use crate::reading::Probed;
use crate::token::{AccountStatus, Provider, ProviderKind, TokenError, Warning};

/// Newest messages on an account's page.
const NEWEST: u32 = 5;

pub(super) fn routes() -> Router<Page> {
    Router::new()
        .route("/accounts", get(list))
        .route("/accounts/{account}", get(show))
        .route("/accounts/{account}/test", post(send_test))
        .route("/accounts/{account}/read", post(try_reading))
        .route("/accounts/{account}/release", post(release))
}

/// How an account stands, in the page's words and colours.
pub(super) struct AccountCard {
    pub(super) name: String,
    pub(super) place: String,
    pub(super) mailbox: String,
    pub(super) provider: String,
    pub(super) who: Option<String>,
    pub(super) words: &'static str,
    /// `good`, `busy` or `bad`: how it is painted.
    pub(super) tone: &'static str,
    pub(super) why: Option<String>,
    pub(super) hint: Option<String>,
    /// Somebody must sign in, and a button does it.
    pub(super) sign_in: bool,
    pub(super) since: Option<Moment>,
    pub(super) expires: Option<Moment>,
    pub(super) unsaved: bool,
    pub(super) warnings: Vec<Warning>,
    /// Whoever signed in has another name than the mailbox: somebody must say whether that is meant.
    pub(super) question: bool,
    /// A person signs in: there are buttons for it.
    pub(super) by_person: bool,
    /// The whole domain is behind it: it has no mailbox of its own.
    pub(super) whole_domain: bool,
}

impl AccountCard {
    fn new(account: &Account, status: Option<AccountStatus>) -> Self {
        let (words, error) = match &status {
            Some(status) => (status.words(), status.error.clone()),
            None => ("is not known", None),
        };
        let tone = match &error {
            None => "good",
            Some(TokenError::TryLater { .. }) => "busy",
            Some(_) => "bad",
        };
        let sign_in = matches!(error, Some(TokenError::SignInNeeded { .. }));
        let status = status.as_ref();
        let question = status.is_some_and(|status| status.question);
        // The page has buttons for signing in and for the answer to the question.
        let said = error.as_ref().filter(|error| !question && !error.is_sign_in_alone(&account.name));
        let hint = said.and_then(TokenError::hint).map(str::to_owned);
        Self {
            place: format!("/accounts/{}", segment(&account.name)),
            name: account.name.clone(),
            mailbox: mailbox(&account.mailbox),
            provider: account.provider.clone(),
            who: status.and_then(|status| status.name.clone()),
            question,
            words,
            tone,
            why: error.map(|error| error.why()),
            hint,
            sign_in,
            since: status.and_then(|status| status.since).map(Moment::from),
            expires: status.and_then(|status| status.expires).map(Moment::from),
            unsaved: status.is_some_and(|status| status.unsaved),
            warnings: status.map(|status| status.warnings.clone()).unwrap_or_default(),
            by_person: status.is_some_and(|status| !status.is_app),
            whole_domain: matches!(account.mailbox, MailboxRule::Domain(_)),
        }
    }

    /// All of them, those that need somebody first.
    pub(super) fn all(control: &Control, setup: &Setup) -> Vec<Self> {
        let mut status = control.tokens.status();
        let mut cards: Vec<_> = setup
            .accounts
            .iter()
            .map(|account| {
                let own = status.iter().position(|status| status.account == account.name);
                Self::new(account, own.map(|at| status.swap_remove(at)))
            })
            .collect();
        cards.sort_by_key(|card| match card.tone {
            "bad" => 0,
            "busy" => 1,
            _ => 2,
        });
        cards
    }
}

fn mailbox(rule: &MailboxRule) -> String {
    match rule {
        MailboxRule::One(address) => address.to_string(),
        MailboxRule::Domain(domain) => format!("any mailbox of {domain}"),
    }
}

/// A name as one segment of a path.
pub(super) fn segment(name: &str) -> String {
    url::form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
}

/// The account of this name, with its provider.
pub(super) fn known<'s>(setup: &'s Setup, name: &str) -> Result<(&'s Arc<Account>, &'s Provider), Refusal> {
    let account = setup.account(name);
    account.and_then(|account| Some((account, setup.provider_of(account)?))).ok_or_else(|| {
        Refusal::new(StatusCode::NOT_FOUND, format!("there is no account `{name}`")).hint("see the list of accounts")
    })
}

#[derive(Template)]
#[template(path = "admin/accounts.html")]
struct AccountsPage {
    frame: Frame,
    cards: Vec<AccountCard>,
}

async fn list(State(page): State<Page>, visitor: Visitor) -> Response {
    let cards = AccountCard::all(&page.control, &page.setup());
    html(&AccountsPage { frame: page.frame(&visitor, "accounts"), cards })
}

#[derive(Template)]
#[template(path = "admin/account.html")]
struct AccountPage {
    frame: Frame,
    card: AccountCard,
    kind: &'static str,
    /// The browser comes back by itself.
    by_browser: bool,
    /// How long somebody has for that.
    time: String,
    /// It is read.
    reads: bool,
    /// Google gives no mail to device codes.
    by_code: bool,
    /// An administrator of the tenant can be asked here.
    asks_consent: bool,
    /// The page under its public name, if everything that leads back has to begin there.
    public: Option<String>,
    holds: Vec<(Moment, Hold)>,
    newest: Vec<(Moment, Summary)>,
}

async fn show(State(page): State<Page>, visitor: Visitor, Path(name): Path<String>) -> Result<Response, Refusal> {
    let setup = page.setup();
    let (account, provider) = known(&setup, &name)?;
    let status = page.control.tokens.status().into_iter().find(|status| status.account == name);
    let queue = &page.control.queue;
    let filter = Filter { account: Some(name.clone()), all: true, limit: Some(NEWEST), ..Filter::default() };
    let newest = queue.list(filter).await.map_err(Problem::from)?;
    let holds = queue.holds().await.map_err(Problem::from)?;
    let way = WayBack::of(&setup, provider.redirect_uri.as_ref(), &visitor.site);
    Ok(html(&AccountPage {
        frame: page.frame(&visitor, "accounts"),
        card: AccountCard::new(account, status),
        kind: match provider.kind {
            ProviderKind::Microsoft => "Microsoft",
            ProviderKind::Google => "Google",
            ProviderKind::Custom => "custom",
        },
        reads: setup.reading.contains_key(&name),
        by_browser: matches!(way, Some(WayBack::Here(_) | WayBack::Detour(_))),
        time: spelt(provider.sign_in_timeout),
        by_code: provider.kind != ProviderKind::Google,
        asks_consent: provider.kind == ProviderKind::Microsoft && !matches!(way, Some(WayBack::Public(_))),
        public: way.and_then(|way| way.elsewhere(&name)),
        holds: holds.into_iter().filter(|hold| hold.account == name).map(|hold| (hold.since.into(), hold)).collect(),
        newest: newest.into_iter().map(|message| (message.accepted_at.into(), message)).collect(),
    }))
}

#[derive(Deserialize)]
struct Test {
    to: String,
    #[serde(default)]
    from: String,
}

/// Hands a test message in; its own page follows it.
async fn send_test(
    State(page): State<Page>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(form): Form<Test>,
) -> Result<Response, Refusal> {
    let setup = page.setup();
    let (account, _) = known(&setup, &name)?;
    let from = Some(form.from.as_str()).filter(|from| !from.trim().is_empty());
    let sent = test_message::send(&page.control, account, &form.to, from).await;
    Ok(match sent {
        Ok(id) => {
            let place = format!("/messages/{id}");
            page.done(&visitor, Ok("the test message is in the queue; this page follows it".to_owned()), &place)
        }
        Err(problem) => page.done(&visitor, Err(problem), &format!("/accounts/{}", segment(&name))),
    })
}

#[derive(Deserialize)]
struct ReadForm {
    #[serde(default)]
    mailbox: String,
}

/// Logs in to the mailbox, and says what came of it.
async fn try_reading(
    State(page): State<Page>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(form): Form<ReadForm>,
) -> Result<Response, Refusal> {
    let setup = page.setup();
    let (account, _) = known(&setup, &name)?;
    let mailbox = Some(form.mailbox.as_str()).filter(|mailbox| !mailbox.trim().is_empty());
    let done = read_test::read(&page.control, account, mailbox).await.and_then(|ways| told(&ways));
    Ok(page.done(&visitor, done, &format!("/accounts/{}", segment(&name))))
}

/// All that was found in one text; what does not work makes it bad, with the first next step.
fn told(ways: &[Probed]) -> Result<String, Problem> {
    let one = |way: &Probed| {
        let Probed { protocol, mailbox, server, .. } = way;
        let protocol = protocol.to_uppercase();
        match (way.messages, &way.why) {
            (Some(count), _) => format!("{protocol} works: {count} messages in the inbox of {mailbox}."),
            (None, why) => format!("{protocol} does not work at {server}: {}.", why.as_deref().unwrap_or("no reason")),
        }
    };
    let text = ways.iter().map(one).collect::<Vec<_>>().join(" ");
    match ways.iter().find(|way| way.messages.is_none()) {
        None => Ok(text),
        Some(way) => Err(Problem::new(StatusCode::BAD_GATEWAY, text, way.hint.clone())),
    }
}

async fn release(State(page): State<Page>, visitor: Visitor, Path(name): Path<String>) -> Response {
    let released = page.control.queue.release(Selector::Account(name.clone()), "released on the page").await;
    let done = released.map_err(Problem::from).map(|released| match released.len() {
        0 => format!("no mail of {name} was held"),
        _ => format!("the hold of {name} has ended; its mail is tried now"),
    });
    page.done(&visitor, done, &format!("/accounts/{}", segment(&name)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::setup;
    use super::*;

    fn status(error: Option<TokenError>, question: bool) -> AccountStatus {
        AccountStatus {
            account: "scanner".to_owned(),
            provider: "contoso".to_owned(),
            grant: "authorization-code",
            is_app: false,
            error,
            question,
            since: None,
            expires: None,
            name: None,
            unsaved: false,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn a_card_keeps_every_next_step_that_is_more_than_a_sign_in() {
        let sign_in = "run `oxpost login scanner`";
        let needed = |hint: &str| Some(TokenError::SignInNeeded { why: "why".into(), hint: hint.into() });
        let setup_error = Some(TokenError::Configuration { why: "why".into(), hint: "check `client_id`".into() });
        let policy = "the administrator finds the policy in the sign-in log; then run `oxpost login scanner`";
        let confirm = "if it is, run `oxpost login scanner --confirm`";
        let table = [
            (None, false, None, false, "nothing is wrong"),
            (needed(sign_in), false, None, true, "there is a button for it"),
            (needed(policy), false, Some(policy), true, "a sign-in alone would fail again (AADSTS53003)"),
            (needed(confirm), true, None, true, "there are two buttons for it"),
            (needed(confirm), false, Some(confirm), true, "words alone make no question"),
            (setup_error, false, Some("check `client_id`"), false, "no sign-in helps"),
        ];
        let setup = setup();
        let account = setup.account("scanner").unwrap();
        for (error, question, hint, sign_in, why) in table {
            let card = AccountCard::new(account, Some(status(error, question)));
            assert_eq!((card.hint.as_deref(), card.sign_in, card.question), (hint, sign_in, question), "{why}");
        }
    }
}
