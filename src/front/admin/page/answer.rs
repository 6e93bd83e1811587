//! The provider's return. It is a navigation from another site, so the session's cookie does not come with it; a
//! cookie of its own ties the answer to the browser that began the sign-in, once and for ten minutes. The answer is a
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

use super::Page;
use super::guard::Visit;
use super::sessions::{Filed, filed, random};
use super::site::{Site, cookie};
use super::view::html;
use crate::clock::{Clock, Timestamp};
use crate::front::admin::{Problem, SignInFinished, api};
use crate::secret::Secret;

/// How long somebody may take at the provider.
const PATIENCE: Duration = Duration::from_secs(600);
/// Answers that are waited for at once; beyond it the oldest is not waited for any more.
const MOST: usize = 100;
/// What the name of the cookie begins with. A part of the state follows, so that two tabs do not disturb each other.
const COOKIE: &str = "oxpost_return_";

/// What the browser was sent to the provider for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Errand {
    /// Somebody signs an account in.
    SignIn,
    /// An administrator of the tenant lets the app in.
    Consent,
}

struct Awaited {
    state: Secret,
    account: String,
    errand: Errand,
    until: Timestamp,
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

    /// Waits for the answer with this state. Returns the cookie that it must come with.
    pub(super) fn await_answer(
        &self,
        site: &Site,
        (account, errand): (&str, Errand),
        state: &str,
        path: &str,
    ) -> Option<HeaderValue> {
        let (now, nonce) = (self.clock.now(), random()?);
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        awaited.retain(|_, answer| now < answer.until);
        if awaited.len() >= MOST
            && let Some(oldest) = awaited.iter().min_by_key(|(_, answer)| answer.until).map(|(filed, _)| *filed)
        {
            awaited.remove(&oldest);
        }
        let answer =
            Awaited { state: Secret::new(state), account: account.to_owned(), errand, until: now.plus(PATIENCE) };
        awaited.insert(filed(&nonce), answer);
        let rest = format!("SameSite=Lax; Path={path}; Max-Age={}", PATIENCE.as_secs());
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
    let (account, errand) = (awaited.account, awaited.errand);
    let next = format!("/accounts/{}", super::accounts::segment(&account));
    let outcome = match errand {
        Errand::SignIn => match api::finish(&page.control, &format!("/?{query}")).await {
            Ok(SignInFinished { next: Some(url), .. }) => return go_on(&page, &visit.site, &account, &url, path),
            done => done.map(signed_in),
        },
        Errand::Consent => consented(&fields),
    };
    let shown = match outcome {
        Ok(text) => AnswerPage {
            good: true,
            title: match errand {
                Errand::SignIn => format!("{account} is signed in"),
                Errand::Consent => format!("The app may be used by {account}"),
            },
            text,
            hint: None,
            next,
            link: format!("Go on to {account}"),
        },
        Err(problem) => AnswerPage {
            good: false,
            title: format!("{account} is not signed in"),
            text: problem.detail,
            hint: problem.hint,
            next,
            link: format!("Back to {account}"),
        },
    };
    own_page(StatusCode::OK, &shown, gone)
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

#[derive(Template)]
#[template(path = "admin/onward.html")]
struct NextPage<'a> {
    account: &'a str,
    provider: &'a str,
    url: &'a str,
}

/// The provider wants to be asked for each permission by itself: the browser goes there once more.
fn go_on(page: &Page, site: &Site, account: &str, url: &url::Url, path: &str) -> Response {
    let state = url.query_pairs().find(|(name, _)| name == "state").map(|(_, state)| state.into_owned());
    let state = state.unwrap_or_default();
    let Some(cookie) = page.inner.returns.await_answer(site, (account, Errand::SignIn), &state, path) else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let shown = NextPage { account, provider: "the next consent", url: url.as_str() };
    ([(SET_COOKIE, cookie), (REFERRER_POLICY, HeaderValue::from_static("no-referrer"))], html(&shown)).into_response()
}

/// What Microsoft's page for administrators answers.
fn consented(fields: &HashMap<String, String>) -> Result<String, Problem> {
    match fields.get("error") {
        None => Ok("An administrator of the tenant agreed. Sign the account in now.".to_owned()),
        Some(error) => {
            let words = fields.get("error_description").map(String::as_str).unwrap_or_default();
            let detail = format!("the administrator's consent was not given: {error} {words}");
            let hint = "open the link again as an administrator of the tenant, and accept".to_owned();
            Err(Problem::new(StatusCode::CONFLICT, crate::mail::failure::one_line(&detail), Some(hint)))
        }
    }
}

fn stranger() -> AnswerPage {
    AnswerPage {
        good: false,
        title: "This sign-in did not begin here".to_owned(),
        text: "The answer belongs to no sign-in of this browser: it was used already, it took longer than ten \
               minutes, or somebody else began it. Nothing was changed."
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
        returns.await_answer(site, ("scanner", Errand::SignIn), state, "/").unwrap()
    }

    #[test]
    fn an_answer_is_taken_once_from_the_browser_that_began() {
        let (clock, returns, site) = returns();
        let cookie = begin(&returns, &site, "state-1");
        let text = cookie.to_str().unwrap();
        for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=600"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("state-1"), "the state is not told");
        assert!(returns.take(&HeaderMap::new(), "state-1").is_none(), "another browser");
        let other = begin(&returns, &site, "state-2");
        assert!(returns.take(&with(&other), "state-1").is_none(), "the cookie of another sign-in");
        assert_eq!(returns.take(&with(&cookie), "state-1").unwrap().account, "scanner");
        assert!(returns.take(&with(&cookie), "state-1").is_none(), "twice");

        let late = begin(&returns, &site, "state-3");
        clock.advance(PATIENCE);
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
