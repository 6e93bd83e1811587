//! Which account a message takes beyond what its client says, and who is meant by a name of this machine.

use std::collections::HashMap;
use std::sync::Arc;

use super::Account;
use crate::mail::{Address, Domain};

/// An address, or all addresses of a domain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pattern {
    /// One address.
    Address(Address),
    /// `@domain`.
    Domain(Domain),
}

impl Pattern {
    /// Whether the address is meant.
    pub fn matches(&self, address: &Address) -> bool {
        match self {
            Self::Address(one) => one == address,
            Self::Domain(domain) => domain == address.domain(),
        }
    }
}

/// Mail that takes another account than its client's own. Of several routes the first that fits counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccountRoute {
    /// Names of the clients it is for; empty: all.
    pub clients: Vec<String>,
    /// The reverse paths it is for; empty: all.
    pub senders: Vec<Pattern>,
    /// The recipients it is for; empty: all.
    pub recipients: Vec<Pattern>,
    /// The account that the mail takes.
    pub account: Arc<Account>,
}

/// Routes and aliases.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Routing {
    /// In the order of the file.
    pub routes: Vec<AccountRoute>,
    /// Who is meant, by [`Address::key`] or, for users of this machine, by the name alone in lower case.
    pub aliases: HashMap<String, Vec<Address>>,
    /// What this machine is called, beside `localhost`.
    pub hostname: String,
}

impl Routing {
    /// The account of a message of `client` with this reverse path, for `recipient` if one is known; `None`: the
    /// client's own.
    pub fn account(
        &self,
        client: &str,
        reverse_path: Option<&Address>,
        recipient: Option<&Address>,
    ) -> Option<&Arc<Account>> {
        let any = |patterns: &[Pattern], address: Option<&Address>| {
            patterns.is_empty()
                || address.is_some_and(|address| patterns.iter().any(|pattern| pattern.matches(address)))
        };
        let fits = |route: &&AccountRoute| {
            let of_client = route.clients.is_empty() || route.clients.iter().any(|name| name == client);
            of_client && any(&route.senders, reverse_path) && any(&route.recipients, recipient)
        };
        self.routes.iter().find(fits).map(|route| &route.account)
    }

    /// Who receives what is for `address`: those whom an alias names, or itself.
    pub fn recipients(&self, address: Address) -> Vec<Address> {
        let is_here = |domain: &str| domain == "localhost" || domain.eq_ignore_ascii_case(&self.hostname);
        let whole = self.aliases.get(&address.key());
        let local = || {
            let name = address.local_part().to_lowercase();
            self.aliases.get(&name).filter(|_| is_here(address.domain().as_str()))
        };
        whole.or_else(local).cloned().unwrap_or_else(|| vec![address])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::MailboxRule;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn route(clients: &[&str], senders: &[&str], recipients: &[&str], account: &str) -> AccountRoute {
        let pattern = |text: &&str| match text.strip_prefix('@') {
            Some(domain) => Pattern::Domain(domain.parse().unwrap()),
            None => Pattern::Address(address(text)),
        };
        let mailbox = MailboxRule::One(address("a@own.example"));
        AccountRoute {
            clients: clients.iter().map(|&name| name.to_owned()).collect(),
            senders: senders.iter().map(pattern).collect(),
            recipients: recipients.iter().map(pattern).collect(),
            account: Arc::new(Account {
                name: account.to_owned(),
                provider: "p".to_owned(),
                mailbox,
                shared: Vec::new(),
            }),
        }
    }

    #[test]
    fn the_first_route_that_fits_counts() {
        let routes = vec![
            route(&["printers"], &["hr@own.example"], &[], "hr"),
            route(&[], &[], &["@partner.example", "vip@x.example"], "partner"),
            route(&[], &["@other.example"], &[], "other"),
        ];
        let routing = Routing { routes, ..Routing::default() };
        let rows = [
            ("printers", "hr@own.example", None, Some("hr"), "client and sender"),
            ("apps", "hr@own.example", None, None, "another client"),
            ("printers", "x@own.example", None, None, "another sender"),
            ("apps", "x@own.example", Some("a@PARTNER.example"), Some("partner"), "a recipient's domain"),
            ("apps", "x@own.example", Some("vip@x.example"), Some("partner"), "a recipient"),
            ("apps", "x@own.example", Some("a@sub.partner.example"), None, "a domain below is another"),
            ("apps", "y@other.example", None, Some("other"), "a sender's domain"),
            ("apps", "y@other.example", Some("a@partner.example"), Some("partner"), "the first of two"),
            ("printers", "hr@own.example", Some("a@partner.example"), Some("hr"), "the first of two"),
        ];
        for (client, sender, recipient, expected, why) in rows {
            let recipient = recipient.map(address);
            let found = routing.account(client, Some(&address(sender)), recipient.as_ref());
            assert_eq!(found.map(|account| account.name.as_str()), expected, "{why}");
        }
        assert_eq!(routing.account("printers", None, None), None, "the null reverse path is nobody's");
    }

    #[test]
    fn names_of_this_machine_are_those_whom_the_aliases_name() {
        let aliases = HashMap::from([
            ("root".to_owned(), vec![address("it@own.example"), address("ops@own.example")]),
            (address("old@own.example").key(), vec![address("new@own.example")]),
        ]);
        let routing = Routing { aliases, hostname: "gw.own.example".to_owned(), ..Routing::default() };
        let rows = [
            ("root@localhost", "it@own.example ops@own.example", "a user of this machine"),
            ("Root@GW.own.example", "it@own.example ops@own.example", "by the machine's name"),
            ("root@own.example", "root@own.example", "somebody elsewhere with that name"),
            ("OLD@own.example", "new@own.example", "a whole address"),
            ("someone@localhost", "someone@localhost", "nobody's alias"),
        ];
        for (from, expected, why) in rows {
            let to: Vec<String> = routing.recipients(address(from)).iter().map(ToString::to_string).collect();
            assert_eq!(to.join(" "), expected, "{why}");
        }
    }
}
