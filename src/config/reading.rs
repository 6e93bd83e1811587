//! Reading: the servers of providers, and the accounts that are read there.

use super::fault::KeyPath;
use super::file::{self, WayIn};
use super::providers::{Service, is_host};
use super::reader::Reader;
use crate::mail::Address;
use crate::reading::{ReadingServer, ReadingServers, UpstreamTls};
use crate::token::Purpose;

/// The servers of a provider; `known` are those of its kind, for IMAP and POP3.
pub(super) fn servers(
    reader: &mut Reader<'_>,
    at: &KeyPath,
    typed: &file::Provider,
    known: (Option<&str>, Option<&str>),
) -> ReadingServers {
    let imap = (typed.imap_host.as_deref().or(known.0), typed.imap_port, typed.imap_tls);
    let pop3 = (typed.pop3_host.as_deref().or(known.1), typed.pop3_port, typed.pop3_tls);
    ReadingServers {
        imap: server(reader, at.key("imap_host"), imap, 143),
        pop3: server(reader, at.key("pop3_host"), pop3, 110),
    }
}

/// On the port of old, TLS begins by a command.
fn server(
    reader: &mut Reader<'_>,
    at: KeyPath,
    (host, port, tls): (Option<&str>, u16, Option<file::UpstreamTls>),
    clear_port: u16,
) -> Option<ReadingServer> {
    let host = host?;
    if !is_host(host) {
        let remedy = "write the name of the server alone; the port has a key of its own";
        reader.fault(at, format!("`{host}` is no host name"), remedy);
        return None;
    }
    let tls = match tls {
        Some(file::UpstreamTls::StartTls) => UpstreamTls::StartTls,
        Some(file::UpstreamTls::Implicit) => UpstreamTls::Implicit,
        None if port == clear_port => UpstreamTls::StartTls,
        None => UpstreamTls::Implicit,
    };
    Some(ReadingServer { host: host.to_owned(), port, tls })
}

/// Where an account is read, and what tokens that needs.
pub(super) fn of_account(
    reader: &mut Reader<'_>,
    at: &KeyPath,
    typed: &file::Account,
    service: &Service,
) -> (ReadingServers, Vec<Purpose>) {
    let (mut servers, mut purposes) = (ReadingServers::default(), Vec::new());
    for way in &typed.read {
        let (server, place, key, purpose) = match way {
            WayIn::Imap => (&service.reading.imap, &mut servers.imap, "imap_host", Purpose::Imap),
            WayIn::Pop3 => (&service.reading.pop3, &mut servers.pop3, "pop3_host", Purpose::Pop),
        };
        let provider = KeyPath::root().key("provider").key(typed.provider.as_deref().unwrap_or_default()).key(key);
        if server.is_none() && !reader.is_faulty(&provider) {
            let cause = format!("an account is read there ({at}), so this key is needed");
            reader.fault(provider, cause, "write the name of the server, such as `imap.contoso.com`");
        }
        if !purposes.contains(&purpose) {
            purposes.push(purpose);
        }
        place.clone_from(server);
    }
    (servers, purposes)
}

/// The mailboxes of others.
pub(super) fn shared(reader: &mut Reader<'_>, at: &KeyPath, typed: &file::Account) -> Vec<Address> {
    let key = at.key("shared");
    if !typed.shared.is_empty() && typed.read.is_empty() {
        reader.fault(
            key.clone(),
            "shared mailboxes are for reading, and the account has no `read`",
            "add `read = [\"imap\"]`",
        );
    }
    let parsed = |(index, text): (usize, &String)| {
        reader.parsed(key.item(index), text, "write an address such as `info@contoso.com`")
    };
    typed.shared.iter().enumerate().filter_map(parsed).collect()
}
