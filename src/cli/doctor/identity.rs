//! The provider's identity side: does it know the tenant, do the clocks agree, does the registration look right.

use std::io::Write;

use http::header::DATE;
use jiff::fmt::rfc2822::DateTimeParser;
use serde_json::Value;
use url::Url;

use super::chart::Chart;
use crate::clock::{Clock, Timestamp};
use crate::http::{Http, Request, Response};
use crate::mail::failure::one_line;
use crate::token::{ClientAuthentication, Provider, ProviderKind};

/// The clocks may differ by so much; assertions and certificates bear five minutes (Microsoft allows as much).
const MAX_SKEW_SECONDS: i64 = 300;
/// More than this is worth a word.
const NOTICED_SKEW_SECONDS: i64 = 60;
/// The end of a Microsoft token endpoint, behind the tenant.
const TOKEN_PATH: &str = "/oauth2/v2.0/token";
/// Where a discovery document is (OpenID Connect Discovery 1.0 section 4).
const WELL_KNOWN: &str = "/.well-known/openid-configuration";
const GOOGLE_DISCOVERY: &str = "https://accounts.google.com/.well-known/openid-configuration";

pub(super) async fn examine(provider: &Provider, http: &Http, clock: &Clock, chart: &mut Chart<impl Write>) {
    registration(provider, chart);
    let document = discovery_url(provider);
    // Any answer of the server has its clock in it.
    let Some(url) = document.clone().or_else(|| provider.token_url.clone()) else {
        return chart.bad("discovery", "the provider has neither an issuer nor a token endpoint", "write `issuer`");
    };
    let response = match http.send(Request::get(url)).await {
        Ok(response) => response,
        Err(error) => {
            let remedy = "check this machine's network, and `authorize_url` and `token_url` of the provider";
            return chart.bad("discovery", &error.to_string(), remedy);
        }
    };
    match document {
        Some(_) => discovery(&response, provider, chart),
        None => chart.skipped("discovery", "this provider is known by its endpoints alone"),
    }
    skew(&response, clock.now(), chart);
}

/// Ids and secrets that cannot be what they should.
fn registration(provider: &Provider, chart: &mut Chart<impl Write>) {
    if provider.kind != ProviderKind::Microsoft {
        return;
    }
    let is_guid = |text: &str| uuid::Uuid::parse_str(text.trim()).is_ok();
    let secret = match &provider.authentication {
        ClientAuthentication::SecretPost(secret) | ClientAuthentication::SecretBasic(secret) => Some(secret),
        ClientAuthentication::None
        | ClientAuthentication::Key(_)
        | ClientAuthentication::TokenFile(_)
        | ClientAuthentication::ManagedIdentity(_) => None,
    };
    if secret.is_some_and(|secret| is_guid(secret.expose())) {
        let remedy =
            "copy the secret's *value* from the portal, not its *secret id*; the value is shown once, when it is made";
        chart.bad("secret", "`client_secret` has the form of a secret's id", remedy);
    }
    if is_guid(&provider.client_id) {
        chart.fine("client id", "it has the form of one");
    } else {
        let remedy = "copy the *application (client) id* from the overview of the app registration";
        chart.bad("client id", &format!("`{}` is no application id of Microsoft", provider.client_id), remedy);
    }
}

fn discovery_url(provider: &Provider) -> Option<Url> {
    if let Some(issuer) = &provider.issuer {
        let mut url = issuer.clone();
        url.set_path(&format!("{}{WELL_KNOWN}", issuer.path().trim_end_matches('/')));
        return Some(url);
    }
    match provider.kind {
        ProviderKind::Microsoft => {
            let mut url = provider.token_url.clone()?;
            let path = url.path().strip_suffix(TOKEN_PATH).map(|tenant| format!("{tenant}/v2.0{WELL_KNOWN}"))?;
            url.set_path(&path);
            Some(url)
        }
        ProviderKind::Google => {
            let is_googles = provider.authorize_url.as_ref()?.host_str() == Some("accounts.google.com");
            GOOGLE_DISCOVERY.parse().ok().filter(|_| is_googles)
        }
        ProviderKind::Custom => None,
    }
}

fn discovery(response: &Response, provider: &Provider, chart: &mut Chart<impl Write>) {
    let document: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let text = |name: &str| document[name].as_str().map(one_line);
    if let Some(issuer) = text("issuer").filter(|_| response.status == 200) {
        return chart.fine("discovery", &format!("the issuer is {issuer}"));
    }
    let words = text("error_description").unwrap_or_else(|| format!("HTTP {}", response.status));
    let remedy = if words.contains("AADSTS90002") || words.contains("AADSTS900023") {
        format!("write the domain or the directory id of your tenant into `tenant` of `[provider.{}]`", provider.name)
    } else {
        format!(
            "check the endpoints of `[provider.{}]`, and whether a proxy answers in the provider's place",
            provider.name
        )
    };
    chart.bad("discovery", &format!("no discovery document: {words}"), &remedy);
}

fn skew(response: &Response, now: Timestamp, chart: &mut Chart<impl Write>) {
    let date = response.headers.get(DATE).and_then(|date| date.to_str().ok());
    let Some(theirs) = date.and_then(|date| DateTimeParser::new().parse_timestamp(date.trim()).ok()) else {
        return chart.skipped("clock", "the server does not tell its time");
    };
    // Dates are to the second, and the answer took its time.
    let seconds = now.as_millis() / 1000 - theirs.as_second();
    let way = if seconds < 0 { "behind" } else { "ahead of" };
    let what = format!("this machine's clock is {} s {way} the provider's", seconds.abs());
    let remedy = "set the clock and let it be kept right, by `timedatectl set-ntp true` for instance";
    match seconds.abs() {
        0..=NOTICED_SKEW_SECONDS => chart.fine("clock", &what),
        seconds if seconds <= MAX_SKEW_SECONDS => chart.doubt("clock", &what, remedy),
        _ => chart.bad("clock", &format!("{what}: tokens and certificates count as expired or not yet valid"), remedy),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn response(status: u16, date: Option<&str>, body: &str) -> Response {
        let mut headers = HeaderMap::new();
        headers.extend(date.map(|date| (DATE, date.parse().unwrap())));
        Response { status, headers, body: body.as_bytes().to_vec(), cut: None, retry_after: None }
    }

    fn said(examine: impl FnOnce(&mut Chart<&mut Vec<u8>>)) -> String {
        let mut written = Vec::new();
        examine(&mut Chart::new(&mut written));
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn a_clock_that_is_wrong_is_noticed() {
        let now = Timestamp::from_millis(784_111_777_000); // Sun, 06 Nov 1994 08:49:37 GMT
        let table = [
            (Some("Sun, 06 Nov 1994 08:49:37 GMT"), "ok    clock", "0 s", "the same"),
            (Some("Sun, 06 Nov 1994 08:48:40 GMT"), "ok    clock", "57 s ahead", "a little"),
            (Some("Sun, 06 Nov 1994 08:52:37 GMT"), "?     clock", "180 s behind", "some minutes"),
            (Some("Sun, 06 Nov 1994 07:49:37 GMT"), "FAIL  clock", "3600 s ahead", "an hour, as summer time does"),
            (Some("yesterday"), "-     clock", "does not tell", "no date"),
            (None, "-     clock", "does not tell", "none at all"),
        ];
        for (date, verdict, words, why) in table {
            let said = said(|chart| skew(&response(200, date, ""), now, chart));
            assert!(said.contains(verdict) && said.contains(words), "{why}: {said}");
        }
    }

    #[test]
    fn the_discovery_document_stands_beside_the_token_endpoint() {
        let table = [
            (
                "https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token",
                Some("https://login.microsoftonline.com/contoso.com/v2.0/.well-known/openid-configuration"),
            ),
            ("https://login.contoso.com/token", None),
        ];
        for (token_url, expected) in table {
            let found = crate::config::Config::read(
                &format!(
                    "[provider.p]\nkind = \"microsoft\"\nclient_id = \"8f54719b-4070-41ae-91ad-f48e3c793c5f\"\n\
                     token_url = \"{token_url}\"\n[account.a]\nprovider = \"p\"\nmailbox = \"a@contoso.com\"\n[[listener]]\n"
                ),
                std::path::Path::new("x.toml"),
                &|_| None,
            );
            let provider = found.unwrap_or_else(|errors| panic!("{errors}")).token.providers.remove(0);
            assert_eq!(discovery_url(&provider).map(String::from).as_deref(), expected);
        }
    }
}
