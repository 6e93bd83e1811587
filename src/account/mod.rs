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

impl MailboxRule {
    /// Whether it is a single one.
    pub const fn is_one(&self) -> bool {
        matches!(self, Self::One(_))
    }
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
    /// Mailboxes of others that whoever signed in may read as well.
    pub shared: Vec<Address>,
}

impl Account {
    /// Whether its tokens open that mailbox.
    pub fn opens(&self, mailbox: &Address) -> bool {
        match &self.mailbox {
            MailboxRule::One(own) => own == mailbox || self.shared.contains(mailbox),
            MailboxRule::Domain(domain) => domain == mailbox.domain(),
        }
    }
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
    /// Whose mailbox sends under a reverse path of another name; keys as [`Client::alias_of`] looks them up.
    pub aliases: HashMap<String, Address>,
    /// Where reports about its mail go instead of the reverse path.
    pub bounces_to: Option<Address>,
    /// How its lines end.
    pub line_endings: LineEndings,
    /// From its networks it may read with a token of its own.
    pub own_token: bool,
}

impl Client {
    /// The account and mailbox that a client reads which called itself `name`: its login, or one of its mailboxes.
    /// `reads` says which accounts can be read at all.
    ///
    /// # Errors
    /// No account of the client can be read, or nothing says which mailbox of a domain is meant.
    pub fn mailbox_to_read(
        &self,
        name: &str,
        reads: impl Fn(&Account) -> bool,
    ) -> Result<(&Arc<Account>, Address), NoMailbox> {
        let accounts: Vec<_> = self.accounts.iter().filter(|account| reads(account)).collect();
        let named = name.parse::<Address>().ok();
        for wish in [named.as_ref(), self.mailbox.as_ref()].into_iter().flatten() {
            // A client with one mailbox of a domain has the others only by being told so.
            let is_own = self.mailbox.as_ref().is_none_or(|own| own == wish);
            let opens = |account: &&&Arc<Account>| account.opens(wish) && (is_own || account.mailbox.is_one());
            if let Some(account) = accounts.iter().find(opens) {
                return Ok((account, wish.clone()));
            }
        }
        let first = accounts.first().ok_or(NoMailbox::NoAccount)?;
        match &first.mailbox {
            MailboxRule::One(mailbox) => Ok((first, mailbox.clone())),
            MailboxRule::Domain(domain) => Err(NoMailbox::NotInDomain(domain.clone())),
        }
    }

    /// The mailbox that sends under this reverse path, if it is an alias: of the address, else of its domain (`@` and the
    /// domain).
    pub fn alias_of(&self, reverse_path: &Address) -> Option<&Address> {
        let whole = self.aliases.get(&reverse_path.key());
        whole.or_else(|| self.aliases.get(&format!("@{}", reverse_path.domain().as_str().to_lowercase())))
    }

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

    /// The same client with no other mailbox to send from than `mailbox`. One that has a mailbox of a domain has no other
    /// by asking for it.
    ///
    /// # Errors
    /// None of its accounts can send from it.
    pub fn narrowed_to(&self, mailbox: &Address) -> Result<Self, NoMailbox> {
        let is_own = self.mailbox.as_ref().is_none_or(|own| own == mailbox);
        let sends = |account: &&Arc<Account>| match &account.mailbox {
            MailboxRule::One(own) => own == mailbox,
            MailboxRule::Domain(domain) => domain == mailbox.domain() && is_own,
        };
        let accounts: Vec<_> = self.accounts.iter().filter(sends).cloned().collect();
        if accounts.is_empty() {
            return Err(NoMailbox::NotItsOwn(mailbox.clone()));
        }
        Ok(Self { accounts, mailbox: Some(mailbox.clone()), ..self.clone() })
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
    /// None of the client's accounts can send from it.
    #[error("none of its accounts can send from `{0}`")]
    NotItsOwn(Address),
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

    /// The logins under which somebody who calls itself `name` may be known: that login, or those of the clients that
    /// have a mailbox of this name. Never empty, and few: each is a password check.
    pub fn logins_for(&self, name: &str) -> Vec<String> {
        const FEW: usize = 4;
        let as_named = || vec![name.to_owned()];
        if self.by_login.contains_key(name) {
            return as_named();
        }
        let Ok(mailbox) = name.parse::<Address>() else { return as_named() };
        let opens = |client: &&Arc<Client>| client.accounts.iter().any(|account| account.opens(&mailbox));
        let logins = self.all.iter().filter(opens).filter_map(|client| client.login.as_ref());
        let logins: Vec<_> = logins.map(|(login, _)| login.clone()).take(FEW).collect();
        if logins.is_empty() { as_named() } else { logins }
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
            aliases: HashMap::new(),
            bounces_to: None,
            line_endings: LineEndings::Crlf,
            own_token: false,
        }
    }

    fn account(name: &str, mailbox: MailboxRule) -> Arc<Account> {
        Arc::new(Account { name: name.to_owned(), provider: "p".to_owned(), mailbox, shared: vec![] })
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

    #[test]
    fn a_reader_gets_the_mailbox_it_names_if_it_may_have_it() {
        let domain: Domain = "x.example".parse().unwrap();
        let one_account = |shared: &str| {
            let shared = vec![shared.parse().unwrap()];
            Arc::new(Account { shared, ..Account::clone(&account("a", one("a@y.example"))) })
        };
        let several = client("c", &[], vec![one_account("info@y.example"), account("b", one("b@y.example"))]);
        let whole = client("c", &[], vec![account("d", MailboxRule::Domain(domain.clone()))]);
        let narrow = Client { mailbox: Some("box@x.example".parse().unwrap()), ..whole.clone() };
        let table: [(&Client, &str, Result<&str, NoMailbox>, &str); 9] = [
            (&several, "joe", Ok("a@y.example"), "a login: the first account's"),
            (&several, "b@y.example", Ok("b@y.example"), "another account's"),
            (&several, "info@y.example", Ok("info@y.example"), "a shared one"),
            (&several, "no@y.example", Ok("a@y.example"), "an address that is only a login"),
            (&whole, "any@x.example", Ok("any@x.example"), "any of a domain"),
            (&whole, "joe", Err(NoMailbox::NotInDomain(domain.clone())), "nothing says which"),
            (&narrow, "joe", Ok("box@x.example"), "the client's own"),
            (&narrow, "box@x.example", Ok("box@x.example"), "the same by name"),
            (&narrow, "other@x.example", Ok("box@x.example"), "no other of the domain"),
        ];
        for (client, name, expected, why) in table {
            let found = client.mailbox_to_read(name, |_| true).map(|(_, mailbox)| mailbox.to_string());
            assert_eq!(found, expected.map(str::to_owned), "{name}: {why}");
        }
        assert_eq!(several.mailbox_to_read("joe", |_| false).err(), Some(NoMailbox::NoAccount));
    }

    #[test]
    fn a_mailbox_may_stand_for_the_login_of_its_clients() {
        let with = |login: &str| Client {
            login: Some((login.to_owned(), PasswordHash(Secret::new("")))),
            ..client(login, &[], vec![account("a", one("a@x.example"))])
        };
        let clients = Clients::new(vec![with("joe"), with("ann"), client("net", &["10.0.0.0/8"], vec![])]);
        assert_eq!(clients.logins_for("joe"), ["joe"]);
        assert_eq!(clients.logins_for("a@x.example"), ["joe", "ann"]);
        assert_eq!(clients.logins_for("b@x.example"), ["b@x.example"], "known to nobody, and checked all the same");
    }
}
