//! What the identity side has given out: codes, grants, refresh tokens, access tokens. A value without I/O.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngCore;
use serde_json::{Value, json};

use super::directory::same;
use super::scope::{Resource, Scope};
use super::switches::Rotation;
use crate::clock::Timestamp;

/// How long an authorization code can be redeemed.
const CODE_LIFETIME: Duration = Duration::from_secs(600);
/// How long a refresh token is good.
const REFRESH_LIFETIME: Duration = Duration::from_secs(90 * 24 * 3_600);
/// Letters of an access token: as long as Microsoft's, since there are clients and servers that cut lines.
const ACCESS_TOKEN_LENGTH: usize = 1_500;
/// How long an expired access token is remembered, to say "expired" and not "unknown".
const MEMORY: Duration = Duration::from_secs(3_600);

/// What somebody agreed to on the authorize page.
#[derive(Clone, Debug)]
pub(super) struct SignIn {
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    /// The S256 code challenge (RFC 7636).
    pub(super) challenge: String,
    /// Address of who signed in.
    pub(super) address: String,
    pub(super) scopes: Vec<Scope>,
    /// For the id token.
    pub(super) nonce: Option<String>,
}

/// A grant: what a refresh token stands for.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) client_id: String,
    pub(super) address: String,
    pub(super) consented: Vec<Scope>,
    ended: Option<Ended>,
}

/// Why a grant is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ended {
    Revoked,
    Reused,
}

/// The place of a grant in the ledger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct GrantId(usize);

/// Who an access token speaks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Holder {
    /// Somebody who signed in, by address.
    User(String),
    /// An app on its own.
    App,
}

/// An access token's rights.
#[derive(Clone, Debug)]
pub(super) struct Access {
    pub(super) client_id: String,
    pub(super) holder: Holder,
    pub(super) audience: Resource,
    /// Short names of scopes or roles.
    pub(super) permissions: Vec<String>,
    pub(super) expires: Timestamp,
}

impl Access {
    /// What Microsoft's access tokens say of themselves (Microsoft Learn, "Access token claims reference").
    fn claims(&self) -> Value {
        let mut claims = json!({ "aud": self.audience.to_string(), "appid": self.client_id, "ver": "1.0" });
        match &self.holder {
            Holder::User(address) => {
                claims["upn"] = Value::from(address.as_str());
                claims["scp"] = Value::from(self.permissions.join(" "));
            }
            Holder::App => {
                // The service principal has an id of its own, which is not the app's.
                claims["oid"] = Value::from(format!("0b1ec700{}", self.client_id.get(8..).unwrap_or_default()));
                claims["roles"] = Value::from(self.permissions.clone());
            }
        }
        claims
    }

    /// Whether it carries one of these permissions.
    pub(super) fn may(&self, any_of: &[&str]) -> bool {
        self.permissions.iter().any(|held| any_of.iter().any(|wanted| same(held, wanted)))
    }

    /// The address of the one who signed in, or the client id: how faults and pages name the holder.
    pub(super) fn who(&self) -> &str {
        match &self.holder {
            Holder::User(address) => address,
            Holder::App => &self.client_id,
        }
    }
}

/// Why a code, refresh token or access token is not good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Bad {
    Unknown,
    Expired,
    /// Redeemed or rotated before.
    Used,
    Revoked,
}

struct Code {
    sign_in: SignIn,
    expires: Timestamp,
    used: bool,
}

struct Refresh {
    grant: GrantId,
    expires: Timestamp,
    used: bool,
}

/// Everything given out so far.
#[derive(Default)]
pub(super) struct Ledger {
    codes: HashMap<String, Code>,
    grants: Vec<Grant>,
    refresh: HashMap<String, Refresh>,
    access: HashMap<String, Access>,
}

impl Ledger {
    /// Makes the code that goes back on the redirect.
    pub(super) fn new_code(&mut self, sign_in: SignIn, now: Timestamp) -> String {
        let code = random_text(450);
        self.codes.insert(code.clone(), Code { sign_in, expires: now.plus(CODE_LIFETIME), used: false });
        code
    }

    /// Redeems a code. It is used up even if what comes with it turns out wrong.
    pub(super) fn redeem(&mut self, code: &str, now: Timestamp) -> Result<SignIn, Bad> {
        let code = self.codes.get_mut(code).ok_or(Bad::Unknown)?;
        if code.used {
            return Err(Bad::Used);
        }
        code.used = true;
        if now >= code.expires { Err(Bad::Expired) } else { Ok(code.sign_in.clone()) }
    }

    /// Who a code was made for, whether or not it is still good.
    pub(super) fn who_signed_in(&self, code: &str) -> Option<&str> {
        self.codes.get(code).map(|code| code.sign_in.address.as_str())
    }

    /// Records that somebody agreed.
    pub(super) fn open_grant(&mut self, sign_in: SignIn) -> GrantId {
        let SignIn { client_id, address, mut scopes, .. } = sign_in;
        // Consent to other resources is remembered for a user and an app, whichever sign-in it was given in.
        let resources: Vec<_> = scopes.iter().filter_map(Scope::resource).collect();
        let same_pair = |grant: &&Grant| grant.client_id == client_id && same(&grant.address, &address);
        let earlier: Vec<Scope> = self.grants.iter().filter(same_pair).flat_map(|g| g.consented.clone()).collect();
        let elsewhere = |scope: &Scope| scope.resource().is_some_and(|resource| !resources.contains(&resource));
        scopes.extend(earlier.into_iter().filter(elsewhere));
        scopes.dedup();
        self.grants.push(Grant { client_id, address, consented: scopes, ended: None });
        GrantId(self.grants.len() - 1)
    }

    /// The grant itself.
    pub(super) fn grant(&self, id: GrantId) -> &Grant {
        &self.grants[id.0]
    }

    /// A new refresh token for the grant.
    pub(super) fn new_refresh(&mut self, grant: GrantId, now: Timestamp) -> String {
        let token = random_text(900);
        self.refresh.insert(token.clone(), Refresh { grant, expires: now.plus(REFRESH_LIFETIME), used: false });
        token
    }

    /// The grant behind a refresh token, whether or not it is still good.
    pub(super) fn grant_of(&self, token: &str) -> Option<GrantId> {
        self.refresh.get(token).map(|refresh| refresh.grant)
    }

    /// Whether a refresh token may be used. Under strict rotation a second use of an old one ends the grant.
    pub(super) fn check_refresh(&mut self, token: &str, rotation: Rotation, now: Timestamp) -> Result<GrantId, Bad> {
        let refresh = self.refresh.get(token).ok_or(Bad::Unknown)?;
        let grant = &mut self.grants[refresh.grant.0];
        if refresh.used && rotation == Rotation::Strict {
            grant.ended = Some(Ended::Reused);
            return Err(Bad::Used);
        }
        match grant.ended {
            Some(Ended::Revoked) => Err(Bad::Revoked),
            Some(Ended::Reused) => Err(Bad::Used),
            None if now >= refresh.expires => Err(Bad::Expired),
            None => Ok(refresh.grant),
        }
    }

    /// Gives the next refresh token for a used one.
    pub(super) fn rotate(&mut self, token: &str, now: Timestamp) -> Option<String> {
        let refresh = self.refresh.get_mut(token)?;
        refresh.used = true;
        let grant = refresh.grant;
        Some(self.new_refresh(grant, now))
    }

    /// A new access token: opaque, and about as long as Microsoft's.
    pub(super) fn new_access(&mut self, access: Access, now: Timestamp) -> String {
        let horizon = now.minus(MEMORY);
        self.access.retain(|_, old| old.expires > horizon);
        // Like a JSON Web Token, so that who looks into one finds what Microsoft's have; the ledger alone counts.
        let claims = URL_SAFE_NO_PAD.encode(access.claims().to_string());
        let mut token = format!("e30.{claims}.{}", random_text(1_125));
        token.truncate(ACCESS_TOKEN_LENGTH);
        self.access.insert(token.clone(), access);
        token
    }

    /// What an access token may do.
    pub(super) fn access(&self, token: &str, now: Timestamp) -> Result<Access, Bad> {
        let access = self.access.get(token).ok_or(Bad::Unknown)?;
        if now >= access.expires { Err(Bad::Expired) } else { Ok(access.clone()) }
    }

    /// Ends every grant and access token of an address or client id.
    pub(super) fn revoke(&mut self, who: &str) {
        for grant in self.grants.iter_mut().filter(|grant| same(&grant.address, who)) {
            grant.ended = Some(Ended::Revoked);
        }
        self.access.retain(|_, access| !same(access.who(), who));
    }

    /// Lets every access token of an address or client id expire now.
    pub(super) fn expire(&mut self, who: &str, now: Timestamp) {
        for access in self.access.values_mut().filter(|access| same(access.who(), who)) {
            access.expires = now;
        }
    }
}

/// Random text in the base64url alphabet, four letters for three octets.
pub(super) fn random_text(octets: usize) -> String {
    let mut bytes = vec![0; octets];
    rand::rng().fill_bytes(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}
