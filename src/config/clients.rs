//! `[[client]]`: who is let in, and through which accounts.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash as Phc;
use ipnet::IpNet;

use super::fault::KeyPath;
use super::file;
use super::reader::Reader;
use crate::account::{Account, Client, Clients, LineEndings, MailboxRule, PasswordHash};
use crate::mail::{Address, Domain};
use crate::secret::Secret;

/// Reads all clients. Those with a fault that leaves nothing to build are left out.
pub(super) fn read(reader: &mut Reader<'_>, accounts: &[Arc<Account>]) -> Clients {
    let mut taken = Taken::default();
    let mut clients = Vec::new();
    for (index, typed) in reader.file.client.iter().enumerate() {
        let at = KeyPath::root().key("client").item(index);
        let name = typed.name.clone().unwrap_or_default();
        taken.name(reader, &at, &name);
        let accounts = accounts_of(reader, &at, typed, accounts);
        let networks = networks(reader, &at, typed, &mut taken);
        let login = login(reader, &at, typed, &mut taken);
        check_that_it_can_come_in(reader, &at, typed);
        let mailbox = mailbox(reader, &at, typed, &accounts);
        let aliases = aliases(reader, &at, typed);
        let bounces_to = address(reader, at.key("bounces_to"), typed.bounces_to.as_deref());
        let client = Client {
            name,
            networks,
            login,
            any_login: typed.any_login,
            accounts,
            mailbox,
            sender: typed.sender,
            aliases,
            bounces_to,
            own_token: typed.own_token,
            line_endings: match typed.line_endings {
                file::LineEndings::Crlf => LineEndings::Crlf,
                file::LineEndings::Lf => LineEndings::Lf,
            },
        };
        check_aliases(reader, &at, typed, &client);
        clients.push(client);
    }
    Clients::new(clients)
}

/// What only one client can have.
#[derive(Default)]
struct Taken {
    names: HashMap<String, usize>,
    logins: HashMap<String, usize>,
    networks: HashMap<IpNet, usize>,
    /// Clients so far.
    count: usize,
}

impl Taken {
    fn name(&mut self, reader: &mut Reader<'_>, at: &KeyPath, name: &str) {
        self.count += 1;
        if let Some(other) = self.names.insert(name.to_owned(), self.count).filter(|_| !name.is_empty()) {
            let cause = format!("client {other} of this file has the name `{name}` as well");
            reader.fault(at.key("name"), cause, "give each client a name of its own");
        }
        if name.is_empty() && !reader.is_faulty(&at.key("name")) {
            reader.fault(at.key("name"), "the name is empty", "write a name, such as `floor-2-printers`");
        }
    }

    fn login(&mut self, reader: &mut Reader<'_>, at: KeyPath, login: &str) {
        if let Some(other) = self.logins.insert(login.to_lowercase(), self.count) {
            let cause = format!("client {other} of this file has the login `{login}` as well");
            reader.fault(at, cause, "give each client a login of its own");
        }
    }

    fn network(&mut self, reader: &mut Reader<'_>, at: KeyPath, network: IpNet) {
        if let Some(other) = self.networks.insert(network, self.count) {
            let cause = format!("client {other} of this file has the network `{network}` as well");
            reader.fault(at, cause, "keep it in one place; a smaller network inside it wins over it");
        }
    }
}

fn accounts_of(reader: &mut Reader<'_>, at: &KeyPath, typed: &file::Client, all: &[Arc<Account>]) -> Vec<Arc<Account>> {
    let key = at.key("accounts");
    if typed.accounts.is_empty() && !reader.is_faulty(&key) {
        reader.fault(key.clone(), "the client has no account, so its mail could not leave", "write the name of one");
    }
    let mut accounts = Vec::new();
    for (index, name) in typed.accounts.iter().enumerate() {
        if reader.known_account(key.item(index), name) {
            accounts.extend(all.iter().find(|account| account.name == *name).cloned());
        }
    }
    accounts
}

/// The map of senders. Whether the mailboxes are the client's is [`check_aliases`]'s business.
fn aliases(reader: &mut Reader<'_>, at: &KeyPath, typed: &file::Client) -> HashMap<String, Address> {
    let mut aliases = HashMap::new();
    for (name, mailbox) in &typed.aliases {
        let key = at.key("aliases").key(name);
        let whole = match name.strip_prefix('@') {
            Some(domain) => domain.parse::<Domain>().map(|domain| format!("@{}", domain.as_str().to_lowercase())).ok(),
            None => name.parse::<Address>().map(|address| address.key()).ok(),
        };
        let Some(whole) = whole else {
            let remedy = "write an address such as `erp@intranet.local`, or `@` and a domain";
            reader.fault(key, format!("`{name}` is no sender"), remedy);
            continue;
        };
        aliases.extend(address(reader, key, Some(mailbox)).map(|mailbox| (whole, mailbox)));
    }
    aliases
}

/// Each mailbox of the map must be one that mail of the client goes by.
fn check_aliases(reader: &mut Reader<'_>, at: &KeyPath, typed: &file::Client, client: &Client) {
    for (name, mailbox) in &typed.aliases {
        let key = at.key("aliases").key(name);
        let Ok(wanted) = mailbox.parse::<Address>() else { continue };
        let goes_by = client.account_for(Some(&wanted)).map(|(_, mailbox)| mailbox);
        if !client.accounts.is_empty() && goes_by.as_ref() != Ok(&wanted) && !reader.is_faulty(&key) {
            let remedy = "name the mailbox of one of the client's `accounts`, or add its account there";
            reader.fault(key, format!("no account of the client sends as `{wanted}`"), remedy);
        }
    }
}

fn networks(reader: &mut Reader<'_>, at: &KeyPath, typed: &file::Client, taken: &mut Taken) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for (index, text) in typed.networks.iter().enumerate() {
        let key = at.key("networks").item(index);
        let Some(network) = network(reader, key.clone(), text) else { continue };
        taken.network(reader, key, network);
        networks.push(network);
    }
    networks
}

/// An address alone is a network of one.
pub(super) fn network(reader: &mut Reader<'_>, at: KeyPath, text: &str) -> Option<IpNet> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(IpNet::from(address));
    }
    let Ok(network) = text.parse::<IpNet>() else {
        let remedy = "write it as `192.168.10.0/24`, `2001:db8::/64`, or one address";
        reader.fault(at, format!("`{text}` is no network"), remedy);
        return None;
    };
    if network.trunc() != network {
        let remedy = format!("write `{}`, or `{}` for this one address", network.trunc(), network.addr());
        reader.fault(at, format!("`{text}` is an address within a network, not a network"), remedy);
    }
    Some(network.trunc())
}

fn login(
    reader: &mut Reader<'_>,
    at: &KeyPath,
    typed: &file::Client,
    taken: &mut Taken,
) -> Option<(String, PasswordHash)> {
    match (&typed.login, &typed.password) {
        (Some(login), Some(password)) => {
            if login.is_empty() || login.chars().any(char::is_control) {
                reader.fault(at.key("login"), "a login is a line of text", "write one, such as `scanner`");
            }
            taken.login(reader, at.key("login"), login);
            check_password(reader, at.key("password"), password);
            Some((login.clone(), PasswordHash(Secret::new(password.as_str()))))
        }
        (Some(login), None) => {
            if !reader.is_faulty(&at.key("password")) {
                let cause = format!("the login `{login}` has no password");
                reader.fault(at.key("login"), cause, "run `oxpost password` and add the line `password = \"...\"`");
            }
            None
        }
        (None, Some(_)) => {
            if !reader.is_faulty(&at.key("login")) {
                reader.fault(at.key("password"), "there is a password and no login", "add `login = \"NAME\"`");
            }
            None
        }
        (None, None) => None,
    }
}

/// What stands there instead of a hash may be the password itself, so it is not shown.
pub(super) fn check_password(reader: &mut Reader<'_>, at: KeyPath, text: &str) {
    let is_argon2id = |hash: &Phc| hash.algorithm.as_str() == "argon2id" && hash.hash.is_some();
    if !Phc::new(text).is_ok_and(|hash| is_argon2id(&hash)) {
        let remedy = "run `oxpost password` and write what it prints, which begins with `$argon2id$`";
        reader.fault(at, "this is not an argon2id hash; a password itself is never written here", remedy);
    }
}

fn check_that_it_can_come_in(reader: &mut Reader<'_>, at: &KeyPath, typed: &file::Client) {
    let networks_wrong = reader.is_faulty(&at.key("networks"));
    if typed.any_login && typed.networks.is_empty() && !networks_wrong {
        let cause = "`any_login` without `networks` would let in everybody";
        reader.fault(at.key("any_login"), cause, "add `networks`, or a `login` with a `password` instead");
    }
    if typed.own_token && typed.networks.is_empty() && !networks_wrong {
        let cause = "`own_token` without `networks` would let everybody reach the provider through this gateway";
        reader.fault(at.key("own_token"), cause, "add `networks`, or take the key out");
    }
    let has_login = typed.login.is_some() || typed.password.is_some() || reader.is_faulty(&at.key("login"));
    let has_key = reader.file.api_key.iter().any(|key| key.client.is_some() && key.client == typed.name);
    if typed.networks.is_empty() && !typed.any_login && !has_login && !has_key && !networks_wrong {
        let remedy = "add `networks = [\"127.0.0.0/8\"]`, or a `login` with a `password`";
        reader.fault(at.clone(), "the client has neither a network nor a login, so it could never come in", remedy);
    }
}

fn mailbox(reader: &mut Reader<'_>, at: &KeyPath, typed: &file::Client, accounts: &[Arc<Account>]) -> Option<Address> {
    let key = at.key("mailbox");
    let mailbox = address(reader, key.clone(), typed.mailbox.as_deref())?;
    let is_behind = |account: &Arc<Account>| match &account.mailbox {
        MailboxRule::One(address) => *address == mailbox,
        MailboxRule::Domain(domain) => domain == mailbox.domain(),
    };
    if !accounts.is_empty() && !accounts.iter().any(is_behind) {
        let cause = format!("none of the client's accounts can send from `{mailbox}`");
        reader.fault(key, cause, "write a mailbox of an account for `*@domain`, or take the key out");
    }
    Some(mailbox)
}

fn address(reader: &mut Reader<'_>, at: KeyPath, text: Option<&str>) -> Option<Address> {
    reader.parsed(at, text?, "write an address such as `it@contoso.com`")
}
