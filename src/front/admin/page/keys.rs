//! Who knows the password, or the secret of an API key: checked by the same slow, rate-limited check as local logins.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::super::{Caller, PageSettings, Setup};
use crate::account::password::{Login, Passwords, Verdict};
use crate::account::{Client, Clients, LineEndings, PasswordHash};
use crate::clock::Clock;
use crate::mail::SenderPolicy;
use crate::secret::Secret;

/// The administrator's name for the check; no key can have it, for it is no name of one.
const ADMINISTRATOR: &str = "administrator of the page";

/// What became of a check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Checked {
    Right(Caller),
    Wrong,
    /// Too many checks or failures at the moment.
    Busy,
}

/// Checks secrets. A reload with other settings makes a new check, which has forgotten what was right before.
pub(super) struct Keys {
    clock: Clock,
    current: Mutex<Option<(Arc<Setup>, Arc<Check>)>>,
}

struct Check {
    known: Clients,
    passwords: Passwords,
}

impl Keys {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, current: Mutex::default() }
    }

    /// Checks the administrator's password.
    pub(super) async fn password(&self, setup: &Arc<Setup>, peer: IpAddr, password: Secret) -> Checked {
        match self.check(setup, Login { peer, name: ADMINISTRATOR.to_owned(), password }).await {
            Verdict::Accepted(_) => Checked::Right(Caller::Session),
            Verdict::Refused => Checked::Wrong,
            Verdict::Busy => Checked::Busy,
        }
    }

    /// Checks an API key, `NAME.SECRET`.
    pub(super) async fn key(&self, setup: &Arc<Setup>, peer: IpAddr, key: &str) -> Checked {
        let Some((name, secret)) = key.split_once('.') else { return Checked::Wrong };
        if name == ADMINISTRATOR {
            return Checked::Wrong;
        }
        match self.check(setup, Login { peer, name: name.to_owned(), password: Secret::new(secret) }).await {
            Verdict::Accepted(_) => match setup.page.keys.iter().find(|key| key.name == name) {
                Some(key) => Checked::Right(Caller::Key { name: key.name.clone(), scopes: key.scopes.clone() }),
                None => Checked::Wrong,
            },
            Verdict::Refused => Checked::Wrong,
            Verdict::Busy => Checked::Busy,
        }
    }

    async fn check(&self, setup: &Arc<Setup>, login: Login) -> Verdict {
        let check = {
            let mut current = self.current.lock().await;
            match &*current {
                Some((of, check)) if Arc::ptr_eq(of, setup) => Arc::clone(check),
                _ => {
                    let Ok(passwords) = Passwords::new(self.clock.clone()) else { return Verdict::Busy };
                    let check = Arc::new(Check { known: known(&setup.page), passwords });
                    *current = Some((Arc::clone(setup), Arc::clone(&check)));
                    check
                }
            }
        };
        check.passwords.check(&check.known, &login).await
    }
}

fn known(page: &PageSettings) -> Clients {
    let administrator = page.password.iter().map(|hash| (ADMINISTRATOR, hash));
    let keys = page.keys.iter().map(|key| (key.name.as_str(), &key.secret));
    Clients::new(administrator.chain(keys).map(|(name, hash)| with_login(name, hash)).collect())
}

fn with_login(name: &str, hash: &PasswordHash) -> Client {
    Client {
        name: name.to_owned(),
        networks: Vec::new(),
        login: Some((name.to_owned(), hash.clone())),
        any_login: false,
        accounts: Vec::new(),
        mailbox: None,
        sender: SenderPolicy::Strict,
        aliases: HashMap::new(),
        bounces_to: None,
        line_endings: LineEndings::Crlf,
        own_token: false,
    }
}
