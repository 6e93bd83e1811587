//! Who may send what: everything a reload can change, decided on the wire.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::intake::SizeLimits;
use super::replies;
use crate::account::password::{Login, Passwords, Verdict};
use crate::account::{Account, Client, Clients, MailboxRule, Routing};
use crate::delivery::AccountWays;
use crate::mail::{Address, ReversePath, SenderPolicy};
use crate::queue::Route;
use crate::smtp::Reply;

/// The rules of all listeners.
pub struct Rules {
    /// Who may come in.
    pub clients: Clients,
    /// The ways out, by account.
    pub ways: HashMap<String, AccountWays>,
    /// Which account a message takes beyond what its client says, and whom aliases name.
    pub routing: Routing,
    /// Checks local logins; a fresh one with each reload.
    pub passwords: Arc<Passwords>,
}

/// What MAIL was found to be allowed.
#[derive(Clone, Debug)]
pub(super) struct Leave {
    /// Account, mailbox, policy: where the message will go.
    pub(super) route: Route,
    /// What the ways out of the account have room for.
    pub(super) limits: SizeLimits,
    /// Where postmaster's mail goes.
    pub(super) postmaster: Address,
}

impl Rules {
    /// The client whose network an address belongs to, among those that a listener serves (`names`; empty: all).
    pub(super) fn by_network(&self, peer: IpAddr, names: &[String]) -> Option<&Arc<Client>> {
        self.clients.by_network(peer).filter(|client| serves(names, client))
    }

    /// Whether anybody could come in at a listener by a login.
    pub(super) fn has_logins(&self, names: &[String]) -> bool {
        self.clients.iter().any(|client| client.login.is_some() && serves(names, client))
    }

    /// Checks a login; a client that this listener does not serve is answered like a wrong password.
    pub(super) async fn log_in(&self, login: &Login, names: &[String]) -> Verdict {
        match self.passwords.check(&self.clients, login).await {
            Verdict::Accepted(client) if !serves(names, &client) => Verdict::Refused,
            verdict @ (Verdict::Accepted(_) | Verdict::Refused | Verdict::Busy) => verdict,
        }
    }

    /// The largest SIZE to show on a listener: what any account reachable there can send, in octets.
    pub(super) fn max_octets(&self, names: &[String]) -> u64 {
        self.reachable(names)
            .filter_map(|account| self.ways.get(&account.name))
            .map(AccountWays::max_octets)
            .max()
            .unwrap_or(0)
    }

    /// Whether SMTPUTF8 can be offered on a listener: every way out of every account must carry it.
    pub(super) fn carries_smtputf8(&self, names: &[String]) -> bool {
        self.reachable(names).all(|account| self.ways.get(&account.name).is_some_and(AccountWays::carries_smtputf8))
    }

    /// Whether DSN can be offered on a listener: every way out of every account must keep what it asks for.
    pub(super) fn keeps_dsn(&self, names: &[String]) -> bool {
        self.reachable(names).all(|account| self.ways.get(&account.name).is_some_and(AccountWays::keeps_dsn))
    }

    fn reachable<'a>(&'a self, names: &'a [String]) -> impl Iterator<Item = &'a Arc<Account>> {
        let own = self.clients.iter().filter(|client| serves(names, client)).flat_map(|client| client.accounts.iter());
        own.chain(self.routing.routes.iter().map(|route| &route.account))
    }

    /// Whether a client may send with this reverse path, and where the message will go: where a route for `recipient`
    /// leads, else as the client has it.
    pub(super) fn may_send(
        &self,
        client: &Client,
        reverse_path: &ReversePath,
        recipient: Option<&Address>,
    ) -> Result<Leave, Reply> {
        let alias = reverse_path.address().and_then(|path| client.alias_of(path));
        let path = alias.or(reverse_path.address());
        let policy = if alias.is_some() { SenderPolicy::Rewrite } else { client.sender };
        let found = match self.routing.account(&client.name, reverse_path.address(), recipient) {
            Some(account) => client.mailbox_of(account, path).map(|mailbox| (account, mailbox)),
            None => client.account_for(path),
        };
        let (account, mailbox) = found.map_err(|error| replies::no_mailbox(&client.name, &error))?;
        let is_mailbox = path.is_none_or(|path| *path == mailbox);
        if policy == SenderPolicy::Strict && !is_mailbox {
            return Err(replies::sender_refused(&mailbox));
        }
        let ways = self.ways.get(&account.name).filter(|ways| !ways.ways.is_empty()).ok_or_else(replies::no_way_out)?;
        let route = Route {
            account: account.name.clone(),
            provider: account.provider.clone(),
            client: client.name.clone(),
            sender: policy,
            reports_to: self.reports_to(client, reverse_path, &mailbox),
            mailbox: mailbox.clone(),
        };
        let postmaster = format!("postmaster@{}", mailbox.domain()).parse().unwrap_or(mailbox);
        let limits = SizeLimits { any: ways.max_octets(), sealed: ways.max_octets_in_one_piece() };
        Ok(Leave { route, limits, postmaster })
    }

    /// Where a report about the message goes: the client's `bounces_to`, else the reverse path if its domain is one
    /// of ours or the client keeps its sender, else the mailbox. A null reverse path gets none.
    fn reports_to(&self, client: &Client, reverse_path: &ReversePath, mailbox: &Address) -> Option<Address> {
        let path = reverse_path.address()?;
        if let Some(address) = &client.bounces_to {
            return Some(address.clone());
        }
        let trusted = client.sender == SenderPolicy::Keep || self.is_own_domain(path);
        Some(if trusted { path.clone() } else { mailbox.clone() })
    }

    fn is_own_domain(&self, address: &Address) -> bool {
        let mut accounts = self.clients.iter().flat_map(|client| client.accounts.iter());
        accounts.any(|account| match &account.mailbox {
            MailboxRule::One(mailbox) => mailbox.domain() == address.domain(),
            MailboxRule::Domain(domain) => domain == address.domain(),
        })
    }
}

fn serves(names: &[String], client: &Client) -> bool {
    names.is_empty() || names.contains(&client.name)
}
