//! Where a provider's endpoints are: given by the configuration, or found at its issuer (OpenID Connect Discovery 1.0
//! section 4, RFC 8414 section 3).

use serde_json::Value;
use url::Url;

use super::explain::Refusal;
use super::settings::Provider;
use crate::http::{Http, Request, may_have_secrets};
use crate::mail::failure::one_line;

/// The endpoints of a provider.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Endpoints {
    pub(super) authorize: Option<Url>,
    pub(super) token: Url,
    pub(super) device: Option<Url>,
    /// The issuer's own name, for comparison with `iss` (RFC 9207 section 2.4).
    pub(super) issuer: Option<String>,
    /// Every answer of the authorization endpoint names the issuer (RFC 9207 section 3).
    pub(super) names_itself: bool,
}

/// What an issuer says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Found {
    issuer: String,
    authorize: Option<Url>,
    token: Option<Url>,
    device: Option<Url>,
    names_itself: bool,
}

impl Endpoints {
    /// The endpoints as far as they are known without asking anybody; `None` if the issuer must be asked.
    pub(super) fn given(provider: &Provider) -> Option<Self> {
        match (&provider.issuer, &provider.token_url) {
            (None, Some(token)) => Some(Self {
                authorize: provider.authorize_url.clone(),
                token: token.clone(),
                device: provider.device_url.clone().or_else(|| derived_device(provider)),
                issuer: None,
                names_itself: false,
            }),
            (Some(_), _) | (None, None) => None,
        }
    }

    /// What is given, and for the rest what was found.
    pub(super) fn of(provider: &Provider, found: &Found) -> Result<Self, Refusal> {
        let Some(token) = provider.token_url.clone().or_else(|| found.token.clone()) else {
            let why = format!("`{}`: its issuer names no token endpoint", provider.name);
            return Err(Refusal::setup(why, "check the provider's `issuer`, or write its `token_url`"));
        };
        let device = provider.device_url.clone().or_else(|| found.device.clone());
        Ok(Self {
            authorize: provider.authorize_url.clone().or_else(|| found.authorize.clone()),
            token,
            device: device.or_else(|| derived_device(provider)),
            issuer: Some(found.issuer.clone()),
            // Where the page was written by hand, nobody said that it does.
            names_itself: found.names_itself && provider.authorize_url.is_none(),
        })
    }
}

/// Microsoft and those who do as it does have both endpoints side by side: `authorize` and `devicecode`.
fn derived_device(provider: &Provider) -> Option<Url> {
    let mut url = provider.authorize_url.clone()?;
    let path = url.path().strip_suffix("/authorize")?.to_owned();
    url.set_path(&format!("{path}/devicecode"));
    url.set_query(None);
    Some(url)
}

/// Asks the issuer.
pub(super) async fn discover(http: &Http, provider: &Provider, issuer: &Url) -> Result<Found, Refusal> {
    let name = &provider.name;
    let text = issuer.as_str().trim_end_matches('/');
    let places = [format!("{text}/.well-known/openid-configuration"), oauth_place(issuer)];
    let mut refusal = None;
    for place in places {
        let Ok(url) = Url::parse(&place) else { continue };
        match ask(http, name, url).await {
            Ok(body) => return read(name, text, &body),
            Err(trouble) => refusal = refusal.or(Some(trouble)),
        }
    }
    Err(refusal.unwrap_or_else(|| Refusal::setup(format!("`{name}` has no issuer"), "write the provider's `issuer`")))
}

/// RFC 8414 section 3.1: the well-known part stands before the issuer's path.
fn oauth_place(issuer: &Url) -> String {
    let path = issuer.path().trim_end_matches('/').to_owned();
    let mut url = issuer.clone();
    url.set_path(&format!("/.well-known/oauth-authorization-server{path}"));
    url.into()
}

async fn ask(http: &Http, name: &str, url: Url) -> Result<Value, Refusal> {
    let later = |why: String| Refusal::later(format!("`{name}`: its issuer cannot be asked for its endpoints: {why}"));
    let response = http.send(Request::get(url).alone()).await.map_err(|error| later(error.to_string()))?;
    if response.status != 200 {
        return Err(later(format!("it answers {}", response.status)).after(response.retry_after));
    }
    let body = response.whole_body().map_err(|error| later(error.to_string()))?;
    serde_json::from_slice(body).map_err(|_| later("its answer is not JSON".to_owned()))
}

/// Takes nothing from an answer of another issuer (RFC 8414 section 3.3), and no endpoint without TLS.
fn read(name: &str, asked: &str, body: &Value) -> Result<Found, Refusal> {
    let text = |key: &str| body.get(key).and_then(Value::as_str);
    let issuer = text("issuer").unwrap_or_default();
    if issuer.trim_end_matches('/') != asked {
        let why = format!("`{name}`: the issuer calls itself `{}` and not `{asked}`", one_line(issuer));
        return Err(Refusal::setup(why, "write the provider's `issuer` exactly as the issuer itself does"));
    }
    let endpoint = |key: &str| text(key).and_then(|url| Url::parse(url).ok()).filter(may_have_secrets);
    Ok(Found {
        issuer: issuer.to_owned(),
        authorize: endpoint("authorization_endpoint"),
        token: endpoint("token_endpoint"),
        device: endpoint("device_authorization_endpoint"),
        names_itself: body.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true)),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::support::microsoft;
    use super::*;

    #[test]
    fn the_device_endpoint_follows_from_the_authorization_endpoint_where_it_is_not_given() {
        let provider = microsoft("https://login.example/t/oauth2/v2.0/token");
        let with = |authorize: &str| Provider { authorize_url: Some(authorize.parse().unwrap()), ..provider.clone() };
        let table = [
            (
                "https://login.example/t/oauth2/v2.0/authorize?keep=1",
                Some("https://login.example/t/oauth2/v2.0/devicecode"),
            ),
            ("https://login.example/o/auth", None),
        ];
        for (authorize, device) in table {
            let found = Endpoints::given(&with(authorize)).unwrap().device;
            assert_eq!(found.as_ref().map(Url::as_str), device, "{authorize}");
        }
        let own = Provider { device_url: Some("https://login.example/own".parse().unwrap()), ..provider };
        assert_eq!(Endpoints::given(&own).unwrap().device.unwrap().as_str(), "https://login.example/own");
    }

    #[test]
    fn an_answer_of_another_issuer_or_without_tls_is_not_taken() {
        let body = |issuer: &str, token: &str| json!({ "issuer": issuer, "token_endpoint": token });
        let asked = "https://login.example/t";
        let refusal = read("own", asked, &body("https://evil.example/t", "https://evil.example/token")).unwrap_err();
        assert!(refusal.why.contains("https://evil.example/t"), "{refusal:?}");
        let found = read("own", asked, &body("https://login.example/t/", "http://login.example/token")).unwrap();
        assert_eq!(found.token, None, "in clear text");
        let provider = Provider { token_url: None, ..microsoft("https://login.example/token") };
        assert!(Endpoints::of(&provider, &found).unwrap_err().why.contains("no token endpoint"));
        let found = read("own", asked, &body(asked, "https://login.example/t/token")).unwrap();
        assert_eq!(Endpoints::of(&provider, &found).unwrap().token.as_str(), "https://login.example/t/token");
    }

    #[test]
    fn the_second_place_is_that_of_rfc_8414() {
        let place = |issuer: &str| oauth_place(&issuer.parse().unwrap());
        assert_eq!(place("https://a.example"), "https://a.example/.well-known/oauth-authorization-server");
        assert_eq!(place("https://a.example/t/"), "https://a.example/.well-known/oauth-authorization-server/t");
    }
}
