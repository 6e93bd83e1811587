//! The provider's return. It is a navigation from another site, so the session's cookie does not come with it; a
//! cookie of its own ties the answer to the browser that began, once and for as long as the errand lasts. The answer is a
//! page of its own, not a redirect: from there on the browser is at home again, and its session's cookie comes along.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{REFERRER_POLICY, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use url::Url;

use super::Page;
use super::accounts::segment;
use super::guard::Visit;
use super::onward::lead_on;
use super::sessions::{Filed, filed, random};
use super::site::{Site, cookie};
use super::view::{Refusal, html, spelt};
use crate::clock::{Clock, Timestamp};
use crate::front::admin::{Problem, SignInFinished, api};
use crate::secret::Secret;
use crate::token::SignIn;

/// How long an administrator may take at the provider's page of consent.
const PATIENCE: Duration = Duration::from_secs(600);
/// Answers that are waited for at once; beyond it the oldest is not waited for any more.
const MOST: usize = 100;
/// What the name of the cookie begins with. A part of the state follows, so that two tabs do not disturb each other.
const COOKIE: &str = "oxpost_return_";
/// Where answers come to that were sent on by a listener of their own.
pub(super) const CALLBACK: &str = "/callback";

/// What the browser was sent to the provider for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Errand {
    /// Somebody signs an account in.
    SignIn,
    /// An administrator of the tenant lets the app in.
    Consent,
}

/// An answer that is to come.
pub(super) struct Expected<'a> {
    account: &'a str,
    errand: Errand,
    state: &'a str,
    /// Where it comes to.
    path: &'a str,
    /// When it is too late.
    pub(super) until: Timestamp,
    /// The address outside the page that the provider sends the browser to, if it is one.
    pub(super) detour: Option<&'a Url>,
}

impl<'a> Expected<'a> {
    /// That of a sign-in that was begun, for as long as the sign-in itself lasts.
    pub(super) fn of(begun: &'a SignIn, detour: Option<&'a Url>) -> Self {
        let path = if detour.is_some() { CALLBACK } else { begun.redirect_uri.path() };
        let (account, state, until) = (&begun.account, &begun.state, begun.expires);
        Self { account, errand: Errand::SignIn, state, path, until, detour }
    }

    /// That of a consent that is asked for now.
    pub(super) fn consent(account: &'a str, state: &'a str, path: &'a str, now: Timestamp) -> Self {
        Self { account, errand: Errand::Consent, state, path, until: now.plus(PATIENCE), detour: None }
    }
}

struct Awaited {
    state: Secret,
    account: String,
    errand: Errand,
    until: Timestamp,
    detour: Option<Url>,
}

/// The answers that are waited for, filed under the secret that the browser's cookie holds.
pub(super) struct Returns {
    clock: Clock,
    awaited: Mutex<HashMap<Filed, Awaited>>,
}

impl Returns {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, awaited: Mutex::default() }
    }

    /// Waits for an answer. Returns the cookie that it must come with.
    pub(super) fn await_answer(&self, site: &Site, expected: &Expected<'_>) -> Option<HeaderValue> {
        let Expected { account, errand, state, path, until, detour } = *expected;
        let (now, nonce) = (self.clock.now(), random()?);
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        awaited.retain(|_, answer| now < answer.until);
        if awaited.len() >= MOST
            && let Some(oldest) = awaited.iter().min_by_key(|(_, answer)| answer.until).map(|(filed, _)| *filed)
        {
            awaited.remove(&oldest);
        }
        let (state_kept, detour) = (Secret::new(state), detour.cloned());
        let answer = Awaited { state: state_kept, account: account.to_owned(), errand, until, detour };
        awaited.insert(filed(&nonce), answer);
        let rest = format!("SameSite=Lax; Path={path}; Max-Age={}", until.since(now).as_secs());
        site.cookie(&cookie_name(state), &nonce, &rest)
    }

    /// The answer that was waited for, if browser and state are those that began; whatever they are, it is not waited
    /// for again.
    fn take(&self, headers: &HeaderMap, state: &str) -> Option<Awaited> {
        let nonce = cookie(headers, &cookie_name(state))?;
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = awaited.remove(&filed(nonce))?;
        (answer.state.same_as(state) && self.clock.now() < answer.until).then_some(answer)
    }
}

fn cookie_name(state: &str) -> String {
    let part: String = filed(state).iter().take(8).map(|octet| format!("{octet:02x}")).collect();
    format!("{COOKIE}{part}")
}

/// Whether a request is a provider's answer: they come to `/callback`, or to `/`, which is what apps that are
/// registered with `http://localhost` send the browser back to.
pub(super) fn is_answer(uri: &Uri) -> bool {
    let Some(query) = uri.query().filter(|_| matches!(uri.path(), "/" | "/callback")) else { return false };
    let has = |wanted: &[&str]| {
        url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| wanted.contains(&name.as_ref()))
    };
    has(&["state"]) && has(&["code", "error", "admin_consent"])
}

#[derive(Template)]
#[template(path = "admin/answer.html")]
struct AnswerPage {
    good: bool,
    title: String,
    text: String,
    hint: Option<String>,
    /// Where it goes on.
    next: String,
    link: String,
}

/// The page at the end of the way to the provider and back.
pub(super) async fn returned(
    State(page): State<Page>,
    Extension(visit): Extension<Visit>,
    request: Request,
) -> Response {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let fields: HashMap<String, String> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let state = fields.get("state").map(String::as_str).unwrap_or_default();
    let Some(awaited) = page.inner.returns.take(request.headers(), state) else {
        tracing::warn!("an answer to a sign-in came that did not begin in that browser");
        return own_page(StatusCode::BAD_REQUEST, &stranger(), None);
    };
    let path = request.uri().path();
    let gone = visit.site.cookie(&cookie_name(state), "", &format!("SameSite=Lax; Path={path}; Max-Age=0"));
    let (account, detour) = (awaited.account, awaited.detour);
    let shown = match awaited.errand {
        Errand::SignIn => match api::finish(&page.control, &format!("/?{query}")).await {
            Ok(SignInFinished { next: Some(url), .. }) => {
                let going = go_on(&page, &visit.site, &account, &url, (path, detour.as_ref())).await;
                return going.unwrap_or_else(Refusal::into_response);
            }
            Ok(done) => AnswerPage::good(&account, format!("{account} is signed in"), signed_in(done)),
            Err(problem) => AnswerPage::bad(&account, format!("{account} is not signed in"), problem),
        },
        Errand::Consent => match consented(&fields) {
            Ok(()) => AnswerPage::good(&account, "An administrator agreed".to_owned(), after_consent(&page, &account)),
            Err(problem) => AnswerPage::bad(&account, "The administrator did not agree".to_owned(), problem),
        },
    };
    own_page(StatusCode::OK, &shown, gone)
}

impl AnswerPage {
    fn good(account: &str, title: String, text: String) -> Self {
        let link = format!("Go on to {account}");
        Self { good: true, title, text, hint: None, next: place(account), link }
    }

    fn bad(account: &str, title: String, problem: Problem) -> Self {
        let (text, link) = (problem.detail, format!("Back to {account}"));
        Self { good: false, title, text, hint: problem.hint, next: place(account), link }
    }
}

fn signed_in(done: SignInFinished) -> String {
    let name = done.name.map(|name| format!("The provider knows who signed in as {name}. ")).unwrap_or_default();
    let rest = match done.question {
        Some(question) => question,
        None if done.released > 0 => "Mail that was held for it goes now.".to_owned(),
        None => "Its mail goes from now on.".to_owned(),
    };
    format!("{name}{rest}")
}

/// The provider wants to be asked for each permission by itself: the browser goes there once more.
async fn go_on(
    page: &Page,
    site: &Site,
    account: &str,
    url: &Url,
    (path, detour): (&str, Option<&Url>),
) -> Result<Response, Refusal> {
    let state = url.query_pairs().find(|(name, _)| name == "state").map(|(_, state)| state.into_owned());
    let state = state.unwrap_or_default();
    let setup = page.setup();
    let provider = setup.account(account).and_then(|account| setup.provider_of(account));
    let time = provider.map(|provider| provider.sign_in_timeout).unwrap_or_default();
    let until = page.control.clock.now().plus(time);
    let expected = Expected { account, errand: Errand::SignIn, state: &state, path, until, detour };
    let text = format!("It asks for one more permission, for {}. Then you come back here by yourself.", spelt(time));
    lead_on(page, site, &expected, "the next consent", text, url).await
}

/// What Microsoft's page for administrators answers: `admin_consent=True`, or an error.
fn consented(fields: &HashMap<String, String>) -> Result<(), Problem> {
    let field = |name: &str| fields.get(name).map(String::as_str);
    let detail = match (field("error"), field("admin_consent")) {
        (None, Some(answer)) if answer.eq_ignore_ascii_case("true") => return Ok(()),
        (None, _) => "the provider does not say that the consent was given".to_owned(),
        (Some(error), _) => {
            format!("the consent was not given: {error} {}", field("error_description").unwrap_or_default())
        }
    };
    let hint = "ask for the consent again, sign in as an administrator of the tenant, and accept".to_owned();
    Err(Problem::new(StatusCode::CONFLICT, crate::mail::failure::one_line(&detail), Some(hint)))
}

/// What comes next: for an app nobody signs in.
fn after_consent(page: &Page, account: &str) -> String {
    let status = page.control.tokens.status().into_iter().find(|status| status.account == account);
    if status.is_some_and(|status| status.is_app) {
        format!(
            "Nobody need sign in: the app gets the tokens of {account} itself. A test message shows whether they are enough."
        )
    } else {
        format!("The app may be used for {account}. Sign {account} in now.")
    }
}

fn place(account: &str) -> String {
    format!("/accounts/{}", segment(account))
}

fn stranger() -> AnswerPage {
    AnswerPage {
        good: false,
        title: "This sign-in did not begin here".to_owned(),
        text: "The answer belongs to no sign-in of this browser: it was used already, it took too long, or \
               somebody else began it. Nothing was changed."
            .to_owned(),
        hint: Some("begin the sign-in again from the account's page".to_owned()),
        next: "/accounts".to_owned(),
        link: "Go to the accounts".to_owned(),
    }
}

/// Nobody learns from a `Referer` what the provider sent.
fn own_page(status: StatusCode, shown: &AnswerPage, cookie: Option<HeaderValue>) -> Response {
    let mut response = (status, [(REFERRER_POLICY, "no-referrer")], html(shown)).into_response();
    if let Some(cookie) = cookie {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::super::tests::setup;
    use super::*;

    /// What the sign-in itself has.
    const TIME: Duration = Duration::from_secs(120);

    fn returns() -> (Clock, Returns, Site) {
        let clock = Clock::manual(Timestamp::from_millis(0));
        let host = HeaderMap::from_iter([(http::header::HOST, HeaderValue::from_static("localhost:8025"))]);
        (clock.clone(), Returns::new(clock), Site::of(&host, &setup()).unwrap())
    }

    fn with(cookie: &HeaderValue) -> HeaderMap {
        let pair = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        HeaderMap::from_iter([(http::header::COOKIE, HeaderValue::from_str(&pair).unwrap())])
    }

    fn begin(returns: &Returns, site: &Site, state: &str) -> HeaderValue {
        let until = returns.clock.now().plus(TIME);
        let expected = Expected { account: "scanner", errand: Errand::SignIn, state, path: "/", until, detour: None };
        returns.await_answer(site, &expected).unwrap()
    }

    #[test]
    fn an_answer_is_taken_once_from_the_browser_that_began() {
        let (clock, returns, site) = returns();
        let cookie = begin(&returns, &site, "state-1");
        let text = cookie.to_str().unwrap();
        for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=120"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("state-1"), "the state is not told");
        assert!(returns.take(&HeaderMap::new(), "state-1").is_none(), "another browser");
        let other = begin(&returns, &site, "state-2");
        assert!(returns.take(&with(&other), "state-1").is_none(), "the cookie of another sign-in");
        assert_eq!(returns.take(&with(&cookie), "state-1").unwrap().account, "scanner");
        assert!(returns.take(&with(&cookie), "state-1").is_none(), "twice");

        let late = begin(&returns, &site, "state-3");
        clock.advance(TIME);
        assert!(returns.take(&with(&late), "state-3").is_none(), "too late");
    }

    #[test]
    fn a_cookie_whose_state_is_another_one_is_used_up() {
        let (_, returns, site) = returns();
        let cookie = begin(&returns, &site, "state-1");
        let nonce = cookie.to_str().unwrap().split(['=', ';']).nth(1).unwrap().to_owned();
        let forged = format!("{}={nonce}", cookie_name("state-of-the-attacker"));
        let headers = HeaderMap::from_iter([(http::header::COOKIE, HeaderValue::from_str(&forged).unwrap())]);
        assert!(returns.take(&headers, "state-of-the-attacker").is_none(), "mismatch");
        assert!(returns.take(&with(&cookie), "state-1").is_none(), "single use, whatever came");
    }

    #[test]
    fn a_consent_was_given_if_the_provider_says_so() {
        let table = [
            ("admin_consent=True&tenant=t", true, "as Microsoft writes it"),
            ("admin_consent=true", true, "or in small letters"),
            ("admin_consent=False", false, "it says no"),
            ("admin_consent=True&error=access_denied", false, "an error counts"),
            ("tenant=t", false, "it says nothing"),
            ("code=1", false, "an answer to another question"),
        ];
        for (query, given, why) in table {
            let fields = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
            assert_eq!(consented(&fields).is_ok(), given, "{query}: {why}");
        }
    }

    #[test]
    fn only_what_a_provider_sends_is_an_answer() {
        let table = [
            ("/?code=1&state=2", true, "a code"),
            ("/callback?error=access_denied&state=2", true, "a refusal"),
            ("/?admin_consent=True&tenant=t&state=2", true, "an administrator's consent"),
            ("/", false, "the overview"),
            ("/?code=1", false, "no state"),
            ("/messages?state=held", false, "a filter of the list"),
            ("/?state=held", false, "nothing that was answered"),
        ];
        for (uri, expected, why) in table {
            assert_eq!(is_answer(&uri.parse().unwrap()), expected, "{uri}: {why}");
        }
    }
}
