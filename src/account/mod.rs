//! Who is let in, and as whom they may send.

pub mod password;
mod routing;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

pub use routing::{AccountRoute, Pattern, Routing};

use crate::mail::{Address, Domain, SenderPolicy};
use crate::secret::Secret;

/// The upstream address, or all addresses of a domain, that an account may use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MailboxRule {
    /// One mailbox.
    One(Address),
    /// `*@domain`: any mailbox of the domain (client credentials).
    Domain(Domain),
}

/// An account, as far as clients are concerned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// Its name in the configuration.
    pub name: String,
    /// The name of its provider.
    pub provider: String,
    /// The mailbox or mailboxes behind it.
    pub mailbox: MailboxRule,
}

/// How a client's lines end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LineEndings {
    /// CRLF, as RFC 5321 has it.
    #[default]
    Crlf,
    /// LF alone, even around the final dot.
    Lf,
}

/// The password of a login: an argon2id hash in PHC form.
#[derive(Clone, Debug)]
pub struct PasswordHash(pub Secret);

/// A legacy app or device that may come in.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its name in the configuration.
    pub name: String,
    /// Networks it comes from; empty: from anywhere, with its login.
    pub networks: Vec<IpNet>,
    /// Its login and password, if it has one.
    pub login: Option<(String, PasswordHash)>,
    /// AUTH of a network client succeeds whatever it says.
    pub any_login: bool,
    /// The accounts it may use; never empty.
    pub accounts: Vec<Arc<Account>>,
    /// The mailbox to use within an account for `*@domain`.
    pub mailbox: Option<Address>,
    /// What its mail may say of the sender.
    pub sender: SenderPolicy,
    /// Where reports about its mail go instead of the reverse path.
    pub bounces_to: Option<Address>,
    /// How its lines end.
    pub line_endings: LineEndings,
}

impl Client {
    /// The account and mailbox for mail with this reverse path. Headers have no say: they are not the envelope.
    ///
    /// With several accounts the one whose mailbox the reverse path (or else the login) names is taken, otherwise the
    /// first. Within `*@domain` the mailbox is the client's own, else its login, else the reverse path.
    pub fn account_for(&self, reverse_path: Option<&Address>) -> Result<(&Arc<Account>, Address), NoMailbox> {
        let login = self.login_address();
        let named = [reverse_path, login.as_ref()]
            .into_iter()
            .flatten()
            .find_map(|wish| self.accounts.iter().find(|account| account.mailbox == MailboxRule::One(wish.clone())));
        let account = named.or(self.accounts.first()).ok_or(NoMailbox::NoAccount)?;
        self.mailbox_of(account, reverse_path).map(|mailbox| (account, mailbox))
    }

    /// The mailbox within an account: its own, or within `*@domain` the client's, else its login, else the reverse path.
    pub fn mailbox_of(&self, account: &Account, reverse_path: Option<&Address>) -> Result<Address, NoMailbox> {
        let login = self.login_address();
        match &account.mailbox {
            MailboxRule::One(mailbox) => Ok(mailbox.clone()),
            MailboxRule::Domain(domain) => {
                let wishes = [self.mailbox.as_ref(), login.as_ref(), reverse_path];
                let mailbox = wishes.into_iter().flatten().find(|wish| wish.domain() == domain);
                mailbox.cloned().ok_or_else(|| NoMailbox::NotInDomain(domain.clone()))
            }
        }
    }

    fn login_address(&self) -> Option<Address> {
        self.login.as_ref().and_then(|(name, _)| name.parse().ok())
    }
}

/// Why no mailbox can send a client's mail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoMailbox {
    /// The client has no account.
    #[error("this client has no account")]
    NoAccount,
    /// Neither the client's mailbox nor its login nor the reverse path is in the account's domain.
    #[error("the sender is not in {0}")]
    NotInDomain(Domain),
}

/// All clients, found by network or login.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    all: Vec<Arc<Client>>,
    by_login: HashMap<String, Arc<Client>>,
}

impl Clients {
    /// Files the clients; of two with one login (the configuration refuses that) the first counts.
    pub fn new(all: Vec<Client>) -> Self {
        let all: Vec<_> = all.into_iter().map(Arc::new).collect();
        let mut by_login = HashMap::new();
        for client in &all {
            if let Some((login, _)) = &client.login {
                by_login.entry(login.clone()).or_insert_with(|| Arc::clone(client));
            }
        }
        Self { all, by_login }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Client>> {
        self.all.iter()
    }

    /// The client with this login.
    pub fn by_login(&self, login: &str) -> Option<&Arc<Client>> {
        self.by_login.get(login)
    }

    /// The client whose network holds `address`; the longest prefix wins.
    pub fn by_network(&self, address: IpAddr) -> Option<&Arc<Client>> {
        let address = address.to_canonical();
        let longest = |client: &Arc<Client>| {
            client.networks.iter().filter(|network| network.contains(&address)).map(IpNet::prefix_len).max()
        };
        self.all
            .iter()
            .filter_map(|c| longest(c).map(|length| (length, c)))
            .max_by_key(|(length, _)| *length)
            .map(|(_, c)| c)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A client without networks that logs in.
    pub(crate) fn client_with_login(login: &str, hash: &str) -> Client {
        Client { login: Some((login.to_owned(), PasswordHash(Secret::new(hash)))), ..client("by-login", &[], vec![]) }
    }

    fn client(name: &str, networks: &[&str], accounts: Vec<Arc<Account>>) -> Client {
        Client {
            name: name.to_owned(),
            networks: networks.iter().map(|n| n.parse().unwrap()).collect(),
            login: None,
            any_login: false,
            accounts,
            mailbox: None,
            sender: SenderPolicy::Rewrite,
            bounces_to: None,
            line_endings: LineEndings::Crlf,
        }
    }

    fn account(name: &str, mailbox: MailboxRule) -> Arc<Account> {
        Arc::new(Account { name: name.to_owned(), provider: "p".to_owned(), mailbox })
    }

    fn one(text: &str) -> MailboxRule {
        MailboxRule::One(text.parse().unwrap())
    }

    #[test]
    fn the_longest_network_prefix_wins() {
        let clients = Clients::new(vec![
            client("all", &["0.0.0.0/0"], vec![]),
            client("floor", &["192.168.10.0/24", "fd00::/8"], vec![]),
            client("printer", &["192.168.10.7/32"], vec![]),
        ]);
        for (address, name) in [
            ("192.168.10.7", "printer"),
            ("192.168.10.8", "floor"),
            ("10.0.0.1", "all"),
            ("fd00::1", "floor"),
            ("::ffff:192.168.10.7", "printer"),
        ] {
            assert_eq!(clients.by_network(address.parse().unwrap()).map(|c| c.name.as_str()), Some(name), "{address}");
        }
        assert!(clients.by_network("2001:db8::1".parse().unwrap()).is_none());
    }

    #[test]
    fn the_reverse_path_chooses_among_a_clients_accounts() {
        let accounts = vec![account("a", one("a@x.example")), account("b", one("b@x.example"))];
        let client = client("c", &[], accounts);
        let chosen = |path: Option<&str>| {
            let path = path.map(|p| p.parse().unwrap());
            client.account_for(path.as_ref()).map(|(account, mailbox)| (account.name.clone(), mailbox.to_string()))
        };
        assert_eq!(chosen(Some("B@x.example")), Ok(("b".to_owned(), "b@x.example".to_owned())));
        assert_eq!(chosen(Some("other@y.example")), Ok(("a".to_owned(), "a@x.example".to_owned())));
        assert_eq!(chosen(None), Ok(("a".to_owned(), "a@x.example".to_owned())));
    }

    #[test]
    fn a_domain_account_takes_the_mailbox_from_client_login_or_reverse_path() {
        let domain: Domain = "x.example".parse().unwrap();
        let mut client = client("c", &[], vec![account("d", MailboxRule::Domain(domain.clone()))]);
        let chosen = |client: &Client, path: &str| {
            let path = path.parse().unwrap();
            client.account_for(Some(&path)).map(|(_, mailbox)| mailbox.to_string())
        };
        assert_eq!(chosen(&client, "me@x.example"), Ok("me@x.example".to_owned()));
        assert_eq!(chosen(&client, "me@y.example"), Err(NoMailbox::NotInDomain(domain)));
        client.login = Some(("login@x.example".to_owned(), PasswordHash(Secret::new(""))));
        assert_eq!(chosen(&client, "me@x.example"), Ok("login@x.example".to_owned()));
        client.mailbox = Some("box@x.example".parse().unwrap());
        assert_eq!(chosen(&client, "me@x.example"), Ok("box@x.example".to_owned()));
    }
}
