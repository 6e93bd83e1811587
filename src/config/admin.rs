//! `[admin]` and `[[api_key]]`: the page, and who may use it.

use std::collections::HashMap;
use std::net::SocketAddr;

use ipnet::IpNet;
use url::Url;

use super::clients::{check_password, network};
use super::fault::KeyPath;
use super::file;
use super::listeners::{addresses, overlap};
use super::reader::Reader;
use super::suggest::nearest;
use crate::account::PasswordHash;
use crate::front::ListenerSettings;
use crate::front::admin::{ApiKey, PageSettings};
use crate::secret::Secret;

/// Reads the page's settings.
pub(super) fn read(reader: &mut Reader<'_>, listeners: &[ListenerSettings]) -> PageSettings {
    let typed = &reader.file.admin;
    let at = KeyPath::root().key("admin");
    let standard = file::Admin::default();
    let wanted = typed.listen.texts() != standard.listen.texts();
    let listen = addresses(reader, at.key("listen"), &typed.listen, "localhost:8025");
    let listen = if typed.enabled { listen } else { Vec::new() };
    check_reach(reader, &at, typed, &listen);
    refuse_taken_addresses(reader, &at, &listen, listeners);
    let password = typed.password.as_deref().map(|hash| password(reader, at.key("password"), hash));
    PageSettings {
        wanted: wanted && !listen.is_empty(),
        listen,
        tls: typed.tls,
        public_url: typed.public_url.as_deref().and_then(|url| public_url(reader, at.key("public_url"), url)),
        proxies: proxies(reader, &at, typed),
        password,
        keys: keys(reader),
        watch_from: watchers(reader, &at, typed),
    }
}

/// A password and everybody's mail are behind the page: nobody on the way may read along.
fn check_reach(reader: &mut Reader<'_>, at: &KeyPath, typed: &file::Admin, listen: &[SocketAddr]) {
    let reachable = listen.iter().any(|address| !address.ip().to_canonical().is_loopback());
    if reachable && !typed.tls {
        let cause = "other machines could reach the page, and read along what passes without TLS";
        let remedy = "add `tls = true`, or listen on `localhost` behind a proxy that speaks HTTPS (`public_url`)";
        reader.fault(at.key("listen"), cause, remedy);
    }
}

fn refuse_taken_addresses(reader: &mut Reader<'_>, at: &KeyPath, page: &[SocketAddr], listeners: &[ListenerSettings]) {
    for (number, listener) in listeners.iter().enumerate() {
        let taken = page.iter().find(|address| listener.listen.iter().any(|other| overlap(address, other)));
        if let Some(address) = taken {
            let cause = format!("listener {} of this file has `{address}` already", number + 1);
            reader.fault(at.key("listen"), cause, "choose another port");
        }
    }
}

/// The address of the page alone: a path would have to be known to every link on it.
fn public_url(reader: &mut Reader<'_>, at: KeyPath, typed: &str) -> Option<Url> {
    let remedy = "write scheme and name, such as `https://mail.contoso.com`";
    let url: Url = reader.parsed(at.clone(), typed, remedy)?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if url.scheme() == "https" && url.host().is_some() && bare {
        return Some(url);
    }
    let cause = if bare { "browsers would show the page without TLS" } else { "there is more than the name in it" };
    reader.fault(at, format!("`{typed}` cannot be used: {cause}"), remedy);
    None
}

fn proxies(reader: &mut Reader<'_>, at: &KeyPath, typed: &file::Admin) -> Vec<IpNet> {
    let key = at.key("proxies");
    let networks = typed.proxies.iter().enumerate();
    networks.filter_map(|(index, text)| network(reader, key.item(index), text)).collect()
}

fn watchers(reader: &mut Reader<'_>, at: &KeyPath, typed: &file::Admin) -> Vec<IpNet> {
    let each = typed.watch_from.iter().enumerate();
    each.filter_map(|(index, text)| network(reader, at.key("watch_from").item(index), text)).collect()
}

fn password(reader: &mut Reader<'_>, at: KeyPath, hash: &str) -> PasswordHash {
    check_password(reader, at, hash);
    PasswordHash(Secret::new(hash))
}

fn keys(reader: &mut Reader<'_>) -> Vec<ApiKey> {
    let mut taken: HashMap<&str, usize> = HashMap::new();
    let mut keys = Vec::new();
    for (index, typed) in reader.file.api_key.iter().enumerate() {
        let at = KeyPath::root().key("api_key").item(index);
        let (name, secret) = (typed.name.as_deref().unwrap_or_default(), typed.secret.as_deref().unwrap_or_default());
        let fine = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if (name.is_empty() || !name.chars().all(fine)) && !reader.is_faulty(&at.key("name")) {
            reader.fault(at.key("name"), format!("`{name}` is no name for a key"), "use letters, digits and `-`");
        }
        if let Some(other) = taken.insert(name, index + 1) {
            let cause = format!("key {other} of this file has the name `{name}` as well");
            reader.fault(at.key("name"), cause, "give each key a name of its own");
        }
        if typed.scopes.is_empty() && !reader.is_faulty(&at.key("scopes")) {
            reader.fault(at.key("scopes"), "the key may do nothing", "write a scope, such as `read`");
        }
        let client = typed.client.clone().filter(|client| known_client(reader, at.key("client"), client));
        if !reader.is_faulty(&at.key("secret")) {
            let secret = password(reader, at.key("secret"), secret);
            keys.push(ApiKey { name: name.to_owned(), secret, scopes: typed.scopes.clone(), client });
        }
    }
    keys
}

fn known_client(reader: &mut Reader<'_>, at: KeyPath, name: &str) -> bool {
    let names: Vec<&str> = reader.file.client.iter().filter_map(|client| client.name.as_deref()).collect();
    if names.contains(&name) {
        return true;
    }
    let remedy = match nearest(name, names.iter().copied()) {
        Some(close) => format!("write `{close}`"),
        None => "write the `name` of a `[[client]]`".to_owned(),
    };
    reader.fault(at, format!("there is no client `{name}`"), remedy);
    false
}
