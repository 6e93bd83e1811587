//! `[[route]]` and `[alias]`: which account a message takes, and who is meant by a name.

use std::collections::HashMap;
use std::sync::Arc;

use super::fault::KeyPath;
use super::reader::Reader;
use crate::account::{Account, AccountRoute, Pattern, Routing};
use crate::mail::{Address, Domain};

/// Reads routes and aliases. What has a fault is left out.
pub(super) fn read(reader: &mut Reader<'_>, accounts: &[Arc<Account>], hostname: &str) -> Routing {
    Routing { routes: routes(reader, accounts), aliases: aliases(reader), hostname: hostname.to_owned() }
}

fn routes(reader: &mut Reader<'_>, accounts: &[Arc<Account>]) -> Vec<AccountRoute> {
    let mut routes = Vec::new();
    let names: Vec<&str> = reader.file.client.iter().filter_map(|client| client.name.as_deref()).collect();
    for (index, typed) in reader.file.route.iter().enumerate() {
        let at = KeyPath::root().key("route").item(index);
        for (number, name) in typed.clients.iter().enumerate() {
            reader.known_name(at.key("clients").item(number), name, "client", &names);
        }
        if typed.clients.is_empty() && typed.senders.is_empty() && typed.recipients.is_empty() {
            let cause = "the route is for all mail, so the accounts of the clients would mean nothing";
            reader.fault(at.clone(), cause, "say which `clients`, `senders` or `recipients` it is for");
        }
        let senders = patterns(reader, &at.key("senders"), &typed.senders);
        let recipients = patterns(reader, &at.key("recipients"), &typed.recipients);
        let Some(name) = &typed.account else { continue };
        if reader.known_account(at.key("account"), name)
            && let Some(account) = accounts.iter().find(|account| account.name == *name)
        {
            let (clients, account) = (typed.clients.clone(), Arc::clone(account));
            routes.push(AccountRoute { clients, senders, recipients, account });
        }
    }
    routes
}

fn patterns(reader: &mut Reader<'_>, at: &KeyPath, typed: &[String]) -> Vec<Pattern> {
    let mut patterns = Vec::new();
    for (number, text) in typed.iter().enumerate() {
        let key = at.item(number);
        let remedy = "write an address such as `hr@contoso.com`, or `@contoso.com` for all of a domain";
        patterns.extend(match text.strip_prefix('@') {
            Some(domain) => reader.parsed::<Domain>(key, domain, remedy).map(Pattern::Domain),
            None => reader.parsed::<Address>(key, text, remedy).map(Pattern::Address),
        });
    }
    patterns
}

fn aliases(reader: &mut Reader<'_>) -> HashMap<String, Vec<Address>> {
    let mut aliases = HashMap::new();
    for (name, typed) in &reader.file.alias {
        let at = KeyPath::root().key("alias").key(name);
        let key = if name.contains('@') {
            let remedy = "write a name of this machine such as `root`, or a whole address";
            reader.parsed::<Address>(at.clone(), name, remedy).map(|address| address.key())
        } else {
            Some(name.to_lowercase())
        };
        let mut meant: Vec<Address> = Vec::new();
        for text in typed.texts() {
            let remedy = "write an address such as `it@contoso.com`; an alias of an alias is not followed";
            meant.extend(reader.parsed::<Address>(at.clone(), text, remedy));
        }
        if typed.texts().is_empty() {
            reader.fault(at, "the alias means nobody", "write an address");
        }
        aliases.extend(key.map(|key| (key, meant)));
    }
    aliases
}
