//! The authorize page: who signs in, and is the request one that Microsoft would take (RFC 6749 section 4.1.1)?

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use url::Url;

use super::super::directory::App;
use super::super::ledger::SignIn;
use super::super::post_office::Place;
use super::super::scope::{self, Scope};
use super::super::shared::Shared;
use super::form::Form;
use super::problem::Problem;
use super::{check_tenant, consent};

/// Longest redirect URI that can be registered.
const MAX_REDIRECT: usize = 256;
/// An S256 challenge is 32 octets in base64url (RFC 7636 section 4.2).
const CHALLENGE_LENGTH: usize = 43;

/// A request that may be shown to a person.
struct Request {
    client_id: String,
    redirect_uri: Url,
    /// As it was sent: the token request must repeat it to the letter.
    redirect_text: String,
    state: String,
    challenge: String,
    scopes: Vec<Scope>,
    nonce: Option<String>,
}

/// What is wrong with a request, and where that may be said.
enum Refusal {
    /// On a page: the redirect URI cannot be trusted.
    Page(Problem),
    /// On the redirect (RFC 6749 section 4.1.2.1).
    Redirect(Box<Url>, Problem),
}

/// GET: shows who can sign in, or signs in at once if told to.
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    shared.pause(shared.switches.knobs().identity_latency).await;
    let query = query.unwrap_or_default();
    let (form, request) = match understand(&shared, &tenant, query.as_bytes()) {
        Ok(understood) => understood,
        Err(refusal) => return refuse(&shared, refusal),
    };
    let hint = form.get("login_hint");
    if form.get("practice_auto") == Some("1") || shared.switches.knobs().auto_sign_in {
        let first = shared.directory.users.first().map(|user| user.address.as_str());
        if let Some(address) = hint.or(first) {
            return sign_in(&shared, request, address);
        }
    }
    let page = Page {
        client_id: &request.client_id,
        scopes: request.scopes.iter().map(Scope::to_string).collect(),
        parameters: form.pairs(),
        users: shared.directory.users.iter().map(|user| Choice { address: &user.address, name: &user.name }).collect(),
        hint: hint.unwrap_or_default(),
    };
    match page.render() {
        Ok(html) => page_response(StatusCode::OK, html, Some(&request.redirect_uri)),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// POST: somebody pressed a button. Everything is checked again: a form can be changed.
pub(super) async fn agree(State(shared): State<Arc<Shared>>, Path(tenant): Path<String>, body: String) -> Response {
    match understand(&shared, &tenant, body.as_bytes()) {
        Ok((form, request)) => {
            let address = form.get("practice_sign_in").unwrap_or_default();
            sign_in(&shared, request, address)
        }
        Err(refusal) => refuse(&shared, refusal),
    }
}

fn sign_in(shared: &Shared, request: Request, address: &str) -> Response {
    let mut target = request.redirect_uri.clone();
    let Some(user) = shared.directory.user(address) else {
        let text = format!("The user account '{address}' does not exist in the tenant.");
        target.query_pairs_mut().append_pair("state", &request.state);
        return refuse(shared, Refusal::Redirect(Box::new(target), Problem::grant(50034, text)));
    };
    let sign_in = SignIn {
        client_id: request.client_id,
        redirect_uri: request.redirect_text,
        challenge: request.challenge,
        address: user.address.clone(),
        scopes: request.scopes,
        nonce: request.nonce,
    };
    let code = shared.ledger().new_code(sign_in, shared.clock.now());
    target.query_pairs_mut().append_pair("code", &code).append_pair("state", &request.state);
    redirect(&target)
}

fn understand(shared: &Shared, tenant: &str, encoded: &[u8]) -> Result<(Form, Request), Refusal> {
    let directory = &shared.directory;
    let page = |problem| Refusal::Page(problem);
    check_tenant(directory, tenant).map_err(page)?;
    let form = Form::parse(encoded).map_err(page)?;
    let client_id = form.need("client_id").map_err(page)?;
    let app = directory.app(client_id).ok_or_else(|| {
        let text = format!("Application with identifier '{client_id}' was not found in the directory.");
        Refusal::Page(Problem::unauthorized_client(700_016, text))
    })?;
    let redirect_text = form.need("redirect_uri").map_err(page)?;
    let redirect_uri = registered(app, redirect_text).ok_or_else(|| {
        let text =
            format!("The redirect URI '{redirect_text}' does not match the ones configured for the application.");
        Refusal::Page(Problem::request(50011, text))
    })?;

    let back = |problem: Problem| {
        let mut target = redirect_uri.clone();
        if let Some(state) = form.get("state") {
            target.query_pairs_mut().append_pair("state", state);
        }
        Refusal::Redirect(Box::new(target), problem)
    };
    check_flow(&form).map_err(back)?;
    let scopes = form.need("scope").and_then(|scopes| Ok(scope::parse(scopes)?)).map_err(back)?;
    consent::check(&shared.switches.knobs(), &scopes).map_err(back)?;
    let request = Request {
        client_id: client_id.to_owned(),
        redirect_text: redirect_text.to_owned(),
        state: form.need("state").map_err(back)?.to_owned(),
        challenge: form.need("code_challenge").map_err(back)?.to_owned(),
        nonce: form.get("nonce").map(str::to_owned),
        scopes,
        redirect_uri,
    };
    Ok((form, request))
}

/// Code flow with PKCE and a state. Microsoft would let the last two pass; a gateway must not leave them out.
fn check_flow(form: &Form) -> Result<(), Problem> {
    let kind = form.need("response_type")?;
    if kind != "code" {
        return Err(Problem::request(700_054, format!("response_type '{kind}' is not enabled for the application.")));
    }
    let mode = form.get("response_mode").unwrap_or("query");
    if mode != "query" {
        return Err(Problem::request(
            90023,
            format!("The practice tenant has no response_mode '{mode}', only 'query'."),
        ));
    }
    form.need("state")?;
    let challenge = form.need("code_challenge")?;
    let method = form.need("code_challenge_method")?;
    if method != "S256" {
        return Err(Problem::request(501_491, format!("The code_challenge_method '{method}' is not 'S256'.")));
    }
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_';
    if challenge.len() != CHALLENGE_LENGTH || !challenge.bytes().all(plain) {
        return Err(Problem::request(501_491, "The code_challenge is not a SHA-256 digest in base64url."));
    }
    Ok(())
}

/// The redirect URI, if the app registered it. Loopback may have any port; nothing else may differ.
fn registered(app: &App, text: &str) -> Option<Url> {
    let asked = Url::parse(text).ok().filter(|_| text.len() <= MAX_REDIRECT)?;
    let without_port = |url: &Url| {
        let mut url = url.clone();
        let loopback = url.scheme() == "http" && matches!(url.host_str(), Some("localhost" | "127.0.0.1"));
        if loopback { url.set_port(None).ok().map(|()| url) } else { Some(url) }
    };
    let wanted = without_port(&asked)?;
    let known = |registered: &String| Url::parse(registered).ok().and_then(|url| without_port(&url));
    let matches = asked.fragment().is_none() && app.redirect_uris.iter().filter_map(known).any(|known| known == wanted);
    matches.then_some(asked)
}

fn refuse(shared: &Shared, refusal: Refusal) -> Response {
    match refusal {
        Refusal::Page(problem) => {
            shared.note(Place::Authorize, problem.summary());
            let page = ErrorPage { error: problem.error, summary: problem.summary() };
            match page.render() {
                Ok(html) => page_response(StatusCode::BAD_REQUEST, html, None),
                Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
            }
        }
        Refusal::Redirect(mut target, problem) => {
            shared.note(Place::Authorize, problem.summary());
            let summary = problem.summary();
            target.query_pairs_mut().append_pair("error", problem.error).append_pair("error_description", &summary);
            redirect(&target)
        }
    }
}

fn redirect(target: &Url) -> Response {
    // A URL is printable ASCII, so it always fits a header.
    let location = HeaderValue::from_str(target.as_str()).unwrap_or(HeaderValue::from_static("/"));
    let caching = HeaderValue::from_static("no-store");
    (StatusCode::FOUND, [(header::LOCATION, location), (header::CACHE_CONTROL, caching)]).into_response()
}

/// A page that may post to itself and be led on to the client.
fn page_response(status: StatusCode, html: String, client: Option<&Url>) -> Response {
    let client = client.map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'self'; form-action 'self' {client}; base-uri 'none'; frame-ancestors 'none'"
    );
    let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    (status, [(header::CONTENT_SECURITY_POLICY, policy)], Html(html)).into_response()
}

struct Choice<'a> {
    address: &'a str,
    name: &'a str,
}

#[derive(Template)]
#[template(path = "practice/authorize.html")]
struct Page<'a> {
    client_id: &'a str,
    scopes: Vec<String>,
    parameters: &'a [(String, String)],
    users: Vec<Choice<'a>>,
    hint: &'a str,
}

#[derive(Template)]
#[template(path = "practice/authorize_error.html")]
struct ErrorPage {
    error: &'static str,
    summary: String,
}
