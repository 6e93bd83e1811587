//! `[[listener]]` and `[tls]`: where clients come in, and the certificate they are shown.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;

use super::clients::network;
use super::fault::KeyPath;
use super::file::{self, Tls};
use super::machine::loopback;
use super::providers::Services;
use super::reader::Reader;
use crate::account::{Client, Clients};
use crate::front::{ListenerSettings, ListenerTls, Mode, Protocol, SubmissionSettings, TlsFiles};

/// Reads all listeners, and refuses those that would be useless or open.
pub(super) fn read(reader: &mut Reader<'_>, clients: &Clients) -> Vec<ListenerSettings> {
    let mut listeners: Vec<ListenerSettings> = Vec::new();
    for (index, typed) in reader.file.listener.iter().enumerate() {
        let at = KeyPath::root().key("listener").item(index);
        let listener = listener(reader, &at, typed);
        check_who_comes_in(reader, &at, &listener, clients);
        refuse_taken_addresses(reader, &at, &listener, &listeners);
        listeners.push(listener);
    }
    if listeners.is_empty() && !reader.is_faulty(&KeyPath::root().key("listener")) {
        let remedy = "write `[[listener]]` on a line of its own; without more it listens on `localhost:2525`";
        reader.fault(KeyPath::root().key("listener"), "there is no listener, so no mail could come in", remedy);
    }
    listeners
}

fn listener(reader: &mut Reader<'_>, at: &KeyPath, typed: &file::Listener) -> ListenerSettings {
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let known: Vec<&str> = reader.file.client.iter().filter_map(|client| client.name.as_deref()).collect();
    for (index, name) in typed.clients.iter().enumerate() {
        reader.known_name(at.key("clients").item(index), name, "client", &known);
    }
    let protocol = match typed.protocol {
        file::Protocol::Smtp => Protocol::Smtp,
        file::Protocol::Imap => Protocol::Imap,
        file::Protocol::Pop3 => Protocol::Pop3,
    };
    ListenerSettings {
        protocol,
        idle_timeout: idle_timeout(reader, at.key("idle_timeout"), typed, protocol),
        listen: addresses(reader, at.key("listen"), &typed.listen, "localhost:2525"),
        tls: match typed.tls {
            Tls::None => ListenerTls::None,
            Tls::StartTls => ListenerTls::StartTls,
            Tls::Implicit => ListenerTls::Implicit,
            Tls::Auto => ListenerTls::Auto,
        },
        mode: mode(reader, at, typed, protocol),
        auto_wait: reader.duration(at.key("auto_wait"), &typed.auto_wait),
        allow_clear_auth: typed.allow_clear_auth,
        strict_line_ends: typed.strict_line_ends,
        max_sessions: count(typed.max_sessions),
        max_sessions_per_address: count(typed.max_sessions_per_address),
        command_timeout: reader.time_to_wait(at.key("command_timeout"), &typed.command_timeout),
        max_octets: typed.max_size.as_ref().map(|size| reader.size(at.key("max_size"), size)),
        max_recipients: count(typed.max_recipients),
        clients: typed.clients.clone(),
        proxy_from: proxies(reader, at, typed),
    }
}

fn proxies(reader: &mut Reader<'_>, at: &KeyPath, typed: &file::Listener) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for (index, text) in typed.proxy_from.iter().enumerate() {
        let key = at.key("proxy_from").item(index);
        let Some(network) = network(reader, key.clone(), text) else { continue };
        if network.prefix_len() == 0 {
            let cause = format!("`{text}` is everybody, so everybody could say who they are");
            reader.fault(key, cause, "write the addresses of the proxies alone");
        }
        networks.push(network);
    }
    networks
}

/// RFC 9051 section 5.4 asks for 30 minutes at least, RFC 1939 section 3 for 10.
fn idle_timeout(reader: &mut Reader<'_>, at: KeyPath, typed: &file::Listener, protocol: Protocol) -> Duration {
    let minutes = |count: u64| Duration::from_secs(count * 60);
    match (&typed.idle_timeout, protocol) {
        (Some(_), Protocol::Smtp) => {
            reader.fault(at, "only listeners for `imap` and `pop3` have this key", "take it out");
            minutes(35)
        }
        (Some(text), Protocol::Imap | Protocol::Pop3) => reader.time_to_wait(at, text),
        (None, Protocol::Imap | Protocol::Smtp) => minutes(35),
        (None, Protocol::Pop3) => minutes(11),
    }
}

fn mode(reader: &mut Reader<'_>, at: &KeyPath, typed: &file::Listener, protocol: Protocol) -> Mode {
    let usual = file::Listener::default().answer_within;
    match typed.mode {
        file::Mode::Direct if protocol != Protocol::Smtp => {
            reader.fault(at.key("mode"), "only listeners for `smtp` take messages", "take it out");
            Mode::Queue
        }
        file::Mode::Direct => Mode::Direct(reader.time_to_wait(at.key("answer_within"), &typed.answer_within)),
        file::Mode::Queue if typed.answer_within != usual => {
            let cause = "nobody waits for the provider on this listener";
            reader.fault(at.key("answer_within"), cause, "set `mode = \"direct\"`, or take it out");
            Mode::Queue
        }
        file::Mode::Queue => Mode::Queue,
    }
}

/// Reads addresses to listen on; `example` is one of them for the remedy.
pub(super) fn addresses(
    reader: &mut Reader<'_>,
    at: KeyPath,
    typed: &file::OneOrMany,
    example: &str,
) -> Vec<SocketAddr> {
    let texts = typed.texts();
    let is_list = matches!(typed, file::OneOrMany::Many(_));
    let mut addresses = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let key = if is_list { at.item(index) } else { at.clone() };
        match resolve(text) {
            Ok(resolved) => addresses.extend(resolved),
            Err(cause) => {
                let remedy = format!("write address and port, such as `{example}`, `0.0.0.0:25` or `[::]:25`");
                reader.fault(key, format!("`{text}` cannot be listened on: {cause}"), remedy);
            }
        }
    }
    if texts.is_empty() {
        reader.fault(at, "there is no address in it", format!("write at least one, such as `{example}`"));
    }
    addresses
}

/// No name but `localhost`: another may lead to another address tomorrow.
fn resolve(text: &str) -> Result<Vec<SocketAddr>, String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(vec![address]);
    }
    let Some((host, port)) = text.rsplit_once(':') else { return Err("there is no port".to_owned()) };
    let port: u16 = port.parse().map_err(|_| format!("`{port}` is no port"))?;
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(loopback(port));
    }
    if host == "*" || host.is_empty() {
        return Err("it does not say whether IPv4 (`0.0.0.0`) or IPv6 (`[::]`) is meant".to_owned());
    }
    Err(format!("`{host}` is no address of this machine"))
}

fn check_who_comes_in(reader: &mut Reader<'_>, at: &KeyPath, listener: &ListenerSettings, clients: &Clients) {
    let admitted: Vec<&Client> = clients.iter().map(AsRef::as_ref).filter(|c| listener.admits(&c.name)).collect();
    let somebody_is_faulty = (0..reader.file.client.len()).any(|i| reader.is_faulty(&client_key(i)));
    let a_name_is_faulty = (0..listener.clients.len()).any(|i| reader.is_faulty(&at.key("clients").item(i)));
    if admitted.is_empty() && listener.is_reachable() && !a_name_is_faulty {
        let cause = "other machines can reach this listener, and no client says who may use it";
        let remedy = "add a `[[client]]` with `networks` or a `login`, or listen on `localhost`";
        reader.fault(at.key("listen"), cause, remedy);
    }
    let clear_only = listener.tls == ListenerTls::None && !listener.allow_clear_auth;
    // Who reads must log in, wherever it comes from, unless it brings a token of its own.
    let reads = listener.protocol != Protocol::Smtp;
    let by_login_alone = |client: &&Client| client.networks.is_empty() || (reads && !client.own_token);
    if clear_only && !admitted.is_empty() && admitted.iter().all(by_login_alone) && !somebody_is_faulty {
        let cause = "all its clients come in by login, and without TLS no login is taken";
        let remedy = "set `tls = \"starttls\"`, or `allow_clear_auth = true` where nobody can listen in";
        reader.fault(at.key("tls"), cause, remedy);
    }
}

fn client_key(index: usize) -> KeyPath {
    KeyPath::root().key("client").item(index)
}

/// Two listeners cannot share a port of one address.
fn refuse_taken_addresses(
    reader: &mut Reader<'_>,
    at: &KeyPath,
    listener: &ListenerSettings,
    others: &[ListenerSettings],
) {
    for (number, other) in others.iter().enumerate() {
        let taken = listener.listen.iter().find(|address| other.listen.iter().any(|taken| overlap(address, taken)));
        if let Some(address) = taken {
            let cause = format!("listener {} of this file has `{address}` already", number + 1);
            reader.fault(at.key("listen"), cause, "choose another port");
        }
    }
}

/// Whether two addresses cannot both be listened on; port 0 is a free one each time.
pub(super) fn overlap(a: &SocketAddr, b: &SocketAddr) -> bool {
    let same_family = a.is_ipv4() == b.is_ipv4();
    let meet = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && same_family && meet
}

/// Refuses a way out, or a server to read from, that would lead back in (promise 7 of the design).
pub(super) fn refuse_circles(reader: &mut Reader<'_>, submission: &SubmissionSettings, services: &Services) {
    const SUBMISSION: &str = "write the provider's own submission server";
    const READING: &str = "write the provider's own server for reading";
    for (name, service) in services.iter() {
        let smtp = service.smtp.as_ref().map(|smtp| ("smtp_host", &smtp.host, smtp.port, "mail", SUBMISSION));
        let reading = [("imap_host", &service.reading.imap), ("pop3_host", &service.reading.pop3)];
        let reading = reading.into_iter().filter_map(|(key, server)| {
            server.as_ref().map(|server| (key, &server.host, server.port, "a login", READING))
        });
        for (key, host, port, what, remedy) in smtp.into_iter().chain(reading) {
            if leads_here(submission, host, port) {
                let cause =
                    format!("port {port} of `{host}` is a listener of this gateway: {what} would go in circles");
                reader.fault(KeyPath::root().key("provider").key(name).key(key), cause, remedy);
            }
        }
    }
}

/// Whether one of our own listeners answers at this port of this host, as far as that can be told without asking.
pub(super) fn leads_here(submission: &SubmissionSettings, host: &str, port: u16) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let mut ours = submission.listeners.iter().flat_map(|listener| &listener.listen);
    ours.any(|address| {
        address.port() == port
            && match host.parse::<IpAddr>() {
                Ok(ip) => ip.is_loopback() || ip == address.ip(),
                Err(_) => host.eq_ignore_ascii_case("localhost") || host.eq_ignore_ascii_case(&submission.hostname),
            }
    })
}

/// Where the certificate comes from.
pub(super) fn tls_files(reader: &mut Reader<'_>, data: &Path) -> TlsFiles {
    let typed = &reader.file.tls;
    let at = KeyPath::root().key("tls");
    match (&typed.certificate, &typed.key) {
        (Some(_), None) => reader.fault(at.key("certificate"), "the certificate has no key", "add `key = \"PATH\"`"),
        (None, Some(_)) => reader.fault(at.key("key"), "the key has no certificate", "add `certificate = \"PATH\"`"),
        (Some(_), Some(_)) | (None, None) => {}
    }
    TlsFiles {
        folder: reader.file.certs.as_deref().map_or_else(|| data.join("certs"), |path| reader.path(path)),
        certificate: typed.certificate.as_deref().map(|path| reader.readable(at.key("certificate"), path)),
        key: typed.key.as_deref().map(|path| reader.readable(at.key("key"), path)),
        names: typed.names.clone(),
    }
}
