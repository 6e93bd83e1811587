//! Who is let in, and as whom they may send.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

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

/// All clients.
#[derive(Clone, Debug, Default)]
pub struct Clients(pub Vec<Arc<Client>>);

impl Clients {
    /// The client whose network holds `address`; the longest prefix wins.
    pub fn by_network(&self, address: IpAddr) -> Option<&Arc<Client>> {
        let address = address.to_canonical();
        let longest =
            |client: &Arc<Client>| client.networks.iter().filter(|n| n.contains(&address)).map(IpNet::prefix_len).max();
        self.0.iter().filter_map(|c| longest(c).map(|len| (len, c))).max_by_key(|(len, _)| *len).map(|(_, c)| c)
    }
}
