//! Who calls the token endpoint (RFC 6749 section 2.3).

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::directory::{App, Directory};
use super::form::Form;
use super::problem::Problem;

/// The app that calls, once it has proved itself: by secret if it is confidential, by nothing if it is public.
pub(super) fn authenticate<'a>(directory: &'a Directory, headers: &HeaderMap, form: &Form) -> Result<&'a App, Problem> {
    let (client_id, secret) = match headers.get(header::AUTHORIZATION) {
        None => (form.need("client_id")?.to_owned(), form.get("client_secret").map(str::to_owned)),
        Some(_) if form.get("client_secret").is_some() => {
            return Err(Problem::request(90014, "The client authenticates in two ways at once."));
        }
        Some(value) => {
            let basic = value.to_str().ok().and_then(|value| value.strip_prefix("Basic ")).and_then(basic);
            let (id, secret) =
                basic.ok_or_else(|| Problem::client(7_000_216, "The Authorization header is malformed."))?;
            (id, Some(secret))
        }
    };
    let app = directory.app(&client_id).ok_or_else(|| {
        let text = format!("Application with identifier '{client_id}' was not found in the directory.");
        Problem::unauthorized_client(700_016, text)
    })?;
    match (&app.secret, secret) {
        (None, None) => Ok(app),
        (None, Some(_)) => {
            let text = "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.";
            Err(Problem::client(700_025, text))
        }
        (Some(_), None) => {
            let text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
            Err(Problem::client(7_000_218, text))
        }
        (Some(known), Some(given)) if known.same_as(&given) => Ok(app),
        (Some(_), Some(_)) => Err(Problem::client(7_000_215, "Invalid client secret provided.")),
    }
}

/// Both halves are form-encoded before they are joined (RFC 6749 section 2.3.1).
fn basic(encoded: &str) -> Option<(String, String)> {
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some((form_decoded(id)?, form_decoded(secret)?))
}

fn form_decoded(text: &str) -> Option<String> {
    if text.contains(['&', '=']) {
        return None;
    }
    url::form_urlencoded::parse(text.as_bytes()).next().map(|(decoded, _)| decoded.into_owned())
}
