//! The dialogues of `tests/dialogues/smtp` against the real listener, over TCP.

#[path = "../support/dialogue.rs"]
mod dialogue;

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use oxpost::account::password;
use oxpost::mail::{Event, QueueId};
use oxpost::secret::Secret;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio::runtime::Handle;

use self::dialogue::{Dialogue, Peer, Rules, Stored};
use crate::client::{HOSTNAME, PATIENCE};
use crate::house::{BILLING, House, Plan, SCANNER, account};

/// How long a listener is given to say something that it should not say.
const MOMENT: Duration = Duration::from_millis(50);

trait Io: Read + Write {}
impl<T: Read + Write> Io for T {}

/// A connection to a listener, and what arrives behind it.
struct OverTcp<'a> {
    house: &'a House,
    tcp: TcpStream,
    /// What is spoken over: `tcp` itself, or TLS on it.
    stream: Box<dyn Io>,
    unread: Vec<u8>,
    closed: bool,
    /// Events that were looked at.
    seen: usize,
}

impl<'a> OverTcp<'a> {
    fn connect(house: &'a House, rules: &Rules) -> Self {
        let tcp = TcpStream::connect(house.listener(0)).unwrap();
        tcp.set_nodelay(true).unwrap();
        let stream: Box<dyn Io> = Box::new(tcp.try_clone().unwrap());
        let seen = house.events.all().len();
        let mut this = Self { house, tcp, stream, unread: Vec::new(), closed: false, seen };
        if rules.tls {
            this.start_tls();
        }
        this
    }

    fn line_within(&mut self, patience: Duration) -> Option<String> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(end) = self.unread.iter().position(|octet| *octet == b'\n') {
                let line = String::from_utf8(self.unread.drain(..=end).collect()).unwrap();
                return Some(line.strip_suffix("\r\n").expect("a reply line ends with CRLF").to_owned());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if self.closed || left.is_zero() {
                return None;
            }
            self.tcp.set_read_timeout(Some(left)).unwrap();
            let mut octets = [0; 4096];
            match self.stream.read(&mut octets) {
                Ok(0) => self.closed = true,
                Ok(count) => self.unread.extend_from_slice(&octets[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => self.closed = true,
            }
        }
    }

    /// Waits until a message has arrived at the provider, and returns it. It has `octets` with the lines before it.
    fn arrived(&self, id: QueueId, octets: u64) -> Stored {
        let named = format!(" id {id};");
        let (mail, size) = Handle::current().block_on(async {
            loop {
                let count = self.house.tenant.mail_count();
                let mut all = self.house.tenant.mail().into_iter();
                match all.find(|mail| String::from_utf8_lossy(&mail.raw[..300.min(mail.raw.len())]).contains(&named)) {
                    Some(mail) => return (mail, self.house.show(id).await.summary.size),
                    None => drop(self.house.arrived(count + 1).await),
                }
            }
        });
        // A header without the empty line at its end gets one on the way out.
        let (end, size) = (usize::try_from(octets).unwrap(), usize::try_from(size).unwrap());
        let content = &mail.raw[end - size..end];
        // The gateway's postmaster is that of the mailbox's domain.
        let recipient =
            |to: &String| format!("<{}>", to.strip_prefix("postmaster@").map_or(to.as_str(), |_| "postmaster"));
        Stored {
            reverse_path: format!("<{}>", mail.reverse_path.as_deref().unwrap()),
            recipients: mail.recipients.iter().map(recipient).collect(),
            content: String::from_utf8(content.to_vec()).unwrap(),
        }
    }
}

impl Peer for OverTcp<'_> {
    fn send(&mut self, octets: &[u8]) {
        // The listener may have hung up in the middle, which the next steps are about.
        let _sent = self.stream.write_all(octets).and_then(|()| self.stream.flush());
    }

    fn line(&mut self) -> Option<String> {
        self.line_within(PATIENCE)
    }

    fn overheard(&mut self) -> Option<String> {
        self.line_within(MOMENT)
    }

    fn is_closed(&mut self) -> bool {
        self.closed
    }

    fn start_tls(&mut self) {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.house.ca()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let client = ClientConnection::new(Arc::new(config), ServerName::try_from(HOSTNAME).unwrap()).unwrap();
        self.tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut stream = StreamOwned::new(client, self.tcp.try_clone().unwrap());
        stream.flush().unwrap();
        self.stream = Box::new(stream);
    }

    fn message(&mut self) -> Option<Stored> {
        let events = self.house.events.all();
        let unseen = events.iter().enumerate().skip(self.seen);
        let mut accepted = unseen.filter_map(|(at, event)| {
            if let Event::Accepted { id, octets, .. } = event { Some((at, *id, *octets)) } else { None }
        });
        let (at, id, octets) = accepted.next()?;
        self.seen = at + 1;
        Some(self.arrived(id, octets))
    }
}

/// The configuration that sets a listener up as the rules say; `None` where none can.
fn plan(rules: &Rules) -> Option<Plan> {
    let by_itself = rules.max_errors != 20 || !rules.refused.is_empty() || rules.max_recipients < 100;
    let nobody = rules.auth_required && !rules.network && rules.auth == "never";
    if by_itself || nobody {
        return None;
    }
    let tls = if rules.tls {
        "implicit"
    } else if rules.starttls {
        "starttls"
    } else {
        "none"
    };
    let listener = format!(
        "tls = \"{tls}\"\nallow_clear_auth = {}\nstrict_line_ends = {}\nmax_size = \"{} B\"\nmax_recipients = {}",
        rules.auth == "always",
        rules.strict_line_ends,
        rules.max_octets,
        rules.max_recipients
    );
    let reserve = if rules.no_room { "9000000 GB" } else { "1 MB" };
    let tables = format!(
        "[limits]\nsmtp_size = \"150 MiB\"\nmessages_per_minute = 1000\n\n[queue]\nreserve = \"{reserve}\"\nreserve_percent = 0\n"
    );
    // A way that does not carry SMTPUTF8 keeps it from being offered.
    let accounts = account(SCANNER, r#"["smtp"]"#)
        + &if rules.smtputf8 { String::new() } else { account(BILLING, r#"["graph"]"#) };
    let names = if rules.smtputf8 { r#"["scanner"]"# } else { r#"["scanner", "billing"]"# };
    let common =
        format!("accounts = {names}\nsender = \"keep\"\nline_endings = \"{}\"\n", if rules.lf { "lf" } else { "crlf" });
    let mut clients = String::new();
    if rules.network || !rules.auth_required {
        clients += &format!("[[client]]\nname = \"near\"\nnetworks = [\"127.0.0.1\"]\n{common}\n");
    }
    if rules.auth != "never" {
        let (login, password) = &rules.login;
        let hash = password::hash(&Secret::new(password)).unwrap();
        clients += &format!("[[client]]\nname = \"far\"\nlogin = \"{login}\"\npassword = \"{hash}\"\n{common}\n");
    }
    let send_as =
        ["a@b.example", "jürgen@b.example", "scanner@b.example", "starttls@b.example"].map(str::to_owned).to_vec();
    Some(Plan { tables, accounts, listeners: vec![listener], clients, send_as, ..Plan::default() })
}

/// The same for reading.
fn reading_plan(protocol: &str, rules: &Rules) -> Option<Plan> {
    if rules.max_errors != 20 || rules.trouble || rules.own_tokens {
        return None;
    }
    let tls = if rules.tls {
        "implicit"
    } else if rules.starttls {
        "starttls"
    } else {
        "none"
    };
    let listener = format!("protocol = \"{protocol}\"\ntls = \"{tls}\"\nallow_clear_auth = {}", rules.auth == "always");
    let accounts = account(SCANNER, r#"["smtp"]"#).trim_end().to_owned() + "\nread = [\"imap\", \"pop3\"]\n\n";
    let (login, password) = &rules.login;
    let hash = password::hash(&Secret::new(password)).unwrap();
    let accounts_of = "accounts = [\"scanner\"]\n";
    // The network lets nobody read; it keeps a listener without TLS from being useless.
    let clients = format!(
        "[[client]]\nname = \"far\"\nlogin = '{login}'\npassword = \"{hash}\"\n{accounts_of}\n\
         [[client]]\nname = \"near\"\nnetworks = [\"10.0.0.0/8\"]\nown_token = true\n{accounts_of}\n"
    );
    Some(Plan { accounts, listeners: vec![listener], clients, ..Plan::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reading_listeners_speak_as_the_dialogues_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues");
    let mut houses: HashMap<String, House> = HashMap::new();
    let mut played = 0;
    for protocol in ["imap", "pop3"] {
        let mut paths: Vec<_> =
            std::fs::read_dir(folder.join(protocol)).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            let dialogue = Dialogue::read(&path);
            // What is passed on is with the practice tenant, which does not tell it.
            let Some(plan) = reading_plan(protocol, &dialogue.rules).filter(|_| !dialogue.passes_on()) else {
                continue;
            };
            let rules = format!("{protocol} {:?}", dialogue.rules);
            if !houses.contains_key(&rules) {
                houses.insert(rules.clone(), House::start(plan).await);
            }
            // The gateway gives guessers a rest; its clock does not move by itself.
            houses[&rules].clock.advance(Duration::from_secs(60));
            let name = format!("{protocol}/{}", path.file_name().unwrap().to_string_lossy());
            let play = || dialogue.play(&name, &mut OverTcp::connect(&houses[&rules], &dialogue.rules));
            tokio::task::block_in_place(play);
            played += 1;
        }
    }
    assert!(played >= 30, "most of them can be played: {played}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listener_speaks_as_the_dialogues_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues/smtp");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    let mut houses: HashMap<String, House> = HashMap::new();
    let mut played = 0;
    for path in &paths {
        let dialogue = Dialogue::read(path);
        let Some(plan) = plan(&dialogue.rules) else { continue };
        let rules = format!("{:?}", dialogue.rules);
        if !houses.contains_key(&rules) {
            houses.insert(rules.clone(), House::start(plan).await);
        }
        let name = path.file_name().unwrap().to_string_lossy();
        tokio::task::block_in_place(|| dialogue.play(&name, &mut OverTcp::connect(&houses[&rules], &dialogue.rules)));
        played += 1;
    }
    assert!(played * 4 >= paths.len() * 3, "most of them can be played: {played} of {}", paths.len());
}
