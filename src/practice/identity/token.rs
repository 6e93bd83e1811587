//! The token endpoint: code, refresh token and client credentials (RFC 6749 sections 4.1.3, 6 and 4.4).

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::super::codes::Told;
use super::super::directory::App;
use super::super::faults::{Fault, TokenFault};
use super::super::ledger::{Access, Bad, Grant, GrantId, Holder, SignIn, random_text};
use super::super::post_office::Place;
use super::super::scope::{self, Resource, Scope};
use super::super::shared::Shared;
use super::super::switches::{Knobs, Rotation};
use super::super::wire::Line;
use super::check_tenant;
use super::client::authenticate;
use super::form::Form;
use super::problem::Problem;

const NO_STORE: [(header::HeaderName, &str); 2] = [(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")];

/// POST to the token endpoint.
pub(super) async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let knobs = shared.switches.knobs();
    shared.pause(knobs.identity_latency).await;
    let form = match read_form(&headers, &body) {
        Ok(form) => form,
        Err(problem) => return refuse(&shared, &problem),
    };
    let fault = shared.switches.take(who(&shared, &form).as_deref(), Fault::of_token);
    if let Some(fault) = fault {
        return fail(&shared, fault, &line).await;
    }
    let desk = Desk { shared: &shared, knobs, form };
    match desk.serve(&tenant, &headers) {
        Ok(granted) => (NO_STORE, Json(granted)).into_response(),
        Err(problem) => refuse(&shared, &problem),
    }
}

fn read_form(headers: &HeaderMap, body: &[u8]) -> Result<Form, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Err(Problem::request(900_144, format!("The request body is '{kind}' and not a form.")));
    }
    Form::parse(body)
}

fn refuse(shared: &Shared, problem: &Problem) -> Response {
    shared.note(Place::Token, problem.summary());
    problem.answer(shared.clock.now())
}

/// Whose tokens are asked for, as far as that can be told: for faults that are meant for one mailbox.
fn who(shared: &Shared, form: &Form) -> Option<String> {
    let ledger = shared.ledger();
    let code = form.get("code").and_then(|code| ledger.who_signed_in(code));
    let refresh = || form.get("refresh_token").and_then(|token| ledger.grant_of(token));
    let grant = || refresh().map(|grant| ledger.grant(grant).address.as_str());
    code.or_else(grant).or_else(|| form.get("client_id")).map(str::to_owned)
}

async fn fail(shared: &Shared, fault: TokenFault, line: &Line) -> Response {
    let now = shared.clock.now();
    match fault {
        TokenFault::InvalidGrant => {
            let text = "The refresh token has expired due to inactivity. A new sign-in is needed.";
            Problem::grant(700_082, text).answer(now)
        }
        TokenFault::InvalidClient => {
            Problem::client(7_000_222, "The provided client secret keys are expired.").answer(now)
        }
        TokenFault::Aadsts(number) => Problem::grant(number, "Refused, for practice.").answer(now),
        TokenFault::Throttled(seconds) => Problem::throttled(seconds).answer(now),
        TokenFault::Unavailable => Problem::unavailable().answer(now),
        TokenFault::Hang => {
            shared.stopping.cancelled().await;
            line.cut();
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
        TokenFault::Garbage => {
            ([(header::CONTENT_TYPE, "application/json")], "{\"access_token\": \u{fffd}").into_response()
        }
        TokenFault::Html => Html("<!DOCTYPE html><title>Sign in to the hotel's network</title>").into_response(),
        TokenFault::Redirect => (StatusCode::FOUND, [(header::LOCATION, "/practice-trap")]).into_response(),
    }
}

/// One request at the token endpoint.
struct Desk<'a> {
    shared: &'a Shared,
    knobs: Knobs,
    form: Form,
}

impl Desk<'_> {
    fn serve(&self, tenant: &str, headers: &HeaderMap) -> Result<Value, Problem> {
        check_tenant(&self.shared.directory, tenant)?;
        let kind = self.form.need("grant_type")?;
        let app = authenticate(&self.shared.directory, headers, &self.form)?;
        match kind {
            "authorization_code" => self.redeem(app),
            "refresh_token" => self.refresh(app),
            "client_credentials" => self.client_credentials(app, tenant),
            "urn:ietf:params:oauth:grant-type:device_code" => self.device(app),
            other => Err(Problem::grant_type(other)),
        }
    }

    /// RFC 6749 section 4.1.3 with RFC 7636 section 4.5.
    fn redeem(&self, app: &App) -> Result<Value, Problem> {
        let asked = self.asked()?;
        let (code, redirect_uri) = (self.form.need("code")?, self.form.need("redirect_uri")?);
        let verifier = self.form.need("code_verifier")?;
        let sign_in = self.shared.ledger().redeem(code, self.shared.clock.now()).map_err(bad_code)?;
        check_code(&sign_in, app, redirect_uri, verifier)?;
        self.signed_in(app, sign_in, asked.as_deref())
    }

    /// RFC 8628 section 3.5.
    fn device(&self, app: &App) -> Result<Value, Problem> {
        let asked = self.asked()?;
        let code = self.form.need("device_code")?;
        let (told, scopes) = self.shared.codes().ask(code, &app.client_id, self.shared.clock.now());
        let address = match told {
            Told::Agreed(address) => address,
            Told::Pending => {
                let text = "OAuth 2.0 device flow error. Authorization is pending. Continue polling.";
                return Err(Problem::device("authorization_pending", 70016, text));
            }
            Told::TooFast => return Err(Problem::device("slow_down", 70016, "Polling too often.")),
            Told::Declined => {
                let text = "The user declined to grant the permissions.";
                return Err(Problem::device("authorization_declined", 65004, text));
            }
            Told::Expired => return Err(Problem::device("expired_token", 70019, "The code has expired.")),
            Told::Unknown => return Err(Problem::device("bad_verification_code", 70018, "Bad verification code.")),
        };
        let (client_id, empty) = (app.client_id.clone(), String::new);
        let sign_in = SignIn { client_id, redirect_uri: empty(), challenge: empty(), address, scopes, nonce: None };
        self.signed_in(app, sign_in, asked.as_deref())
    }

    /// What whoever signed in consented to becomes tokens.
    fn signed_in(&self, app: &App, sign_in: SignIn, asked: Option<&[Scope]>) -> Result<Value, Problem> {
        let id_token = names(&sign_in.scopes, "openid").then(|| self.id_token(app, &sign_in));
        let wants_refresh = names(&sign_in.scopes, "offline_access");
        let grant = self.shared.ledger().open_grant(sign_in);
        let mut answer = self.mint(grant, asked)?;
        if wants_refresh {
            let token = self.shared.ledger().new_refresh(grant, self.shared.clock.now());
            answer["refresh_token"] = Value::from(token);
        }
        if let Some(id_token) = id_token {
            answer["id_token"] = Value::from(id_token);
        }
        Ok(answer)
    }

    /// RFC 6749 section 6.
    fn refresh(&self, app: &App) -> Result<Value, Problem> {
        let asked = self.asked()?;
        let (token, now) = (self.form.need("refresh_token")?, self.shared.clock.now());
        let checked = self.shared.ledger().check_refresh(token, self.knobs.rotation, now);
        let grant = checked.map_err(bad_refresh)?;
        if self.shared.ledger().grant(grant).client_id != app.client_id {
            return Err(Problem::grant(70000, "The refresh token was issued to another client."));
        }
        let mut answer = self.mint(grant, asked.as_deref())?;
        // Who does not ask for offline_access again gets no new one.
        let keeps_on = asked.as_deref().is_none_or(|asked| names(asked, "offline_access"));
        if keeps_on && self.knobs.rotation != Rotation::Off {
            answer["refresh_token"] = Value::from(self.shared.ledger().rotate(token, now));
        }
        Ok(answer)
    }

    /// RFC 6749 section 4.4: no refresh token, and no scope in the answer.
    fn client_credentials(&self, app: &App, tenant: &str) -> Result<Value, Problem> {
        if !self.shared.directory.is_tenant(tenant) {
            let text =
                format!("The grant type is not supported over the /{tenant} endpoint. Use a tenant-specific one.");
            return Err(Problem::request(9_001_023, text));
        }
        if app.secret.is_none() {
            return Err(Problem::unauthorized_client(700_025, "A public client cannot use client credentials."));
        }
        let scopes = scope::parse(self.form.need("scope")?)?;
        scope::single_resource(&scopes)?;
        let [Scope::Default(resource)] = scopes[..] else {
            let text = "Client credential flows must have a scope value with /.default suffixed to the resource.";
            return Err(Problem::scope(1_002_012, text));
        };
        // A token without a role is issued all the same; the resource will refuse it.
        let granted = app.roles.iter().filter(|role| resource.roles().contains(&role.as_str())).cloned();
        Ok(self.bearer(app.client_id.clone(), Holder::App, resource, granted.collect()))
    }

    /// The scopes of this request; `None` if it names none, which means those of the sign-in.
    fn asked(&self) -> Result<Option<Vec<Scope>>, Problem> {
        let Some(text) = self.form.get("scope") else { return Ok(None) };
        let scopes = scope::parse(text)?;
        scope::single_resource(&scopes)?;
        Ok(Some(scopes))
    }

    /// An access token out of a grant.
    fn mint(&self, grant: GrantId, asked: Option<&[Scope]>) -> Result<Value, Problem> {
        let Grant { client_id, address, consented, .. } = self.shared.ledger().grant(grant).clone();
        let asked = asked.unwrap_or(&consented);
        let resource = asked.iter().find_map(Scope::resource).unwrap_or(Resource::Graph);
        if let Some(missing) = asked.iter().find(|scope| !consents(&consented, scope)) {
            let text = format!("The user or administrator has not consented to '{missing}' for '{client_id}'.");
            return Err(Problem::grant(65001, text));
        }
        let permissions = consented_on(resource, &consented);
        let full = permissions.iter().map(|name| Scope::Permission(resource, name).to_string());
        let of_openid = asked.iter().filter(|scope| scope.resource().is_none()).map(Scope::to_string);
        let shown: Vec<String> = full.chain(of_openid.filter(|name| name != "offline_access")).collect();
        let permissions = permissions.into_iter().map(str::to_owned).collect();
        let mut answer = self.bearer(client_id, Holder::User(address), resource, permissions);
        answer["scope"] = Value::from(shown.join(" "));
        Ok(answer)
    }

    fn bearer(&self, client_id: String, holder: Holder, audience: Resource, permissions: Vec<String>) -> Value {
        let (now, lifetime) = (self.shared.clock.now(), self.knobs.token_lifetime);
        let access = Access { client_id, holder, audience, permissions, expires: now.plus(lifetime) };
        let token = self.shared.ledger().new_access(access, now);
        json!({
            "token_type": "Bearer",
            "expires_in": lifetime.as_secs(),
            "ext_expires_in": lifetime.as_secs(),
            "access_token": token,
        })
    }

    /// OpenID Connect Core section 2. The signature is not one: this comes over loopback, straight from the issuer.
    fn id_token(&self, app: &App, sign_in: &SignIn) -> String {
        let now = self.shared.clock.now();
        let user = self.shared.directory.user(&sign_in.address);
        let header = json!({ "typ": "JWT", "alg": "RS256", "kid": "practice" });
        let claims = json!({
            "iss": format!("https://login.microsoftonline.com/{}/v2.0", self.shared.directory.tenant_id),
            "aud": app.client_id,
            "iat": now.as_millis() / 1_000,
            "exp": now.plus(self.knobs.token_lifetime).as_millis() / 1_000,
            "nonce": sign_in.nonce,
            "name": user.map(|user| &user.name),
            "oid": user.map(|user| &user.id),
            "preferred_username": sign_in.address,
            "tid": self.shared.directory.tenant_id,
            "ver": "2.0",
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.{}", part(&header), part(&claims), random_text(256))
    }
}

/// Whether an OpenID Connect scope is among these.
fn names(scopes: &[Scope], wanted: &str) -> bool {
    scopes.iter().any(|scope| matches!(scope, Scope::OpenId(name) if name == wanted))
}

/// Whether a scope is covered by what was consented to.
fn consents(consented: &[Scope], scope: &Scope) -> bool {
    match scope {
        Scope::OpenId(_) => true,
        Scope::Default(wanted) => consented.iter().any(|held| held.resource() == Some(*wanted)),
        Scope::Permission(wanted, _) => consented.contains(scope) || consented.contains(&Scope::Default(*wanted)),
    }
}

/// Short names of what was consented to on a resource.
fn consented_on(resource: Resource, consented: &[Scope]) -> Vec<&'static str> {
    if consented.contains(&Scope::Default(resource)) {
        return resource.delegated().to_vec();
    }
    let named = |scope: &Scope| match scope {
        Scope::Permission(of, name) if *of == resource => Some(*name),
        Scope::Permission(..) | Scope::OpenId(_) | Scope::Default(_) => None,
    };
    consented.iter().filter_map(named).collect()
}

fn check_code(sign_in: &SignIn, app: &App, redirect_uri: &str, verifier: &str) -> Result<(), Problem> {
    if sign_in.client_id != app.client_id {
        return Err(Problem::grant(70000, "The authorization code was issued to another client."));
    }
    if sign_in.redirect_uri != redirect_uri {
        let text = "The reply address does not match the one of the authorize request.";
        return Err(Problem::grant(50011, text));
    }
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
    if !(43..=128).contains(&verifier.len()) || challenge != sign_in.challenge {
        let text = "The Code_Verifier does not match the code_challenge supplied in the authorization request.";
        return Err(Problem::grant(501_481, text));
    }
    Ok(())
}

fn bad_code(bad: Bad) -> Problem {
    match bad {
        Bad::Used => Problem::grant(54005, "OAuth2 Authorization code was already redeemed."),
        Bad::Expired => Problem::grant(70008, "The provided authorization code has expired."),
        Bad::Unknown | Bad::Revoked => Problem::grant(9_002_313, "The authorization code is malformed or unknown."),
    }
}

fn bad_refresh(bad: Bad) -> Problem {
    match bad {
        Bad::Revoked => {
            let text = "The provided grant has expired due to it being revoked, a fresh auth token is needed.";
            Problem::grant(50173, text)
        }
        Bad::Expired => Problem::grant(700_082, "The refresh token has expired due to inactivity."),
        Bad::Used => Problem::grant(70000, "The refresh token was used before; its grant is over."),
        Bad::Unknown => Problem::grant(9_002_313, "The refresh token is malformed or unknown."),
    }
}
