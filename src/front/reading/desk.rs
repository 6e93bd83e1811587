//! The answer a session asks for: who is this, which mailbox is meant, and will the provider let us in.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Door, Rules};
use crate::account::password::{Login, Verdict};
use crate::account::{Account, Client};
use crate::imap::LoggedIn;
use crate::mail::{Address, Event, Failure};
use crate::reading::{ReadingServer, UpstreamStream, Way, hint};
use crate::sasl::{Credentials, Denial};
use crate::secret::Secret;

/// Characters of a refusal that a client is told.
const MAX_WORDS: usize = 400;

/// One client's desk.
pub(super) struct Desk {
    pub(super) door: Arc<Door>,
    /// The rules as they stood when the client came.
    rules: Arc<Rules>,
    pub(super) peer: IpAddr,
    /// The session's id in log and answers.
    pub(super) id: String,
}

/// Who is let in, and where.
pub(super) struct Admission {
    pub(super) client: Arc<Client>,
    pub(super) account: Arc<Account>,
    pub(super) mailbox: Address,
    server: ReadingServer,
    /// The client's own token; `None`: the account's.
    own_token: Option<Secret>,
}

/// Why not, and in which words.
pub(super) struct Refusal {
    pub(super) denial: Denial,
    pub(super) words: String,
}

impl Refusal {
    fn credentials() -> Self {
        Self { denial: Denial::Credentials, words: "Wrong login or password".to_owned() }
    }
}

/// A client that is logged in at both ends.
pub(super) struct Inside {
    pub(super) admission: Admission,
    pub(super) stream: UpstreamStream,
    pub(super) logged_in: LoggedIn,
}

impl Desk {
    pub(super) fn open(door: &Arc<Door>, peer: IpAddr) -> Self {
        let id = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
        Self { door: Arc::clone(door), rules: door.reading.rules.load_full(), peer, id }
    }

    /// Whether anybody may come with a token of their own from where this client is.
    pub(super) fn takes_own_tokens(&self) -> bool {
        self.by_network().is_some()
    }

    fn by_network(&self) -> Option<&Arc<Client>> {
        let client = self.rules.clients.by_network(self.peer)?;
        (client.own_token && self.door.settings.admits(&client.name)).then_some(client)
    }

    /// Logs a client in: here, and at its provider.
    pub(super) async fn log_in(&self, credentials: Credentials) -> Result<Inside, Refusal> {
        let admission = match credentials {
            Credentials::Password { authorization_id, login, password } => {
                self.admit(authorization_id, login, password).await?
            }
            Credentials::Token { mailbox, token } => self.admit_with_token(&mailbox, token)?,
        };
        match self.enter(&admission).await {
            Ok((stream, logged_in)) => Ok(Inside { admission, stream, logged_in }),
            Err(failure) => Err(self.unavailable(&admission, failure)),
        }
    }

    /// Login and password are always both checked here. A wrong one never touches a token.
    async fn admit(&self, acts_as: Option<String>, name: String, password: Secret) -> Result<Admission, Refusal> {
        let acts_for_another = acts_as.is_some_and(|other| other != name);
        let logins = self.rules.clients.logins_for(&name);
        let logins = if acts_for_another { Vec::new() } else { logins };
        for login in logins {
            let attempt = Login { peer: self.peer, name: login, password: password.clone() };
            match self.rules.passwords.check(&self.rules.clients, &attempt).await {
                Verdict::Accepted(client) if self.door.settings.admits(&client.name) => {
                    return self.choose(client, &name);
                }
                Verdict::Accepted(_) | Verdict::Refused => {}
                Verdict::Busy => {
                    self.refused(name, "too many logins are being checked or have failed");
                    let words = "Too many logins are being checked or have failed; try again in a minute".to_owned();
                    return Err(Refusal { denial: Denial::Unavailable, words });
                }
            }
        }
        self.refused(
            name,
            if acts_for_another { "a login may not act for another" } else { "wrong login or password" },
        );
        Err(Refusal::credentials())
    }

    fn refused(&self, login: String, why: &str) {
        let event = Event::LoginRefused { peer: Some(self.peer), login, why: why.to_owned() };
        self.door.reading.observer.observe(&event);
    }

    /// A client that signs in by itself: the provider checks the token, we check that it comes from where it may and
    /// that the mailbox is one of its own.
    fn admit_with_token(&self, mailbox: &str, token: Secret) -> Result<Admission, Refusal> {
        let client = self.by_network().ok_or_else(Refusal::credentials)?;
        let opens = |address: &Address| client.accounts.iter().any(|account| account.opens(address));
        if !mailbox.parse().is_ok_and(|address: Address| opens(&address)) {
            self.refused(mailbox.to_owned(), "no account of the client has this mailbox");
            return Err(Refusal::credentials());
        }
        let admission = self.choose(Arc::clone(client), mailbox)?;
        Ok(Admission { own_token: Some(token), ..admission })
    }

    fn choose(&self, client: Arc<Client>, name: &str) -> Result<Admission, Refusal> {
        let protocol = self.door.protocol;
        let server = |account: &Account| self.rules.servers.get(&account.name)?.get(protocol).cloned();
        let chosen = client.mailbox_to_read(name, |account| server(account).is_some());
        let (account, mailbox) = match chosen {
            Ok((account, mailbox)) => (Arc::clone(account), mailbox),
            Err(error) => {
                let why = format!("no mailbox to read: {error}");
                self.refused(name.to_owned(), &why);
                let protocol = protocol.name();
                let words = format!(
                    "No mailbox can be read with this login: {error}; the administrator can add \"{protocol}\" to an \
                     account's `read`, or set `mailbox` for the client `{}`",
                    client.name
                );
                return Err(Refusal { denial: Denial::Unavailable, words });
            }
        };
        let server = server(&account).ok_or_else(Refusal::credentials)?;
        Ok(Admission { client, account, mailbox, server, own_token: None })
    }

    async fn enter(&self, admission: &Admission) -> Result<(UpstreamStream, LoggedIn), Failure> {
        let (reading, protocol) = (&self.door.reading, self.door.protocol);
        if let Some(token) = &admission.own_token {
            return self.way(admission).enter(token).await;
        }
        let mailbox = admission.mailbox.to_string();
        if let Some(failure) = reading.pauses.get(protocol, &mailbox, reading.clock.now()) {
            return Err(failure);
        }
        let entered = self.way(admission).enter_for(&reading.tokens, &admission.account.name).await;
        if let Err(failure) = &entered {
            reading.pauses.note(protocol, &mailbox, failure, reading.clock.now());
        }
        entered
    }

    fn way<'a>(&'a self, admission: &'a Admission) -> Way<'a> {
        Way {
            connector: &self.door.reading.connector,
            protocol: self.door.protocol,
            server: &admission.server,
            mailbox: &admission.mailbox,
            step_timeout: self.rules.step_timeout,
        }
    }

    /// Trouble of the provider: said with its reason, the next step and the id that the log has.
    fn unavailable(&self, admission: &Admission, failure: Failure) -> Refusal {
        let (account, protocol) = (&admission.account.name, self.door.protocol.name());
        let hint = hint(failure.reason, account, protocol);
        let wait = failure.retry_after.map(|wait| format!(" (asked again in {} s)", wait.as_secs().max(1)));
        let words = format!("{failure}{}", wait.unwrap_or_default());
        let words: String = words.chars().take(MAX_WORDS).collect();
        let words = format!("{words}; {hint} [session {}]", self.id);
        self.door.reading.observer.observe(&Event::SessionRefused {
            session: self.id.clone(),
            protocol,
            client: admission.client.name.clone(),
            account: account.clone(),
            mailbox: admission.mailbox.to_string(),
            peer: self.peer,
            failure,
            hint,
        });
        Refusal { denial: Denial::Unavailable, words }
    }
}
